"""The answers of a policy, as the rest of the program takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.model import Decision, NearestMiss, Obligation, PolicyDecision, Question, Rate
from agentauth_cli.policy import engine
from agentauth_cli.policy.engine import DELIVERIES, Verdict
from agentauth_cli.policy.explain import hint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from agentauth_cli.policy.packed import Policy


def evaluate(policy: Policy | None, question: Question) -> PolicyDecision:
    """Answer one question. None stands for a policy that is not there.

    Never raises for what is asked: what is not well formed is denied.
    """
    found = engine.decide(policy, question)
    nearest = None
    if near := found.nearest:
        told = hint(near.rule, near.failed, question)
        nearest = NearestMiss(near.rule.id, near.failed, told)
    return _answer(found, policy.digest if policy else "", nearest)


def decide(policy: Policy | None, questions: Sequence[Question]) -> PolicyDecision:
    """Answer several questions as one: the first refused refuses all; obligations hold together.

    To ask nothing is refused too.
    """
    digest = policy.digest if policy else ""
    if not questions:
        return PolicyDecision(Decision.DENY, "malformed request: no action", policy=digest)
    answers = []
    for question in questions:
        answer = evaluate(policy, question)
        if answer.decision is Decision.DENY:
            return answer
        answers.append(answer)
    rules = sorted({rule for answer in answers for rule in answer.rules})
    together: dict[str, dict[tuple[Any, str], None]] = {}
    for answer in answers:
        for name, entries in answer.obligations.items():
            pairs = [(one.value, one.rule) for one in entries]
            together.setdefault(name, {}).update(dict.fromkeys(pairs))
    held = {name: engine.strictest(name, list(pairs)) for name, pairs in together.items()}
    whole = Verdict(engine.ALLOW, answers[0].reason, tuple(rules), held)
    return _answer(engine.closed(whole), digest, None)


def _answer(found: Verdict, digest: str, nearest: NearestMiss | None) -> PolicyDecision:
    return PolicyDecision(
        decision=Decision.DENY if found.effect == engine.DENY else Decision.ALLOW,
        reason=found.reason,
        rule=found.rules[0] if found.rules else "",
        rules=found.rules,
        obligations={
            name: tuple(Obligation(_value(name, value), rule) for value, rule in entries)
            for name, entries in found.obligations.items()
        },
        nearest=nearest,
        policy=digest,
    )


def _value(name: str, value: Any) -> Any:
    return Rate(*value) if name == "rate_limit" and isinstance(value, tuple) else value


def named(decision: PolicyDecision) -> frozenset[str]:
    """Return the rules that an answer names, those that its obligations came from included."""
    sources = (one.rule for entries in decision.obligations.values() for one in entries)
    return frozenset((*decision.rules, *sources))


def permitted(decision: PolicyDecision) -> tuple[str, ...]:
    """Return the ways of delivery that every rule with a `delivery` permits."""
    lists = [one.value for one in decision.obligations.get("delivery", ())]
    return tuple(way for way in DELIVERIES if all(way in ways for ways in lists))
