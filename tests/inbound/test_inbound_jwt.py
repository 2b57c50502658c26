"""Tokens: what is believed, and the reason for each refusal."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import Key, parse
from agentauth_cli.inbound.jwt import verify
from agentauth_cli.secret import Secret
from support.issuer import Signer, base64url, ed448_signer, signer, weak_signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentauth_cli.model import Principal

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISS = "https://login.example.test/"
OKTA = Issuer("okta", ISS, "agentauth")
RSA = signer("RS256")
EC = signer("ES256", "ec")


def claims(**more: object) -> dict[str, object]:
    """Return good claims, with these over them."""
    return {"iss": ISS, "aud": "agentauth", "sub": "alice", "exp": SECONDS + 600} | more


def keys_of(*jwks: Mapping[str, Any]) -> Callable[[Issuer, str | None], Sequence[Key]]:
    """Return a source of these keys, for any issuer."""
    keys = [key for key in map(parse, map(dict, jwks)) if key is not None]
    return lambda _, kid: [key for key in keys if kid in (None, key.kid)]


def judge(
    token: str,
    issuer: Issuer = OKTA,
    keys: Callable[[Issuer, str | None], Sequence[Key]] | None = None,
) -> Principal:
    """Verify a token at NOW against the usual keys."""
    keys = keys or keys_of(RSA.jwk(), EC.jwk())
    return verify(Secret(token), [Issuer("other", "https://other.test", "x"), issuer], keys, NOW)


def refusal(
    token: str,
    issuer: Issuer = OKTA,
    keys: Callable[[Issuer, str | None], Sequence[Key]] | None = None,
) -> str:
    """Return the reason for which a token is refused."""
    with pytest.raises(AuthenticationError) as caught:
        judge(token, issuer, keys)
    assert caught.value.exit_code == 4
    assert caught.value.message
    assert not caught.value.message.endswith(".")
    assert len(token) < 20 or token not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    "made",
    [
        RSA,
        EC,
        signer("RS512"),
        signer("PS256"),
        signer("ES384"),
        signer("ES512"),
        signer("EdDSA"),
        ed448_signer(),
    ],
)
def test_a_good_token_is_believed(made: Signer) -> None:
    """A token of a configured issuer, signed by its key with one of its algorithms, is believed."""
    issuer = replace(OKTA, algorithms=(made.algorithm,))
    found = judge(made.token(claims()), issuer, keys_of(made.jwk()))
    assert (found.id, found.name, found.kind, found.auth) == ("okta/alice", "alice", "user", "jwt")
    assert found.expires_at == NOW + timedelta(minutes=10)


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "at+jwt", "AT+JWT"])
def test_the_types_of_a_token(typ: str | None) -> None:
    """`typ` is absent, `JWT` or `at+jwt`."""
    header = RSA.header() if typ else {"alg": "RS256", "kid": "k1"}
    assert judge(RSA.token(claims(), header | ({"typ": typ} if typ else {}))).id


@pytest.mark.parametrize(
    "typ", ["", "JOSE", "dpop+jwt", "logout+jwt", "application/jwt", "id_token", 1, None, ["JWT"]]
)
def test_other_types_are_refused(typ: object) -> None:
    """A token that was made for something else is not one of ours."""
    assert refusal(RSA.token(claims(), RSA.header(typ=typ))) == "typ_refused"


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b", ".", "...", "a.b.c.d", "a.b.c.d.e", RSA.token(claims()) + ".", " "],
)
def test_three_parts(token: str) -> None:
    """Three parts; an encrypted token (five), or nothing at all, is none."""
    assert refusal(token) == "token_form"


def test_a_large_token_is_refused_before_anything_is_parsed() -> None:
    """At most 16 KiB before anything is parsed."""
    assert refusal("." * 16_385) == "token_too_large"
    assert refusal(RSA.token(claims(pad="x" * 13_000))) == "token_too_large"
    assert judge(RSA.token(claims(pad="x" * 11_000))).id


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("spoilt", ["{}=", "{}==", "{}\n", " {}", "{}+", "{}é", "{}\udcff", "{}A"])
def test_canonical_base64url(part: int, spoilt: str) -> None:
    """Canonical base64url, in each of the parts: no padding, nothing foreign, no spare bits."""
    parts = EC.token(b'{"iss":"' + ISS.encode() + b'"}  ').split(".")
    parts[part] = spoilt.format(parts[part])
    if refusal(".".join(parts)) != "token_encoding":
        assert spoilt == "{}A"  # one more character may be canonical; then it is refused later


def test_bits_that_stand_for_nothing_are_refused() -> None:
    """The same signature in another spelling is another token, and refused."""
    head, payload, mark = EC.token(claims()).split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = mark[:-1] + alphabet[alphabet.index(mark[-1]) + 1]
    assert refusal(f"{head}.{payload}.{other}") == "token_encoding"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"x"',
        b"null",
        b"\xef\xbb\xbf" + json.dumps(claims()).encode(),
        json.dumps(claims()).encode("utf-16"),
        json.dumps(claims())[:-1].encode() + b', "sub": "root"}',
        json.dumps(claims())[:-1].encode() + b', "s\\u0075b": "root"}',
        json.dumps(claims())[:-1].encode() + b', "x": NaN}',
        json.dumps(claims())[:-1].encode() + b', "x": 1e400}',
        json.dumps(claims())[:-1].encode() + b', "x": ' + b"9" * 5000 + b"}",
        json.dumps(claims())[:-1].encode() + b', "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        json.dumps(claims())[:-1].encode() + b', "x": "\\ud800"}',
    ],
)
def test_header_and_payload_are_strict_json(content: bytes) -> None:
    """Headers and payload are UTF-8 JSON objects that mean one thing, though well signed."""
    assert refusal(RSA.token(content)) == "token_json"
    assert refusal(RSA.token(claims(), content)) == "token_json"


@pytest.mark.parametrize(
    "iss", [None, "", "https://login.example.test", ISS.upper(), ISS + "x", [ISS], {"a": ISS}, 7]
)
def test_the_issuer_is_chosen_by_exact_iss(iss: object) -> None:
    """The issuer is chosen by exact `iss`: another spelling, a list, an absence is none."""
    assert refusal(RSA.token(claims(iss=iss))) == "issuer_unknown"


def test_an_issuer_configured_twice_is_refused() -> None:
    """Of two configurations of one issuer none is chosen by chance."""
    with pytest.raises(AuthenticationError, match="more than once: okta, more") as caught:
        verify(
            Secret(RSA.token(claims())), [OKTA, replace(OKTA, name="more")], keys_of(RSA.jwk()), NOW
        )
    assert caught.value.reason == "issuer_ambiguous"


def test_an_issuer_is_shown_escaped_and_cut() -> None:
    """What an error shows of a token is escaped and cut."""
    with pytest.raises(AuthenticationError) as caught:
        judge(RSA.token(claims(iss="evil\x1b[2J" + "y" * 500)))
    assert "\\x1b" in caught.value.message
    assert len(caught.value.message) < 150


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 0, ["RS256"], "rs256"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_an_unsigned_token_is_refused(alg: object, signature: str) -> None:
    """`none`, in any spelling, with or without a signature, is no algorithm."""
    head, payload, _ = RSA.token(claims(), RSA.header(alg=alg)).split(".")
    assert refusal(f"{head}.{payload}.{signature}") == "algorithm_refused"


def test_a_header_without_an_algorithm_is_refused() -> None:
    """A header must say its algorithm, so that the issuer's list can be asked."""
    assert refusal(RSA.token(claims(), {"kid": "k1"})) == "algorithm_refused"


def public_forms() -> list[bytes]:
    """Return the public key in every form that it can be mistaken for a secret in."""
    public = RSA.private.public_key()
    info = PublicFormat.SubjectPublicKeyInfo
    return [
        public.public_bytes(Encoding.PEM, info),
        public.public_bytes(Encoding.PEM, info).rstrip(),
        public.public_bytes(Encoding.DER, info),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        json.dumps(RSA.jwk()).encode(),
        RSA.jwk()["n"].encode(),
        b"",
    ]


@pytest.mark.parametrize("secret", public_forms())
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_secret(secret: bytes, alg: str) -> None:
    """Its own algorithm list (asymmetric only), never the header's word."""
    signed = f"{base64url(json.dumps(RSA.header(alg=alg)).encode())}." + base64url(
        json.dumps(claims()).encode()
    )
    hashing = getattr(hashlib, f"sha{alg[2:]}")
    token = f"{signed}.{base64url(hmac.new(secret, signed.encode(), hashing).digest())}"
    assert refusal(token) == "algorithm_refused"
    # Not even where a configuration lists it.
    assert refusal(token, replace(OKTA, algorithms=("RS256", alg))) == "algorithm_refused"


def test_an_algorithm_that_the_issuer_does_not_use_is_refused() -> None:
    """The issuer's own algorithm list decides."""
    made = signer("PS256")
    assert refusal(made.token(claims()), keys=keys_of(made.jwk())) == "algorithm_refused"


def test_another_algorithm_of_the_same_key_is_refused() -> None:
    """A signature is judged by the algorithm of its header alone."""
    issuer = replace(OKTA, algorithms=("RS256", "PS256"))
    assert refusal(RSA.token(claims(), RSA.header(alg="PS256")), issuer) == "signature_invalid"


@pytest.mark.parametrize("kid", [None, 1, True, ["k1"], {"k": 1}])
def test_the_key_id_is_a_string(kid: object) -> None:
    """`kid` is a string, or absent."""
    assert refusal(RSA.token(claims(), RSA.header(kid=kid))) == "kid_form"


@pytest.mark.parametrize("kid", ["", "k2", "../k1", "K1", "k1\x00"])
def test_an_unknown_key_id_is_refused(kid: str) -> None:
    """A token names its key exactly."""
    assert refusal(RSA.token(claims(), RSA.header(kid=kid))) == "key_unknown"


@pytest.mark.parametrize("crit", [[], ["b64"], ["exp"], None, "exp"])
def test_critical_extensions_are_refused(crit: object) -> None:
    """`crit` is refused, whatever it lists."""
    assert refusal(RSA.token(claims(), RSA.header(crit=crit))) == "crit_refused"


@pytest.mark.parametrize("b64", [True, False, None])
def test_unencoded_payloads_are_refused(b64: object) -> None:
    """`b64` is refused."""
    assert refusal(RSA.token(claims(), RSA.header(b64=b64))) == "b64_refused"


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
def test_keys_that_a_token_brings_are_ignored(member: str) -> None:
    """`jku`, `x5u`, `jwk`, `x5c` are ignored: the issuer's keys alone count."""
    stranger = signer("RS256", number=1)
    brought = {"jwk": stranger.jwk(), "x5c": [RSA.jwk()["n"]]}.get(member, "https://evil.test/keys")
    header = RSA.header(**{member: brought})
    assert refusal(stranger.token(claims(), header)) == "signature_invalid"
    assert judge(RSA.token(claims(), header)).id


def test_a_token_without_key_id() -> None:
    """Without a key id exactly one key of the set must fit the algorithm."""
    header = {"alg": "RS256"}
    assert judge(RSA.token(claims(), header)).id
    more = keys_of(RSA.jwk(), signer("RS256", number=1).jwk(kid="k2"))
    assert refusal(RSA.token(claims(), header), keys=more) == "key_ambiguous"
    assert refusal(RSA.token(claims(), header), keys=keys_of(EC.jwk())) == "key_unfit"
    assert refusal(RSA.token(claims(), header), keys=keys_of()) == "key_unknown"


def test_one_key_id_twice() -> None:
    """Two keys of one id are told apart by the type that fits; two that fit are refused."""
    mixed = keys_of(signer("ES256").jwk(), RSA.jwk())
    assert judge(RSA.token(claims()), keys=mixed).id
    twice = keys_of(RSA.jwk(), signer("RS256", number=1).jwk())
    assert refusal(RSA.token(claims()), keys=twice) == "key_ambiguous"


@pytest.mark.parametrize(
    ("made", "jwk"),
    [
        (RSA, signer("ES256").jwk()),
        (RSA, signer("EdDSA").jwk()),
        (RSA, RSA.jwk(alg="RS512")),
        (signer("ES256"), RSA.jwk()),
        (signer("ES256"), signer("ES384").jwk()),
        (signer("EdDSA"), signer("ES256").jwk()),
    ],
)
def test_a_key_of_another_type_is_refused(made: Signer, jwk: dict[str, Any]) -> None:
    """The key's type and curve fit the algorithm."""
    assert refusal(made.token(claims()), keys=keys_of(jwk)) == "key_unfit"


def test_a_weak_key_is_refused() -> None:
    """RSA keys have at least 2,048 bits."""
    weak = weak_signer()
    assert refusal(weak.token(claims()), keys=keys_of(weak.jwk())) == "key_weak"


def test_a_symmetric_key_of_the_issuer_is_no_key() -> None:
    """A symmetric key in a key set is passed over."""
    keys = keys_of({"kty": "oct", "kid": "k1", "k": base64url(b"s" * 32)})
    assert refusal(RSA.token(claims()), keys=keys) == "key_unknown"


def test_the_key_of_another_issuer_is_refused() -> None:
    """A key vouches for its own issuer alone, also where two issuers use one key id."""
    stranger = signer("RS256", number=1)
    other = Issuer("other", "https://other.test", "agentauth")
    sets = {"okta": keys_of(RSA.jwk()), "other": keys_of(stranger.jwk())}

    def keys(issuer: Issuer, kid: str | None) -> Sequence[Key]:
        return sets[issuer.name](issuer, kid)

    token = stranger.token(claims())
    with pytest.raises(AuthenticationError) as caught:
        verify(Secret(token), [OKTA, other], keys, NOW)
    assert caught.value.reason == "signature_invalid"


@pytest.mark.parametrize("made", [RSA, EC, signer("EdDSA")])
def test_empty_and_foreign_signatures_are_refused(made: Signer) -> None:
    """A signature of no length, of zeros, or over something else is none."""
    keys = keys_of(made.jwk())
    head, payload, _ = made.token(claims()).split(".")
    short = base64url(made.signature(f"{head}.{payload}".encode())[:-1])
    zeros = base64url(bytes(64))
    other = made.token(claims(sub="root")).split(".")[2]
    for bad in ("", zeros, other, short):
        assert refusal(f"{head}.{payload}.{bad}", keys=keys) == "signature_invalid"


def test_a_der_signature_is_refused() -> None:
    """An ECDSA signature is the two numbers of RFC 7518, not their DER form."""
    head, payload, _ = EC.token(claims()).split(".")
    raw = EC.signature(f"{head}.{payload}".encode())
    numbers = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    der = base64url(encode_dss_signature(*numbers))
    assert refusal(f"{head}.{payload}.{der}") == "signature_invalid"


GOOD = EC.token(claims())


@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.characters(codec="utf-8"))
def test_no_changed_token_is_accepted(place: int, character: str) -> None:
    """A good token with any one character changed is never accepted."""
    changed = GOOD[:place] + character + GOOD[place + 1 :]
    if changed != GOOD:
        assert refusal(changed)


@settings(deadline=None)
@given(st.text(alphabet="abc.-_=eyJ{}", max_size=60))
def test_any_text_is_refused_with_a_reason(text: str) -> None:
    """Whatever is presented ends in a reason, not in an exception of some library."""
    assert refusal(text)
