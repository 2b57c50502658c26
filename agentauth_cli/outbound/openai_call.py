"""One call of OpenAI: JSON by the one transport, again after a passing fault, its answer read.

The SDK has no part in it: it takes a second to load, follows what the environment says, and what
it parses would have to be distrusted all the same. Source: OpenAI's API reference, "Errors".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ProviderAnswerError
from agentauth_cli.outbound.attempts import standing
from agentauth_cli.secret import told
from agentauth_cli.strict_json import parse_object
from agentauth_cli.transport import Deadline, send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.secret import Secret
    from agentauth_cli.transport import Response

_OK = 200


@dataclass(frozen=True, slots=True)
class Refusal:
    """What OpenAI says against it, as it may be shown."""

    status: int
    code: str
    why: str
    request_id: str

    def __str__(self) -> str:
        return f"{self.code or 'no code'}: {self.why} (request id {self.request_id or 'none'})"


@dataclass(frozen=True, slots=True)
class Caller:
    """How OpenAI is asked: `seconds` are for all attempts of one call together.

    `pause` waits between attempts, no longer than it is told.
    """

    seconds: float
    pause: Callable[[float], None]

    def ask(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        bearer: Secret | None = None,
        sent: Secret | None = None,
    ) -> Mapping[str, Any] | Refusal:
        """Return the JSON object that came, not believed yet; or what speaks against it.

        `sent` is a secret in the body. What passes by itself is tried three times in all; how long
        to wait is never the provider's word. Raises ProviderError.
        """
        secrets = tuple(one.reveal() for one in (bearer, sent) if one is not None)
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        if bearer is not None:
            headers["authorization"] = f"Bearer {bearer.reveal()}"
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode("ascii")
        deadline = Deadline(self.seconds)
        response = standing(
            lambda: send(method, url, deadline=deadline, headers=headers, body=content),
            deadline,
            self.pause,
        )
        if response.status != _OK:
            return _refusal(response, secrets)
        try:
            return parse_object(response.body)
        except ValueError as error:
            raise ProviderAnswerError(f"OpenAI's answer {error}") from None


def _refusal(response: Response, secrets: tuple[str, ...]) -> Refusal:
    """Return the error in the answer, by its status alone where it holds none."""
    try:
        answer = parse_object(response.body)
    except ValueError:
        answer = {}
    error = answer.get("error")
    if isinstance(error, dict):  # of the API
        texts = (error.get("code") or error.get("type"), error.get("message"))
    else:  # of the token endpoint: RFC 6749, section 5.2
        texts = (error, answer.get("error_description"))
    code, why, request_id = (
        told(text, *secrets) if isinstance(text, str) else ""
        for text in (*texts, response.headers.get("x-request-id"))
    )
    why = why or f"status {response.status}, without a reason"
    return Refusal(response.status, code, why, request_id)
