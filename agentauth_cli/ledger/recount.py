"""Every counter, and what each lease took, once more: from the records alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import StateError
from agentauth_cli.ledger import rates
from agentauth_cli.ledger.rows import micros, moved, raised
from agentauth_cli.model import Usage
from agentauth_cli.tables.values import rate, written

if TYPE_CHECKING:
    from agentauth_cli.ledger.chain import Row

Counters = Mapping[tuple[str, str], tuple[int, int]]


def said(record: Mapping[str, Any]) -> Usage:
    """Return the tokens and the cost that a record says."""
    cost = record.get("cost")
    return Usage(record.get("tokens"), None if cost is None else written(cost))


def reserved(usage: Usage, charges: Iterable[Mapping[str, Any]]) -> Usage:
    """Return what a `vend.intent` reserved: nothing is 0.

    Records of schema 1 say it in their charges alone.
    """
    found = {"tokens": usage.tokens or 0, "cost": usage.cost or 0}
    for charge in charges:
        if (metric := charge.get("metric")) in found:
            found[metric] = max(found[metric], charge["amount"])
    return Usage(**found)


@dataclass
class Recount:
    """What the records say: spent and reserved by counter and window, arrivals by rate.

    `used` is tokens and cost of each lease, and of what was reported without one.
    """

    counters: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    arrivals: dict[str, int] = field(default_factory=dict)
    used: dict[str, tuple[int, int]] = field(default_factory=dict)
    held: dict[str, dict[tuple[str, str], dict[str, Any]]] = field(default_factory=dict)
    issued: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take the next record into account."""
        lease = record.get("lease", "")
        match record.get("event"):
            case "vend.intent":
                self._reserve(lease, record)
            case "vend.issued":
                self.issued.add(lease)
            case "vend.failed" | "vend.denied" if lease not in self.issued:
                self._give_back(lease)
            case "lease.revoked" if lease not in self.issued:
                self._give_back(lease)
            case "lease.settled":
                self._settle(lease)
            case "usage.recorded" if lease:
                self._raise(lease, record)
            case "usage.recorded":
                self._spend(record)

    def _reserve(self, lease: str, record: Mapping[str, Any]) -> None:
        used = reserved(said(record), record.get("charges", ()))
        self.used[lease] = (used.tokens or 0, used.cost or 0)
        held = self.held.setdefault(lease, {})
        for charge in self._windows(record):
            self._move(charge, 0, charge["amount"])
            same = held.setdefault((charge["counter"], charge["start"]), {**charge, "amount": 0})
            same["amount"] += charge["amount"]

    def _windows(self, record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the charges on windows; those on rates are counted here."""
        at = micros(datetime.fromisoformat(record["at"])) * 1000
        for charge in record.get("charges", ()):
            if "rate" in charge:
                so_far = self.arrivals.get(charge["counter"], 0)
                self.arrivals[charge["counter"]] = rates.after(rate(charge["rate"]), so_far, at)
            else:
                yield charge

    def _give_back(self, lease: str) -> None:
        self.used.pop(lease, None)
        for charge in self.held.pop(lease, {}).values():
            self._move(charge, 0, -charge["amount"])

    def _settle(self, lease: str) -> None:
        if lease not in self.over:
            self.over.add(lease)
            for charge in self.held.get(lease, {}).values():
                self._move(charge, charge["amount"], -charge["amount"])

    def _raise(self, lease: str, record: Mapping[str, Any]) -> None:
        lower = bool(record.get("lowered"))
        usage = said(record)
        known = {"tokens": usage.tokens, "cost": usage.cost}
        tokens, spent = self.used[lease]
        self.used[lease] = (
            raised(tokens, known["tokens"], lower=lower),
            raised(spent, known["cost"], lower=lower),
        )
        for charge in self.held.get(lease, {}).values():
            more = raised(charge["amount"], known.get(charge["metric"]), lower=lower)
            more -= charge["amount"]
            self._move(charge, *((more, 0) if lease in self.over else (0, more)))
            charge["amount"] += more

    def _spend(self, record: Mapping[str, Any]) -> None:
        """Count what was reported, or counted, without a lease."""
        if "tokens" in record or "cost" in record:
            usage = said(record)
            self.used[str(record["seq"])] = (usage.tokens or 0, usage.cost or 0)
        for charge in self._windows(record):
            self._move(charge, charge["amount"], 0)

    def _move(self, charge: Mapping[str, Any], spent: int, reserved: int) -> None:
        key = (charge["counter"], charge["start"])
        before = self.counters.get(key, (0, 0))
        self.counters[key] = (moved(before[0], spent), moved(before[1], reserved))


def recount(rows: Iterable[Row]) -> Recount:
    """Return the sums of a chain that has been verified.

    Raises StateError for a record that cannot be counted: none of ours, though its hash holds.
    """
    total = Recount()
    for row in rows:
        try:
            total.add(json.loads(row.record))
        except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError):
            raise StateError(f"record {row.seq} cannot be counted") from None
    return total


def differences(
    total: Recount,
    counters: Counters,
    arrivals: Mapping[str, int],
    used: Mapping[str, tuple[int, int]],
) -> list[str]:
    """Return, in words, where the ledger's counters differ from the records."""
    wrong = [
        f"counter {key[0]} from {key[1]}: spent and reserved {counters.get(key, (0, 0))}, "
        f"by the records {total.counters.get(key, (0, 0))}"
        for key in sorted(counters.keys() | total.counters.keys(), key=str)
        if counters.get(key, (0, 0)) != total.counters.get(key, (0, 0))
    ]
    wrong += [
        f"rate {name}: differs from the records"
        for name in sorted(arrivals.keys() | total.arrivals.keys(), key=str)
        if arrivals.get(name) != total.arrivals.get(name)
    ]
    wrong += [
        f"usage {name}: tokens and micro-dollars {used.get(name)}, "
        f"by the records {total.used.get(name)}"
        for name in sorted(used.keys() | total.used.keys(), key=str)
        if used.get(name) != total.used.get(name)
    ]
    return wrong
