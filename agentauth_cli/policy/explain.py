"""Why not, in words that a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.policy.conditions import outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentauth_cli.model import Question
    from agentauth_cli.policy.rule import Rule

_ONE = {
    "principals": "principal",
    "tools": "tool",
    "actions": "action",
    "resources": "resource",
    "environments": "environment",
}


def hint(rule: Rule, failed: Sequence[str], question: Question) -> str:
    """Return a sentence: what would have to be otherwise for this allow rule to match."""
    pairs = [pair for part in failed for pair in _pairs(rule, part, question)]
    wanted = " and ".join(pair[0] for pair in pairs)
    actual = ", ".join(pair[1] for pair in pairs)
    return f"`{rule.id}` would allow this if {wanted}; it is {actual}"


def _pairs(rule: Rule, part: str, question: Question) -> Iterator[tuple[str, str]]:
    """Yield what this part wants, and what it is instead."""
    if part in _ONE:
        wanted = " or ".join(entry.text for entry in getattr(rule, part))
        yield f"the {_ONE[part]} were {wanted}", _actual(question, part)
        return
    conditions = getattr(rule, part)
    found = outcome(conditions, question)
    if found.errors:
        yield f"`{part}` could be judged", "not known: " + ", ".join(found.errors)
    elif part == "when":
        for one in found.failed:
            yield f"{one.subject} were {one.wanted}", one.actual(question)
    else:
        wanted = " or ".join(f"{one.subject} were not {one.wanted}" for one in conditions)
        yield wanted, ", ".join(one.actual(question) for one in conditions)


def _actual(question: Question, part: str) -> str:
    if part == "principals":
        return question.principal.id
    return str(getattr(question, _ONE[part]))
