"""`logout`: forget a login, and settle what was lent in its name."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.login import leave, named
from agentauth_cli.cli.options import Identity, Json
from agentauth_cli.errors import AgentAuthError, AuthenticationError, UsageError
from agentauth_cli.inbound import oidc_session, session
from agentauth_cli.inbound.login import DEFAULT
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentauth_cli.inbound.login import Login


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
        if stored and name not in stored:
            screen.say(f"no identity {name} is stored. Stored: {', '.join(sorted(stored))}")
        log_out(wiring, {one: who for one, who in stored.items() if one == name}, as_json=as_json)


def log_out(wiring: Wiring, stored: Mapping[str, str], *, as_json: bool) -> None:
    """Forget these identities, and settle the leases of their principals.

    Goes on where one cannot be forgotten, or the ledger not be written, and raises it at the end.
    """
    failed: list[AgentAuthError] = []
    gone = []
    settled: list[str] = []
    for name in sorted(stored):
        ended: list[Login] = []
        with _noting(failed):
            wiring.sessions.forget(name, partial(_left, wiring, name, settled), ended.append)
            gone.append(name)
            if not ended:
                screen.say(f"identity {name} is not in this keyring: nothing of it is revoked")
        for login in ended:  # also where it could not be written down: nobody else has it now
            _end(name, login)
    if as_json:
        screen.out_json({"identities": gone, "settled": settled})
    elif not stored:
        screen.out("nobody was logged in")
    for name in gone if not as_json else ():
        screen.out(f"logged out: {stored[name]}, identity {name}")
    if failed:
        raise failed[0]


def _end(name: str, login: Login) -> None:
    """Have the issuer end what it gave. One that cannot be asked keeps nobody logged in here."""
    try:
        oidc_session.end(login)
    except AuthenticationError as error:
        screen.say(f"identity {name} is forgotten here, and lives on there: {error.message}")


@contextlib.contextmanager
def _noting(failed: list[AgentAuthError]) -> Iterator[None]:
    try:
        yield
    except AgentAuthError as error:
        failed.append(error)


def _left(wiring: Wiring, identity: str, settled: list[str], principal: str) -> None:
    try:
        settled += leave(wiring, identity, principal)
    except AgentAuthError:
        screen.say(f"identity {identity} is forgotten; log it out again, to have that written down")
        raise
