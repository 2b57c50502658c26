"""Ledgers, leases and charges to test with, and what must hold of a ledger at any time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentauth_cli.ledger import store
from agentauth_cli.ledger.chain import verify
from agentauth_cli.ledger.opening import Place
from agentauth_cli.ledger.process import this_process
from agentauth_cli.ledger.recount import differences, recount
from agentauth_cli.ledger.sqlite import SQLiteLedger
from agentauth_cli.model import Charge, Lease, Metric, Rate, Window
from support.clock import START

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from agentauth_cli.ports import Clock

_MIDNIGHT = START.replace(hour=0)
DAY = Window("day", _MIDNIGHT, _MIDNIGHT + timedelta(days=1))
MINUTE = 60


def opened(folder: Path, clock: Clock, **context: Any) -> SQLiteLedger:
    """Open the ledger of a folder, begun where there is none."""
    path = folder / "ledger.db"
    if not path.exists():
        store.begin(path)
    return SQLiteLedger(path, clock=clock, context=context)


def place(folder: Path, say: Callable[[str], None] = lambda _: None) -> Place:
    """Return the places of a configuration below this folder."""
    return Place(folder / "config", folder / "state", folder / "data", {"client": "test"}, say)


def lease(name: str, at: datetime = START, seconds: float = 80, **fields: Any) -> Lease:
    """Return a pending lease with a time to live."""
    named: dict[str, Any] = {
        "principal": "okta/alice",
        "tool": "s3_upload",
        "provider": "aws",
        "environment": "dev",
        "resource": "arn:aws:s3:::acme/*",
        "process": this_process(),
        **fields,
    }
    return Lease(id=name, reserved_at=at, ends_at=at + timedelta(seconds=seconds), **named)


def named(name: str) -> str:
    """Return a counter as the policy names one."""
    return json.dumps(["budget", "b1", "day", "tokens", name], separators=(",", ":"))


def charge(
    amount: int = 1,
    limit: int = 10,
    counter: str = "sums",
    window: Window = DAY,
    metric: Metric = "tokens",
) -> Charge:
    """Return a charge on a budget."""
    return Charge(named(counter), metric, window, amount, limit, "b1")


def rate(count: int, period: int = MINUTE, counter: str = "pace") -> Charge:
    """Return a charge on a rate limit."""
    return Charge(named(counter), "rate", Rate(count, period), 1, count, "r1")


def reserve(
    ledger: SQLiteLedger, name: str, *charges: Charge, seconds: float = 80, **fields: Any
) -> Lease:
    """Reserve as a vend does."""
    made = lease(name, ledger._clock(), seconds, **fields)
    ledger.reserve(made, lambda _now: charges, {"event": "vend.intent", "lease": name})
    return made


def sound(ledger: SQLiteLedger) -> bool:
    """Say whether the chain is whole, and the counters are what the records say."""
    rows = list(ledger.records())
    assert verify(rows) is None
    wrong = differences(recount(rows), ledger.counters(), ledger.arrivals(), ledger.usages())
    assert wrong == []
    over = "SELECT id FROM leases WHERE state = 'released'"
    held = f"SELECT count(*) FROM lease_charges WHERE lease IN ({over})"
    assert ledger.db.execute(held).fetchone() == (0,)
    return True


def without_indexes(db: sqlite3.Connection) -> None:
    """Take the indexes on records away: SQLite takes JSON alone where it keeps them."""
    for name in ("principal", "lease"):
        db.execute(f"DROP INDEX IF EXISTS records_{name}")


def states(ledger: SQLiteLedger) -> dict[str, str]:
    """Return the state of every lease, also of those that are over."""
    return dict(ledger.db.execute("SELECT id, state FROM leases"))


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Run a script in a process of its own, with what this one can import."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
