"""Why, and why not, in words that a person can act on.

What was asked comes from anybody: a text is cut where it is long, a list where it has many entries.
"""

from __future__ import annotations

from agentauth_cli.policy.plain import Plain
from agentauth_cli.policy.variables import values

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentauth_cli.model import Principal, Question
    from agentauth_cli.policy.conditions import Condition
    from agentauth_cli.policy.rule import Rule

LONGEST = 200
"""So many characters of a value are shown."""

MOST = 5
"""So many entries of a list are shown."""

_ONE = {
    "principals": "principal",
    "tools": "tool",
    "actions": "action",
    "resources": "resource",
    "environments": "environment",
}


class Comparison(Plain):
    """One thing that a rule looks at: what it has to be, and what it is.

    `holds` says whether it is that; None where this cannot be judged, and then `actual` says why.
    """

    __slots__ = ("actual", "holds", "part", "subject", "wanted")

    def __init__(
        self, part: str, subject: str, wanted: str, actual: str, holds: bool | None
    ) -> None:
        self.part = part
        self.subject = subject
        self.wanted = wanted
        self.actual = actual
        self.holds = holds

    def __str__(self) -> str:
        """Say it: ``the environment is prod, not dev or staging``."""
        told = f"{self.part} " if self.part not in _ONE else ""
        if self.holds is None:
            return f"{told}{self.subject} cannot be judged: {self.actual}"
        as_what = f" ({self.wanted})" if self.holds else f", not {self.wanted}"
        return f"{told}{self.subject} is {self.actual}{as_what}"


def compared(rule: Rule, part: str, question: Question, *, failed: bool) -> list[Comparison]:
    """Return what made this part of a rule fail, or match; nothing where the rule has no such part.

    A condition of `unless` is compared as it is written: that all of them hold takes the rule out.
    What cannot be judged goes before what was judged beside it.
    """
    given = getattr(rule, part)
    if given is None:
        return []
    if part == "principals":
        return [_principal(rule, question.principal, holds=not failed)]
    if part == "resources":
        return [_resource(rule, question, holds=not failed)]
    if part in _ONE:
        wanted = _listed([one.text for one in given])
        actual = cut(getattr(question, _ONE[part]))
        return [Comparison(part, f"the {_ONE[part]}", wanted, actual, not failed)]
    found = [_condition(part, one, question) for one in given]
    unknown = [one for one in found if one.holds is None]
    return unknown or [one for one in found if one.holds is ((part == "when") is not failed)]


def cut(text: str) -> str:
    """Return a text that came from anybody, cut where it is long."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def hint(rule: Rule, failed: Sequence[str], question: Question) -> str:
    """Return a sentence: what would have to be otherwise for this allow rule to match."""
    pairs = [pair for part in failed for pair in _pairs(rule, part, question)]
    wanted = " and ".join(pair[0] for pair in pairs)
    actual = ", ".join(pair[1] for pair in pairs)
    return f"`{rule.id}` would allow this if {wanted}; it is {actual}"


def _pairs(rule: Rule, part: str, question: Question) -> Iterator[tuple[str, str]]:
    """Yield what this part wants, and what it is instead."""
    found = compared(rule, part, question, failed=True)
    if found[0].holds is None:
        yield f"`{part}` could be judged", "not known: " + ", ".join(one.actual for one in found)
    elif part == "unless":
        wanted = " or ".join(f"{one.subject} were not {one.wanted}" for one in found)
        yield wanted, ", ".join(one.actual for one in found)
    else:
        for one in found:
            yield f"{one.subject} were {one.wanted}", one.actual


def _principal(rule: Rule, who: Principal, *, holds: bool) -> Comparison:
    """Compare who asks; groups and kind are told where the rule looks at them."""
    looks_at = {one.on for one in rule.principals}
    actual = cut(who.id)
    if "kind" in looks_at:
        actual += f" of kind {who.kind}"
    if "group" in looks_at:
        actual += f" in {_listed(who.groups, 'and') if who.groups else 'no group'}"
    wanted = _listed([one.text for one in rule.principals])
    return Comparison("principals", "the principal", wanted, actual, holds)


def _resource(rule: Rule, question: Question, *, holds: bool) -> Comparison:
    """Compare the resource with the patterns as they are for this principal."""
    templates = rule.resources or ()
    value_of = values(question.principal, question.tool, question.environment)
    told: bool | None = holds
    actual = question.resource
    wanted = [one.text for one in templates]
    try:
        patterns = [one.fill(value_of) for one in templates]
    except ValueError as error:
        told, actual = None, str(error)
    else:
        wanted = [one.text for one in patterns]
    return Comparison("resources", "the resource", _listed(wanted), cut(actual), told)


def _condition(part: str, condition: Condition, question: Question) -> Comparison:
    holds: bool | None = None
    try:
        holds = condition.holds(question)
    except ValueError as error:
        actual = str(error)
    else:
        actual = condition.actual(question)
    return Comparison(part, condition.subject, cut(condition.wanted), cut(actual), holds)


def _listed(entries: Sequence[str], word: str = "or") -> str:
    shown = [cut(one) for one in entries[:MOST]]
    more = len(entries) - MOST
    return f" {word} ".join([*shown, f"{more} more"] if more > 0 else shown)
