"""Google Cloud: tokens of a service account, cut down by a Credential Access Boundary.

The source is either a token that a workload identity pool trusts, exchanged (`web_identity`), or
Google's application default credentials (`gcp_source`). Then the tool's service account is
impersonated, and the token that comes of it narrowed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ConfigError, ProviderAnswerError, UsageError
from agentauth_cli.model import NOT_ALONE, Preview, ProviderCredential, ProviderType, Revocation
from agentauth_cli.outbound import gcp_call, gcp_source
from agentauth_cli.outbound.attempts import jittered
from agentauth_cli.outbound.gcp_account import (
    LONGEST,
    SHORTEST,
    checked_template,
    duration,
    reason,
    service_account,
)
from agentauth_cli.outbound.gcp_boundary import as_json, boundary, in_storage, whole_buckets
from agentauth_cli.outbound.gcp_call import Google
from agentauth_cli.outbound.gcp_scopes import scopes
from agentauth_cli.secret import SecretMapping
from agentauth_cli.transport import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentauth_cli.model import Grant, Lease, Principal, ToolRequest
    from agentauth_cli.outbound.gcp_boundary import Boundary
    from agentauth_cli.ports import Clock
    from agentauth_cli.secret import Secret

AMBIENT, WEB_IDENTITY = "ambient", "web_identity"
JWT = "urn:ietf:params:oauth:token-type:jwt"

_LATEST = 60

_CLOCK = "Check this machine's clock, and the endpoints of the environment"
_BUCKET = "objects alone: in a whole bucket the roles also hold for the bucket itself"
_LONGER = "Google answered with a token that lives longer than asked"
_PROVIDER = re.compile(r"//iam\.googleapis\.com/[A-Za-z0-9/_.:-]{1,400}")
_UNENFORCED = (
    "how often the token is used: budgets and rate limits count credentials, not calls",
    "an earlier end: one token cannot be revoked, only its service account disabled",
    "who uses it: Google logs principal and lease at the minting, the service account at each use",
)
_WIDE = "which resources: outside Cloud Storage Google narrows to scopes alone (unnarrowed)"


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a broker made by hand has nobody to hand it a clock


class GCPCredentialBroker:
    """Mints Google access tokens for one environment.

    `service_account_template` may hold ``{tool_id}`` and ``{project}``. `source` is ``ambient``
    (application default credentials) or ``web_identity``, which needs `token`, asked at each call
    for the principal's token for `audience`, and `workload_identity_provider`, the resource name of
    who trusts it. Endpoints are base URLs. `deadline` is in seconds, for all calls of one mint
    together; `pause` waits between attempts, no longer than the seconds it is told.
    Raises ConfigError for a template or source that cannot be meant.
    """

    min_duration = SHORTEST
    max_duration = LONGEST

    def __init__(
        self,
        *,
        project: str,
        service_account_template: str | None = None,
        source: str = AMBIENT,
        workload_identity_provider: str | None = None,
        token: Callable[[Principal], Secret] | None = None,
        audience: str | None = None,
        sts_endpoint: str | None = None,
        iam_credentials_endpoint: str | None = None,
        clock: Clock = _now,
        deadline: float = 20.0,
        pause: Callable[[float], None] = jittered,
    ) -> None:
        if source not in {AMBIENT, WEB_IDENTITY}:
            raise ConfigError(f"source {source!r} is not known", hint="Use ambient or web_identity")
        self._trusting = _checked_provider(source, workload_identity_provider)
        if source == WEB_IDENTITY and token is None:
            raise ConfigError(
                "source web_identity needs a `token`", hint="Give GCPCredentialBroker one"
            )
        self._project = project
        self._template = checked_template(service_account_template)
        self._source = source
        self._token = token if source == WEB_IDENTITY else None
        self._audience = audience or default_audience(self._trusting)
        self._sts = sts_endpoint or gcp_call.STS
        self._iam = iam_credentials_endpoint or gcp_call.IAM
        self._clock = clock
        self._deadline = deadline
        self._pause = pause

    def vend_credential(
        self, principal: Principal, tool_request: ToolRequest
    ) -> ProviderCredential:
        """Mint a token that can do what the request says and no more.

        This is the minting alone: no switch, policy, budget or audit. Raises UsageError or
        ConfigError before any call, SourceCredentialError where there is nothing to mint with, and
        ProviderError for a refusal, no answer, or an answer that is not to be believed.
        """
        account, body, limits = self._wanted(tool_request)
        google = Google(self._sts, self._iam, Deadline(self._deadline), self._pause)
        now = self._clock()
        source = self._source_token(google, principal)
        why = reason(principal, tool_request)
        made, end = gcp_call.impersonated(google, account, body, source, why)
        most = tool_request.max_duration + _LATEST
        _check_end(end, now, most)
        if limits is not None:
            made, lives = gcp_call.narrowed(google, made, limits)
            # It ends with the token that it was made of: whichever end is said first.
            if lives > most:
                raise ProviderAnswerError(_LONGER, hint=_CLOCK)
            end = min(end, now + timedelta(seconds=lives))
        return ProviderCredential(
            provider=ProviderType.GCP,
            credential_type="gcp_access_token",
            credentials=SecretMapping({"access_token": made.reveal(), "project": self._project}),
            expires_at=end.astimezone(UTC),
            credential_id=account,
            narrowed=as_json(limits) if limits is not None else " ".join(body["scope"]),
        )

    def preview(self, principal: Principal, tool_request: ToolRequest) -> Preview:
        """Return what `vend_credential` would ask of Google, without asking.

        Raises UsageError or ConfigError as it does before any call.
        """
        account, body, limits = self._wanted(tool_request)
        parameters: dict[str, Any] = {"name": f"projects/-/serviceAccounts/{account}", **body}
        parameters["x-goog-request-reason"] = reason(principal, tool_request)
        url = gcp_call.exchange_url(self._sts)
        if self._token is not None:
            parameters["before"] = {"url": url, **gcp_call.exchange_form(self._trusting, JWT)}
        if limits is not None:
            parameters["after"] = {"url": url, "options": limits}
        return Preview(
            operation=gcp_call.IMPERSONATION,
            endpoint=gcp_call.account_url(self._iam, account),
            parameters=parameters,
            source=self._source,
            audience=self._audience if self._token is not None else None,
            unenforced=(*_not_held(limits), *_UNENFORCED),
        )

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        """Return that a token lives until its end: Google has no way for one token."""
        del lease, credential
        return Revocation(NOT_ALONE)

    def _wanted(self, request: ToolRequest) -> tuple[str, dict[str, Any], Boundary | None]:
        """Return the account, what is asked of it, and the boundary: None for scopes alone."""
        if request.provider != ProviderType.GCP:
            raise UsageError(f"this broker mints for gcp, not for {request.provider}")
        seconds = duration(request)
        account = service_account(request, self._template, self._project)
        limits = _limits(request.narrowed, unnarrowed=request.unnarrowed)
        asked = scopes(request, bounded=limits is not None)
        return account, gcp_call.impersonation_body(asked, seconds), limits

    def _source_token(self, google: Google, principal: Principal) -> Secret:
        if self._token is None:
            return gcp_source.access_token(google, self._clock)
        return gcp_call.federated(google, self._trusting, self._token(principal), JWT)


def default_audience(provider: str) -> str:
    """Return whom a token is for that a workload identity provider trusts, if it says nothing."""
    return f"https:{provider}" if provider else ""


def _checked_provider(source: str, provider: str | None) -> str:
    if source != WEB_IDENTITY:
        return ""
    if provider is None or not _PROVIDER.fullmatch(provider):
        raise ConfigError(
            "source web_identity needs a workload_identity_provider",
            hint="Such as //iam.googleapis.com/projects/123/locations/global/"
            "workloadIdentityPools/agents/providers/okta",
        )
    return provider


def _not_held(limits: Boundary | None) -> tuple[str, ...]:
    """Return what Google does not hold this very token to."""
    if limits is None:
        return (_WIDE,)
    return (_BUCKET,) if whole_buckets(limits) else ()


def _limits(grants: Sequence[Grant], *, unnarrowed: bool) -> Boundary | None:
    """Return the boundary, None where scopes alone are meant. Raises ConfigError."""
    outside = [grant.resource for grant in grants if not in_storage(grant.resource)]
    if not outside:
        return boundary(grants)
    if not unnarrowed:
        raise ConfigError(
            f"Google cannot narrow a token to {outside[0]!r}, which is outside Cloud Storage",
            hint="Say `unnarrowed = true` for what its scopes and service account allow",
        )
    if len(outside) != len(grants):
        raise ConfigError(
            "a token for Cloud Storage can be narrowed, one for other services cannot",
            hint="Make two tools of it",
        )
    return None


def _check_end(end: datetime, now: datetime, most: int) -> None:
    if end <= now:
        raise ProviderAnswerError("Google answered with a token that has expired", hint=_CLOCK)
    if end > now + timedelta(seconds=most):
        raise ProviderAnswerError(_LONGER, hint=_CLOCK)
