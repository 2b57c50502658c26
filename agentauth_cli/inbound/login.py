"""What is kept of a login, for how long it stands for somebody, and with which configuration.

A login is used with the origins that it was stored for and no others: whoever can set
AGENTAUTH_CONFIG_DIR could otherwise have the token sent to endpoints of their own.

`Logins` raises AuthenticationError with the reason session_ended or session_other, the reasons of
`session`, and those of what was stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from agentauth_cli.errors import AuthenticationError, OriginError
from agentauth_cli.inbound import apikey
from agentauth_cli.inbound.claims import LEEWAY
from agentauth_cli.inbound.strict_json import parse_object
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.session import Sessions
    from agentauth_cli.inbound.verifier import Verifier
    from agentauth_cli.model import Principal
    from agentauth_cli.ports import Clock

DEFAULT = "default"
"""The identity of a login that is given no other name."""

Kept = Literal["jwt", "api_key"]


@dataclass(frozen=True, slots=True)
class Login:
    """One login. `origins` are what of the configuration it was verified with."""

    kind: Kept
    secret: Secret
    stored_at: datetime
    origins: Mapping[str, str | None]


def written(login: Login) -> Secret:
    """Return a login as the keyring keeps it."""
    fields = {
        "kind": login.kind,
        "secret": login.secret.reveal(),
        "stored_at": login.stored_at.isoformat(),
        "origins": dict(login.origins),
    }
    return Secret(json.dumps(fields))


def read(entry: Secret) -> Login:
    """Return the login that an entry of the keyring holds. Raises ValueError."""
    match parse_object(entry.reveal().encode("utf-8", "surrogatepass")):
        case {
            "kind": "jwt" | "api_key" as kind,
            "secret": str(secret),
            "stored_at": str(stored_at),
            "origins": dict(origins),
        }:
            since = datetime.fromisoformat(stored_at)
            if since.tzinfo is not None:
                return Login(kind, Secret(secret), since, origins)
    raise ValueError("is not a login")


def again(name: str) -> str:
    """Return the command that logs an identity in again, as a hint."""
    option = "" if name == DEFAULT else f" --identity {name}"
    return f"Log in again: `agentauth login{option}`"


@dataclass(frozen=True, slots=True)
class Logins:
    """The logins of this machine, judged by one configuration."""

    sessions: Sessions
    issuers: Sequence[Issuer]
    verifier: Verifier
    config: Path
    clock: Clock

    def begin(self, kind: Kept, secret: Secret) -> tuple[Login, Principal]:
        """Verify what somebody wants to log in with; return what is to be kept, and who that is.

        Raises as the verifier does.
        """
        now = self.clock()
        if kind == "api_key":
            who = self.verifier.api_key(secret)
            login = Login(kind, secret, now, self._key_origins(secret))
            return login, _standing(login, who, None)
        who = self.verifier.token(secret)
        issuer = next(one for one in self.issuers if one.name == who.issuer)
        login = Login(kind, secret, now, self._issuer_origins(issuer))
        return login, _standing(login, who, _end(login, issuer))

    def authenticate(self, name: str) -> Principal:
        """Return who is logged in as this identity, judged anew.

        Raises AuthenticationError, OriginError, and what the verifier raises.
        """
        login, principal = self.sessions.get(name)
        who = self._who(name, login)
        if who.id != principal:
            raise AuthenticationError(
                f"identity {name} was kept for {principal}, and what the keyring holds for it is "
                f"that of {who.id}",
                reason="session_other",
                hint=again(name),
            )
        return who

    def _who(self, name: str, login: Login) -> Principal:
        if login.kind == "api_key":
            _check_origins(name, login, self._key_origins(login.secret))
            who = self.verifier.api_key(login.secret)
            return _standing(login, who, None)
        issuer = self._issuer(name, login)
        age = self.clock() - login.stored_at
        if not -timedelta(seconds=LEEWAY) <= age < timedelta(seconds=issuer.session):
            raise _ended(name)
        try:
            who = self.verifier.token(login.secret)
        except AuthenticationError as error:
            if error.reason == "expired":
                raise _ended(name) from None
            raise
        return _standing(login, who, _end(login, issuer))

    def token(self, name: str) -> Secret | None:
        """Return the JWT that this identity is logged in with, None where it is an API key."""
        login, _ = self.sessions.get(name)
        if login.kind == "api_key":
            return None
        self._issuer(name, login)
        return login.secret

    def _issuer(self, name: str, login: Login) -> Issuer:
        """Return the issuer that a login is of. Raises OriginError where it is another now."""
        for issuer in self.issuers:
            if issuer.name == login.origins.get("name"):
                _check_origins(name, login, self._issuer_origins(issuer))
                return issuer
        raise _elsewhere(name, "issuer")

    def _issuer_origins(self, issuer: Issuer) -> dict[str, str | None]:
        return {
            "config": str(self.config),
            "name": issuer.name,
            "issuer": issuer.issuer,
            "audience": issuer.audience,
            "client_id": issuer.client_id,
            "jwks_url": issuer.jwks_url,
            "jwks_file": None if issuer.jwks_file is None else str(issuer.jwks_file),
            "token_endpoint": issuer.token_endpoint,
        }

    def _key_origins(self, key: Secret) -> dict[str, str | None]:
        return {"config": str(self.config), "api_key": apikey.parse(key).id}


def _check_origins(name: str, login: Login, now: Mapping[str, Any]) -> None:
    for origin in sorted(login.origins.keys() | now.keys()):
        if login.origins.get(origin) != now.get(origin):
            raise _elsewhere(name, origin)


def _elsewhere(name: str, origin: str) -> OriginError:
    return OriginError(
        f"identity {name} was stored for another `{origin}` than that of this configuration",
        hint=again(name),
    )


def _end(login: Login, issuer: Issuer) -> datetime:
    return login.stored_at + timedelta(seconds=issuer.session)


def _ended(name: str) -> AuthenticationError:
    return AuthenticationError(
        f"the session of identity {name} has ended", reason="session_ended", hint=again(name)
    )


def _standing(login: Login, who: Principal, end: datetime | None) -> Principal:
    """Return the principal of a login: known since the login, and no longer than it lasts."""
    ends = [one for one in (who.expires_at, end) if one is not None]
    return replace(
        who,
        authenticated_at=who.authenticated_at or login.stored_at,
        expires_at=min(ends, default=None),
    )
