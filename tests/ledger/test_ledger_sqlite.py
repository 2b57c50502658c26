"""What each step of a request does to counters, leases and chain."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import threading
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from agentauth_cli.errors import (
    BudgetExceededError,
    LimitError,
    RateLimitExceededError,
    RevokedError,
    StateError,
    ToolDisabledError,
)
from agentauth_cli.ledger import rates, store
from agentauth_cli.model import Charge, Unit, Usage, Window
from agentauth_cli.policy.switches import Switch
from agentauth_cli.policy.windows import window
from support.clock import START, FakeClock
from support.ledgers import (
    DAY,
    charge,
    lease,
    named,
    opened,
    python,
    rate,
    reserve,
    sound,
    states,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentauth_cli.ledger.sqlite import SQLiteLedger

HUGE = 2**63 - 1
NEXT_DAY = Window("day", DAY.end, DAY.end + timedelta(days=1))
KEY = "sk-proj-aaaaaaaaaaaaaaaaaaaaaaaa"


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


def issue(ledger: SQLiteLedger, name: str, seconds: float = 900) -> None:
    """Issue the lease, with a credential that lives so long."""
    active = replace(lease(name, ledger._clock(), seconds), state="active", credential_id="ASIA1")
    ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _: None)


def release(ledger: SQLiteLedger, name: str) -> None:
    """Release the lease, as a mint that failed does."""
    ledger.release(name, {"event": "vend.failed", "lease": name})


def events(ledger: SQLiteLedger) -> list[str]:
    """Return the events of the chain."""
    return [json.loads(row.record)["event"] for row in ledger.records()]


# -- under a clock that was set back, and changed by hand ---------------------------------------


def test_a_pending_lease_of_the_future(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """A reservation that was made under a clock far ahead holds its budget no longer."""
    clock.now += timedelta(days=4000)
    reserve(ledger, "ahead", charge(10))
    clock.now = START
    reserve(ledger, "L1", charge(10))
    assert states(ledger) == {"ahead": "released", "L1": "pending"}


@pytest.mark.parametrize(("back", "state"), [(80, "pending"), (80.000001, "released")])
def test_a_clock_that_was_set_back(
    ledger: SQLiteLedger, clock: FakeClock, back: float, state: str
) -> None:
    """By less than the lease's time to live it may still be issued."""
    reserve(ledger, "L1", charge(10))
    clock.now -= timedelta(seconds=back)
    ledger.settle_ended()
    assert states(ledger) == {"L1": state}


def test_an_issued_lease_of_the_future(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """An issued lease lives as long as its credential, whatever the clock did."""
    reserve(ledger, "L1", charge(10))
    issue(ledger, "L1")
    clock.now -= timedelta(days=1)
    ledger.settle_ended()
    assert states(ledger) == {"L1": "active"}


def test_the_end_of_leases_is_found_by_its_index(ledger: SQLiteLedger) -> None:
    """Leases that are over are kept, and cost nothing."""
    asked: list[str] = []
    ledger.db.set_trace_callback(asked.append)
    ledger.settle_ended()
    ledger.db.set_trace_callback(None)
    (plan,) = ledger.db.execute(f"EXPLAIN QUERY PLAN {asked[0]}")
    assert plan[3] == "SCAN leases USING INDEX leases_open"


@pytest.mark.parametrize(
    ("target", "name"), [("x", "a"), ("tool", "a b"), ("tool", ""), ("principal", "a//**/[")]
)
def test_a_switch_changed_by_hand(ledger: SQLiteLedger, target: str, name: str) -> None:
    """A switch that is none stops with its name: it is not known what it should have stopped."""
    ledger.db.execute("INSERT INTO switches VALUES (?, ?, '', '', NULL, NULL)", (target, name))
    with pytest.raises(StateError, match="was changed by hand: it holds a switch on"):
        ledger.switches()


# -- reserve -----------------------------------------------------------------------------------


def test_a_reservation(ledger: SQLiteLedger) -> None:
    """Apply all charges; write the pending lease and the record."""
    made = reserve(ledger, "L1", charge(3), charge(2, counter="other"), rate(2))
    assert ledger.counters() == {
        (named("other"), "2026-11-23T00:00:00.000000Z"): (0, 2),
        (named("sums"), "2026-11-23T00:00:00.000000Z"): (0, 3),
    }
    assert ledger.used(named("sums"), DAY) == (0, 3)
    assert ledger.used(named("sums"), NEXT_DAY) == (0, 0)
    assert ledger.leases(START) == [made]
    (row,) = ledger.records()
    record = json.loads(row.record)
    assert (record["event"], record["lease"]) == ("vend.intent", "L1")
    assert [(one["counter"], one["amount"]) for one in record["charges"]] == [
        (named("sums"), 3),
        (named("other"), 2),
        (named("pace"), 1),
    ]


@pytest.mark.parametrize(
    "last",
    [charge(11, counter="full"), rate(0, counter="never"), charge(-1, counter="given")],
)
def test_all_charges_or_none(ledger: SQLiteLedger, last: Charge) -> None:
    """In one transaction, for all counters of a request or for none."""
    reserve(ledger, "L1", charge(1), rate(5))
    before = (ledger.counters(), ledger.arrivals(), ledger.head(), states(ledger))
    with pytest.raises((LimitError, StateError)):
        reserve(ledger, "L2", charge(1), rate(5), last)
    assert (ledger.counters(), ledger.arrivals(), ledger.head(), states(ledger)) == before


@pytest.mark.parametrize("limit", [0, 1, 10, HUGE - 1, HUGE])
def test_the_edge(ledger: SQLiteLedger, limit: int) -> None:
    """Spent + reserved + this charge ≤ limit."""
    part = limit // 2
    reserve(ledger, "L1", charge(part, limit), seconds=0)  # is settled as spent, or released
    issue(ledger, "L1", seconds=0)
    reserve(ledger, "L2", charge(limit - part, limit))
    assert ledger.used(named("sums"), DAY) == (part, limit - part)
    with pytest.raises(BudgetExceededError) as raised:
        reserve(ledger, "L3", charge(1, limit))
    assert f"{limit} of {limit} tokens used this day, 1 more asked for" in raised.value.message
    reserve(ledger, "L4", charge(0, limit))


def test_the_refusal(ledger: SQLiteLedger) -> None:
    """The refusal names budget, counter, used, limit and when the window ends."""
    reserve(ledger, "L1", charge(1_500_000, 2_000_000, metric="cost"))
    with pytest.raises(BudgetExceededError) as raised:
        reserve(ledger, "L2", charge(600_000, 2_000_000, metric="cost"))
    assert raised.value.message == (
        "budget b1 for sums: $1.50 of $2.00 cost used this day, $0.60 more asked for"
    )
    assert raised.value.retry_after == 14 * 3600
    assert raised.value.exit_code == 7


@pytest.mark.parametrize("amount", [HUGE + 1, 2**64, 10**30])
def test_more_than_can_be_counted(ledger: SQLiteLedger, amount: int) -> None:
    """Amounts are integers, checked against overflow."""
    with pytest.raises(BudgetExceededError):
        reserve(ledger, "L1", charge(amount, HUGE))
    with pytest.raises(StateError, match="too large"):
        reserve(ledger, "L1", charge(amount, 10**40))
    assert ledger.counters() == {}


def test_a_sum_that_overflows(ledger: SQLiteLedger) -> None:
    """A sum beyond 2^63-1 is refused, whatever limit would permit it."""
    reserve(ledger, "L1", charge(HUGE, HUGE))
    with pytest.raises(StateError):
        reserve(ledger, "L2", charge(1, 10**40))
    assert ledger.used(named("sums"), DAY) == (0, HUGE)


@pytest.mark.parametrize("amount", [-1, -HUGE, -(2**70)])
def test_a_charge_that_would_give(ledger: SQLiteLedger, amount: int) -> None:
    """Negative: refuse; it would free what others hold."""
    reserve(ledger, "L1", charge(10))
    for try_it in (
        lambda: reserve(ledger, "L2", charge(amount)),
        lambda: ledger.peek([charge(amount)], START),
    ):
        with pytest.raises(StateError, match="would give, not take"):
            try_it()
    assert ledger.used(named("sums"), DAY) == (0, 10)


@given(st.lists(st.tuples(st.integers(0, HUGE), st.integers(0, HUGE)), max_size=8))
@settings(deadline=None, max_examples=50)
def test_any_amounts(amounts: list[tuple[int, int]]) -> None:
    """The sum is what was let in, and what was let in kept within its limit."""
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder), FakeClock()) as ledger:
        held = 0
        for number, (amount, limit) in enumerate(amounts):
            fits = held + amount <= limit
            try:
                reserve(ledger, f"L{number}", charge(amount, limit))
            except BudgetExceededError:
                assert not fits
            else:
                assert fits
                held += amount
        assert ledger.used(named("sums"), DAY) == (0, held)
        assert sound(ledger)


def test_twice_the_same_counter(ledger: SQLiteLedger) -> None:
    """Two charges on one counter are no way around it: both count, and both are given back."""
    with pytest.raises(BudgetExceededError):
        reserve(ledger, "L1", charge(6), charge(6))
    reserve(ledger, "L2", charge(4), charge(6))
    assert ledger.used(named("sums"), DAY) == (0, 10)
    release(ledger, "L2")
    assert ledger.used(named("sums"), DAY) == (0, 0)


def test_twice_the_same_rate(ledger: SQLiteLedger) -> None:
    """Two charges on one rate take two."""
    reserve(ledger, "L1", rate(2), rate(2))
    with pytest.raises(RateLimitExceededError):
        reserve(ledger, "L2", rate(2))


def test_an_id_that_is_taken(ledger: SQLiteLedger) -> None:
    """A lease is reserved once."""
    reserve(ledger, "L1", charge())
    with pytest.raises(StateError):
        reserve(ledger, "L1", charge())
    assert ledger.used(named("sums"), DAY) == (0, 1)


def test_windows_do_not_share(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """A charge belongs to the window of its reservation."""
    reserve(ledger, "L1", charge(10), seconds=200_000)
    clock.now = NEXT_DAY.start
    reserve(ledger, "L2", charge(10, window=NEXT_DAY))
    release(ledger, "L1")
    assert ledger.used(named("sums"), DAY) == (0, 0)
    assert ledger.used(named("sums"), NEXT_DAY) == (0, 10)


def test_a_resource_that_is_not_utf_8(ledger: SQLiteLedger) -> None:
    """Non-UTF-8 argv bytes: refused as a StateError, and nothing is reserved."""
    with pytest.raises(StateError, match="not UTF-8"):
        reserve(ledger, "L1", charge(), resource="\udcff")
    assert ledger.counters() == {}


# -- rates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 30])
def test_a_burst_and_its_wait(ledger: SQLiteLedger, clock: FakeClock, count: int) -> None:
    """A burst of N is N; what the refusal says to wait is exact."""
    for number in range(count):
        reserve(ledger, f"L{number}", rate(count))
    with pytest.raises(RateLimitExceededError) as raised:
        reserve(ledger, "no", rate(count))
    assert raised.value.retry_after == 60 // count
    assert raised.value.message == f"rule r1 permits {count}/minute"
    clock.advance(seconds=60 // count, microseconds=-1)
    with pytest.raises(RateLimitExceededError):
        reserve(ledger, "no", rate(count))
    clock.advance(microseconds=1)
    reserve(ledger, "yes", rate(count))
    with pytest.raises(RateLimitExceededError):
        reserve(ledger, "no", rate(count))


def test_a_rate_of_nothing(ledger: SQLiteLedger) -> None:
    """A rate of 0 is never."""
    with pytest.raises(RateLimitExceededError) as raised:
        reserve(ledger, "L1", rate(0))
    assert (raised.value.retry_after, raised.value.hint) == (None, "Its rate is 0: never")


def test_a_release_gives_no_rate_back(ledger: SQLiteLedger) -> None:
    """*Released*: tokens, cost, requests and leases are given back, rate limits are not."""
    reserve(ledger, "L1", charge(10), rate(1))
    release(ledger, "L1")
    assert ledger.used(named("sums"), DAY) == (0, 0)
    with pytest.raises(RateLimitExceededError):
        reserve(ledger, "L2", charge(10), rate(1))


def test_arrivals(ledger: SQLiteLedger) -> None:
    """The theoretical arrival time moves by an interval."""
    reserve(ledger, "L1", rate(2))
    now = round(START.timestamp()) * rates.SECOND
    assert ledger.arrivals() == {named("pace"): now + 30 * rates.SECOND}


# -- peek --------------------------------------------------------------------------------------


def test_a_look_changes_nothing(ledger: SQLiteLedger) -> None:
    """Raise the LimitError that these charges would meet now; change nothing."""
    reserve(ledger, "L1", charge(9), rate(1))
    before = list(ledger.db.iterdump())
    ledger.peek([charge(1)], START)
    with pytest.raises(BudgetExceededError):
        ledger.peek([charge(1), charge(2)], START)
    with pytest.raises(RateLimitExceededError):
        ledger.peek([rate(1)], START)
    assert list(ledger.db.iterdump()) == before


@pytest.mark.parametrize("issued", [False, True])
def test_a_look_sees_what_a_reservation_would(
    ledger: SQLiteLedger, clock: FakeClock, issued: bool
) -> None:
    """What was never issued in its time is released by the next reservation, so it does not count.

    What was issued counts for the whole window.
    """
    reserve(ledger, "L1", charge(10))
    if issued:
        issue(ledger, "L1", seconds=80)
    with pytest.raises(BudgetExceededError):
        ledger.peek([charge(10)], clock())
    clock.advance(seconds=80)
    for step in (
        lambda: ledger.peek([charge(10)], clock()),
        lambda: reserve(ledger, "L2", charge(10)),
    ):
        if issued:
            with pytest.raises(BudgetExceededError):
                step()
        else:
            step()


# -- issue -------------------------------------------------------------------------------------


def test_issued(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """An issued lease lives as long as its credential and is settled at its end."""
    reserve(ledger, "L1", charge(4))
    issue(ledger, "L1", seconds=900)
    (found,) = ledger.leases(clock())
    assert (found.state, found.credential_id) == ("active", "ASIA1")
    assert found.ends_at == START + timedelta(seconds=900)
    assert ledger.used(named("sums"), DAY) == (0, 4)
    clock.advance(seconds=900)
    assert [one.state for one in ledger.leases(clock())] == ["expired"]
    reserve(ledger, "L2", charge(1))
    assert ledger.used(named("sums"), DAY) == (4, 1)
    assert states(ledger) == {"L1": "settled", "L2": "pending"}
    assert events(ledger) == ["vend.intent", "vend.issued", "lease.settled", "vend.intent"]


def test_the_switches_once_more(ledger: SQLiteLedger) -> None:
    """What `recheck` raises leaves the lease pending, and no record."""
    reserve(ledger, "L1", charge())
    switch = Switch("tool", "s3_*", "leak", "os/root", START, START + timedelta(hours=1))
    ledger.switch_on(switch, {"event": "switch.on"})
    seen: list[Sequence[Switch]] = []

    def recheck(found: Sequence[Switch]) -> None:
        seen.append(found)
        assert ledger.db.in_transaction
        raise ToolDisabledError("off")

    before = ledger.head()
    with pytest.raises(ToolDisabledError):
        ledger.issue(lease("L1"), {"event": "vend.issued", "lease": "L1"}, recheck)
    assert seen == [[switch]]
    assert states(ledger) == {"L1": "pending"}
    assert ledger.head() == before
    release(ledger, "L1")
    assert ledger.used(named("sums"), DAY) == (0, 0)


def test_a_switch_set_by_another_process(
    ledger: SQLiteLedger, tmp_path: Path, clock: FakeClock
) -> None:
    """A switch that another process set a moment ago is seen inside the transaction."""
    reserve(ledger, "L1", charge())
    with opened(tmp_path, clock) as other:
        other.switch_on(Switch("all"), {"event": "switch.on"})
    found: list[Switch] = []
    ledger.issue(lease("L1"), {"event": "vend.issued", "lease": "L1"}, found.extend)
    assert found == [Switch("all")]


def test_released_meanwhile(ledger: SQLiteLedger) -> None:
    """A lease that was released meanwhile cannot be issued."""
    reserve(ledger, "L1", charge(10))
    release(ledger, "L1")
    reserve(ledger, "L2", charge(10))
    with pytest.raises(RevokedError, match="L1 was revoked, or given up, while its credential"):
        issue(ledger, "L1")
    assert ledger.used(named("sums"), DAY) == (0, 10)


def test_issued_once(ledger: SQLiteLedger) -> None:
    """A lease is issued once, and one that nobody reserved never."""
    reserve(ledger, "L1", charge())
    issue(ledger, "L1")
    for name in ("L1", "L2"):
        with pytest.raises(StateError, match="is not one that could be issued"):
            issue(ledger, name)
    assert events(ledger) == ["vend.intent", "vend.issued"]


# -- the end of leases -------------------------------------------------------------------------


def test_a_mint_that_fails(ledger: SQLiteLedger) -> None:
    """A mint that fails releases; a second time nothing more is given back."""
    reserve(ledger, "L1", charge(10), charge(3, counter="other"))
    reserve(ledger, "L2", charge(3, counter="other"))
    release(ledger, "L1")
    release(ledger, "L1")
    assert ledger.used(named("sums"), DAY) == (0, 0)
    assert ledger.used(named("other"), DAY) == (0, 3)
    assert events(ledger)[2:] == ["vend.failed", "vend.failed"]


def test_a_reservation_that_never_was(ledger: SQLiteLedger) -> None:
    """A lease that never came to be holds nothing; the record is written."""
    ledger.release("L9", {"event": "vend.denied", "lease": "L9"})
    assert events(ledger) == ["vend.denied"]


def test_released_too_late(ledger: SQLiteLedger) -> None:
    """What was issued is not given back any more."""
    reserve(ledger, "L1", charge(10))
    issue(ledger, "L1")
    release(ledger, "L1")
    assert ledger.used(named("sums"), DAY) == (0, 10)
    assert states(ledger) == {"L1": "active"}


def test_undelivered(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """If the output cannot be written: the lease says `undelivered`, and is settled at its end."""
    reserve(ledger, "L1", charge(10))
    issue(ledger, "L1", seconds=900)
    ledger.undelivered("L1", {"event": "vend.failed", "lease": "L1"})
    clock.advance(seconds=899)
    assert [one.state for one in ledger.leases(clock())] == ["undelivered"]
    with pytest.raises(BudgetExceededError):
        reserve(ledger, "L2", charge(1))
    clock.advance(seconds=1)
    reserve(ledger, "L3")
    assert ledger.used(named("sums"), DAY) == (10, 0)
    assert states(ledger)["L1"] == "settled"


def test_undelivered_needs_an_active_one(ledger: SQLiteLedger) -> None:
    """A lease that is not active has nothing to deliver."""
    reserve(ledger, "L1", charge())
    ledger.undelivered("L1", {"event": "vend.failed", "lease": "L9"})
    assert states(ledger) == {"L1": "pending"}


def test_orphans(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """Pending while its process lives, then `orphaned`, and released when its time ends."""
    gone = python("")
    gone.communicate()
    reserve(ledger, "L1", charge(10), process=f"{gone.pid}:1")
    reserve(ledger, "L2")
    assert {one.id: one.state for one in ledger.leases(clock())} == {
        "L1": "orphaned",
        "L2": "pending",
    }
    clock.advance(seconds=79)
    with pytest.raises(BudgetExceededError):
        reserve(ledger, "L3", charge(1))
    clock.advance(seconds=1)
    reserve(ledger, "L4", charge(10))
    assert states(ledger) == {"L1": "released", "L2": "released", "L4": "pending"}
    orphan = json.loads(next(iter(ledger.records(3))).record)
    assert orphan["reason"] == "orphaned: not issued in its time"
    assert (orphan["lease"], orphan["principal"]) == ("L1", "okta/alice")


def test_a_process_that_is_gone(tmp_path: Path, clock: FakeClock) -> None:
    """A process that reserves and dies leaves an orphan."""
    script = """
import sys, time
from pathlib import Path
from support.clock import FakeClock
from support.ledgers import charge, opened, reserve
with opened(Path(sys.argv[1]), FakeClock()) as ledger:
    reserve(ledger, "L1", charge(10))
    print("reserved", flush=True)
    input()
"""
    store.begin(tmp_path / "ledger.db")
    with python(script, str(tmp_path)) as running, opened(tmp_path, clock) as ledger:
        assert running.stdout is not None
        assert running.stdout.readline() == "reserved\n"
        assert [one.state for one in ledger.leases(clock())] == ["pending"]
        running.kill()
        running.wait()
        assert [one.state for one in ledger.leases(clock())] == ["orphaned"]
        clock.advance(seconds=80)
        reserve(ledger, "L2", charge(10))
        assert sound(ledger)


def test_a_refusal_settles_what_has_ended(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """What has ended is settled, also where the request that finds it is refused."""
    reserve(ledger, "L1", charge(10))
    issue(ledger, "L1", seconds=60)
    clock.advance(seconds=60)
    with pytest.raises(BudgetExceededError):
        reserve(ledger, "L2", charge(1))
    assert states(ledger) == {"L1": "settled"}
    assert ledger.used(named("sums"), DAY) == (10, 0)


# -- records -----------------------------------------------------------------------------------


def test_refusals_at_the_door(ledger: SQLiteLedger, clock: FakeClock) -> None:
    """At most one a minute for a peer; the next says how many it stands for."""

    def knock(peer: str) -> None:
        ledger.append_thinned(peer, {"event": "login.failed", "peer": peer})

    def counts() -> list[tuple[str, int]]:
        found = [json.loads(row.record) for row in ledger.records()]
        return [(one["peer"], one["count"]) for one in found]

    for _ in range(5):
        knock("uid 1")
    knock("uid 2")
    assert counts() == [("uid 1", 1), ("uid 2", 1)]
    clock.advance(seconds=59.999999)
    knock("uid 1")
    assert len(counts()) == 2
    clock.advance(microseconds=1)
    knock("uid 1")
    knock("uid 2")
    assert counts()[2:] == [("uid 1", 6), ("uid 2", 1)]
    clock.advance(seconds=-3600)
    knock("uid 1")
    assert counts()[4:] == [("uid 1", 1)]


def test_who_is_known(ledger: SQLiteLedger) -> None:
    """A principal is known whom a record names."""
    ledger.append({"event": "check", "principal": "okta/alice", "actor": "okta/bob"})
    assert [ledger.knows(f"okta/{name}") for name in ("alice", "bob", "alic")] == [
        True,
        False,
        False,
    ]
    (plan,) = ledger.db.execute(
        "EXPLAIN QUERY PLAN SELECT 1 FROM records "
        "WHERE json_extract(record, '$.principal') = ? LIMIT 1",
        ("x",),
    ).fetchall()
    assert "records_principal" in plan[3]


# -- switches ----------------------------------------------------------------------------------


def test_switches(ledger: SQLiteLedger) -> None:
    """It remembers what `disable` set; `enable` lifts it."""
    one = Switch("provider", "openai", "INC-42", "okta/alice", START, START + timedelta(hours=8))
    ledger.switch_on(Switch("provider", "openai"), {"event": "switch.on"})
    ledger.switch_on(one, {"event": "switch.on"})
    ledger.switch_on(Switch("all"), {"event": "switch.on"})
    assert sorted(ledger.switches(), key=str) == [Switch("all"), one]
    assert ledger.switch_off("provider", "openai", {"event": "switch.off"})
    assert not ledger.switch_off("provider", "openai", {"event": "switch.off"})
    assert ledger.switches() == [Switch("all")]
    assert events(ledger) == ["switch.on"] * 3 + ["switch.off"] * 2


# -- failures ----------------------------------------------------------------------------------


def test_every_reading_says_what_failed(ledger: SQLiteLedger, tmp_path: Path) -> None:
    """Every method raises StateError where it cannot read or write."""
    broken = opened(tmp_path, FakeClock())
    broken.close()
    for name, arguments in {
        "switches": (),
        "leases": (START,),
        "counters": (),
        "arrivals": (),
        "used": (named("sums"), DAY),
        "peek": ([charge()], START),
        "knows": ("okta/alice",),
        "head": (),
        "append": ({"event": "check"},),
        "append_thinned": ("uid 1", {"event": "check"}),
        "release": ("L1", {"event": "check"}),
        "undelivered": ("L1", {"event": "check"}),
        "switch_on": (Switch("all"), {"event": "check"}),
        "switch_off": ("all", "", {"event": "check"}),
    }.items():
        with pytest.raises(StateError, match="closed database"):
            getattr(broken, name)(*arguments)
    with pytest.raises(StateError, match="closed database"):
        list(broken.records())
    assert ledger.head()[0] == 0


def test_the_tables_guard_themselves(ledger: SQLiteLedger) -> None:
    """Never negative: the tables refuse it by themselves."""
    reserve(ledger, "L1", charge(1))
    for column in ("spent", "reserved"):
        with pytest.raises(sqlite3.IntegrityError):
            ledger.db.execute(f"UPDATE counters SET {column} = -1")


# -- many at once ------------------------------------------------------------------------------


def test_threads_on_one_budget(tmp_path: Path, clock: FakeClock) -> None:
    """Concurrent reservations from threads never exceed a budget, and the chain never forks."""
    store.begin(tmp_path / "ledger.db")
    taken: list[str] = []

    def work(name: int) -> None:
        with opened(tmp_path, clock) as own:
            for number in range(10):
                try:
                    reserve(own, f"L{name}-{number}", charge(1, 25), rate(1000))
                except BudgetExceededError:
                    own.append({"event": "vend.denied"})
                else:
                    taken.append(f"{name}-{number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 25
    with opened(tmp_path, clock) as ledger:
        assert ledger.used(named("sums"), DAY) == (0, 25)
        assert ledger.head()[0] == 60
        assert sound(ledger)


def test_processes_on_one_budget(tmp_path: Path, clock: FakeClock) -> None:
    """Two writers at once: lock; one chain, no fork; the budget holds."""
    script = """
import sys
from pathlib import Path
from support.clock import FakeClock
from support.ledgers import charge, opened, rate, reserve
from agentauth_cli.errors import LimitError
folder, name = sys.argv[1:]
taken = 0
with opened(Path(folder), FakeClock()) as ledger:
    print("ready", flush=True)
    input()
    for number in range(12):
        try:
            reserve(ledger, f"L{name}-{number}", charge(2, 51), rate(40))
        except LimitError:
            ledger.append({"event": "vend.denied"})
        else:
            taken += 1
print(taken)
"""
    store.begin(tmp_path / "ledger.db")
    running = [python(script, str(tmp_path), str(name)) for name in range(4)]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    told = [one.communicate() for one in running]
    assert [complaint for _, complaint in told] == [""] * 4
    assert sum(int(out) for out, _ in told) == 25
    with opened(tmp_path, clock) as ledger:
        assert ledger.used(named("sums"), DAY) == (0, 50)
        assert ledger.head()[0] == 48
        assert sound(ledger)


# -- any order of steps ------------------------------------------------------------------------


@dataclass
class Held:
    """A lease of the model: its state, its end in seconds, and what it holds of which counter."""

    state: str
    ends: float
    amounts: dict[tuple[str, Window], int]


LIMITS = {"by day": 20, "by hour": 9}
UNITS: dict[str, Unit] = {"by day": "day", "by hour": "hour"}


class Steps(RuleBasedStateMachine):
    """Every order of steps and times; a model of a dozen lines says what has to come of it."""

    leases = Bundle[str]("leases")

    @initialize()
    def begin(self) -> None:
        """Begin with an empty ledger."""
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.ledger = opened(Path(self.folder.name), self.clock)
        self.ledger.db.execute("PRAGMA synchronous = OFF")
        self.held: dict[str, Held] = {}
        self.passed = 0.0
        self.rate_taken: list[float] = []
        self.reported: set[str] = set()

    def teardown(self) -> None:
        """Leave nothing."""
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.folder.cleanup()

    def used(self, counter: str, span: Window) -> tuple[int, int]:
        """Return what the model says is spent and reserved."""
        spent = reserved = 0
        for one in self.held.values():
            amount = one.amounts.get((counter, span), 0)
            spent += amount if one.state == "settled" else 0
            reserved += amount if one.state in ("pending", "active", "undelivered") else 0
        return spent, reserved

    @rule(
        target=leases,
        day=st.integers(0, 8),
        hour=st.integers(0, 6),
        paced=st.booleans(),
        seconds=st.sampled_from([0.0, 80.0]),
    )
    def reserve(
        self, day: int, hour: int, paced: bool, seconds: float
    ) -> str | MultipleResults[str]:
        """Reserve, within limits or not."""
        now = self.clock()
        taken = {"by day": day, "by hour": hour}
        amounts = {(name, window(UNITS[name], now, UTC)): taken[name] for name in taken}
        charges = [
            charge(amount, LIMITS[counter], counter, span)
            for (counter, span), amount in amounts.items()
        ]
        name = f"L{len(self.held) + self.ledger.head()[0]:04}"
        after = {
            key: replace(one, state="released" if one.state == "pending" else "settled")
            if one.ends <= self.passed and one.state not in ("released", "settled")
            else one
            for key, one in self.held.items()
        }
        self.held = after
        fits = all(
            sum(self.used(counter, span)) + amount <= LIMITS[counter]
            for (counter, span), amount in amounts.items()
        )
        soon = [at for at in self.rate_taken if at > self.passed]
        paces = not paced or not soon or max(soon) - self.passed <= 40  # a burst of 3, 20 s apart
        try:
            reserve(self.ledger, name, *charges, *([rate(3)] if paced else []), seconds=seconds)
        except BudgetExceededError:
            assert not fits
            return multiple()
        except RateLimitExceededError:
            assert fits
            assert not paces
            return multiple()
        assert fits
        assert paces
        if paced:
            self.rate_taken.append(max([self.passed, *soon]) + 20)
        self.held[name] = Held("pending", self.passed + seconds, amounts)
        return name

    @rule(name=leases, seconds=st.sampled_from([0.0, 30.0, 900.0]))
    def issue(self, name: str, seconds: float) -> None:
        """Issue, also what is over."""
        pending = self.held[name].state == "pending"
        try:
            issue(self.ledger, name, seconds)
        except StateError:
            assert not pending
        else:
            assert pending
            self.held[name] = replace(self.held[name], state="active", ends=self.passed + seconds)

    @rule(name=leases)
    def stopped_by_a_switch(self, name: str) -> None:
        """Be stopped at the last moment."""

        def recheck(_: object) -> None:
            raise ToolDisabledError("off")

        with pytest.raises(ToolDisabledError):
            self.ledger.issue(lease(name), {"event": "vend.issued", "lease": name}, recheck)

    @rule(name=leases)
    def release(self, name: str) -> None:
        """Release, also what is over."""
        release(self.ledger, name)
        if self.held[name].state == "pending":
            self.held[name].state = "released"

    @rule(name=leases)
    def undelivered(self, name: str) -> None:
        """Fail to deliver what was issued."""
        if self.held[name].state in ("active", "undelivered", "settled"):
            self.ledger.undelivered(name, {"event": "vend.failed", "lease": name})
        if self.held[name].state == "active":
            self.held[name].state = "undelivered"

    @rule(name=leases)
    def settle(self, name: str) -> None:
        """End a lease early, also one that is over."""
        issued = self.held[name].state in ("active", "undelivered")
        assert self.ledger.settle(name, {"event": "lease.settled", "lease": name}) is issued
        if issued:
            self.held[name].state = "settled"

    @rule(name=leases, tokens=st.integers(0, 30), lower=st.booleans())
    def use(self, name: str, tokens: int, lower: bool) -> None:
        """Report what was really used, more or less than what was reserved."""
        held = self.held[name]
        issued = held.state in ("active", "undelivered", "settled")
        try:
            self.ledger.record_usage(name, Usage(tokens), {"lease": name}, lower=lower)
        except StateError:
            assert not issued
            return
        assert issued
        for key, amount in held.amounts.items():
            held.amounts[key] = tokens if lower else max(amount, tokens)
            self.reported.add(named(key[0]))

    @rule(seconds=st.sampled_from([1, 19, 20, 30, 80, 900, 3600, 14 * 3600, 86400]))
    def time_passes(self, seconds: int) -> None:
        """Wait."""
        self.passed += seconds
        self.clock.advance(seconds=seconds)

    @invariant()
    def sums_are_those_of_the_model(self) -> None:
        """No counter negative, sums within limits, states and sums as the model says."""
        if not hasattr(self, "ledger"):
            return
        for counter, unit in UNITS.items():
            span = window(unit, self.clock(), UTC)
            assert self.ledger.used(named(counter), span) == self.used(counter, span)
        for (counter, _), sums in self.ledger.counters().items():
            assert min(sums) >= 0
            # What was really used always counts, even when it goes over.
            assert counter in self.reported or sum(sums) <= LIMITS[json.loads(counter)[4]]
        assert states(self.ledger) == {name: one.state for name, one in self.held.items()}

    @invariant()
    def the_chain_is_whole(self) -> None:
        """Hold that the chain verifies, and `recount` equals the counters and arrivals."""
        assert not hasattr(self, "ledger") or sound(self.ledger)


TestSteps = Steps.TestCase
TestSteps.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
