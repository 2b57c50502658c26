"""The single values of the files."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.model import Rate
from agentauth_cli.tables import values
from support.policy_worlds import property_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parse", "given_as", "meant"),
    [
        (values.text, "x", "x"),
        (values.boolean, True, True),
        (values.boolean, False, False),
        (values.always, True, True),
        (values.integer, 0, 0),
        (values.integer, 2**63 - 1, 2**63 - 1),
        (partial(values.integer, low=-1, high=1), -1, -1),
        (values.version, 1, 1),
        (values.Choice("a", "b"), "b", "b"),
        (values.duration, "900s", 900),
        (values.duration, "15m", 900),
        (values.duration, "1h", 3600),
        (values.duration, "7d", 604_800),
        (values.duration, "007s", 7),
        (values.duration, "999999999d", 999_999_999 * 86400),
        (values.money, "0", 0),
        (values.money, "0.50", 500_000),
        (values.money, "0.5", 500_000),
        (values.money, "00.000001", 1),
        (values.money, "999999999999.999999", 10**18 - 1),
        (values.tokens, 10**15, 10**15),
        (values.cost, "1000000000", 10**15),
        (values.affordable, 10**15, 10**15),
        (values.written, values.dollars(10**40 + 1), 10**40 + 1),
        (values.rate, "30/minute", Rate(30, 60)),
        (values.rate, "0/second", Rate(0, 1)),
        (values.rate, "1/hour", Rate(1, 3600)),
        (values.rate, "999999999/day", Rate(999_999_999, 86400)),
        (values.moment, NOW, NOW),
        (values.moment, NOW.astimezone(timezone(timedelta(hours=2))), NOW),
    ],
)
def test_values(parse: Callable[[Any], Any], given_as: Any, meant: Any) -> None:
    """Durations, money, rates, integers, date-times and names."""
    found = parse(given_as)
    assert found == meant
    assert type(found) is type(meant)


NO_DURATIONS = ["0s", "000m", "", "s", "1", "1w", "1ms", "-1s", "+1s", "1.5h", " 1s", "1s\n", "1 s"]
NO_DURATIONS += ["1S", "1_0s", "1234567890s", "\u0661s", "1h30m", "\u00b2s"]
NO_MONEY = ["", ".5", "5.", "-1", "+1", "1e3", "1,5", " 1", "1\n", "$1", "nan", "inf", "0x1", "1_0"]
NO_MONEY += ["1234567890123", "0.1234567", "\u0661", "1.5.0", "1.\u0665"]
NO_RATES = ["", "30", "/minute", "30/", "30/week", "30/month", "30/min", "30 / minute", "-1/day"]
NO_RATES += [
    "1.5/day",
    "1234567890/day",
    "1/Day",
    "1/day\n",
    "\u0661/day",
    "30/minutes",
    "1/day/day",
]


@pytest.mark.parametrize(
    ("parse", "bad", "said"),
    [
        *((values.duration, one, "expected a duration such as") for one in NO_DURATIONS),
        *((values.money, one, "expected an amount in USD") for one in NO_MONEY),
        *((values.rate, one, "expected a rate such as") for one in NO_RATES),
        (values.text, "", "an empty string: leave the key out"),
        (values.boolean, 1, "expected true or false, got an integer"),
        (values.always, False, "can only be true"),
        (values.always, 1, "can only be true"),
        (values.integer, True, "expected an integer, got true or false"),
        (values.integer, -1, "expected an integer from 0 to 9223372036854775807"),
        (values.integer, 2**63, "expected an integer from 0 to"),
        (values.tokens, 10**15 + 1, "expected an integer from 0 to 1000000000000000"),
        (values.cost, "1000000000.000001", r"expected \$1000000000.00 at most, not \$1000000000.0"),
        (values.written, "-1.00", "expected an amount"),
        (values.written, 1, "expected an amount"),
        (values.version, True, "expected the integer 1"),
        (values.version, 1.0, "expected the integer 1"),
        (values.version, 2, "expected the integer 1"),
        (values.Choice("allow", "deny"), "alow", "one of allow, deny: did you mean `allow`?"),
        (values.Choice("allow"), "x", "expected one of allow"),
        (values.Choice("allow"), ["allow"], "expected one of allow"),
        (values.moment, date(2026, 1, 1), "expected a date-time"),
        (values.moment, "2026-11-23T10:00:00Z", "got a string"),
        (values.moment, NOW.replace(tzinfo=None), "a local date-time: add Z or an offset"),
        (
            values.moment,
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            "outside the years 1 to 9999",
        ),
        (
            values.moment,
            datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
            "outside the years 1 to 9999",
        ),
    ],
)
def test_what_is_none(parse: Callable[[Any], Any], bad: Any, said: str) -> None:
    """Never a float for money, no sign, ASCII digits, more than zero for a duration."""
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        parse(bad)


ANYTHING: SearchStrategy[Any] = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.dates()),
    *(st.datetimes(), st.times(), st.lists(st.integers(), max_size=2), st.just({"a": 1})),
    st.text("0123456789.smhd/", max_size=6),
)
PARSERS: list[Callable[[Any], Any]] = [
    *(values.text, values.boolean, values.always, values.integer, values.version),
    *(values.duration, values.money, values.rate, values.moment, values.Choice("a")),
    *(values.tokens, values.cost, values.written),
]


@pytest.mark.parametrize("parse", PARSERS)
@property_of(100)
@given(value=ANYTHING)
def test_anything_is_a_value_or_refused(parse: Callable[[Any], Any], value: Any) -> None:
    """Each function returns a meaning or raises ValueError, whatever it is given."""
    try:
        parse(value)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - both ways are right, but a refusal says why


@property_of(500)
@given(st.integers(0, 10**18 - 1))
def test_money_is_exact(micro: int) -> None:
    """Money: a string, 1 to 12 digits, optionally a point and 1 to 6 digits; never a float."""
    assert values.money(values.dollars(micro)) == micro


@pytest.mark.parametrize(
    ("micro", "shown"),
    [(0, "0.00"), (500_000, "0.50"), (1, "0.000001"), (10**6, "1.00"), (1_234_560, "1.23456")],
)
def test_dollars(micro: int, shown: str) -> None:
    """Amounts are decimal strings, with at least two digits behind the point."""
    assert values.dollars(micro) == shown


@property_of(300)
@given(st.integers(0, 999_999_999), st.sampled_from(["second", "minute", "hour", "day"]))
def test_a_rate_is_written_as_it_is_read(count: int, unit: str) -> None:
    """A rate shows itself as it would stand in the file."""
    assert str(values.rate(f"{count}/{unit}")) == f"{count}/{unit}"
