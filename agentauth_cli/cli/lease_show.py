"""`lease show`: everything that is known of one lease."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.cli import audit, screen
from agentauth_cli.cli.leases import named, shape
from agentauth_cli.cli.options import Json
from agentauth_cli.tables.values import dollars
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentauth_cli.model import Charged


def declare(group: typer.Typer) -> None:
    """Add the command."""

    @group.command()
    def show(
        lease: Annotated[str, typer.Argument(metavar="LEASE", help="A lease, also one over.")],
        *,
        as_json: Json = False,
    ) -> None:
        """Show everything that is known of a lease."""
        work(Wiring(say=screen.say), lease, as_json=as_json)


def work(wiring: Wiring, lease_id: str, *, as_json: bool) -> None:
    """Show a lease. Raises UnknownNameError."""
    lease = named(wiring, lease_id)
    records = list(_records(wiring, lease.id))
    told: dict[str, Any] = {}
    for record in records:
        told |= {key: record[key] for key in ("rules", "narrowed", "charges") if key in record}
    charged = wiring.ledger.charged(lease.id)
    if as_json:
        whole = {**shape(lease), **told, "usage": _usage(charged), "records": records}
        screen.out_json(whole)
        return
    for name, value in (
        *shape(lease).items(),
        ("narrowed", told.get("narrowed")),
        ("rules", " ".join(told.get("rules", ()))),
        *(("charge", _charge(one)) for one in told.get("charges", ())),
        *(("usage", f"{metric} {_used(one)}") for metric, one in _usage(charged).items()),
    ):
        if value:
            screen.out(f"{name:<13} {value}")
    for record in records:
        screen.out(audit.line(record))


def _records(wiring: Wiring, lease_id: str) -> Iterator[dict[str, Any]]:
    """Yield the audit records of a lease; one that is damaged is said."""
    for row in wiring.ledger.records_of(lease_id):
        try:
            record = json.loads(row.record)
            audit.line(record)
        except audit.DAMAGED:
            screen.say(f"record {row.seq} is damaged: see `agentauth audit verify`")
            continue
        yield record


def _charge(charge: Mapping[str, Any]) -> str:
    """Return a charge in a line: what was reserved of which counter, since when."""
    if "rate" in charge:
        return f"{charge['rate']} by {charge['source']}"
    amount, unit = charge["amount"], json.loads(charge["counter"])[2]
    shown = f"${dollars(amount)}" if charge["metric"] == "cost" else f"{amount} {charge['metric']}"
    return f"{shown} of {charge['source']}, in the {unit} from {charge['start']}"


def _usage(charged: Charged | None) -> dict[str, dict[str, Any]]:
    """Return what the lease is charged and how well that is known; nothing once it is released."""
    if charged is None:
        return {}
    return {
        "tokens": {"amount": charged.tokens, "mark": charged.tokens_mark},
        "cost": {"amount": dollars(charged.cost), "mark": charged.cost_mark},
    }


def _used(one: Mapping[str, Any]) -> str:
    return f"{one['amount']} ({one['mark']})"
