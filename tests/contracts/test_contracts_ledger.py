"""Our ledgers pass the contract of the port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.testing import memory_ledger
from agentauth_cli.testing.contracts import LedgerContract
from support.ledgers import opened, sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentauth_cli.ports import Ledger
    from agentauth_cli.testing import FakeClock


class TestSQLiteLedger(LedgerContract):
    """The ledger in a file."""

    @pytest.fixture
    def ledger(self, clock: FakeClock, tmp_path: Path) -> Iterator[Ledger]:
        """Return a ledger; whatever was done to it, it has to be sound in the end."""
        with opened(tmp_path, clock) as ledger:
            yield ledger
            assert sound(ledger)


class TestMemoryLedger(LedgerContract):
    """The ledger in memory."""

    @pytest.fixture
    def ledger(self, clock: FakeClock) -> Iterator[Ledger]:
        """Return a ledger; whatever was done to it, it has to be sound in the end."""
        ledger = memory_ledger(clock)
        yield ledger
        assert sound(ledger)
