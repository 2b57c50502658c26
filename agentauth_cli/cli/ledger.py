"""`ledger reset`: a new ledger, on purpose."""

from __future__ import annotations

from typing import Annotated

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.options import Json
from agentauth_cli.errors import AgentAuthError, UsageError
from agentauth_cli.inbound import os_account
from agentauth_cli.ledger import opening
from agentauth_cli.wiring import Wiring


def declare(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="The store of counters, leases and audit.", no_args_is_help=True)
    app.add_typer(group, name="ledger")

    @group.command()
    def reset(
        *,
        reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")],
        as_json: Json = False,
    ) -> None:
        """Begin a new ledger: counters at 0, an empty chain that says so. The old one is kept."""
        if not reason.strip():
            raise UsageError("--reason: say why")
        work(Wiring(say=screen.say), reason, as_json=as_json)


def work(wiring: Wiring, reason: str, *, as_json: bool) -> None:
    """Put the old ledger aside and begin a new one."""
    if wiring.store == "ephemeral":
        raise UsageError("an ephemeral ledger begins anew with every run", hint="")
    kept = opening.reset(wiring.place, wiring.clock, reason, _by())
    if as_json:
        screen.out_json({"ledger": str(wiring.place.path), "kept": str(kept) if kept else None})
        return
    screen.out(f"a new ledger begins: {wiring.place.path}")
    if kept:
        screen.out(f"the old one is kept: {kept}")


def _by() -> str:
    try:
        return os_account.authenticate({}).id
    except AgentAuthError:
        return ""
