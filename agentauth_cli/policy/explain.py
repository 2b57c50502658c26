"""Why not, in words that a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.model import Question
    from agentauth_cli.policy.rules import Rule

_ONE = {
    "principals": "principal",
    "tools": "tool",
    "actions": "action",
    "resources": "resource",
    "environments": "environment",
}


def hint(rule: Rule, failed: Sequence[str], question: Question) -> str:
    """Return a sentence: what would have to be otherwise for this allow rule to match."""
    wanted = " and ".join(f"the {_ONE[part]} were {_listed(rule, part)}" for part in failed)
    actual = ", ".join(_actual(question, part) for part in failed)
    return f"`{rule.id}` would allow this if {wanted}; it is {actual}"


def _listed(rule: Rule, part: str) -> str:
    return " or ".join(entry.text for entry in getattr(rule, part))


def _actual(question: Question, part: str) -> str:
    if part == "principals":
        return question.principal.id
    return str(getattr(question, _ONE[part]))
