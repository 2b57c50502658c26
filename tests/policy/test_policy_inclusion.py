"""What matches one matches the other: sure cases only, and none missed for looking in an index."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.policy import pattern
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
