"""`source`: what a keyring, or a ledger, that is not in order does to it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pytest
import tomlkit

from agentauth_cli.cli import source
from agentauth_cli.errors import SourceCredentialError, StateError
from agentauth_cli.secret import Secret
from agentauth_cli.wiring import Wiring
from support import keyrings
from support.configs import config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentauth_cli.ledger.sqlite import SQLiteLedger

TOKEN = "made-up-token-of-the-keyring"
ENTRY = {"namespace": "acme", "source": "stored_token", "same_account": True}
ENVIRONMENTS = {f"environments__{name}__huggingface": ENTRY for name in ("dev", "prod")}


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiring]:
    """Return the parts of a machine with a keyring, and two environments with a stored token."""
    keyrings.use(monkeypatch, keyrings.variables(tmp_path))
    (tmp_path / "CONFIG").mkdir(mode=0o700)
    path = tmp_path / "CONFIG" / "config.toml"
    path.write_text(tomlkit.dumps(config(**ENVIRONMENTS)))
    path.chmod(0o600)
    names = ("CONFIG", "STATE", "DATA")
    before = os.dup(0)
    reading, writing = os.pipe()
    os.write(writing, f"{TOKEN}\n".encode())
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)
    made = Wiring({f"AGENTAUTH_{name}_DIR": str(tmp_path / name) for name in names})
    yield made
    made.close()
    os.dup2(before, 0)
    os.close(before)


def states(wiring: Wiring, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return how `source list --json` shows each environment."""
    capsys.readouterr()
    source.show(wiring, as_json=True)
    shown = json.loads(capsys.readouterr().out)["sources"]
    return {one["environment"]: one["state"] for one in shown}


@dataclass(frozen=True)
class _Full(Wiring):
    """Parts with a ledger that takes nothing."""

    @cached_property
    def ledger(self) -> SQLiteLedger:
        raise StateError("the disk is full")


def test_what_cannot_be_written_down_changes_nothing(wiring: Wiring, tmp_path: Path) -> None:
    """No change without its record: a ledger that takes nothing leaves the keyring as it is."""
    full = _Full(wiring.environ)
    with pytest.raises(StateError):
        source.store(full, "huggingface", None, as_json=False)
    assert keyrings.entries(tmp_path) == {}
    wiring.sources.keep(wiring.made.slot("dev", "huggingface"), Secret(TOKEN), wiring.clock())
    with pytest.raises(StateError):
        source.drop(full, "huggingface", None, as_json=False)
    assert keyrings.entries(tmp_path)


def test_one_that_is_damaged_is_shown_and_stops_no_other(
    wiring: Wiring, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged entry is `damaged`, vends nothing, and can be stored again or removed."""
    prod = wiring.made.slot("prod", "huggingface")
    wiring.keyring.set(prod.entry, Secret("made-up damage"))
    source.store(wiring, "huggingface", "dev", as_json=False)
    assert states(wiring, capsys) == {"dev": "stored", "prod": "damaged"}
    assert wiring.made.stored("dev", "huggingface") == Secret(TOKEN)
    with pytest.raises(SourceCredentialError):
        wiring.made.stored("prod", "huggingface")
    source.drop(wiring, "huggingface", "prod", as_json=False)
    assert states(wiring, capsys) == {"dev": "stored", "prod": "absent"}


def test_the_record_says_who_and_which_and_no_secret(
    wiring: Wiring, capsys: pytest.CaptureFixture[str]
) -> None:
    """`config.changed`, with the source that was stored, or removed."""
    source.store(wiring, "huggingface", "dev", as_json=True)
    assert json.loads(capsys.readouterr().out)["state"] == "stored"
    source.drop(wiring, "huggingface", None, as_json=True)
    found = [json.loads(one.record) for one in wiring.ledger.records()]
    told = [(one["event"], one["source"]["state"], one["principal"][:3]) for one in found]
    assert told == [("config.changed", "stored", "os/"), ("config.changed", "removed", "os/")]
    assert TOKEN not in str(found)
