"""Attacks on the claims of tokens that are really signed: RFC 8725, 2.7, 2.8, 3.8 to 3.12."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentauth_cli.errors import AuthenticationError
from support.attacks import (
    EC,
    ED,
    ISS,
    ISSUER,
    OTHER_ISS,
    RSA,
    SECONDS,
    claims,
    judge,
    keys,
    payload,
    verdict,
)
from support.issuer import Signer, base64url

DAY = 24 * 60 * 60
SOURCE = keys(ED.jwk(), other=[RSA.jwk()])


def said(**more: object) -> str:
    """Return the verdict on good claims with these over them."""
    return verdict(ED.token(claims(**more)), source=SOURCE)


def written(more: str) -> str:
    """Return the verdict on claims with this written by hand; `exp` is not among the rest."""
    rest = {name: value for name, value in claims().items() if name != "exp"}
    body = json.dumps(rest)[:-1].encode() + b", " + more.encode() + b"}"
    return verdict(ED.token(body), source=SOURCE)


@pytest.mark.parametrize(
    "iss",
    [
        *(None, True, 1, 1.5, [], [ISS], [ISS, OTHER_ISS], {}, {"iss": ISS}, "", " "),
        *(ISS + " ", " " + ISS, ISS + "\n", ISS + "\x00", ISS[:-1], ISS + "/", ISS + "x"),
        *(ISS.upper(), ISS.replace("https", "http"), ISS.replace("https", "HTTPS"), "okta"),
        *(ISS + "#", ISS + "?", ISS.replace("login", "LOGIN"), ISS.replace(".test", ".test:443")),
        *("https://login.example.test@evil.test/", "https://evil.test/?" + ISS, "//evil.test"),
        *(ISS.replace("l", "\uff4c"), ISS.replace("o", "\u043e"), ISS.replace(".", "\u3002")),
        *(ISS.replace("/", "%2F"), f"{ISS},{OTHER_ISS}", f"{ISS} {OTHER_ISS}", ".*", "*"),
    ],
)
def test_an_issuer_that_is_another(iss: object) -> None:
    """The issuer is chosen by exact `iss`, a string (RFC 8725, 3.8)."""
    assert said(iss=iss) == "issuer_unknown"


@pytest.mark.parametrize(
    "aud",
    [
        *(None, True, False, 0, 1, {}, [], "", " ", "Agentauth", "AGENTAUTH", "agentauth "),
        *(" agentauth", "agentauth\n", "agentauth\x00", "agentaut", "agentauthx", "*", ".*"),
        *("agentauth,other", "agentauth other", "\uff41gentauth", "\u0430gentauth"),
        *("https://agentauth", "api://agentauth", "okta", ISS, OTHER_ISS),
        *(["other"], [["agentauth"]], [None], [{}], ["agentauth", 1], ["agentauth", None]),
        *([True, "agentauth"], ["agentauth", ["x"]], {"agentauth": True}, {"0": "agentauth"}),
        *([""], ["Agentauth", "agentauth "]),
    ],
)
def test_a_token_for_somebody_else(aud: object) -> None:
    """`aud` is a string or list of strings with the configured audience (RFC 8725, 3.9)."""
    assert said(aud=aud) == "audience_refused"


def test_a_token_without_an_audience() -> None:
    """A token for everybody is for nobody."""
    body = {name: value for name, value in claims().items() if name != "aud"}
    assert verdict(ED.token(body), source=SOURCE) == "audience_refused"


NO_TIMES = [
    *("null", "true", "false", '""', '"0"', f'"{SECONDS + 600}"', f'"{SECONDS + 600}.0"', "[]"),
    *(f"[{SECONDS + 600}]", "{}", '"NaN"', '"Infinity"', '"1e400"', '"2026-11-23T12:10:00Z"'),
    *("-1", "-1.5", "-1e300", "1e300", "1e18", "253402300799", "99999999999999999999", "1e15"),
    *(f'"{SECONDS + 600} "', '"0x6b49d200"', "-0.1", f"-{SECONDS + 600}"),
]


@pytest.mark.parametrize("value", NO_TIMES)
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_is_none(name: str, value: str) -> None:
    """Times are JSON numbers from 1970 to 9999: no strings, no booleans, nothing beyond."""
    more = "" if name == "exp" else f', "exp": {SECONDS + 600}'
    assert written(f'"{name}": {value}{more}') == "time_form"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "01", "+1"])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_is_no_json(name: str, value: str) -> None:
    """What is no JSON number cannot be compared with any time."""
    assert written(f'"{name}": {value}') == "token_json"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"exp": 0}, "expired"),
        ({"exp": -0.0}, "expired"),
        ({"exp": 1}, "expired"),
        ({"exp": SECONDS - 30}, "expired"),
        ({"exp": SECONDS - 30.0}, "expired"),
        ({"exp": SECONDS - 29.999}, "accepted"),
        ({"exp": SECONDS - DAY, "iat": SECONDS - 2 * DAY}, "expired"),
        ({"exp": SECONDS * 1000}, "time_form"),  # milliseconds
        ({"exp": 10**11}, "life_too_long"),
        ({"exp": 253402300798}, "life_too_long"),
        ({"exp": SECONDS + DAY + 1}, "life_too_long"),
        ({"exp": SECONDS + DAY}, "accepted"),
        ({"exp": SECONDS + 600, "iat": 0}, "life_too_long"),
        ({"exp": SECONDS + 600, "iat": SECONDS - DAY}, "life_too_long"),
        ({"exp": SECONDS + 31 + DAY, "iat": SECONDS + 30}, "life_too_long"),
        ({"exp": SECONDS + 30 + DAY, "iat": SECONDS + 30}, "accepted"),
        ({"exp": SECONDS + 100 + DAY, "iat": SECONDS + 100}, "issued_in_future"),
        ({"iat": SECONDS + 30.001}, "issued_in_future"),
        ({"iat": SECONDS * 1000}, "time_form"),
        ({"nbf": SECONDS + 30}, "accepted"),
        ({"nbf": SECONDS + 30.001}, "not_yet_valid"),
        ({"nbf": 253402300798}, "not_yet_valid"),
        ({"nbf": SECONDS + 700}, "not_yet_valid"),
        ({"iat": SECONDS + 600, "exp": SECONDS + 1}, "issued_in_future"),
    ],
)
def test_a_life_that_is_none(more: dict[str, object], reason: str) -> None:
    """30 s leeway; no token of the past, of the future, or for more than a day."""
    assert said(**more) == reason


def test_a_token_for_good() -> None:
    """`exp` is required (RFC 8725 leaves it open)."""
    body = {name: value for name, value in claims().items() if name != "exp"}
    assert verdict(ED.token(body), source=SOURCE) == "expiry_missing"


NO_NAMES = [
    *(None, True, False, 0, 7, 1.5, [], ["alice"], {}, {"sub": "alice"}, "", " ", "\t", "\n"),
    *("x" * 257, "*", "a*", "?", "a?b", "\\", "a\\*", "${", "${principal.name}", "a${b", "$${x}"),
    *("alice\x00", "\x00", "alice\n", "\nalice", "a\rb", "a\x1b[2Jb", "a\x7fb", "a\x80b", "a\x9fb"),
    *(
        "a\u00adb",
        "a\u200bb",
        "a\u200cb",
        "a\u200db",
        "a\u200eb",
        "a\u2060b",
        "a\ufeffb",
        "\ufeffa",
    ),
    *(
        "a\u202ab",
        "a\u202eb",
        "a\u2066b",
        "a\u2069b",
        "a\u061cb",
        "a\u180eb",
        "a\u2028b",
        "a\u2029b",
    ),
    *("a\ufff9b", "a\U000e0001b", "a\U000e0041b", "a\U0001d173b"),
    *(
        " alice",
        "alice ",
        "\u00a0alice",
        "alice\u3000",
        "\u2003alice",
        "alice\u1680",
        "alice\u205f",
    ),
    *("e\u0301", "A\u030a", "\u212b", "\u2126", "\u1100\u1161", "\u0958", "a\u0327\u0301"),
]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("claim", ["sub", "groups", "act", "nested act"])
def test_a_name_that_is_none(claim: str, name: object) -> None:
    """A subject, group or actor holds no wildcard, no variable, nothing invisible, and is NFC."""
    match claim:
        case "sub":
            assert said(sub=name) == "subject_refused"
        case "groups":
            assert said(groups=["good", name]) == "groups_refused"
        case "act":
            assert said(act={"sub": name}) == "actor_refused"
        case _:
            assert said(act={"sub": "bot", "act": {"sub": name}}) == "accepted"  # decides nothing


@pytest.mark.parametrize("groups", [None, True, 1, "admins", {}, {"0": "admins"}, {"admins": True}])
def test_groups_that_are_none(groups: object) -> None:
    """Groups are a list: a string is not taken apart, an absent one is not invented."""
    assert said(groups=groups) == "groups_refused"


@pytest.mark.parametrize(
    "elsewhere", [{"groups": "src"}, ["groups"], "groups", 1, True, {"groups": None}]
)
def test_groups_that_lie_elsewhere(elsewhere: object) -> None:
    """Whoever is in too many groups is not in none (Entra's overage)."""
    assert said(_claim_names=elsewhere, _claim_sources={"src": {}}) == "groups_refused"


@pytest.mark.parametrize(
    "act",
    [
        *(
            None,
            True,
            1,
            "bot",
            [],
            ["bot"],
            [{"sub": "bot"}],
            {},
            {"iss": ISS},
            {"client_id": "x"},
        ),
        *(
            {"sub": "bot", "iss": iss}
            for iss in (None, "", 1, [ISS], "https://evil.test", ISS[:-1])
        ),
        *({"sub": "bot", "act": act} for act in (None, "x", 1, [], [{"sub": "x"}])),
    ],
)
def test_an_actor_that_is_none(act: object) -> None:
    """Who acts is checked as strictly as who is acted for."""
    assert said(act=act) == "actor_refused"


@pytest.mark.parametrize("claim", ["email", "sub", "name"])
@pytest.mark.parametrize("verified", [None, False, "true", "True", 1, [True], {"email": True}])
def test_an_address_that_nobody_confirmed(claim: str, verified: object) -> None:
    """An unverified address is no subject, name or requirement (nOAuth)."""
    issuer = {
        "sub": replace(ISSUER, subject_claim="email"),
        "name": replace(ISSUER, name_claim="email"),
        "email": replace(ISSUER, require={"email": "ceo@acme.dev"}),
    }[claim]
    token = ED.token(claims(email="ceo@acme.dev", email_verified=verified))
    with pytest.raises(AuthenticationError) as caught:
        judge(token, SOURCE, issuer)
    assert caught.value.reason == "email_unverified"


@pytest.mark.parametrize(
    "owner",
    [
        *(
            None,
            "",
            "43",
            "042",
            "42 ",
            " 42",
            "42.0",
            "4\u06602",
            "\uff14\uff12",
            42.0,
            43,
            -42,
            4.2e1,
        ),
        *(True, [], ["42"], [42], {}, {"42": 42}, "42,43", "*", "42\x00", "42\n"),
    ],
)
def test_a_requirement_that_is_not_met(owner: object) -> None:
    """`require` compares whole values: no list, no number that only prints alike, no pattern."""
    issuer = replace(ISSUER, require={"repository_owner_id": "42"})
    with pytest.raises(AuthenticationError) as caught:
        judge(ED.token(claims(repository_owner_id=owner)), SOURCE, issuer)
    assert caught.value.reason == "requirement_unmet"


@pytest.mark.parametrize("claim", [4.5, ["42"], {"a": 1}, None])
def test_a_requirement_is_no_comparison_of_texts(claim: object) -> None:
    """What only prints as the value that is required is another value."""
    issuer = replace(ISSUER, require={"owner": str(claim)})
    with pytest.raises(AuthenticationError) as caught:
        judge(ED.token(claims(owner=claim)), SOURCE, issuer)
    assert caught.value.reason == "requirement_unmet"


@pytest.mark.parametrize("made", [RSA, EC, ED], ids=["RSA", "EC", "ED"])
def test_a_token_of_another_purpose(made: Signer) -> None:
    """An ID token of a login, which names the client, is none for us (RFC 8725, 2.8)."""
    body = claims(aud="0oa1example", azp="0oa1example", nonce="n", at_hash="x")
    assert verdict(made.token(body), made.jwk()) == "audience_refused"


# -- properties ------------------------------------------------------------------------------

BAD = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
NAMES = st.text(max_size=12) | st.sampled_from([one for one in NO_NAMES if isinstance(one, str)])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def sound(name: str) -> bool:
    """Say in other words than the program's whether the specification lets this be a name."""
    return (
        0 < len(name) <= 256
        and not set("*?\\") & set(name)
        and "${" not in name
        and not any(unicodedata.category(one) in BAD for one in name)
        and name == name.strip()
        and name == unicodedata.normalize("NFC", name)
    )


@settings(deadline=None, max_examples=300)
@given(NAMES, st.lists(NAMES, max_size=2), NAMES, NAMES)
def test_no_principal_has_a_name_that_the_specification_forbids(
    sub: str, groups: list[str], actor: str, nick: str
) -> None:
    """No principal has a subject, name, group or actor that the specification forbids."""
    issuer = replace(ISSUER, name_claim="nick")
    every = [sub, *groups, actor, nick]
    token = ED.token(claims(sub=sub, groups=groups, act={"sub": actor}, nick=nick))
    try:
        found = judge(token, SOURCE, issuer)
    except AuthenticationError:
        assert not all(map(sound, every))
        return
    assert all(map(sound, every))
    assert (found.user_id, found.name, found.actor) == (sub, nick, f"okta/{actor}")
    assert found.groups == tuple(f"okta/{group}" for group in groups)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "act", "groups"]), ANY))
def test_whatever_claims_say_there_is_a_reason(more: dict[str, Any]) -> None:
    """Whatever a signed token says ends in a principal or a reason, in no other exception."""
    text = json.dumps(claims(**more))
    assert verdict(ED.token(text.encode()), source=SOURCE)


GOOD = {made: made.token(claims()) for made in (RSA, EC, ED)}


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([RSA, EC, ED]), st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_is_accepted(made: Signer, place: int, change: int) -> None:
    """A good token changed in any signed byte is never accepted."""
    header, body, mark = GOOD[made].split(".")
    whole = json.dumps(made.header()).encode() + json.dumps(claims()).encode()
    split = len(json.dumps(made.header()))
    assert (base64url(whole[:split]), base64url(whole[split:])) == (header, body)
    place %= len(whole)
    changed = whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :]
    token = f"{base64url(changed[:split])}.{base64url(changed[split:])}.{mark}"
    assert verdict(token, made.jwk()) != "accepted"


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([RSA, EC, ED]), st.data())
def test_no_other_spelling_is_accepted(made: Signer, data: st.DataObject) -> None:
    """A character put in, taken out or changed makes another token, and no good one."""
    good = GOOD[made]
    place = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 2))
    put = data.draw(st.text(alphabet="AZaz09-_.=+/ \n\x00é", max_size=2))
    changed = good[:place] + put + good[place + length :]
    if changed != good:
        assert verdict(changed, made.jwk()) != "accepted"


def test_the_payload_that_is_written_by_hand_is_good() -> None:
    """The attacks that write JSON by hand start from a good one, too."""
    assert verdict(ED.token(payload('"x": 1')), source=SOURCE) == "accepted"
    assert written(f'"exp": {SECONDS + 600}') == "accepted"
