"""Claims: what they mean, and the reason for each refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.claims import principal
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.strict_json import parse_object

if TYPE_CHECKING:
    from agentauth_cli.model import Principal

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
OKTA = Issuer("okta", "https://login.example.test", "agentauth", groups_claim="groups")
OTHER = Issuer("other", "https://other.test", "agentauth")
DAY = 24 * 60 * 60
ABSENT = object()

BAD_TEXT = [
    "",
    "x" * 257,
    "a*",
    "a?",
    "a\\b",
    "${principal.name}",
    "a\x00",
    "a\nb",
    "a\u202eb",
    "a\u200bb",
    "a\ufeff",
    "a\u2028b",
    "a\u2029b",
    " a",
    "a ",
    "a\u00a0",
    "e\u0301",
    "\u212b",
]
NOT_TEXT = [None, 7, True, ["a"], {"a": "b"}]


def judge(issuer: Issuer = OKTA, /, **more: object) -> Principal:
    """Return who good claims, with these over them, speak of; ABSENT takes one away."""
    claims = {
        "iss": issuer.issuer,
        "aud": "agentauth",
        "sub": "alice",
        "iat": SECONDS,
        "exp": SECONDS + 600,
    } | more
    present = {name: value for name, value in claims.items() if value is not ABSENT}
    read = parse_object(json.dumps(present).encode())
    return principal(read, issuer, [issuer, OTHER], NOW)


def refusal(issuer: Issuer = OKTA, /, **more: object) -> str:
    """Return the reason for which claims are refused."""
    with pytest.raises(AuthenticationError) as caught:
        judge(issuer, **more)
    assert "alice" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("aud", ["agentauth", ["agentauth"], ["x", "agentauth"]])
def test_the_audience(aud: object) -> None:
    """`aud` is a string or list of strings that contains the configured audience."""
    assert judge(aud=aud).id


@pytest.mark.parametrize(
    "aud",
    [
        ABSENT,
        None,
        "",
        "Agentauth",
        "agentauth ",
        "agent",
        [],
        ["x"],
        ["agentauth", 7],
        [["agentauth"]],
        {"agentauth": 1},
        7,
    ],
)
def test_another_audience_is_refused(aud: object) -> None:
    """A token for somebody else is not ours."""
    assert refusal(aud=aud) == "audience_refused"


def test_exp_is_required() -> None:
    """`exp` is required."""
    assert refusal(exp=ABSENT) == "expiry_missing"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [None, True, "1795435200", "", [1], {}, -1, 10**18, 10**400])
def test_times_are_numbers(name: str, value: object) -> None:
    """`exp`, `nbf`, `iat` are JSON numbers: no strings, no booleans, nothing beyond a date."""
    assert refusal(**{name: value}) == "time_form"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"exp": SECONDS - 29}, None),
        ({"exp": SECONDS - 29.5}, None),
        ({"exp": SECONDS - 30}, "expired"),
        ({"exp": 0}, "expired"),
        ({"nbf": SECONDS + 30}, None),
        ({"nbf": SECONDS + 31}, "not_yet_valid"),
        ({"iat": SECONDS + 30}, None),
        ({"iat": SECONDS + 31}, "issued_in_future"),
        ({"exp": SECONDS + DAY}, None),
        ({"exp": SECONDS + DAY + 1}, "life_too_long"),
        ({"iat": ABSENT, "exp": SECONDS + DAY}, None),
        ({"iat": ABSENT, "exp": SECONDS + DAY + 1}, "life_too_long"),
        ({"iat": SECONDS - DAY, "exp": SECONDS + 1}, "life_too_long"),
        ({"exp": 253402300000}, "life_too_long"),
    ],
)
def test_the_life_of_a_token(more: dict[str, object], reason: str | None) -> None:
    """30 s leeway; a life of more than 24 h is refused."""
    if reason is None:
        assert judge(**more).id
    else:
        assert refusal(**more) == reason


@pytest.mark.parametrize("text", ["a", "x" * 256, "Ünïcode 名", "a/b", "a@b.test", "$a", "a {b}"])
def test_subjects(text: str) -> None:
    """A subject is any string of 1 to 256 characters that means nothing to a policy."""
    found = judge(sub=text, groups=[text])
    assert (found.id, found.user_id, found.name) == (f"okta/{text}", text, text)
    assert found.groups == (f"okta/{text}",)


@pytest.mark.parametrize("text", [*BAD_TEXT, *NOT_TEXT, ABSENT])
def test_bad_subjects_are_refused(text: object) -> None:
    """Subjects hold no wildcard, no variable, nothing invisible, no space at an end, only NFC."""
    assert refusal(sub=text) == "subject_refused"
    assert refusal(replace(OKTA, subject_claim="oid"), oid=text) == "subject_refused"


@pytest.mark.parametrize("text", [*BAD_TEXT, *NOT_TEXT, ABSENT])
def test_bad_names_are_refused(text: object) -> None:
    """A name has the same rules as a subject, and must be there where it is configured."""
    assert refusal(replace(OKTA, name_claim="nick"), nick=text) == "name_refused"


@pytest.mark.parametrize("text", [*BAD_TEXT, *NOT_TEXT])
def test_bad_groups_are_refused(text: object) -> None:
    """Groups have the same rules as subjects; one bad one refuses the token."""
    assert refusal(groups=["good", text]) == "groups_refused"


@pytest.mark.parametrize("groups", [None, "admins", {"a": 1}, 7])
def test_groups_are_a_list(groups: object) -> None:
    """Groups that are no list are refused."""
    assert refusal(groups=groups) == "groups_refused"


def test_groups_get_their_issuers_name() -> None:
    """A group becomes `issuer/group`; without the claim, or its configuration, there are none."""
    assert judge(groups=["a", "b"]).groups == ("okta/a", "okta/b")
    assert judge().groups == ()
    assert judge(replace(OKTA, groups_claim=None), groups=["a"]).groups == ()


def test_groups_that_are_only_said_to_be_there_are_refused() -> None:
    """Entra's `hasgroups` stands in place of a list that has something in it."""
    assert refusal(groups=ABSENT, hasgroups=True) == "groups_refused"
    assert judge(groups=["a"], hasgroups=True).groups == ("okta/a",)
    assert judge(replace(OKTA, groups_claim="roles"), roles=ABSENT, hasgroups=True).groups == ()


@pytest.mark.parametrize("elsewhere", [{"groups": "src1"}, "groups"])
def test_groups_that_lie_elsewhere_are_refused(elsewhere: object) -> None:
    """Groups that did not fit into the token are not taken for none."""
    assert refusal(_claim_names=elsewhere) == "groups_refused"


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [("42", "42"), (42, "42"), (True, "true"), (False, "false"), ("a b", "a b"), (-1, "-1")],
)
def test_requirements(claim: object, wanted: str) -> None:
    """Each required claim equals the string given; numbers and booleans by their JSON text."""
    assert judge(replace(OKTA, require={"owner": wanted}), owner=claim).id


@pytest.mark.parametrize("claim", [ABSENT, None, "43", "", ["42"], 42.0, 43, True, {"42": 1}])
def test_unmet_requirements_are_refused(claim: object) -> None:
    """A required claim that is missing, of another value or of another type is not met."""
    assert refusal(replace(OKTA, require={"owner": "42"}), owner=claim) == "requirement_unmet"


@pytest.mark.parametrize(
    "issuer",
    [
        replace(OKTA, subject_claim="email"),
        replace(OKTA, name_claim="email"),
        replace(OKTA, require={"email": "bob@a.test"}),
    ],
)
@pytest.mark.parametrize("verified", [ABSENT, None, False, "true", 1])
def test_an_unverified_address_is_refused(issuer: Issuer, verified: object) -> None:
    """`email` as subject, name or requirement needs `email_verified` to be true."""
    assert refusal(issuer, email="bob@a.test", email_verified=verified) == "email_unverified"
    assert judge(issuer, email="bob@a.test", email_verified=True).id


def test_an_actor() -> None:
    """Who acts for the principal (RFC 8693 `act`) is itself an id, of this issuer or another."""
    assert judge().actor is None
    assert judge(act={"sub": "bot"}).actor == "okta/bot"
    assert judge(act={"sub": "bot", "iss": OTHER.issuer}).actor == "other/bot"


def test_only_the_outermost_actor_acts() -> None:
    """Nested `act`: only the outermost is the current actor; who acted before decides nothing."""
    before = {"sub": "a*", "iss": "https://unknown.test", "act": {"sub": "root"}}
    assert judge(act={"sub": "bot", "act": before}).actor == "okta/bot"
    assert judge(act={"sub": "bot", "act": {}, "client_id": "x", "exp": 1}).actor == "okta/bot"


def test_an_actor_is_named_as_its_issuer_names_principals() -> None:
    """The actor's id is the one that it has as a principal, so that a switch on it hits both."""
    entra = replace(OKTA, subject_claim="oid")
    assert judge(entra, oid="7f", act={"oid": "9c", "sub": "pairwise"}).actor == "okta/9c"
    assert refusal(entra, oid="7f", act={"sub": "pairwise"}) == "actor_refused"


@pytest.mark.parametrize("verified", [ABSENT, None, False, "true", 1])
def test_an_actors_address_is_verified(verified: object) -> None:
    """`email` as the subject needs `email_verified` to be true, of an actor too."""
    issuer = replace(OKTA, subject_claim="email")
    good = {"email": "a@a.test", "email_verified": True}
    act = {"email": "bot@a.test", "email_verified": verified}
    if verified is ABSENT:
        del act["email_verified"]
    assert refusal(issuer, **good, act=act) == "actor_refused"
    assert judge(issuer, **good, act=act | {"email_verified": True}).actor == "okta/bot@a.test"


@pytest.mark.parametrize(
    "act",
    [
        None,
        "bot",
        True,
        {},
        [],
        ["bot"],
        [{"sub": "bot"}],
        {"iss": OTHER.issuer},
        {"sub": "bot", "iss": "https://unknown.test"},
        {"sub": "bot", "iss": None},
        {"sub": "bot", "iss": ""},
        {"sub": "bot", "iss": [OTHER.issuer]},
        {"sub": "bot", "act": "more"},
        {"sub": "bot", "act": None},
        {"sub": "bot", "act": [{"sub": "more"}]},
        *({"sub": text} for text in (*BAD_TEXT, *NOT_TEXT)),
    ],
)
def test_other_actors_are_refused(act: object) -> None:
    """An actor is checked as strictly as a subject, and its issuer has to be configured."""
    assert refusal(act=act) == "actor_refused"


@pytest.mark.parametrize(
    ("auth_time", "expected"),
    [
        (SECONDS - 60, NOW - timedelta(minutes=1)),
        (SECONDS - 0.5, NOW - timedelta(seconds=0.5)),
        (ABSENT, None),
        (None, None),
        ("1", None),
        (True, None),
        (-1, None),
        (10**400, None),
        (SECONDS + 31, None),
    ],
)
def test_when_it_was_authenticated(auth_time: object, expected: datetime | None) -> None:
    """`authenticated_at` is the token's `auth_time`; anything but a past time is unknown."""
    assert judge(auth_time=auth_time).authenticated_at == expected


def test_what_the_issuer_says_of_all_its_tokens() -> None:
    """Kind, name and subject are taken as the configuration says."""
    found = judge(
        replace(OKTA, kind="agent", subject_claim="oid", name_claim="nick"), oid="7f", nick="Bob"
    )
    assert (found.kind, found.id, found.name) == ("agent", "okta/7f", "Bob")


def test_claims_are_frozen() -> None:
    """The claims of a principal cannot be changed, at any depth."""
    found = judge(deep={"list": [{"a": 1}]}).claims
    assert found["deep"]["list"][0]["a"] == 1
    with pytest.raises(TypeError):
        found["sub"] = "root"  # type: ignore[index]
    with pytest.raises(TypeError):
        found["deep"]["list"][0]["a"] = 2
    assert isinstance(found["deep"]["list"], tuple)
