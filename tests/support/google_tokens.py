"""What the fake of Google gives out, to whom, and the proofs that it takes.

Sources: "Workload identity federation", the reference of STS (`v1.token`), RFC 7523 (assertions of
service accounts) and "Restrict access with attribute conditions".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jwt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from support.faulty import Request
    from support.google_boundary import Rule

AUTH = "https://www.googleapis.com/auth/"
CLOUD = f"{AUTH}cloud-platform"
IAM = f"{AUTH}iam"
READS = {CLOUD, f"{CLOUD}.read-only"} | {
    f"{AUTH}devstorage.{one}" for one in ("read_only", "read_write", "full_control")
}
WRITES = READS - {f"{CLOUD}.read-only", f"{AUTH}devstorage.read_only"}

_ALGORITHMS = ["RS256", "ES256"]
_LONGEST_PROOF = 48 * 3600
_LONGEST_SUBJECT = 127
_PROVIDER = re.compile(
    r"//iam\.googleapis\.com/projects/[0-9]+/locations/global"
    r"/workloadIdentityPools/([a-z0-9-]{4,32})/providers/[a-z0-9-]{4,32}"
)


@dataclass
class Provider:
    """A provider of a workload identity pool; `name` is its full resource name.

    Without `audiences` a token is for its name, with or without `https:`. All `claims` must be
    equal, as an attribute condition would have it.
    """

    name: str
    issuer: str
    audiences: tuple[str, ...] = ()
    claims: Mapping[str, object] = field(default_factory=dict)

    def takes(self, audience: object) -> bool:
        """Whether a token for this audience, or for these, is for it."""
        accepted = self.audiences or (self.name, f"https:{self.name}")
        listed = audience if isinstance(audience, list) else [audience]
        return any(one in accepted for one in listed)

    def member(self, subject: str) -> str:
        """Return who a subject of it is in an IAM policy."""
        return f"principal:{self.name.rpartition('/providers/')[0]}/subject/{subject}"


@dataclass
class Account:
    """A service account: who may make its tokens, and for how many seconds at most."""

    creators: set[str] = field(default_factory=set)
    longest: int = 3600
    disabled: bool = False
    key: Mapping[str, Any] | None = None
    """The public half of its key, as a JWK, where it has one."""


@dataclass(frozen=True)
class Token:
    """An access token: of whom (as IAM names them), for which scopes, within which rules."""

    member: str
    scopes: frozenset[str]
    expires: datetime
    rules: tuple[Rule, ...] | None = None


class ProofError(Exception):
    """Why a proof is not taken: the `error` and `error_description` of RFC 6749, 5.2."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code, description)
        self.said = {"error": code, "error_description": description}


def is_provider(name: str) -> bool:
    """Whether this is the full resource name of a provider."""
    return _PROVIDER.fullmatch(name) is not None


def federated(
    provider: Provider, keys: Iterable[Mapping[str, Any]], token: str, now: datetime
) -> str:
    """Return who the token proves to be, as a member; raises ProofError."""
    claims = signed(token, keys, now)
    if claims["iss"] != provider.issuer:
        raise ProofError("invalid_grant", "The issuer in ID Token is not the expected one.")
    if not provider.takes(claims["aud"]):
        raise ProofError("invalid_grant", "The audience in ID Token is not the expected one.")
    if not isinstance(claims["sub"], str) or not 1 <= len(claims["sub"]) <= _LONGEST_SUBJECT:
        raise ProofError("invalid_request", "The mapped google.subject has 1 to 127 bytes.")
    if not provider.claims.items() <= claims.items():
        rejected = "The given credential is rejected by the attribute condition."
        raise ProofError("unauthorized_client", rejected)
    return provider.member(claims["sub"])


def signed(token: str, keys: Iterable[Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    """Return the claims of a token that one of these keys signed and that holds now."""
    try:
        kid = jwt.get_unverified_header(token)["kid"]
        jwk = next(one for one in keys if one.get("kid") == kid)
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(dict(jwk)).key,
            algorithms=_ALGORITHMS,
            # times and audience are held against the clock and names of this server
            options={
                "require": ["iss", "iat", "exp", "aud"],
                "verify_aud": False,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, KeyError, StopIteration):
        raise ProofError("invalid_grant", "Error connecting to the given credential.") from None
    at = now.timestamp()
    lives = claims["exp"] - claims["iat"]
    begun = claims["iat"] <= at and claims.get("nbf", at) <= at
    if not begun or claims["exp"] <= at or lives >= _LONGEST_PROOF:
        raise ProofError("invalid_grant", "ID Token is stale to sign-in.")
    return {"sub": None} | claims


def form(request: Request) -> dict[str, str]:
    """Return a form's parameters, each of which is there once and says something."""
    if "authorization" in request.headers:
        raise ProofError("invalid_request", "The method takes no Authorization header.")
    if request.headers.get("content-type") != "application/x-www-form-urlencoded":
        raise ProofError("invalid_request", "Expected a form.")
    listed = parse_qsl(request.body.decode("ascii"), keep_blank_values=True)
    asked = dict(listed)
    if len(asked) != len(listed) or not all(asked.values()):
        raise ProofError("invalid_request", "A parameter is empty, or there twice.")
    return asked
