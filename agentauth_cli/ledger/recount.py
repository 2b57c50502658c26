"""Every counter once more, from the records alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import StateError
from agentauth_cli.ledger import rates
from agentauth_cli.ledger.rows import micros
from agentauth_cli.tables.values import rate

if TYPE_CHECKING:
    from agentauth_cli.ledger.chain import Row

Counters = Mapping[tuple[str, str], tuple[int, int]]


@dataclass
class Recount:
    """What the records say: spent and reserved by counter and window, arrivals by rate."""

    counters: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    arrivals: dict[str, int] = field(default_factory=dict)
    held: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    issued: set[str] = field(default_factory=set)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take the next record into account."""
        lease = record.get("lease", "")
        match record.get("event"):
            case "vend.intent":
                self._reserve(lease, record)
            case "vend.issued":
                self.issued.add(lease)
            case "vend.failed" | "vend.denied" if lease not in self.issued:
                self._end(lease, settled=False)
            case "lease.settled":
                self._end(lease, settled=True)

    def _reserve(self, lease: str, record: Mapping[str, Any]) -> None:
        at = micros(datetime.fromisoformat(record["at"])) * 1000
        for charge in record.get("charges", ()):
            counter = charge["counter"]
            if "rate" in charge:
                so_far = self.arrivals.get(counter, 0)
                self.arrivals[counter] = rates.after(rate(charge["rate"]), so_far, at)
            else:
                self._move(charge, 0, charge["amount"])
                self.held.setdefault(lease, []).append(charge)

    def _end(self, lease: str, *, settled: bool) -> None:
        for charge in self.held.pop(lease, ()):
            self._move(charge, charge["amount"] if settled else 0, -charge["amount"])

    def _move(self, charge: Mapping[str, Any], spent: int, reserved: int) -> None:
        key = (charge["counter"], charge["start"])
        before = self.counters.get(key, (0, 0))
        self.counters[key] = (before[0] + spent, before[1] + reserved)


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


def differences(total: Recount, counters: Counters, arrivals: Mapping[str, int]) -> list[str]:
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
    return wrong
