"""What keeps a file from being TOML that is looked at, in words, and where: message, line, column.

Only the way of an error comes here.
"""

from __future__ import annotations

import re

from agentauth_cli.tables.shape import DEEP_KEY, MAX_DEPTH

Refusal = tuple[str, int, int]

_TOO_DEEP = f"tables and arrays nested deeper than {MAX_DEPTH}"
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")
_DATE = re.compile(r"[0-9]{4}-[0-9]+-[0-9TtZz:.+-]+")
# A string that has no end goes to where it would have to have one: each character is read once.
_TOKEN = re.compile(
    r"\"\"\"(?:[^\\]|\\.?)*?(?:\"{3,5}|\Z)|'''.*?(?:'{3,5}|\Z)"
    r"|\"(?:[^\"\\\n]|\\.?)*+\"?|'[^'\n]*'?|#[^\n]*"
    r"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<digits>[0-9][0-9_]*)",
    re.DOTALL,
)


def not_utf8(content: bytes, start: int) -> Refusal:
    """Place the first byte that is not UTF-8."""
    return _placed(content[:start].decode("utf-8"), start, "not UTF-8")


def not_toml(text: str, message: str) -> Refusal:
    """Say in other words what `tomllib` says where its own would help nobody."""
    match = _PLACE.search(message)
    why = _PLACE.sub("", message)
    if text.startswith("\ufeff"):
        return "not TOML: a byte order mark: save the file as UTF-8 without one", 1, 1
    if not match or not match[1]:
        line = text.count("\n") + (not text.endswith("\n"))
        return f"not TOML: {why}", line, len(text.split("\n")[line - 1]) + 1
    line, column = int(match[1]), int(match[2])
    for date in _DATE.finditer(text.split("\n")[line - 1]):
        if date.start() < column <= date.end() + 1:
            why = f"no such date as {date[0]}: expected one such as 2026-11-23T10:00:00Z"
            return f"not TOML: {why}", line, date.start() + 1
    return f"not TOML: {why}", line, column


def too_deep(text: str) -> Refusal:
    """Place the dotted key or bracket that goes too deep, or the deepest bracket that there is."""
    if key := DEEP_KEY.search(text):
        return _placed(text, key.end() - len(key[0].lstrip(" \t[{,")), _TOO_DEEP)
    depth = deepest = 1
    at = 0
    for token in _TOKEN.finditer(text):
        depth += (token["open"] is not None) - (token["close"] is not None)
        if deepest < depth <= MAX_DEPTH + 1:
            deepest, at = depth, token.start()
    return _placed(text, at, _TOO_DEEP)


def too_long(text: str) -> Refusal:
    """Place the longest number: `tomllib` gives up on one of thousands of digits."""
    numbers = (token for token in _TOKEN.finditer(text) if token["digits"])
    longest = max(numbers, key=lambda one: len(one[0]), default=None)
    return _placed(text, longest.start() if longest else 0, "a number with too many digits")


def _placed(text: str, offset: int, message: str) -> Refusal:
    before = text[:offset].rpartition("\n")[2]
    return message, text.count("\n", 0, offset) + 1, len(before) + 1
