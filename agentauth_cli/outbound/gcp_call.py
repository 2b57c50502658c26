"""The calls that mint at Google: one strict POST each, sent by ourselves.

No SDK has a part in them: they are two forms and one JSON object, and google-auth parses answers
without any of the checks here. Sources: RFC 8693; the references of the Security Token Service,
`v1.token`, and of the IAM Service Account Credentials API, `generateAccessToken`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from agentauth_cli.errors import ProviderAnswerError
from agentauth_cli.outbound import gcp_refusal
from agentauth_cli.outbound.attempts import standing
from agentauth_cli.outbound.gcp_boundary import as_json
from agentauth_cli.outbound.gcp_scopes import IAM_SCOPE
from agentauth_cli.secret import Secret
from agentauth_cli.strict_json import parse_object
from agentauth_cli.transport import send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentauth_cli.outbound.gcp_boundary import Boundary
    from agentauth_cli.transport import Deadline, Response

STS = "https://sts.googleapis.com"
IAM = "https://iamcredentials.googleapis.com"

FORM = {"content-type": "application/x-www-form-urlencoded"}
EXCHANGE = "the token exchange"
IMPERSONATION = "generateAccessToken"
NARROWING = "the exchange for a narrowed token"

_OK = 200
_TYPE = "urn:ietf:params:oauth:token-type:"
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_VALUE = re.compile(r"[!-~]+")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z")


@dataclass(frozen=True, slots=True)
class Google:
    """Where Google is asked, and for how long: `deadline` is one for all calls of a mint.

    `sts` and `iam` are bases; `pause` waits between attempts.
    """

    sts: str
    iam: str
    deadline: Deadline
    pause: Callable[[float], None]

    @property
    def exchange_url(self) -> str:
        """The token endpoint of the Security Token Service."""
        return exchange_url(self.sts)

    def asked(
        self, what: str, url: str, headers: Mapping[str, str], body: bytes, *secrets: Secret
    ) -> dict[str, Any]:
        """Return the JSON object that a POST is answered with.

        `what` names the call in errors, `secrets` are those in it. What passes by itself is tried
        three times in all. Raises SourceCredentialError where another source would help, else
        ProviderError.
        """

        def call() -> Response:
            named = {"accept": "application/json", **headers}
            return send("POST", url, deadline=self.deadline, headers=named, body=body)

        response = standing(call, self.deadline, self.pause)
        return understood(what, response, *secrets)


def understood(what: str, response: Response, *secrets: Secret) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises as `Google.asked`."""
    if response.status != _OK:
        raise gcp_refusal.meant(what, response, *(one.reveal() for one in secrets))
    try:
        return parse_object(response.body)
    except ValueError as error:
        raise ProviderAnswerError(f"the answer to {what} {error}") from None


def exchange_url(sts: str) -> str:
    """Return the token endpoint below a base."""
    return f"{sts.rstrip('/')}/v1/token"


def account_url(iam: str, account: str) -> str:
    """Return where a token of a service account is asked for."""
    return f"{iam.rstrip('/')}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"


def exchange_form(audience: str, subject_type: str) -> dict[str, str]:
    """Return the form that exchanges a token of an issuer, but for the token itself."""
    return {
        "grant_type": _GRANT,
        "audience": audience,
        "scope": IAM_SCOPE,
        "requested_token_type": f"{_TYPE}access_token",
        "subject_token_type": subject_type,
    }


def impersonation_body(scopes: Sequence[str], seconds: int) -> dict[str, Any]:
    """Return the JSON object that asks for a service account's token."""
    return {"scope": list(scopes), "lifetime": f"{seconds}s"}


def federated(
    google: Google, audience: str, token: Secret, subject_type: str = f"{_TYPE}jwt"
) -> Secret:
    """Exchange a token of an issuer that the audience, a provider of a pool, trusts."""
    form = exchange_form(audience, subject_type) | {"subject_token": token.reveal()}
    answer = _exchanged(google, EXCHANGE, form, token)
    return issued(answer, EXCHANGE)[0]


def impersonated(
    google: Google, account: str, body: Mapping[str, Any], source: Secret, reason: str
) -> tuple[Secret, datetime]:
    """Return a token of the service account, and its end. `reason` goes into Google's audit log."""
    headers = {
        "authorization": f"Bearer {source.reveal()}",
        "content-type": "application/json",
        "x-goog-request-reason": reason,
    }
    url = account_url(google.iam, account)
    answer = google.asked(
        f"{IMPERSONATION} for {account}", url, headers, json.dumps(dict(body)).encode(), source
    )
    end = answer.get("expireTime")
    if not isinstance(end, str) or not _TIME.fullmatch(end):
        raise ProviderAnswerError("Google answered with no usable expireTime")
    try:
        ends = datetime.fromisoformat(end)  # which cuts nanoseconds off
    except ValueError:
        raise ProviderAnswerError("Google answered with no usable expireTime") from None
    return _value(answer, "accessToken"), ends


def narrowed(google: Google, token: Secret, boundary: Boundary) -> tuple[Secret, int]:
    """Return the token cut down to the boundary, and the seconds that it lives."""
    form = {
        "grant_type": _GRANT,
        "requested_token_type": f"{_TYPE}access_token",
        "subject_token_type": f"{_TYPE}access_token",
        "subject_token": token.reveal(),
        # Encoded here and once more as a field of the form, as google-auth does it.
        "options": quote(as_json(boundary)),
    }
    made, lives = issued(_exchanged(google, NARROWING, form, token), NARROWING)
    if made == token:
        raise ProviderAnswerError("Google answered with the token that was to be narrowed")
    return made, lives


def _exchanged(google: Google, what: str, form: Mapping[str, str], token: Secret) -> dict[str, Any]:
    answer = google.asked(what, google.exchange_url, FORM, urlencode(form).encode("ascii"), token)
    if answer.get("issued_token_type") != f"{_TYPE}access_token":
        raise ProviderAnswerError(f"the answer to {what} is no access token")
    return answer


def issued(answer: Mapping[str, Any], what: str) -> tuple[Secret, int]:
    """Return the token of an answer by OAuth, and the seconds that it lives (RFC 6749, 5.1)."""
    lives = answer.get("expires_in")
    if str(answer.get("token_type")).lower() != "bearer":
        raise ProviderAnswerError(f"the answer to {what} has a token_type that is not Bearer")
    if not isinstance(lives, int) or isinstance(lives, bool) or lives <= 0:
        raise ProviderAnswerError(f"the answer to {what} has no usable expires_in")
    return _value(answer, "access_token"), lives


def _value(answer: Mapping[str, Any], name: str) -> Secret:
    value = answer.get(name)
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ProviderAnswerError(f"Google answered with no usable {name}")
    return Secret(value)
