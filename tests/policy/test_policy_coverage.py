"""Coverage: which conditions the tests of a policy never put to the proof."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentauth_cli.policy.coverage import unproven
from agentauth_cli.policy.engine import judge
from agentauth_cli.policy.rules import load
from agentauth_cli.policy.testing import run
from support.policy_worlds import NOW, Rule, rule, toml, written

Left = tuple[str, str, bool, bool]


def left(files: list[Rule], *tests: dict[str, Any]) -> list[Left]:
    """Return what these tests leave: part, subject, whether it held, whether it failed."""
    text = written(files)
    for i, one in enumerate(tests):
        who = {"id": "okta/alice", **one.pop("principal", {})}
        said = {
            "name": f"t{i}",
            "principal": who,
            "action": "aws.s3.put",
            "resource": "bucket/key",
            "expect": "allow",
            **one,
        }
        text += b"\n[[test]]\n"
        text += "".join(f"{key} = {toml(value)}\n" for key, value in said.items()).encode()
    policy, problems = load([("policy.toml", text)])
    assert policy is not None, problems
    found = unproven(policy, run(policy, {"okta": "nick"}))
    return [(one.part, one.condition.subject, one.held, one.failed) for one in found]


def who(**facts: Any) -> dict[str, Any]:
    """Return a test with this principal."""
    return {"principal": facts}


def test_a_condition_that_some_test_has_hold_and_some_not() -> None:
    """A condition is reached once holding and once not, where the other parts match."""
    jwt = [rule(when={"auth": ["jwt"]})]
    assert left(jwt) == [("when", "the authentication", False, False)]
    assert left(jwt, who()) == [("when", "the authentication", True, False)]
    assert left(jwt, who(auth="os")) == [("when", "the authentication", False, True)]
    assert left(jwt, who(), who(auth="os")) == []
    out = [rule(unless={"auth": ["jwt"]})]
    assert left(out, who()) == [("unless", "the authentication", True, False)]
    assert left(out, who(), who(auth="os")) == []
    assert left([rule()]) == []


@pytest.mark.parametrize(
    "parts",
    [
        {"tools": ["x"]},
        {"environments": ["prod"]},
        {"resources": ["x"]},
        {"actions": ["gcp.*"]},
        {"unless": {"claims": {"c": "x"}}},
    ],
)
def test_only_where_the_other_parts_match(parts: dict[str, Any]) -> None:
    """A test whose question another part already refuses says nothing of a condition."""
    tests = [who(claims={"c": "x"}), who(auth="os", claims={"c": "x"})]
    found = left([rule(when={"auth": ["jwt"]}, **parts)], *tests)
    assert ("when", "the authentication", False, False) in found


def test_only_where_the_other_conditions_hold() -> None:
    """Nor does one whose question another condition of the same part already decides."""
    window = [rule(when={"after": NOW, "before": NOW + timedelta(hours=1)})]
    early, inside, late = ({"at": NOW + timedelta(hours=one)} for one in (-1, 0, 1))
    assert left(window, dict(early), dict(inside), dict(late)) == []
    assert left(window, dict(early), dict(inside)) == [("when", "the time", True, False)]
    both = [rule(when={"auth": ["jwt"], "claims": {"c": "x"}})]
    neither = {**who(auth="os"), "expect": "deny"}
    assert left(both, neither) == [
        ("when", "the claim c", False, False),
        ("when", "the authentication", False, False),
    ]


def test_what_cannot_be_judged_is_neither() -> None:
    """An error is no proof of a condition, nor of those beside it."""
    aged = {"max_session_age": "1h", "auth": ["jwt"]}
    assert [one[2:] for one in left([rule("d", "deny", when=aged)], who())] == [
        (False, False),
        (False, False),
    ]
    old = left([rule("d", "deny", when=aged)], who(session_age="2h"), who(session_age="1h"))
    assert old == [("when", "the authentication", True, False)]


def test_the_name_is_the_one_of_the_configuration() -> None:
    """`${principal.name}` comes from the claim that config.toml names for the issuer."""
    mine = [rule(resources=["bucket/${principal.name}"], when={"auth": ["jwt"]})]
    assert left(mine, who(claims={"nick": "key"})) == [("when", "the authentication", True, False)]
    assert left(mine, who(claims={"nick": "lock"})) == [
        ("when", "the authentication", False, False)
    ]


def test_rules_that_a_test_cannot_meet_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tests as rules, each about one of them, are not all pairs of them."""
    asked = []

    def counted(rule: Any, question: Any) -> Any:
        asked.append(rule.id)
        return judge(rule, question)

    monkeypatch.setattr("agentauth_cli.policy.coverage.judge", counted)
    many = [rule(f"r{i}", tools=[f"t{i}"], when={"auth": ["jwt"]}) for i in range(50)]
    found = left(many, *({"tool": f"t{i}"} for i in range(50)))
    assert found == [("when", "the authentication", True, False)] * 50
    assert sorted(asked) == sorted(one["id"] for one in many)
