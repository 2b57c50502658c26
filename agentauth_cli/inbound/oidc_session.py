"""A login in the browser or by device: how it begins, and how it goes on by refreshing.

Claims are judged by signature when they come, and by the configuration at each use. A refresh may
bring no ID token: then they stay those of the login (OpenID Connect Core 1.0, 12.2). One process at
a time asks for one identity, under a lock; those who waited take its result. What it is given is
kept before anything else is done with it, unless somebody has logged in or out meanwhile: theirs
stays.

Reasons: session_ended, renewal_refused, id_token_missing, answer_refused, and those of `session`,
`oidc`, `oidc_token` and `oidc_id_token`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentauth_cli.errors import AuthenticationError, KeyringError, ProviderError
from agentauth_cli.inbound import oidc_id_token
from agentauth_cli.inbound.login import Login, Renewal, again, ended
from agentauth_cli.inbound.oidc import unreachable
from agentauth_cli.inbound.oidc_token import Refusal, Tokens, ask, revoke, unfit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.jwt import Keys
    from agentauth_cli.inbound.oidc import Provider
    from agentauth_cli.inbound.session import Sessions
    from agentauth_cli.model import Principal
    from agentauth_cli.ports import Clock
    from agentauth_cli.secret import Secret


@dataclass(frozen=True, slots=True)
class Renewals:
    """What makes logins go on. Every method raises AuthenticationError."""

    sessions: Sessions
    issuers: Sequence[Issuer]
    keys: Keys
    clock: Clock

    def begin(
        self,
        provider: Provider,
        tokens: Tokens,
        nonce: str | None,
        origins: Mapping[str, str | None],
    ) -> Login:
        """Return what is to be kept of what a provider gave, once its ID token is verified."""
        if tokens.id_token is None:
            raise AuthenticationError(
                f"issuer {provider.issuer.name} gave no ID token",
                reason="id_token_missing",
                hint=f"`scopes` of [inbound.issuers.{provider.issuer.name}] must have openid",
            )
        now = self.clock()
        claims = self._verified(tokens.id_token, provider.issuer, provider.client_id, nonce)
        renewal = Renewal(
            tokens.refresh, now, now, provider.client_id, provider.token_endpoint,
            provider.revocation_endpoint,
        )  # fmt: skip
        login = Login("oidc", claims, now, origins, renewal)
        due = self.judged(login, provider.issuer).expires_at or now
        if tokens.refresh is not None:
            due = min(due, now + timedelta(seconds=tokens.life))
        return replace(login, renewal=replace(renewal, due=due))

    def judged(self, login: Login, issuer: Issuer) -> Principal:
        """Return who the claims that were kept speak of; `expires_at` is that of the ID token."""
        renewal = _of(login)
        return oidc_id_token.principal(
            login.secret, issuer, renewal.client_id, self.issuers, renewal.verified_at
        )

    def is_due(self, login: Login) -> bool:
        """Say whether the issuer has to be asked before this login stands for anybody."""
        return login.renewal is not None and self.clock() >= login.renewal.due

    def renewed(
        self, name: str, login: Login, issuer: Issuer, audience: str | None = None
    ) -> tuple[Login, Secret | None]:
        """Return the login as it goes on, and an access token, for the audience if one is named.

        To be called under the lock of `sessions.renewing`, with the login as it is kept. Without an
        access token it is the login of somebody who has logged in meanwhile.
        """
        found = self._asked(name, login, issuer, audience)
        renewal = _of(login)
        if isinstance(found, Refusal):
            over = replace(renewal, token=None, due=min(renewal.due, self.clock()))
            theirs = self._kept(name, login, replace(login, renewal=over))
            if theirs is not None:
                return theirs, None
            raise ended(name, f"has ended: issuer {issuer.name} renews it no more")
        if found.id_token is None:
            due = self.clock() + timedelta(seconds=found.life)
            after = replace(renewal, token=found.refresh or renewal.token, due=due)
            made = replace(login, renewal=after)
            return self._kept(name, login, made) or made, found.access
        # The old token is spent: the new one is kept before anything else may fail.
        spent = replace(login, renewal=replace(renewal, token=found.refresh or renewal.token))
        theirs = self._kept(name, login, spent)
        if theirs is not None:
            return theirs, found.access
        made = self._anew(spent, found, found.id_token, issuer)
        return self._kept(name, spent, made) or made, found.access

    def _asked(
        self, name: str, login: Login, issuer: Issuer, audience: str | None
    ) -> Tokens | Refusal:
        """Return what a refresh brings; a refusal where the issuer renews the session no more."""
        renewal = _of(login)
        if renewal.token is None:
            raise ended(name)
        form: dict[str, str | Secret] = {
            "grant_type": "refresh_token",
            "client_id": renewal.client_id,
            "refresh_token": renewal.token,
            **_meant(audience),
        }
        try:
            found = ask(renewal.endpoint, form, issuer.name)
        except ProviderError as error:
            raise unreachable(issuer.name, error.message) from None
        if isinstance(found, Refusal) and found.code != "invalid_grant":
            raise AuthenticationError(
                f"issuer {issuer.name} does not renew the session of identity {name}:"
                f" {found.words}",
                reason="renewal_refused",
                hint=again(name),
            )
        return found

    def _anew(self, login: Login, found: Tokens, id_token: Secret, issuer: Issuer) -> Login:
        """Return the login with the claims of the ID token that a refresh has brought."""
        now, renewal = self.clock(), _of(login)
        claims = self._verified(id_token, issuer, renewal.client_id, None)
        made = replace(login, secret=claims, renewal=replace(renewal, verified_at=now))
        who = self.judged(made, issuer)
        if who.id != self.judged(login, issuer).id:
            raise unfit(issuer.name, "has the ID token of somebody else")
        due = min(who.expires_at or now, now + timedelta(seconds=found.life))
        return replace(made, renewal=replace(_of(made), due=due))

    def _verified(
        self, id_token: Secret, issuer: Issuer, client_id: str, nonce: str | None
    ) -> Secret:
        return oidc_id_token.verified(id_token, issuer, client_id, nonce, self.keys, self.clock())

    def _kept(self, name: str, before: Login, after: Login) -> Login | None:
        """Keep a login in place of the one before; return what is kept if that is another one.

        So it is where somebody has logged in meanwhile. Where somebody has logged out, what was
        given since is revoked.
        """
        try:
            if self.sessions.swap(name, before, after):
                return None
        except KeyringError as error:
            raise AuthenticationError(
                f"the session of identity {name} cannot be kept: {error.message}",
                reason="keyring_unavailable",
                hint=error.hint,
            ) from None
        try:
            login, _ = self.sessions.get(name)
        except AuthenticationError:
            with contextlib.suppress(AuthenticationError):
                end(after)
            raise
        return login


def end(login: Login) -> None:
    """Have the refresh token of a login end at its issuer, where that takes it (RFC 7009).

    Raises AuthenticationError where it may still live.
    """
    renewal, issuer = login.renewal, login.origins.get("name") or ""
    if renewal is not None and renewal.token is not None and renewal.revocation is not None:
        revoke(renewal.revocation, renewal.client_id, renewal.token, issuer)


def _meant(audience: str | None) -> dict[str, str]:
    """Return how a request says what the token is for.

    `audience` as in RFC 8693, which some providers take here too; `resource` where it is a URI, as
    RFC 8707 has it. A provider ignores what it does not know (RFC 6749, 3.2).
    """
    if audience is None:
        return {}
    uri = urlsplit(audience).scheme and "#" not in audience
    return {"audience": audience} | ({"resource": audience} if uri else {})


def _of(login: Login) -> Renewal:
    if login.renewal is None:
        raise ValueError("is no login that goes on")
    return login.renewal
