"""Attacks on the algorithm: RFC 8725, 2.1, 3.1 and 3.2.

CVE-2015-9235, CVE-2016-10555, CVE-2022-29217, CVE-2024-33663, CVE-2024-54150.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agentauth_cli.errors import AuthenticationError
from support.attacks import (
    BY_NAME,
    EC,
    ED,
    ISSUER,
    RSA,
    SIGNERS,
    claims,
    judge,
    keys,
    payload,
    unsigned,
    verdict,
)
from support.issuer import Signer, base64url, signer

ALL = [RSA.jwk(), signer("ES256", "ec").jwk(), signer("EdDSA", "ed").jwk()]
NONE = ["".join(one) for one in itertools.product("nN", "oO", "nN", "eE")]


@pytest.mark.parametrize("made", SIGNERS, ids=BY_NAME)
def test_what_is_attacked_is_accepted_unchanged(made: Signer) -> None:
    """Each attack starts from a token that is good."""
    assert verdict(made.token(claims()), made.jwk()) == "accepted"


@pytest.mark.parametrize("alg", NONE)
@pytest.mark.parametrize("signature", ["", "AA", RSA.token(claims()).rpartition(".")[2]])
def test_none_in_all_spellings(alg: str, signature: str) -> None:
    """`none`, in any spelling, without a signature or with one, is no algorithm (RFC 8725, 3.2)."""
    token = f"{unsigned(RSA.header(alg=alg), claims())}.{signature}"
    assert verdict(token, *ALL) == "algorithm_refused"


@pytest.mark.parametrize(
    "alg",
    ["none ", " none", "none\n", "none\x00", "\ufeffnone", "n\u043ene", "n\u200bone", "null", "0"],
)
def test_what_may_pass_for_none(alg: str) -> None:
    """A name that some parser trims or folds to `none` is no algorithm."""
    assert verdict(f"{unsigned(RSA.header(alg=alg), claims())}.", *ALL) == "algorithm_refused"


@pytest.mark.parametrize("alg", [None, True, False, 0, 1, 1.5, [], ["RS256"], {}, {"RS256": 1}, ""])
def test_an_algorithm_is_a_string(alg: object) -> None:
    """`alg` of another type is refused, though the signature is good."""
    assert verdict(RSA.token(claims(), RSA.header(alg=alg)), *ALL) == "algorithm_refused"


def test_a_header_says_its_algorithm() -> None:
    """Without `alg` nothing says what the signature is."""
    assert verdict(RSA.token(claims(), {"kid": "k1"}), *ALL) == "algorithm_refused"


@pytest.mark.parametrize(
    "alg",
    [
        *("rs256", "Rs256", "RS256 ", " RS256", "RS256\x00", "RS 256", "RS-256", "SHA256withRSA"),
        *("RS1", "RS224", "RS257", "ES256K", "ES256k", "ESP256", "Ed25519", "EDDSA", "eddsa"),
        *("RSA-OAEP", "RSA1_5", "dir", "A128KW", "A256GCMKW", "PBES2-HS256+A128KW", "ECDH-ES"),
        *("HS256", "hs256", "HS1", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"),
    ],
)
def test_other_names_are_no_algorithms(alg: str) -> None:
    """What the issuer's list does not hold, letter by letter, is no algorithm."""
    assert verdict(RSA.token(claims(), RSA.header(alg=alg)), *ALL) == "algorithm_refused"


def secrets(made: Signer) -> dict[str, bytes]:
    """Return a public key in every form that it may be mistaken for a secret in."""
    public, jwk = made.private.public_key(), made.jwk()
    info = PublicFormat.SubjectPublicKeyInfo
    pem = public.public_bytes(Encoding.PEM, info)
    found = {
        "pem": pem,
        "pem without newline": pem.rstrip(),
        "pem with crlf": pem.replace(b"\n", b"\r\n"),
        "pem in one line": pem.replace(b"\n", b""),
        "pem body": b"".join(pem.splitlines()[1:-1]),
        "der": public.public_bytes(Encoding.DER, info),
        "jwk": json.dumps(jwk).encode(),
        "jwk compact": json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode(),
        "jwks": json.dumps({"keys": [jwk]}).encode(),
        "number": str(jwk.get("n") or jwk.get("x")).encode(),
        "empty": b"",
        "kid": b"k1",
        "zeros": bytes(32),
    }
    if made is RSA:
        found["pkcs1 pem"] = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        found["pkcs1 der"] = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if made is not RSA:
        found["raw"] = (
            public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            if made is ED
            else public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        )
    found["openssh"] = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return found


CONFUSED = [
    pytest.param(made, alg, secret, id=f"{made.algorithm} {alg} {form}")
    for made in (RSA, EC, ED)
    for form, secret in secrets(made).items()
    for alg in ("HS256", "HS384", "HS512")
]


@pytest.mark.parametrize(("made", "alg", "secret"), CONFUSED)
def test_a_public_key_is_no_secret(made: Signer, alg: str, secret: bytes) -> None:
    """The public key as the HMAC secret, in any form, signs nothing (RFC 8725, 2.1)."""
    signed = unsigned(made.header(alg=alg), claims())
    mark = hmac.new(secret, signed.encode(), getattr(hashlib, f"sha{alg[2:]}")).digest()
    assert verdict(f"{signed}.{base64url(mark)}", made.jwk()) == "algorithm_refused"


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512", "none"])
def test_not_even_a_configuration_lets_them_in(alg: str) -> None:
    """Asymmetric only, whatever the issuer's list says."""
    issuer = replace(ISSUER, algorithms=("RS256", alg))
    secret = RSA.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = unsigned(RSA.header(alg=alg), claims())
    mark = b"" if alg == "none" else hmac.new(secret, signed.encode(), f"sha{alg[2:]}").digest()
    with pytest.raises(AuthenticationError) as caught:
        judge(f"{signed}.{base64url(mark)}", keys(RSA.jwk()), issuer)
    assert caught.value.reason == "algorithm_refused"


@pytest.mark.parametrize("made", SIGNERS[1:], ids=BY_NAME[1:])
def test_an_algorithm_that_the_issuer_does_not_use(made: Signer) -> None:
    """The issuer's list decides (RFC 8725, 3.1), though key and signature are its own."""
    issuer = replace(ISSUER, algorithms=("RS256",))
    with pytest.raises(AuthenticationError) as caught:
        judge(made.token(claims()), keys(made.jwk()), issuer)
    assert caught.value.reason == "algorithm_refused"


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_another_algorithm_of_the_same_key(alg: str) -> None:
    """A signature is that of one algorithm: its header cannot name another one of the key."""
    assert verdict(RSA.token(claims(), RSA.header(alg=alg)), RSA.jwk()) == "signature_invalid"


@pytest.mark.parametrize("made", SIGNERS, ids=BY_NAME)
def test_a_key_that_names_its_algorithm_is_used_with_no_other(made: Signer) -> None:
    """A key is used with one algorithm alone, where the issuer says which (RFC 8725, 3.1)."""
    other = "PS512" if made.algorithm[:2] in ("RS", "PS", "ES") else "RS256"
    assert verdict(made.token(claims()), made.jwk(alg=made.algorithm)) == "accepted"
    assert verdict(made.token(claims()), made.jwk(alg=other)) == "key_unfit"


MIXED = [
    (made, jwk)
    for made in SIGNERS
    for jwk in (RSA.jwk(), EC.jwk(), signer("ES384").jwk(), signer("ES512").jwk(), ED.jwk())
    if made.jwk().get("crv") != jwk.get("crv")
]


@pytest.mark.parametrize(("made", "jwk"), MIXED)
def test_a_key_of_another_type_or_curve(made: Signer, jwk: dict[str, object]) -> None:
    """The key's type and curve fit the algorithm (PyJWT raises a bare TypeError, or takes it)."""
    expected = "key_unfit"
    if (jwk["kty"], made.algorithm) == ("OKP", "EdDSA"):
        expected = "signature_invalid"  # Ed25519 and Ed448 are both EdDSA
    assert verdict(made.token(claims()), jwk) == expected


@pytest.mark.parametrize("member", ["alg", "kid", "typ"])
def test_a_header_that_says_two_things(member: str) -> None:
    """Whoever reads the first of two equal names reads another header: neither is read."""
    whole = json.dumps(RSA.header(alg="none"))[:-1] + f', "{member}": "RS256"}}'
    assert verdict(RSA.token(claims(), whole.encode()), *ALL) == "token_json"


def test_a_header_in_the_payload_means_nothing() -> None:
    """What the payload says of its algorithm is a claim like any other."""
    assert verdict(RSA.token(payload('"alg": "none", "kid": "x", "typ": "y"')), *ALL) == "accepted"
