"""Where identity comes from: the first source that is present decides, and no weaker one after it.

1. ``AGENTAUTH_TOKEN``, or the file that ``AGENTAUTH_TOKEN_FILE`` names
2. ``AGENTAUTH_API_KEY``
3. the platform's own token, in its jobs, for an issuer with ``ambient = true``
4. the login of the identity that was chosen, else of the identity ``default``
5. the OS account, with ``os_login = true``

A variable that is set but empty is present. Reasons: token_twice, token_file_unreadable,
token_file_unsafe, identity_unknown, no_identity, and those of `jwt`, `apikey`, `ci.job`, `login`
and `os_account`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from agentauth_cli import files
from agentauth_cli.errors import (
    AgentAuthError,
    AuthenticationError,
    ConfigError,
    UnsafeFileError,
    UsageError,
)
from agentauth_cli.inbound import os_account
from agentauth_cli.inbound.ci import job as jobs
from agentauth_cli.inbound.jwt import MAX_TOKEN
from agentauth_cli.inbound.login import DEFAULT
from agentauth_cli.inbound.logins import no_renewal
from agentauth_cli.inbound.session import unknown
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agentauth_cli.inbound.ci.job import Job
    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.logins import Logins, Renew
    from agentauth_cli.inbound.os_account import OsAccount
    from agentauth_cli.inbound.verifier import Verifier
    from agentauth_cli.model import Principal
Name = Literal["token", "api_key", "job", "login", "os_account"]


@dataclass(frozen=True, slots=True)
class Inbound:
    """What ``[inbound]`` of config.toml says.

    `os_accounts` are by user name. `ambient` are pairs of issuer name and preset.
    """

    os_login: bool = False
    os_accounts: Mapping[str, OsAccount] = field(default_factory=dict, hash=False)
    issuers: tuple[Issuer, ...] = ()
    ambient: tuple[tuple[str, str], ...] = ()


def _no_token() -> Secret | None:
    """Nothing that a provider, or an issuer, would take."""
    return None


@dataclass(frozen=True, slots=True)
class Source:
    """The source that decides: where the caller's own proof is. `found` says so to people.

    `token` returns the JWT that was presented, None where the proof is something else. `job` is the
    one whose platform was asked for it, and can be asked for tokens for others; `renewal` returns
    what asks the issuer of a login for them, None where the proof is no login of that kind.
    """

    found: str
    proof: Callable[[], Principal] = field(repr=False)
    token: Callable[[], Secret | None] = field(default=_no_token, repr=False)
    job: Job | None = None
    renewal: Callable[[], Renew | None] = field(default=no_renewal, repr=False)

    def authenticate(self) -> Principal:
        """Return who it is, judged anew at each call.

        Raises AuthenticationError, and what the keys' source raises.
        """
        return self.proof()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source stands in the order of sources. `why` is in words why it does not decide."""

    name: Name
    state: Literal["used", "later", "absent"]
    why: str = ""


def find(
    environ: Mapping[str, str],
    inbound: Inbound,
    verifier: Verifier,
    logins: Logins,
    chosen: str | None = None,
) -> Source:
    """Return the source that decides, without judging it yet.

    `chosen` is the identity named on the command line. Raises AuthenticationError where the source
    that is present is not available, or none is; UsageError where one comes before `chosen`.
    """
    for place in _order(environ, inbound, verifier, logins, chosen):
        found = place.look()
        if found is not None:
            return found
    raise AuthenticationError(
        "nobody is logged in and no identity is presented",
        reason="no_identity",
        hint="Run `agentauth login`, present AGENTAUTH_TOKEN, AGENTAUTH_TOKEN_FILE or"
        " AGENTAUTH_API_KEY, or set `os_login = true` in [inbound] of config.toml",
    )


def standings(
    environ: Mapping[str, str],
    inbound: Inbound,
    verifier: Verifier,
    logins: Logins,
    chosen: str | None = None,
) -> Iterator[Standing]:
    """Yield how each source stands, in their order, where `find` returns one of them."""
    used = False
    for place in _order(environ, inbound, verifier, logins, chosen):
        try:
            there = place.look() is not None
        except AgentAuthError:  # of a later one, which is there and no good
            there = True
        if not there:
            yield Standing(place.name, "absent", place.absent)
        elif used:
            yield Standing(place.name, "later", "there, but comes later")
        else:
            used = True
            yield Standing(place.name, "used")


class _Place(NamedTuple):
    """Where a source is looked for: None is none. `absent` says in words what is not there."""

    name: Name
    look: Callable[[], Source | None]
    absent: str


def _order(
    environ: Mapping[str, str],
    inbound: Inbound,
    verifier: Verifier,
    logins: Logins,
    chosen: str | None,
) -> tuple[_Place, ...]:
    def before(source: Source | None) -> Source | None:
        if source is not None and chosen is not None:
            raise UsageError(
                f"--identity {chosen}: {source.found} is there and comes first",
                hint="Leave --identity out" if source.job else f"Unset {source.found}",
            )
        return source

    platforms = ", ".join(jobs.PLATFORMS[preset] for _, preset in inbound.ambient)
    identity = chosen or environ.get("AGENTAUTH_IDENTITY") or DEFAULT
    return (
        _Place("token", lambda: before(_token(environ, verifier)), "not set"),
        _Place("api_key", lambda: before(_api_key(environ, verifier)), "not set"),
        _Place(
            "job",
            lambda: before(_job(environ, inbound, verifier)),
            f"this is no job of {platforms}" if platforms else "no issuer has `ambient = true`",
        ),
        _Place(
            "login",
            lambda: _login(environ, logins, chosen),
            f"no identity {identity} is stored",
        ),
        _Place("os_account", lambda: _os_account(inbound), "`os_login` is not true"),
    )


def _token(environ: Mapping[str, str], verifier: Verifier) -> Source | None:
    """Return the source of a token. None: there is none; raises where there are two."""
    value, path = environ.get("AGENTAUTH_TOKEN"), environ.get("AGENTAUTH_TOKEN_FILE")
    if value is not None and path is not None:
        raise AuthenticationError(
            "both AGENTAUTH_TOKEN and AGENTAUTH_TOKEN_FILE are set",
            reason="token_twice",
            hint="Unset one of them",
        )
    if value is not None:
        token = Secret(value)
        return _variable("AGENTAUTH_TOKEN", value, lambda: verifier.token(token), lambda: token)
    if path is not None:
        return _variable(
            "AGENTAUTH_TOKEN_FILE",
            path,
            lambda: verifier.token(token_of(path)),
            lambda: token_of(path),
        )
    return None


def _api_key(environ: Mapping[str, str], verifier: Verifier) -> Source | None:
    value = environ.get("AGENTAUTH_API_KEY")
    if value is None:
        return None
    key = Secret(value)
    return _variable("AGENTAUTH_API_KEY", value, lambda: verifier.api_key(key))


def _variable(
    name: str,
    value: str,
    proof: Callable[[], Principal],
    token: Callable[[], Secret | None] = _no_token,
) -> Source:
    """Return a variable as a source. A refusal names it: people forget what they have set."""

    def judged() -> Principal:
        try:
            return proof()
        except AuthenticationError as error:
            why, hint = f"{name}: {error.message}", error.hint
            if not value:
                why, hint = f"{name} is set but empty", "Unset it, or give it a value"
            raise AuthenticationError(why, reason=error.reason, hint=hint) from None

    return Source(name, judged, token)


def token_of(name: str) -> Secret:
    """Return the token in the file, which may be a link and readable by all (Kubernetes' are).

    Raises AuthenticationError.
    """
    if not name:
        raise AuthenticationError(
            "AGENTAUTH_TOKEN_FILE is set but empty", reason="token_file_unreadable"
        )
    try:
        content = files.read(Path(name), limit=MAX_TOKEN + len("\r\n"))
    except UnsafeFileError as error:
        raise AuthenticationError(
            f"the token file {error.message}", reason="token_file_unsafe", hint=error.hint
        ) from None
    except ConfigError as error:
        raise AuthenticationError(
            f"the token file {error.message}", reason="token_file_unreadable", hint=error.hint
        ) from None
    if content is None:
        raise AuthenticationError(
            f"the token file {name} does not exist", reason="token_file_unreadable"
        )
    # Latin-1 takes any byte; what is not base64url is refused where the token is opened.
    return Secret(content.decode("latin-1").removesuffix("\n").removesuffix("\r"))


def _job(environ: Mapping[str, str], inbound: Inbound, verifier: Verifier) -> Source | None:
    """Return the job's own token as a source. None: this is no job of an issuer with `ambient`."""
    job = jobs.find(environ, inbound.ambient)
    if job is None:
        return None
    issuer = next(one for one in inbound.issuers if one.name == job.issuer)
    return Source(job.found, partial(job.authenticate, issuer, verifier), job=job)


def _login(environ: Mapping[str, str], logins: Logins, chosen: str | None) -> Source | None:
    """Return the login that was chosen, else the default one. None: there is no default one.

    Raises AuthenticationError where the one that was chosen is not stored.
    """
    where = "AGENTAUTH_IDENTITY" if chosen is None else "--identity"
    name = environ.get(where) if chosen is None else chosen
    stored = logins.sessions.principals()
    if name is None and DEFAULT not in stored:
        return None
    if name is not None and name not in stored:
        raise unknown(f"no identity of the name in {where} is stored", stored)
    identity = name or DEFAULT
    return Source(
        f"identity {identity} (keyring)",
        partial(logins.authenticate, identity),
        partial(logins.token, identity),
        renewal=partial(logins.renewal, identity),
    )


def _os_account(inbound: Inbound) -> Source | None:
    if not inbound.os_login:
        return None
    proof = partial(os_account.authenticate, inbound.os_accounts)
    return Source(f"OS account (uid {os.getuid()})", proof)
