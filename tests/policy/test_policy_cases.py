"""Tests in the file: how they are written, what they ask, and what they say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.model import Decision, Principal, Question
from agentauth_cli.policy.cases import with_name
from agentauth_cli.policy.decide import evaluate, named
from agentauth_cli.policy.rules import load
from agentauth_cli.policy.testing import Result, reached, run
from support.policy_worlds import (
    QUESTIONS,
    Rule,
    policy_of,
    property_of,
    rule,
    rule_sets,
    toml,
    written,
)

if TYPE_CHECKING:
    from agentauth_cli.policy.packed import Policy

SMALLEST = """
[[test]]
name = "t"
principal = "okta/alice"
action = "aws.s3.put"
resource = "bucket/key"
expect = "deny"
"""


def policy_with(rules: list[Rule], *tests: str) -> Policy:
    """Load rules and tests, which has to work."""
    policy, problems = load([("p.toml", written(rules) + "".join(tests).encode())])
    assert policy is not None, [str(one) for one in problems]
    return policy


def errors(*tests: str) -> list[str]:
    """Return the load errors of a file of tests alone."""
    policy, problems = load([("p.toml", ("version = 1\n" + "".join(tests)).encode())])
    assert (policy is None) is bool(problems)
    return [str(one) for one in problems]


def test_what_a_test_does_not_say() -> None:
    """Kind defaults to `user`, auth to `jwt`."""
    (case,) = policy_with([], SMALLEST).cases
    expected = Question(
        Principal("okta/alice", "", kind="user", auth="jwt"),
        *("aws.s3.put", "bucket/key", "-", "dev"),
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert case.question == expected
    assert case.question.principal.authenticated_at is None
    assert (case.name, case.expect, case.rule, case.obligations) == ("t", Decision.DENY, None, {})
    assert (case.file, case.index) == ("p.toml", 0)


def test_what_a_test_can_say() -> None:
    """A `[[test]]` has `name`, `principal` (an id, or a table with `id`, `kind`, `groups`, …)."""
    test = """
        [[test]]
        name = "t"
        tool = "s3"
        environment = "prod"
        at = 2026-11-23T11:00:00+01:00
        action = "aws.s3.put"
        resource = "s3://bucket/*"
        rule = ""
        obligations = { max_duration = "15m" }
        expect = "allow"
        [test.principal]
        id = "key/build-7"
        kind = "agent"
        groups = ["okta/eng"]
        auth = "api_key"
        session_age = "2h"
        actor = "ci/x"
        claims = { a = "", b = [], c = {}, d = 7.5, e = [true, { f = "x" }], g = "y" }
    """
    (case,) = policy_with([], test).cases
    who = case.question.principal
    at = datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert (who.id, who.kind, who.groups, who.auth, who.actor) == (
        *("key/build-7", "agent", ("okta/eng",), "api_key", "ci/x"),
    )
    assert who.authenticated_at == at - timedelta(hours=2)
    assert who.claims == {"a": "", "b": [], "c": {}, "d": 7.5, "e": [True, {"f": "x"}], "g": "y"}
    assert (case.question.tool, case.question.environment, case.question.time) == ("s3", "prod", at)
    assert case.question.resource == "arn:aws:s3:::bucket/*"
    assert (case.rule, case.obligations) == ("", {"max_duration": 900})


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ('name = "t"', "", "", "missing key 'name'"),
        ('expect = "deny"', "", "", "missing key 'expect'"),
        ('resource = "bucket/key"', "", "", "missing key 'resource'"),
        ('"deny"', '"refuse"', "expect", "expected one of allow, deny"),
        ('"okta/alice"', "7", "principal", "expected a table, got an integer"),
        ('"okta/alice"', '{ kind = "user" }', "principal", "missing key 'id'"),
        ('"okta/alice"', "{ id = 'a/b', kind = 'bot' }", "principal.kind", "expected one of user"),
        ('"okta/alice"', "{ id = 'a/b', auth = 'x' }", "principal.auth", "expected one of jwt"),
        ('"okta/alice"', "{ id = 'a/b', group = 'x' }", "principal.group", "did you mean `groups`"),
        ('"okta/alice"', "{ id = 'a/b', groups = [] }", "principal.groups", "an empty array"),
        ('"okta/alice"', "{ id = 'a/b', claims = {} }", "principal.claims", "an empty table"),
        (
            '"okta/alice"',
            "{ id = 'a/b', claims = { c = [inf] } }",
            "principal.claims.c",
            "expected what JSON can hold",
        ),
        (
            '"okta/alice"',
            "{ id = 'a/b', claims = { c = 2026-01-01 } }",
            "principal.claims.c",
            "expected what JSON can hold",
        ),
        (
            '"okta/alice"',
            "{ id = 'a/b', session_age = '999999999d' }",
            "principal.session_age",
            "the login is older than any date",
        ),
        ('"okta/alice"', '"alice"', "principal.id", "not a well-formed request: principal is not"),
        (
            '"okta/alice"',
            '"group/a"',
            "principal.id",
            "not a well-formed request: principal is not",
        ),
        (
            '"okta/alice"',
            "{ id = 'a/b', groups = ['eng'] }",
            "principal.groups",
            "not a well-formed request: group is not issuer/subject",
        ),
        (
            '"okta/alice"',
            "{ id = 'a/b', actor = 'x' }",
            "principal.actor",
            "not a well-formed request: actor is not issuer/subject",
        ),
        ('"aws.s3.put"', '"aws.s3"', "action", "not a well-formed request: action is not"),
        ('"bucket/key"', '"a/../b"', "resource", "not a well-formed request: resource holds . or"),
        ('"bucket/key"', '"a*b"', "resource", "not a well-formed request: resource holds *"),
        ('"bucket/key"', '""', "resource", "an empty string"),
        ('name = "t"', 'name = "t"\ntool = "a b"', "tool", "not a well-formed request: tool is"),
        ('name = "t"', 'name = "t"\nat = 2026-01-01T00:00:00', "at", "a local date-time"),
        ('name = "t"', 'name = "t"\nrule = "A"', "rule", "expected an id of a-z 0-9"),
        ('name = "t"', 'name = "t"\nobligations = {}', "obligations", "an empty table"),
        ('name = "t"', 'name = "t"\nrules = "a"', "rules", "unknown key 'rules'"),
    ],
)
def test_a_bad_test(old: str, new: str, key: str, said: str) -> None:
    """A test whose request is not well formed, or that is written wrongly, is a load error."""
    (error,) = errors(SMALLEST.replace(old, new))
    where = f"test.{key}" if key else "test"
    assert f": {where}:" in error or f": {where} in 't':" in error
    assert said in error


# Running


def results(rules: list[Rule], **test: Any) -> Result:
    """Run one test against rules."""
    said = {
        "name": "t",
        "principal": "okta/alice",
        "action": "aws.s3.put",
        "resource": "bucket/key",
        "expect": "allow",
        **test,
    }
    lines = "".join(f"{key} = {toml(value)}\n" for key, value in said.items())
    (result,) = run(policy_with(rules, f"\n[[test]]\n{lines}"), {})
    return result


def test_a_test_that_passes() -> None:
    """The answer is the expected one, by the deciding rule."""
    files = [rule("b"), rule("a"), rule("d", "deny", tools=["x"])]
    assert results(files).passed
    assert results(files, rule="a").passed
    assert results(files, expect="deny", tool="x", rule="d").passed
    assert results(files, expect="deny", tool="x").passed
    assert results([], expect="deny", rule="").passed


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"expect": "deny"}, "expected deny, got allow by a, b: allowed by rule"),
        ({"rule": "b"}, "expected allow by b, got allow by a, b: allowed by rule"),
        ({"rule": ""}, "expected allow by no rule, got allow by a, b: allowed by rule"),
        (
            {"resource": "x"},
            "expected allow, got deny: no rule allows this; `a` would allow this if {}; it is x",
        ),
        (
            {"tool": "x", "rule": "a"},
            "expected allow by a, got deny by d, e: denied by rule",
        ),
    ],
)
def test_a_test_that_fails(test: dict[str, Any], said: str) -> None:
    """A failure says what was expected, what came, and why."""
    files = [
        *(rule(one, resources=["bucket/*"]) for one in "ab"),
        *(rule(one, "deny", tools=["x"]) for one in "de"),
    ]
    result = results(files, **test)
    assert not result.passed
    assert result.message == said.format("the resource were bucket/*")


OBLIGED = [
    rule(
        "a",
        obligations={
            "max_duration": "15m",
            "max_cost": "0.5",
            "max_tokens": 0,
            "rate_limit": ["1/day", "2/hour"],
            "must_log": True,
            "delivery": ["exec", "stdout"],
            "models": ["gpt-*"],
        },
    ),
    rule("b", obligations={"delivery": ["exec", "gateway"], "models": ["o1", "gpt-*"]}),
]


@pytest.mark.parametrize(
    ("obligations", "said"),
    [
        ({"max_duration": "900s"}, ""),
        ({"max_duration": "1h"}, "expected max_duration 3600 s, got 900 s"),
        ({"max_cost": "0.50"}, ""),
        ({"max_cost": "0"}, "expected max_cost 0.00, got 0.50"),
        ({"max_tokens": 0}, ""),
        ({"max_tokens": 1}, "expected max_tokens 1, got 0"),
        ({"rate_limit": ["2/hour", "1/day"]}, ""),
        ({"rate_limit": "1/day"}, "expected rate_limit 1/day, got 1/day, 2/hour"),
        ({"must_log": True}, ""),
        ({"require_reason": True}, "expected require_reason true, got none"),
        ({"delivery": ["exec"]}, ""),
        ({"delivery": ["stdout", "exec"]}, "expected delivery exec, stdout, got exec"),
        ({"models": ["o1", "gpt-*"]}, ""),
        ({"models": ["gpt-*"]}, "expected models gpt-*, got gpt-*, o1"),
    ],
)
def test_obligations(obligations: dict[str, Any], said: str) -> None:
    """Each one given must be equal in value, lists as sets; `models` against the union."""
    assert results(OBLIGED, obligations=obligations).message == said


def test_obligations_of_a_refusal() -> None:
    """A refusal has no obligations: one that is expected is missing."""
    result = results([], expect="deny", obligations={"delivery": ["exec"]})
    assert result.message == "expected delivery exec, got none"


WHO = Principal("okta/00u1", "", claims={"email": "alice", "n": 7})


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({}, "00u1"),
        ({"other": "email"}, "00u1"),
        ({"okta": "email"}, "alice"),
        ({"okta": "absent"}, ""),
        ({"okta": "n"}, ""),
    ],
)
def test_the_name_of_a_principal(claims: dict[str, str], name: str) -> None:
    """`${principal.name}` comes from the claim that config.toml names for the issuer."""
    assert with_name(WHO, claims) == replace(WHO, name=name)


def test_a_missing_name_claim_fails_the_substitution() -> None:
    """A missing claim fails the substitution."""
    policy = policy_with([rule("d", "deny", resources=["${principal.name}"]), rule()], SMALLEST)
    assert [one.passed for one in run(policy, {})] == [False]
    assert [one.passed for one in run(policy, {"okta": "absent"})] == [True]


def test_which_rules_no_test_reaches() -> None:
    """It reports which rules no test reaches; sources of obligations are reached."""
    rules = [
        rule("a", resources=["bucket/*"]),
        rule("part", resources=["bucket/x"], obligations={"must_log": True}),
        rule("other", tools=["x"]),
        rule("d", "deny", tools=["y"]),
    ]
    scope = SMALLEST.replace("bucket/key", "bucket/*").replace("deny", "allow")
    policy = policy_with(rules, scope, SMALLEST.replace("deny", "allow"))
    assert reached(policy, run(policy, {})) == {"a": 2, "d": 0, "other": 0, "part": 1}


@property_of(200)
@given(rule_sets(), QUESTIONS.filter(lambda one: not one.principal.claims), st.booleans())
def test_a_test_passes_where_the_answer_is_the_one_expected(
    rules: list[Rule], question: Question, right: bool
) -> None:
    """A test passes exactly where the evaluator gives its answer, and reaches what that names."""
    question = replace(question, principal=with_name(question.principal, {}))
    question = replace(question, principal=replace(question.principal, actor=None))
    answer = evaluate(policy_of(rules), question)
    who = question.principal
    principal: dict[str, Any] = {"id": who.id, "kind": who.kind, "auth": who.auth}
    principal |= {"groups": list(who.groups)} if who.groups else {}
    if who.authenticated_at is not None:
        age = question.time - who.authenticated_at
        if age <= timedelta(0) or age > timedelta(days=9999):
            return
        principal["session_age"] = f"{int(age.total_seconds())}s"
    expect = answer.decision if right else {"allow": "deny", "deny": "allow"}[answer.decision]
    said = {
        "name": "t",
        "principal": principal,
        "action": question.action,
        "resource": question.resource,
        "tool": question.tool,
        "environment": question.environment,
        "at": question.time,
        "rule": answer.rule,
        "expect": str(expect),
    }
    lines = "".join(f"{key} = {toml(value)}\n" for key, value in said.items())
    policy, problems = load([("p", written(rules) + f"\n[[test]]\n{lines}".encode())])
    if policy is None:
        assert "the years 1 to 9999" in str(problems[0])
        return
    (result,) = run(policy, {})
    assert result.passed is right
    counts = reached(policy, [result])
    assert {one for one, count in counts.items() if count} == named(answer)
