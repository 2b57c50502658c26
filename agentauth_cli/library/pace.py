"""Rate limits for what a program does without a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.errors import UsageError
from agentauth_cli.library.principals import exact
from agentauth_cli.model import Obligation, Rate
from agentauth_cli.policy.charges import paced
from agentauth_cli.tables import values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from agentauth_cli.wiring import Wiring

Limit = str | Rate | Obligation
"""``"30/minute"``, the same as a Rate, or one of `PolicyDecision.rate_limit`."""


class RateLimiter:
    """Counts in the ledger, with the vends that the same rules limit."""

    def __init__(self, wiring: Callable[[], AbstractContextManager[Wiring]]) -> None:
        self._wiring = wiring

    def check(self, principal_id: str, rate_limit: Limit | Sequence[Limit]) -> None:
        """Take one request from each of the rates, or none where one of them is exhausted.

        `principal_id` is an id, or the subject of the one principal that has it. Raises
        RateLimitExceededError with `retry_after` in seconds, UnknownNameError, UsageError for what
        is no rate, StateError.
        """
        several = [rate_limit] if isinstance(rate_limit, str | Rate | Obligation) else rate_limit
        limits = [_obligation(one) for one in several]
        with self._wiring() as wiring:
            who = exact(wiring, principal_id)
            record = {"event": "usage.recorded", "principal": who}
            wiring.ledger.pace(lambda _now: list(paced(limits, who)), record)


def _obligation(limit: Limit) -> Obligation:
    """Return a rate with the rule it comes from: none, for one that the program gives itself."""
    found, rule = (limit.value, limit.rule) if isinstance(limit, Obligation) else (limit, "")
    try:
        # A rate made by hand may have any period: what it is written as decides.
        return Obligation(values.rate(found if isinstance(found, str) else str(found)), rule)
    except (KeyError, ValueError):
        why = f'{found!r} is no rate such as "30/minute" (second, minute, hour, day)'
        raise UsageError(why, hint="") from None
