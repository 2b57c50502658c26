"""`sts:AssumeRole`, signed with a source credential of boto3's chain.

botocore finds the credential and signs (Signature Version 4). The rest of the SDK, a client made of
service models, takes longer to load than all else here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import AgentAuthError, ProviderRefusedError, SourceCredentialError
from agentauth_cli.outbound.aws_call import form
from agentauth_cli.outbound.aws_query import Query, Refusal
from agentauth_cli.outbound.aws_refusal import hint
from agentauth_cli.outbound.aws_source import source_credential

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.credentials import ReadOnlyCredentials

    from agentauth_cli.outbound.aws_call import Call, Endpoint
    from agentauth_cli.outbound.aws_query import Sign


_FOR_TAGS = ("sts:TagSession", "sts:SetSourceIdentity")
"""What `session_tags` take of whoever assumes a role, in its trust policy."""


def assume(
    call: Call, profile: str | None, endpoint: Endpoint, pause: Callable[[float], None]
) -> Mapping[str, Any]:
    """Return the result of the call, not believed yet.

    Raises SourceCredentialError where there is nothing to sign with, or it has expired; else
    ProviderError.
    """
    source = source_credential(profile)
    secrets = (source.secret_key or "", source.token or "")
    answer = Query(endpoint, pause, secrets, signing(source, endpoint)).ask(form(call))
    if isinstance(answer, Refusal):
        raise _meant(call, answer)
    return answer


def signing(source: ReadOnlyCredentials, endpoint: Endpoint) -> Sign:
    """Return what adds the signature of a POST to its headers."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    def sign(url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        request = AWSRequest("POST", url, headers=dict(headers), data=body)
        SigV4Auth(source, endpoint.service, endpoint.region).add_auth(request)
        return dict(request.headers.items())

    return sign


def _meant(call: Call, refusal: Refusal) -> AgentAuthError:
    """Return what STS's error means, with its code and request id."""
    code, message = refusal.code, f"{call.operation}: {refusal}"
    if code in {"ExpiredToken", "ExpiredTokenException"}:
        return SourceCredentialError(message)
    meant = _denied(call, refusal) if code == "AccessDenied" else hint(call, refusal)
    return ProviderRefusedError(message, hint=meant, code=code, request_id=refusal.request_id)


def _denied(call: Call, refusal: Refusal) -> str:
    for action in _FOR_TAGS:
        if action in refusal.why:
            return (
                f"The role's trust policy does not allow {action}: run `agentauth bootstrap aws`, "
                "or set `session_tags = false`"
            )
    return (
        f"See that {call.role.name} is there and trusts the source, and that the source may assume "
        "it: run `agentauth bootstrap aws`"
    )
