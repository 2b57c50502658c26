"""The logins of this machine: for how long each stands for somebody, and with which configuration.

A login is used with the origins that it was stored for and no others: whoever can set
AGENTAUTH_CONFIG_DIR could otherwise have the token sent to endpoints of their own.

`Logins` raises AuthenticationError with the reason session_ended or session_other, the reasons of
`session` and `oidc_session`, and those of what was stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import AuthenticationError, OriginError
from agentauth_cli.inbound import apikey
from agentauth_cli.inbound.claims import LEEWAY
from agentauth_cli.inbound.login import Login, again, ended
from agentauth_cli.inbound.oidc_session import Renewals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.login import Kept
    from agentauth_cli.inbound.oidc import Provider
    from agentauth_cli.inbound.oidc_token import Tokens
    from agentauth_cli.inbound.session import Sessions
    from agentauth_cli.inbound.verifier import Verifier
    from agentauth_cli.model import Principal
    from agentauth_cli.ports import Clock
    from agentauth_cli.secret import Secret


Renew = Callable[["Principal", str], "Secret"]
"""Asks the issuer of a login for a token of this principal's for an audience."""


def no_renewal() -> Renew | None:
    """Have no login that goes on by refreshing."""
    return None


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

    def sign_in(
        self, provider: Provider, tokens: Tokens, nonce: str | None
    ) -> tuple[Login, Principal]:
        """Verify what a provider gave for a login; return what is to be kept, and who that is.

        `nonce` is what the request had, if any. Raises AuthenticationError.
        """
        issuer = provider.issuer
        login = self._renewals.begin(provider, tokens, nonce, self._issuer_origins(issuer))
        return login, self._signed_in(login, issuer)

    def authenticate(self, name: str) -> Principal:
        """Return who is logged in as this identity, judged anew; the issuer is asked where due.

        Raises AuthenticationError, OriginError, and what the verifier raises.
        """
        login, principal = self.sessions.get(name)
        if self._renewals.is_due(login):
            login, principal = self._renewed(name)
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
        issuer = self._lasting(name, login)
        if login.kind == "oidc":
            return self._signed_in(login, issuer)
        try:
            who = self.verifier.token(login.secret)
        except AuthenticationError as error:
            if error.reason == "expired":
                raise ended(name) from None
            raise
        return _standing(login, who, _end(login, issuer))

    def _lasting(self, name: str, login: Login) -> Issuer:
        """Return the issuer of a login whose session has not ended yet."""
        issuer = self._issuer(name, login)
        age = self.clock() - login.stored_at
        if not -timedelta(seconds=LEEWAY) <= age < timedelta(seconds=issuer.session):
            raise ended(name)
        return issuer

    def _signed_in(self, login: Login, issuer: Issuer) -> Principal:
        """Return whom a login in the browser or by device stands for, until it ends for good."""
        who = self._renewals.judged(login, issuer)
        renewal = login.renewal
        until = renewal.due if renewal is not None and renewal.token is None else None
        return _standing(login, replace(who, expires_at=until), _end(login, issuer))

    def _renewed(self, name: str) -> tuple[Login, str]:
        """Return the login as it goes on, once nobody else is asking for it."""
        with self.sessions.renewing(name):
            login, principal = self.sessions.get(name)
            if not self._renewals.is_due(login):
                return login, principal
            login, _ = self._renewals.renewed(name, login, self._lasting(name, login))
            return login, self.sessions.principals().get(name, principal)

    @property
    def _renewals(self) -> Renewals:
        return Renewals(self.sessions, self.issuers, self.verifier.keys, self.clock)

    def token(self, name: str) -> Secret | None:
        """Return the JWT that this identity is logged in with, None where it is no JWT."""
        login, _ = self.sessions.get(name)
        if login.kind != "jwt":
            return None
        self._issuer(name, login)
        return login.secret

    def renewal(self, name: str) -> Renew | None:
        """Return what asks the issuer for a token of this identity's for an audience.

        None where the login is none that goes on by refreshing.
        """
        login, _ = self.sessions.get(name)
        if login.renewal is None or login.renewal.token is None:
            return None
        return partial(self._token_for, name)

    def _token_for(self, name: str, principal: Principal, audience: str) -> Secret:
        with self.sessions.renewing(name):
            login, whose = self.sessions.get(name)
            found = None
            if whose == principal.id and login.kind == "oidc":
                issuer = self._lasting(name, login)
                _, found = self._renewals.renewed(name, login, issuer, audience)
        if found is None:
            raise AuthenticationError(
                f"identity {name} has been logged in anew meanwhile",
                reason="session_other",
                hint="Ask again",
            )
        return found

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
            "authorization_endpoint": issuer.authorization_endpoint,
            "device_authorization_endpoint": issuer.device_authorization_endpoint,
            "revocation_endpoint": issuer.revocation_endpoint,
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


def _standing(login: Login, who: Principal, end: datetime | None) -> Principal:
    """Return the principal of a login: known since the login, and no longer than it lasts."""
    ends = [one for one in (who.expires_at, end) if one is not None]
    return replace(
        who,
        authenticated_at=who.authenticated_at or login.stored_at,
        expires_at=min(ends, default=None),
    )
