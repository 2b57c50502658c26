"""`sts:AssumeRole`, with a source credential of boto3's chain.

boto3 builds and signs the request and parses the answer; `transport.send` alone carries it. Only
what fetches the source credential (SSO, the metadata service, a chained profile) is botocore's own.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import parse_qsl

from agentauth_cli.errors import (
    ConfigError,
    ProviderAnswerError,
    ProviderError,
    ProviderRefusedError,
    SourceCredentialError,
)
from agentauth_cli.outbound.aws_call import ATTEMPTS, form
from agentauth_cli.outbound.aws_source import source_credential
from agentauth_cli.secret import told
from agentauth_cli.transport import Deadline, send

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from boto3 import Session
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.credentials import ReadOnlyCredentials
    from botocore.exceptions import ClientError

    from agentauth_cli.outbound.aws_call import Call, Sts

_TWICE = (b"<AssumeRoleResult>", b"<Credentials>", b"<AssumedRoleUser>")


def assume(call: Call, profile: str | None, sts: Sts) -> Mapping[str, Any]:
    """Call AssumeRole; translate whatever boto3 makes of the answer.

    Raises ConfigError, SourceCredentialError, ProviderError.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    session, source = source_credential(profile)
    client = _client(session, source, form(call), sts)
    try:
        return dict(client.assume_role(**call.parameters))
    except ProviderError:
        raise
    except ClientError as error:
        _refused(error, source, tagged="Tags" in call.parameters)
    except BotoCoreError as error:
        why = _told(error, source)
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


def _told(said: object, source: ReadOnlyCredentials) -> str:
    return told(str(said), source.secret_key, source.token)


def _client(
    session: Session, source: ReadOnlyCredentials, wanted: Mapping[str, str], sts: Sts
) -> Any:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    try:
        client: Any = session.client(
            "sts",
            region_name=sts.region,
            endpoint_url=sts.url,
            aws_access_key_id=source.access_key,
            aws_secret_access_key=source.secret_key,
            aws_session_token=source.token,
            config=Config(
                ignore_configured_endpoint_urls=True,  # type: ignore[call-arg] # not in its types
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                signature_version="v4",
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"boto3 makes no STS client: {told(str(error))}") from None
    deadline = Deadline(sts.seconds)

    def carry(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        _check_form(request, wanted)
        return _carry(request, deadline, sts.url, sts.ca_bundle)

    # Whatever boto3's model calls service and operation: nothing goes out around us.
    client.meta.events.register("before-send", carry)
    return client


def _refused(error: ClientError, source: ReadOnlyCredentials, *, tagged: bool) -> NoReturn:
    """Raise what AWS's error means, with its code and request id."""
    answer: Mapping[str, Any] = error.response
    code = _told(answer.get("Error", {}).get("Code", ""), source)
    why = _told(answer.get("Error", {}).get("Message", ""), source)
    request_id = _told(answer.get("ResponseMetadata", {}).get("RequestId", ""), source)
    message = f"AssumeRole: {code or 'no code'}: {why} (request id {request_id or 'none'})"
    if code in {"ExpiredToken", "ExpiredTokenException"}:
        raise SourceCredentialError(message) from None
    hint = None
    if code == "AccessDenied" and tagged:
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
