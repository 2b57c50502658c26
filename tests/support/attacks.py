"""Tokens as an attacker makes them, and the one verdict on each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import ALGORITHMS, parse
from agentauth_cli.inbound.jwt import verify
from agentauth_cli.secret import Secret
from support.issuer import Signer, base64url, ed448_signer, signer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentauth_cli.inbound.jwk import Key
    from agentauth_cli.model import Principal

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISS = "https://login.example.test/"
OTHER_ISS = "https://other.test"
ISSUER = Issuer("okta", ISS, "agentauth", algorithms=tuple(ALGORITHMS), groups_claim="groups")
OTHER = replace(ISSUER, name="other", issuer=OTHER_ISS)
ACCEPTED = "accepted"

RSA, EC, ED = signer("RS256"), signer("ES256"), signer("EdDSA")
SIGNERS = [
    RSA,
    signer("RS384"),
    signer("RS512"),
    signer("PS256"),
    EC,
    signer("ES384"),
    signer("ES512"),
    ED,
    ed448_signer(),
]
BY_NAME = [f"{one.algorithm}-{type(one.private).__name__[:5]}" for one in SIGNERS]


def claims(**more: object) -> dict[str, object]:
    """Return good claims, with these over them."""
    return {"iss": ISS, "aud": "agentauth", "sub": "alice", "exp": SECONDS + 600} | more


def payload(more: str) -> bytes:
    """Return good claims as JSON, with this written into the object by hand."""
    return json.dumps(claims())[:-1].encode() + b", " + more.encode() + b"}"


def unsigned(header: Mapping[str, Any] | bytes, body: Mapping[str, Any] | bytes) -> str:
    """Return the signed part of a token."""
    parts = (one if isinstance(one, bytes) else json.dumps(one).encode() for one in (header, body))
    return ".".join(map(base64url, parts))


def resigned(token: str, signature: bytes) -> str:
    """Return the token with another signature."""
    return f"{token.rpartition('.')[0]}.{base64url(signature)}"


@dataclass
class Keys:
    """The key sets of the two issuers; `asked` is what was asked for."""

    sets: dict[str, list[Mapping[str, Any]]]
    asked: list[tuple[str, str | None]]

    def __call__(self, issuer: Issuer, kid: str | None) -> Sequence[Key]:
        """Return the keys of an issuer."""
        self.asked.append((issuer.name, kid))
        found = [parse(dict(one)) for one in self.sets[issuer.name]]
        return [key for key in found if key is not None and kid in (None, key.kid)]


def keys(*own: Mapping[str, Any], other: Sequence[Mapping[str, Any]] = ()) -> Keys:
    """Return the key sets: the issuer's own, and the other issuer's."""
    return Keys({"okta": list(own), "other": list(other)}, [])


def judge(token: str, source: Keys, issuer: Issuer = ISSUER) -> Principal:
    """Verify a token at NOW. Raises AuthenticationError."""
    return verify(Secret(token), [issuer, OTHER], source, NOW)


def verdict(token: str, *own: Mapping[str, Any], source: Keys | None = None) -> str:
    """Return `accepted`, or the reason of the refusal, which quotes nothing of the token's own."""
    source = source or keys(*own)
    try:
        judge(token, source)
    except AuthenticationError as error:
        refused = error
    else:
        return ACCEPTED
    assert refused.exit_code == 4
    assert refused.message
    assert not refused.message.endswith(".")
    assert refused.message.isprintable()
    assert len(token) < 20 or token not in f"{refused.message} {refused.hint}"
    assert refused.__cause__ is None
    return refused.reason


def textbook_rsa(message: bytes, n: int, d: int) -> bytes:
    """Return the PKCS #1 v1.5 signature with SHA-256 that no library would make with such a key."""
    length = (n.bit_length() + 7) // 8
    info = (
        bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(message).digest()
    )
    encoded = b"\x00\x01" + b"\xff" * (length - len(info) - 3) + b"\x00" + info
    return pow(int.from_bytes(encoded, "big"), d, n).to_bytes(length, "big")


def number(value: int) -> str:
    """Return a number as a JWK has it (RFC 7518, Base64urlUInt)."""
    return base64url(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))


def kid_of(made: Signer, **members: object) -> dict[str, object]:
    """Return the usual header of a signer with these members over it; None takes one away."""
    return {name: value for name, value in made.header(**members).items() if value is not None}
