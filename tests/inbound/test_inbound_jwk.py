"""Which keys may verify, and which algorithms they fit."""

from __future__ import annotations

from typing import Any

import pytest

from agentauth_cli.inbound.jwk import ALGORITHMS, parse
from support.issuer import Signer, ed448_signer, signer, small_exponent_signer, weak_signer


@pytest.mark.parametrize(
    ("made", "fits"),
    [
        (signer("RS256"), {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (signer("ES256"), {"ES256"}),
        (signer("ES384"), {"ES384"}),
        (signer("ES512"), {"ES512"}),
        (signer("EdDSA"), {"EdDSA"}),
        (ed448_signer(), {"EdDSA"}),
    ],
)
def test_a_key_fits_by_type_and_curve(made: Signer, fits: set[str]) -> None:
    """The key's type and curve fit the algorithm."""
    key = parse(made.jwk())
    assert key is not None
    assert {name for name in ALGORITHMS if key.fits(name)} == fits


def test_a_key_made_for_one_algorithm_fits_that_alone() -> None:
    """A key that states its algorithm is used with no other (RFC 8725, 3.1)."""
    key = parse(signer("RS256").jwk(alg="RS512"))
    assert key is not None
    assert [name for name in ALGORITHMS if key.fits(name)] == ["RS512"]


def test_there_is_no_symmetric_algorithm() -> None:
    """Asymmetric only: neither HMAC nor `none` can be configured."""
    assert not [name for name in ALGORITHMS if name.startswith("HS") or name.lower() == "none"]


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k1"},
        {"kty": "oct", "kid": "k1"},
        signer("RS256").private_jwk(),
        signer("ES256").private_jwk(),
        signer("RS256").jwk(use="enc"),
        signer("RS256").jwk(key_ops=["encrypt"]),
        signer("RS256").jwk(key_ops="verify"),
        signer("RS256").jwk(kid=1),
        signer("RS256").jwk(alg=["RS256"]),
        signer("RS256").jwk(n=None),
        signer("RS256").jwk(n=7),
        signer("RS256").jwk(e="AQ"),
        signer("ES256").jwk(crv="P-384"),
        signer("ES256").jwk(crv=["P-256"]),
        signer("ES256").jwk(y="AA"),
        signer("ES256").jwk(x=signer("ES256", number=1).jwk()["x"]),
        signer("EdDSA").jwk(crv="X25519"),
        signer("EdDSA").jwk(x="AA"),
        {"kty": ["RSA"]},
        {},
        "key",
        None,
        7,
    ],
)
def test_a_key_that_cannot_verify_is_passed_over(jwk: Any) -> None:
    """Keys for another use, symmetric, private or malformed ones are none, and no fault."""
    assert parse(jwk) is None


@pytest.mark.parametrize(
    "members", [{"use": None}, {"key_ops": ["sign", "verify"]}, {"x5c": ["a"]}]
)
def test_a_key_need_not_state_its_use(members: dict[str, object]) -> None:
    """`use` may be absent, `key_ops` may hold more than verify, certificates are not looked at."""
    key = parse(signer("ES256").jwk(**members))
    assert key is not None
    assert "x5c" not in key.jwk


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (weak_signer(), "has fewer than 2048 bits"),
        (small_exponent_signer(), "has an exponent under 65537"),
        (signer("RS256"), None),
        (signer("ES256"), None),
    ],
)
def test_a_weak_key_is_known_for_what_it_is(made: Signer, why: str | None) -> None:
    """An RSA key knows that it is weak, so that it can be refused by that name."""
    key = parse(made.jwk())
    assert key is not None
    assert key.weakness == why
