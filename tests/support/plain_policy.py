"""The plain evaluator: every rule is asked, in every part, and nothing is looked up.

It shares patterns and conditions with the real one, but neither the index nor its way of judging.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.policy.conditions import outcome
from agentauth_cli.policy.rule import PARTS
from agentauth_cli.policy.variables import values
from agentauth_cli.policy.wellformed import malformed
from support.reference_policy import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentauth_cli.model import Question
    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.policy.rule import Rule

DELIVERIES = ("stdout", "exec", "endpoint", "gateway")


def answer(policy: Policy, question: Question) -> Answer:
    """Answer one question."""
    if malformed(question):
        return Answer("deny", "malformed request")
    judged = [(rule, *_judge(rule, question)) for rule in policy.rules]
    denying = [rule.id for rule, failed, _ in judged if rule.effect == "deny" and not failed]
    if denying:
        return Answer("deny", "denied by rule", denying[0], frozenset(denying))
    allows = [one for one in judged if one[0].effect == "allow"]
    allowing = [rule.id for rule, failed, _ in allows if not failed]
    if not allowing:
        return Answer("deny", "no rule allows this", nearest=_nearest(allows))
    obligations = _merge(rule for rule, failed, touching in allows if touching.issuperset(failed))
    deliveries = obligations.get("delivery", [])
    if not any(all(way in ways for ways, _ in deliveries) for way in DELIVERIES):
        rules = [rule for _, rule in deliveries]
        return Answer("deny", "no delivery left", min(rules), frozenset(rules))
    return Answer("allow", "allowed by rule", allowing[0], frozenset(allowing), obligations)


def _judge(rule: Rule, question: Question) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the parts that failed, and those that may fail for its obligations to hold."""
    resources, touches = _resources(rule, question)
    when, unless = outcome(rule.when, question), outcome(rule.unless, question)
    deny = rule.effect == "deny"
    holds = {
        "principals": any(one.matches(question.principal) for one in rule.principals),
        "resources": resources,
        "when": deny if when.errors else when.holds,
        "unless": deny if unless.errors else rule.unless is None or not unless.holds,
    }
    for part, name in (
        ("tools", question.tool),
        ("actions", question.action),
        ("environments", question.environment),
    ):
        patterns = getattr(rule, part)
        holds[part] = patterns is None or any(one.matches(name) for one in patterns)
    touching = {"resources": touches}
    if question.resource.endswith("*"):
        touching |= {"when": bool(when.errors), "unless": bool(unless.errors)}
    failed = tuple(part for part in PARTS if not holds[part])
    return failed, frozenset(part for part, found in touching.items() if found)


def _resources(rule: Rule, question: Question) -> tuple[bool, bool]:
    if rule.resources is None:
        return True, True
    scope, deny = question.resource.endswith("*"), rule.effect == "deny"
    value_of = values(question.principal, question.tool, question.environment)
    try:
        patterns = [one.fill(value_of) for one in rule.resources]
    except ValueError:
        return deny, scope or deny
    if not scope:
        matches = any(one.matches(question.resource) for one in patterns)
        return matches, matches
    prefix = question.resource[:-1]
    touches = any(one.touches(prefix) for one in patterns)
    return touches if deny else any(one.covers(prefix) for one in patterns), touches


def _nearest(
    allows: Sequence[tuple[Rule, tuple[str, ...], frozenset[str]]],
) -> tuple[str, tuple[str, ...]] | None:
    if not allows:
        return None
    rule, failed, _ = min(allows, key=lambda one: (len(one[1]), one[0].id))
    return rule.id, failed


def _merge(rules: Iterable[Rule]) -> dict[str, list[tuple[Any, str]]]:
    gathered: dict[str, list[tuple[Any, str]]] = {}
    for rule in rules:
        for name, value in rule.obligations.items():
            for one in value if name == "rate_limit" else [value]:
                gathered.setdefault(name, []).append((one, rule.id))
    for name in ("max_duration", "max_tokens", "max_cost"):
        if name in gathered:
            gathered[name] = [min(gathered[name])]
    for name in ("must_log", "require_reason"):
        if name in gathered:
            gathered[name] = gathered[name][:1]
    return gathered
