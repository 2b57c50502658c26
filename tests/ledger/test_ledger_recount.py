"""Every counter once more, from the records alone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.errors import RateLimitExceededError, StateError
from agentauth_cli.ledger.chain import Row
from agentauth_cli.ledger.recount import Recount, differences, recount
from agentauth_cli.ledger.rows import charge_fields, stamp
from support.clock import START, FakeClock
from support.ledgers import charge, named, opened, rate, reserve, sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentauth_cli.ledger.sqlite import SQLiteLedger
    from agentauth_cli.model import Charge

SUMS = (named("sums"), "2026-11-23T00:00:00.000000Z")
SECOND = 1_000_000_000


def rows(*records: dict[str, Any]) -> list[Row]:
    """Return the records as rows; recount looks at no hash."""
    return [Row(seq, json.dumps(one), "") for seq, one in enumerate(records, 1)]


def intent(name: str, *charges: Charge) -> dict[str, Any]:
    """Return the record of a reservation."""
    taken = [charge_fields(one) for one in charges]
    return {"event": "vend.intent", "at": stamp(START), "lease": name, "charges": taken}


def event(what: str, name: str) -> dict[str, Any]:
    """Return a record on a lease."""
    return {"event": what, "at": stamp(START), "lease": name}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], (0, 3)),
        (["vend.issued"], (0, 3)),
        (["vend.failed"], (0, 0)),
        (["vend.denied"], (0, 0)),
        (["vend.failed", "vend.failed"], (0, 0)),
        (["vend.issued", "vend.failed"], (0, 3)),
        (["vend.issued", "lease.settled"], (3, 0)),
        (["vend.issued", "vend.failed", "lease.settled"], (3, 0)),
        (["vend.issued", "lease.settled", "lease.settled"], (3, 0)),
        (["vend.failed", "lease.settled"], (0, 0)),
        (["check"], (0, 3)),
    ],
)
def test_what_becomes_of_a_charge(later: list[str], expected: tuple[int, int]) -> None:
    """Settled: the reservation turns into spend. Released: given back. Settling twice is once."""
    total = recount(rows(intent("L1", charge(3)), *(event(one, "L1") for one in later)))
    assert total.counters == {SUMS: expected}


def test_leases_are_told_apart() -> None:
    """Each lease has its own charges."""
    total = recount(
        rows(
            intent("L1", charge(3), charge(1, counter="other")),
            intent("L2", charge(4)),
            event("vend.failed", "L1"),
            event("vend.issued", "L2"),
            event("lease.settled", "L2"),
        )
    )
    assert total.counters == {SUMS: (4, 0), (named("other"), SUMS[1]): (0, 0)}


def test_rates() -> None:
    """The theoretical arrival time follows from the times of the records; nothing is given back."""
    total = recount(
        rows(intent("L1", rate(2)), intent("L2", rate(2)), event("vend.failed", "L1")),
    )
    assert total.arrivals == {named("pace"): round(START.timestamp()) * SECOND + 60 * SECOND}
    assert total.counters == {}


def test_records_that_count_nothing() -> None:
    """A refusal, a switch, a reset count nothing; an intent without charges uses nothing."""
    assert recount(rows({"event": "switch.on"}, {"event": "ledger.reset"})) == Recount()
    empty = recount(rows({"event": "vend.intent", "at": stamp(START), "lease": "L1"}))
    assert (empty.counters, empty.used) == ({}, {"L1": (0, 0)})
    assert recount([]) == Recount()
    assert recount(rows({"seq": 1})) == Recount()


@pytest.mark.parametrize(
    "record",
    [
        [],
        7,
        {"event": "vend.intent", "lease": "L1"},
        {"event": "vend.intent", "lease": "L1", "at": 7},
        {"event": "vend.intent", "lease": "L1", "at": "soon"},
        {"event": "vend.intent", "lease": "L1", "at": "2026-11-23T10:00:00"},
        {"event": "vend.intent", "lease": "L1", "at": stamp(START), "charges": 7},
        {"event": "vend.intent", "lease": "L1", "at": stamp(START), "charges": [7]},
        {"event": "vend.intent", "lease": "L1", "at": stamp(START), "charges": [{"counter": "a"}]},
        {
            "event": "vend.intent",
            "lease": "L1",
            "at": stamp(START),
            "charges": [{"counter": "a", "rate": "0/minute"}],
        },
        {
            "event": "vend.intent",
            "lease": "L1",
            "at": stamp(START),
            "charges": [{"counter": "a", "rate": "often"}],
        },
    ],
)
def test_records_that_cannot_be_counted(record: Any) -> None:
    """Whoever forged the hashes too may leave anything: it is named, not stumbled over."""
    with pytest.raises(StateError, match="record 2 cannot be counted"):
        recount([Row(1, '{"event":"check"}', ""), Row(2, json.dumps(record), "")])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SQLiteLedger]:
    """Return a ledger with some counters."""
    with opened(tmp_path, FakeClock()) as ledger:
        reserve(ledger, "L1", charge(3), charge(0, counter="none"), rate(2))
        yield ledger


def told(ledger: SQLiteLedger) -> list[str]:
    """Return where the ledger differs from its records."""
    return differences(
        recount(ledger.records()), ledger.counters(), ledger.arrivals(), ledger.usages()
    )


def test_no_difference(ledger: SQLiteLedger) -> None:
    """Every counter recounted from it, which `audit verify` does."""
    assert told(ledger) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE counters SET reserved = 2 WHERE reserved = 3", "(0, 2), by the records (0, 3)"),
        ("UPDATE counters SET spent = 1 WHERE reserved = 3", "(1, 3), by the records (0, 3)"),
        ("DELETE FROM counters WHERE reserved = 3", "(0, 0), by the records (0, 3)"),
        ("INSERT INTO counters VALUES ('[\"x\"]', 0, 1, 0)", "(1, 0), by the records (0, 0)"),
        ("UPDATE rates SET arrival = arrival - 1", "differs from the records"),
        ("DELETE FROM rates", "differs from the records"),
        ("UPDATE usage SET cost = 7", "(3, 7), by the records (3, 0)"),
        ("DELETE FROM usage", "None, by the records (3, 0)"),
        ("INSERT INTO rates VALUES ('[\"x\"]', 7)", "differs from the records"),
    ],
)
def test_counters_changed_by_hand(ledger: SQLiteLedger, change: str, expected: str) -> None:
    """A counter that somebody changed is named, with both sums."""
    ledger.db.execute(change)
    (one,) = told(ledger)
    assert one.endswith(expected)


@pytest.mark.parametrize("name", ["x", "7", "{}", '["budget",7]', "[" * 100_000])
@pytest.mark.parametrize("table", ["counters", "rates"])
def test_names_of_counters_changed_by_hand(ledger: SQLiteLedger, table: str, name: str) -> None:
    """A counter is a JSON list of strings: what is none is named, not stumbled over."""
    rest = "0, 1, 0" if table == "counters" else "7"
    ledger.db.execute(f"INSERT INTO {table} VALUES (?, {rest})", (name,))
    with pytest.raises(StateError, match=r"changed by hand: .* is no counter"):
        told(ledger)


@pytest.mark.parametrize("counter", [7, None, 1.5, True])
def test_counters_of_mixed_type(ledger: SQLiteLedger, counter: object) -> None:
    """Records forged with counters that are no text differ from the ledger, each by name."""
    taken = {"counter": counter, "start": 7, "amount": 1}
    forged = {"event": "vend.intent", "at": stamp(START), "lease": "L9", "charges": [taken]}
    total = recount([*ledger.records(), Row(2, json.dumps(forged), "")])
    total.arrivals[counter] = 7  # type: ignore[index]
    one, other, _ = differences(total, ledger.counters(), ledger.arrivals(), ledger.usages())
    assert one == f"counter {counter} from 7: spent and reserved (0, 0), by the records (0, 1)"
    assert other == f"rate {counter}: differs from the records"


def test_a_record_nested_too_deep() -> None:
    """A record that JSON's reader gives up on is named too."""
    with pytest.raises(StateError, match="record 1 cannot be counted"):
        recount([Row(1, "[" * 200_000, "")])


def test_the_same_under_a_clock_that_goes_back(tmp_path: Path) -> None:
    """The recount sees the times of the records, in which the clock was years ahead once."""
    clock = FakeClock()
    clock.now += timedelta(days=4000)
    with opened(tmp_path, clock) as ledger:
        reserve(ledger, "ahead", rate(2))
        clock.now = START
        reserve(ledger, "L1", rate(2))
        with pytest.raises(RateLimitExceededError):
            reserve(ledger, "L2", rate(2))
        clock.now += timedelta(seconds=30)
        reserve(ledger, "L3", rate(2))
        assert sound(ledger)


def test_an_empty_counter_is_no_difference(ledger: SQLiteLedger) -> None:
    """A counter of 0 and none are the same."""
    ledger.db.execute("DELETE FROM counters WHERE reserved = 0")
    assert told(ledger) == []


def test_any_amount_that_was_written_is_counted() -> None:
    """A record that cannot be counted would end `audit verify` for good."""
    reported = {**event("usage.recorded", "L1"), "cost": "9999999999999.99"}
    total = recount(rows(intent("L1", charge(3)), event("vend.issued", "L1"), reported))
    assert total.used == {"L1": (3, 9_999_999_999_999_990_000)}
