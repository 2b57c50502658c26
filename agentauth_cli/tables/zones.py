"""Time zones, by the exact names of the `tzdata` package: the same on every machine."""

from __future__ import annotations

import importlib.resources
from datetime import UTC, tzinfo
from functools import cache
from typing import Any

from agentauth_cli.tables.shape import did_you_mean


@cache
def _names() -> frozenset[str]:
    return frozenset((importlib.resources.files("tzdata") / "zones").read_text().split())


def zone(value: Any) -> tzinfo:
    """Return the zone of this name; raises ValueError for an unknown one."""
    if value == "UTC":
        return UTC
    if not isinstance(value, str) or value not in _names():
        near = did_you_mean(value, sorted(_names())) if isinstance(value, str) else ""
        raise ValueError(f'expected a time zone such as "Europe/Paris"{near}')
    import zoneinfo

    source = importlib.resources.files("tzdata.zoneinfo").joinpath(*value.split("/"))
    with source.open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=value)
