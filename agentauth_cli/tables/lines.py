"""Where each key of a TOML document stands.

`tomllib` does not say; this walks a document that it has already accepted, so it need not judge.
Only the way of an error comes here.
"""

from __future__ import annotations

import re
import tomllib  # noqa: TID253 - this module is imported only once there is an error to place
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

At = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\]|\\.)*"'),
    re.compile(r"'[^']*'"),
)


def places(text: str, wanted: Iterable[At]) -> list[tuple[int, int]]:
    """Return line and column, from 1, of each key wanted of a valid document.

    A key that is not there is at what would enclose it; the document itself is at (1, 1).
    """
    walk = _Walk(text)
    walk.document()
    starts = [0, *(end.end() for end in re.finditer("\n", text))]
    return [_place(starts, walk.found, at) for at in wanted]


def _place(starts: list[int], found: dict[At, int], at: At) -> tuple[int, int]:
    while at and at not in found:
        at = at[:-1]
    offset = found.get(at, 0)
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


class _Walk:
    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0
        self.found: dict[At, int] = {}
        self.counts: dict[At, int] = {}

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.offset)
        if match is None:
            return ""
        self.offset = match.end()
        return match.group()

    def at(self, char: str) -> bool:
        return self.text.startswith(char, self.offset)

    def document(self) -> None:
        table: At = ()
        self.take(_BLANK)
        while self.offset < len(self.text):
            if self.at("["):
                table = self.header()
            else:
                self.entry(table)
            self.take(_BLANK)

    def header(self) -> At:
        start = self.offset
        several = self.at("[[")
        self.offset += 2 if several else 1
        names = self.key()
        self.offset += 2 if several else 1
        at: At = ()
        for name in names[:-1]:
            self.found.setdefault((*at, name), start)
            at = self.last((*at, name))
        at = (*at, names[-1])
        self.found.setdefault(at, start)
        if several:
            self.counts[at] = self.counts.get(at, 0) + 1
        at = self.last(at)
        self.found.setdefault(at, start)
        return at

    def last(self, at: At) -> At:
        """Follow a name that stands for an array of tables into its last table."""
        return (*at, self.counts[at] - 1) if at in self.counts else at

    def key(self) -> list[str]:
        names = []
        while True:
            self.take(_SPACE)
            if self.at('"') or self.at("'"):
                names.append(tomllib.loads(f"k = {self.string()}")["k"])
            else:
                names.append(self.take(_BARE_KEY))
            self.take(_SPACE)
            if not self.at("."):
                return names
            self.offset += 1

    def string(self) -> str:
        return next(taken for pattern in _STRINGS if (taken := self.take(pattern)))

    def entry(self, table: At) -> None:
        self.take(_SPACE)
        start = self.offset
        names = self.key()
        for depth in range(1, len(names) + 1):
            self.found.setdefault((*table, *names[:depth]), start)
        self.offset += 1  # the equals sign
        self.take(_SPACE)
        self.value((*table, *names))

    def value(self, at: At) -> None:
        if self.at("["):
            self.items(at, "]", named=False)
        elif self.at("{"):
            self.items(at, "}", named=True)
        elif self.at('"') or self.at("'"):
            self.string()
        else:
            self.take(_SCALAR)

    def items(self, at: At, end: str, *, named: bool) -> None:
        self.offset += 1
        self.take(_BLANK)
        index = 0
        while not self.at(end):
            if named:
                self.entry(at)
            else:
                self.found[(*at, index)] = self.offset
                self.value((*at, index))
            index += 1
            self.take(_BLANK)
            if self.at(","):
                self.offset += 1
            self.take(_BLANK)
        self.offset += 1
