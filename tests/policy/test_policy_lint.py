"""The warnings of `policy lint`: what each is about, and what it is not about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.model import Decision
from agentauth_cli.policy.decide import evaluate
from agentauth_cli.policy.lint import warnings
from agentauth_cli.policy.rules import load
from agentauth_cli.policy.testing import run
from support.policy_worlds import (
    QUESTIONS,
    QUICK,
    Rule,
    policy_of,
    property_of,
    rule,
    rules,
    written,
)


def found(
    *files: Rule, environments: tuple[str, ...] = ("dev",), but: tuple[str, ...] = ("untested",)
) -> list[tuple[str, str, tuple[Any, ...]]]:
    """Return name, rule and place of the warnings, without those of these names."""
    said = warnings(policy_of(files), environments, ())
    assert all(one.message and one.file == "policy.d/0.toml" for one in said)
    return [(one.name, one.rule, one.at) for one in said if one.name not in but]


@pytest.mark.parametrize(
    ("pattern", "warned"),
    [
        ("a/${principal.name}*", True),
        ("a/${principal.name}-*", True),
        ("a/*${principal.name}", True),
        ("a/*.x_${principal.name}", True),
        ("${principal.claims.team}*", True),
        ("${principal.name}${environment}*", True),
        ("*${tool}${principal.claims.team}", True),
        ("a/${principal.name}/*", False),
        ("*/${principal.name}", False),
        ("${principal.name}:*", False),
        ("${principal.name}/-*", False),
        ("*/a${principal.name}b/*", False),
        ("${principal.name}", False),
        ("${principal.hash}*", False),
        ("${environment}-*", False),
    ],
)
def test_name_star(pattern: str, warned: bool) -> None:
    """`name-star` (an allow rule's `${principal.name}` or `${principal.claims.X}` next to …)."""
    wanted = [("name-star", "r", ("rule", 0, "resources"))] if warned else []
    assert found(rule("r", resources=[pattern]), but=("untested", "shared-name")) == wanted
    assert found(rule("r", "deny", resources=[pattern])) == []


@pytest.mark.parametrize(
    ("principals", "pattern", "warned"),
    [
        (["*"], "a/${principal.name}/*", True),
        (["okta*"], "${principal.name}", True),
        (["*/x"], "${principal.name}", True),
        (["okta/*", "key/*"], "${principal.name}", True),
        (["kind:agent"], "${principal.name}", True),
        (["group:okta/eng"], "${principal.name}", True),
        (["okta/*", "okta/alice"], "${principal.name}", False),
        (["*"], "${principal.issuer}/${principal.name}", False),
        (["*"], "${principal.name}/${principal.hash}", False),
        (["*"], "${principal.claims.email}", False),
    ],
)
def test_shared_name(principals: list[str], pattern: str, warned: bool) -> None:
    """`shared-name` (an allow rule with `${principal.name}` in a pattern without issuer …)."""
    wanted = [("shared-name", "r", ("rule", 0, "resources"))] if warned else []
    assert found({**rule("r", resources=[pattern]), "principals": principals}) == wanted


def test_deny_claims() -> None:
    """`deny-claims` (a deny rule with `when.claims`: tokens without the claim go through)."""
    claims = {"claims": {"ref": "main"}}
    assert found(rule("d", "deny", when=claims)) == [("deny-claims", "d", ("rule", 0, "when"))]
    assert found(rule("d", "deny", unless=claims), rule("a", when=claims)) == []
    assert found(rule("d", "deny", when={"auth": ["os"]})) == []


def test_all_environments() -> None:
    """`all-environments` (an allow rule that names none where the configuration has several)."""
    several = ("dev", "prod")
    files = [rule("a"), rule("b", environments=["*"]), rule("d", "deny", tools=["x"])]
    assert found(*files, environments=several) == [("all-environments", "a", ("rule", 0))]
    assert found(*files) == []


def test_s3_uri() -> None:
    """`s3-uri` (a resource pattern that starts with `s3://`: requests carry the ARN)."""
    files = [rule("a", resources=["s3://a/*", "x"]), rule("b", "deny", resources=["s3://b"])]
    place = ("rule", 0, "resources")
    assert found(*files) == [("s3-uri", "a", place), ("s3-uri", "b", ("rule", 1, "resources"))]
    assert found(rule(resources=["arn:aws:s3:::a/*", "*s3://"])) == []


def test_untested() -> None:
    """`untested` (no test's answer names the rule, sources of obligations included)."""
    files = [
        rule("a", obligations={"must_log": True}),
        rule("part", resources=["x"], obligations={"max_tokens": 0}),
        rule("b", tools=["t"]),
    ]
    case = (
        '\n[[test]]\nname = "t"\nprincipal = "a/x"\naction = "a.b.c"\nresource = "*"\n'
        'expect = "allow"\n'
    )
    policy, _ = load([("p", written(files) + case.encode())])
    assert policy is not None
    (said,) = warnings(policy, (), run(policy, {}))
    assert (said.name, said.rule, said.at) == ("untested", "b", ("rule", 2))


@pytest.mark.parametrize(
    ("allow", "deny", "warned"),
    [
        ({}, {}, True),
        ({"tools": ["a", "b*"]}, {"tools": ["a*", "b*"]}, True),
        ({"tools": ["a", "c"]}, {"tools": ["a*", "b*"]}, False),
        ({"tools": ["a*c"]}, {"tools": ["a*b*c"]}, False),
        ({"tools": ["a*b*c"]}, {"tools": ["a*c"]}, True),
        ({}, {"tools": ["*"]}, True),
        ({}, {"tools": ["a*"]}, False),
        ({"actions": ["aws.*"]}, {"actions": ["aws.*", "gcp.*"]}, True),
        ({"environments": ["prod"]}, {"environments": ["dev"]}, False),
        ({"resources": ["a/b/*"]}, {"resources": ["a/*"]}, True),
        ({"resources": ["a/*"]}, {"resources": ["a/b/*"]}, False),
        ({"resources": ["a/${principal.name}/*"]}, {"resources": ["a/*"]}, True),
        ({"resources": ["${tool}/x"]}, {"resources": ["${tool}/*"]}, True),
        ({"resources": ["${tool}/x"]}, {"resources": ["${environment}/*"]}, False),
        ({}, {"when": {"auth": ["os"]}}, False),
        ({}, {"unless": {"auth": ["os"]}}, False),
        ({"when": {"auth": ["os"]}}, {}, True),
        ({"principals": ["okta/a*"]}, {"principals": ["okta/*"]}, True),
        ({"principals": ["okta/*"]}, {"principals": ["okta/a*"]}, False),
        ({"principals": ["kind:agent"]}, {"principals": ["kind:agent"]}, True),
        ({"principals": ["kind:agent"]}, {"principals": ["kind:user"]}, False),
        ({"principals": ["kind:agent", "group:a/b"]}, {"principals": ["*"]}, True),
        ({"principals": ["group:a/b"]}, {"principals": ["group:a/*"]}, True),
        ({"principals": ["group:a/b"]}, {"principals": ["a/*"]}, False),
        ({"principals": ["a/b"]}, {"principals": ["group:a/*", "kind:user"]}, False),
        ({}, {"principals": ["kind:user", "kind:agent", "kind:service"]}, True),
    ],
)
def test_shadowed(allow: dict[str, Any], deny: dict[str, Any], warned: bool) -> None:
    """`shadowed` (an allow rule that can never decide, because one deny rule …)."""
    said = found({**rule("a"), **allow}, {**rule("d", "deny"), **deny}, rule("z", tools=["zz"]))
    assert (("shadowed", "a", ("rule", 0)) in said) is warned
    assert (
        found({**rule("a"), **allow}, {**rule("z"), **deny}, but=("untested", "shared-name")) == []
    )


def test_a_shadowed_rule_never_decides() -> None:
    """Whatever is asked, a rule that is called shadowed allows nothing."""
    met = 0

    @property_of(400)
    @given(rules("a", "allow"), rules("d", "deny"), st.lists(QUESTIONS, min_size=5, max_size=5))
    def holds(allow: Rule, deny: Rule, questions: list[Any]) -> None:
        nonlocal met
        if any(name == "shadowed" for name, _, _ in found(allow, deny)):
            met += 1
            for question in questions:
                assert evaluate(policy_of([allow, deny]), question).decision is Decision.DENY

    holds()
    assert QUICK or met > 20
