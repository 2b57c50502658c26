"""A ledger with nothing in it, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.ledger.memory import MemoryLedger

if TYPE_CHECKING:
    from agentauth_cli.ports import Clock


def memory_ledger(clock: Clock) -> MemoryLedger:
    """Return a fresh ledger; its records are read with `records()` and told to nobody."""
    return MemoryLedger(clock=clock, context={}, tell=lambda _record: None)
