"""Windows of time, minutes to months, on the clock of a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentauth_cli.model import Unit, Window
from agentauth_cli.policy.windows import UNITS, window
from agentauth_cli.tables.zones import zone
from support.policy_worlds import property_of

ZONES = [
    *("UTC", "Europe/Paris", "America/New_York", "America/St_Johns", "Asia/Kolkata"),
    *("Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana", "America/Santiago"),
    *("Africa/Cairo", "Asia/Beirut", "America/Nuuk", "Pacific/Apia", "Africa/Casablanca"),
    *("America/Scoresbysund", "Antarctica/Troll", "Pacific/Chatham"),
]


def at(text: str) -> datetime:
    """Read a time of UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "now", "name", "start", "end"),
    [
        ("minute", "2026-11-23T10:15:59.999999", "UTC", "2026-11-23T10:15", "2026-11-23T10:16"),
        ("minute", "2026-11-23T10:15", "UTC", "2026-11-23T10:15", "2026-11-23T10:16"),
        ("hour", "2026-11-23T10:15:30", "UTC", "2026-11-23T10:00", "2026-11-23T11:00"),
        ("hour", "2026-11-23T10:15", "Asia/Kolkata", "2026-11-23T09:30", "2026-11-23T10:30"),
        ("hour", "2026-11-23T10:15", "Asia/Kathmandu", "2026-11-23T10:15", "2026-11-23T11:15"),
        ("day", "2026-11-23T10:15", "UTC", "2026-11-23", "2026-11-24"),
        ("day", "2026-11-23T23:30", "Europe/Paris", "2026-11-23T23:00", "2026-11-24T23:00"),
        ("day", "2026-11-23T22:30", "Europe/Paris", "2026-11-22T23:00", "2026-11-23T23:00"),
        # The clock is put forward, then back: days of 23 and of 25 hours.
        ("day", "2026-03-29T12:00", "Europe/Paris", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("day", "2026-10-25T12:00", "Europe/Paris", "2026-10-24T22:00", "2026-10-25T23:00"),
        # The hour after two comes twice: two windows.
        ("hour", "2026-10-25T00:30", "Europe/Paris", "2026-10-25T00:00", "2026-10-25T01:00"),
        ("hour", "2026-10-25T01:30", "Europe/Paris", "2026-10-25T01:00", "2026-10-25T02:00"),
        # Midnight does not exist: the day starts when the clock jumps over it.
        ("day", "2026-03-08T12:00", "America/Havana", "2026-03-08T05:00", "2026-03-09T04:00"),
        ("day", "2026-03-29T12:00", "Asia/Beirut", "2026-03-28T22:00", "2026-03-29T21:00"),
        # Lord Howe's clock moves by half an hour: back from 02:00 to 01:30, on from 02:00 to 02:30.
        ("hour", "2026-04-04T14:45", "Australia/Lord_Howe", "2026-04-04T14:00", "2026-04-04T15:00"),
        ("hour", "2026-04-04T15:15", "Australia/Lord_Howe", "2026-04-04T15:00", "2026-04-04T15:30"),
        ("hour", "2026-04-04T15:45", "Australia/Lord_Howe", "2026-04-04T15:30", "2026-04-04T16:30"),
        ("hour", "2026-10-03T15:15", "Australia/Lord_Howe", "2026-10-03T14:30", "2026-10-03T15:30"),
        ("hour", "2026-10-03T15:45", "Australia/Lord_Howe", "2026-10-03T15:30", "2026-10-03T16:00"),
        ("day", "2026-04-04T15:15", "Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-05T13:30"),
        # Colombo's clock was put back from 00:30 to 00:00.
        ("hour", "1996-10-25T17:45", "Asia/Colombo", "1996-10-25T17:30", "1996-10-25T18:00"),
        ("hour", "1996-10-25T18:15", "Asia/Colombo", "1996-10-25T18:00", "1996-10-25T19:00"),
        # Weeks are those of ISO 8601: Monday to Sunday, over the end of a year.
        ("week", "2026-11-23", "UTC", "2026-11-23", "2026-11-30"),
        ("week", "2026-11-22T23:59:59", "UTC", "2026-11-16", "2026-11-23"),
        ("week", "2027-01-01", "UTC", "2026-12-28", "2027-01-04"),
        ("week", "2026-03-29T12:00", "Europe/Paris", "2026-03-22T23:00", "2026-03-29T22:00"),
        ("month", "2026-02-28T23:59:59", "UTC", "2026-02-01", "2026-03-01"),
        ("month", "2028-02-29", "UTC", "2028-02-01", "2028-03-01"),
        ("month", "2026-12-31T23:59:59", "UTC", "2026-12-01", "2027-01-01"),
        ("month", "2026-01-31", "UTC", "2026-01-01", "2026-02-01"),
        ("month", "2026-10-31T22:59", "Europe/Paris", "2026-09-30T22:00", "2026-10-31T23:00"),
    ],
)
def test_windows(unit: Unit, now: str, name: str, start: str, end: str) -> None:
    """Windows follow the clock of `tz`; default UTC."""
    assert window(unit, at(now), zone(name)) == Window(unit, at(start), at(end))


def test_a_day_that_was_left_out() -> None:
    """Apia went from the 29th to the 31st of December 2011: the 30th is no window of anybody."""
    apia = zone("Pacific/Apia")
    before = window("day", at("2011-12-30T09:59"), apia)
    after = window("day", at("2011-12-30T10:01"), apia)
    assert (before.end, after.start) == (at("2011-12-30T10:00"), at("2011-12-30T10:00"))


def test_the_offset_that_now_is_written_in_changes_nothing() -> None:
    """A window is one of the zone's clock, in UTC, however the time is written."""
    now = at("2026-11-23T10:15")
    for unit in UNITS:
        for name in ZONES:
            written = now.astimezone(zone("Asia/Kathmandu"))
            assert window(unit, written, zone("UTC")) == window(unit, now, zone("UTC"))
            assert window(unit, now, zone(name)).start.tzinfo is UTC


@property_of(1_500)
@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(ZONES),
    st.sampled_from(UNITS),
)
@example(at("2026-04-04T15:10"), "Australia/Lord_Howe", "hour")
@example(at("2026-10-03T15:40"), "Australia/Lord_Howe", "hour")
def test_windows_tile_time(now: datetime, name: str, unit: Unit) -> None:
    """Each moment lies in one window, and each ends where the next begins."""
    clock = zone(name)
    whole = window(unit, now, clock)
    assert whole.start <= now < whole.end
    assert window(unit, whole.start, clock) == whole
    assert window(unit, whole.end - timedelta(microseconds=1), clock) == whole
    assert window(unit, whole.end, clock).start == whole.end


@pytest.mark.parametrize("name", ["Australia/Lord_Howe", "Europe/Paris", "America/Havana"])
@pytest.mark.parametrize("unit", ["hour", "day"])
def test_windows_tile_the_days_of_change(name: str, unit: Unit) -> None:
    """Each moment lies in one window, also where the clock is put forward or back."""
    clock, now = zone(name), at("2026-01-01")
    while now < at("2027-01-01"):
        whole = window(unit, now, clock)
        assert whole.start <= now < whole.end <= whole.start + timedelta(hours=25)
        assert window(unit, whole.end, clock).start == whole.end
        now = whole.end
