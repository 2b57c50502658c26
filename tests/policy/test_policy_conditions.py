"""Every sentence of "Conditions", and what errors in them do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.model import Decision
from agentauth_cli.policy.conditions import outcome
from agentauth_cli.policy.decide import evaluate
from support.policy_worlds import ALICE, NOW, QUESTION, ask, policy_of, rule

if TYPE_CHECKING:
    from agentauth_cli.model import PolicyDecision, Principal, Question

YES, NO, ERROR = "yes", "no", "error"


def deny_alone(question: Question, **parts: Any) -> bool:
    """Say whether a deny rule with these parts matches."""
    policy = policy_of([rule("deny", "deny", **parts), rule("allow")])
    return evaluate(policy, question).decision is Decision.DENY


def came_to(condition: dict[str, Any], question: Question) -> str:
    """Return what a condition comes to, read off all four places where it can stand."""
    allowed = {
        part: evaluate(policy_of([{**rule(), part: condition}]), question).decision
        is Decision.ALLOW
        for part in ("when", "unless")
    }
    denied = {part: deny_alone(question, **{part: condition}) for part in ("when", "unless")}
    if allowed == {"when": True, "unless": False}:
        assert denied == allowed
        return YES
    if allowed == {"when": False, "unless": True}:
        assert denied == allowed
        return NO
    assert allowed == {"when": False, "unless": False}
    assert denied == {"when": True, "unless": True}
    return ERROR


def claiming(**claims: Any) -> Question:
    """Return a question of somebody with these claims."""
    return ask(principal=replace(ALICE, claims=claims))


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        ("acme", "acme", YES),
        ("acme", "Acme", NO),
        ("refs/pull/*", "refs/pull/7/merge", YES),
        (["a", "b*"], "bc", YES),
        (["a", "b*"], "c", NO),
        ("b", ["a", "b"], YES),
        ("c", ["a", "b"], NO),
        ("*", [], NO),
        ("b", ("a", "b"), YES),
        ("*", "", YES),
        ("*", "e\u0301 \n?", YES),
    ],
)
def test_claims(wanted: Any, value: Any, expected: str) -> None:
    """The verified token's top-level claim is a string matching any pattern, or a list of strings.

    Arrays of verified tokens are tuples.
    """
    assert came_to({"claims": {"c": wanted}}, claiming(c=value)) == expected


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        ("7", 7, YES),
        ("-7", -7, YES),
        ("7*", 71, YES),
        ("7", "7", YES),
        ("07", 7, NO),
        ("true", True, YES),
        ("1", True, NO),
        ("True", True, NO),
        ("false", False, YES),
        ("0", False, NO),
    ],
)
def test_claims_that_are_no_strings(wanted: str, value: Any, expected: str) -> None:
    """Integers and booleans compare as their JSON text."""
    assert came_to({"claims": {"c": wanted}}, claiming(c=value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        *(None, {"a": "b"}, 7.5, 1e3, float("nan"), MappingProxyType({"a": "b"})),
        *(["a", 7], ["a", True], ["a", None], [["a"]], ("a", 7)),
        *("a\ud800", ["a", "\udfff"]),
    ],
)
def test_claims_that_cannot_be_compared(value: Any) -> None:
    """A claim of another type (object, null, a number with fraction or exponent, …) is an error.

    Objects of verified tokens are read-only mappings.
    """
    assert came_to({"claims": {"c": "*"}}, claiming(c=value)) == ERROR


def test_an_integer_that_has_no_text() -> None:
    """A claim that cannot be compared is an error: Python writes no integer of 5,000 digits."""
    assert came_to({"claims": {"c": "*"}}, claiming(c=10**5000)) == ERROR


def test_a_missing_claim() -> None:
    """A missing claim does not hold."""
    assert came_to({"claims": {"c": "*"}}, claiming(d="x", C="x")) == NO
    assert came_to({"claims": {'"a.b"': "*"}}, claiming(a={"b": "x"})) == NO
    assert came_to({"claims": {'"a.b"': "*"}}, claiming(**{"a.b": "x"})) == YES


@pytest.mark.parametrize(("auth", "expected"), [("jwt", YES), ("ci", YES), ("os", NO)])
def test_auth(auth: Any, expected: str) -> None:
    """The principal was authenticated in one of these ways."""
    question = ask(principal=replace(ALICE, auth=auth))
    assert came_to({"auth": ["ci", "jwt"]}, question) == expected


INSTANT = timedelta(microseconds=1)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("key", "time", "expected"),
    [
        ("after", NOW - INSTANT, NO),
        ("after", NOW, YES),
        ("after", NOW.astimezone(timezone(timedelta(hours=-9))), YES),
        ("before", NOW - INSTANT, YES),
        ("before", NOW, NO),
        ("before", datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), YES),
        ("after", datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))), YES),
    ],
)
def test_after_and_before(key: str, time: datetime, expected: str) -> None:
    """The request's time is at or after / strictly before this offset date-time."""
    assert came_to({key: NOW}, ask(time=time)) == expected


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> Question:
    """Return a question at this time of November 2026, whose 23rd is a Monday; UTC."""
    return ask(time=datetime(2026, 11, day, hour, minute, second, 999_999, UTC))


@pytest.mark.parametrize(
    ("condition", "question", "expected"),
    [
        ({"days": ["mon", "wed"]}, at(23, 0), YES),
        ({"days": ["mon", "wed"]}, at(24, 0), NO),
        ({"days": ["mon"], "hours": "08:00-18:00"}, at(23, 9), YES),
        ({"hours": "09:30-10:30"}, at(23, 9, 29), NO),
        ({"hours": "09:30-10:30"}, at(23, 9, 30), YES),
        ({"hours": "09:30-10:30"}, at(23, 10, 29), YES),
        ({"hours": "09:30-10:30"}, at(23, 10, 30), NO),
        ({"days": ["mon"], "hours": "08:00-18:00"}, at(24, 9), NO),
        ({"days": ["mon"], "hours": "08:00-18:00"}, at(23, 7), NO),
        ({"hours": "10:00-11:00", "tz": "Europe/Paris"}, at(23, 9), YES),
        ({"hours": "10:00-11:00", "tz": "Europe/Paris"}, at(23, 10), NO),
        ({"days": ["tue"], "tz": "Asia/Tokyo"}, at(23, 15), YES),
        ({"days": ["tue"], "tz": "Asia/Tokyo"}, at(23, 14, 59), NO),
    ],
)
def test_days_and_hours(condition: dict[str, Any], question: Question, expected: str) -> None:
    """The local day and time fall inside."""
    assert came_to(condition, question) == expected


@pytest.mark.parametrize(
    ("hours", "question", "expected"),
    [
        ("08:00-18:00", at(23, 7, 59, 59), NO),
        ("08:00-18:00", at(23, 8), YES),
        ("08:00-18:00", at(23, 17, 59, 59), YES),
        ("08:00-18:00", at(23, 18), NO),
        ("08:00-24:00", at(23, 23, 59, 59), YES),
        ("08:00-24:00", at(23, 0), NO),
        ("22:00-06:00", at(23, 21, 59, 59), NO),
        ("22:00-06:00", at(23, 22), YES),
        ("22:00-06:00", at(23, 5, 59, 59), YES),
        ("22:00-06:00", at(23, 6), NO),
    ],
)
def test_the_ends_of_a_span(hours: str, question: Question, expected: str) -> None:
    """The start is inside, the end is not."""
    assert came_to({"hours": hours}, question) == expected


@pytest.mark.parametrize(
    ("days", "hours", "question", "expected"),
    [
        (["mon"], "22:00-06:00", at(23, 23), YES),
        (["mon"], "22:00-06:00", at(24, 5), YES),
        (["mon"], "22:00-06:00", at(23, 5), NO),
        (["sun"], "22:00-06:00", at(23, 5), YES),
        (["mon"], "22:00-06:00", at(24, 22), NO),
        (["mon"], "08:00-00:00", at(23, 23, 59, 59), YES),
        (["mon"], "08:00-00:00", at(24, 0), NO),
        (["mon"], "10:00-09:59", at(24, 9, 58), YES),
        (["mon"], "10:00-09:59", at(24, 10), NO),
    ],
)
def test_a_span_over_midnight(
    days: list[str], hours: str, question: Question, expected: str
) -> None:
    """A span that ends before it starts runs over midnight and belongs to the day it started."""
    assert came_to({"days": days, "hours": hours}, question) == expected


def test_the_zone_that_is_meant() -> None:
    """`tz` defaults to UTC and is an exact name of the `tzdata` package's list."""
    for question, expected in ((at(23, 10), YES), (at(23, 9), NO)):
        for zone in ({}, {"tz": "UTC"}, {"tz": "Etc/UTC"}):
            assert came_to({"hours": "10:00-11:00", **zone}, question) == expected


def test_daylight_saving() -> None:
    """The local time is that of the clock in the zone, in summer as in winter."""
    condition = {"hours": "09:00-10:00", "tz": "Europe/Paris"}
    assert came_to(condition, ask(time=datetime(2026, 7, 1, 7, 30, tzinfo=UTC))) == YES
    assert came_to(condition, ask(time=datetime(2026, 1, 1, 8, 30, tzinfo=UTC))) == YES


@pytest.mark.parametrize(
    ("time", "zone"),
    [
        (datetime.max.replace(tzinfo=UTC), "Asia/Tokyo"),
        (datetime.min.replace(tzinfo=UTC), "America/New_York"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "UTC"),
    ],
)
def test_a_time_that_the_zone_cannot_express(time: datetime, zone: str) -> None:
    """A time that the zone cannot express is an error."""
    assert came_to({"days": ["mon"], "tz": zone}, ask(time=time)) == ERROR


@pytest.mark.parametrize(
    ("actor", "expected"), [("key/build-7", YES), ("key/deploy", NO), ("ci/x", YES)]
)
def test_actor(actor: str | None, expected: str) -> None:
    """The principal is acted for by one whose id matches."""
    question = ask(principal=replace(ALICE, actor=actor))
    assert came_to({"actor": ["key/build-*", "ci/*"]}, question) == expected


def test_without_an_actor() -> None:
    """Without an actor it does not hold."""
    assert came_to({"actor": ["*"]}, QUESTION) == NO


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (NOW - timedelta(hours=8), YES),
        (NOW - timedelta(hours=8, microseconds=1), NO),
        (NOW + timedelta(hours=1), YES),
    ],
)
def test_max_session_age(since: datetime, expected: str) -> None:
    """The login is not older than this."""
    question = ask(principal=replace(ALICE, authenticated_at=since))
    assert came_to({"max_session_age": "8h"}, question) == expected


@pytest.mark.parametrize("since", [None, NOW.replace(tzinfo=None)])
def test_an_age_that_nobody_knows(since: datetime | None) -> None:
    """Unknown age is an error."""
    question = ask(principal=replace(ALICE, authenticated_at=since))
    assert came_to({"max_session_age": "8h"}, question) == ERROR


EACH: list[tuple[dict[str, Any], bool]] = [
    ({"claims": {"a": "x", "b": "y"}, "auth": ["jwt"]}, True),
    ({"claims": {"a": "x", "b": "z"}, "auth": ["jwt"]}, False),
    ({"claims": {"a": "z", "b": "y"}}, False),
    ({"claims": {"a": "x"}, "auth": ["os"]}, False),
    ({"claims": {"c": "x"}, "auth": ["os"]}, False),
]
"""Keys, and whether each of them holds of somebody with the claims a = x and b = y."""


def test_each_key_has_to_hold() -> None:
    """`when` holds if each key in it holds."""
    question = claiming(a="x", b="y")
    for keys, holds in EACH:
        policy = policy_of([rule(when=keys)])
        assert (evaluate(policy, question).decision is Decision.ALLOW) is holds


def test_each_key_takes_out() -> None:
    """`unless` takes the rule out if each key in it holds."""
    question = claiming(a="x", b="y")
    for keys, holds in EACH:
        policy = policy_of([rule(unless=keys)])
        assert (evaluate(policy, question).decision is Decision.DENY) is holds


@pytest.mark.parametrize("order", [["a", "b", "c"], ["c", "b", "a"]])
def test_every_key_is_evaluated(order: list[str]) -> None:
    """Every key is evaluated, in both."""
    question = claiming(b=None)
    assert came_to({"claims": dict.fromkeys(order, "y")}, question) == ERROR


@pytest.mark.parametrize("order", [["a", "b", "c"], ["c", "b", "a"]])
def test_one_error_makes_the_whole_part_an_error(order: list[str]) -> None:
    """One error makes the whole part an error."""
    question = claiming(a="x", b=None)
    assert came_to({"claims": dict.fromkeys(order, "y"), "auth": ["os"]}, question) == ERROR
    assert came_to({"auth": ["os"], "max_session_age": "8h"}, question) == ERROR


def test_what_a_part_came_to() -> None:
    """The conditions that failed, and why some have no answer."""
    part = {
        "claims": {"a": "x", "b": "x"},
        "auth": ["os"],
        "max_session_age": "8h",
        "days": ["mon"],
    }
    when = policy_of([rule("r", when={**part, "tz": "Asia/Tokyo"})]).rules[0].when or ()
    claim, other, auth, calendar, age = when
    question = claiming(a="y", b="\ud800")
    found = outcome(when, replace(question, time=datetime.max.replace(tzinfo=UTC)))
    assert found.failed == (claim, auth)
    assert found.errors == (
        "the claim b holds a lone surrogate",
        "the time cannot be expressed in Asia/Tokyo",
        "the age of the login is not known",
    )
    assert [one.subject for one in (other, calendar, age)] == [
        "the claim b",
        "the local time",
        "the login",
    ]
    assert not outcome(when, question).holds
    assert outcome((calendar,), question).holds
    assert outcome(None, question).holds


def test_the_other_parts_are_judged_as_always() -> None:
    """Errors and failures decide their own part and nothing else."""
    unknown = {"max_session_age": "8h"}
    assert not deny_alone(QUESTION, when=unknown, tools=["other"])
    assert not deny_alone(QUESTION, unless=unknown, when={"auth": ["os"]})
    assert deny_alone(QUESTION, when=unknown, unless={"auth": ["os"]})


@pytest.mark.parametrize("part", ["when", "unless"])
@pytest.mark.parametrize(
    ("resource", "others", "holds"),
    [
        ("bucket/*", {}, True),
        ("bucket/*", {"resources": ["bucket/a"]}, True),
        ("bucket/*", {"resources": ["${principal.claims.c}"]}, True),
        ("bucket/*", {"resources": ["other/*"]}, False),
        ("bucket/*", {"tools": ["other"]}, False),
        ("bucket/key", {}, False),
    ],
)
def test_an_error_counts_as_touching_a_scope(
    part: str, resource: str, others: dict[str, Any], holds: bool
) -> None:
    """Where a scope is asked for an error counts as touching, so that its obligations hold."""
    obliged = {**rule("o", obligations={"must_log": True}), part: {"max_session_age": "8h"}}
    obliged |= others
    answer = evaluate(policy_of([obliged, rule("a")]), ask(resource=resource))
    assert (answer.decision, answer.rules) == (Decision.ALLOW, ("a",))
    assert ("must_log" in answer.obligations) is holds


def test_a_condition_that_fails_touches_no_scope() -> None:
    """The obligations on a scope are those of every rule that matches in its other parts."""
    obliged = rule("o", when={"auth": ["os"]}, obligations={"must_log": True})
    assert evaluate(policy_of([obliged, rule("a")]), ask(resource="*")).obligations == {}


# The nearest miss


def nearest(principal: Principal = ALICE, **parts: Any) -> PolicyDecision:
    """Return the answer to somebody, by one allow rule."""
    return evaluate(policy_of([rule("r", **parts)]), ask(principal=principal))


def test_the_failed_parts_are_named_in_order() -> None:
    """The nearest miss: principals, tools, actions, resources, environments, when, unless."""
    parts = ("tools", "resources", "when", "unless")
    answer = nearest(unless={"auth": ["jwt"]}, when={"auth": ["os"]}, resources=["x"], tools=["y"])
    assert answer.nearest is not None
    assert answer.nearest.parts == parts


@pytest.mark.parametrize(
    ("parts", "claims", "said"),
    [
        (
            {"when": {"claims": {"ref": ["main", "v*"]}}},
            {"ref": "refs/pull/7"},
            "the claim ref were main or v*; it is refs/pull/7",
        ),
        ({"when": {"claims": {"ref": "main"}}}, {}, "the claim ref were main; it is missing"),
        ({"when": {"claims": {"ref": "a"}}}, {"ref": ["b"]}, 'the claim ref were a; it is ["b"]'),
        (
            {"when": {"claims": {"ref": "a"}}},
            {"ref": "b" * 64},
            f"the claim ref were a; it is {'b' * 64}",
        ),
        (
            {"when": {"claims": {"ref": "a"}}},
            {"ref": "b" * 65},
            f"the claim ref were a; it is {'b' * 64}…",
        ),
        (
            {"when": {"claims": {"ref": "a"}, "auth": ["os"]}},
            {"ref": 7.5},
            "the claim ref is no string, integer, boolean or list of them",
        ),
        (
            {"when": {"auth": ["os", "ci"]}, "tools": ["x"]},
            {},
            "the tool were x and the authentication were os or ci; it is s3_upload, jwt",
        ),
        (
            {"when": {"after": LATER}},
            {},
            "the time were 2026-11-23T11:00:00Z or later; it is 2026-11-23T10:00:00Z",
        ),
        (
            {"when": {"before": NOW}},
            {},
            "the time were before 2026-11-23T10:00:00Z; it is 2026-11-23T10:00:00Z",
        ),
        (
            {"when": {"days": ["sun", "tue"], "hours": "08:00-24:00", "tz": "Europe/Paris"}},
            {},
            "the local time were tue, sun 08:00-24:00 in Europe/Paris; it is mon 11:00",
        ),
        ({"when": {"hours": "08:00-09:30"}}, {}, "were 08:00-09:30 in UTC; it is mon 10:00"),
        ({"when": {"days": ["sun"]}}, {}, "the local time were sun in UTC; it is mon 10:00"),
        ({"when": {"actor": ["a/*", "b/*"]}}, {}, "the actor were a/* or b/*; it is nobody"),
        (
            {"unless": {"auth": ["jwt"], "claims": {"ref": "a*"}}},
            {"ref": "ab"},
            "the claim ref were not a* or the authentication were not jwt; it is ab, jwt",
        ),
        (
            {"unless": {"max_session_age": "8h"}},
            {},
            "`unless` could be judged; it is not known: the age of the login is not known",
        ),
    ],
)
def test_the_hint(parts: dict[str, Any], claims: dict[str, Any], said: str) -> None:
    """The nearest miss says what would have to be otherwise."""
    found = nearest(replace(ALICE, claims=claims), **parts).nearest
    assert found is not None
    assert found.hint.startswith("`r` would allow this if ")
    assert found.hint.endswith(said)


def test_the_hint_for_an_old_login() -> None:
    """The nearest miss says how old the login is."""
    who = replace(ALICE, authenticated_at=NOW - timedelta(hours=9))
    found = nearest(who, when={"max_session_age": "8h"}).nearest
    assert found is not None
    assert found.hint.endswith("the login were 28800 s old at most; it is 32400 s old")
