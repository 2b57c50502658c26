"""What each rule came to when a question was asked: those that took part, then the near misses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agentauth_cli.model import Decision
from agentauth_cli.policy.decide import evaluate
from agentauth_cli.policy.engine import judge
from agentauth_cli.policy.explain import compared
from agentauth_cli.policy.rule import PARTS
from agentauth_cli.policy.wellformed import malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentauth_cli.model import PolicyDecision, Question
    from agentauth_cli.policy.engine import Judged
    from agentauth_cli.policy.explain import Comparison
    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.policy.rule import Rule

MOST_QUESTIONS = 16
"""So many questions of one request are explained, and the first refused in any case."""

Role = Literal["decides", "takes part", "limits", "matches", "fails"]
"""`limits`: permits nothing here, but its obligations hold. `matches`: changes nothing here."""

_ORDER: tuple[Role, ...] = ("decides", "takes part", "limits", "matches")


@dataclass(frozen=True, slots=True)
class Considered:
    """One rule. `failed` are its parts that failed, `compared` what made them fail, or match."""

    rule: Rule
    role: Role
    failed: tuple[str, ...]
    compared: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """One question, its answer, and the rules; how many more of each effect failed too."""

    question: Question
    answer: PolicyDecision
    rules: tuple[Considered, ...]
    more_allow: int = 0
    more_deny: int = 0


def explain(policy: Policy, questions: Sequence[Question], most: int) -> list[Explained]:
    """Explain these questions, in order: all rules that took part, `most` failed of each effect."""
    found: list[Explained] = []
    refused = False
    for i, question in enumerate(questions):
        answer = evaluate(policy, question)
        decides = answer.decision is Decision.DENY and not refused
        refused = refused or decides
        if decides or i < MOST_QUESTIONS:
            found.append(_explain(policy, question, answer, most))
    return found


def _explain(policy: Policy, question: Question, answer: PolicyDecision, most: int) -> Explained:
    if malformed(question):
        return Explained(question, answer, ())
    played: list[tuple[Role, Judged]] = []
    missed: dict[str, list[Judged]] = {"allow": [], "deny": []}
    for rule in policy.rules:
        one = judge(rule, question)
        role = _role(one, answer)
        if role == "fails":
            missed[rule.effect].append(one)
        else:
            played.append((role, one))
    played.sort(key=lambda one: _ORDER.index(one[0]))
    nearest = {effect: _nearest(found)[:most] for effect, found in missed.items()}
    fails: list[tuple[Role, Judged]] = [
        ("fails", one) for effect in ("allow", "deny") for one in nearest[effect]
    ]
    return Explained(
        question,
        answer,
        tuple(_considered(role, one, question) for role, one in [*played, *fails]),
        len(missed["allow"]) - len(nearest["allow"]),
        len(missed["deny"]) - len(nearest["deny"]),
    )


def _role(one: Judged, answer: PolicyDecision) -> Role:
    rule = one.rule
    if rule.id == answer.rule:
        return "decides"
    if rule.id in answer.rules:
        return "takes part"
    if one.matches:
        return "matches"
    limits = answer.decision is Decision.ALLOW and one.obliges and rule.obligations
    return "limits" if limits else "fails"


def _nearest(judged: Iterable[Judged]) -> list[Judged]:
    return sorted(judged, key=lambda one: (len(one.failed), one.rule.id))


def _considered(role: Role, one: Judged, question: Question) -> Considered:
    return Considered(one.rule, role, one.failed, tuple(_compared(one, question)))


def _compared(one: Judged, question: Question) -> Iterator[Comparison]:
    """Yield what made it match, or the parts that failed fail."""
    for part in one.failed or PARTS:
        yield from compared(one.rule, part, question, failed=bool(one.failed))
