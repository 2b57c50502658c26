"""Money: exact, also beside floats."""

from __future__ import annotations

import math
import operator
from decimal import Context, Decimal, Inexact, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.money import Money

AMOUNTS = st.integers(0, 10**15)


def test_a_float_counts_as_what_it_is_written_as() -> None:
    """What it gives back is a Decimal that also adds and compares with floats."""
    ten = Money.of(0.1)
    assert ten + 0.2 == 0.3
    assert 0.2 + ten == Decimal("0.3")
    assert str(ten + 0.2) == "0.3"
    assert ten == 0.1
    assert ten - 0.05 == Money("0.05")
    assert 1 - ten == 0.9
    assert sum([ten, ten, ten]) == 0.3
    for result in (ten + 0.2, 0.2 + ten, ten - 0.05, 1 - ten, sum([ten])):
        assert type(result) is Money


def test_comparing() -> None:
    """The seeds' line: ``if current_spend + estimated_cost > budget_limit``."""
    spent, limit = Money("0.30"), 0.5
    assert not spent + 0.2 > limit
    assert spent + 0.2 >= limit
    assert spent + 0.2 <= limit
    assert spent + 0.201 > limit
    assert spent < limit
    assert limit > spent
    assert spent != "0.30"
    assert spent < math.inf
    assert hash(spent) == hash(Decimal("0.3"))


@pytest.mark.parametrize(
    "amount", [0, 5, 0.02, "0.50", Decimal("1.25"), Money(3), 1e-7, "1e3", -0.0, 1e-30]
)
def test_what_is_taken(amount: Any) -> None:
    """The library takes int, float, str, Decimal for money, through `str`."""
    assert Money.of(amount) == Decimal(str(amount))


@pytest.mark.parametrize(
    "amount",
    [
        *(math.nan, math.inf, -math.inf, -1, -0.01, "-0", "NaN", "sNaN", "Infinity"),
        *("", "1,5", "$1", 10**12, 1e309, True, None, b"1", [1], "1" * 400, "0." + "1" * 400),
        *("1e-999999999", "1e-31", "1e999", Decimal("1e-999999"), 1e-31, Decimal("1e-40")),
        *("1_0", " 1 ", "\u0663", "+1", ".5", "5.", Decimal("NaN"), Decimal(-1)),
    ],
)
def test_what_is_refused(amount: Any) -> None:
    """NaN, infinite, negative, too much and what is no number are refused, each as itself."""
    with pytest.raises(ValueError, match=r"amount in USD"):
        Money.of(amount)


@given(AMOUNTS)
def test_micro_dollars_are_exact(micro: int) -> None:
    """Integer micro-dollars there and back."""
    assert Money.of_micro(micro).micro == micro


@given(AMOUNTS)
def test_whatever_the_programs_own_context(micro: int) -> None:
    """Amounts and sums are exact under a program's context that rounds, or traps what is not."""
    with localcontext(Context(prec=3, traps=[Inexact])):
        assert Money.of_micro(micro).micro == micro
        assert (Money.of_micro(micro) + 0.000001).micro == micro + 1
        assert (Money.of_micro(micro + 1) - 0.000001).micro == micro
        assert (1 - Money("0.000001")).micro == 999_999
        assert Money.of(f"{micro}e-6").micro == micro


@given(st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=40))
def test_micro_dollars_are_rounded_up(amount: Decimal) -> None:
    """Rounded up to a micro-dollar: never below what it was, never a whole one above."""
    exact = Fraction(amount) * 1_000_000
    assert exact <= Money(amount).micro < exact + 1


@given(AMOUNTS, AMOUNTS)
def test_sums_are_those_of_the_integers(one: int, other: int) -> None:
    """No sum is rounded."""
    assert (Money.of_micro(one) + Money.of_micro(other)).micro == one + other


def test_how_it_shows_itself() -> None:
    """It formats as any Decimal."""
    assert f"${Money('0.5'):.2f}" == "$0.50"
    assert repr(Money("0.50")) == "Money('0.50')"
    for operation in (operator.add, operator.sub):
        with pytest.raises(TypeError):
            operation(Money("1"), "1")
        with pytest.raises(TypeError):
            operation("1", Money("1"))
