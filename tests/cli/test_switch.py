"""`disable`: the file first, whatever else may take its time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from agentauth_cli.cli.switch import DisableInput, turn_on
from agentauth_cli.errors import AuthenticationError, StateError
from agentauth_cli.model import Principal, Revocation
from agentauth_cli.policy import switches
from agentauth_cli.policy.switches import NAME, Switch
from agentauth_cli.wiring import Wiring
from support.clock import FakeClock
from support.ledgers import lease, reserve

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.ledger.sqlite import SQLiteLedger
    from agentauth_cli.model import Lease, ProviderType


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


@dataclass(frozen=True)
class _Revoking(Wiring):
    """Parts whose brokers end what they are asked to: alone as `answer` says, or together."""

    answer: str = "revoked"
    together: list[str] = field(default_factory=list)

    def authenticate(self) -> Principal:
        return Principal("okta/alice", "alice")

    def broker_of(self, provider: ProviderType, environment: str) -> Any:
        del provider, environment
        return _Ends(self.answer, [])

    def revoker_of(self, provider: ProviderType, environment: str) -> Any:
        del provider, environment
        return _Ends("requested", self.together)


@dataclass(frozen=True)
class _Ends:
    answer: Any
    asked: list[str]

    def revoke(self, lease: Lease, credential: object = None) -> Revocation:
        del credential
        self.asked.append(lease.id)
        return Revocation(self.answer)


def _revoking(folder: Path, answer: str) -> _Revoking:
    names = ("CONFIG", "STATE", "DATA")
    environ = {f"AGENTAUTH_{name}_DIR": str(folder / name) for name in names}
    made = _Revoking(environ, FakeClock(), answer=answer)
    for name, principal in (("L1", "okta/alice"), ("L2", "okta/bob")):
        reserve(made.ledger, name, principal=principal)
        active = replace(lease(name, made.clock(), 900, principal=principal), state="active")
        made.ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _: None)
    return made


ENDS = "2026-11-23T10:15:00Z"
BOB = DisableInput("principal", "okta/bob", "leak", None, force=False, revoke=True)


@pytest.mark.parametrize(
    ("answer", "code", "line"),
    [
        ("revoked", 0, "L2: revoked"),
        ("cannot be revoked alone", 1, f"L2: cannot be revoked alone, ends at {ENDS}"),
    ],
)
def test_what_a_switch_reaches_can_be_revoked_with_it(
    tmp_path: Path, answer: str, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`disable --revoke` prints one line a lease; the switch is on before anybody is asked."""
    wiring = _revoking(tmp_path, answer)
    assert turn_on(wiring, BOB, as_json=False) == code
    shown = capsys.readouterr().out.splitlines()
    assert line in shown
    assert not [one for one in shown if one.startswith(("L1", "lives on"))]
    assert shown[-1] == "undo: agentauth enable --principal okta/bob"
    events = [json.loads(one.record)["event"] for one in wiring.ledger.records()]
    assert events.index("switch.on") < events.index("lease.revoked")


def test_a_switch_revokes_with_others_only_where_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That needs `--with-others`."""
    wiring = _revoking(tmp_path, "cannot be revoked alone")
    turn_on(wiring, BOB, as_json=False)
    assert wiring.together == []
    capsys.readouterr()
    assert turn_on(wiring, replace(BOB, with_others=True), as_json=True) == 1
    assert wiring.together == ["L2"]
    assert json.loads(capsys.readouterr().out)["leases"] == [
        {
            "lease": "L2",
            "outcome": "requested",
            "lives_on": True,
            "ends_at": ENDS,
            "reach": None,
        }
    ]


def test_a_ledger_that_takes_no_record_hides_no_other_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be written down is `failed: WHY`, and the switch is on all the same."""
    wiring = _revoking(tmp_path, "revoked")

    def full(*_: object) -> NoReturn:
        raise StateError("the disk is full")

    monkeypatch.setattr(wiring.ledger, "revoked", full)
    everyone = replace(BOB, target="all", name="")
    assert turn_on(wiring, everyone, as_json=False) == 1
    shown = capsys.readouterr().out.splitlines()
    failed = [f"{one}: failed: the disk is full, ends at {ENDS}" for one in ("L1", "L2")]
    assert [one for one in shown if one.startswith("L")] == failed


def test_without_a_ledger_nothing_is_revoked_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The switch is in the file; exit 1, since what lives on is not known."""
    wiring = _revoking(tmp_path, "revoked")

    def locked(*_: object) -> NoReturn:
        raise StateError("no")

    monkeypatch.setattr(wiring.ledger, "switch_on", locked)
    assert turn_on(wiring, BOB, as_json=False) == 1
    shown = capsys.readouterr()
    assert "nothing was revoked: the ledger does not say what lives on\n" in shown.err
    assert "L2" not in shown.out
