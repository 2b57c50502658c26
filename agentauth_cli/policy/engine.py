"""Whether this principal may do this, here, with this tool, now.

Deny wins; else one allow rule is enough, and the obligations of all that match hold together. A
substitution that fails, and a condition that cannot be judged, decides its own part: an allow
rule's does not match, a deny rule's does.
"""

from __future__ import annotations

from agentauth_cli.policy.rule import PARTS
from agentauth_cli.policy.variables import values
from agentauth_cli.policy.wellformed import malformed

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from agentauth_cli.model import Principal, Question
    from agentauth_cli.policy.matching import Pattern, PrincipalPattern
    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.policy.rule import Rule

    Held = Mapping[str, Sequence[tuple[Any, str]]]
    """Obligations by name: each value, and the id of the rule that it came from."""

ALLOW = "allow"
DENY = "deny"
DELIVERIES = ("stdout", "exec", "endpoint", "gateway")

_SMALLEST = ("max_duration", "max_tokens", "max_cost")
_ANY = ("must_log", "require_reason")


class Judged:
    """What a rule says of a question: the parts that failed, in the order of `PARTS`.

    `touching` are the parts that may have failed for its obligations to hold all the same.
    """

    __slots__ = ("failed", "rule", "touching")

    def __init__(self, rule: Rule, failed: tuple[str, ...], touching: Sequence[str]) -> None:
        self.rule = rule
        self.failed = failed
        self.touching = touching

    @property
    def matches(self) -> bool:
        """Whether no part failed."""
        return not self.failed

    @property
    def obliges(self) -> bool:
        """Whether an allow rule's obligations hold if another rule allows."""
        return not self.failed or all(part in self.touching for part in self.failed)


class Verdict:
    """The answer: `rules` are the ids of all that had a part in it, the deciding one first.

    `nearest` is the allow rule that came closest where none allows.
    """

    __slots__ = ("effect", "nearest", "obligations", "reason", "rules")

    def __init__(
        self,
        effect: str,
        reason: str,
        rules: tuple[str, ...] = (),
        obligations: Held | None = None,
        nearest: Judged | None = None,
    ) -> None:
        self.effect = effect
        self.reason = reason
        self.rules = rules
        self.obligations: Held = obligations or {}
        self.nearest = nearest


def decide(policy: Policy | None, question: Question) -> Verdict:
    """Answer one question. None stands for a policy that is not there.

    `question` has the attributes of `model.Question`. What is not well formed is denied.
    """
    if wrong := malformed(question):
        return Verdict(DENY, f"malformed request: {wrong}")
    if policy is None:
        return Verdict(DENY, "no policy")
    denying, allowing, obliging = [], [], []
    for rule in policy.candidates(question):
        if not _meant(rule, question):
            continue
        judged = judge(rule, question)
        if rule.effect == DENY:
            if not judged.failed:
                denying.append(rule.id)
        elif judged.obliges:
            obliging.append(rule)
            if not judged.failed:
                allowing.append(rule.id)
    if denying:
        return Verdict(DENY, "denied by rule", tuple(denying))
    if not allowing:
        return Verdict(DENY, "no rule allows this", nearest=nearest(policy, question))
    return closed(Verdict(ALLOW, "allowed by rule", tuple(allowing), merged(obliging)))


def nearest(policy: Policy, question: Question) -> Judged | None:
    """Return what the allow rule says that failed in the fewest parts; None where there is none.

    Of those that failed in as few, the one with the smallest id.
    """
    fewest: dict[str, int] = {}
    for missing in range(1, len(PARTS) + 1):
        for rule in policy.candidates(question, missing):
            if rule.effect != ALLOW or fewest.get(rule.id, missing) > missing:
                continue
            judged = judge(rule, question)
            if len(judged.failed) <= missing:
                return judged
            fewest[rule.id] = len(judged.failed)
    return None


def judge(rule: Rule, question: Question) -> Judged:
    """Ask every part of a rule."""
    failed, touching = [], []
    deny, scope = rule.effect == DENY, question.resource.endswith("*")
    if not _is(rule.principals, question.principal):
        failed.append("principals")
    if rule.tools is not None and not _any(rule.tools, question.tool):
        failed.append("tools")
    if rule.actions is not None and not _any(rule.actions, question.action):
        failed.append("actions")
    if rule.resources is not None:
        matches, touches = _resources(rule, question)
        if not matches:
            failed.append("resources")
        if touches:
            touching.append("resources")
    if rule.environments is not None and not _any(rule.environments, question.environment):
        failed.append("environments")
    for part, conditions in (("when", rule.when), ("unless", rule.unless)):
        if conditions is None:
            continue
        from agentauth_cli.policy.conditions import outcome

        found = outcome(conditions, question)
        if found.errors:
            holds = deny
            if scope:
                touching.append(part)
        else:
            holds = found.holds is (part == "when")
        if not holds:
            failed.append(part)
    return Judged(rule, tuple(failed), touching)


def _meant(rule: Rule, question: Question) -> bool:
    """Say whether the parts hold that always say so: most candidates end here."""
    return (
        (rule.tools is None or _any(rule.tools, question.tool))
        and (rule.actions is None or _any(rule.actions, question.action))
        and (rule.environments is None or _any(rule.environments, question.environment))
        and _is(rule.principals, question.principal)
    )


def _is(patterns: Iterable[PrincipalPattern], principal: Principal) -> bool:
    for one in patterns:  # noqa: SIM110 - a generator within `any` takes thrice as long
        if one.matches(principal):
            return True
    return False


def _any(patterns: Iterable[Pattern], name: str) -> bool:
    for one in patterns:  # noqa: SIM110 - the same
        if one.matches(name):
            return True
    return False


def _resources(rule: Rule, question: Question) -> tuple[bool, bool]:
    """Say whether the part matches, and whether the rule's obligations hold on the resource."""
    templates = rule.resources or ()
    scope = question.resource.endswith("*")
    patterns = [one.fixed for one in templates if one.fixed]
    if len(patterns) < len(templates):
        value_of = values(question.principal, question.tool, question.environment)
        try:
            patterns = [one.fill(value_of) for one in templates]
        except ValueError:
            return rule.effect == DENY, scope or rule.effect == DENY
    if not scope:
        matches = _any(patterns, question.resource)
        return matches, matches
    prefix = question.resource[:-1]
    touches = any(one.touches(prefix) for one in patterns)
    if rule.effect == DENY:
        return touches, touches
    return any(one.covers(prefix) for one in patterns), touches


def merged(rules: Iterable[Rule]) -> Held:
    """Return the obligations of these rules, which come by id, holding together."""
    gathered: dict[str, list[tuple[Any, str]]] = {}
    for rule in rules:
        for name, value in rule.obligations.items():
            several = value if name == "rate_limit" else [value]
            gathered.setdefault(name, []).extend([(one, rule.id) for one in several])
    return {name: strictest(name, entries) for name, entries in gathered.items()}


def strictest(name: str, entries: list[tuple[Any, str]]) -> Sequence[tuple[Any, str]]:
    """Return what counts of the values of one obligation."""
    if name in _SMALLEST:
        return (min(entries),)
    if name in _ANY:
        return (min(entries, key=lambda one: one[1]),)
    return sorted(entries, key=lambda one: one[1])


def closed(verdict: Verdict) -> Verdict:
    """Return the answer, turned into a refusal where its obligations leave no delivery."""
    given = verdict.obligations.get("delivery", ())
    if any(all(way in ways for ways, _ in given) for way in DELIVERIES):
        return verdict
    return Verdict(DENY, "no delivery left", tuple(rule for _, rule in given))
