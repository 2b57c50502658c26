"""`audit`: the records, and whether they are as they were written."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.identity import via
from agentauth_cli.cli.options import Json
from agentauth_cli.ledger.chain import Row, verify
from agentauth_cli.ledger.recount import differences, recount
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.ledger.sqlite import SQLiteLedger

BROKEN = 1
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""What a record that is not ours may raise when it is read or shown."""


def declare(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="What was asked, decided and vended.", no_args_is_help=True)
    app.add_typer(group, name="audit")

    @group.command()
    def tail(
        *,
        count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many.")] = 20,
        as_json: Json = False,
    ) -> None:
        """Show the newest records, a line each."""
        show(Wiring(say=screen.say), count, as_json=as_json)

    @group.command("verify")
    def verify_(*, as_json: Json = False) -> None:
        """Check the chain, and count every counter once more from it."""
        raise typer.Exit(check(Wiring(say=screen.say), as_json=as_json))


def show(wiring: Wiring, count: int, *, as_json: bool) -> None:
    """Show the newest records."""
    for row in wiring.ledger.records(count):
        try:
            record = json.loads(row.record)
            shown = json.dumps({**record, "hash": row.hash}) if as_json else line(record)
        except DAMAGED:
            screen.say(f"record {row.seq} is damaged: see `agentauth audit verify`")
            continue
        screen.out(shown)


def line(record: Mapping[str, Any]) -> str:
    """Return a record in a line: when, what, who → tool environment resource, lease, why."""
    at = datetime.fromisoformat(record["at"]).astimezone()
    event = record["event"].removeprefix("vend.")
    who = via(record.get("principal") or record.get("peer", ""), record.get("actor"))
    parts = [f"{at:%H:%M:%S}", event, who]
    if "tool" in record:
        parts += ["→", record["tool"], record["environment"], _resource(record)]
    if "switch" in record:
        parts += ["→", *(record["switch"][key] for key in ("target", "name"))]
    if "api_key" in record:
        parts += ["→", record["api_key"].get("name", record["api_key"]["id"])]
    if "expires_at" in record:
        left = datetime.fromisoformat(record["expires_at"]) - at
        parts.append(f"{round(left.total_seconds() / 60)}m")
    parts += [record.get("lease", ""), record.get("outcome", "")]
    if event in ("denied", "failed", "login.failed") or record.get("decision") == "deny":
        parts += ["because", record.get("reason", "")]
    elif record.get("rules"):
        parts += ["by", record["rules"][0]]
    return " ".join(part for part in parts if part)


def _resource(record: Mapping[str, Any]) -> str:
    resource = record.get("resource", "")
    return resource if isinstance(resource, str) else " ".join(resource)


def check(wiring: Wiring, *, as_json: bool) -> int:
    """Verify chain and counters; return the exit code: 1 where something is damaged."""
    ledger = wiring.ledger
    with ledger.unchanging():
        rows: list[Row] = list(ledger.records())
        damage = verify(rows)
        wrong = [damage.what] if damage else _miscounted(ledger, rows)
    head = rows[-1] if rows else None
    if as_json:
        found = {"seq": head.seq, "hash": head.hash} if head else None
        screen.out_json({"ok": not wrong, "records": len(rows), "head": found, "problems": wrong})
    elif wrong:
        for one in wrong:
            screen.out(f"broken: {one}")
    else:
        screen.out(f"ok: {len(rows)} records, every counter recounted")
    return BROKEN if wrong else 0


def _miscounted(ledger: SQLiteLedger, rows: list[Row]) -> list[str]:
    return differences(recount(rows), ledger.counters(), ledger.arrivals(), ledger.usages())
