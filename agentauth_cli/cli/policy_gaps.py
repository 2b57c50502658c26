"""`policy test --coverage`: what the tests of a policy leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.policy.coverage import unproven
from agentauth_cli.policy.unreachable import unreachable
from agentauth_cli.tables.shape import Document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentauth_cli.policy.coverage import Unproven
    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.policy.rule import Rule
    from agentauth_cli.policy.testing import Result


@dataclass(frozen=True)
class Gaps:
    """Conditions that the tests do not have hold and fail, and rules that no request can reach."""

    conditions: Sequence[Unproven]
    unreachable: Sequence[tuple[Rule, str]]

    def shape(self) -> dict[str, object]:
        """Return them as `--json` shows them, beside the rules that no test reaches."""
        return {
            "conditions": [
                {
                    "rule": one.rule.id,
                    "part": one.part,
                    "condition": _condition(one),
                    "held": one.held,
                    "failed": one.failed,
                }
                for one in self.conditions
            ],
            "unreachable": [{"rule": rule.id, "why": why} for rule, why in self.unreachable],
        }

    def lines(self, files: Mapping[str, bytes]) -> Iterator[str]:
        """Yield a line for each, with the place of its rule, file by file."""
        told = [*map(_told, self.conditions)]
        told += [(rule, f"no request can reach it: {why}") for rule, why in self.unreachable]
        for file in sorted({rule.file for rule, _ in told}):
            mine = [one for one in told if one[0].file == file]
            places = Document(file, files[file]).places([("rule", rule.index) for rule, _ in mine])
            for (rule, said), (line, column) in zip(mine, places, strict=True):
                yield f"{file}:{line}:{column}: {rule.id}: {said}"


def gaps(policy: Policy, results: Sequence[Result]) -> Gaps:
    """Return what these results of all tests leave open."""
    return Gaps(list(unproven(policy, results)), list(unreachable(policy)))


def _told(one: Unproven) -> tuple[Rule, str]:
    ways = (("in which it holds", one.held), ("in which it alone fails", one.failed))
    missing = ", none ".join(how for how, seen in ways if not seen)
    return one.rule, f"{one.part} {_condition(one)}: no test {missing}"


def _condition(one: Unproven) -> str:
    return f"{one.condition.subject} is {one.condition.wanted}"
