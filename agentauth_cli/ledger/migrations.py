"""From the tables of an earlier version to those of this one, forward and in one transaction."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import StateError
from agentauth_cli.ledger.recount import reserved, said
from agentauth_cli.ledger.rows import HOLD, micros
from agentauth_cli.ledger.schema import VERSION, statements

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the tables. Raises sqlite3.Error."""
    found: tuple[int] = db.execute("PRAGMA user_version").fetchone()
    return found[0]


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables up to this program's version; all of it or nothing.

    The caller keeps other writers out. One that waited finds it done. Raises sqlite3.Error.
    """
    try:
        db.execute("BEGIN IMMEDIATE")
        for version in range(version_of(db) + 1, VERSION + 1):
            for statement in statements(version):
                db.execute(statement)
            _FILLED[version](db)
            db.execute(f"PRAGMA user_version = {version}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _kept_charges(db: sqlite3.Connection) -> None:
    """Fill what version 1 forgot at the end of a lease, from its records."""
    query = "SELECT id, state, principal, actor, provider, reserved_at FROM leases"
    leases = {row[0]: row[1:] for row in db.execute(query) if row[1] != "released"}
    for seq, text in db.execute("SELECT seq, record FROM records ORDER BY seq").fetchall():
        try:
            record = json.loads(text)
            lease = record.get("lease", "")
            if record.get("event") == "vend.intent" and lease in leases:
                state, *known = leases[lease]
                _fill(db, lease, known, record, settled=state == "settled")
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            why = f"record {seq} is none of ours, and the ledger cannot be carried to schema 2"
            raise StateError(
                why, hint="Begin anew: `agentauth ledger reset --reason TEXT`"
            ) from None


def _fill(
    db: sqlite3.Connection,
    lease: str,
    known: Sequence[Any],
    record: Mapping[str, Any],
    *,
    settled: bool,
) -> None:
    used = reserved(said(record), record.get("charges", ()))
    row = (lease, *known, used.tokens, "allowance", used.cost, "allowance")
    db.execute("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    for charge in record.get("charges", ()) if settled else ():
        if "start" in charge:
            start = micros(datetime.fromisoformat(charge["start"]))
            held = (lease, charge["counter"], start, charge["amount"])
            db.execute(HOLD, held)


_FILLED = {2: _kept_charges}
