"""Rate limits by GCRA, the generic cell rate algorithm (ATM Forum TM 4.1), in whole nanoseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentauth_cli.model import Rate

SECOND = 1_000_000_000


def interval(rate: Rate) -> int:
    """Return the nanoseconds between two requests at this rate, rounded up: never too fast."""
    return -(-rate.period * SECOND // rate.count)


def after(rate: Rate, arrival: int, now: int) -> int:
    """Return the theoretical arrival time after one more request at `now`."""
    return _believed(rate, arrival, now) + interval(rate)


def wait(rate: Rate, arrival: int, now: int) -> int:
    """Return how long the next request has to wait, 0 where it need not; a burst of N is N.

    `arrival` is the theoretical arrival time so far, 0 at the start. A rate of 0 is never: the
    caller has refused it before.
    """
    return max(0, _believed(rate, arrival, now) - (rate.count - 1) * interval(rate) - now)


def _believed(rate: Rate, arrival: int, now: int) -> int:
    """Return the arrival time to go on from, never before `now`.

    What was let through is at most `count` intervals ahead. A later one was under a clock that was
    ahead: it would close the limit until then, so that one request goes through and sets it right.
    """
    if arrival > now + rate.count * interval(rate):
        return now + (rate.count - 1) * interval(rate)
    return max(arrival, now)
