"""Every row and sentence of "Obligations": what each may say, and what several come to."""

from __future__ import annotations

from typing import Any

import pytest

from agentauth_cli.model import Obligation, Rate
from agentauth_cli.policy.decide import evaluate
from agentauth_cli.policy.rules import load
from support.policy_worlds import QUESTION, policy_of, rule, written

FIGURES = "٣３³"
"""Digits that are not ASCII's."""


def held(*values: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what holds of allow rules with these obligations, by id."""
    policy = policy_of([rule(one, obligations=said) for one, said in values])
    return dict(evaluate(policy, QUESTION).obligations)


def smallest(name: str, *values: Any) -> tuple[Any, str]:
    """Return value and rule of the one that holds, of rules a, b, c … with these values."""
    said = zip("abcdef", values, strict=False)
    (found,) = held(*((one, {name: value}) for one, value in said), ("z", {"must_log": True}))[name]
    return found.value, found.rule


def means(name: str, value: Any) -> Any:
    """Return what an obligation means, None where it is a load error."""
    policy, problems = load([("p.toml", written([rule(obligations={name: value})]))])
    if policy is None:
        assert [one.key for one in problems] == [f"rule.obligations.{name}"]
        return None
    entries = evaluate(policy, QUESTION).obligations[name]
    return entries[0].value if len(entries) == 1 else [one.value for one in entries]


def refused(obligation: str) -> list[str]:
    """Return the load errors of an obligation as TOML has it."""
    text = written([rule()]) + f"obligations = {{ {obligation} }}\n".encode()
    policy, problems = load([("p.toml", text)])
    assert policy is None
    return [one.message for one in problems]


# The rows


def test_max_duration() -> None:
    """`max_duration`: the shortest."""
    assert smallest("max_duration", "1h", "16m", "15m", "900s", "1d") == (900, "c")
    assert smallest("max_duration", "900s", "15m") == (900, "a")


def test_max_tokens() -> None:
    """`max_tokens`: the smallest."""
    assert smallest("max_tokens", 5, 0, 0, 9) == (0, "b")


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1])
def test_tokens(value: int) -> None:
    """`max_tokens` is integer, 0 to 2^63-1."""
    assert means("max_tokens", value) == value


@pytest.mark.parametrize(
    "value",
    [
        *("-1", "9223372036854775808", "1" + "0" * 40, "1.0", "1e3", "1e309", "inf", "nan", "true"),
        *('"5"', "[5]", "{}", "2026-01-01"),
    ],
)
def test_no_tokens(value: str) -> None:
    """`max_tokens` is integer, 0 to 2^63-1: anything else is a load error."""
    (error,) = refused(f"max_tokens = {value}")
    assert error.startswith("expected an integer")


def test_max_cost() -> None:
    """`max_cost`: the smallest."""
    assert smallest("max_cost", "2", "0.50", "0.5", "10") == (500_000, "b")


def test_costs() -> None:
    """`max_cost` is decimal string in USD, "0.50"."""
    policy = policy_of([rule(obligations={"max_cost": "0.50"})])
    assert str(evaluate(policy, QUESTION).max_cost) == "0.50"


def test_rate_limit() -> None:
    """`rate_limit`: all of them, each counted per principal and rule."""
    found = held(("b", {"rate_limit": "1/day"}), ("a", {"rate_limit": ["1/day", "5/hour"]}))
    assert set(found["rate_limit"]) == {
        Obligation(Rate(1, 86_400), "a"),
        Obligation(Rate(5, 3_600), "a"),
        Obligation(Rate(1, 86_400), "b"),
    }


@pytest.mark.parametrize(
    ("value", "period"), [("7/second", 1), ("7/minute", 60), ("7/hour", 3_600), ("7/day", 86_400)]
)
def test_rates(value: str, period: int) -> None:
    """`rate_limit` is "N/second", "N/minute", "N/hour", "N/day", or a list."""
    assert means("rate_limit", value) == Rate(7, period)
    assert means("rate_limit", [value]) == Rate(7, period)
    assert means("rate_limit", [value, "1/day"]) == [Rate(7, period), Rate(1, 86_400)]


@pytest.mark.parametrize("name", ["must_log", "require_reason"])
def test_what_is_true_if_any_says_so(name: str) -> None:
    """`must_log` and `require_reason` can only be true."""
    assert means(name, True) is True
    for value in (False, 1, "true", [True]):
        assert means(name, value) is None


def test_must_log() -> None:
    """`must_log`: true if any says so."""
    assert smallest("must_log", True, True) == (True, "a")
    assert "must_log" not in held(("a", {"max_tokens": 1}))


def test_require_reason() -> None:
    """`require_reason`: true if any says so."""
    assert smallest("require_reason", True, True) == (True, "a")
    assert "require_reason" not in held(("a", {"must_log": True}))


def test_delivery() -> None:
    """`delivery` is list out of `stdout`, `exec`, `endpoint`, `gateway` (spec/cli.md)."""
    for way in ("stdout", "exec", "endpoint", "gateway"):
        assert means("delivery", [way]) == (way,)
    for value in ("stdout", ["stdin"], ["STDOUT"], ["*"], [], [1]):
        assert means("delivery", value) is None


def test_models() -> None:
    """`models` is list of patterns."""
    found = means("models", ["gpt-*", "*-mini"])
    assert [one.text for one in found] == ["gpt-*", "*-mini"]
    assert [one.matches("gpt-5") for one in found] == [True, False]
    for value in ("gpt-*", ["gpt-?"], ["gpt-**"], [""], [], [1]):
        assert means("models", value) is None


# The sentences


def test_absent_is_no_limit() -> None:
    """Absent means no limit."""
    assert evaluate(policy_of([rule()]), QUESTION).obligations == {}
    found = held(("a", {"max_tokens": 1}), ("b", {"max_cost": "1"}))
    assert sorted(found) == ["max_cost", "max_tokens"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1s", 1),
        ("900s", 900),
        ("15m", 900),
        ("2h", 7_200),
        ("1d", 86_400),
        ("010m", 600),
        ("999999999d", 999_999_999 * 86_400),
    ],
)
def test_durations(value: str, seconds: int) -> None:
    """Durations: 1 to 9 ASCII digits and one of `s m h d` ("900s", "15m"), more than zero."""
    assert means("max_duration", value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("0s", "000d", "1000000000s", "15", "m", "1.5h", "-1s", "+1s", "15M", "1w", " 1s", "1 s"),
        *("1s\n", "1h30m", "1_0s", 900, 15.0, True, ["15m"], *(f"{one}m" for one in FIGURES)),
    ],
)
def test_no_durations(value: Any) -> None:
    """Durations: 1 to 9 ASCII digits and one of `s m h d`, more than zero: else a load error."""
    assert means("max_duration", value) is None
    ages = written([rule(when={"max_session_age": value})])
    assert load([("p", ages)])[0] is None


@pytest.mark.parametrize(
    ("value", "micro"),
    [
        ("0", 0),
        ("0.50", 500_000),
        ("1.000001", 1_000_001),
        ("007", 7_000_000),
        ("999999999999.999999", 999_999_999_999_999_999),
    ],
)
def test_money(value: str, micro: int) -> None:
    """Money: a string, 1 to 12 ASCII digits, optionally a point and 1 to 6 digits."""
    assert means("max_cost", value) == micro


@pytest.mark.parametrize(
    "value",
    [
        *("", ".5", "1.", "1000000000000", "0.1234567", "1,5", "1e3", "$1", "1 ", "1\n", "nan"),
        *("inf", "1_0", True, 1, ["1"], *FIGURES, *(f"0.{one}" for one in FIGURES)),
    ],
)
def test_no_money(value: Any) -> None:
    """Money: a string, 1 to 12 ASCII digits, optionally a point and 1 to 6: else a load error."""
    assert means("max_cost", value) is None


@pytest.mark.parametrize("value", ["0.5", "-1", "+1", "-0.5", "inf", "nan", "1e9", '"-1"', '"+1"'])
def test_neither_floats_nor_signs(value: str) -> None:
    """Never a float, no sign."""
    (error,) = refused(f"max_cost = {value}")
    assert error.startswith("expected an amount in USD as a string")


@pytest.mark.parametrize("count", ["0", "1", "010", "999999999"])
def test_counts_of_rates(count: str) -> None:
    """Rates: 1 to 9 digits."""
    assert means("rate_limit", f"{count}/minute") == Rate(int(count), 60)


@pytest.mark.parametrize(
    "value",
    [
        *("", "/day", "1000000000/day", "30/week", "30/days", "30/Minute", "30 / minute", "-1/day"),
        *("+1/day", "1.5/hour", "30", "1/day\n", 30, True, [], [30], ["1/day", "x"]),
        *(f"{one}/day" for one in FIGURES),
    ],
)
def test_no_rates(value: Any) -> None:
    """Rates: 1 to 9 digits and a known unit; else a load error."""
    assert means("rate_limit", value) is None
