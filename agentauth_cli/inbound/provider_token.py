"""The token that a provider trusts: one for the provider's own audience, fetched by us.

Whoever holds such a token can go to the provider without agentauth: no policy, no budget, no
record. So it is not the one that callers show. It comes from the first of these that there is:

1. the ``token_file`` of the environment's provider, read at each use
2. the platform of the job that the caller is, which is asked for a second token
3. a refresh at the issuer, of a login in the browser or by device
4. an exchange at the issuer of the presented token, with its ``token_endpoint`` and ``client_id``
5. with ``reuse_inbound = true``, the presented token itself

One that fails is not replaced by the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from agentauth_cli.errors import AuthenticationError, SourceCredentialError
from agentauth_cli.inbound.claims import check_audience, is_time
from agentauth_cli.inbound.exchange import Client, exchange
from agentauth_cli.inbound.jwt import opened
from agentauth_cli.inbound.logins import no_renewal
from agentauth_cli.inbound.source import token_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agentauth_cli.inbound.ci.job import Job
    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.logins import Renew
    from agentauth_cli.model import Principal
    from agentauth_cli.ports import Clock
    from agentauth_cli.secret import Secret


@dataclass(frozen=True, slots=True)
class Way:
    """Where a token comes from, in words.

    `reused`: the caller holds it already. `job`: the one that it is of, which can ask for it too.
    """

    words: str
    fetch: Callable[[str], Secret] = field(repr=False)
    reused: bool = False
    job: Job | None = None


def _no_job() -> Job | None:
    """Return that the caller is no job."""
    return None


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """The tokens for one provider of one environment: a SessionPort.

    `presented` returns the token that the caller has shown, None where it was something else; `job`
    the one that the caller is, None where it is none; `renewal` what refreshes the caller's login,
    None where there is none of that kind.
    """

    issuers: Sequence[Issuer]
    presented: Callable[[], Secret | None] = field(repr=False)
    clock: Clock
    job: Callable[[], Job | None] = field(default=_no_job, repr=False)
    token_file: Path | None = None
    reuse_inbound: bool = False
    renewal: Callable[[], Renew | None] = field(default=no_renewal, repr=False)

    def token_for(self, principal: Principal, audience: str) -> Secret:
        """Return a JWT for this audience that has not expired; its signature is not judged.

        Raises SourceCredentialError where no way leads to one, and where what comes is another.
        """
        way = self.way(principal)
        try:
            token = way.fetch(audience)
        except AuthenticationError as error:
            raise SourceCredentialError(error.message, hint=error.hint) from None
        try:
            _check(token, audience, self.clock().timestamp())
        except AuthenticationError as error:
            hint = f"It has to be a JWT for the audience {audience} that has not expired"
            raise SourceCredentialError(f"{way.words}: {error.message}", hint=hint) from None
        return token

    def way(self, principal: Principal) -> Way:
        """Return where the principal's token would come from; nothing is fetched.

        Raises SourceCredentialError where there is no way.
        """
        if self.token_file is not None:
            path = str(self.token_file)
            return Way(f"the token file {path}", lambda _audience: token_of(path))
        issuer = next((one for one in self.issuers if one.name == principal.issuer), None)
        job = self.job() if issuer is not None else None
        if issuer is not None and job is not None and job.issuer == issuer.name:
            return Way(
                f"{job.platform}, for a second token of the job",
                partial(_of_the_job, job, issuer, principal),
                job=job,
            )
        renew = self.renewal() if issuer is not None else None
        if renew is not None:
            return Way(f"a refresh at issuer {principal.issuer}", partial(renew, principal))
        token = self.presented() if issuer is not None else None
        if issuer is not None and token is not None:
            _check_whose(token, issuer, principal)
            if issuer.token_endpoint and issuer.client_id:
                client = Client(issuer.name, issuer.token_endpoint, issuer.client_id)
                words = f"an exchange at issuer {issuer.name}, {issuer.token_endpoint}"
                return Way(words, partial(exchange, client, token))
            if self.reuse_inbound:
                return Way("the presented token", lambda _audience: token, reused=True)
        raise SourceCredentialError(
            f"nothing gives a token of {principal.id} for the provider",
            hint="Set `token_file` of the environment's provider, or `token_endpoint` and "
            "`client_id` of the issuer whose token is presented; or log in: `agentauth login`",
        )


def _of_the_job(job: Job, issuer: Issuer, principal: Principal, audience: str) -> Secret:
    token = job.ask(audience)
    _check_whose(token, issuer, principal)
    return token


def _check_whose(token: Secret, issuer: Issuer, principal: Principal) -> None:
    """Refuse a token of somebody else: a file may have been replaced since it was verified."""
    _, claims = opened(token.reveal())
    whose = (claims.get("iss"), claims.get(issuer.subject_claim))
    if whose != (issuer.issuer, principal.user_id):
        raise SourceCredentialError(
            f"the token that is presented now is not that of {principal.id}",
            hint="Present the principal's own",
        )


def _check(token: Secret, audience: str, now: float) -> None:
    """Refuse what is no JWT for this audience, or has expired; the provider judges the rest."""
    _, claims = opened(token.reveal())
    check_audience(claims.get("aud"), audience)
    expires = claims.get("exp")
    if not is_time(expires):
        raise AuthenticationError("the token's `exp` is not a time")
    if expires <= now:
        raise AuthenticationError("the token has expired")
