"""A signed token → who presents it (RFC 7519, by RFC 8725, and stricter where it costs nothing).

`verify` raises AuthenticationError with one of these reasons:

form        token_too_large, token_form, token_encoding, token_json
header      algorithm_refused, kid_form, typ_refused, crit_refused, b64_refused
issuer      issuer_unknown, issuer_ambiguous
key         key_unknown, key_unfit, key_ambiguous, key_weak, and those of `jwks`
signature   signature_invalid
claims      those of `claims`

Nothing of the token stands in an error but its issuer, key id, algorithm and type, escaped and cut.
``jku``, ``x5u``, ``jwk`` and ``x5c`` of the header are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.claims import principal, shown
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import ALGORITHMS
from agentauth_cli.strict_json import decode_base64url, parse_object

if TYPE_CHECKING:
    from datetime import datetime

    from jwt.algorithms import Algorithm

    from agentauth_cli.inbound.jwk import Key
    from agentauth_cli.model import Principal
    from agentauth_cli.secret import Secret

MAX_TOKEN = 16 * 1024

_PARTS = 3
_TYPES = frozenset({"jwt", "at+jwt"})
_ALONE = "Present the JWT as the issuer gave it, with nothing around it"


Keys = Callable[[Issuer, str | None], "Sequence[Key]"]
"""The keys of an issuer that have this key id; without one, all."""


def verify(token: Secret, issuers: Sequence[Issuer], keys: Keys, now: datetime) -> Principal:
    """Return who the token stands for.

    Raises AuthenticationError, with a reason of the table above, for anything less than a good
    token of one of the issuers; what `keys` raises goes through.
    """
    text = token.reveal()
    header, claims, signature = _parts(text)
    issuer = _issuer(claims.get("iss"), issuers)
    algorithm = _algorithm(header.get("alg"), issuer)
    kid = _kid(header)
    key = _one_key(keys(issuer, kid), algorithm, kid)
    _check_signature(text, signature, key, algorithm)
    return principal(claims, issuer, issuers, now)


def opened(text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return header and payload, of which nothing is believed yet. Raises AuthenticationError."""
    header, payload, _ = _parts(text)
    return header, payload


def _parts(text: str) -> tuple[Mapping[str, Any], Mapping[str, Any], bytes]:
    if len(text) > MAX_TOKEN:
        raise AuthenticationError(
            f"the token is longer than {MAX_TOKEN} bytes", reason="token_too_large"
        )
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise AuthenticationError(
            "the token is not a signed JWT: it has not exactly three parts",
            reason="token_form",
            hint=_ALONE,
        )
    header, payload, signature = parts
    return _read(header, "header"), _read(payload, "payload"), _decoded(signature)


@lru_cache(maxsize=64)
def _read(part: str, name: str) -> Mapping[str, Any]:
    """Return header or payload, remembered: a service sees the same token again and again.

    Neither opens anything without the signature, which is checked each time.
    """
    return MappingProxyType(_object(_decoded(part), name))


def _decoded(part: str) -> bytes:
    try:
        return decode_base64url(part)
    except ValueError as error:
        raise AuthenticationError(
            f"the token {error}", reason="token_encoding", hint=_ALONE
        ) from None


def _object(content: bytes, part: str) -> dict[str, Any]:
    try:
        return parse_object(content)
    except ValueError as error:
        raise AuthenticationError(f"the token's {part} {error}", reason="token_json") from None


def _issuer(iss: object, issuers: Sequence[Issuer]) -> Issuer:
    found = [issuer for issuer in issuers if issuer.issuer == iss]
    if not found:
        raise AuthenticationError(
            f"the token's issuer {shown(iss)} is not configured",
            reason="issuer_unknown",
            hint="Its `iss` must equal `issuer` of an [inbound.issuers.NAME] in config.toml",
        )
    if len(found) > 1:
        names = ", ".join(issuer.name for issuer in found)
        raise AuthenticationError(
            f"the token's issuer {shown(iss)} is configured more than once: {names}",
            reason="issuer_ambiguous",
            hint="Keep one of them in config.toml",
        )
    return found[0]


def _algorithm(alg: object, issuer: Issuer) -> str:
    if not isinstance(alg, str) or alg not in issuer.algorithms or alg not in ALGORITHMS:
        raise AuthenticationError(
            f"the token's algorithm {shown(alg)} is not one of issuer {issuer.name}",
            reason="algorithm_refused",
            hint=f"`algorithms` of [inbound.issuers.{issuer.name}] lists those that are",
        )
    return alg


def _kid(header: Mapping[str, Any]) -> str | None:
    """Return the key id, if any, of a header that asks for nothing unusual."""
    if "crit" in header:
        raise AuthenticationError("the token has critical extensions", reason="crit_refused")
    if "b64" in header:
        raise AuthenticationError("the token's payload is unencoded", reason="b64_refused")
    if "typ" in header:
        typ = header["typ"]
        if not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise AuthenticationError(
                f"the token's type {shown(typ)} is neither JWT nor at+jwt", reason="typ_refused"
            )
    kid = header.get("kid")
    if "kid" in header and not isinstance(kid, str):
        raise AuthenticationError("the token's key id is not a string", reason="kid_form")
    return kid


def _one_key(found: Sequence[Key], algorithm: str, kid: str | None) -> Key:
    """Return the one key that can have made the signature.

    Of several that fit none is tried: which of them decides would be chance (a set that holds one
    key id twice, or a token without one).
    """
    fitting = [key for key in found if key.fits(algorithm)]
    if len(fitting) == 1 and not fitting[0].weakness:
        return fitting[0]
    named = "" if kid is None else f" {shown(kid)}"
    if not found:
        raise AuthenticationError(f"the issuer has no key{named}", reason="key_unknown")
    if not fitting:
        raise AuthenticationError(
            f"the issuer's key{named} is not one for {algorithm}", reason="key_unfit"
        )
    if len(fitting) > 1:
        raise AuthenticationError(
            f"the issuer has more than one key{named} for {algorithm}", reason="key_ambiguous"
        )
    raise AuthenticationError(
        f"the issuer's RSA key{named} {fitting[0].weakness}", reason="key_weak"
    )


def _check_signature(text: str, signature: bytes, key: Key, algorithm: str) -> None:
    """Raise AuthenticationError unless the signature is the key's, over the parts as they came.

    What was parsed are those parts: base64url that is canonical has one reading.
    """
    signed = text.rpartition(".")[0].encode("ascii")
    try:
        good = key.length in (None, len(signature)) and _verifying(algorithm).verify(
            signed, key.public, signature
        )
    except (AttributeError, TypeError, ValueError):  # PyJWT's, of a key that is of another type
        good = False
    if not good:
        raise AuthenticationError(
            "the token's signature is not that of its issuer", reason="signature_invalid"
        )


@cache
def _verifying(algorithm: str) -> Algorithm:
    """Return PyJWT's algorithm of this name: looking it up there makes all of them anew."""
    from jwt.algorithms import get_default_algorithms

    return get_default_algorithms()[algorithm]
