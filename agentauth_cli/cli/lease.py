"""`lease list`: the credentials that live, and what became of those that did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agentauth_cli.cli import lease_revoke, lease_show, screen
from agentauth_cli.cli.identity import via
from agentauth_cli.cli.leases import shape
from agentauth_cli.cli.options import Json
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from agentauth_cli.model import Lease


def declare(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Credentials that were vended.", no_args_is_help=True)
    app.add_typer(group, name="lease")

    @group.command("list")
    def list_(*, as_json: Json = False) -> None:
        """Show the leases that are not over, or whose credential lives on.

        They are pending, active, expired, orphaned, undelivered, or settled before their end.
        """
        work(Wiring(say=screen.say), as_json=as_json)

    lease_show.declare(group)
    lease_revoke.declare(group)


def work(wiring: Wiring, *, as_json: bool) -> None:
    """Show the leases."""
    found = wiring.ledger.leases(wiring.clock())
    if as_json:
        screen.out_json({"leases": [shape(one) for one in found]})
    elif not found:
        screen.say("there are no leases")
    else:
        screen.columns(rows(found))


def rows(found: list[Lease]) -> list[list[str]]:
    """Return the table of leases, its head first."""
    head = ["LEASE", "STATE", "PRINCIPAL", "TOOL", "ENVIRONMENT", "RESOURCE", "UNTIL"]
    return [
        head,
        *(
            [
                *(one.id, one.state, via(one.principal, one.actor)),
                *(one.tool, one.environment, one.resource),
                f"{one.ends_at.astimezone():%Y-%m-%d %H:%M:%S}",
            ]
            for one in found
        ),
    ]
