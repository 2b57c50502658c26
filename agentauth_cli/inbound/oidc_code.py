"""Logging in through the browser: authorization code with PKCE (RFC 6749, 7636, 8252, 9207).

What the browser brings counts only with the `state` of this very attempt, and from the provider
that was asked. Raises AuthenticationError with the reasons login_state, login_issuer, login_answer,
login_refused, and those of `oidc`, `oidc_token` and `oidc_redirect`.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from agentauth_cli.errors import AuthenticationError, ProviderError
from agentauth_cli.inbound.oidc import unreachable
from agentauth_cli.inbound.oidc_token import Refusal, ask
from agentauth_cli.secret import Secret, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentauth_cli.inbound.oidc import Provider
    from agentauth_cli.inbound.oidc_token import Tokens

_BYTES = 32
_FIELDS = 32


@dataclass(frozen=True, slots=True)
class Attempt:
    """What makes one login unlike any other: nobody can foresee any of it."""

    state: str
    nonce: str
    verifier: Secret

    @property
    def challenge(self) -> str:
        """What is told of the verifier beforehand (RFC 7636, section 4.2)."""
        digest = hashlib.sha256(self.verifier.reveal().encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def attempt(chance: Callable[[int], str]) -> Attempt:
    """Return a new attempt. `chance` makes text of so many bytes that nobody can foresee."""
    return Attempt(chance(_BYTES), chance(_BYTES), Secret(chance(_BYTES)))


def page(provider: Provider, made: Attempt, redirect_uri: str) -> str:
    """Return the URL that the browser has to open. There is no secret in it."""
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(provider.scopes),
        "state": made.state,
        "nonce": made.nonce,
        "code_challenge": made.challenge,
        "code_challenge_method": "S256",
    }
    mark = "&" if "?" in provider.begins else "?"
    return f"{provider.begins}{mark}{urlencode(asked)}"


def code(provider: Provider, made: Attempt, query: str) -> Secret:
    """Return the code that the browser brought."""
    fields = _fields(query)
    if not secrets.compare_digest(fields.get("state", "").encode(), made.state.encode()):
        raise _refused("what the browser brought is not the answer to this login", "login_state")
    issuer = fields.get("iss")
    if issuer != provider.issuer.issuer and (provider.names_itself or issuer is not None):
        raise _refused("the answer is of another issuer than was asked (`iss`)", "login_issuer")
    if "error" in fields:
        said = [fields[name] for name in ("error", "error_description") if fields.get(name)]
        words = ": ".join(told(one) for one in said) or "it does not say why"
        raise _refused(f"issuer {provider.issuer.name} refused it: {words}", "login_refused")
    if not fields.get("code"):
        raise _refused("the answer holds no code", "login_answer")
    return Secret(fields["code"])


def tokens(provider: Provider, made: Attempt, received: Secret, redirect_uri: str) -> Tokens:
    """Return what the provider gives for the code."""
    form: dict[str, str | Secret] = {
        "grant_type": "authorization_code",
        "client_id": provider.client_id,
        "code": received,
        "redirect_uri": redirect_uri,
        "code_verifier": made.verifier,
    }
    try:
        found = ask(provider.token_endpoint, form, provider.issuer.name)
    except ProviderError as error:
        raise unreachable(provider.issuer.name, error.message) from None
    if isinstance(found, Refusal):
        raise _refused(f"issuer {provider.issuer.name} refused it: {found.words}", "login_refused")
    return found


def _fields(query: str) -> dict[str, str]:
    """Return the parameters of the answer, none of which may come twice (RFC 6749, 3.1)."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except ValueError:
        pairs = []
    fields = dict(pairs)
    if not pairs or len(fields) != len(pairs):
        raise _refused("what the browser brought cannot be read", "login_answer")
    return fields


def _refused(why: str, reason: str) -> AuthenticationError:
    return AuthenticationError(why, reason=reason, hint="Nothing was kept: log in again")
