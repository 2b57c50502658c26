"""Time zones, by the exact names of the `tzdata` package: the same on every machine."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import cache
from typing import Any

from agentauth_cli.tables.shape import nearest


@cache
def _names() -> frozenset[str]:
    from importlib import resources

    return frozenset((resources.files("tzdata") / "zones").read_text().split())


def zone_name(value: Any) -> str:
    """Return the name of a zone; raises ValueError for an unknown one."""
    if value != "UTC" and (not isinstance(value, str) or value not in _names()):
        near = _near(value) if isinstance(value, str) else ""
        raise ValueError(f'expected a time zone such as "Europe/Paris"{near}')
    return str(value)


@cache
def _read(name: str) -> tzinfo:
    import zoneinfo
    from importlib import resources

    source = resources.files("tzdata.zoneinfo").joinpath(*name.split("/"))
    with source.open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=name)


def zone(value: Any) -> tzinfo:
    """Return the zone of this name; raises ValueError for an unknown one."""
    name = zone_name(value)
    return UTC if name == "UTC" else _read(name)


def _near(name: str) -> str:
    """Return the nearest zone, or that of the nearest place where no zone is near."""
    zones = sorted(_names())
    places = {zone.rpartition("/")[2]: zone for zone in zones}
    near = nearest(name, zones) or places.get(nearest(name, places), "")
    return f": did you mean `{near}`?" if near else ""
