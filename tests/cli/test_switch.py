"""`disable`: the file first, whatever else may take its time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

import pytest

from agentauth_cli.cli.switch import DisableInput, turn_on
from agentauth_cli.errors import AuthenticationError, StateError
from agentauth_cli.model import Principal
from agentauth_cli.policy import switches
from agentauth_cli.policy.switches import NAME, Switch
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.ledger.sqlite import SQLiteLedger


@dataclass(frozen=True)
class _Slow(Wiring):
    """Parts that note what stood in the file when they were asked for."""

    who: str = ""
    seen: dict[str, tuple[Switch, ...]] = field(default_factory=dict)

    def _note(self, part: str) -> None:
        file = self.places.config / NAME
        self.seen[part] = switches.load(file.read_bytes() if file.exists() else None)

    def authenticate(self) -> Principal:
        self._note("authenticate")
        if not self.who:
            raise AuthenticationError("the network is down")
        return Principal(self.who, self.who)

    @cached_property
    def ledger(self) -> SQLiteLedger:
        self._note("ledger")
        return Wiring(environ=self.environ).ledger


def _slow(folder: Path, who: str) -> _Slow:
    names = ("CONFIG", "STATE", "DATA")
    return _Slow({f"AGENTAUTH_{name}_DIR": str(folder / name) for name in names}, who=who)


@pytest.mark.parametrize("who", ["okta/alice", ""])
@pytest.mark.parametrize(
    "given",
    [
        DisableInput("all", "", "leak", None, force=False),
        DisableInput("principal", "okta/bob", "leak", None, force=False),
    ],
)
def test_the_file_is_written_before_anything_is_waited_for(
    tmp_path: Path, who: str, given: DisableInput
) -> None:
    """Neither the network nor the lock of the ledger holds a switch up."""
    wiring = _slow(tmp_path, who)
    turn_on(wiring, given, as_json=False)
    for part in ("authenticate", "ledger"):
        (found,) = wiring.seen[part]
        assert (found.target, found.name) == (given.target, given.name)


def test_in_the_end_it_is_by_who_whoami_says(tmp_path: Path) -> None:
    """File, ledger and record name the principal, not the account."""
    wiring = _slow(tmp_path, "okta/alice")
    turn_on(wiring, DisableInput("all", "", "leak", None, force=False), as_json=False)
    (in_file,) = switches.load((wiring.places.config / NAME).read_bytes())
    (in_ledger,) = wiring.ledger.switches()
    assert (in_file.by, in_ledger.by) == ("okta/alice", "okta/alice")
    (record,) = wiring.ledger.records(1)
    assert '"principal":"okta/alice"' in record.record


def test_a_file_that_could_not_be_changed_is_not_waited_for_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the file cannot take it the ledger does, and it is said once."""
    tries: list[Switch] = []

    def fail(_folder: Path, switch: Switch, *_: object) -> NoReturn:
        tries.append(switch)
        raise StateError("no")

    monkeypatch.setattr("agentauth_cli.config.switch_file.turn_on", fail)
    wiring = _slow(tmp_path, "okta/alice")
    turn_on(wiring, DisableInput("all", "", "leak", None, force=False), as_json=False)
    assert len(tries) == 1
    assert capsys.readouterr().err == "the file could not be changed: no\n"
    assert [one.target for one in wiring.ledger.switches()] == ["all"]
