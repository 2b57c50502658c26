"""How times, leases and charges stand in the tables and in records."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.ledger import rows
from agentauth_cli.model import Lease
from support.clock import START, FakeClock
from support.ledgers import DAY, charge, lease, named, opened, rate

if TYPE_CHECKING:
    from pathlib import Path

MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS)
def test_times_come_back(at: datetime) -> None:
    """Microseconds since 1970 lose nothing."""
    assert rows.moment(rows.micros(at)) == at
    assert rows.optional_moment(rows.optional_micros(at)) == at


def test_no_time() -> None:
    """No time stays none."""
    assert rows.optional_micros(None) is None
    assert rows.optional_moment(None) is None


def test_known_times() -> None:
    """The epoch is 0, and a time before it negative."""
    assert rows.micros(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert rows.micros(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == -1
    assert rows.micros(START) == 1_795_428_000_000_000


@given(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 - hypothesis adds the zone
def test_stamps_come_back(at: datetime) -> None:
    """RFC 3339 in UTC, microseconds: whatever the zone, the same moment in the same form."""
    text = rows.stamp(at)
    assert datetime.fromisoformat(text) == at.astimezone(UTC)
    assert len(text) == len("2026-11-23T10:00:00.000000Z")
    assert text.endswith("Z")


def test_a_stamp() -> None:
    """The form is fixed, so that stamps sort as their times."""
    east = timezone(timedelta(hours=5, minutes=30))
    assert rows.stamp(START.astimezone(east)) == "2026-11-23T10:00:00.000000Z"


@given(MOMENTS, MOMENTS, st.text(), st.none() | st.text())
def test_leases_come_back(reserved: datetime, ends: datetime, text: str, actor: str | None) -> None:
    """A lease is the same behind its row."""
    made = Lease(
        "L1",
        text,
        text,
        text,
        text,
        text,
        reserved,
        ends,
        "active",
        actor,
        text,
        text,
    )
    assert rows.lease_of(rows.lease_row(made)) == made


def test_the_columns(tmp_path: Path) -> None:
    """The table has a column for each field of a lease, and no other."""
    with opened(tmp_path, FakeClock()) as ledger:
        columns = {row[1] for row in ledger.db.execute("PRAGMA table_info(leases)")}
    assert columns == {one.name for one in fields(Lease)} == set(rows.LEASE.split(", "))


def test_what_records_say_of_a_lease() -> None:
    """Who, with what, where: as in every other record."""
    assert rows.lease_fields(lease("L1", actor="okta/bot")) == {
        "lease": "L1",
        "principal": "okta/alice",
        "actor": "okta/bot",
        "tool": "s3_upload",
        "provider": "aws",
        "environment": "dev",
    }


def test_what_records_say_of_a_charge() -> None:
    """So that every counter can be recounted from it: counter, amount, and window or rate."""
    assert rows.charge_fields(charge(7)) == {
        "counter": named("sums"),
        "metric": "tokens",
        "amount": 7,
        "source": "b1",
        "start": rows.stamp(DAY.start),
    }
    assert rows.charge_fields(rate(30))["rate"] == "30/minute"
    assert json.dumps(rows.charge_fields(rate(30)))
