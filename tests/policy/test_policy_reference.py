"""The evaluator, held against the plain reading of its specification in `reference_policy`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import example, given
from hypothesis import strategies as st

from agentauth_cli.model import Obligation, PolicyDecision, Question, Rate
from agentauth_cli.policy.decide import evaluate
from agentauth_cli.policy.matching import Pattern
from support import reference_policy
from support.policy_worlds import (
    QUESTION,
    QUESTIONS,
    QUICK,
    Rule,
    policy_of,
    property_of,
    rule,
    rule_sets,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

EXAMPLES = 600
QUESTIONS_EACH = 10


def plain(entries: Iterable[Obligation]) -> list[tuple[Any, str]]:
    """Return obligations as the reference writes them."""
    return [(_plain(one.value), one.rule) for one in entries]


def _plain(value: Any) -> Any:
    if isinstance(value, Rate):
        return str(value)
    if isinstance(value, tuple):
        return frozenset(one.text if isinstance(one, Pattern) else one for one in value)
    return value


def as_reference(answer: PolicyDecision) -> reference_policy.Answer:
    """Return what was answered in the words of the reference."""
    nearest = answer.nearest
    return reference_policy.Answer(
        answer.decision.value,
        answer.reason.partition(":")[0],
        answer.rule,
        frozenset(answer.rules),
        {name: plain(entries) for name, entries in answer.obligations.items()},
        (nearest.rule, nearest.parts) if nearest else None,
    )


def test_evaluator_agrees_with_the_plain_reading_of_the_specification() -> None:
    """Every answer, obligation and nearest miss is that of the reference.

    A generator that never meets a rule would prove nothing: the kinds of answers are counted.
    """
    answers: Counter[str] = Counter()
    parts: Counter[str] = Counter()

    @property_of(EXAMPLES)
    @example([rule(one, obligations={"delivery": [one]}) for one in ("exec", "stdout")], [QUESTION])
    @given(rule_sets(), st.lists(QUESTIONS, min_size=QUESTIONS_EACH, max_size=QUESTIONS_EACH))
    def agrees(rules: list[Rule], questions: list[Question]) -> None:
        policy = policy_of(rules)
        for question in questions:
            found = as_reference(evaluate(policy, question))
            assert found == reference_policy.answer(rules, question)
            answers[found.reason] += 1
            answers["obliged"] += bool(found.obligations)
            parts.update(found.nearest[1] if found.nearest else ())

    agrees()
    if QUICK:
        return  # too few to be counted
    pairs = answers.total() - answers["obliged"]
    assert pairs >= 5_000
    assert answers["allowed by rule"] >= pairs / 10
    assert answers["denied by rule"] >= pairs / 10
    assert answers["no rule allows this"] >= pairs / 10
    assert answers["obliged"] >= pairs / 20
    assert answers["no delivery left"]
    assert all(parts[one] >= pairs / 200 for one in reference_policy.PARTS)
