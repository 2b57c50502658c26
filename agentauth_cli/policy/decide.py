"""May this principal do this, here, with this tool, now? Every rule is asked.

Deny wins; else one allow rule is enough, and the obligations of all that match hold together. A
substitution that fails, and a condition that cannot be judged, decides its own part: an allow
rule's does not match, a deny rule's does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentauth_cli.model import Decision, NearestMiss, Obligation, PolicyDecision, Question
from agentauth_cli.policy.conditions import outcome
from agentauth_cli.policy.explain import hint
from agentauth_cli.policy.names import malformed
from agentauth_cli.policy.obligation_file import DELIVERIES
from agentauth_cli.policy.rules import PARTS, Policy, Rule
from agentauth_cli.policy.variables import values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentauth_cli.policy.pattern import Pattern

_SMALLEST = ("max_duration", "max_tokens", "max_cost")
_ANY = ("must_log", "require_reason")


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a rule says of a question: the parts that failed.

    `touching` are the parts that may have failed for its obligations to hold all the same.
    """

    rule: Rule
    failed: tuple[str, ...]
    touching: frozenset[str]

    @property
    def matches(self) -> bool:
        return not self.failed

    @property
    def obliges(self) -> bool:
        return self.touching.issuperset(self.failed)


def evaluate(policy: Policy | None, question: Question) -> PolicyDecision:
    """Answer one question. None stands for a policy that is not there.

    Never raises: what is not well formed is denied.
    """
    digest = policy.digest if policy else ""
    if wrong := malformed(question):
        return PolicyDecision(Decision.DENY, f"malformed request: {wrong}", policy=digest)
    if policy is None:
        return PolicyDecision(Decision.DENY, "no policy")
    judged = [_judge(rule, question) for rule in policy.rules]
    denying = [one.rule.id for one in judged if one.rule.effect == "deny" and one.matches]
    if denying:
        return _answer(Decision.DENY, "denied by rule", denying, digest)
    allows = [one for one in judged if one.rule.effect == "allow"]
    allowing = [one.rule.id for one in allows if one.matches]
    if not allowing:
        nearest = _nearest(allows, question)
        reason = "no rule allows this"
        return PolicyDecision(Decision.DENY, reason, nearest=nearest, policy=digest)
    obligations = merge(one.rule for one in allows if one.obliges)
    return close(_answer(Decision.ALLOW, "allowed by rule", allowing, digest, obligations))


def decide(policy: Policy | None, questions: Sequence[Question]) -> PolicyDecision:
    """Answer several questions as one: the first refused refuses all; obligations hold together.

    To ask nothing is refused too.
    """
    if not questions:
        return PolicyDecision(
            Decision.DENY, "malformed request: no action", policy=policy.digest if policy else ""
        )
    answers = []
    for question in questions:
        answer = evaluate(policy, question)
        if answer.decision is Decision.DENY:
            return answer
        answers.append(answer)
    rules = sorted({rule for answer in answers for rule in answer.rules})
    together: dict[str, dict[Obligation, None]] = {}
    for answer in answers:
        for name, entries in answer.obligations.items():
            together.setdefault(name, {}).update(dict.fromkeys(entries))
    obligations = {name: _strictest(name, list(entries)) for name, entries in together.items()}
    first = answers[0]
    return close(_answer(first.decision, first.reason, rules, first.policy, obligations))


def merge(rules: Iterable[Rule]) -> dict[str, tuple[Obligation, ...]]:
    """Return the obligations of these rules, holding together."""
    gathered: dict[str, list[Obligation]] = {}
    for rule in sorted(rules, key=lambda one: one.id):
        for name, value in rule.obligations.items():
            several = value if name == "rate_limit" else [value]
            gathered.setdefault(name, []).extend(Obligation(one, rule.id) for one in several)
    return {name: _strictest(name, entries) for name, entries in gathered.items()}


def _strictest(name: str, entries: list[Obligation]) -> tuple[Obligation, ...]:
    if name in _SMALLEST:
        return (min(entries, key=lambda one: (one.value, one.rule)),)
    if name in _ANY:
        return (min(entries, key=lambda one: one.rule),)
    return tuple(sorted(entries, key=lambda one: one.rule))


def named(decision: PolicyDecision) -> frozenset[str]:
    """Return the rules that an answer names, those that its obligations came from included."""
    sources = (one.rule for entries in decision.obligations.values() for one in entries)
    return frozenset((*decision.rules, *sources))


def permitted(decision: PolicyDecision) -> tuple[str, ...]:
    """Return the ways of delivery that every rule with a `delivery` permits."""
    lists = [one.value for one in decision.obligations.get("delivery", ())]
    return tuple(way for way in DELIVERIES if all(way in ways for ways in lists))


def close(answer: PolicyDecision) -> PolicyDecision:
    """Return the answer, turned into a refusal where its obligations leave no delivery."""
    if permitted(answer):
        return answer
    rules = [one.rule for one in answer.obligations["delivery"]]
    return _answer(Decision.DENY, "no delivery left", rules, answer.policy)


def _answer(
    decision: Decision,
    reason: str,
    rules: Sequence[str],
    digest: str,
    obligations: Mapping[str, Any] | None = None,
) -> PolicyDecision:
    ordered = tuple(sorted(set(rules)))
    return PolicyDecision(decision, reason, ordered[0], ordered, obligations or {}, policy=digest)


def _judge(rule: Rule, question: Question) -> _Judged:
    resources, touches = _resources(rule, question)
    when, unless = outcome(rule.when, question), outcome(rule.unless, question)
    deny = rule.effect == "deny"
    holds = {
        "principals": any(one.matches(question.principal) for one in rule.principals),
        "tools": _any(rule.tools, question.tool),
        "actions": _any(rule.actions, question.action),
        "resources": resources,
        "environments": _any(rule.environments, question.environment),
        "when": deny if when.errors else when.holds,
        "unless": deny if unless.errors else rule.unless is None or not unless.holds,
    }
    touching = {"resources": touches}
    if question.resource.endswith("*"):
        touching |= {"when": bool(when.errors), "unless": bool(unless.errors)}
    failed = tuple(part for part in PARTS if not holds[part])
    return _Judged(rule, failed, frozenset(part for part, found in touching.items() if found))


def _any(patterns: Iterable[Pattern] | None, name: str) -> bool:
    return patterns is None or any(one.matches(name) for one in patterns)


def _resources(rule: Rule, question: Question) -> tuple[bool, bool]:
    """Say whether the part matches, and whether the rule's obligations hold on the resource."""
    if rule.resources is None:
        return True, True
    scope = question.resource.endswith("*")
    value_of = values(question.principal, question.tool, question.environment)
    try:
        patterns = [one.fill(value_of) for one in rule.resources]
    except ValueError:
        return rule.effect == "deny", scope or rule.effect == "deny"
    if not scope:
        matches = any(one.matches(question.resource) for one in patterns)
        return matches, matches
    prefix = question.resource[:-1]
    touches = any(one.touches(prefix) for one in patterns)
    if rule.effect == "deny":
        return touches, touches
    return any(one.covers(prefix) for one in patterns), touches


def _nearest(allows: Sequence[_Judged], question: Question) -> NearestMiss | None:
    if not allows:
        return None
    one = min(allows, key=lambda judged: (len(judged.failed), judged.rule.id))
    return NearestMiss(one.rule.id, one.failed, hint(one.rule, one.failed, question))
