"""The ID token of a login → its claims, and whom they speak of (OpenID Connect Core 1.0, 3.1.3.7).

Verified as every token is (`jwt`), but for the client id in place of the audience: it says who has
logged in here, and is nothing to show to anybody else. Raises AuthenticationError as `jwt.verify`
does, and with the reasons azp_refused and nonce_refused.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound import claims
from agentauth_cli.inbound.jwt import opened, verify
from agentauth_cli.secret import Secret
from agentauth_cli.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.jwt import Keys
    from agentauth_cli.model import Principal


def verified(
    token: Secret,
    issuer: Issuer,
    client_id: str,
    nonce: str | None,
    keys: Keys,
    now: datetime,
) -> Secret:
    """Return the claims of a good ID token, as JSON. `nonce` is what the request had, if any."""
    verify(token, [replace(issuer, audience=client_id)], keys, now)
    _, found = opened(token.reveal())
    _check_party(found, client_id)
    if nonce is not None:
        _check_nonce(found.get("nonce"), nonce)
    return Secret(json.dumps(dict(found)))


def principal(
    kept: Secret, issuer: Issuer, client_id: str, issuers: Sequence[Issuer], now: datetime
) -> Principal:
    """Return who the claims that were kept speak of, by the configuration as it is.

    `now` is the time by which they are judged. Raises ValueError for what `verified` did not make.
    """
    found = parse_object(kept.reveal().encode("utf-8", "surrogatepass"))
    return claims.principal(found, replace(issuer, audience=client_id), issuers, now)


def _check_party(found: Mapping[str, Any], client_id: str) -> None:
    """Refuse a token that was given to another client, also where it names us beside it."""
    audience = found.get("aud")
    several = isinstance(audience, list) and audience != [client_id]
    if found.get("azp", None if several else client_id) != client_id:
        raise AuthenticationError(
            "the ID token was given to another client (`azp`)", reason="azp_refused"
        )


def _check_nonce(found: object, nonce: str) -> None:
    if not isinstance(found, str) or not secrets.compare_digest(found.encode(), nonce.encode()):
        raise AuthenticationError(
            "the ID token is not the answer to this login (`nonce`)", reason="nonce_refused"
        )
