"""What each rule came to: who took part, and why; who did not, by which part and which values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.model import Decision, Question
from agentauth_cli.policy.considered import MOST_QUESTIONS, Explained, explain
from agentauth_cli.policy.decide import evaluate, named
from agentauth_cli.policy.explain import LONGEST, MOST
from support.policy_worlds import (
    ALICE,
    NOW,
    QUESTION,
    QUESTIONS,
    Rule,
    ask,
    policy_of,
    property_of,
    rule,
    rule_sets,
)


def explained(*files: Rule, question: Question = QUESTION, most: int = 10) -> Explained:
    """Explain one question."""
    (found,) = explain(policy_of(files), [question], most)
    return found


def roles(found: Explained) -> list[tuple[str, str]]:
    """Return which rule plays which role, in order."""
    return [(one.rule.id, one.role) for one in found.rules]


def said(*, question: Question = QUESTION, effect: str = "allow", **parts: Any) -> list[str]:
    """Return what one rule with these parts looked at."""
    (one,) = explained({**rule("r", effect), **parts}, question=question).rules
    return [str(each) for each in one.compared]


# Who took part


def test_every_rule_that_took_part() -> None:
    """Every rule that took part, the deciding one first, then those that failed."""
    files = [rule("c", tools=["x"]), rule("b"), rule("a"), rule("d", "deny", tools=["x"])]
    allowed = explained(*files)
    assert allowed.answer == evaluate(policy_of(files), QUESTION)
    assert roles(allowed) == [
        *(("a", "decides"), ("b", "takes part")),
        *(("c", "fails"), ("d", "fails")),
    ]
    denied = explained(*files, rule("0", "deny"), question=ask(tool="x"))
    assert roles(denied) == [
        *(("0", "decides"), ("d", "takes part")),
        *(("a", "matches"), ("b", "matches"), ("c", "matches")),
    ]


def test_a_rule_that_only_limits() -> None:
    """The obligations on a scope are those of every allow rule that touches it."""
    files = [
        rule("a"),
        rule("part", resources=["x/y"], obligations={"must_log": True}),
        rule("idle", resources=["x/z"]),
        rule("far", resources=["z"], obligations={"must_log": True}),
    ]
    found = explained(*files, question=ask(resource="x/*"))
    assert roles(found) == [
        *(("a", "decides"), ("part", "limits")),
        *(("far", "fails"), ("idle", "fails")),
    ]
    refused = explained(*files[1:], question=ask(resource="x/*"))
    assert {role for _, role in roles(refused)} == {"fails"}


def test_no_delivery_left() -> None:
    """`no delivery left`, naming every rule with a `delivery`, the smallest id deciding."""
    files = [
        rule("a"),
        *(rule(one, obligations={"delivery": [one]}) for one in ("exec", "stdout")),
    ]
    assert roles(explained(*files)) == [
        *(("exec", "decides"), ("stdout", "takes part")),
        ("a", "matches"),
    ]


def test_no_delivery_left_of_a_scope() -> None:
    """Every rule with a `delivery`: also one that only touches the scope."""
    files = [
        rule("a", obligations={"delivery": ["stdout"]}),
        rule("part", resources=["x/y"], obligations={"delivery": ["exec"]}),
    ]
    found = explained(*files, question=ask(resource="x/*"))
    assert roles(found) == [("a", "decides"), ("part", "takes part")]
    assert [one.failed for one in found.rules] == [(), ("resources",)]


def test_the_nearest_misses_come_first_and_the_others_are_counted() -> None:
    """The nearest misses first: fewest failed parts, then id; then how many more there are."""
    files = [
        rule("c", tools=["x"], actions=["a.b.c"]),
        *(rule(one, tools=["x"]) for one in "ba"),
        *(rule(one, "deny", tools=["x"]) for one in "zyx"),
    ]
    found = explained(*files, most=2)
    assert [one.rule.id for one in found.rules] == ["a", "b", "x", "y"]
    assert (found.more_allow, found.more_deny) == (1, 1)
    assert found.answer.nearest is not None
    assert found.rules[0].rule.id == found.answer.nearest.rule
    assert len(explained(*files, most=3).rules) == len(files)


def test_a_question_that_is_not_well_formed_asks_no_rule() -> None:
    """A request that is not well formed is denied, whatever the rules say."""
    found = explained(rule(), question=ask(action="put"))
    assert found.answer.reason.startswith("malformed request")
    assert found.rules == ()


@property_of(300)
@given(st.data())
def test_the_roles_are_those_of_the_answer(data: st.DataObject) -> None:
    """Every rule that the answer names took part, each failed one says why, and none is lost."""
    rules, question = data.draw(rule_sets()), data.draw(QUESTIONS)
    policy = policy_of(rules)
    (found,) = explain(policy, [question], 1)
    playing = {one.rule.id for one in found.rules if one.role != "fails"}
    assert named(found.answer) <= playing
    assert set(found.answer.rules) == {
        one.rule.id for one in found.rules if one.role in {"decides", "takes part"}
    }
    assert all(one.compared for one in found.rules)
    for one in found.rules:
        if found.answer.reason != "no delivery left" or one.role in {"matches", "fails"}:
            assert bool(one.failed) == (one.role in {"fails", "limits"})
    assert len(found.rules) + found.more_allow + found.more_deny == len(policy.rules)


# Several questions


def test_several_questions_have_a_tree_each() -> None:
    """Each question is explained, in order; they are so many, and the first refused one."""
    files = [rule("a", resources=["x"]), rule("b", resources=["z"])]
    asked = [ask(resource=one) for one in ("x", *("z" * MOST_QUESTIONS), "y", "x", "y")]
    found = explain(policy_of(files), asked, 1)
    assert [one.question for one in found] == [*asked[:MOST_QUESTIONS], ask(resource="y")]
    assert [one.answer.decision for one in found[-2:]] == [Decision.ALLOW, Decision.DENY]
    assert explain(policy_of(files), [], 1) == []


# The values compared


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (
            {"principals": ["okta/bob", "key/*"]},
            "the principal is okta/alice, not okta/bob or key/*",
        ),
        (
            {"principals": ["kind:agent"]},
            "the principal is okta/alice of kind user, not kind:agent",
        ),
        (
            {"principals": ["group:okta/x"]},
            "the principal is okta/alice in okta/eng and okta/ops, not group:okta/x",
        ),
        ({"tools": ["x", "y*"]}, "the tool is s3_upload, not x or y*"),
        ({"actions": ["gcp.*"]}, "the action is aws.s3.put, not gcp.*"),
        ({"resources": ["a", "b/*"]}, "the resource is bucket/key, not a or b/*"),
        (
            {"resources": ["*/${principal.name}/${environment}/*"]},
            "the resource is bucket/key, not */alice/dev/*",
        ),
        (
            {"resources": ["${principal.claims.no}/*"]},
            "the resource cannot be judged: `${principal.claims.no}` has no value that is a string",
        ),
        ({"environments": ["prod"]}, "the environment is dev, not prod"),
        ({"when": {"auth": ["os"]}}, "when the authentication is jwt, not os"),
        (
            {"unless": {"max_session_age": "1h"}},
            "unless the login cannot be judged: the age of the login is not known",
        ),
        ({"unless": {"auth": ["jwt", "ci"]}}, "unless the authentication is jwt (jwt or ci)"),
    ],
)
def test_the_values_of_a_part_that_failed(parts: dict[str, Any], line: str) -> None:
    """For each allow rule that did not, the part that failed and the values compared."""
    who = replace(ALICE, groups=("okta/eng", "okta/ops"), claims={"n": None})
    assert said(question=ask(principal=who), **parts) == [line]


def test_in_no_group() -> None:
    """The values compared: whoever is in no group."""
    assert said(principals=["group:a/b"]) == [
        "the principal is okta/alice in no group, not group:a/b"
    ]


def test_only_what_failed_of_a_part_is_said() -> None:
    """The part that failed: each condition that did not hold; of `unless`, all that held."""
    when = {"auth": ["jwt"], "actor": ["a/b"], "after": NOW.replace(year=2030)}
    assert said(when=when) == [
        "when the time is 2026-11-23T10:00:00Z, not 2030-11-23T10:00:00Z or later",
        "when the actor is nobody, not a/b",
    ]
    unless = {"auth": ["jwt"], "before": NOW.replace(year=2030)}
    assert said(tools=["x"], unless=unless) == [
        "the tool is s3_upload, not x",
        "unless the authentication is jwt (jwt)",
        "unless the time is 2026-11-23T10:00:00Z (before 2030-11-23T10:00:00Z)",
    ]


def test_why_a_rule_took_part() -> None:
    """Every rule that took part and why: each part that it gives, with the values."""
    resources, environments = ["bucket/*"], ["dev", "x"]
    when, unless = {"auth": ["jwt"]}, {"auth": ["os"], "before": NOW.replace(year=2030)}
    assert said(environments=environments, resources=resources, when=when, unless=unless) == [
        "the principal is okta/alice (*)",
        "the resource is bucket/key (bucket/*)",
        "the environment is dev (dev or x)",
        "when the authentication is jwt (jwt)",
        "unless the authentication is jwt, not os",
    ]


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"when": {"claims": {"n": "x"}}}, "when the claim n cannot be judged: the claim n is no"),
        ({"unless": {"claims": {"n": "x"}}}, "unless the claim n cannot be judged: the claim n"),
        (
            {"resources": ["${principal.claims.n}"]},
            "the resource cannot be judged: `${principal.claims.n}` has no value",
        ),
    ],
)
def test_a_deny_rule_that_cannot_be_judged_says_so(parts: dict[str, Any], line: str) -> None:
    """An error decides its own part: for a deny rule it matches."""
    who = replace(ALICE, claims={"n": None})
    found = explained(rule("r", "deny", **parts), question=ask(principal=who))
    assert roles(found) == [("r", "decides")]
    assert str(found.rules[0].compared[-1]).startswith(line)


# What comes from anybody


def test_long_values_are_cut() -> None:
    """Values of the request are untrusted: long ones are cut, and so are long lists."""
    (line,) = said(question=ask(resource="x" * 2000), resources=["y" * 1000])
    assert line == (f"the resource is {'x' * (LONGEST - 1)}…, not {'y' * (LONGEST - 1)}…")
    (line,) = said(tools=[f"t{i}" for i in range(MOST)])
    assert line.endswith("not t0 or t1 or t2 or t3 or t4")
    (line,) = said(tools=[f"t{i}" for i in range(MOST + 2)])
    assert line.endswith("not t0 or t1 or t2 or t3 or t4 or 2 more")
