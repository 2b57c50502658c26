"""The audit chain: how a record becomes bytes, and how each hash holds all before it. Pure.

``hash = SHA-256(64 hexadecimal characters of the hash before, record bytes)``; before the first
stand 64 zeros. Redaction runs on every value before it is hashed, so that an unredacted record
cannot be written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentauth_cli.secret import redact

FIRST = "0" * 64


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it is stored: the very bytes that were hashed, as ASCII text."""

    seq: int
    record: str
    hash: str


def encode(fields: Mapping[str, Any]) -> str:
    """Return the record: one JSON object, keys sorted, ASCII, no spaces, redacted.

    Fields that hold nothing (None, empty text, list or table) are left out.
    """
    nothing: tuple[Any, ...] = (None, "", [], (), {})
    kept = {key: _clean(value) for key, value in fields.items() if value not in nothing}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): _clean(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    return value


def link(previous: str, record: str) -> str:
    """Return the hash of a record behind `previous`."""
    return hashlib.sha256((previous + record).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Damage:
    """The first record that is not as it was written, and what is wrong with it."""

    seq: int
    what: str


def verify(rows: Iterable[Row]) -> Damage | None:
    """Return the first damage of a chain, None for a whole one. Rows come in order of `seq`."""
    previous, expected = FIRST, 1
    for row in rows:
        if row.seq != expected:
            return Damage(expected, f"record {expected} is missing")
        if link(previous, row.record) != row.hash:
            return Damage(row.seq, f"record {row.seq} or its hash was changed")
        if _number(row.record) != row.seq:
            return Damage(row.seq, f"record {row.seq} carries another number")
        previous, expected = row.hash, expected + 1
    return None


def _number(record: str) -> Any:
    """Return the number that the record carries. Who forges hashes may leave something else."""
    try:
        return dict(json.loads(record)).get("seq")
    except (TypeError, ValueError, RecursionError):
        return None
