"""How times, leases and charges stand in the tables and in records."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import StateError
from agentauth_cli.model import Charge, Lease, Rate, Usage
from agentauth_cli.tables.values import MAX_INTEGER, MOST, dollars

if TYPE_CHECKING:
    from collections.abc import Sequence

MICRO = timedelta(microseconds=1)
LEASE = ", ".join(field.name for field in fields(Lease))
"""The columns of a lease, in the order of its fields."""

HOLD = (
    "INSERT INTO lease_charges VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"
)
"""Notes what a lease takes of a counter: lease, counter, start, amount."""

MOVED = f"max(0, min({{0}} + ?, {MAX_INTEGER}))"
"""The same as `moved`, of a column."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    """Return microseconds since 1970."""
    return (moment - _EPOCH) // MICRO


def moment(count: int) -> datetime:
    """Return the time of microseconds since 1970."""
    return _EPOCH + count * MICRO


def stamp(at: datetime) -> str:
    """Return a time as records hold it: RFC 3339 in UTC, microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def optional_micros(at: datetime | None) -> int | None:
    """Return microseconds since 1970, or None for no time."""
    return None if at is None else micros(at)


def optional_moment(count: int | None) -> datetime | None:
    """Return the time of microseconds since 1970, or None for none."""
    return None if count is None else moment(count)


def lease_row(lease: Lease) -> tuple[Any, ...]:
    """Return a lease as its row."""
    values = (getattr(lease, field.name) for field in fields(lease))
    return tuple(micros(value) if isinstance(value, datetime) else value for value in values)


def lease_of(row: Sequence[Any]) -> Lease:
    """Return the lease of a row."""
    named = dict(zip(LEASE.split(", "), row, strict=True))
    named["reserved_at"] = moment(named["reserved_at"])
    named["ends_at"] = moment(named["ends_at"])
    return Lease(**named)


def lease_fields(lease: Lease) -> dict[str, Any]:
    """Return what a record says of a lease."""
    return {
        "lease": lease.id,
        "principal": lease.principal,
        "actor": lease.actor,
        "tool": lease.tool,
        "provider": lease.provider,
        "environment": lease.environment,
    }


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Return what a record says of tokens and cost."""
    return {
        "tokens": usage.tokens,
        "cost": None if usage.cost is None else dollars(usage.cost),
    }


def bounded(usage: Usage) -> Usage:
    """Return a usage that can be counted. Raises StateError."""
    for amount in (usage.tokens, usage.cost):
        if amount is not None and not 0 <= amount <= MOST:
            raise StateError(f"a usage is from 0 to {MOST} tokens or micro-dollars, not {amount}")
    return usage


def moved(whole: int, by: int) -> int:
    """Return a sum with `by` more, at its bound where it would pass it.

    What was really used counts past every limit. Where no integer holds it, it must not keep
    leases from ending: nobody could vend any more.
    """
    return max(0, min(whole + by, MAX_INTEGER))


def raised(before: int, known: int | None, *, lower: bool) -> int:
    """Return what is charged once `known` was used, None where nothing is known.

    It only ever grows, but for who may also set it `lower`: the caller could otherwise set its own
    price.
    """
    if known is None:
        return before
    return known if lower else max(before, known)


def charge_fields(charge: Charge) -> dict[str, Any]:
    """Return what a record says of a charge."""
    span = charge.window
    where = {"rate": str(span)} if isinstance(span, Rate) else {"start": stamp(span.start)}
    return {
        "counter": charge.counter,
        "metric": charge.metric,
        "amount": charge.amount,
        "source": charge.source,
        **where,
    }
