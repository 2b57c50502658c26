"""The policy alone: whether this principal may do this to that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.errors import ConfigError, PolicyMissingError
from agentauth_cli.model import Decision, PolicyContext, PolicyDecision, Question
from agentauth_cli.policy.decide import evaluate
from agentauth_cli.policy.narrow import canonical
from agentauth_cli.policy.wellformed import malformed

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agentauth_cli.model import Action, Principal, Resource
    from agentauth_cli.wiring import Wiring


class DecisionPoint:
    """Answers by the policy in force at each question; see `ports.PolicyDecisionPoint`."""

    def __init__(self, wiring: Callable[[], AbstractContextManager[Wiring]]) -> None:
        self._wiring = wiring

    def evaluate(
        self,
        principal: Principal,
        action: Action,
        resource: Resource,
        context: PolicyContext | None = None,
    ) -> PolicyDecision:
        """Return the answer. No policy, or one that does not load, denies; nothing is counted.

        Raises UnknownNameError for an environment that is not configured.
        """
        asked_in = context if context is not None else PolicyContext()
        with self._wiring() as wiring:
            question = Question(
                principal,
                str(action),
                canonical(resource.identifier, action.provider),
                asked_in.tool,
                wiring.environment(asked_in.environment),
                asked_in.time if asked_in.time is not None else wiring.clock(),
            )
            try:
                return evaluate(wiring.configuration.policy(), question)
            except PolicyMissingError:
                return evaluate(None, question)
            except ConfigError:
                if malformed(question):
                    return evaluate(None, question)
                return PolicyDecision(Decision.DENY, "policy invalid")
