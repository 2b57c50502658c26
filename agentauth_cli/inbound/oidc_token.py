"""Asking an OpenID provider's token endpoint, as a public client (RFC 6749, 7009).

Each request ends within 5 s, at most 512 KiB of answer are read, no redirect is followed. Tokens
are wrapped as soon as they are read. Nothing of an answer stands in an error but the error code and
its description, redacted and cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import urlencode

from agentauth_cli.errors import AuthenticationError, ProviderError
from agentauth_cli.inbound.jwt import MAX_TOKEN
from agentauth_cli.inbound.oidc import LIMIT, SECONDS, unreachable
from agentauth_cli.secret import Secret, told
from agentauth_cli.strict_json import parse_object
from agentauth_cli.transport import Deadline, send

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.transport import Response

_OK = 200
_TRANSIENT = 500
_TOO_MANY = 429
LONGEST_LIFE = 366 * 24 * 60 * 60
"""In seconds: whatever says it lives longer says nothing."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave. `life` is that of the access token, in seconds."""

    access: Secret
    life: int
    id_token: Secret | None = None
    refresh: Secret | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an endpoint says instead: the code of RFC 6749, section 5.2, empty where it has none.

    `words` are for people. `transient`: it may well answer the same request in a while.
    """

    code: str
    words: str
    transient: bool = False


def ask(endpoint: str, form: Mapping[str, str | Secret], issuer: str) -> Tokens | Refusal:
    """Return what the endpoint gives for this form.

    Raises ProviderError where it could not be asked, AuthenticationError with the reason
    `answer_refused` where its answer is not one to believe.
    """
    response = post(endpoint, form)
    if response.status != _OK:
        return refusal(response, form)
    try:
        answer = parse_object(response.body)
    except ValueError as error:
        raise unfit(issuer, str(error)) from None
    return _tokens(answer, issuer)


def post(endpoint: str, form: Mapping[str, str | Secret], seconds: float = SECONDS) -> Response:
    """Send a form, and return the answer whatever it says. Raises ProviderError."""
    plain = {
        name: value.reveal() if isinstance(value, Secret) else value for name, value in form.items()
    }
    return send(
        "POST",
        endpoint,
        deadline=Deadline(seconds),
        headers={
            "accept": "application/json",
            "content-type": "application/x-www-form-urlencoded",
        },
        body=urlencode(plain).encode("ascii"),
        limit=LIMIT,
    )


def refusal(response: Response, form: Mapping[str, str | Secret]) -> Refusal:
    """Return what an answer that is no success says; nothing of the form's secrets is told."""
    try:
        answer: dict[str, Any] = parse_object(response.body)
    except ValueError:
        answer = {}
    sent = [value.reveal() for value in form.values() if isinstance(value, Secret)]
    code, description = answer.get("error"), answer.get("error_description")
    words = [told(one, *sent) for one in (code, description) if isinstance(one, str) and one]
    transient = response.status >= _TRANSIENT or response.status == _TOO_MANY
    return Refusal(
        code if isinstance(code, str) else "",
        ": ".join(words) or f"it answered with status {response.status}",
        transient,
    )


def revoke(endpoint: str, client_id: str, refresh: Secret, issuer: str) -> None:
    """Have a refresh token end (RFC 7009). Raises AuthenticationError where it may still live."""
    form: dict[str, str | Secret] = {
        "token": refresh,
        "token_type_hint": "refresh_token",
        "client_id": client_id,
    }
    try:
        response = post(endpoint, form)
    except ProviderError as error:
        raise unreachable(issuer, error.message) from None
    if response.status != _OK:
        raise unreachable(issuer, refusal(response, form).words)


def _tokens(answer: dict[str, Any], issuer: str) -> Tokens:
    """Return the tokens of a good answer (RFC 6749, section 5.1). Raises AuthenticationError."""
    access, id_token, refresh = (
        _secret(answer, name, issuer) for name in ("access_token", "id_token", "refresh_token")
    )
    kind, life = answer.get("token_type"), answer.get("expires_in")
    if access is None:
        raise unfit(issuer, "has no `access_token`")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise unfit(issuer, "has a `token_type` that is not Bearer")
    if not is_seconds(life):
        raise unfit(issuer, "has an `expires_in` that is no number of seconds")
    return Tokens(access, life, id_token, refresh)


def _secret(answer: dict[str, Any], name: str, issuer: str) -> Secret | None:
    value = answer.pop(name, None)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN:
        raise unfit(issuer, f"has an `{name}` that is no token")
    if not value.isascii() or not value.isprintable():
        raise unfit(issuer, f"has an `{name}` that is no token")
    return Secret(value)


def is_seconds(value: object) -> TypeGuard[int]:
    """Say whether it is a whole number of seconds, more than 0 and no more than a year."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LONGEST_LIFE


def unfit(issuer: str, why: str) -> AuthenticationError:
    """Return that an answer is not one to believe."""
    return AuthenticationError(
        f"the answer of issuer {issuer} {why}",
        reason="answer_refused",
        hint=f"Check [inbound.issuers.{issuer}]",
    )
