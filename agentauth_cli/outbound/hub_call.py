"""The three calls of the Hugging Face Hub, sent by ourselves: exchange, whoami, revoke.

The exchange lives in a private module of huggingface_hub, as one POST of JSON. Sources: the Hub's
pages "Trusted Publishers" and "User access tokens" (revoking), and RFC 8693.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ProviderAnswerError, ProviderRefusedError, SourceCredentialError
from agentauth_cli.outbound.attempts import standing
from agentauth_cli.secret import told
from agentauth_cli.strict_json import parse_object
from agentauth_cli.transport import Deadline, send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.secret import Secret
    from agentauth_cli.transport import Response

EXCHANGE = "/oauth/token"
WHOAMI = "/api/whoami-v2"
REVOKE = "/api/credentials/revoke"
FIXED = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
}
"""What every exchange says."""

_PAGE = "https://huggingface.co/docs/hub/trusted-publishers"
_OK, _ACCEPTED = 200, 202
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the Hub is asked: `seconds` are for all attempts of one call together.

    `pause` waits between attempts, no longer than it is told. Every method raises ProviderError.
    """

    endpoint: str
    seconds: float
    pause: Callable[[float], None]

    def exchange(self, resource: str, token: Secret, audience: str) -> Mapping[str, Any]:
        """Return the answer to the exchange of this token, not believed yet."""
        body = {**FIXED, "subject_token": token.reveal(), "resource": resource}
        response = self._last("POST", EXCHANGE, body=body)
        if response.status != _OK:
            hint = (
                f"See that {resource} trusts the token's issuer and claims, for {audience}: {_PAGE}"
            )
            raise _refused(f"the exchange for {resource}", response, token, hint)
        return _object(response, "the exchange")

    def whoami(self, token: Secret, finer: str) -> Mapping[str, Any]:
        """Return what the Hub says of this token. Raises SourceCredentialError for a dead one."""
        bearer = {"authorization": f"Bearer {token.reveal()}"}
        response = self._last("GET", WHOAMI, headers=bearer)
        if response.status == _UNAUTHORIZED:
            raise SourceCredentialError("the Hub refuses the stored token", hint=finer)
        if response.status != _OK:
            raise _refused("whoami-v2", response, token)
        return _object(response, "whoami-v2")

    def revoke(self, token: Secret) -> None:
        """Ask for the end of this token; the Hub says the same whatever comes of it."""
        response = self._last("POST", REVOKE, body={"credentials": [token.reveal()]})
        if response.status != _ACCEPTED:
            raise _refused("revoking", response, token)

    def _last(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Response:
        """Return the answer that stands, after no more than three attempts."""
        deadline = Deadline(self.seconds)
        content = b"" if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"content-type": "application/json"}
        return standing(
            lambda: send(
                method,
                self.endpoint + path,
                deadline=deadline,
                headers={"accept": "application/json", **kind, **(headers or {})},
                body=content,
            ),
            deadline,
            self.pause,
        )


def _object(response: Response, what: str) -> dict[str, Any]:
    try:
        return parse_object(response.body)
    except ValueError as error:
        raise ProviderAnswerError(f"the answer to {what} {error}") from None


def _refused(
    what: str, response: Response, token: Secret, hint: str | None = None
) -> ProviderRefusedError:
    """Return what the Hub says against it: its code, its words, its request id."""
    try:
        said = parse_object(response.body)
    except ValueError:
        said = {}
    headers = response.headers
    texts = (
        headers.get("x-error-code") or said.get("error"),
        headers.get("x-error-message") or said.get("error_description"),
        headers.get("x-request-id"),
    )
    code, why, request_id = (
        told(text, token.reveal()) if isinstance(text, str) else "" for text in texts
    )
    why = why or f"status {response.status}, without a reason"
    message = f"{what}: {code or 'no code'}: {why} (request id {request_id or 'none'})"
    return ProviderRefusedError(message, hint=hint, code=code, request_id=request_id)
