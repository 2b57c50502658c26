"""Time zones, by the exact names of the `tzdata` package."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agentauth_cli.tables.zones import zone


@pytest.mark.parametrize(
    ("name", "hours"),
    [("UTC", 0), ("Europe/Paris", 2), ("America/Argentina/Ushuaia", -3), ("GMT", 0), ("Zulu", 0)],
)
def test_zones(name: str, hours: int) -> None:
    """`tz` is an exact name of the `tzdata` package's list."""
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC).astimezone(zone(name))
    assert moment.utcoffset() == timedelta(hours=hours)


def test_utc_is_the_default() -> None:
    """`tz` defaults to UTC."""
    assert zone("UTC") is UTC


@pytest.mark.parametrize(
    "name",
    [
        *("", "utc", "europe/paris", "Europe/Pari", "Europe", "/Europe/Paris", "../zones", "zones"),
        *("Europe/../Europe/Paris", "Europe/Paris\n", "Europe//Paris", "UTC+1", "localtime"),
        *(1, None, True, ["UTC"], {"a": 1}, 1.5, "x" * 5_000_000),
    ],
)
@pytest.mark.timeout(20)
def test_no_zones(name: object) -> None:
    """Anything else is refused, and no file outside of the package is looked for."""
    with pytest.raises(ValueError, match="expected a time zone such as"):
        zone(name)


def test_the_nearest_zone_is_named() -> None:
    """The nearest right one is told."""
    for near in ("Europe/Pari", "europe/paris", "Pairs", "PARIS"):
        with pytest.raises(ValueError, match="did you mean `Europe/Paris`"):
            zone(near)
    with pytest.raises(ValueError, match=r'such as "Europe/Paris"$'):
        zone("zzzzzz")


def test_a_zone_is_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zones come from the package alone, not from where the environment points."""
    monkeypatch.setenv("PYTHONTZPATH", "/nowhere")
    assert str(zone("Europe/Paris")) == "Europe/Paris"
