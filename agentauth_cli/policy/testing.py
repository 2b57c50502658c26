"""Running the tests of a policy: expected, got, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agentauth_cli.policy.cases import with_name
from agentauth_cli.policy.decide import evaluate, named, permitted
from agentauth_cli.tables.values import dollars

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentauth_cli.model import PolicyDecision, Question
    from agentauth_cli.policy.cases import Case
    from agentauth_cli.policy.packed import Policy


@dataclass(frozen=True, slots=True)
class Result:
    """What a test came to. `message` says what was expected, got, and why; empty if it passed.

    `question` is the test's, with the name that the principal's tokens would give it.
    """

    case: Case
    question: Question
    answer: PolicyDecision
    message: str

    @property
    def passed(self) -> bool:
        """Whether the answer was the one expected."""
        return not self.message


def run(policy: Policy, name_claims: Mapping[str, str]) -> tuple[Result, ...]:
    """Ask what each test asks, in order. `name_claims` as `with_name` takes them."""
    return tuple(_run(policy, one, name_claims) for one in policy.cases)


def reached(policy: Policy, results: Sequence[Result]) -> dict[str, int]:
    """Return for each rule, by id, how many tests got an answer that names it."""
    counts = {rule.id: 0 for rule in policy.rules}
    for result in results:
        for rule in named(result.answer):
            counts[rule] += 1
    return counts


def _run(policy: Policy, case: Case, name_claims: Mapping[str, str]) -> Result:
    principal = with_name(case.question.principal, name_claims)
    question = replace(case.question, principal=principal)
    answer = evaluate(policy, question)
    return Result(case, question, answer, "; ".join(_faults(case, answer)))


def _faults(case: Case, answer: PolicyDecision) -> Iterator[str]:
    if answer.decision is not case.expect or case.rule not in {None, answer.rule}:
        by = "" if case.rule is None else f" by {case.rule or 'no rule'}"
        yield f"expected {case.expect}{by}, got {_told(answer)}"
    for name, expected in case.obligations.items():
        found = _obligation(name, answer)
        wanted = _comparable(name, expected)
        if found != wanted:
            yield f"expected {name} {_shown(name, wanted)}, got {_shown(name, found)}"


def _told(answer: PolicyDecision) -> str:
    """Say what was answered and why."""
    by = f" by {', '.join(answer.rules)}" if answer.rules else ""
    nearest = f"; {answer.nearest.hint}" if answer.nearest else ""
    return f"{answer.decision}{by}: {answer.reason}{nearest}"


def _obligation(name: str, answer: PolicyDecision) -> Any:
    """Return an answer's obligation as tests compare it; None where it has none."""
    entries = answer.obligations.get(name)
    if entries is None:
        return None
    if name == "delivery":
        return frozenset(permitted(answer))
    if name == "models":
        return frozenset(pattern.text for one in entries for pattern in one.value)
    if name == "rate_limit":
        return frozenset(str(one.value) for one in entries)
    return entries[0].value


def _comparable(name: str, expected: Any) -> Any:
    if name == "models":
        return frozenset(pattern.text for pattern in expected)
    if name == "rate_limit":
        return frozenset(str(one) for one in expected)
    return frozenset(expected) if name == "delivery" else expected


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value))
    if name == "max_cost":
        return dollars(value)
    return "true" if value is True else f"{value} s" if name == "max_duration" else str(value)
