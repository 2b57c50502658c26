"""How `when` and `unless` are written in a policy file: from their tables to conditions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agentauth_cli.policy import pattern
from agentauth_cli.policy.conditions import (
    DAYS,
    UTC,
    Actor,
    After,
    Auth,
    Before,
    Calendar,
    Claim,
    SessionAge,
)
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Key, ListOf, Named, OneOrMore, Table, Value
from agentauth_cli.tables.zones import zone_name
from agentauth_cli.terms import AUTHS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.policy.conditions import Condition

HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]|24(?=:00)):([0-5][0-9])")


def conditions(entry: Mapping[str, Any] | None) -> tuple[Condition, ...] | None:
    """Return what a sound table, read by `CONDITIONS`, asks for; None where there is none."""
    if entry is None:
        return None
    found: list[Condition] = [Claim(*one) for one in (entry["claims"] or {}).items()]
    if entry["auth"]:
        found.append(Auth(entry["auth"]))
    if entry["after"]:
        found.append(After(entry["after"]))
    if entry["before"]:
        found.append(Before(entry["before"]))
    if entry["days"] or entry["hours"]:
        days = tuple(i for i, day in enumerate(DAYS) if day in (entry["days"] or ())) or None
        found.append(Calendar(days, entry["hours"], entry["tz"] or UTC))
    if entry["actor"]:
        found.append(Actor(entry["actor"]))
    if entry["max_session_age"]:
        found.append(SessionAge(entry["max_session_age"]))
    return tuple(found)


def _together(entry: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    after, before = entry["after"], entry["before"]
    if after and before and after >= before:
        found.append(("before", "is not later than `after`"))
    if entry["tz"] and not entry["days"] and not entry["hours"]:
        found.append(("tz", "means nothing without `days` or `hours`"))
    return found


def claim_name(name: str) -> str:
    """Return the name of a claim."""
    if not name:
        raise ValueError("an empty string names no claim")
    return name


def hours(value: Any) -> tuple[int, int]:
    """Return the minutes of the day where ``08:00-18:00`` starts and ends."""
    match = HOURS.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError('expected a span such as "08:00-18:00" (24:00 only as the end)')
    hour, minute, end_hour, end_minute = map(int, match.groups())
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if start == end:
        raise ValueError("the span ends where it starts: leave the key out for the whole day")
    return start, end


CONDITIONS = Table(
    {
        "claims": Key(Named(OneOrMore(Value(pattern.claim)), claim_name)),
        "auth": Key(ListOf(Value(values.Choice(*AUTHS)))),
        "after": Key(Value(values.moment)),
        "before": Key(Value(values.moment)),
        "days": Key(ListOf(Value(values.Choice(*DAYS)))),
        "hours": Key(Value(hours)),
        "tz": Key(Value(zone_name)),
        "actor": Key(ListOf(Value(pattern.identifier))),
        "max_session_age": Key(Value(values.duration)),
    },
    check=_together,
    between=("after", "before", "days", "hours", "tz"),
)
