"""`whoami`: who agentauth takes the caller for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.cli import screen
from agentauth_cli.cli.options import Json
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.vending import identify
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from datetime import datetime

    import typer


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def whoami(*, as_json: Json = False) -> None:
        """Show who is asking, and where that was found."""
        work(Wiring(say=screen.say), as_json=as_json)


def work(wiring: Wiring, *, as_json: bool) -> None:
    """Authenticate and show the principal."""
    who = identify(wiring.parts())
    found: dict[str, Any] = {
        "id": who.id,
        "name": who.name,
        "kind": who.kind,
        "groups": list(who.groups),
        "auth": who.auth,
        "authenticated_at": _time(who.authenticated_at),
        "expires_at": _time(who.expires_at),
        "actor": who.actor,
        "source": wiring.identity.found,
    }
    if as_json:
        screen.out_json(found)
        return
    screen.out(f"{who.id} ({who.kind})")
    if who.groups:
        screen.out(f"groups: {', '.join(who.groups)}")
    if who.actor:
        screen.out(f"acted for by: {who.actor}")
    screen.out(f"from: {wiring.identity.found}")
    if who.expires_at:
        screen.out(f"until: {rfc3339(who.expires_at)}")


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
