"""Rules that no request can reach: only what is sure is said, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.policy.decide import evaluate, named
from agentauth_cli.policy.unreachable import unreachable
from support.policy_worlds import (
    NOW,
    QUESTIONS,
    Rule,
    conditions,
    policy_of,
    property_of,
    rule,
    rules,
)

JWT: Rule = {"auth": ["jwt"]}
MAIN: Rule = {"claims": {"ref": "refs/heads/main"}}
LIMIT: Rule = {"obligations": {"must_log": True}}
ALL_DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
LATER = NOW + timedelta(hours=1)


def found(*files: Rule) -> list[tuple[str, str]]:
    """Return which rules cannot be reached, and why."""
    return [(one.id, why) for one, why in unreachable(policy_of(files))]


@pytest.mark.parametrize(
    ("when", "unless", "why"),
    [
        (JWT, {"auth": ["jwt", "os"]}, "`unless` holds wherever `when` holds"),
        ({**JWT, **MAIN}, {"claims": {"ref": ["x", "refs/*"]}}, "`unless` holds wherever"),
        ({"after": LATER}, {"after": NOW}, "`unless` holds wherever"),
        ({"before": NOW}, {"before": LATER}, "`unless` holds wherever"),
        ({"actor": ["key/a", "key/b*"]}, {"actor": ["key/*"]}, "`unless` holds wherever"),
        ({"max_session_age": "1h"}, {"max_session_age": "2h"}, "`unless` holds wherever"),
        ({"days": ["mon"]}, {"days": ["mon", "tue"]}, "`unless` holds wherever"),
        (
            {"hours": "08:00-18:00", "days": ["mon"]},
            {"hours": "08:00-18:00"},
            "`unless` holds wherever",
        ),
        (None, {"auth": ["jwt", "api_key", "ci", "os"]}, "`unless` always holds"),
        (None, {"days": ALL_DAYS}, "`unless` always holds"),
        (None, {"hours": "00:00-24:00"}, "`unless` always holds"),
        (JWT, {"auth": ["os"]}, ""),
        (JWT, {"auth": ["jwt"], "after": NOW}, ""),
        ({"auth": ["jwt", "os"]}, JWT, ""),
        ({"claims": {"ref": "refs/*"}}, MAIN, ""),
        ({"claims": {"other": "refs/heads/main"}}, MAIN, ""),
        ({"after": NOW}, {"after": LATER}, ""),
        ({"before": LATER}, {"before": NOW}, ""),
        ({"actor": ["key/*"]}, {"actor": ["key/a"]}, ""),
        ({"max_session_age": "2h"}, {"max_session_age": "1h"}, ""),
        ({"days": ["mon", "tue"]}, {"days": ["mon"]}, ""),
        ({"hours": "08:00-18:00"}, {"hours": "08:00-18:00", "days": ["mon"]}, ""),
        ({"hours": "08:00-18:00"}, {"hours": "08:00-19:00"}, ""),
        ({"hours": "08:00-18:00"}, {"hours": "08:00-18:00", "tz": "Europe/Paris"}, ""),
        (None, {"auth": ["jwt", "api_key", "ci"]}, ""),
        (None, {"days": ALL_DAYS[1:]}, ""),
        (None, {"days": ALL_DAYS, "hours": "00:00-23:59"}, ""),
        (None, {"claims": {"ref": "*"}}, ""),
        (JWT, None, ""),
        ({"before": NOW - timedelta(days=9999)}, None, ""),
    ],
)
def test_conditions_that_contradict(when: Any, unless: Any, why: str) -> None:
    """Rules that no request can reach: conditions that contradict; one that is over may be met."""
    parts: Rule = {key: one for key, one in (("when", when), ("unless", unless)) if one}
    said = found(rule("a", **parts))
    assert [one for one, _ in said] == (["a"] if why else [])
    assert all(told.startswith(why) for _, told in said)


def test_an_error_in_a_condition_reaches_a_deny_rule() -> None:
    """An error in a condition: a deny rule matches, an allow rule's limits hold on a scope."""
    for effect, more in (("deny", Rule()), ("allow", LIMIT)):
        assert found(rule("a", effect, when=JWT, unless=JWT, **more)) == [
            ("a", "`unless` holds wherever `when` holds")
        ]
        assert found(rule("a", effect, when=MAIN, unless=MAIN, **more)) == []
        assert found(rule("a", effect, unless={"days": ALL_DAYS}, **more)) == []
        aged = {"max_session_age": "1h"}
        assert found(rule("a", effect, when={**JWT, **aged}, unless=JWT, **more)) == []


@pytest.mark.parametrize(
    ("ref", "dead"),
    [
        ("refs/*", True),
        (["refs/*", "a:b"], True),
        ("a..b", True),
        (["refs/*", "main"], False),
        ("*", False),
        ("v*", False),
    ],
)
def test_a_claim_that_cannot_stand_in_a_resource(ref: Any, dead: bool) -> None:
    """A value that cannot be put in fails the substitution, and with it the whole part."""
    parts: Rule = {
        "resources": ["x", "y/${principal.claims.ref}"],
        "when": {"claims": {"ref": ref}},
    }
    why = "a claim ref that `when` wants cannot stand in a resource"
    assert found(rule("a", **parts)) == ([("a", why)] if dead else [])
    assert found(rule("a", "deny", **parts)) == []
    assert found(rule("a", **parts, **LIMIT)) == []
    other = {**parts, "resources": ["y/${principal.claims.other}"]}
    assert found(rule("a", **other)) == []


def test_a_rule_that_is_denied_entirely() -> None:
    """An allow rule shadowed entirely by a deny rule without conditions."""
    files = [
        rule("a", environments=["prod"], tools=["x"]),
        rule("b", environments=["prod", "dev"]),
        rule("c", environments=["prod"], **LIMIT),
        rule("d", "deny", environments=["prod"]),
        rule("e", "deny", environments=["prod"], tools=["x"]),
    ]
    why = "d denies all that it allows"
    assert found(*files) == [("a", why), ("c", why)]
    conditional = rule("d", "deny", environments=["prod"], when=JWT)
    assert found(*files[:3], conditional) == []


@pytest.mark.parametrize(
    ("deny", "dead"),
    [
        (None, True),
        (["*"], True),
        (["a/*"], False),
        (["a/*", "b/${principal.name}"], True),
        (["a/*", "b/${tool}"], False),
    ],
)
def test_limits_where_a_variable_has_no_value(deny: list[str] | None, dead: bool) -> None:
    """A failed substitution counts as touching: limits then hold on a scope that nobody denies."""
    parts: Rule = {"resources": deny} if deny else {}
    files = [rule("a", resources=["a/${principal.name}"], **LIMIT), rule("d", "deny", **parts)]
    assert [one for one, _ in found(*files)] == (["a"] if dead else [])
    assert found(rule("a", resources=["a/${principal.name}"]), files[1]) != []


@st.composite
def worlds(draw: st.DrawFn) -> list[Rule]:
    """Draw rules of which some contradict themselves, and some are denied entirely."""
    files = [draw(rules(one)) for one in "abc"[: draw(st.integers(1, 3))]]
    for one in files:
        if draw(st.booleans()):
            one["when"] = draw(conditions())
            keys = draw(st.sets(st.sampled_from(sorted(set(one["when"]) - {"tz"})), min_size=1))
            one["unless"] = {key: one["when"][key] for key in sorted(keys)}
    if draw(st.booleans()):
        names = ("principals", "tools", "actions", "resources", "environments")
        denied = {key: value for key, value in files[0].items() if key in names}
        left = draw(st.sets(st.sampled_from(names[1:])))
        kept = {key: value for key, value in denied.items() if key not in left}
        files.append({"id": "d", "effect": "deny", **kept})
    return files


@property_of(600)
@given(worlds(), st.lists(QUESTIONS, min_size=1, max_size=8))
def test_what_is_called_unreachable_is_never_named(files: list[Rule], asked: list[Any]) -> None:
    """Rules that no request can reach: sure cases only."""
    policy = policy_of(files)
    dead = {one.id for one, _ in unreachable(policy)}
    for question in asked:
        assert dead.isdisjoint(named(evaluate(policy, question)))


def test_the_drawn_worlds_have_such_rules() -> None:
    """The property would hold of policies without them too: some have to have them."""
    seen = []

    @property_of(200)
    @given(worlds())
    def draw(files: list[Rule]) -> None:
        seen.append(len(list(unreachable(policy_of(files)))))

    draw()
    assert sum(map(bool, seen)) > len(seen) // 4
