"""A clock that stands still until it is told to go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
"""A Monday, ten sharp: where an hour and its first minute begin."""


@dataclass
class FakeClock:
    """See `agentauth_cli.ports.Clock`; `now` may be set at will."""

    now: datetime = START

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def advance(self, *, seconds: float = 0, microseconds: int = 0) -> None:
        """Go on by this much; back where it is negative."""
        self.now += timedelta(seconds=seconds, microseconds=microseconds)
