"""The ledger on one machine: what each step of a request does to counters, leases and chain."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentauth_cli.errors import RevokedError, StateError
from agentauth_cli.ledger import rates
from agentauth_cli.ledger.process import alive
from agentauth_cli.ledger.recount import reserved
from agentauth_cli.ledger.remembering import Remembering
from agentauth_cli.ledger.rows import (
    HOLD,
    LEASE,
    MICRO,
    MOVED,
    bounded,
    charge_fields,
    lease_fields,
    lease_of,
    lease_row,
    micros,
    moment,
    stamp,
    usage_fields,
)
from agentauth_cli.ledger.spending import Spending
from agentauth_cli.model import Charge, Lease, Rate, Usage, Window
from agentauth_cli.policy.charges import exceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from agentauth_cli.policy.switches import Switch
    from agentauth_cli.ports import Record

_OPEN = f"SELECT {LEASE} FROM leases WHERE state NOT IN ('settled', 'released')"  # noqa: S608 - our own names
_LIVING = f"SELECT {LEASE} FROM leases WHERE state = 'settled' AND ends_at > ?"  # noqa: S608 - our own names
# Pending, and reserved later than its whole time to live from now: the clock was set back since,
# and what it holds must not be held until then.
_AHEAD = "(state = 'pending' AND reserved_at - ? > ends_at - reserved_at)"
_MINUTE = timedelta(minutes=1) // MICRO
NOTHING = Usage()


class SQLiteLedger(Spending, Remembering):
    """See `agentauth_cli.ports.Ledger`."""

    # -- the steps of a request --------------------------------------------------------------

    def reserve(
        self,
        lease: Lease,
        charges: Callable[[datetime], Sequence[Charge]],
        record: Record,
        usage: Usage = NOTHING,
    ) -> None:
        """Apply all charges of this moment or none; write the pending lease and the record."""
        self.settle_ended()
        with self.step() as now:
            taken = charges(now)
            for charge in taken:
                self._check(charge, now)
                self._take(lease.id, charge, now)
            row = lease_row(lease)
            places = ", ".join("?" * len(row))
            self.db.execute(f"INSERT INTO leases ({LEASE}) VALUES ({places})", row)  # noqa: S608 - our own names
            charged = [charge_fields(one) for one in taken]
            self.begin_usage(lease, reserved(bounded(usage), charged))
            self.write({**record, **usage_fields(usage), "charges": charged}, now)

    def pace(self, charges: Callable[[datetime], Sequence[Charge]], record: Record) -> None:
        """Take one request from rate limits that no lease is asked for, and write the record.

        Raises RateLimitExceededError for the first that it is too fast for; then none is taken.
        """
        with self.step() as now:
            taken = charges(now)
            for charge in taken:
                self._check(charge, now)
                self._take("", charge, now)
            self.write({**record, "charges": [charge_fields(one) for one in taken]}, now)

    def _check(self, charge: Charge, now: datetime) -> None:
        """Raise the LimitError of a charge that would go over."""
        if charge.amount < 0:
            raise StateError(f"a charge of {charge.amount} {charge.metric} would give, not take")
        if isinstance(charge.window, Window):
            used = sum(self._sums(charge.counter, micros(charge.window.start)))
            if used + charge.amount > charge.limit:
                raise exceeded(charge, used, now)
        elif charge.window.count == 0:
            raise exceeded(charge, 0, now)
        elif wait := rates.wait(charge.window, self._arrival(charge.counter), _nanos(now)):
            raise exceeded(charge, 0, now, wait / rates.SECOND)

    def _take(self, lease: str, charge: Charge, now: datetime) -> None:
        if isinstance(charge.window, Rate):
            arrival = rates.after(charge.window, self._arrival(charge.counter), _nanos(now))
            row = (charge.counter, arrival)
            self.db.execute("INSERT OR REPLACE INTO rates VALUES (?, ?)", row)
            return
        start = micros(charge.window.start)
        self.db.execute(
            "INSERT INTO counters (counter, start, reserved) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET reserved = reserved + excluded.reserved",
            (charge.counter, start, charge.amount),
        )
        self.db.execute(HOLD, (lease, charge.counter, start, charge.amount))

    def issue(
        self, lease: Lease, record: Record, recheck: Callable[[Sequence[Switch]], None]
    ) -> None:
        """Ask `recheck`; then the pending lease is active, until its credential ends."""
        with self.step() as now:
            recheck(self._switches())
            changed = self.db.execute(
                "UPDATE leases SET state = 'active', ends_at = ?, credential_id = ? "
                "WHERE id = ? AND state = 'pending'",
                (micros(lease.ends_at), lease.credential_id, lease.id),
            )
            if changed.rowcount != 1:
                if self._state(lease.id) != "released":
                    raise StateError(f"lease {lease.id} is not one that could be issued")
                raise RevokedError(
                    f"lease {lease.id} was revoked, or given up, while its credential was made"
                )
            self.write(record, now)

    def release(self, lease_id: str, record: Record) -> None:
        """Give back what a pending lease holds, and write the record.

        A lease that never came to be, since its reservation failed, holds nothing.
        """
        with self.step() as now:
            if self._state(lease_id) == "pending":
                self._end(lease_id, settled=False)
            self.write(record, now)

    def undelivered(self, lease_id: str, record: Record) -> None:
        """Note that an active lease's credential never reached its caller."""
        with self.step() as now:
            self.db.execute(
                "UPDATE leases SET state = 'undelivered' WHERE id = ? AND state = 'active'",
                (lease_id,),
            )
            self.write(record, now)

    def settle(self, lease_id: str, record: Record) -> bool:
        """End an issued lease before its credential does: what it reserved is spent.

        False, and nothing is written, where it is over already: settling twice counts once.
        """
        with self.step() as now:
            if self._state(lease_id) not in {"active", "undelivered"}:
                return False
            self._end(lease_id, settled=True)
            self.write(record, now)
            return True

    def revoked(self, lease_id: str, record: Record) -> None:
        """Note that an issued lease's credential is no more: it is settled, and ends now."""
        with self.step() as now:
            lease = self.lease(lease_id)
            if lease is not None and lease.state in {"active", "undelivered"}:
                self._end(lease_id, settled=True)
                self.write({"event": "lease.settled", **lease_fields(lease)}, now)
            self.db.execute(
                "UPDATE leases SET ends_at = min(ends_at, ?) WHERE id = ? AND state = 'settled'",
                (micros(now), lease_id),
            )
            self.write(record, now)

    def lease_state(self, lease_id: str) -> str:
        """Return how far a lease came, empty where there is none."""
        with self.reading():
            return self._state(lease_id)

    def append(self, record: Record) -> None:
        """Write one record."""
        with self.step() as now:
            self.write(record, now)

    def append_thinned(self, key: str, record: Record) -> None:
        """Write the record, at most one a minute for a key; `count` is how many it stands for."""
        with self.step() as now:
            query = "SELECT recorded_at, unrecorded FROM refusals WHERE peer = ?"
            recorded, unrecorded = self.db.execute(query, (key,)).fetchone() or (0, 0)
            if 0 <= micros(now) - recorded < _MINUTE:
                row = (key, recorded, unrecorded + 1)
            else:
                row = (key, micros(now), 0)
                self.write({**record, "count": unrecorded + 1}, now)
            self.db.execute("INSERT OR REPLACE INTO refusals VALUES (?, ?, ?)", row)

    # -- the end of leases -------------------------------------------------------------------

    def settle_ended(self) -> None:
        """Settle what has ended, release what was never issued in its time.

        A step of its own: it holds also where the request that follows is refused.
        """
        with self.reading():
            if not self._ended(self._clock()):
                return
        with self.step() as now:
            for lease in self._ended(now):
                if lease.state == "pending":
                    self._end(lease.id, settled=False)
                    event = {"event": "vend.failed", "reason": "orphaned: not issued in its time"}
                else:
                    self._end(lease.id, settled=True)
                    event = {"event": "lease.settled"}
                self.write({**event, **lease_fields(lease)}, now)

    def _ended(self, now: datetime) -> list[Lease]:
        query = f"{_OPEN} AND (ends_at <= ? OR {_AHEAD}) ORDER BY ends_at, id"
        return [lease_of(row) for row in self.db.execute(query, (micros(now), micros(now)))]

    def _end(self, lease_id: str, *, settled: bool) -> None:
        charges = "SELECT amount, counter, start FROM lease_charges WHERE lease = ?"
        for amount, counter, start in self.db.execute(charges, (lease_id,)).fetchall():
            self.db.execute(
                f"UPDATE counters SET spent = {MOVED.format('spent')}, "  # noqa: S608 - our own names
                f"reserved = {MOVED.format('reserved')} WHERE counter = ? AND start = ?",
                (amount if settled else 0, -amount, counter, start),
            )
        state = "settled" if settled else "released"
        if not settled:  # one that was settled may turn out to have used more
            self.db.execute("DELETE FROM lease_charges WHERE lease = ?", (lease_id,))
            self.db.execute("DELETE FROM usage WHERE id = ?", (lease_id,))
        self.db.execute("UPDATE leases SET state = ? WHERE id = ?", (state, lease_id))

    # -- what can be read --------------------------------------------------------------------

    def leases(self, now: datetime) -> list[Lease]:
        """Return the leases that are not over, oldest first, each as it stands at `now`.

        Also those that were settled before their end: their credentials live until then.
        """
        with self.reading():
            query = f"{_OPEN} UNION ALL {_LIVING} ORDER BY reserved_at, id"
            rows = self.db.execute(query, (micros(now),))
            return [_standing(lease_of(row), now) for row in rows]

    def issued(self, provider: str, environment: str, since: datetime) -> list[Lease]:
        """Return the leases of a provider's credentials that were reserved since, oldest first."""
        query = (
            f"SELECT {LEASE} FROM leases WHERE provider = ? AND environment = ? "  # noqa: S608 - our own names
            "AND reserved_at >= ? AND credential_id != '' ORDER BY reserved_at, id"
        )
        with self.reading():
            rows = self.db.execute(query, (provider, environment, micros(since)))
            return [_standing(lease_of(row), self._clock()) for row in rows]

    def lease(self, lease_id: str) -> Lease | None:
        """Return a lease as it stands now, also one that is over; None where there is none."""
        with self.reading():
            found = self._lease(lease_id)
            return _standing(found, self._clock()) if found else None

    def counters(
        self, starts: Collection[datetime] | None = None
    ) -> dict[tuple[str, str], tuple[int, int]]:
        """Return what is spent and what is reserved, by counter and start of its window.

        With `starts`, of the windows that began then alone.
        """
        query = "SELECT counter, start, spent, reserved FROM counters"
        wanted = [] if starts is None else [micros(one) for one in starts]
        if starts is not None:
            query += f" WHERE start IN ({', '.join('?' * len(wanted))})"
        with self.reading():
            rows = self.db.execute(query, wanted)
            return {
                (self._checked_name(row[0]), stamp(moment(row[1]))): (row[2], row[3])
                for row in rows
            }

    def arrivals(self) -> dict[str, int]:
        """Return the theoretical arrival times of the rate limits, by counter."""
        with self.reading():
            rows = self.db.execute("SELECT counter, arrival FROM rates")
            return {self._checked_name(counter): arrival for counter, arrival in rows}

    def _checked_name(self, counter: str) -> str:
        """Return the name of a counter; raise StateError where the policy names none like it."""
        try:
            parts = json.loads(counter)
        except (ValueError, RecursionError):
            parts = None
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            why = f"{counter!r} is no counter"
            raise StateError(f"{self.path} was changed by hand: {why}")
        return counter

    def used(self, counter: str, window: Window) -> tuple[int, int]:
        """Return what is spent and what is reserved of a counter in this window."""
        with self.reading():
            return self._sums(counter, micros(window.start))

    def peek(self, charges: Sequence[Charge], now: datetime) -> None:
        """Raise the LimitError that these charges would meet now; take nothing."""
        self.settle_ended()
        with self.reading():
            for charge in charges:
                self._check(charge, now)

    def _sums(self, counter: str, start: int) -> tuple[int, int]:
        query = "SELECT spent, reserved FROM counters WHERE counter = ? AND start = ?"
        row: tuple[int, int] = self.db.execute(query, (counter, start)).fetchone() or (0, 0)
        return row

    def _arrival(self, counter: str) -> int:
        query = "SELECT arrival FROM rates WHERE counter = ?"
        row: tuple[int] = self.db.execute(query, (counter,)).fetchone() or (0,)
        return row[0]

    def _state(self, lease_id: str) -> str:
        found = self._lease(lease_id)
        return found.state if found else ""


def _standing(lease: Lease, now: datetime) -> Lease:
    if lease.state == "pending" and not alive(lease.process):
        return replace(lease, state="orphaned")
    if lease.state == "active" and lease.ends_at <= now:
        return replace(lease, state="expired")
    return lease


def _nanos(now: datetime) -> int:
    return micros(now) * 1000
