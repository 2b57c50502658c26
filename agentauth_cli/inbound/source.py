"""Where identity comes from: the first source that is present decides, and no weaker one after it.

1. ``AGENTAUTH_TOKEN``, or the file that ``AGENTAUTH_TOKEN_FILE`` names
2. ``AGENTAUTH_API_KEY``
3. the platform's own token, in its jobs, for an issuer with ``ambient = true``
4. the login of the identity that was chosen, else of the identity ``default``
5. the OS account, with ``os_login = true``

A variable that is set but empty is present. Reasons: token_twice, token_file_unreadable,
token_file_unsafe, ambient_unavailable, identity_unknown, no_identity, and those of `jwt`, `apikey`,
`login` and `os_account`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.errors import AuthenticationError, ConfigError, UnsafeFileError, UsageError
from agentauth_cli.inbound import os_account
from agentauth_cli.inbound.jwt import MAX_TOKEN
from agentauth_cli.inbound.login import DEFAULT
from agentauth_cli.inbound.session import unknown
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.login import Logins
    from agentauth_cli.inbound.os_account import OsAccount
    from agentauth_cli.inbound.verifier import Verifier
    from agentauth_cli.model import Principal

PLATFORMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "github-actions": ("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL"),
        "gitlab": ("GITLAB_CI",),
        "buildkite": ("BUILDKITE",),
        "circleci": ("CIRCLECI",),
        "google": ("K_SERVICE", "CLOUD_RUN_JOB"),
    }
)
"""By preset, the variables of which one at least is there in the platform's own jobs."""


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

    `token` returns the JWT that was presented, None where the proof is something else.
    """

    found: str
    proof: Callable[[], Principal] = field(repr=False)
    token: Callable[[], Secret | None] = field(default=_no_token, repr=False)

    def authenticate(self) -> Principal:
        """Return who it is, judged anew at each call.

        Raises AuthenticationError, and what the keys' source raises.
        """
        return self.proof()


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
    presented = _token(environ, verifier) or _api_key(environ, verifier)
    if presented is not None:
        _refuse_choice(chosen, presented.found)
        return presented
    _refuse_ambient(environ, inbound, chosen)
    login = _login(environ, logins, chosen)
    if login is not None:
        return login
    if not inbound.os_login:
        raise AuthenticationError(
            "nobody is logged in and no identity is presented",
            reason="no_identity",
            hint="Run `agentauth login`, present AGENTAUTH_TOKEN, AGENTAUTH_TOKEN_FILE or"
            " AGENTAUTH_API_KEY, or set `os_login = true` in [inbound] of config.toml",
        )
    return Source(
        f"OS account (uid {os.getuid()})", partial(os_account.authenticate, inbound.os_accounts)
    )


def _refuse_choice(chosen: str | None, found: str) -> None:
    """Refuse an identity that would not be used: who names one means that one."""
    if chosen is not None:
        raise UsageError(
            f"--identity {chosen}: {found} is there and comes first", hint=f"Unset {found}"
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
        return Source("AGENTAUTH_TOKEN", lambda: verifier.token(token), lambda: token)
    if path is not None:
        return Source(
            "AGENTAUTH_TOKEN_FILE",
            lambda: verifier.token(token_of(path)),
            lambda: token_of(path),
        )
    return None


def _api_key(environ: Mapping[str, str], verifier: Verifier) -> Source | None:
    value = environ.get("AGENTAUTH_API_KEY")
    if value is None:
        return None
    key = Secret(value)
    return Source("AGENTAUTH_API_KEY", lambda: verifier.api_key(key))


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


def _refuse_ambient(environ: Mapping[str, str], inbound: Inbound, chosen: str | None) -> None:
    """Raise AuthenticationError in a job of a platform, whose token this version cannot use."""
    for name, preset in inbound.ambient:
        # Of a platform whose jobs we do not know, this may be one.
        variables = PLATFORMS.get(preset)
        if variables is None or any(variable in environ for variable in variables):
            token = f"the platform's own token (issuer {name}, {preset})"
            _refuse_choice(chosen, token)
            raise AuthenticationError(
                f"{token} is not available in this version",
                reason="ambient_unavailable",
                hint="Present a token in AGENTAUTH_TOKEN, or set `ambient = false`",
            )


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
    )
