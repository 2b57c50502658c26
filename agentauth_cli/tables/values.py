"""The single values of the files: what each looks like, and what it means.

Each function takes what TOML gave and returns what the program works with, or raises ValueError
with a sentence that says what was expected. Booleans are never integers, floats never money.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentauth_cli.model import Rate
from agentauth_cli.tables.shape import did_you_mean, kind

if TYPE_CHECKING:
    from typing import Final

MAX_INTEGER = 2**63 - 1
MOST = 10**15
"""The most that one allowance, statement or report may say: tokens, or micro-dollars."""

DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MONEY = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,6}))?")
_WRITTEN = re.compile(r"([0-9]+)(?:\.([0-9]{1,6}))?")
RATE = re.compile(r"([0-9]{1,9})/(second|minute|hour|day)")
_PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def text(value: Any) -> str:
    """Return a string that is not empty."""
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {kind(value)}")
    if not value:
        raise ValueError("an empty string: leave the key out")
    return value


def boolean(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {kind(value)}")
    return value


def always(value: Any) -> bool:
    """Return true; false is not a thing to say here."""
    if value is not True:
        raise ValueError("can only be true: leave the key out otherwise")
    return True


def integer(value: Any, low: int = 0, high: int = MAX_INTEGER) -> int:
    """Return an integer of the range."""
    if type(value) is not int:
        raise ValueError(f"expected an integer, got {kind(value)}")
    if not low <= value <= high:
        raise ValueError(f"expected an integer from {low} to {high}")
    return value


def version(value: Any) -> int:
    """Return 1, the one version that there is."""
    if type(value) is not int or value != 1:
        raise ValueError("expected the integer 1")
    return 1


class Choice:
    """One of these strings."""

    def __init__(self, *names: str) -> None:
        self.names: Final = names

    def __call__(self, value: Any) -> str:
        """Return the string."""
        if value not in self.names:
            near = did_you_mean(value, self.names) if isinstance(value, str) else ""
            raise ValueError(f"expected one of {', '.join(self.names)}{near}")
        return str(value)


class Form:
    """A string that a regular expression matches whole; `expected` says in words what that is."""

    def __init__(self, pattern: re.Pattern[str], expected: str) -> None:
        self.pattern: Final = pattern
        self.expected: Final = expected

    def __call__(self, value: Any) -> str:
        """Return the string."""
        if not isinstance(value, str) or not self.pattern.fullmatch(value):
            raise ValueError(f"expected {self.expected}")
        return value


def duration(value: Any) -> int:
    """Return seconds for ``900s``, ``15m``, ``1h``, ``7d``."""
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match or not int(match[1]):
        raise ValueError('expected a duration such as "900s", "15m", "1h" or "7d"')
    return int(match[1]) * _SECONDS[match[2]]


def money(value: Any) -> int:
    """Return micro-dollars for a decimal string of USD such as ``"0.50"``."""
    match = MONEY.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError('expected an amount in USD as a string such as "0.50"')
    return _micro(match)


def written(value: Any) -> int:
    """Return the micro-dollars that `dollars` wrote, however many they are."""
    match = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("expected an amount as a record has it")
    return _micro(match)


def _micro(match: re.Match[str]) -> int:
    return int(match[1]) * 1_000_000 + int((match[2] or "").ljust(6, "0"))


def tokens(value: Any) -> int:
    """Return the tokens of one allowance, statement or report."""
    return integer(value, 0, MOST)


def cost(value: Any) -> int:
    """Return the micro-dollars of one allowance, statement or report, of a decimal string."""
    return affordable(money(value))


def affordable(micro: int) -> int:
    """Return micro-dollars that one allowance, statement or report may say."""
    if micro > MOST:
        raise ValueError(f"expected ${dollars(MOST)} at most, not ${dollars(micro)}")
    return micro


def dollars(micro: int) -> str:
    """Return micro-dollars as a decimal string: at least two digits behind the point."""
    whole, rest = divmod(micro, 1_000_000)
    return f"{whole}.{f'{rest:06}'.rstrip('0'):0<2}"


def rate(value: Any) -> Rate:
    """Return the rate of ``"30/minute"``."""
    match = RATE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError('expected a rate such as "30/minute" (second, minute, hour, day)')
    return Rate(int(match[1]), _PERIODS[match[2]])


def moment(value: Any) -> datetime:
    """Return an offset date-time, in UTC."""
    if not isinstance(value, datetime):
        raise ValueError(f"expected a date-time such as 2026-11-23T10:00:00Z, got {kind(value)}")
    if value.tzinfo is None:
        raise ValueError("a local date-time: add Z or an offset")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a date-time outside the years 1 to 9999") from None
