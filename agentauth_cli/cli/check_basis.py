"""What the policy was asked on the way of a request, for who wants to know why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from agentauth_cli.model import Question
from agentauth_cli.policy.narrow import narrow, questions
from agentauth_cli.policy.packed import Policy

if TYPE_CHECKING:
    from agentauth_cli.vending import Asked, Parts

Basis = tuple[Policy, Sequence[Question]]
"""A policy, and what it is asked: at least one question."""


class Watched:
    """The parts of one request, each asked once: reasons are about what was decided, and when."""

    def __init__(self, parts: Parts) -> None:
        now = parts.clock()
        self.parts = replace(
            parts,
            policy=cache(parts.policy),
            authenticate=cache(parts.authenticate),
            clock=lambda: now,
        )

    def basis(self, asked: Asked) -> Basis | None:
        """Return what the policy was asked; None where it could not be. Raises as the parts do."""
        tool, who = asked.tool, self.parts.authenticate()
        question = Question(who, "", "", tool.name, tool.environment, self.parts.clock())
        found = questions(narrow(tool, who, asked.resource), question)
        return (self.parts.policy(), found) if found else None
