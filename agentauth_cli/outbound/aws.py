"""AWS: `sts:AssumeRole` with a session policy, from boto3's own source credentials.

boto3 builds and signs the request and parses the answer; `transport.send` alone carries it. Only
what fetches the source credential (SSO, the metadata service, a chained profile) is botocore's own.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from string import Formatter
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import parse_qsl

from agentauth_cli.errors import (
    ConfigError,
    ProviderAnswerError,
    ProviderError,
    ProviderRefusedError,
    SourceCredentialError,
    UsageError,
)
from agentauth_cli.model import ProviderCredential, ProviderType
from agentauth_cli.outbound.aws_session import (
    LONGEST,
    SHORTEST,
    Role,
    believed,
    duration,
    form,
    role,
    role_arn,
    session_name,
    session_policy,
    session_tags,
)
from agentauth_cli.outbound.aws_source import profile_of, shown, source_credential
from agentauth_cli.secret import SecretMapping
from agentauth_cli.transport import Deadline, send

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from boto3 import Session
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.credentials import ReadOnlyCredentials
    from botocore.exceptions import ClientError

    from agentauth_cli.model import Principal, ToolRequest
    from agentauth_cli.ports import Clock

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+")
_SUFFIXES = {
    "cn": "amazonaws.com.cn",
    "eusc": "amazonaws.eu",
    "us-iso": "c2s.ic.gov",
    "us-isob": "sc2s.sgov.gov",
    "us-isof": "csp.hci.ic.gov",
    "eu-isoe": "cloud.adc-e.uk",
}
_TWICE = (b"<AssumeRoleResult>", b"<Credentials>", b"<AssumedRoleUser>")


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a broker made by hand has nobody to hand it a clock


class AWSCredentialBroker:
    """Mints AWS sessions for one environment.

    `role_arn_template` may hold ``{account_id}`` and ``{tool_name}``. `source` is ``ambient``
    (boto3's chain) or ``profile:NAME``. `sts_endpoint` is a base URL and `ca_bundle` its
    certificates. `deadline` is in seconds, for all attempts of one call together.
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
        session_tags: bool = True,
        sts_endpoint: str | None = None,
        ca_bundle: Path | None = None,
        clock: Clock = _now,
        deadline: float = 20.0,
    ) -> None:
        self._template = _checked_template(role_arn_template)
        self._account_id = account_id
        self._region = region
        self._profile = profile_of(source)
        self._tagged = session_tags
        self._endpoint = sts_endpoint or _regional(region or "us-east-1")
        self._ca_bundle = ca_bundle
        self._clock = clock
        self._seconds = deadline

    def vend_credential(
        self, principal: Principal, tool_request: ToolRequest
    ) -> ProviderCredential:
        """Mint a session that can do what the request says and no more.

        This is the minting alone: no switch, policy, budget or audit. Raises UsageError or
        ConfigError before any call, SourceCredentialError where there is nothing to mint with, and
        ProviderError for a refusal, no answer, or an answer that is not to be believed.
        """
        if tool_request.provider != ProviderType.AWS:
            raise UsageError(f"this broker mints for aws, not for {tool_request.provider}")
        seconds = duration(tool_request, self.min_duration, self.max_duration)
        wanted = self._role(tool_request)
        policy = session_policy(tool_request.narrowed)
        name = session_name(principal)
        asked: dict[str, Any] = {
            "RoleArn": wanted.arn,
            "RoleSessionName": name,
            "DurationSeconds": seconds,
            "Policy": policy,
        }
        if self._tagged:
            asked |= {"SourceIdentity": name, "Tags": session_tags(principal, tool_request)}
        now = self._clock()
        answer = self._assume(asked)
        values, end = believed(answer, wanted.assumed(name), seconds, now)
        access_key = values["aws_access_key_id"]
        if self._region is not None:
            values["region_name"] = self._region
        return ProviderCredential(
            provider=ProviderType.AWS,
            credential_type="aws_sts_session",
            credentials=SecretMapping(values),
            expires_at=end,
            credential_id=access_key,
            narrowed=policy,
        )

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

    def _assume(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call AssumeRole; translate whatever boto3 makes of the answer."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        session, source = source_credential(self._profile)
        client = self._client(session, source, form(asked))
        try:
            return dict(client.assume_role(**asked))
        except ProviderError:
            raise
        except ClientError as error:
            self._refused(error, source)
        except BotoCoreError as error:
            why = shown(str(error), source)
            raise ProviderError(f"AssumeRole did not work: {why}") from None
        except (
            ResponseParserError,  # no XML
            KeyError,  # XML without a result, such as a page with status 200
            AttributeError,  # parts of another type than expected, such as two of one
            TypeError,
            ValueError,  # a time that is none
            OverflowError,  # a time out of range
            RuntimeError,  # the same, from botocore's parser; also RecursionError
        ):
            # Without its cause: the parser's message quotes the answer, keys and all.
            raise ProviderAnswerError("the answer to AssumeRole is none of AWS") from None

    def _client(
        self, session: Session, source: ReadOnlyCredentials, wanted: Mapping[str, str]
    ) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        try:
            client: Any = session.client(
                "sts",
                region_name=self._region or "us-east-1",
                endpoint_url=self._endpoint,
                aws_access_key_id=source.access_key,
                aws_secret_access_key=source.secret_key,
                aws_session_token=source.token,
                config=Config(
                    ignore_configured_endpoint_urls=True,  # type: ignore[call-arg] # not in its types
                    retries={"mode": "standard", "total_max_attempts": 3},
                    signature_version="v4",
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"boto3 makes no STS client: {shown(str(error))}") from None
        deadline = Deadline(self._seconds)

        def carry(request: AWSPreparedRequest, **_: object) -> AWSResponse:
            _check_form(request, wanted)
            return _carry(request, deadline, self._endpoint, self._ca_bundle)

        # Whatever boto3's model calls service and operation: nothing goes out around us.
        client.meta.events.register("before-send", carry)
        return client

    def _refused(self, error: ClientError, source: ReadOnlyCredentials) -> NoReturn:
        """Raise what AWS's error means, with its code and request id."""
        answer: Mapping[str, Any] = error.response
        code = shown(str(answer.get("Error", {}).get("Code", "")), source)
        why = shown(str(answer.get("Error", {}).get("Message", "")), source)
        request_id = shown(str(answer.get("ResponseMetadata", {}).get("RequestId", "")), source)
        message = f"AssumeRole: {code or 'no code'}: {why} (request id {request_id or 'none'})"
        if code in {"ExpiredToken", "ExpiredTokenException"}:
            raise SourceCredentialError(message) from None
        hint = None
        if code == "AccessDenied" and self._tagged:
            hint = (
                "Let the source do sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity in its "
                "own policy and in the role's trust policy, or set `session_tags = false`"
            )
        raise ProviderRefusedError(message, hint=hint, code=code, request_id=request_id) from None


def _check_form(request: AWSPreparedRequest, wanted: Mapping[str, str]) -> None:
    """Hold what boto3 has made against what was asked: STS ignores names that it does not know."""
    body = request.body
    text = body.decode("latin-1") if isinstance(body, bytes) else body
    try:
        made = parse_qsl(cast("str", text), keep_blank_values=True, strict_parsing=True)
    except (AttributeError, TypeError, ValueError):
        made = []
    if request.method != "POST" or sorted(made) != sorted(wanted.items()):
        raise ProviderError(
            "boto3 would not send AssumeRole as it was asked: a model of its own replaces AWS's",
            hint="See AWS_DATA_PATH and ~/.aws/models, and take away their `sts` folder",
        )


def _carry(
    request: AWSPreparedRequest, deadline: Deadline, endpoint: str, ca_bundle: Path | None
) -> AWSResponse:
    """Send what boto3 has signed, to the endpoint of the configuration and nowhere else."""
    from botocore.awsrequest import AWSResponse

    if request.url.rstrip("/") != endpoint.rstrip("/"):
        raise ProviderAnswerError("boto3 would send AssumeRole to another endpoint than configured")
    body = cast("str | bytes", request.body)  # a form, never a stream
    response = send(
        request.method,
        request.url,
        deadline=deadline,
        headers={name: _text(value) for name, value in request.headers.items()},
        body=body.encode() if isinstance(body, str) else body,
        ca_bundle=ca_bundle,
    )
    if any(response.body.count(tag) > 1 for tag in _TWICE):
        raise ProviderAnswerError("the answer to AssumeRole says one thing twice")
    # Of the headers the request id alone: `x-amz-retry-after` would set how long botocore sleeps.
    headers: Any = {"x-amzn-requestid": response.headers.get("x-amzn-requestid", "")}
    return AWSResponse(request.url, response.status, headers, _Body(response.body))


class _Body(io.BytesIO):
    """A body already read, as botocore wants to read it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


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


def _regional(region: str) -> str:
    """Return the region's own STS endpoint."""
    if not _REGION.fullmatch(region):
        raise ConfigError(f"{region!r} is no region of AWS", hint="Such as eu-west-1")
    parts = region.split("-")
    suffix = _SUFFIXES.get("-".join(parts[:2])) or _SUFFIXES.get(parts[0]) or "amazonaws.com"
    return f"https://sts.{region}.{suffix}"
