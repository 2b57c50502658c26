"""Money: US dollars, exact."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Any

MICRO = 1_000_000
_MOST = Decimal(10**12)
_PLACES = 30
_WRITTEN = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
_EXACT = Context(prec=100, traps=[])
"""Ours, whatever the program's own context rounds to."""


class Money(Decimal):
    """An amount of US dollars: a Decimal that also adds to, and compares with, floats.

    A float counts as what it is written as (``0.1`` is ten cents, not a little more), so that sums
    stay exact. What an operation gives back is Money again. Do not mix Money and floats as keys of
    one dict: equal ones may hash apart.
    """

    __slots__ = ()

    @classmethod
    def of(cls, amount: object) -> Money:
        """Return the amount of an int, float, str or Decimal.

        Raises ValueError for what is none: NaN, infinite, negative, 10**12 or more, with more than
        30 decimal places, or not a number.
        """
        if isinstance(amount, bool) or not isinstance(amount, int | float | str | Decimal):
            raise ValueError(f"an amount in USD is an int, float, str or Decimal, not {amount!r}")
        text = str(amount)[:100]
        if isinstance(amount, str) and not _WRITTEN.fullmatch(text):
            raise ValueError(f"{text!r} is no amount in USD")
        found = cls(text)
        if not found.is_finite() or found < 0 or found >= _MOST:
            raise ValueError(f"an amount in USD is from 0 to less than 10**12, not {text}")
        if int(found.as_tuple().exponent) < -_PLACES:
            raise ValueError(f"an amount in USD has {_PLACES} decimal places at most, not {text}")
        return found

    @classmethod
    def of_micro(cls, amount: int) -> Money:
        """Return so many micro-dollars."""
        from agentauth_cli.tables.values import dollars

        return cls(dollars(amount))

    @property
    def micro(self) -> int:
        """The amount in whole micro-dollars, rounded up: what was spent is never understated."""
        numerator, denominator = self.as_integer_ratio()
        return -(-numerator * MICRO // denominator)

    def __repr__(self) -> str:
        return f"Money('{self}')"

    def __hash__(self) -> int:
        return Decimal.__hash__(self)

    def __add__(self, other: Any) -> Money:
        value = _exact(other)
        return value if value is NotImplemented else Money(_EXACT.add(self, value))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Money:
        value = _exact(other)
        return value if value is NotImplemented else Money(_EXACT.subtract(self, value))

    def __rsub__(self, other: Any) -> Money:
        value = _exact(other)
        return value if value is NotImplemented else Money(_EXACT.subtract(value, self))

    def __eq__(self, other: object) -> bool:
        return Decimal.__eq__(self, _exact(other))

    def __lt__(self, other: Any) -> bool:
        return Decimal.__lt__(self, _exact(other))

    def __le__(self, other: Any) -> bool:
        return Decimal.__le__(self, _exact(other))

    def __gt__(self, other: Any) -> bool:
        return Decimal.__gt__(self, _exact(other))

    def __ge__(self, other: Any) -> bool:
        return Decimal.__ge__(self, _exact(other))


def _exact(other: Any) -> Any:
    """Return a number as a Decimal, a float as what it is written as; else NotImplemented."""
    if isinstance(other, float):
        return Decimal(repr(other))
    return Decimal(other) if isinstance(other, int | Decimal) else NotImplemented
