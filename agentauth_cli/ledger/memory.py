"""The ephemeral ledger: as long as the process lives, and nothing of it on disk. For CI."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from agentauth_cli.errors import StateError
from agentauth_cli.ledger.sqlite import SQLiteLedger
from agentauth_cli.ledger.store import furnish, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from agentauth_cli.ledger.chain import Row
    from agentauth_cli.ports import Clock, Record

PATH = Path("in memory")


class MemoryLedger(SQLiteLedger):
    """The same steps, on one connection that all threads of the process share.

    `tell` gets the records of a step, the very bytes that were hashed, a line each, once all of the
    step is done and before it counts; what it raises undoes the step. Nothing then fails behind it
    but for a signal, or want of memory, just before SQLite's own COMMIT.
    """

    def __init__(self, *, clock: Clock, context: Record, tell: Callable[[str], None]) -> None:
        self._lock = threading.RLock()
        self._tell = tell
        self._untold: list[str] = []
        super().__init__(PATH, clock=clock, context=context)

    def _connected(self, say: Callable[[str], None]) -> sqlite3.Connection:
        del say
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        furnish(db, secrets.token_hex(13))
        return db

    def close(self) -> None:
        """Do nothing: it ends with who holds it."""

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self.reading():
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read, while no other thread does anything."""
        if os.getpid() != self._process:  # the lock may have been held when this process began
            raise StateError("an ephemeral ledger cannot be used behind a fork")
        with self._lock, told(self.path):
            yield

    @contextlib.contextmanager
    def step(self) -> Iterator[datetime]:
        """One transaction; its records are told at its end."""
        with super().step() as now:
            self._untold.clear()
            yield now
            if self._untold:
                self._tell("\n".join(self._untold))

    def write(self, record: Record, now: datetime) -> None:
        """Append a record to the chain, inside a step."""
        super().write(record, now)
        (row,) = super().records(1)
        self._untold.append(row.record)

    def records_of(self, lease: str) -> Iterator[Row]:
        """Yield the records of a lease, as they are now."""
        with self.reading():
            return iter(list(super().records_of(lease)))

    def records(self, last: int | None = None) -> Iterator[Row]:
        """Yield all records in order, or the `last` ones, as they are now."""
        with self.reading():
            return iter(list(super().records(last)))
