"""What Google says against a call: the errors of its APIs, and those of OAuth (RFC 6749, 5.2).

Google's answers carry no id of the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.errors import ProviderRefusedError, SourceCredentialError
from agentauth_cli.secret import told
from agentauth_cli.strict_json import parse_object

if TYPE_CHECKING:
    from agentauth_cli.errors import AgentAuthError
    from agentauth_cli.transport import Response

_NEW_SOURCE = frozenset({"invalid_grant", "UNAUTHENTICATED"})
"""What another source credential mends."""

_HINTS = {
    "invalid_target": "See `workload_identity_provider` of the environment",
    "unauthorized_client": (
        "See that the attribute condition of the workload identity provider holds for this token"
    ),
    "PERMISSION_DENIED": (
        "See that the service account is there, and give who asks roles/iam."
        "serviceAccountTokenCreator on it (with web_identity: the pool's principal)"
    ),
    "NOT_FOUND": "See that the service account is there: service_account_template, and `project`",
}


def meant(what: str, response: Response, *secrets: str) -> AgentAuthError:
    """Return what Google's error means, with its code; `secrets` are taken out of its words."""
    code, why = (told(text, *secrets) for text in _said(response))
    why = why or f"status {response.status}, without a reason"
    message = f"{what}: {code or 'no code'}: {why}"
    if code in _NEW_SOURCE:
        hint = "Get a new token; `agentauth vend TOOL --dry-run` says where it comes from"
        return SourceCredentialError(message, hint=hint)
    return ProviderRefusedError(message, hint=_HINTS.get(code), code=code)


def _said(response: Response) -> tuple[str, str]:
    """Return code and words of an error, each empty where there is none."""
    try:
        answer = parse_object(response.body)
    except ValueError:
        return "", ""
    error = answer.get("error")
    if isinstance(error, dict):
        texts = (error.get("status"), error.get("message"))
    else:
        texts = (error, answer.get("error_description"))
    code, why = (text if isinstance(text, str) else "" for text in texts)
    return code, why
