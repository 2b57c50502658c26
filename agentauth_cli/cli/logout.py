"""`logout`: forget a login, and settle what was lent in its name."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.leases import say_living
from agentauth_cli.cli.login import named
from agentauth_cli.cli.options import Identity, Json
from agentauth_cli.errors import AgentAuthError, UsageError
from agentauth_cli.inbound import session
from agentauth_cli.inbound.login import DEFAULT
from agentauth_cli.vending import settle
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def logout(
        *,
        identity: Identity = None,
        everything: Annotated[bool, typer.Option("--all", help="Every identity.")] = False,
        as_json: Json = False,
    ) -> None:
        """Forget a login, and settle the leases of its principal."""
        if everything and identity is not None:
            raise UsageError("give --identity or --all")
        wiring = Wiring(say=screen.say)
        stored = wiring.sessions.principals()
        if everything:
            log_out(wiring, stored, as_json=as_json)
            return
        name = named(wiring, identity)
        if name not in stored and (identity is not None or name != DEFAULT):
            raise session.unknown(f"no identity {name} is stored", stored)
        log_out(wiring, {one: who for one, who in stored.items() if one == name}, as_json=as_json)


def log_out(wiring: Wiring, stored: Mapping[str, str], *, as_json: bool) -> None:
    """Forget these identities, then settle the leases of their principals.

    Goes on where one cannot be forgotten, or the ledger not be written, and raises it at the end.
    """
    failed: list[AgentAuthError] = []
    gone = []
    for name in sorted(stored):
        with _noting(failed):
            wiring.sessions.forget(name)
            gone.append(name)
    settled: list[str] = []
    for name in gone:
        with _noting(failed):
            settled += _written_down(wiring, name, stored[name])
    if as_json:
        screen.out_json({"identities": gone, "settled": settled})
    elif not stored:
        screen.out("nobody was logged in")
    for name in gone if not as_json else ():
        screen.out(f"logged out: {stored[name]}, identity {name}")
    if failed:
        raise failed[0]


@contextlib.contextmanager
def _noting(failed: list[AgentAuthError]) -> Iterator[None]:
    try:
        yield
    except AgentAuthError as error:
        failed.append(error)


def _written_down(wiring: Wiring, identity: str, principal: str) -> Sequence[str]:
    """Record the logout, and settle what the principal holds; return the ids of those leases.

    Its credentials live on to their ends, which is said.
    """
    ledger = wiring.ledger
    say_living(wiring, principal)
    ledger.append({"event": "logout", "principal": principal, "identity": identity})
    held = [one.id for one in ledger.leases(wiring.clock()) if one.principal == principal]
    return [lease_id for lease_id in held if settle(ledger, lease_id)]
