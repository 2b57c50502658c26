"""Which conditions of a policy its tests never put to the proof.

A test puts a condition to the proof where its question meets everything else that the rule asks
for: the other parts, and the other conditions of the same `when` or `unless`. Then it alone
decides. Of each condition some test should have it hold, and some test not hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.policy.engine import judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentauth_cli.model import Question
    from agentauth_cli.policy.conditions import Condition
    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.policy.rule import Rule
    from agentauth_cli.policy.testing import Result


@dataclass(frozen=True, slots=True)
class Unproven:
    """A condition, and which of the two some test came to: that it held, that it did not."""

    rule: Rule
    part: str
    condition: Condition
    held: bool
    failed: bool


def unproven(policy: Policy, results: Sequence[Result]) -> Iterator[Unproven]:
    """Yield each condition that the tests do not have both hold and not hold."""
    # A rule that fails in a part with names proves nothing: it is no candidate.
    proofs = {
        (rule.id, *proof)
        for one in results
        for rule in policy.candidates(one.question)
        for proof in _proofs(rule, one.question)
    }
    for rule in policy.rules:
        for part in ("when", "unless"):
            for i, condition in enumerate(getattr(rule, part) or ()):
                held, failed = ((rule.id, part, i, way) in proofs for way in (True, False))
                if not (held and failed):
                    yield Unproven(rule, part, condition, held, failed)


def _proofs(rule: Rule, question: Question) -> Iterator[tuple[str, int, bool]]:
    """Yield the conditions that decide this question: part, number, and whether it holds."""
    if rule.when is None and rule.unless is None:
        return
    failed = set(judge(rule, question).failed)
    for part in ("when", "unless"):
        if failed <= {part}:
            holds = [_holds(one, question) for one in getattr(rule, part) or ()]
            for i, one in enumerate(holds):
                if one is not None and all(holds[:i] + holds[i + 1 :]):
                    yield part, i, one


def _holds(condition: Condition, question: Question) -> bool | None:
    try:
        return condition.holds(question)
    except ValueError:
        return None
