"""What every `ports.Ledger` has to pass. It looks through the port alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import pytest

from agentauth_cli.errors import (
    BudgetExceededError,
    LimitError,
    RateLimitExceededError,
    StateError,
    ToolDisabledError,
)
from agentauth_cli.model import Charge, Lease, Rate, Usage, Window
from agentauth_cli.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.policy.switches import Switch
    from agentauth_cli.ports import Ledger

_LIMIT = 10
_MOST = 2**63 - 1


class LedgerContract:
    """Fixtures: `ledger`, which goes by `clock`, a `FakeClock`."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """Return the clock that the ledger goes by."""
        return FakeClock()

    @pytest.fixture
    def ledger(self, clock: FakeClock) -> Ledger:
        """Return the ledger to be tested, with nothing in it."""
        pytest.fail(f"give the fixture `ledger`, by {clock}")

    # -- reserve -----------------------------------------------------------------------------

    def test_all_charges_or_none(self, ledger: Ledger, clock: FakeClock) -> None:
        """Apply all charges or none: the first that would go over refuses all."""
        with pytest.raises(BudgetExceededError):
            _reserve(ledger, "L1", _charge(3), _rate(1), _charge(_LIMIT + 1, "other"), at=clock())
        assert _used(ledger, clock) == 0
        assert ledger.lease("L1") is None
        _reserve(ledger, "L2", _charge(3), _rate(1), at=clock())
        assert _used(ledger, clock) == 3

    def test_the_limit_is_exact(self, ledger: Ledger, clock: FakeClock) -> None:
        """Spent + reserved + this charge ≤ limit."""
        _reserve(ledger, "L1", _charge(_LIMIT - 1), at=clock())
        _reserve(ledger, "L2", _charge(1), at=clock())
        with pytest.raises(BudgetExceededError) as caught:
            _reserve(ledger, "L3", _charge(1), at=clock())
        assert caught.value.retry_after is not None
        assert _used(ledger, clock) == _LIMIT

    def test_a_charge_belongs_to_the_moment_of_its_reservation(
        self, ledger: Ledger, clock: FakeClock
    ) -> None:
        """`charges` is asked with the time of the step."""
        asked: list[datetime] = []

        def charges(at: datetime) -> Sequence[Charge]:
            asked.append(at)
            return [_charge(1)]

        ledger.reserve(_lease("L1", clock()), charges, {"event": "vend.intent", "lease": "L1"})
        assert asked == [clock()]

    def test_a_rate_is_a_burst_and_a_pace(self, ledger: Ledger, clock: FakeClock) -> None:
        """A burst of N/unit is N; the refusal says when the next one is allowed."""
        for number in range(3):
            _reserve(ledger, f"L{number}", _rate(3), at=clock())
        with pytest.raises(RateLimitExceededError) as caught:
            _reserve(ledger, "L3", _rate(3), at=clock())
        assert caught.value.retry_after == 20
        clock.advance(seconds=20)
        _reserve(ledger, "L4", _rate(3), at=clock())

    def test_sums_do_not_overflow(self, ledger: Ledger, clock: FakeClock) -> None:
        """Amounts are checked against overflow: refused, and nothing has changed."""
        _reserve(ledger, "L1", _charge(_MOST, limit=_MOST), at=clock())
        with pytest.raises((LimitError, StateError)):
            _reserve(ledger, "L2", _charge(_MOST, limit=_MOST), at=clock())
        assert ledger.lease("L2") is None

    # -- from pending to over ----------------------------------------------------------------

    def test_issued(self, ledger: Ledger, clock: FakeClock) -> None:
        """Pending, then active until its credential ends; then what was reserved is spent."""
        _reserve(ledger, "L1", _charge(3), at=clock())
        assert ledger.lease_state("L1") == "pending"
        _issue(ledger, "L1", clock)
        assert ledger.lease_state("L1") == "active"
        clock.advance(seconds=901)
        _reserve(ledger, "L2", _charge(1), at=clock())
        assert ledger.lease_state("L1") == "settled"
        assert _used(ledger, clock) == 4

    def test_a_switch_at_the_last_moment(self, ledger: Ledger, clock: FakeClock) -> None:
        """What `recheck` raises leaves the lease as it was."""
        _reserve(ledger, "L1", _charge(3), at=clock())

        def recheck(_switches: Sequence[Switch]) -> NoReturn:
            raise ToolDisabledError("off")

        with pytest.raises(ToolDisabledError):
            ledger.issue(_lease("L1", clock()), {"event": "vend.issued", "lease": "L1"}, recheck)
        assert ledger.lease_state("L1") == "pending"

    def test_released(self, ledger: Ledger, clock: FakeClock) -> None:
        """A mint that fails releases: all is given back, but for rates; and only once."""
        _reserve(ledger, "L1", _charge(3), _rate(1), at=clock())
        for _ in range(2):
            ledger.release("L1", {"event": "vend.failed", "lease": "L1"})
        assert _used(ledger, clock) == 0
        assert ledger.lease_state("L1") == "released"
        with pytest.raises(RateLimitExceededError):
            ledger.peek([_rate(1)], clock())
        with pytest.raises(StateError):
            _issue(ledger, "L1", clock)

    def test_never_issued_in_its_time(self, ledger: Ledger, clock: FakeClock) -> None:
        """It is released when its time to live ends."""
        _reserve(ledger, "L1", _charge(3), at=clock())
        clock.advance(seconds=81)
        _reserve(ledger, "L2", _charge(_LIMIT), at=clock())
        assert ledger.lease_state("L1") == "released"

    def test_undelivered(self, ledger: Ledger, clock: FakeClock) -> None:
        """What was minted and never reached its caller is held until its end."""
        _reserve(ledger, "L1", _charge(3), at=clock())
        _issue(ledger, "L1", clock)
        ledger.undelivered("L1", {"event": "vend.failed", "lease": "L1"})
        assert ledger.lease_state("L1") == "undelivered"
        assert _used(ledger, clock) == 3

    def test_revoked(self, ledger: Ledger, clock: FakeClock) -> None:
        """A lease whose credential is no more is settled, and over."""
        _reserve(ledger, "L1", _charge(3), at=clock())
        _issue(ledger, "L1", clock)
        clock.advance(seconds=60)
        ledger.revoked("L1", {"event": "lease.revoked", "lease": "L1"})
        found = ledger.lease("L1")
        assert found is not None
        assert (found.state, found.ends_at) == ("settled", clock())
        ledger.revoked("L1", {"event": "lease.revoked", "lease": "L1"})
        assert ledger.lease("L1") == found
        assert _used(ledger, clock) == 3

    def test_settled_early(self, ledger: Ledger, clock: FakeClock) -> None:
        """The reservation turns into spend; settling twice counts once."""
        _reserve(ledger, "L1", _charge(3), at=clock())
        record = {"event": "lease.settled", "lease": "L1"}
        assert ledger.settle("L1", record) is False
        _issue(ledger, "L1", clock)
        assert ledger.settle("L1", record) is True
        assert ledger.settle("L1", record) is False
        assert ledger.lease_state("L1") == "settled"
        assert _used(ledger, clock) == 3

    # -- usage -------------------------------------------------------------------------------

    def test_usage_only_raises(self, ledger: Ledger, clock: FakeClock) -> None:
        """Recorded usage may only raise; recorded twice it counts once; also past the limit."""
        _reserve(ledger, "L1", _charge(3), at=clock())
        _issue(ledger, "L1", clock)
        for tokens, expected in ((1, 3), (5, 5), (5, 5), (_LIMIT + 2, _LIMIT + 2)):
            ledger.record_usage("L1", Usage(tokens), {})
            assert _used(ledger, clock) == expected

    def test_late_usage_counts(self, ledger: Ledger, clock: FakeClock) -> None:
        """A lease that is over may turn out to have used more."""
        _reserve(ledger, "L1", _charge(3), at=clock())
        _issue(ledger, "L1", clock)
        ledger.settle("L1", {"event": "lease.settled", "lease": "L1"})
        ledger.record_usage("L1", Usage(7), {})
        assert _used(ledger, clock) == 7

    def test_usage_of_what_was_never_issued(self, ledger: Ledger, clock: FakeClock) -> None:
        """Nothing was delivered, so that nothing can have been used."""
        _reserve(ledger, "L1", _charge(3), at=clock())
        for name in ("L1", "L2"):
            with pytest.raises(StateError):
                ledger.record_usage(name, Usage(7), {})
        assert _used(ledger, clock) == 3

    # -- what can be read --------------------------------------------------------------------

    def test_a_look_takes_nothing(self, ledger: Ledger, clock: FakeClock) -> None:
        """Peek raises what a reservation would meet, and changes nothing."""
        for _ in range(3):
            ledger.peek([_charge(_LIMIT), _rate(1)], clock())
        with pytest.raises(BudgetExceededError):
            ledger.peek([_charge(_LIMIT + 1)], clock())

    def test_what_was_never_there(self, ledger: Ledger) -> None:
        """No lease: no state; nothing is switched off in a ledger with nothing in it."""
        assert ledger.lease_state("L1") == ""
        assert ledger.lease("L1") is None
        assert list(ledger.switches()) == []

    def test_a_lease_as_it_was_written(self, ledger: Ledger, clock: FakeClock) -> None:
        """Principal, actor, tool, environment, resource and times come back as they were."""
        written = replace(_lease("L1", clock()), actor="okta/bob", resource="arn:é")
        ledger.reserve(written, lambda _: (), {"event": "vend.intent", "lease": "L1"})
        found = ledger.lease("L1")
        assert found is not None
        assert replace(found, state="pending") == written

    def test_records(self, ledger: Ledger) -> None:
        """Records can be written, also one that is thinned out."""
        ledger.append({"event": "check", "principal": "okta/alice"})
        for _ in range(3):
            ledger.append_thinned("uid 1", {"event": "login.failed"})


def _reserve(ledger: Ledger, name: str, *charges: Charge, at: datetime) -> None:
    record = {"event": "vend.intent", "lease": name}
    ledger.reserve(_lease(name, at), lambda _now: charges, record)


def _issue(ledger: Ledger, name: str, clock: FakeClock) -> None:
    ends = clock() + timedelta(seconds=900)
    active = replace(_lease(name, clock()), state="active", ends_at=ends, credential_id="public")
    ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _switches: None)


def _lease(name: str, at: datetime) -> Lease:
    return Lease(
        *(name, "okta/alice", "s3_upload", "aws", "dev", "arn:aws:s3:::acme/*"),
        reserved_at=at,
        ends_at=at + timedelta(seconds=80),
        process="1:never",
    )


def _day(at: datetime) -> Window:
    start = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Window("day", start, start + timedelta(days=1))


def _charge(amount: int, name: str = "one", limit: int = _LIMIT) -> Charge:
    counter = json.dumps(["budget", "b", "day", "tokens", name], separators=(",", ":"))
    return Charge(counter, "tokens", _day(FakeClock().now), amount, limit, "b")


def _rate(count: int) -> Charge:
    counter = json.dumps(["rate", "r", f"{count}/minute", "okta/alice"], separators=(",", ":"))
    return Charge(counter, "rate", Rate(count, 60), 1, count, "r")


def _used(ledger: Ledger, clock: FakeClock) -> int:
    """Return what the counter holds, by how much still fits."""
    used = 0
    while True:
        try:
            ledger.peek([_charge(0, limit=used)], clock())
        except BudgetExceededError:
            used += 1
        else:
            return used
