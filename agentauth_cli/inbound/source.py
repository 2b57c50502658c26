"""Where identity comes from: the first source that is present decides, and no weaker one after it.

1. ``AGENTAUTH_TOKEN``, or the file that ``AGENTAUTH_TOKEN_FILE`` names
2. ``AGENTAUTH_API_KEY``
3. the platform's own token, in its jobs, for an issuer with ``ambient = true``
4. ``AGENTAUTH_IDENTITY``
5. the OS account, with ``os_login = true``

A variable that is set but empty is present. Reasons: token_twice, token_file_unreadable,
token_file_unsafe, api_key_unavailable, ambient_unavailable, identity_unknown, no_identity, and
those of `jwt` and `os_account`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.errors import AuthenticationError, ConfigError, UnsafeFileError
from agentauth_cli.inbound import os_account
from agentauth_cli.inbound.jwt import MAX_TOKEN, verify
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.jwt import Keys
    from agentauth_cli.inbound.os_account import OsAccount
    from agentauth_cli.model import Principal
    from agentauth_cli.ports import Clock

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

    `os_accounts` are by user name. `ambient` are pairs of issuer name and preset. `later` says, by
    issuer name, what is configured but not available in this version.
    """

    os_login: bool = False
    os_accounts: Mapping[str, OsAccount] = field(default_factory=dict, hash=False)
    issuers: tuple[Issuer, ...] = ()
    ambient: tuple[tuple[str, str], ...] = ()
    later: Mapping[str, str] = field(default_factory=dict, hash=False)


def _no_token() -> Secret | None:
    """Nothing that a provider, or an issuer, would take."""
    return None


@dataclass(frozen=True, slots=True)
class Source:
    """The source that decides: an IdentityVerifier. `found` says to people where it is.

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


def find(environ: Mapping[str, str], inbound: Inbound, keys: Keys, clock: Clock) -> Source:
    """Return the source that decides, without judging it yet.

    Raises AuthenticationError where the one that is present is not available, or none is.
    """
    source = _token(environ, inbound, keys, clock)
    if source is not None:
        return source
    _refuse_what_is_not_available(environ, inbound)
    if not inbound.os_login:
        raise AuthenticationError(
            "nobody is logged in and no identity is presented",
            reason="no_identity",
            hint="Present a token in AGENTAUTH_TOKEN or AGENTAUTH_TOKEN_FILE,"
            " or set `os_login = true` in [inbound] of config.toml",
        )
    return Source(
        f"OS account (uid {os.getuid()})", partial(os_account.authenticate, inbound.os_accounts)
    )


def _token(environ: Mapping[str, str], inbound: Inbound, keys: Keys, clock: Clock) -> Source | None:
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
        return Source(
            "AGENTAUTH_TOKEN",
            lambda: verify(token, inbound.issuers, keys, clock()),
            lambda: token,
        )
    if path is not None:
        return Source(
            "AGENTAUTH_TOKEN_FILE",
            lambda: verify(token_of(path), inbound.issuers, keys, clock()),
            lambda: token_of(path),
        )
    return None


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


def _refuse_what_is_not_available(environ: Mapping[str, str], inbound: Inbound) -> None:
    """Raise AuthenticationError where a source is present that this version cannot use."""
    if "AGENTAUTH_API_KEY" in environ:
        raise AuthenticationError(
            "API keys are not available in this version",
            reason="api_key_unavailable",
            hint="Unset AGENTAUTH_API_KEY, or present a token in AGENTAUTH_TOKEN",
        )
    for name, preset in inbound.ambient:
        # Of a platform whose jobs we do not know, this may be one.
        variables = PLATFORMS.get(preset)
        if variables is None or any(variable in environ for variable in variables):
            raise AuthenticationError(
                f"the platform's own token (issuer {name}, {preset})"
                " is not available in this version",
                reason="ambient_unavailable",
                hint="Present a token in AGENTAUTH_TOKEN, or set `ambient = false`",
            )
    identity = environ.get("AGENTAUTH_IDENTITY", "default")
    if identity != "default":
        raise AuthenticationError(
            "no identity of the name in AGENTAUTH_IDENTITY is stored",
            reason="identity_unknown",
            hint="Unset AGENTAUTH_IDENTITY",
        )
