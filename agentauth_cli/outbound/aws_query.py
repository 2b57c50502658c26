"""One call by AWS's query protocol: sent, again after a passing fault, its answer read.

Sources: the STS API reference, "Common errors", AssumeRole and AssumeRoleWithWebIdentity; the IAM
API reference, "Common errors", PutRolePolicy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from agentauth_cli.errors import ProviderAnswerError
from agentauth_cli.outbound import aws_xml
from agentauth_cli.outbound.attempts import busy, standing
from agentauth_cli.secret import told
from agentauth_cli.transport import Deadline, send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.outbound.aws_call import Endpoint
    from agentauth_cli.transport import Response

    Sign = Callable[[str, Mapping[str, str], bytes], Mapping[str, str]]

_OK = 200
_PASSING = frozenset(
    {
        "ConcurrentModification",
        "IDPCommunicationError",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_HEADERS = {
    "accept": "text/xml",
    "content-type": "application/x-www-form-urlencoded; charset=utf-8",
}
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What AWS says against it, as it may be shown. `passes`: it may be another story later."""

    code: str
    why: str
    request_id: str
    passes: bool

    def __str__(self) -> str:
        return f"{self.code or 'no code'}: {self.why} (request id {self.request_id or 'none'})"


def unsigned(_url: str, headers: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
    """Return the headers as they are."""
    return headers


@dataclass(frozen=True, slots=True)
class Query:
    """How AWS is asked: `sign` returns the headers of a request, `secrets` are in no message.

    `pause` waits between attempts, no longer than it is told.
    """

    endpoint: Endpoint
    pause: Callable[[float], None]
    secrets: tuple[str, ...]
    sign: Sign = unsigned

    def ask(self, fields: Mapping[str, str]) -> Mapping[str, Any] | Refusal:
        """Return the result, `Expiration` as a time, not believed yet; or what speaks against it.

        Raises ProviderError.
        """
        answer = self.said(fields)
        return answer if isinstance(answer, Refusal) else _result(answer, fields["Action"])

    def said(self, fields: Mapping[str, str]) -> aws_xml.Tree | Refusal:
        """Return the whole answer, or what speaks against it.

        What passes by itself is tried three times in all, within one deadline; how long to wait is
        never the provider's word. Raises ProviderError.
        """
        deadline = Deadline(self.endpoint.seconds)
        response = standing(
            lambda: self._sent(fields, deadline),
            deadline,
            self.pause,
            lambda answer: answer.status != _OK and self._refusal(answer).passes,
        )
        if response.status != _OK:
            return self._refusal(response)
        operation = fields["Action"]
        try:
            root = f"{operation}Response"
            return aws_xml.parse(response.body, root, self.endpoint.namespace)
        except ValueError as error:
            raise ProviderAnswerError(f"the answer to {operation} {error}") from None

    def _sent(self, fields: Mapping[str, str], deadline: Deadline) -> Response:
        body = urlencode(fields).encode("ascii")
        return send(
            "POST",
            self.endpoint.url,
            deadline=deadline,
            headers=self.sign(self.endpoint.url, _HEADERS, body),
            body=body,
            ca_bundle=self.endpoint.ca_bundle,
        )

    def _refusal(self, response: Response) -> Refusal:
        """Return the error in the answer, by its status alone where it holds none."""
        try:
            answer = aws_xml.parse(response.body, "ErrorResponse", self.endpoint.namespace)
        except ValueError:
            answer = {}
        error = answer.get("Error")
        said = error if isinstance(error, dict) else {}
        texts = (said.get("Code"), said.get("Message"), answer.get("RequestId"))
        code, why, request_id = (
            told(text, *self.secrets) if isinstance(text, str) else "" for text in texts
        )
        why = why or f"status {response.status}, without a reason"
        return Refusal(code, why, request_id, busy(response) or code in _PASSING)


def _result(answer: aws_xml.Tree, operation: str) -> Mapping[str, Any]:
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
