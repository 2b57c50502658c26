"""Money: US dollars, exact."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

MICRO = 1_000_000
_MOST = Decimal(10**12)


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

        Raises ValueError for what is none: NaN, infinite, negative, 10**12 or more, or not a
        number.
        """
        if isinstance(amount, bool) or not isinstance(amount, int | float | str | Decimal):
            raise ValueError(f"an amount in USD is an int, float, str or Decimal, not {amount!r}")
        try:
            found = cls(str(amount))
        except ArithmeticError:
            raise ValueError(f"{amount!r} is no amount in USD") from None
        if not found.is_finite() or found.is_signed() or found >= _MOST:
            raise ValueError(f"an amount in USD is from 0 to less than 10**12, not {amount}")
        return found

    @classmethod
    def of_micro(cls, amount: int) -> Money:
        """Return so many micro-dollars."""
        return cls(Decimal(amount) / MICRO)

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
        return _money(Decimal.__add__(self, _exact(other)))

    def __radd__(self, other: Any) -> Money:
        return _money(Decimal.__radd__(self, _exact(other)))

    def __sub__(self, other: Any) -> Money:
        return _money(Decimal.__sub__(self, _exact(other)))

    def __rsub__(self, other: Any) -> Money:
        return _money(Decimal.__rsub__(self, _exact(other)))

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
    """Return a float as the Decimal that it is written as, anything else as it is."""
    return Decimal(repr(other)) if isinstance(other, float) else other


def _money(result: Decimal) -> Money:
    """Return a Decimal as Money; NotImplemented, for Python's own protocol, as it is."""
    return result if result is NotImplemented else Money(result)
