"""What matches one matches the other: sure cases only, and none missed for looking in an index."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.policy import inclusion, pattern
from agentauth_cli.policy.inclusion import Shadows, implies, within
from support.policy_worlds import (
    QUESTIONS,
    Rule,
    conditions,
    policy_of,
    property_of,
    rule,
    rule_sets,
    rules,
)

if TYPE_CHECKING:
    from agentauth_cli.policy.matching import Pattern

WORDS = st.lists(st.sampled_from(["x", "y", "*", "xy"]), min_size=1, max_size=5).map("".join)
PATTERNS = WORDS.filter(lambda text: "**" not in text).map(pattern.name)


@property_of(800)
@given(PATTERNS, PATTERNS, st.text("xy", min_size=1, max_size=6))
def test_within_means_every_name(inner: Pattern, outer: Pattern, name: str) -> None:
    """Each name that matches the inner pattern matches the outer one."""
    if within([inner], [outer]):
        assert outer.matches(name) or not inner.matches(name)
    assert within([inner], [inner])
    assert within([inner], None)


def test_none_is_every_name() -> None:
    """An absent part matches everything."""
    star, other = pattern.name("*"), pattern.name("x*")
    assert within(None, None)
    assert within(None, [other, star])
    assert not within(None, [other])


@property_of(600)
@given(conditions(), conditions(), st.lists(QUESTIONS, min_size=1, max_size=6))
def test_what_implies_a_condition_never_holds_without_it(
    one: dict[str, Any], other: dict[str, Any], asked: list[Any]
) -> None:
    """A condition that implies another holds only where the other does."""
    first, second = policy_of([rule("a", when=one), rule("b", when=other)]).rules
    for left in first.when or ():
        assert implies(left, left)
        for right in second.when or ():
            if implies(left, right):
                for question in asked:
                    with contextlib.suppress(ValueError):
                        assert right.holds(question) or not left.holds(question)


@property_of(500)
@given(rule_sets(), st.lists(st.sampled_from("defg"), max_size=3, unique=True), st.data())
def test_the_index_misses_nothing(files: list[Rule], ids: list[str], data: st.DataObject) -> None:
    """Of many deny rules all are found that would be found alone."""
    drawn = [data.draw(rules(one, "deny")) for one in ids]
    bare = [{key: one[key] for key in one if key not in {"when", "unless"}} for one in drawn]
    policy = policy_of([*files, *bare, rule("z", "deny")])
    shadows = Shadows(policy.rules)
    for allow in policy.rules:
        alone = [deny.id for deny in policy.rules if list(Shadows([deny]).of(allow))]
        assert [one.id for one in shadows.of(allow)] == alone
        assert ("z" in alone) is (allow.effect == "allow")


KINDS = ["kind:user", "kind:agent", "kind:service"]


@pytest.mark.parametrize(
    ("denied", "allowed", "shadowed"),
    [
        (["*"], "okta/alice", True),
        (["*"], "group:okta/eng", True),
        (["*"], "kind:agent", True),
        (KINDS, "okta/alice", True),
        (KINDS, "group:*", True),
        (KINDS[:2], "okta/alice", False),
        (["group:okta/*"], "group:okta/eng", True),
        (["group:*"], "okta/alice", False),
        (["okta/*"], "group:okta/eng", False),
        (["x/y", "okta/al*"], "okta/alice", True),
    ],
)
def test_whom_a_deny_rule_means_finds_it(
    denied: list[str], allowed: str, *, shadowed: bool
) -> None:
    """One deny rule matches all that it matches: everybody whom the allow rule means, too."""
    policy = policy_of(
        [{**rule("no", "deny"), "principals": denied}, {**rule("yes"), "principals": [allowed]}]
    )
    no, yes = policy.rules
    assert list(Shadows(policy.rules).of(yes)) == [no] * shadowed


def test_deny_rules_about_others_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand people of whom each is refused something are no million pairs."""
    compared = []
    monkeypatch.setattr(inclusion, "_shadows", lambda deny, _: compared.append(deny.id))
    policy = policy_of(
        [
            {**rule(f"{effect}{i}", effect), "principals": [f"okta/{effect}-{i}-"]}
            for effect in ("allow", "deny")
            for i in range(50)
        ]
    )
    shadows = Shadows(policy.rules)
    assert [list(shadows.of(one)) for one in policy.rules] == [[]] * 100
    assert compared == []
