"""The ledger that lives as long as its process."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.errors import BudgetExceededError, StateError
from agentauth_cli.ledger.memory import MemoryLedger
from support.clock import FakeClock
from support.ledgers import DAY, charge, named, reserve, sound

if TYPE_CHECKING:
    from collections.abc import Callable


def ephemeral(tell: Callable[[str], None]) -> MemoryLedger:
    """Return a fresh ledger."""
    return MemoryLedger(clock=FakeClock(), context={"client": "test"}, tell=tell)


def test_every_record_is_told_as_it_was_hashed() -> None:
    """In memory, audit to standard error: the very bytes of each record."""
    told: list[str] = []
    ledger = ephemeral(told.append)
    reserve(ledger, "L1", charge(3))
    ledger.append({"event": "check"})
    assert told == [row.record for row in ledger.records()]
    assert sound(ledger)


def test_what_cannot_be_told_does_not_happen() -> None:
    """If a record cannot be written nothing is delivered: the whole step is undone."""

    def full(_record: str) -> None:
        raise StateError("full")

    ledger = ephemeral(full)
    with pytest.raises(StateError, match="full"):
        reserve(ledger, "L1", charge(3))
    assert ledger.head()[0] == 0
    assert ledger.used(named("sums"), DAY) == (0, 0)
    assert ledger.lease("L1") is None


def test_a_step_that_fails_tells_nothing() -> None:
    """A number is told once: of a step that is undone no record was told."""
    told: list[str] = []
    ledger = ephemeral(told.append)

    def failing() -> None:
        with ledger.step() as now:
            ledger.write({"event": "check"}, now)
            raise StateError("the rest of it")

    with pytest.raises(StateError, match="the rest of it"):
        failing()
    assert told == []
    ledger.append({"event": "check"})
    assert [json.loads(one)["seq"] for one in told] == [1]


def test_the_records_of_a_step_are_told_together() -> None:
    """All of them or none, a line each."""
    told: list[str] = []
    clock = FakeClock()
    ledger = MemoryLedger(clock=clock, context={}, tell=told.append)
    reserve(ledger, "L1", charge(3))
    reserve(ledger, "L2", charge(3))
    told.clear()
    clock.advance(seconds=81)
    ledger.settle_ended()
    (lines,) = told
    assert lines.splitlines() == [row.record for row in ledger.records(2)]
    assert [row.seq for row in ledger.records_of("L1")] == [1, 3]


def test_threads_share_it() -> None:
    """Many threads on one budget of ten: ten get something, and the chain is whole."""
    ledger = ephemeral(lambda _: None)
    refused: list[str] = []

    def work(name: int) -> None:
        for turn in range(4):
            try:
                reserve(ledger, f"L{name}-{turn}", charge(1))
            except BudgetExceededError as error:
                refused.append(error.message)
            list(ledger.records())
            ledger.counters()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.used(named("sums"), DAY) == (0, 10)
    assert len(refused) == 22
    assert sound(ledger)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_it_does_not_go_through_a_fork() -> None:
    """Process forked mid-vend: what both would count apart is refused, also to a reader."""
    ledger = ephemeral(lambda _: None)
    with ledger.step():  # whoever held the lock is not there in the child
        child = os.fork()
        if child == 0:
            try:
                ledger.head()
            except StateError:
                os._exit(0)
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_closing_ends_nothing() -> None:
    """It is shared by all who use it: what one of them is done with lives on."""
    ledger = ephemeral(lambda _: None)
    ledger.close()
    with ledger:
        reserve(ledger, "L1", charge(3))
    assert ledger.used(named("sums"), DAY) == (0, 3)
