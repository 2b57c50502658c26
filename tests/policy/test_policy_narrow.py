"""From a tool as configured to the exact request."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.model import Grant, ProviderType
from agentauth_cli.policy import pattern
from agentauth_cli.policy.narrow import Tool, ToolGrant, canonical, narrow, questions
from support.policy_worlds import ALICE, ask, property_of

BUCKET = "arn:aws:s3:::acme"


def tool(*resources: str, provider: ProviderType = ProviderType.AWS) -> Tool:
    """Return a tool with one grant for each resource: two actions, one permission."""
    known = [*pattern.POLICY_VARIABLES, "account_id"]
    grants = tuple(
        ToolGrant((f"aws.s3.put{i}", "aws.s3.get"), ("s3:Put",), pattern.template(one, known))
        for i, one in enumerate(resources)
    )
    return Tool("upload", "dev", provider, grants, variables={"account_id": "111111111111"})


def test_without_a_resource_the_grants_are_those_of_the_tool() -> None:
    """In `resource` stand the variables of the policy language, and the environment's own."""
    one = tool(
        BUCKET + "/${principal.name}/*", "${account_id}/${tool}/${environment}", "${principal.hash}"
    )
    found = narrow(one, ALICE, None)
    assert found.refusal == ""
    assert (found.tool, found.principal) == (one, ALICE)
    assert found.resource == [
        BUCKET + "/alice/*",
        "111111111111/upload/dev",
        hashlib.sha256(b"okta/alice").hexdigest()[:16],
    ]
    assert found.grants[0] == Grant(("aws.s3.put0", "aws.s3.get"), ("s3:Put",), BUCKET + "/alice/*")


def test_one_resource_is_a_string_several_are_a_list() -> None:
    """In output, lease and record `resource` is a string for one, a list for several."""
    assert narrow(tool("a/*", "a/*"), ALICE, None).resource == "a/*"
    assert narrow(tool("a/*", "b"), ALICE, None).resource == ["a/*", "b"]
    assert narrow(tool("a/*"), ALICE, "x").resource == "x"


@pytest.mark.parametrize(
    ("configured", "asked", "lies_in"),
    [
        ("a/*", "a/b", True),
        ("a/*", "a/b*", True),
        ("a/*", "a/*", True),
        ("a/*", "a/", True),
        ("a/*", "a", False),
        ("a/*", "a*", False),
        ("a/*", "*", False),
        ("a/*", "b", False),
        ("a/b", "a/b", True),
        ("a/b", "a/b*", False),
        ("a/b", "a/bc", False),
        ("*", "*", True),
        ("*", "x", True),
        ("s*", "s3*", True),
    ],
)
def test_the_resource_must_lie_within_a_grant(configured: str, asked: str, lies_in: bool) -> None:
    """`--resource` must lie within a grant's resource; in none: exit 5."""
    found = narrow(tool(configured), ALICE, asked)
    assert (found.grants != ()) is lies_in
    assert found.resource == asked
    refusal = "" if lies_in else f"{asked} is outside of upload, which has {configured}"
    assert found.refusal == refusal


def test_grants_outside_are_dropped() -> None:
    """Those it lies in are narrowed to it, the others dropped."""
    found = narrow(tool("a/*", "b/*", "a/b/*"), ALICE, "a/b/c")
    assert [one.actions[0] for one in found.grants] == ["aws.s3.put0", "aws.s3.put2"]
    assert {one.resource for one in found.grants} == {"a/b/c"}
    outside = narrow(tool("a/*", "a/*", "b/*"), ALICE, "c")
    assert outside.refusal == "c is outside of upload, which has a/*, b/*"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "is empty"),
        ("a/../b", "holds . or .. as a segment"),
        ("a/..*", "holds . or .. as a segment"),
        ("a**", "holds *"),
        ("a*b", "holds *"),
        ("*a", "holds *"),
        ("a?", "holds ?"),
        ("a/${principal.name}", "holds ${"),
        ("a\\b", "holds \\"),
        ("a\ud800", "holds the character U+D800"),
        ("e\u0301", "is not in Unicode NFC"),
        ("x" * 2048 + "*", "is longer than 2048 bytes"),
    ],
)
def test_a_resource_that_is_not_well_formed(asked: str, said: str) -> None:
    """A request that is not well formed is denied."""
    found = narrow(tool("*"), ALICE, asked)
    assert found.grants == ()
    assert found.refusal == f"malformed request: resource {said}"


@pytest.mark.parametrize("name", ["", "a/b", "a..b", "system:x", "*", "\ud800", "x" * 129])
def test_a_variable_without_a_usable_value(name: str) -> None:
    """The error names `name_claim`, a claim that can, or `${principal.hash}`."""
    found = narrow(tool("a/*", "a/${principal.name}"), replace(ALICE, name=name), "a/b")
    assert found.grants == ()
    assert found.refusal == (
        "tool upload: the value of `${principal.name}` cannot stand in a resource: "
        "set `name_claim`, or use a claim that can, or `${principal.hash}`"
    )


def test_a_variable_that_is_missing() -> None:
    """A claim that is missing: nothing can be asked for, and the refusal says why."""
    found = narrow(tool("a/${principal.claims.team}"), ALICE, None)
    assert found.refusal == "tool upload: `${principal.claims.team}` has no value that is a string"
    assert found.resource == ""
    other = replace(tool("${account_id}"), variables={})
    assert "`${account_id}` has no value" in narrow(other, ALICE, None).refusal


@pytest.mark.parametrize(
    ("asked", "provider", "name"),
    [
        ("s3://acme/x", ProviderType.AWS, "arn:aws:s3:::acme/x"),
        ("s3://acme/*", ProviderType.AWS, "arn:aws:s3:::acme/*"),
        ("arn:aws:s3:::acme/x", ProviderType.AWS, "arn:aws:s3:::acme/x"),
        ("S3://acme", ProviderType.AWS, "S3://acme"),
        ("as3://x", ProviderType.AWS, "as3://x"),
        ("s3://acme/x", ProviderType.GCP, "s3://acme/x"),
    ],
)
def test_s3_names_become_arns(asked: str, provider: ProviderType, name: str) -> None:
    """`s3://` becomes the ARN in `--resource`, before the policy is asked."""
    assert canonical(asked, provider) == name
    found = narrow(tool("*", provider=provider), ALICE, asked)
    assert found.resource == name


def test_one_question_for_each_action_of_each_grant() -> None:
    """One question for each action of each grant, in file order."""
    asked = questions(narrow(tool("a", "b/*"), ALICE, None), ask())
    assert [(one.action, one.resource) for one in asked] == [
        ("aws.s3.put0", "a"),
        ("aws.s3.get", "a"),
        ("aws.s3.put1", "b/*"),
        ("aws.s3.get", "b/*"),
    ]
    assert {one.principal for one in asked} == {ALICE}


@property_of(500)
@given(st.text("ab/*", max_size=4), st.text("ab/*", max_size=4))
def test_what_lies_in_a_grant_asks_for_nothing_more(configured: str, asked: str) -> None:
    """Every name of the narrowed resource is one of the grant's."""
    if "*" in configured[:-1] or not configured:
        return
    found = narrow(tool(configured), ALICE, asked)
    for grant in found.grants:
        assert grant.resource == asked
        tails = ["", "a", "/b"] if asked.endswith("*") else [""]
        for tail in tails:
            name = asked.removesuffix("*") + tail
            wanted = configured.removesuffix("*")
            assert name.startswith(wanted) if configured.endswith("*") else name == wanted
