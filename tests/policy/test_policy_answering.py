"""The first sentences of the language: a question, a file, and the four steps to an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.model import Decision, Obligation
from agentauth_cli.policy.decide import evaluate
from agentauth_cli.policy.rules import load
from agentauth_cli.policy.testing import run
from support.policy_worlds import ALICE, NOW, QUESTION, Asked, Rule, ask, policy_of, rule

if TYPE_CHECKING:
    from agentauth_cli.model import PolicyDecision

ALLOW, DENY = Decision.ALLOW, Decision.DENY

WHOLE = {
    **rule("whole", tools=["s3_upload"], actions=["aws.s3.put"], resources=["bucket/key"]),
    "principals": ["okta/alice"],
    "environments": ["dev"],
    "when": {"after": NOW, "before": NOW.replace(hour=11)},
}
OTHERWISE: dict[str, Asked] = {
    "principals": {"principal": replace(ALICE, id="okta/bob")},
    "tools": {"tool": "other"},
    "actions": {"action": "aws.s3.get"},
    "resources": {"resource": "bucket/other"},
    "environments": {"environment": "prod"},
    "when": {"time": NOW.replace(hour=11)},
}
"""What makes a question fail on one part of `WHOLE`, by the part."""

FILE = """
version = 1

[[rule]]
id = "agents-upload"
effect = "allow"
description = "Build agents write under their own prefix"
principals = ["key/build-*", "group:okta/eng", "kind:agent"]
tools = ["s3_upload"]
actions = ["aws.s3.put"]
resources = ["arn:aws:s3:::acme-agents/${principal.name}/*"]
environments = ["dev", "staging"]
when = { auth = ["jwt"], claims = { repository_owner = "acme" } }
unless = { claims = { ref = "refs/pull/*" } }
obligations = { max_duration = "15m", max_cost = "0.50", rate_limit = "30/minute" }

[[rule]]
id = "freeze-prod"
effect = "deny"
principals = ["*"]
environments = ["prod"]
when = { after = 2026-12-20T00:00:00Z, before = 2027-01-04T00:00:00Z }

[[test]]
name = "a build agent stays in its prefix"
principal = { id = "key/build-7", kind = "agent", auth = "api_key" }
tool = "s3_upload"
action = "aws.s3.put"
resource = "arn:aws:s3:::acme-agents/other/x"
environment = "dev"
at = 2026-11-23T10:00:00Z
expect = "deny"
"""
"""The file that the specification shows."""


def answer(*rules: Rule, **what: Any) -> PolicyDecision:
    """Ask these rules."""
    return evaluate(policy_of(rules), ask(**what))


def test_a_question_has_six_parts() -> None:
    """A request is one question: may this principal perform this action on this resource."""
    assert answer(WHOLE).decision is ALLOW
    for part, otherwise in OTHERWISE.items():
        refused = answer(WHOLE, **otherwise)
        assert refused.decision is DENY
        assert refused.nearest is not None
        assert refused.nearest.parts == (part,)


def test_what_an_answer_is() -> None:
    """The answer is `allow` or `deny`, the rules that decided, and the obligations that hold."""
    rules = [rule("a", obligations={"max_tokens": 5}), rule("d", "deny", tools=["x"])]
    allowed, denied = answer(*rules), answer(*rules, tool="x")
    assert (allowed.decision, allowed.rules) == ("allow", ("a",))
    assert allowed.obligations == {"max_tokens": (Obligation(5, "a"),)}
    assert (denied.decision, denied.rules, denied.obligations) == ("deny", ("d",), {})


def test_the_file_that_is_shown() -> None:
    """What the specification shows loads, and its test passes."""
    policy, problems = load([("policy.toml", FILE.encode())])
    assert policy is not None, problems
    assert [one.passed for one in run(policy, {})] == [True]
    claims = {"repository_owner": "acme", "ref": "refs/heads/main"}
    who = replace(ALICE, groups=("okta/eng",), claims=claims)
    upload = ask(principal=who, resource="arn:aws:s3:::acme-agents/alice/x")
    assert evaluate(policy, upload).rules == ("agents-upload",)
    assert set(evaluate(policy, upload).obligations) == {"max_duration", "max_cost", "rate_limit"}
    pull = replace(upload, principal=replace(who, claims={**claims, "ref": "refs/pull/7"}))
    assert evaluate(policy, pull).decision is DENY
    frozen = replace(upload, environment="prod", time=NOW.replace(month=12, day=31))
    assert evaluate(policy, frozen).rules == ("freeze-prod",)


def test_an_id_is_required_and_unique() -> None:
    """Required, unique over all files, [a-z0-9][a-z0-9._-]{0,63}."""
    one = b"version = 1\n[[rule]]\neffect = 'allow'\nprincipals = ['*']\n"
    assert "missing key 'id'" in str(load([("a", one)])[1][0])
    for rule_id, said in (("x" * 65, "expected an id"), ("X", "expected an id"), ("x", "")):
        _, problems = load([("a", one + f"id = '{rule_id}'".encode())])
        assert [said in str(problem) for problem in problems] == [True] * bool(said)
    _, problems = load([("a", one + b"id = 'x'"), ("b", one + b"id = 'x'")])
    assert [problem.file for problem in problems] == ["b"]


@pytest.mark.parametrize(("effect", "loads"), [("allow", True), ("deny", True), ("ask", False)])
def test_the_effects(effect: str, loads: bool) -> None:
    """Allow | deny."""
    text = f"version = 1\n[[rule]]\nid = 'x'\neffect = '{effect}'\nprincipals = ['*']\n"
    assert (load([("a", text.encode())])[0] is not None) is loads


def test_principals_are_required_and_any_is_enough() -> None:
    """Required; any one is enough."""
    text = b"version = 1\n[[rule]]\nid = 'x'\neffect = 'allow'\n"
    assert "missing key 'principals'" in str(load([("a", text)])[1][0])
    several = {**rule(), "principals": ["okta/bob", "okta/alice", "kind:service"]}
    assert answer(several).decision is ALLOW
    assert answer(several, principal=replace(ALICE, id="okta/eve")).decision is DENY


def absent(part: str) -> None:
    """Assert that a rule without the part matches whatever it is, and one with it does not."""
    without = {key: value for key, value in WHOLE.items() if key != part}
    assert answer(without).decision is ALLOW
    assert answer(without, **OTHERWISE[part]).decision is ALLOW
    assert answer(WHOLE, **OTHERWISE[part]).decision is DENY


def test_no_tools_are_every_tool() -> None:
    """Optional: absent = every tool."""
    absent("tools")


def test_no_actions_are_every_action() -> None:
    """Optional: absent = every action."""
    absent("actions")


def test_no_resources_are_every_resource() -> None:
    """Optional: absent = every resource."""
    absent("resources")
    assert answer(rule(), resource="*").decision is ALLOW


def test_no_environments_are_every_environment() -> None:
    """Optional: absent = every environment."""
    absent("environments")


# Answering

IDS = ["a-b", "a.b", "a0", "a_b", "ab"]
"""In the order of their bytes, which is no alphabet's."""


def test_every_matching_deny_rule_is_named() -> None:
    """Every matching deny rule is named."""
    rules = [rule(one, "deny") for one in reversed(IDS)]
    denied = answer(*rules, rule("0"), rule("x", "deny", tools=["x"]))
    assert denied.rules == tuple(IDS)


def test_the_smallest_deny_rule_decides() -> None:
    """The one with the smallest id (by bytes) is the deciding rule."""
    for i, one in enumerate(IDS):
        assert answer(*(rule(later, "deny") for later in reversed(IDS[i:]))).rule == one


def test_the_smallest_allow_rule_decides() -> None:
    """The deciding rule is the one with the smallest id."""
    for i, one in enumerate(IDS):
        allowed = answer(*(rule(later) for later in reversed(IDS[i:])), rule("0", tools=["x"]))
        assert (allowed.decision, allowed.rule) == (ALLOW, one)


def test_obligations_of_all_hold_together() -> None:
    """The obligations of all matching allow rules hold together."""
    allowed = answer(
        rule("c", obligations={"max_tokens": 5}),
        rule("b", obligations={"max_cost": "1", "max_tokens": 9}),
        rule("a"),
        rule("x", tools=["x"], obligations={"must_log": True}),
    )
    assert allowed.rule == "a"
    assert allowed.obligations == {
        "max_tokens": (Obligation(5, "c"),),
        "max_cost": (Obligation(1_000_000, "b"),),
    }


FAILING: dict[str, Any] = {
    "principals": ["okta/bob"],
    "tools": ["x"],
    "actions": ["gcp.*"],
    "resources": ["x"],
    "environments": ["prod"],
    "when": {"auth": ["os"]},
    "unless": {"auth": ["jwt"]},
}
"""What fails on `QUESTION`, in the order in which the parts are named."""


@pytest.mark.parametrize("part", FAILING)
def test_the_nearest_failed_on_one_part(part: str) -> None:
    """Else deny, reason `no rule allows this`, with the nearest miss."""
    one: Rule = {**rule("b"), part: FAILING[part]}
    other = next(key for key in FAILING if key != part)
    two = {**one, "id": "a", other: FAILING[other]}
    for rules in ([one, two, {**one, "id": "c"}], [two, one]):
        refused = answer(*rules, rule("0", "deny", tools=["x"]))
        assert (refused.decision, refused.reason) == (DENY, "no rule allows this")
        assert refused.rules == ()
        assert refused.nearest is not None
        assert (refused.nearest.rule, refused.nearest.parts) == ("b", (part,))


def test_the_nearest_failed_on_several_parts() -> None:
    """If none failed on exactly one, the rule that failed on the fewest (then the smallest id)."""
    parts = list(FAILING)
    for least in range(2, len(parts) + 1):
        failed = parts[-least:]
        one = {**rule("b"), **{part: FAILING[part] for part in reversed(failed)}}
        worst = {**rule("a"), **FAILING}
        worse = [worst] if least < len(parts) else []
        refused = answer(*worse, {**one, "id": "c"}, one)
        assert refused.nearest is not None
        assert (refused.nearest.rule, refused.nearest.parts) == ("b", tuple(failed))


def test_without_delivery_the_smallest_decides() -> None:
    """Naming every rule with a `delivery`, the smallest id of them deciding."""
    refused = answer(
        rule("a"),
        rule("d", obligations={"delivery": ["exec", "stdout"]}),
        rule("c", obligations={"delivery": ["gateway"]}),
        rule("e", obligations={"delivery": ["exec"]}),
    )
    assert (refused.decision, refused.reason) == (DENY, "no delivery left")
    assert (refused.rule, refused.rules) == ("c", ("c", "d", "e"))
    assert refused.obligations == {}


def test_a_deny_rule_goes_before_every_other_reason() -> None:
    """A deny rule is the reason also where the obligations leave no delivery."""
    ways = [rule(one, obligations={"delivery": [one]}) for one in ("exec", "stdout")]
    denied = evaluate(policy_of([*ways, rule("z", "deny")]), QUESTION)
    assert (denied.reason, denied.rules) == ("denied by rule", ("z",))
