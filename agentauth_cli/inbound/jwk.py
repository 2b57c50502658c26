"""One public key of an issuer (RFC 7517), and which algorithms it fits (RFC 7518, RFC 8037)."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jwt.algorithms import AllowedKeys, AllowedPublicKeys

RSA_BITS = 2048
RSA_EXPONENT = 65537  # FIPS 186-5, 5.4: with 1 anybody signs, with 3 many have

_RSA = frozenset({"RSA"})
ALGORITHMS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "RS256": _RSA,
        "RS384": _RSA,
        "RS512": _RSA,
        "PS256": _RSA,
        "PS384": _RSA,
        "PS512": _RSA,
        "ES256": frozenset({"P-256"}),
        "ES384": frozenset({"P-384"}),
        "ES512": frozenset({"P-521"}),
        "EdDSA": frozenset({"Ed25519", "Ed448"}),
    }
)
"""The algorithms that there are for us, all asymmetric, and the forms of key that each takes."""

_MEMBERS = ("kty", "kid", "alg", "use", "key_ops", "crv", "x", "y", "n", "e")
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class Key:
    """A public key. `form` is ``RSA`` or the curve; `weakness` says why it is too weak, if it is.

    `length` is that of its signatures in bytes, for RSA: OpenSSL takes PSS ones that are shorter by
    their leading zeros, which RFC 8017, 8.1.2, does not. `algorithm` is the one that the issuer
    made it for, where it says so. `jwk` are the public members that it was made of.
    """

    kid: str | None
    form: str
    length: int | None
    weakness: str | None
    algorithm: str | None
    public: AllowedPublicKeys = field(repr=False)
    jwk: Mapping[str, Any] = field(repr=False, hash=False)

    def fits(self, algorithm: str) -> bool:
        """Say whether the key's type and curve, and its own `alg`, are those of `algorithm`."""
        return self.form in ALGORITHMS[algorithm] and self.algorithm in (None, algorithm)


def parse(jwk: object) -> Key | None:
    """Return the key, or None for one that may not or cannot verify a signature.

    That is: symmetric, private (whoever published it has lost it), for another use than
    signatures, of an unknown curve, or malformed.
    """
    if not isinstance(jwk, dict) or _PRIVATE & jwk.keys() or not _verifies(jwk):
        return None
    kid, algorithm = jwk.get("kid"), jwk.get("alg")
    if not isinstance(kid, str | None) or not isinstance(algorithm, str | None):
        return None
    public = _public(jwk)
    if public is None:
        return None
    return Key(
        kid,
        form="RSA" if jwk["kty"] == "RSA" else jwk["crv"],
        length=_length(public),
        weakness=_weakness(public),
        algorithm=algorithm,
        public=public,
        jwk={name: jwk[name] for name in _MEMBERS if name in jwk},
    )


def _verifies(jwk: Mapping[str, Any]) -> bool:
    if jwk.get("use", "sig") != "sig":
        return False
    operations = jwk.get("key_ops", ["verify"])
    return isinstance(operations, list) and "verify" in operations


def _length(public: AllowedPublicKeys) -> int | None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    return (public.key_size + 7) // 8 if isinstance(public, RSAPublicKey) else None


def _weakness(public: AllowedPublicKeys) -> str | None:
    """Return what is wrong with an RSA key that could be broken; other keys have no choice."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if not isinstance(public, RSAPublicKey):
        return None
    if public.key_size < RSA_BITS:
        return f"has fewer than {RSA_BITS} bits"
    if public.public_numbers().e < RSA_EXPONENT:
        return f"has an exponent under {RSA_EXPONENT}"
    return None


def _public(jwk: dict[str, Any]) -> AllowedPublicKeys | None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from jwt import PyJWTError
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

    key: AllowedKeys
    try:
        match jwk.get("kty"):
            case "RSA":
                key = RSAAlgorithm.from_jwk(jwk)
            case "EC":
                key = ECAlgorithm.from_jwk(jwk)
            case "OKP":
                key = OKPAlgorithm.from_jwk(jwk)
            case _:
                return None
    except (PyJWTError, UnsupportedAlgorithm, TypeError, ValueError):
        return None
    # A public one, since `parse` lets no private member through.
    return cast("AllowedPublicKeys", key)
