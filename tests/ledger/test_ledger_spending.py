"""What was really used, by leases and without one; API keys; all of it recounted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.errors import RateLimitExceededError, StateError
from agentauth_cli.model import Charged, KeyState, Usage, Window
from support.clock import START, FakeClock
from support.ledgers import DAY, charge, lease, named, opened, rate, reserve, sound, states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentauth_cli.ledger.sqlite import SQLiteLedger

HUGE = 2**63 - 1
MOST = 10**15
NOUGHT = Usage(0)
HOUR = Window("hour", START, START + timedelta(hours=1))
NEXT_DAY = Window("day", DAY.end, DAY.end + timedelta(days=1))


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[SQLiteLedger]:
    """Return a ledger; whatever was done to it, it has to be sound in the end."""
    with opened(tmp_path, clock) as ledger:
        yield ledger
        assert sound(ledger)


def issued(ledger: SQLiteLedger, name: str, tokens: int = 3, **fields: Any) -> None:
    """Reserve and issue a lease of a quarter of an hour."""
    reserve(ledger, name, charge(tokens, 20), **fields)
    active = replace(lease(name, ledger._clock(), 900, **fields), state="active")
    ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _: None)


def settle(ledger: SQLiteLedger, name: str) -> bool:
    """End a lease early."""
    return ledger.settle(name, {"event": "lease.settled", "lease": name})


def test_settled_before_its_end(ledger: SQLiteLedger) -> None:
    """Settled: the reservation turns into spend. Settling twice counts once."""
    issued(ledger, "L1")
    assert settle(ledger, "L1") is True
    before = ledger.head()
    assert settle(ledger, "L1") is False
    assert ledger.head() == before
    assert ledger.used(named("sums"), DAY) == (3, 0)
    assert states(ledger) == {"L1": "settled"}


def test_what_was_never_issued_is_not_settled(ledger: SQLiteLedger) -> None:
    """A pending lease holds what it reserved; one that never was is none."""
    reserve(ledger, "L1", charge(3))
    assert settle(ledger, "L1") is False
    assert settle(ledger, "L2") is False
    assert ledger.used(named("sums"), DAY) == (0, 3)


def test_usage_raises_and_never_lowers(ledger: SQLiteLedger) -> None:
    """`budget record` may only raise it; recording twice counts once."""
    issued(ledger, "L1")
    for tokens, expected in ((5, 5), (5, 5), (1, 5), (0, 5), (7, 7)):
        ledger.record_usage("L1", Usage(tokens), {})
        assert ledger.used(named("sums"), DAY) == (0, expected)
    assert ledger.charged("L1") == Charged(7, "declared", 0, "allowance")


def test_who_is_trusted_may_lower(ledger: SQLiteLedger) -> None:
    """Tools with `trust_reported_usage = true` may lower it."""
    issued(ledger, "L1")
    ledger.record_usage("L1", Usage(1, 250_000), {}, lower=True)
    assert ledger.used(named("sums"), DAY) == (0, 1)
    assert ledger.charged("L1") == Charged(1, "declared", 250_000, "declared")


def test_what_was_billed_is_marked_so(ledger: SQLiteLedger) -> None:
    """`billed` (provider): it may lower what was reserved, and a recount finds the same."""
    issued(ledger, "L1")
    ledger.record_usage("L1", Usage(2, 500), {}, lower=True, mark="billed")
    assert ledger.charged("L1") == Charged(2, "billed", 500, "billed")
    (row,) = ledger.records(1)
    assert json.loads(row.record)["usage"] == "billed"
    assert sound(ledger)


def test_a_record_says_lowered_only_where_something_fell(ledger: SQLiteLedger) -> None:
    """The trail tells what became of a report, not what might have."""
    issued(ledger, "L1", 9)
    said = []
    for usage in (Usage(12), Usage(12), Usage(5), Usage(cost=7), Usage(5, 6), Usage(6, 8)):
        ledger.record_usage("L1", usage, {}, lower=True)
        (row,) = ledger.records(1)
        said.append(json.loads(row.record).get("lowered"))
        assert sound(ledger)
    assert said == [None, None, True, None, True, None]


def test_what_was_settled_early_lives_on(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """The credential lives as long as its provider says, whatever became of its lease."""
    issued(ledger, "L1")
    settle(ledger, "L1")
    reserve(ledger, "L2")
    ledger.release("L2", {"event": "vend.failed", "lease": "L2"})
    (found,) = ledger.leases(clock())
    assert (found.id, found.state, found.lives(clock())) == ("L1", "settled", True)
    clock.advance(seconds=900)
    assert ledger.leases(clock()) == []
    assert not found.lives(clock())


def test_what_was_really_used_counts_past_the_limit(ledger: SQLiteLedger) -> None:
    """What was really used always counts, even when it goes over."""
    issued(ledger, "L1")
    ledger.record_usage("L1", Usage(11), {})
    assert ledger.used(named("sums"), DAY) == (0, 11)


def test_late_usage_belongs_to_the_window_of_its_reservation(
    ledger: SQLiteLedger, clock: FakeClock
) -> None:
    """A charge belongs to the window of its reservation, also where it is known days later."""
    issued(ledger, "L1")
    clock.advance(seconds=2 * 86400)
    ledger.settle_ended()
    ledger.record_usage("L1", Usage(9), {"user_reason": "the bill"})
    assert ledger.used(named("sums"), DAY) == (9, 0)
    assert ledger.used(named("sums"), NEXT_DAY) == (0, 0)
    record = json.loads(list(ledger.records())[-1].record)
    assert (record["event"], record["tokens"], record["usage"], record["user_reason"]) == (
        *("usage.recorded", 9, "declared", "the bill"),
    )
    assert (record["lease"], record["principal"]) == ("L1", "okta/alice")


def test_usage_of_what_was_never_issued(ledger: SQLiteLedger) -> None:
    """Nothing was delivered, so nothing can have been used."""
    reserve(ledger, "L1", charge(3))
    issued(ledger, "L2")
    ledger.release("L1", {"event": "vend.failed", "lease": "L1"})
    for name in ("L1", "L3"):
        with pytest.raises(StateError, match=f"lease {name} was never issued"):
            ledger.record_usage(name, Usage(1), {})
    assert ledger.charged("L1") is None


@pytest.mark.parametrize("usage", [Usage(MOST + 1), Usage(cost=MOST + 1), Usage(-1)])
def test_more_than_one_report_may_say_changes_nothing(ledger: SQLiteLedger, usage: Usage) -> None:
    """SQLite INTEGER range check: nothing that cannot be counted comes in."""
    issued(ledger, "L1")
    before = ledger.head()
    ways: list[Callable[[], None]] = [
        lambda: ledger.record_usage("L1", usage, {}),
        lambda: ledger.spend(lease(""), usage, lambda _: [], {}),
        lambda: ledger.reserve(lease("L2"), lambda _: [], {"event": "vend.intent"}, usage),
    ]
    for refused in ways:
        with pytest.raises(StateError, match="a usage is from 0 to 1000000000000000 tokens"):
            refused()
    assert ledger.head() == before
    assert ledger.charged("L1") == Charged(3, "allowance", 0, "allowance")


def test_a_sum_at_its_bound_keeps_no_lease_from_ending(
    ledger: SQLiteLedger, clock: FakeClock
) -> None:
    """What was really used always counts, even when it goes over; nobody else is stopped by it."""
    sums = [charge(3, HUGE), charge(3, HUGE, "others")]
    for name in ("L1", "L2", "L3"):
        ledger.reserve(lease(name), lambda _: sums, {"event": "vend.intent", "lease": name})
        active = replace(lease(name, seconds=900), state="active")
        ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _: None)
    ledger.spend(lease(""), NOUGHT, lambda _: [charge(HUGE - MOST, HUGE)], {})
    settle(ledger, "L1")
    ledger.record_usage("L1", Usage(MOST), {})
    assert ledger.used(named("sums"), DAY) == (HUGE, 6)
    ledger.record_usage("L2", Usage(MOST), {})
    clock.advance(seconds=901)
    ledger.settle_ended()
    assert ledger.used(named("sums"), DAY) == (HUGE, 0)
    assert ledger.used(named("others"), DAY) == (2 * MOST + 3, 0)
    reserve(ledger, "L4", charge(1, counter="third"))


def test_reservations_at_their_bound(ledger: SQLiteLedger) -> None:
    """What is reserved cannot pass it either, nor fall below nothing once leases end."""
    for name in ("L1", "L2"):
        reserve(ledger, name, charge(HUGE // 2, HUGE))
        active = replace(lease(name, seconds=900), state="active")
        ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _: None)
    reserve(ledger, "L3", charge(1, HUGE))
    active = replace(lease("L3", seconds=900), state="active")
    ledger.issue(active, {"event": "vend.issued", "lease": "L3"}, lambda _: None)
    ledger.record_usage("L3", Usage(MOST), {})
    assert ledger.used(named("sums"), DAY) == (0, HUGE)
    for name in ("L1", "L2", "L3"):
        assert settle(ledger, name)
    assert ledger.used(named("sums"), DAY) == (HUGE, 0)


def test_spent_without_a_lease(ledger: SQLiteLedger) -> None:
    """A program that reports what it spent counts on the budgets that this meets."""
    whose = lease("", provider="openai")
    ledger.spend(whose, Usage(4, 20_000), lambda _: [charge(4), rate(3)], {"user_reason": "x"})
    assert ledger.used(named("sums"), DAY) == (4, 0)
    assert ledger.arrivals() == {}
    assert ledger.spent("okta/alice", "openai", DAY) == Usage(4, 20_000)
    record = json.loads(list(ledger.records())[-1].record)
    assert "lease" not in record
    assert record["cost"] == "0.02"
    assert record["provider"] == "openai"


def test_what_a_principal_spent(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """Spend is by principal and provider, in a window; a request counts on the actor too."""
    issued(ledger, "L1")
    issued(ledger, "L2", principal="okta/bob", actor="okta/alice")
    issued(ledger, "L3", provider="gcp")
    issued(ledger, "L4", principal="okta/carol", actor="okta/carol")
    reserve(ledger, "L5", charge(1, 20))
    assert ledger.spent("okta/alice", "aws", DAY) == Usage(7, 0)
    ledger.release("L5", {"event": "vend.failed", "lease": "L5"})
    assert ledger.spent("okta/alice", "aws", DAY) == Usage(6, 0)
    assert ledger.spent("okta/carol", "aws", DAY) == Usage(3, 0)
    assert ledger.spent("okta/alice", "gcp", HOUR) == Usage(3, 0)
    clock.advance(seconds=3600)
    later = Window("hour", HOUR.end, HOUR.end + timedelta(hours=1))
    assert ledger.spent("okta/alice", "aws", later) == Usage(0, 0)
    assert ledger.spent("okta/alice", "aws", HOUR) == Usage(6, 0)


def test_who_has_acted(ledger: SQLiteLedger) -> None:
    """An actor is known through whom a lease was taken."""
    issued(ledger, "L1", principal="okta/bob", actor="okta/alice")
    assert ledger.acted("okta/alice")
    assert not ledger.acted("okta/ali")
    assert not ledger.acted("okta/bob")


def test_how_well_a_counter_is_known(ledger: SQLiteLedger) -> None:
    """`allowance` (reserved only), `declared` (reported): of each lease that a counter holds."""
    issued(ledger, "L1")
    issued(ledger, "L2")
    sums = (named("sums"), DAY)
    assert ledger.marks(*sums, "tokens") == {"allowance"}
    ledger.record_usage("L1", Usage(tokens=1), {})
    assert ledger.marks(*sums, "tokens") == {"allowance", "declared"}
    ledger.record_usage("L2", Usage(cost=1), {})
    assert ledger.marks(*sums, "tokens") == {"allowance", "declared"}
    assert ledger.marks(*sums, "cost") == {"allowance", "declared"}
    ledger.record_usage("L2", Usage(tokens=1), {})
    assert ledger.marks(*sums, "tokens") == {"declared"}
    assert ledger.marks(*sums, "requests") == {"exact"}
    assert ledger.marks(named("sums"), HOUR, "tokens") == set()
    assert ledger.counters([HOUR.start]) == {}
    assert ledger.counters([HOUR.start, DAY.start]) == ledger.counters()


@pytest.mark.parametrize(
    ("ask", "plans"),
    [
        (
            lambda ledger: ledger.leases(START),
            ["SCAN leases USING INDEX leases_open", "leases_settled (ends_at>?)"],
        ),
        (
            lambda ledger: ledger.marks("x", DAY, "cost"),
            ["lease_charges_of (counter=? AND start=?"],
        ),
        (lambda ledger: list(ledger.records_of("L1")), ["records_lease (<expr>=?)"]),
    ],
)
def test_what_is_over_costs_nothing(
    ledger: SQLiteLedger, ask: Callable[[SQLiteLedger], object], plans: list[str]
) -> None:
    """Years of leases and records are kept, and are found by an index."""
    asked: list[str] = []
    ledger.db.set_trace_callback(asked.append)
    ask(ledger)
    ledger.db.set_trace_callback(None)
    found = [row[3] for row in ledger.db.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
    for plan in plans:
        assert any(plan in one for one in found), found


def test_a_pace_without_a_lease(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """A burst of N is N; the refusal takes nothing, writes nothing, and says how long to wait."""
    for _ in range(2):
        ledger.pace(lambda _: [rate(2)], {"event": "usage.recorded"})
    before = ledger.head()
    with pytest.raises(RateLimitExceededError) as caught:
        ledger.pace(lambda _: [rate(2)], {"event": "usage.recorded"})
    assert caught.value.retry_after == 30
    assert ledger.head() == before
    clock.advance(seconds=30)
    ledger.pace(lambda _: [rate(2)], {"event": "usage.recorded"})


def test_every_principal_once(ledger: SQLiteLedger) -> None:
    """Those that a record names, sorted; a record without one names nobody."""
    assert ledger.principals() == []
    for who in ("okta/b", "okta/a", "", "okta/b"):
        ledger.append({"event": "check", "principal": who})
    assert ledger.principals() == ["okta/a", "okta/b"]


def test_a_lease_by_its_id(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """Any lease, as it stands now, also one that is over."""
    issued(ledger, "L1")
    found = ledger.lease("L1")
    assert found is not None
    assert found.state == "active"
    clock.advance(seconds=900)
    expired = ledger.lease("L1")
    assert expired is not None
    assert expired.state == "expired"
    assert ledger.lease("L2") is None


def test_api_keys(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """Last use, to the minute, and revocation, for good, are in the ledger."""
    assert ledger.api_key("k1") == KeyState()
    ledger.api_key_used("k1")
    clock.advance(seconds=59)
    ledger.api_key_used("k1")
    assert ledger.api_key("k1") == KeyState(START)
    clock.advance(seconds=1)
    ledger.api_key_used("k1")
    assert ledger.api_key("k1") == KeyState(START + timedelta(seconds=60))
    ledger.revoke_api_key("k1", {"event": "apikey.revoked"})
    clock.advance(seconds=1)
    ledger.revoke_api_key("k1", {"event": "apikey.revoked"})
    ledger.revoke_api_key("k2", {"event": "apikey.revoked"})
    assert ledger.api_key("k1").revoked_at == START + timedelta(seconds=60)
    assert ledger.api_key("k2") == KeyState(None, START + timedelta(seconds=61))
    clock.now = START - timedelta(days=1)  # a clock that was set back
    ledger.api_key_used("k1")
    assert ledger.api_key("k1").used_at == clock.now
