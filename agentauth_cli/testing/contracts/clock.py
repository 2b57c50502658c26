"""What every `ports.Clock` has to pass."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agentauth_cli.ports import Clock


class ClockContract:
    """Fixtures: `clock`."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the clock to be tested."""
        pytest.fail("give the fixture `clock`")

    def test_it_tells_an_aware_time_in_utc(self, clock: Clock) -> None:
        """The time, aware, in UTC."""
        assert clock().utcoffset() == timedelta(0)
        assert clock().tzinfo == UTC

    def test_it_does_not_go_back(self, clock: Clock) -> None:
        """Asked twice, the second answer is not before the first."""
        first = clock()
        assert clock() >= first
