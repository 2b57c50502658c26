"""The spans of time that limits hold for, minutes to months, on the clock of a zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from agentauth_cli.model import Unit, Window

UNITS: tuple[Unit, ...] = ("minute", "hour", "day", "week", "month")

_SECOND = timedelta(seconds=1)
_LENGTHS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


def window(unit: Unit, now: datetime, zone: tzinfo) -> Window:
    """Return the window of this unit that `now` lies in, on the clock of `zone`.

    Minutes and hours are those of the local clock, and end where it is put forward or back; a day
    starts at local midnight, or, where that does not exist, at the moment the clock jumps over it.
    """
    local = now.astimezone(zone)
    if unit in _LENGTHS:
        start = local.replace(second=0, microsecond=0)
        if unit == "hour":
            start = start.replace(minute=0)
        began = now.astimezone(UTC) - (local.replace(tzinfo=None) - start.replace(tzinfo=None))
        return _clipped(Window(unit, began, began + _LENGTHS[unit]), now, zone)
    first, after = _days(unit, local.date())
    return Window(unit, _midnight(first, zone), _midnight(after, zone))


def _clipped(whole: Window, now: datetime, zone: tzinfo) -> Window:
    """Return what of the window has the offset of `now`: some clocks change within an hour."""
    moment = now.astimezone(UTC).replace(microsecond=0)
    last = whole.end - _SECOND
    start, end = whole.start, whole.end
    if _offset(start, zone) != _offset(moment, zone):
        start = _change(start, moment, zone)
    if _offset(last, zone) != _offset(moment, zone):
        end = _change(moment, last, zone)
    return Window(whole.unit, start, end)


def _change(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the first second that has the offset of `after`; `before` has another."""
    while after - before > _SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if _offset(middle, zone) == _offset(after, zone):
            after = middle
        else:
            before = middle
    return after


def _offset(moment: datetime, zone: tzinfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _days(unit: Unit, day: date) -> tuple[date, date]:
    if unit == "day":
        return day, day + timedelta(days=1)
    if unit == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
