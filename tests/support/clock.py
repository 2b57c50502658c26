"""The clock that the package ships for tests, where the suite's own have always found it."""

from agentauth_cli.testing.clock import START, FakeClock

__all__ = ["START", "FakeClock"]
