"""AWS: sessions of a role, cut down by a session policy.

Either `sts:AssumeRole` with a source credential of boto3's chain (`aws_key`), or
`sts:AssumeRoleWithWebIdentity` with a token that the role's account trusts (`aws_web`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from string import Formatter
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ConfigError, UsageError
from agentauth_cli.model import NOT_ALONE, Preview, ProviderCredential, ProviderType, Revocation
from agentauth_cli.outbound import aws_key, aws_web
from agentauth_cli.outbound.attempts import jittered
from agentauth_cli.outbound.aws_call import REGION, Call, Endpoint, regional
from agentauth_cli.outbound.aws_session import (
    LONGEST,
    SHORTEST,
    Role,
    believed,
    duration,
    managed,
    role,
    role_arn,
    session_name,
    session_policy,
    session_tags,
    web_session_name,
)
from agentauth_cli.outbound.aws_source import profile_of
from agentauth_cli.secret import SecretMapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agentauth_cli.model import Lease, Principal, ToolRequest
    from agentauth_cli.ports import Clock
    from agentauth_cli.secret import Secret

WEB_IDENTITY = "web_identity"
AUDIENCE = "sts.amazonaws.com"
"""Of the token for web identity, where none is configured."""

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
_UNENFORCED = (
    "how often the session is used: budgets and rate limits count credentials, not calls",
    "an earlier end of one session: AWS ends all that a role has given out, with `--with-others`",
)

_WIDER = (
    "the session policy alone: what the policy_arns allow is allowed too, as far as the role goes",
)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a broker made by hand has nobody to hand it a clock


class AWSCredentialBroker:
    """Mints AWS sessions for one environment.

    `role_arn_template` may hold ``{account_id}`` and ``{tool_name}``. `source` is ``ambient``
    (boto3's chain), ``profile:NAME`` or ``web_identity``, which needs `token`: at each call it is
    asked for the principal's token, for `audience`. `sts_endpoint` is a base URL and `ca_bundle`
    its certificates. `deadline` is in seconds, for all attempts of one call together; `pause` waits
    between them, no longer than the seconds it is told.
    Raises ConfigError for a region, template or source that cannot be meant.
    """

    min_duration = SHORTEST
    max_duration = LONGEST

    def __init__(
        self,
        *,
        role_arn_template: str | None = None,
        account_id: str = "",
        region: str | None = None,
        source: str = "ambient",
        token: Callable[[Principal], Secret] | None = None,
        audience: str = AUDIENCE,
        session_tags: bool = True,
        sts_endpoint: str | None = None,
        ca_bundle: Path | None = None,
        clock: Clock = _now,
        deadline: float = 20.0,
        pause: Callable[[float], None] = jittered,
    ) -> None:
        if source != WEB_IDENTITY:
            token = None
        elif token is None:
            raise ConfigError(
                "source web_identity needs a `token`", hint="Give AWSCredentialBroker one"
            )
        self._template = _checked_template(role_arn_template)
        self._account_id = account_id
        self._region = region
        self._source = source
        self._profile = None if token else profile_of(source)
        self._token = token
        self._audience = audience
        self._tagged = session_tags
        self._endpoint = Endpoint(
            sts_endpoint or regional(region or REGION), region or REGION, ca_bundle, deadline
        )
        self._clock = clock
        self._pause = pause

    def vend_credential(
        self, principal: Principal, tool_request: ToolRequest
    ) -> ProviderCredential:
        """Mint a session that can do what the request says and no more.

        This is the minting alone: no switch, policy, budget or audit. Raises UsageError or
        ConfigError before any call, SourceCredentialError where there is nothing to mint with, and
        ProviderError for a refusal, no answer, or an answer that is not to be believed.
        """
        call = self._call(principal, tool_request)
        now = self._clock()
        answer = self._answer(principal, call)
        values, end = believed(answer, call.session, tool_request.max_duration, now)
        access_key = values["aws_access_key_id"]
        if self._region is not None:
            values["region_name"] = self._region
        return ProviderCredential(
            provider=ProviderType.AWS,
            credential_type="aws_sts_session",
            credentials=SecretMapping(values),
            expires_at=end,
            credential_id=access_key,
            narrowed=" + ".join([call.parameters["Policy"], *tool_request.policy_arns]),
        )

    def preview(self, principal: Principal, tool_request: ToolRequest) -> Preview:
        """Return what `vend_credential` would ask of STS, without asking.

        Raises UsageError or ConfigError as it does before any call.
        """
        call = self._call(principal, tool_request)
        return Preview(
            operation=call.operation,
            endpoint=self._endpoint.url,
            parameters=call.parameters,
            source=self._source,
            audience=self._audience if self._token else None,
            unenforced=(*_UNENFORCED, *(_WIDER if tool_request.policy_arns else ())),
        )

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        """Return that a session lives until its end: AWS can only end all of a role's together."""
        del lease, credential
        return Revocation(NOT_ALONE)

    def _call(self, principal: Principal, request: ToolRequest) -> Call:
        """Return the one call that this request means."""
        if request.provider != ProviderType.AWS:
            raise UsageError(f"this broker mints for aws, not for {request.provider}")
        seconds = duration(request, self.min_duration, self.max_duration)
        wanted = self._role(request)
        web = self._token is not None
        name = web_session_name(principal, request.lease) if web else session_name(principal)
        parameters: dict[str, Any] = {
            "RoleArn": wanted.arn,
            "RoleSessionName": name,
            "DurationSeconds": seconds,
            "Policy": session_policy(request.narrowed, request.policy_arns),
        }
        if request.policy_arns:
            parameters["PolicyArns"] = managed(request.policy_arns, wanted)
        if web:  # which takes neither tags nor a source identity
            return Call("AssumeRoleWithWebIdentity", wanted, parameters)
        if self._tagged:
            parameters |= {"SourceIdentity": name, "Tags": session_tags(principal, request)}
        return Call("AssumeRole", wanted, parameters)

    def _answer(self, principal: Principal, call: Call) -> Mapping[str, Any]:
        if self._token is None:
            return aws_key.assume(call, self._profile, self._endpoint, self._pause)
        token = self._token(principal)
        return aws_web.assume(call, token, self._audience, self._endpoint, self._pause)

    def _role(self, request: ToolRequest) -> Role:
        """Return the request's own role, or the template's."""
        if request.role is not None:
            return role(request.role)
        if self._template is None:
            raise ConfigError("no role to assume", hint="Set role_arn_template, or the tool's role")
        if not _NAME.fullmatch(request.tool_name):
            raise ConfigError(
                f"the tool's name {request.tool_name!r} cannot be part of a role's name",
                hint="Give the tool a `role`",
            )
        return role(role_arn(self._template, self._account_id, request.tool_name))


def _checked_template(template: str | None) -> str | None:
    """Return the template; raise ConfigError where it has other names than the two known."""
    if template is None:
        return None
    try:
        fields = [field[1:] for field in Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        raise ConfigError(f"role_arn_template {template!r}: {error}") from error
    if any(field not in {("account_id", "", None), ("tool_name", "", None)} for field in fields):
        raise ConfigError(
            f"role_arn_template {template!r} has an unknown placeholder",
            hint="It may hold {account_id} and {tool_name}",
        )
    return template
