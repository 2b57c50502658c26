"""Rules that no request can reach: no answer can ever name them.

Only what is sure is said. A time that is over does not count: a test may ask for any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.policy.conditions import DAYS, Actor, After, Auth, Before, Calendar, Claim
from agentauth_cli.policy.inclusion import Shadows, implies
from agentauth_cli.policy.matching import CLAIM
from agentauth_cli.policy.variables import USABLE
from agentauth_cli.terms import AUTHS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.policy.conditions import Condition
    from agentauth_cli.policy.matching import Pattern
    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.policy.rule import Rule

_DAY = 24 * 60


def unreachable(policy: Policy) -> Iterator[tuple[Rule, str]]:
    """Yield each rule that no request can reach, and why."""
    shadows = Shadows(policy.rules)
    for rule in policy.rules:
        if why := _taken_out(rule) or _unfillable(rule) or _shadowed(rule, shadows):
            yield rule, why


def _taken_out(rule: Rule) -> str:
    """Say so where `unless` holds wherever `when` does.

    An error would let a deny rule match, and the limits of an allow rule hold on a scope.
    """
    if rule.unless is None:
        return ""
    given = rule.when or ()
    if not all(_always(one) or any(implies(w, one) for w in given) for one in rule.unless):
        return ""
    if (rule.effect == "deny" or rule.obligations) and any(
        not isinstance(one, Auth | After | Before | Actor) for one in (*given, *rule.unless)
    ):
        return ""
    return "`unless` holds wherever `when` holds" if given else "`unless` always holds"


def _always(condition: Condition) -> bool:
    """Say whether a condition holds wherever it can be judged."""
    match condition:
        case Auth():
            return set(condition.ways) >= set(AUTHS)
        case Calendar():
            return condition.hours in {None, (0, _DAY)} and (
                condition.days is None or len(condition.days) == len(DAYS)
            )
    return False


def _unfillable(rule: Rule) -> str:
    """Say so where `when` wants of a claim what cannot stand in a resource, and it has to.

    A deny rule matches then, and on a scope an allow rule's limits hold.
    """
    if rule.effect == "deny" or rule.obligations:
        return ""
    for one in rule.when or ():
        if isinstance(one, Claim) and all(_unusable(pattern) for pattern in one.patterns):
            variable = CLAIM + one.name
            if any(variable in template.names for template in rule.resources or ()):
                return f"a claim {one.name} that `when` wants cannot stand in a resource"
    return ""


def _unusable(pattern: Pattern) -> bool:
    """Say whether no value of a variable can match."""
    return any(not USABLE.issuperset(run) or ".." in run for run in pattern.runs)


def _shadowed(rule: Rule, shadows: Shadows) -> str:
    """Say which rule without conditions denies all that this one allows, or limits."""
    for one in shadows.of(rule):
        if not (rule.obligations and _escapes(rule, one)):
            return f"{one.id} denies all that it allows"
    return ""


def _escapes(allow: Rule, deny: Rule) -> bool:
    """Say whether the allow rule may limit a scope that the deny rule does not touch.

    That is so where a variable of the allow rule has no value, and all of the deny rule's have.
    """
    if deny.resources is None or any(one.text == "*" for one in deny.resources):
        return False
    names = {name for one in allow.resources or () for name in one.names}
    return not names <= {name for one in deny.resources for name in one.names}
