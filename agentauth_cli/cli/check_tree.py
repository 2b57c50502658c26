"""Why a question was answered as it was: the tree on a terminal, and the same as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.cli.tree import Branch
from agentauth_cli.ledger.records import obligations
from agentauth_cli.model import Decision
from agentauth_cli.policy.considered import explain
from agentauth_cli.policy.decide import decide
from agentauth_cli.policy.explain import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentauth_cli.model import PolicyDecision, Question
    from agentauth_cli.policy.considered import Considered, Explained
    from agentauth_cli.policy.explain import Comparison
    from agentauth_cli.policy.packed import Policy

SHOWN = 10
"""So many rules of each effect that failed are shown on a terminal."""

LISTED = 100
"""So many are listed in JSON."""

_PRODUCTION = "prod"


def tree(policy: Policy, questions: Sequence[Question]) -> list[Branch]:
    """Return who asked for what, what each rule came to, and what the policy's answer asks for."""
    found = explain(policy, questions, SHOWN)
    left = len(questions) - len(found)
    return [
        _asked(questions[0]),
        *(_question(one) for one in found),
        *([Branch(f"{left} more questions")] if left else ()),
        *(Branch(one) for one in told(decide(policy, questions))),
    ]


def told(answer: PolicyDecision) -> Iterator[str]:
    """Yield a line for each obligation, with the rule it came from, and for the nearest miss."""
    for name, found in obligations(answer).items():
        rule = found.get("rule") or ", ".join(found["rules"])
        yield f"{name} = {_plain(found['value'])}  by {rule}"
    if answer.nearest:
        yield f"nearest: {answer.nearest.hint}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    return "yes" if value is True else str(value)


def _asked(question: Question) -> Branch:
    """Say who asks, through what and where; a line in red is about production."""
    time = question.time.isoformat(timespec="seconds").replace("+00:00", "Z")
    who, tool, where = map(cut, (question.principal.id, question.tool, question.environment))
    text = f"{who} through {tool} in {where} at {time}"
    return Branch(text, in_red=question.environment.startswith(_PRODUCTION))


def _question(found: Explained) -> Branch:
    asked, answer = found.question, found.answer
    rules = [_rule(one) for one in found.rules]
    more = [
        f"{count} more {effect} {'rule fails' if count == 1 else 'rules fail'}"
        for effect, count in (("allow", found.more_allow), ("deny", found.more_deny))
        if count
    ]
    text = f"{cut(asked.action)} on {cut(asked.resource)}: {answer.decision}, {answer.reason}"
    return Branch(text, [*rules, *(Branch(one) for one in more)])


def _rule(one: Considered) -> Branch:
    text = f"{one.rule.effect} {one.rule.id} {one.role}"
    said = [str(each) for each in one.compared]
    if one.role == "fails" and len(said) == 1:
        return Branch(f"{text}: {said[0]}")
    return Branch(text, [Branch(each) for each in said])


def shape(policy: Policy, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return the same as JSON: an object for each question."""
    return [_shape(one) for one in explain(policy, questions, LISTED)]


def _shape(found: Explained) -> dict[str, Any]:
    asked, answer = found.question, found.answer
    return {
        "action": asked.action,
        "resource": asked.resource,
        "effect": answer.decision,
        "reason": answer.reason,
        "obligations": obligations(answer),
        "considered": [_considered(one) for one in found.rules],
        "more": {Decision.ALLOW: found.more_allow, Decision.DENY: found.more_deny},
    }


def _considered(one: Considered) -> dict[str, Any]:
    return {
        "rule": one.rule.id,
        "effect": one.rule.effect,
        "role": one.role,
        "failed": list(one.failed),
        "compared": [_compared(each) for each in one.compared],
    }


def _compared(one: Comparison) -> dict[str, Any]:
    return {
        "part": one.part,
        "subject": one.subject,
        "wanted": one.wanted,
        "actual": one.actual,
        "holds": one.holds,
    }
