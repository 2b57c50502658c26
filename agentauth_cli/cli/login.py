"""`login`: who agentauth takes the caller for, until it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from agentauth_cli.cli import screen, sign_in
from agentauth_cli.cli.identity import via
from agentauth_cli.cli.leases import end_alone, say_living
from agentauth_cli.cli.options import Identity, Json
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.ending import settle
from agentauth_cli.errors import UsageError
from agentauth_cli.inbound import session
from agentauth_cli.inbound.jwt import MAX_TOKEN
from agentauth_cli.inbound.login import DEFAULT
from agentauth_cli.ledger import records
from agentauth_cli.ledger.rows import stamp
from agentauth_cli.secret import Secret
from agentauth_cli.vending import identify
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agentauth_cli.inbound.login import Kept, Login
    from agentauth_cli.model import Principal

BEFORE = ("AGENTAUTH_TOKEN", "AGENTAUTH_TOKEN_FILE", "AGENTAUTH_API_KEY")
"""What comes before any login."""

_END_OF_TRANSMISSION = b"\x04"  # Ctrl-D
_PAUSE = 0.1  # seconds: whatever pastes is faster
_LONGEST = MAX_TOKEN + len("\r\n") + 1  # one more, so that a longer one is seen to be


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def login(
        *,
        issuer: Annotated[
            str | None,
            typer.Option("--issuer", metavar="NAME", help="Whom to log in with, of several."),
        ] = None,
        device: Annotated[
            bool, typer.Option("--device", help="Show a code to be typed in elsewhere.")
        ] = False,
        token_stdin: Annotated[
            bool, typer.Option("--token-stdin", help="Read a JWT from standard input.")
        ] = False,
        api_key_stdin: Annotated[
            bool, typer.Option("--api-key-stdin", help="Read an API key from standard input.")
        ] = False,
        identity: Identity = None,
        as_json: Json = False,
    ) -> None:
        """Log in with an issuer, a token or an API key, and keep it."""
        ways = [token_stdin, api_key_stdin, issuer is not None or device]
        if sum(ways) > 1:
            raise UsageError("give --token-stdin, --api-key-stdin, or --issuer and --device")
        wiring = Wiring(say=screen.say)
        kind: Kept = "jwt" if token_stdin else "api_key" if api_key_stdin else "oidc"
        given = LoginInput(named(wiring, identity), kind, issuer, device=device)
        log_in(wiring, given, as_json=as_json)


@dataclass(frozen=True)
class LoginInput:
    """As which identity to keep what standard input has, or what an issuer gives.

    `issuer` is named where there are several; `device` asks for a code in any case.
    """

    identity: str
    kind: Kept
    issuer: str | None = None
    device: bool = False


def named(wiring: Wiring, identity: str | None) -> str:
    """Return the identity that is meant. Raises UsageError where the variable cannot name one."""
    variable = "AGENTAUTH_IDENTITY"
    if identity is not None:
        return identity
    name = wiring.environ.get(variable, DEFAULT)
    try:
        return session.name(name)
    except ValueError as error:
        raise UsageError(f"{variable}: {error}") from None


def log_in(wiring: Wiring, given: LoginInput, *, as_json: bool) -> None:
    """Verify what standard input has, or an issuer gives, and keep it only where it is good."""
    _ = wiring.settings  # it has to load before anybody is asked for anything
    begin = _with_issuer(wiring, given) if given.kind == "oidc" else _with_input(wiring, given)
    found: list[Login] = []

    def verified() -> Principal:
        login, who = begin()
        found.append(login)
        return who

    who = identify(replace(wiring.parts(), authenticate=verified))
    keep(wiring, given.identity, found[0], who)
    for variable in BEFORE:
        if variable in wiring.environ:
            screen.say(f"{variable} is set, and comes before any login")
    show(given.identity, who, as_json=as_json)


def _with_issuer(wiring: Wiring, given: LoginInput) -> Callable[[], tuple[Login, Principal]]:
    """Return what has a person log in, once it is sure that it could be kept."""
    issuer = sign_in.issuer_of(wiring, given.issuer)
    sign_in.client_of(issuer)
    wiring.sessions.check(given.identity)
    return partial(sign_in.sign_in, wiring, issuer, device=given.device)


def _with_input(wiring: Wiring, given: LoginInput) -> Callable[[], tuple[Login, Principal]]:
    """Return what verifies that which standard input has."""
    secret = presented("token" if given.kind == "jwt" else "API key")

    return partial(wiring.logins.begin, given.kind, secret)


def show(identity: str, who: Principal, *, as_json: bool) -> None:
    """Show who is logged in, and until when."""
    until = rfc3339(who.expires_at) if who.expires_at else None
    if as_json:
        screen.out_json({"identity": identity, "principal": who.id, "expires_at": until})
        return
    screen.out(f"logged in as {via(who.id, who.actor)} ({who.kind}), identity {identity}")
    if until:
        screen.out(f"until: {until}")


def keep(wiring: Wiring, identity: str, login: Login, who: Principal) -> None:
    """Write a verified login down, and keep it: what cannot be written down changes nothing."""
    known = records.principal(who, (), wiring.clock())
    until = {"expires_at": stamp(who.expires_at)} if who.expires_at else {}
    wiring.ledger.append({"event": "login", **known, "identity": identity, **until})
    wiring.sessions.keep(identity, login, who.id, partial(leave, wiring, identity))


def leave(wiring: Wiring, identity: str, principal: str) -> Sequence[str]:
    """Write a logout down, and settle what the principal holds; return the ids of those leases.

    Credentials that die alone are ended. The others live on to their ends, which is said.
    """
    ledger = wiring.ledger
    ledger.append({"event": "logout", "principal": principal, "identity": identity})
    held = [one for one in ledger.leases(wiring.clock()) if one.principal == principal]
    settled = [one.id for one in held if settle(ledger, one.id)]
    for one in held:
        end_alone(wiring, one)
    say_living(wiring, principal)
    return settled


def presented(what: str) -> Secret:
    """Return what standard input has, without the newline at its end. Raises UsageError."""
    try:
        content = _typed(what) if screen.is_terminal(sys.stdin) else _piped()
    except OSError as error:
        raise UsageError(
            f"standard input cannot be read: {error.strerror}", hint=f"Pipe the {what} in"
        ) from None
    if not content.strip():
        raise UsageError(f"there is no {what} on standard input", hint=f"Pipe the {what} in")
    # Latin-1 takes any byte; what is not of the form is refused where it is verified.
    return Secret(content.decode("latin-1").removesuffix("\n").removesuffix("\r"))


def _piped() -> bytes:
    content = b""
    while len(content) < _LONGEST and (more := os.read(0, _LONGEST - len(content))):
        content += more
    return content


def _typed(what: str) -> bytes:
    """Read a line from the terminal without showing it, also one of more than 4,095 bytes.

    All of a paste is read, also where it is too long or has more lines: the rest would be the
    shell's, which shows and runs it.
    """
    screen.say(f"paste the {what} and press Enter; it is not shown")
    content = b""
    with _not_stopped(), _silent_terminal():
        while (more := os.read(0, 1)) not in {b"", b"\n", _END_OF_TRANSMISSION}:
            if len(content) < _LONGEST:
                content += more
        while select.select([0], [], [], _PAUSE)[0] and os.read(0, _LONGEST):
            """What comes right behind the line is of the same paste."""
    return content


@contextlib.contextmanager
def _not_stopped() -> Iterator[None]:
    """Let Ctrl-Z do nothing: a shell that brings us back makes the terminal show again."""
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


@contextlib.contextmanager
def _silent_terminal() -> Iterator[None]:
    """Let the terminal show nothing, and hand over each byte: it cuts long lines off otherwise."""
    import termios

    before = termios.tcgetattr(0)
    changed = [*before[:3], before[3] & ~(termios.ECHO | termios.ICANON), *before[4:]]
    termios.tcsetattr(0, termios.TCSAFLUSH, changed)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)
