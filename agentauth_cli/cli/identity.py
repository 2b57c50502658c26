"""`whoami`: who agentauth takes the caller for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from agentauth_cli.cli import screen
from agentauth_cli.cli.options import Identity, Json
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.errors import AgentAuthError
from agentauth_cli.inbound import os_account
from agentauth_cli.vending import identify
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from datetime import datetime

    import typer


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def whoami(*, identity: Identity = None, as_json: Json = False) -> None:
        """Show who is asking, and where that was found."""
        work(Wiring(say=screen.say, chosen=identity), as_json=as_json)


def by(wiring: Wiring) -> str:
    """Return who whoami says, or else the OS account: who did what needs no login."""
    try:
        return wiring.authenticate().id
    except AgentAuthError:
        return account()


def via(principal: str, actor: str | None) -> str:
    """Return a principal as people see it: who acts for it stands behind it."""
    return f"{principal} via {actor}" if actor else principal


def account() -> str:
    """Return the OS account, its uid where it has no name."""
    try:
        return os_account.authenticate({}).id
    except AgentAuthError:
        return f"uid {os.getuid()}"


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
