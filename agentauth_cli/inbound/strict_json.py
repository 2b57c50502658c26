"""JSON and base64url as tokens and key sets carry them: one text, one meaning (RFC 8725, 3.7).

Pure. Every function raises ValueError for anything else; the error says what is wrong in words of
its own and holds nothing of what was read.
"""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any, NoReturn

NESTING = 16

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
# Always matches from a quotation mark on, closed or not, so that it never scans a text twice.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def decode_base64url(text: str) -> bytes:
    """Return the bytes of canonical base64url without padding (RFC 7515, section 2).

    Raises ValueError for padding, foreign characters, or bits that stand for nothing.
    """
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("is not base64url")
    content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(content).rstrip(b"=") != text.encode("ascii"):
        raise ValueError("is not canonical base64url")
    return content


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object of these bytes. Raises ValueError as `parse`, or for no object."""
    value = parse(content)
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")
    return value


def parse(content: bytes) -> Any:
    """Return the JSON value that the bytes hold.

    Raises ValueError for anything but UTF-8 without byte-order mark, a duplicate key, NaN or an
    infinity, a lone surrogate, or more than 16 levels.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    if _depth(text) > NESTING:
        raise ValueError(f"is nested more than {NESTING} deep")
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite
        )
        # A lone surrogate can be parsed, but never written again.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except _UnclearError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise ValueError("is not JSON") from None
    return value


class _UnclearError(ValueError):
    """JSON to some parsers, but not to all in the same way."""


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _UnclearError("has a duplicate key")
    return found


def _constant(_name: str) -> NoReturn:
    raise _UnclearError("holds NaN or an infinity")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _UnclearError("holds a number beyond all bounds")
    return number
