"""`sts:AssumeRoleWithWebIdentity`: one unsigned form, with the token that vouches for the caller.

No SDK has a part in it: botocore's own provider sends no session policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import AgentAuthError, ProviderRefusedError, SourceCredentialError
from agentauth_cli.outbound.aws_call import form
from agentauth_cli.outbound.aws_query import Query, Refusal
from agentauth_cli.outbound.aws_refusal import hint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.outbound.aws_call import Call, Endpoint
    from agentauth_cli.secret import Secret

_NEW_TOKEN = frozenset({"ExpiredTokenException", "IDPRejectedClaim"})
"""What a new token mends."""


_OTHER_AUDIENCE = (
    "Give IAM's OIDC provider the audience {audience}; AWS takes a token's `azp` for its audience "
    "where it has one, so that it has to be the same, or left out"
)


def assume(
    call: Call, token: Secret, audience: str, endpoint: Endpoint, pause: Callable[[float], None]
) -> Mapping[str, Any]:
    """Return the result of the call, not believed yet.

    Raises SourceCredentialError where a new token would help, else ProviderError.
    """
    query = Query(endpoint, pause, (token.reveal(),))
    answer = query.ask({**form(call), "WebIdentityToken": token.reveal()})
    if isinstance(answer, Refusal):
        raise _meant(call, answer, audience)
    return answer


def _meant(call: Call, refusal: Refusal, audience: str) -> AgentAuthError:
    """Return what STS's error means, with its code and request id."""
    code, message = refusal.code, f"{call.operation}: {refusal}"
    if code in _NEW_TOKEN:
        where = "Get a new token; `agentauth vend TOOL --dry-run` says where it comes from"
        return SourceCredentialError(message, hint=where)
    hints = {
        "InvalidIdentityToken": (
            f"See that IAM has an OIDC provider of the token's issuer with audience {audience}: "
            "run `agentauth bootstrap aws`"
        ),
        "AccessDenied": (
            f"Let the trust policy of {call.role.name} allow sts:AssumeRoleWithWebIdentity to the "
            f"token's issuer and subject, with audience {audience}: run `agentauth bootstrap aws`"
        ),
    }
    meant = hints.get(code) or hint(call, refusal)
    if code == "InvalidIdentityToken" and "audience" in refusal.why:
        meant = _OTHER_AUDIENCE.format(audience=audience)
    return ProviderRefusedError(message, hint=meant, code=code, request_id=refusal.request_id)
