"""`audit tail` and `audit verify` where the ledger was tampered with."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.cli.audit import check, show
from agentauth_cli.wiring import Wiring
from support.clock import FakeClock
from support.ledgers import without_indexes

if TYPE_CHECKING:
    from pathlib import Path


BUDGETS = """\
version = 1
[[budget]]
id = "b"
per = ["principal"]
limits.day = { requests = 9 }
"""


@pytest.fixture
def wiring(tmp_path: Path) -> Wiring:
    """Return the parts of a configuration whose ledger has three records."""
    folders = {
        f"AGENTAUTH_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "STATE", "DATA")
    }
    made = Wiring(environ=folders, clock=FakeClock())
    for name in ("one", "two", "three"):
        made.ledger.append({"event": "check", "principal": f"okta/{name}"})
    return made


def _tamper(wiring: Wiring, text: str) -> None:
    with contextlib.closing(sqlite3.connect(wiring.ledger.path)) as db:
        without_indexes(db)
        db.execute("UPDATE records SET record = ? WHERE seq = 2", (text,))
        db.commit()


EDGES = [
    f'{{"at": "{at}", "event": "check"}}'
    for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"at": 1}', '{"at": "x"}', "\x00", *EDGES]
)
def test_a_damaged_record_hides_no_other(
    wiring: Wiring, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The damage is named, and what is whole is shown all the same."""
    _tamper(wiring, text)
    show(wiring, 20, as_json=False)
    out, err = capsys.readouterr()
    assert [row.split()[-1] for row in out.splitlines()] == ["okta/one", "okta/three"]
    assert err == "record 2 is damaged: see `agentauth audit verify`\n"
    assert check(wiring, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert "2" in found["problems"][0]


def test_a_line_has_no_control_characters(
    wiring: Wiring, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who reads the trail on a terminal sees text, whatever a caller wrote into it."""
    wiring.ledger.append({"event": "vend.denied", "reason": "a\x1b[31m\nb", "decision": "deny"})
    show(wiring, 1, as_json=False)
    assert capsys.readouterr().out.endswith("denied because a\\x1b[31m\\nb\n")
