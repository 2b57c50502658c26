"""`sts:AssumeRoleWithWebIdentity`: one unsigned form, sent by ourselves.

No SDK has a part in it: botocore's own provider sends no session policy. Source: the STS API
reference, AssumeRoleWithWebIdentity and "Common errors".
"""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from agentauth_cli.errors import (
    AgentAuthError,
    ProviderAnswerError,
    ProviderRefusedError,
    SourceCredentialError,
)
from agentauth_cli.outbound import aws_xml
from agentauth_cli.outbound.aws_call import ATTEMPTS, form
from agentauth_cli.secret import told
from agentauth_cli.transport import Deadline, send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.outbound.aws_call import Call, Sts
    from agentauth_cli.secret import Secret
    from agentauth_cli.transport import Response

_OK = 200
_SERVERS_FAULT = 500
_PASSING = frozenset(
    {
        "IDPCommunicationError",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_BUSY = 429
_NEW_TOKEN = frozenset({"ExpiredTokenException", "IDPRejectedClaim"})
"""What a new token mends."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")


def jittered(most: float) -> None:
    """Wait for some part of these seconds, another one each time."""
    time.sleep(random.uniform(0, most))  # noqa: S311 - spreads attempts, keeps no secret


def assume(
    call: Call, token: Secret, audience: str, sts: Sts, pause: Callable[[float], None]
) -> Mapping[str, Any]:
    """Return the result of the call, `Expiration` as a time, not believed yet.

    What passes by itself is tried three times in all, within one deadline; how long to wait is
    never the provider's word. Raises SourceCredentialError where a new token would help, else
    ProviderError.
    """
    response = _last(call, token, sts, pause)
    if response.status != _OK:
        raise _meant(call, _refusal(response, token), audience)
    return _result(response.body, call.operation)


def _last(call: Call, token: Secret, sts: Sts, pause: Callable[[float], None]) -> Response:
    """Return the answer that stands: the first that is no passing fault, or the last attempt's."""
    deadline = Deadline(sts.seconds)
    response = _sent(call, token, sts, deadline)
    for attempt in range(ATTEMPTS - 1):
        most = 2.0**attempt
        if response.status == _OK or not _refusal(response, token).passes:
            break
        if most >= deadline.remaining():
            break
        pause(most)
        response = _sent(call, token, sts, deadline)
    return response


def _sent(call: Call, token: Secret, sts: Sts, deadline: Deadline) -> Response:
    body = urlencode({**form(call), "WebIdentityToken": token.reveal()}).encode("ascii")
    return send(
        "POST",
        sts.url,
        deadline=deadline,
        headers={
            "accept": "text/xml",
            "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        },
        body=body,
        ca_bundle=sts.ca_bundle,
    )


def _result(body: bytes, operation: str) -> Mapping[str, Any]:
    try:
        answer = aws_xml.parse(body, f"{operation}Response")
    except ValueError as error:
        raise ProviderAnswerError(f"the answer to {operation} {error}") from None
    result = answer.get(f"{operation}Result")
    if not isinstance(result, dict):
        raise ProviderAnswerError(f"the answer to {operation} has no result")
    keys = result.get("Credentials")
    if isinstance(keys, dict):
        keys["Expiration"] = _time(keys.get("Expiration"))
    return result


def _time(text: object) -> datetime | None:
    """Return the time that STS wrote, None for what is none."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What STS says against it, as it may be shown. `passes`: it may be another story later."""

    code: str
    why: str
    request_id: str
    passes: bool


def _refusal(response: Response, token: Secret) -> _Refusal:
    """Return the error in the answer, by its status alone where it holds none."""
    try:
        answer = aws_xml.parse(response.body, "ErrorResponse")
    except ValueError:
        answer = {}
    error = answer.get("Error")
    said = error if isinstance(error, dict) else {}
    texts = (said.get("Code"), said.get("Message"), answer.get("RequestId"))
    code, why, request_id = (
        told(text, token.reveal()) if isinstance(text, str) else "" for text in texts
    )
    fault = response.status >= _SERVERS_FAULT or response.status == _BUSY
    why = why or f"status {response.status}, without a reason"
    return _Refusal(code, why, request_id, fault or code in _PASSING)


def _meant(call: Call, refusal: _Refusal, audience: str) -> AgentAuthError:
    """Return what STS's error means, with its code and request id."""
    code, request_id = refusal.code, refusal.request_id
    message = (
        f"{call.operation}: {code or 'no code'}: {refusal.why} (request id {request_id or 'none'})"
    )
    if code in _NEW_TOKEN:
        hint = "Get a new token; `agentauth vend TOOL --dry-run` says where it comes from"
        return SourceCredentialError(message, hint=hint)
    hints = {
        "InvalidIdentityToken": (
            f"See that IAM has an OIDC provider of the token's issuer with audience {audience}"
        ),
        "AccessDenied": (
            f"Let the trust policy of {call.role.name} allow sts:AssumeRoleWithWebIdentity to the "
            f"token's issuer and subject, with audience {audience}"
        ),
    }
    return ProviderRefusedError(message, hint=hints.get(code), code=code, request_id=request_id)
