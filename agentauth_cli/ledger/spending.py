"""What was really used: by leases, and by programs that report it without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentauth_cli.errors import StateError
from agentauth_cli.ledger.rows import (
    HOLD,
    LEASE,
    MOVED,
    bounded,
    charge_fields,
    lease_fields,
    lease_of,
    micros,
    raised,
    usage_fields,
)
from agentauth_cli.ledger.store import Store
from agentauth_cli.model import Charged, Principal, Usage, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from agentauth_cli.model import Charge, Lease, Mark, Metric
    from agentauth_cli.ports import Record

_METRIC = 3  # of a counter's name: budget, id, unit, metric, values
_ISSUED = frozenset({"active", "undelivered", "settled"})
_PRINCIPALS = """
WITH RECURSIVE seen(id) AS (
    SELECT min(json_extract(record, '$.principal')) FROM records
    UNION ALL
    SELECT (SELECT min(json_extract(record, '$.principal')) FROM records
            WHERE json_extract(record, '$.principal') > seen.id)
    FROM seen WHERE seen.id IS NOT NULL
)
SELECT id FROM seen WHERE id IS NOT NULL
"""
"""Each principal once, by leaps through the index: not record by record."""


def _less(known: int | None, than: int) -> bool:
    return known is not None and known < than


class Spending(Store):
    """The part of a ledger that knows what leases took of which counter, and who spent what."""

    def begin_usage(self, lease: Lease, usage: Usage) -> None:
        """Note what is reserved for a lease, inside a step."""
        self._note_usage(lease.id, lease, micros(lease.reserved_at), usage, "allowance")

    def _note_usage(self, name: str, whose: Lease, at: int, usage: Usage, mark: Mark) -> None:
        used = (usage.tokens or 0, mark, usage.cost or 0, mark)
        row = (name, whose.principal, whose.actor, whose.provider, at, *used)
        self.db.execute("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def record_usage(
        self,
        lease_id: str,
        usage: Usage,
        record: Record,
        *,
        lower: bool = False,
        mark: Mark = "declared",
    ) -> None:
        """Count what a lease really used, also past its limits and after its end.

        It raises what the lease is charged, in the windows of its reservation; `lower` may lower
        it. Recording the same twice counts once. `mark` says how well it is known. Raises
        StateError for a lease that was never issued.
        """
        bounded(usage)
        with self.step() as now:
            lease, before = self._lease(lease_id), self.charged(lease_id)
            if lease is None or before is None or lease.state not in _ISSUED:
                raise StateError(f"lease {lease_id} was never issued", hint="See `lease list`")
            self.db.execute(
                "UPDATE usage SET tokens = ?, tokens_mark = ?, cost = ?, cost_mark = ? "
                "WHERE id = ?",
                (
                    raised(before.tokens, usage.tokens, lower=lower),
                    before.tokens_mark if usage.tokens is None else mark,
                    raised(before.cost, usage.cost, lower=lower),
                    before.cost_mark if usage.cost is None else mark,
                    lease_id,
                ),
            )
            known = {"tokens": usage.tokens, "cost": usage.cost}
            fell = self._raise_charges(
                lease_id, known, settled=lease.state == "settled", lower=lower
            )
            was = (before.tokens, before.cost)
            fell |= lower and any(map(_less, known.values(), was))
            said = {"event": "usage.recorded", "usage": mark, "lowered": fell or None}
            fields = {**lease_fields(lease), **usage_fields(usage)}
            self.write({**said, **fields, **record}, now)

    def _raise_charges(
        self, lease_id: str, known: Mapping[str, int | None], *, settled: bool, lower: bool
    ) -> bool:
        """Set what the lease takes of each counter; say whether any of it fell."""
        fell = False
        column = "spent" if settled else "reserved"
        query = "SELECT counter, start, amount FROM lease_charges WHERE lease = ?"
        for counter, start, amount in self.db.execute(query, (lease_id,)).fetchall():
            metric = json.loads(counter)[_METRIC]
            more = raised(amount, known.get(metric), lower=lower) - amount
            fell |= more < 0
            if more:
                self.db.execute(
                    f"UPDATE counters SET {column} = {MOVED.format(column)} "  # noqa: S608 - our own name
                    "WHERE counter = ? AND start = ?",
                    (more, counter, start),
                )
                self.db.execute(HOLD, (lease_id, counter, start, more))
        return fell

    def spend(
        self,
        whose: Lease,
        usage: Usage,
        charges: Callable[[datetime], Sequence[Charge]],
        record: Record,
    ) -> None:
        """Count what was used without a lease, also past every limit, and write the record.

        `whose` is principal, actor and provider; its id and times are not looked at.
        """
        bounded(usage)
        with self.step() as now:
            name = str(self.head()[0] + 1)
            self._note_usage(name, whose, micros(now), usage, "declared")
            charged = []
            for charge in charges(now):
                if isinstance(charge.window, Window):  # a rate counts requests, and this is none
                    self._spend(name, charge, micros(charge.window.start))
                    charged.append(charge_fields(charge))
            said = {"event": "usage.recorded", "usage": "declared", **usage_fields(usage)}
            who = {"principal": whose.principal, "actor": whose.actor, "provider": whose.provider}
            self.write({**said, **who, **record, "charges": charged}, now)

    def _spend(self, name: str, charge: Charge, start: int) -> None:
        self.db.execute(
            "INSERT INTO counters (counter, start, spent) VALUES (?, ?, ?) "  # noqa: S608 - our own name
            f"ON CONFLICT DO UPDATE SET spent = {MOVED.format('spent')}",
            (charge.counter, start, charge.amount, charge.amount),
        )
        self.db.execute(HOLD, (name, charge.counter, start, charge.amount))

    # -- what can be read --------------------------------------------------------------------

    def charged(self, lease_id: str) -> Charged | None:
        """Return what a lease is charged now, None where there is none or it was released."""
        query = "SELECT tokens, tokens_mark, cost, cost_mark FROM usage WHERE id = ?"
        with self.reading():
            row = self.db.execute(query, (lease_id,)).fetchone()
            return Charged(*row) if row else None

    def usages(self) -> dict[str, tuple[int, int]]:
        """Return tokens and micro-dollars of each lease, and of what was spent without one."""
        with self.reading():
            rows = self.db.execute("SELECT id, tokens, cost FROM usage")
            return {row[0]: (row[1], row[2]) for row in rows}

    def spent(self, principal: str, provider: str, window: Window) -> Usage:
        """Return what a principal used at a provider in a window, itself or through an actor."""
        # In halves: a sum of SQLite's own that is too large for it is an error.
        query = (
            "SELECT sum(tokens >> 32), sum(tokens & 4294967295), "
            "sum(cost >> 32), sum(cost & 4294967295) "
            "FROM usage WHERE {} = ? AND provider = ? AND at >= ? AND at < ? {}"
        )
        span = (micros(window.start), micros(window.end))
        tokens = cost = 0
        # Both columns are its id where it acts for itself: then the first has counted it.
        for column, unless in (("principal", ""), ("actor", "AND principal IS NOT actor")):
            with self.reading():
                row = self.db.execute(
                    query.format(column, unless), (principal, provider, *span)
                ).fetchone()
            tokens += ((row[0] or 0) << 32) + (row[1] or 0)
            cost += ((row[2] or 0) << 32) + (row[3] or 0)
        return Usage(tokens, cost)

    def marks(self, counter: str, window: Window, metric: Metric) -> set[Mark]:
        """Return how well a counter is known in a window; what is counted here is `exact`."""
        if metric in {"requests", "leases"}:
            return {"exact"}
        query = (
            f"SELECT DISTINCT {metric}_mark FROM lease_charges JOIN usage ON usage.id = lease "  # noqa: S608 - our own names
            "WHERE counter = ? AND start = ?"
        )
        with self.reading():
            return {mark for (mark,) in self.db.execute(query, (counter, micros(window.start)))}

    def principals(self) -> list[str]:
        """Return every principal that a record names, once."""
        with self.reading():
            return [row[0] for row in self.db.execute(_PRINCIPALS)]

    def seen(self, principal: str) -> Principal | None:
        """Return a principal with kind and groups, by the newest record that tells them, or None.

        Who acted for it then need not do so now.
        """
        query = (
            "SELECT record FROM records WHERE json_extract(record, '$.principal') = ? "
            "AND json_extract(record, '$.kind') IS NOT NULL ORDER BY seq DESC LIMIT 1"
        )
        with self.reading():
            row = self.db.execute(query, (principal,)).fetchone()
        if row is None:
            return None
        record = json.loads(row[0])
        return Principal(
            principal,
            principal.partition("/")[2],
            kind=record["kind"],
            groups=tuple(record.get("groups", ())),
        )

    def knows(self, principal: str) -> bool:
        """Say whether a record names this principal."""
        with self.reading():
            query = "SELECT 1 FROM records WHERE json_extract(record, '$.principal') = ? LIMIT 1"
            return self.db.execute(query, (principal,)).fetchone() is not None

    def acted(self, actor: str) -> bool:
        """Say whether there is a lease that was taken through this actor."""
        with self.reading():
            query = "SELECT 1 FROM leases WHERE actor = ? LIMIT 1"
            return self.db.execute(query, (actor,)).fetchone() is not None

    def _lease(self, lease_id: str) -> Lease | None:
        """Return the lease as it was written last."""
        query = f"SELECT {LEASE} FROM leases WHERE id = ?"  # noqa: S608 - our own names
        row = self.db.execute(query, (lease_id,)).fetchone()
        return lease_of(row) if row else None
