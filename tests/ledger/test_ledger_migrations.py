"""From each earlier version of the tables to this one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.errors import StateError
from agentauth_cli.ledger import chain, schema, store
from agentauth_cli.ledger.rows import LEASE, charge_fields, lease_row, micros, stamp
from agentauth_cli.model import Charged, Usage
from support.clock import START, FakeClock
from support.ledgers import DAY, charge, lease, named, opened, python, rate, sound, states

if TYPE_CHECKING:
    from pathlib import Path

_STATES = {"L1": "settled", "L2": "active", "L3": "released", "L4": "pending"}


def first(folder: Path, *more: str) -> Path:
    """Write a ledger as version 1 did: a lease of each state; `more` are raw records."""
    path = folder / "ledger.db"
    path.touch(0o600)
    cost = replace(charge(2, metric="cost"), counter='["budget","b1","day","cost","sums"]')
    made = [charge(3), cost, rate(100)]
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(schema.ADDED[1])
        db.executemany("INSERT INTO meta VALUES (?, ?)", [("id", "one"), ("node", "aa")])
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
        texts: list[str] = []
        for name, state in _STATES.items():
            row = lease_row(replace(lease(name), state=state))  # type: ignore[arg-type]
            db.execute(f"INSERT INTO leases ({LEASE}) VALUES ({', '.join('?' * len(row))})", row)
            texts.append(record(len(texts) + 1, "vend.intent", name, made))
            if state not in ("settled", "released"):
                for one in made[:2]:
                    held = (name, one.counter, micros(DAY.start), one.amount)
                    db.execute("INSERT INTO lease_charges VALUES (?, ?, ?, ?)", held)
        texts += [
            record(5, "vend.issued", "L1"),
            record(6, "lease.settled", "L1"),
            record(7, "vend.issued", "L2"),
            record(8, "vend.failed", "L3"),
            *more,
        ]
        previous = chain.FIRST
        for seq, text in enumerate(texts, 1):
            previous = chain.link(previous, text)
            db.execute("INSERT INTO records VALUES (?, ?, ?)", (seq, text, previous))
        for one in made[:2]:
            sums = (one.counter, micros(DAY.start), one.amount, 2 * one.amount)
            db.execute("INSERT INTO counters VALUES (?, ?, ?, ?)", sums)
        after = micros(START) * 1000 + 4 * 60 * 10**9 // 100
        db.execute("INSERT INTO rates VALUES (?, ?)", (named("pace"), after))
        db.commit()
        db.execute("PRAGMA journal_mode = WAL")
    return path


def record(seq: int, event: str, name: str, charges: list[charge] | None = None) -> str:  # type: ignore[valid-type]
    """Return a record of version 1, which had no tokens and cost."""
    taken = [charge_fields(one) for one in charges or ()]
    return chain.encode(
        {"seq": seq, "at": stamp(START), "event": event, "lease": name, "charges": taken}
    )


def test_from_version_1(tmp_path: Path) -> None:
    """Forward migrations: nothing is lost, and what version 1 forgot is filled from its records."""
    path = first(tmp_path)
    with opened(tmp_path, FakeClock()) as ledger:
        assert sound(ledger)
        assert states(ledger) == _STATES
        assert ledger.charged("L1") == Charged(3, "allowance", 2, "allowance")
        assert ledger.charged("L3") is None
        ledger.record_usage("L1", Usage(5), {})
        assert ledger.used(named("sums"), DAY) == (5, 6)
        assert sound(ledger)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    with opened(tmp_path, FakeClock()) as again:
        assert sound(again)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"event":"vend.intent","lease":"L2","charges":7}',
        '{"event":"vend.intent","lease":[]}',
    ],
)
def test_a_record_that_cannot_be_carried_over(tmp_path: Path, text: str) -> None:
    """A record of somebody else's is named, and the ledger is as it was."""
    path = first(tmp_path, text)
    before = path.read_bytes()
    with pytest.raises(StateError, match="record 9 is none of ours") as caught:
        opened(tmp_path, FakeClock())
    assert "ledger reset" in caught.value.hint
    assert path.read_bytes() == before
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_many_at_once(tmp_path: Path) -> None:
    """Who waited while another brought it up to date finds it done."""
    first(tmp_path)
    script = (
        "import sys; from pathlib import Path; from support.clock import FakeClock\n"
        "from support.ledgers import opened\n"
        "sys.stdin.readline()\n"
        "opened(Path(sys.argv[1]), FakeClock()).append({'event': 'check'})\n"
    )
    started = [python(script, str(tmp_path)) for _ in range(8)]
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.communicate()[1] for one in started] == [""] * 8
    with opened(tmp_path, FakeClock()) as ledger:
        assert ledger.head()[0] == 16
        assert sound(ledger)


def test_one_that_was_changed_by_hand(tmp_path: Path) -> None:
    """Refuse what this program did not make, also in an earlier version."""
    path = first(tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE more (x)")
    with pytest.raises(StateError, match="more is none of agentauth"):
        opened(tmp_path, FakeClock())


def test_what_is_begun_is_of_this_version(tmp_path: Path) -> None:
    """A new ledger has the tables of all versions."""
    store.begin(tmp_path / "ledger.db")
    with opened(tmp_path, FakeClock()) as ledger:
        made = {
            row[0] for row in ledger.db.execute("SELECT sql FROM sqlite_master WHERE sql <> ''")
        }
    assert made == schema.whole()
    assert json.dumps(sorted(schema.ADDED)) == f"[1, {schema.VERSION}]"
