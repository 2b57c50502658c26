"""One rule, as it is asked."""

from __future__ import annotations

from agentauth_cli.policy.plain import Plain

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from agentauth_cli.policy.conditions import Condition
    from agentauth_cli.policy.matching import Pattern, PrincipalPattern, Template

NAMES = ("principals", "tools", "actions", "resources", "environments")
"""The parts of a rule that hold names."""

PARTS = (*NAMES, "when", "unless")
"""The parts of a rule that can fail, in the order in which they are named."""


class Rule(Plain):
    """One rule. An absent part is None: it matches everything.

    A rate among the `obligations` is a pair: how many in how many seconds. `index` says which of
    the rules of its file it is, from 0.
    """

    __slots__ = (
        *("id", "effect", *PARTS),
        *("obligations", "description", "file", "index"),
    )

    def __init__(
        self,
        id: str,  # noqa: A002 - what the files call it
        effect: str,
        principals: tuple[PrincipalPattern, ...],
        tools: tuple[Pattern, ...] | None,
        actions: tuple[Pattern, ...] | None,
        resources: tuple[Template, ...] | None,
        environments: tuple[Pattern, ...] | None,
        when: tuple[Condition, ...] | None,
        unless: tuple[Condition, ...] | None,
        obligations: Mapping[str, Any],
        description: str,
        file: str,
        index: int,
    ) -> None:
        self.id = id
        self.effect = effect
        self.principals = principals
        self.tools = tools
        self.actions = actions
        self.resources = resources
        self.environments = environments
        self.when = when
        self.unless = unless
        self.obligations = obligations
        self.description = description
        self.file = file
        self.index = index
