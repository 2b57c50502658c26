"""Tokens: what is believed, and the reason for each refusal; attacks are in test_jwt_attacks_*."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import Key, parse
from agentauth_cli.inbound.jwt import verify
from agentauth_cli.secret import Secret
from support.issuer import Signer, base64url, ed448_signer, signer

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


def test_an_algorithm_that_the_issuer_does_not_use_is_refused() -> None:
    """The issuer's own algorithm list decides."""
    made = signer("PS256")
    assert refusal(made.token(claims()), keys=keys_of(made.jwk())) == "algorithm_refused"


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


def test_a_symmetric_key_of_the_issuer_is_no_key() -> None:
    """A symmetric key in a key set is passed over."""
    keys = keys_of({"kty": "oct", "kid": "k1", "k": base64url(b"s" * 32)})
    assert refusal(RSA.token(claims()), keys=keys) == "key_unknown"


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


def test_a_token_that_is_known_is_checked_all_the_same() -> None:
    """Header and payload are remembered, never that a signature was good."""
    token = RSA.token(claims(sub="known"))
    assert judge(token).id == judge(token).id == "okta/known"
    body, _, mark = token.rpartition(".")
    other = RSA.token(claims(sub="other")).rpartition(".")[2]
    assert refusal(f"{body}.{other}") == "signature_invalid"
    assert refusal(token, keys=keys_of(signer("RS256", "k1-anew").jwk(kid="k1"))) == (
        "signature_invalid"
    )
    assert refusal(token, replace(OKTA, audience="else")) == "audience_refused"
    assert judge(f"{body}.{mark}").id == "okta/known"


def test_nobody_changes_what_a_token_said() -> None:
    """Claims are frozen to the last: a change would be remembered for whoever shows it next."""
    who = judge(RSA.token(claims(roles=["dev"], act={"sub": "bot", "act": {"sub": "first"}})))
    assert who.claims["roles"] == ("dev",)
    with pytest.raises(TypeError):
        who.claims["act"]["act"]["sub"] = "root"
