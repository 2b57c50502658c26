"""The trusted publishers of the fake Hub, and the tokens that prove them.

Source: the Hub's page "Trusted Publishers".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

AUDIENCE = "https://huggingface.co"
_ALGORITHMS = ["RS256", "ES256", "EdDSA"]
_PREFIXES = {"datasets": "dataset", "spaces": "space", "kernels": "kernel"}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,96}")


@dataclass(frozen=True)
class Publisher:
    """Who may exchange a token for which `resource`; all `claims` must be equal.

    A `resource` without a slash is a user's CI/CD identity: it reads public gated repositories.
    """

    resource: str
    issuer: str
    claims: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False


def publisher(
    publishers: Iterable[Publisher],
    keys: Mapping[str, list[Mapping[str, Any]]],
    resource: str,
    token: str,
    now: datetime,
) -> Publisher | None:
    """Return the publisher of this resource that the token proves, None for no such one."""
    for one in publishers:
        if one.resource != resource:
            continue
        claims = _verified(token, one.issuer, keys.get(one.issuer, []), now)
        if claims is not None and one.claims.items() <= claims.items():
            return one
    return None


def _verified(
    token: str, issuer: str, keys: list[Mapping[str, Any]], now: datetime
) -> dict[str, Any] | None:
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        jwk = next(one for one in keys if one.get("kid") == kid)
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(dict(jwk)).key,
            algorithms=_ALGORITHMS,
            audience=AUDIENCE,
            issuer=issuer,
            # the times are held against the clock of this server
            options={
                "require": ["exp", "iss", "aud", "sub"],
                "strict_aud": True,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, StopIteration):
        return None
    at = now.timestamp()
    return claims if claims.get("nbf", at) <= at < claims["exp"] else None


def entity(resource: str) -> tuple[str, str] | None:
    """Return type and name of what the exchange is asked for, None for what cannot be meant."""
    parts = resource.split("/")
    if not all(_NAME.fullmatch(part) for part in parts):
        return None
    match parts:
        case [_]:
            return "user", resource
        case [first, _] if first not in {*_PREFIXES, "models"}:
            return "model", resource
        case [first, namespace, name] if first in _PREFIXES:
            return _PREFIXES[first], f"{namespace}/{name}"
        case _:
            return None
