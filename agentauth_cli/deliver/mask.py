"""Hides vended secrets in what a command prints, however the text is cut. Pure.

Nothing is held back, so that no prompt waits: up to seven bytes that could begin a secret pass at
once. They are remembered, and from the eighth on a secret is hidden as far as it goes. Hidden too
are its Base64 (inside other text, at any offset), URL-encoded and JSON forms, whatever line breaks
they were wrapped with.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from agentauth_cli.secret import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEAD = 8
"""Bytes by which a secret is known. What is shorter is not looked for."""

_BREAKS = b"\r\n"
_MASK = MASK.encode()
_LINE = re.compile(rb"[^\r\n]+")


def forms(secret: str) -> Iterator[bytes]:
    """Yield a secret in each form that programs print it in."""
    raw = secret.encode()
    yield raw
    for before in range(3):
        found = _base64(raw, before)
        yield found
        yield found.translate(bytes.maketrans(b"+/", b"-_"))
    for url in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield url.encode()
        yield _lower_hex(url)
    escaped = json.dumps(secret)[1:-1]
    yield escaped.encode()
    yield escaped.replace("/", "\\/").encode()


def _base64(raw: bytes, before: int) -> bytes:
    """Return what the Base64 of any text has in it where `raw` is behind `before` of its bytes.

    The characters at either end that depend on its neighbours too are left out (RFC 4648: each
    stands for six bits).
    """
    encoded = base64.b64encode(bytes(before) + raw)
    return encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]


def _lower_hex(url: str) -> bytes:
    first, *rest = url.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)]).encode()


class Mask:
    """Takes secrets out of one stream. What `feed` gives back is the chunk, secrets hidden."""

    def __init__(self, secrets: Iterable[str]) -> None:
        needles = {form.translate(None, _BREAKS) for one in secrets for form in forms(one)}
        self._heads: dict[bytes, list[bytes]] = {}
        for needle in needles:
            if len(needle) >= HEAD:
                self._heads.setdefault(needle[:HEAD], []).append(needle)
        self._tail = b""  # what passed already and may go on, without line breaks
        self._hidden = False  # whether the last byte was

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk with every part of a secret in it hidden; line breaks stay."""
        fresh = chunk.translate(None, _BREAKS)
        text = self._tail + fresh
        spans, goes_on = self._spans(text)
        start = len(self._tail)
        cut = [(max(0, one - start), end - start) for one, end in spans if end > start]
        shown = self._shown(chunk, cut) if cut else chunk
        if fresh:
            self._hidden = bool(cut) and cut[-1][1] == len(fresh)
            self._tail = text[min(goes_on, max(0, len(text) - HEAD + 1)) :]
        return shown

    def _spans(self, text: bytes) -> tuple[list[tuple[int, int]], int]:
        """Return what to hide, in order and apart, and where that begins which may still go on."""
        found, goes_on = [], len(text)
        for head, needles in self._heads.items():
            at = text.find(head)
            while at >= 0:
                rest = text[at : at + max(map(len, needles))]
                found.append((at, at + max(_common(rest, needle) for needle in needles)))
                if any(len(needle) > len(rest) and needle.startswith(rest) for needle in needles):
                    goes_on = min(goes_on, at)
                at = text.find(head, at + 1)
        return list(_merged(sorted(found))), goes_on

    def _shown(self, chunk: bytes, cut: list[tuple[int, int]]) -> bytes:
        places = [at for at, byte in enumerate(chunk) if byte not in _BREAKS]
        shown, passed = bytearray(), 0
        for start, end in cut:
            first, last = places[start], places[end - 1] + 1
            shown += chunk[passed:first]
            hidden = _LINE.sub(_MASK, chunk[first:last])
            goes_on = self._hidden and not first  # what the chunk before ended with
            shown += hidden.removeprefix(_MASK) if goes_on else hidden
            passed = last
        return bytes(shown + chunk[passed:])


def _common(text: bytes, needle: bytes) -> int:
    short = min(len(text), len(needle))
    if text[:short] == needle[:short]:
        return short
    return next(at for at in range(short) if text[at] != needle[at])


def _merged(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield spans as those that they make up together, where they touch or overlap."""
    start, end = -1, -1
    for one, other in spans:
        if one > end:
            if end >= 0:
                yield start, end
            start, end = one, other
        end = max(end, other)
    if end >= 0:
        yield start, end
