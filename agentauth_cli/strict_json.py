"""JSON and base64url as tokens and answers carry them: one text, one meaning (RFC 8725, 3.7).

Pure. Every function raises ValueError for anything else; the error says what is wrong in words of
its own and holds nothing of what was read.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from typing import Any, NoReturn

NESTING = 16

# The alphabet's own two characters for the other base64's, and these two for what neither has.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
# The last character of a rest of one byte, and of two, whose spare bits are zero.
_ZEROES = {2: "AQgw", 3: "AEIMQUYcgkosw048"}
# Always matches from a quotation mark on, closed or not, so that it never scans a text twice.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def decode_base64url(text: str) -> bytes:
    """Return the bytes of canonical base64url without padding (RFC 7515, section 2).

    Raises ValueError for padding, foreign characters, or bits that stand for nothing.
    """
    rest = len(text) % 4
    try:
        known = text.encode("ascii").translate(_TO_BASE64)
        content = binascii.a2b_base64(known + b"=" * (-rest % 4), strict_mode=True)
    except ValueError:
        raise ValueError("is not base64url") from None
    if rest and text[-1] not in _ZEROES[rest]:
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
    # Strings may hold brackets; where there are few in all, nobody has to look which those are.
    if text.count("[") + text.count("{") > NESTING and _depth(text) > NESTING:
        raise ValueError(f"is nested more than {NESTING} deep")
    try:
        value = _DECODER.decode(text)
        if "\\u" in text:
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


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite
)
