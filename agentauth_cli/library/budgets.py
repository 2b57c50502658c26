"""What was spent, by principal and provider, for programs that keep to limits of their own."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from agentauth_cli.errors import UsageError
from agentauth_cli.library import amounts
from agentauth_cli.library.amounts import provider_of
from agentauth_cli.library.door import AgentAuth
from agentauth_cli.library.principals import exact
from agentauth_cli.model import Lease, Principal, ProviderType, Usage
from agentauth_cli.money import Money
from agentauth_cli.policy.charges import spent
from agentauth_cli.policy.names import SHORT
from agentauth_cli.policy.narrow import Tool
from agentauth_cli.policy.windows import window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from agentauth_cli.model import Charge, Unit

PERIODS: dict[str, Unit] = {"minute": "minute", "hourly": "hour", "daily": "day"}
NO_TOOL = "-"


class BudgetTracker:
    """Reads and adds to what the ledger knows; without `auth`, by the configuration in force.

    Leases count with what they reserved, or with what is known to have been used. A request counts
    for the principal and for who acts for it.
    """

    def __init__(self, auth: AgentAuth | None = None) -> None:
        self._auth = auth if auth is not None else AgentAuth.from_config()

    def get_spend(
        self, *, principal_id: str, provider: ProviderType | str, period: str = "hourly"
    ) -> Money:
        """Return what was spent, in USD, since the minute, the hour or the day (UTC) began.

        `period` is ``minute``, ``hourly`` or ``daily``; `principal_id` an id, or the subject of
        the one principal that has it. Raises UsageError, UnknownNameError, StateError.
        """
        if period not in PERIODS:
            raise UsageError(f"period {period!r} is none of {', '.join(PERIODS)}", hint="")
        named = provider_of(provider)
        with self._auth.wiring() as wiring:
            wiring.ledger.settle_ended()
            span = window(PERIODS[period], wiring.clock(), UTC)
            found = wiring.ledger.spent(exact(wiring, principal_id), named, span)
        return Money.of_micro(found.cost or 0)

    def record(
        self,
        *,
        principal_id: str,
        provider: ProviderType | str,
        cost: float | str | Decimal,
        tokens: int | None = None,
        tool: str = NO_TOOL,
        environment: str | None = None,
    ) -> None:
        """Record what was spent without a lease, in USD; it also counts on the budgets it meets.

        What was used always counts, even when it goes over. For a credential of `AgentAuth.vend`
        there is `AgentAuth.record_usage`: what was recorded here comes on top of its lease. Raises
        UsageError for what is no amount, UnknownNameError, ConfigError, StateError.
        """
        usage = Usage(amounts.tokens(tokens), amounts.micro(cost))
        named = provider_of(provider)
        with self._auth.wiring() as wiring:
            who = exact(wiring, principal_id)
            seen = wiring.ledger.seen(who) or Principal(who, who.partition("/")[2])
            used_by = Tool(_tool(tool), wiring.environment(environment), named, ())
            budgets = wiring.budgets()

            def charges(now: datetime) -> Sequence[Charge]:
                return spent(budgets, used_by, seen, usage, now)

            now = wiring.clock()
            whose = Lease(
                *("", who, tool, named, used_by.environment, ""), now, now, actor=seen.actor
            )
            wiring.ledger.spend(whose, usage, charges, {})


def _tool(name: str) -> str:
    if name != NO_TOOL and not SHORT.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is no name of a tool", hint="")
    return name
