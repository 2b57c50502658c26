"""`whoami`: who agentauth takes the caller for, since when and until when, and why."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from agentauth_cli.cli import screen
from agentauth_cli.cli.options import Identity, Json
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.errors import AgentAuthError
from agentauth_cli.inbound import os_account
from agentauth_cli.vending import identify
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import typer

    from agentauth_cli.model import Principal

_BY: Mapping[str, str] = MappingProxyType(
    {"jwt": "a token", "api_key": "an API key", "ci": "a job's token", "os": "the OS account"}
)
_ENDS: Mapping[str, str] = MappingProxyType(
    {"token": "token", "api_key": "API key", "session": "session"}
)
_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "token": "AGENTAUTH_TOKEN, AGENTAUTH_TOKEN_FILE",
        "api_key": "AGENTAUTH_API_KEY",
        "job": "the job's own token",
        "login": "a login",
        "os_account": "the OS account",
    }
)


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
    """Authenticate and show the principal, and how each source of identity stands."""
    who = identify(wiring.parts())
    if as_json:
        screen.out_json(_shape(wiring, who))
        return
    screen.out(f"{who.id} ({who.kind})")
    if who.name != who.user_id:
        screen.out(f"name: {who.name}")
    if who.groups:
        screen.out(f"groups: {', '.join(who.groups)}")
    if who.actor:
        screen.out(f"acted for by: {who.actor}")
    since = f", since {rfc3339(who.authenticated_at)}" if who.authenticated_at else ""
    screen.out(f"by: {_BY[who.auth]}{since}")
    screen.out(f"from: {wiring.identity.found}")
    if who.expires_at:
        screen.out(f"until: {rfc3339(who.expires_at)}, the end of the {_ENDS[ends_with(who)]}")
    screen.out("sources:")
    for one in wiring.standings():
        screen.out(f"  {_SOURCES[one.name]}: {one.why or one.state}")


def ends_with(who: Principal) -> Literal["token", "api_key", "session"]:
    """Return what ends the standing of a principal that has an end."""
    if who.auth == "api_key":
        return "api_key"
    ends = who.expires_at.timestamp() if who.expires_at else None
    return "token" if who.claims.get("exp") == ends else "session"


def _shape(wiring: Wiring, who: Principal) -> dict[str, Any]:
    return {
        "id": who.id,
        "name": who.name,
        "kind": who.kind,
        "groups": list(who.groups),
        "auth": who.auth,
        "authenticated_at": _time(who.authenticated_at),
        "expires_at": _time(who.expires_at),
        "ends_with": ends_with(who) if who.expires_at else None,
        "actor": who.actor,
        "source": wiring.identity.found,
        "sources": [
            {"source": one.name, "state": one.state, "why": one.why} for one in wiring.standings()
        ],
    }


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
