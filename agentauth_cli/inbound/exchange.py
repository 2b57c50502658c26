"""One token of an issuer for another, of the same subject and for another audience (RFC 8693).

As a public client, without a secret. The token goes to the configured endpoint alone, within 5 s;
no redirect is followed, at most 512 KiB are read. Nothing of the answer stands in an error but the
error code and its description (RFC 6749, section 5.2), redacted and cut.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentauth_cli.errors import ProviderError, SourceCredentialError
from agentauth_cli.inbound.jwt import opened
from agentauth_cli.inbound.oidc import SECONDS
from agentauth_cli.inbound.oidc_token import is_seconds, post, refusal
from agentauth_cli.secret import Secret
from agentauth_cli.strict_json import parse_object

_OK = 200
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPE = "urn:ietf:params:oauth:token-type:"
_ISSUED = frozenset(f"{_TYPE}{name}" for name in ("jwt", "access_token", "id_token"))
_USED_AS = frozenset({"bearer", "n_a"})


@dataclass(frozen=True, slots=True)
class Client:
    """As whom an issuer is asked: its name here, its token endpoint, and our client id."""

    issuer: str
    endpoint: str
    client_id: str


def exchange(client: Client, token: Secret, audience: str, seconds: float = SECONDS) -> Secret:
    """Return what the issuer gives for `token`: a token for `audience`, not looked at yet.

    Raises SourceCredentialError where it gives none, and AuthenticationError where `token` is none.
    """
    form: dict[str, str | Secret] = {
        "grant_type": _GRANT,
        "client_id": client.client_id,
        "audience": audience,
        "subject_token": token,
        "subject_token_type": _subject_type(token),
        "requested_token_type": f"{_TYPE}jwt",
    }
    try:
        response = post(client.endpoint, form, seconds)
    except ProviderError as error:
        raise _none(client, audience, error.message) from None
    if response.status != _OK:
        raise _none(client, audience, refusal(response, form).words)
    return _issued(response.body, client, audience)


def _subject_type(token: Secret) -> str:
    """Return what the token is: an access token where it says so itself (RFC 9068), else a JWT."""
    header, _ = opened(token.reveal())
    typ = header.get("typ")
    access = isinstance(typ, str) and typ.lower().removeprefix("application/") == "at+jwt"
    return f"{_TYPE}access_token" if access else f"{_TYPE}jwt"


def _issued(body: bytes, client: Client, audience: str) -> Secret:
    try:
        answer = parse_object(body)
    except ValueError as error:
        raise _none(client, audience, f"its answer {error}") from None
    token, lives = answer.get("access_token"), answer.get("expires_in")
    if answer.get("issued_token_type") not in _ISSUED:
        raise _none(client, audience, "its answer's `issued_token_type` is no JWT's")
    if str(answer.get("token_type")).lower() not in _USED_AS:
        raise _none(client, audience, "its answer's `token_type` is neither Bearer nor N_A")
    if not is_seconds(lives):
        raise _none(client, audience, "its answer's `expires_in` is no number of seconds")
    if not isinstance(token, str) or not token:
        raise _none(client, audience, "its answer has no `access_token`")
    return Secret(token)


def _none(client: Client, audience: str, why: str) -> SourceCredentialError:
    return SourceCredentialError(
        f"issuer {client.issuer} gives no token for {audience}: {why}",
        hint=f"See `token_endpoint` and `client_id` of [inbound.issuers.{client.issuer}]",
    )
