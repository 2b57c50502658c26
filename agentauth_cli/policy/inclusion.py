"""What matches one always matches the other: patterns, rules, conditions.

Only sure cases are found: False says that nothing is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.policy.conditions import (
    Actor,
    After,
    Auth,
    Before,
    Calendar,
    Claim,
    SessionAge,
)
from agentauth_cli.policy.matching import Pattern
from agentauth_cli.terms import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentauth_cli.policy.conditions import Condition
    from agentauth_cli.policy.matching import PrincipalPattern
    from agentauth_cli.policy.rule import Rule

# Stand for a star and around a variable where patterns are compared: no name can hold them.
_STAR, _OPEN, _CLOSE = "\0", "\1", "\2"
_ANY = Pattern(("", ""))
_NAMES = ("environments", "tools", "actions", "resources")


class Shadows:
    """Finds the deny rules without conditions that match all that an allow rule matches.

    Only those are compared of which, in one part, some pattern begins as the allow rule's does.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_head: dict[tuple[str, str], dict[str, Rule]] = {}
        for rule in rules:
            if rule.effect == "deny" and rule.when is None and rule.unless is None:
                for head in _heads(rule):
                    self._by_head.setdefault(head, {})[rule.id] = rule

    def of(self, allow: Rule) -> Iterator[Rule]:
        """Yield them, by id."""
        if allow.effect != "allow":
            return
        by_part = (self._begin(part, _first(allow, part)) for part in _NAMES)
        found = min(*by_part, self._mean(allow.principals[0]), key=lambda some: sum(map(len, some)))
        together = {deny.id: deny for some in found for deny in some.values()}
        for _, deny in sorted(together.items()):
            if _shadows(deny, allow):
                yield deny

    def _mean(self, one: PrincipalPattern) -> list[dict[str, Rule]]:
        """Return the deny rules that may mean everybody whom an entry of `principals` means."""
        everybody = self._begin("id", "") if one.on != "id" else []
        return [*self._begin(one.on, one.pattern.runs[0]), *everybody]

    def _begin(self, table: str, word: str) -> list[dict[str, Rule]]:
        """Return the deny rules that have a pattern which begins as this word does."""
        found = (self._by_head.get((table, word[:end])) for end in range(len(word) + 1))
        return [some for some in found if some]


def _heads(rule: Rule) -> Iterator[tuple[str, str]]:
    """Yield what the patterns of a rule begin with, by part, and by what principals are known."""
    for part in _NAMES:
        for pattern in _patterns(rule, part) or (_ANY,):
            yield part, pattern.runs[0]
    for one in rule.principals:
        yield one.on, one.pattern.runs[0]
    if _every_kind(rule.principals):
        yield "id", ""


def _first(rule: Rule, part: str) -> str:
    return (_patterns(rule, part) or (_ANY,))[0].runs[0]


def _shadows(deny: Rule, allow: Rule) -> bool:
    """Say whether the deny rule, whose conditions do not count, matches all that the other does.

    A variable is compared as itself: where it has no value the deny rule matches all the same.
    """
    return all(within(_patterns(allow, part), _patterns(deny, part)) for part in _NAMES) and all(
        _meant(deny.principals, one) for one in allow.principals
    )


def within(inner: Sequence[Pattern] | None, outer: Sequence[Pattern] | None) -> bool:
    """Say whether each name that matches `inner` matches one same pattern of `outer`.

    None matches every name. A star of the inner one is taken for a character that no pattern holds:
    only a star of the outer one can stand for it, and then stands for all that it stands for.
    """
    if outer is None:
        return True
    words = [_STAR.join(one.runs) for one in (inner or (_ANY,))]
    return all(any(one.matches(word) for one in outer) for word in words)


def implies(one: Condition, other: Condition) -> bool:
    """Say whether `other` holds wherever `one` holds."""
    match one, other:
        case Claim(), Claim():
            return one.name == other.name and within(one.patterns, other.patterns)
        case Auth(), Auth():
            return set(one.ways) <= set(other.ways)
        case After(), After():
            return one.time >= other.time
        case Before(), Before():
            return one.time <= other.time
        case Calendar(), Calendar():
            days = other.days is None or (one.days is not None and set(one.days) <= set(other.days))
            return days and one.hours == other.hours and one.zone == other.zone
        case Actor(), Actor():
            return within(one.patterns, other.patterns)
        case SessionAge(), SessionAge():
            return one.longest <= other.longest
    return False


def _meant(principals: Sequence[PrincipalPattern], one: PrincipalPattern) -> bool:
    """Say whether everybody whom `one` matches is matched by these."""
    if _every_kind(principals):
        return True
    word = _STAR.join(one.pattern.runs)
    return any(
        other.pattern.matches(word if other.on == one.on else _STAR)
        for other in principals
        if other.on in {one.on, "id"}
    )


def _every_kind(principals: Sequence[PrincipalPattern]) -> bool:
    return {one.text for one in principals if one.on == "kind"} >= {f"kind:{k}" for k in KINDS}


def _patterns(rule: Rule, part: str) -> Sequence[Pattern] | None:
    """Return a part's patterns, a variable in them being a text of its own."""
    if part != "resources" or rule.resources is None:
        found: Sequence[Pattern] | None = getattr(rule, part)
        return found
    return [one.fill(lambda variable: f"{_OPEN}{variable}{_CLOSE}") for one in rule.resources]
