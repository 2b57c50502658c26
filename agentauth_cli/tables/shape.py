"""What a file may hold: tables of defined keys, lists, values. All errors are found at once.

A shape reads a parsed value and returns what the program works with. What is wrong is put into a
list of problems, never raised, so that one reading finds everything.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

At = tuple[str | int, ...]

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 32
_LONGEST_TYPED = 64
"""So much of a name is compared with the known ones: comparing takes quadratic time."""
_BEGUN = 3
"""From so many characters on a name counts as the beginning of a longer one."""

_BARE = re.compile("[A-Za-z0-9_-]+")
_KEY = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+"""
_PART = rf"(?:\.[ \t]*+{_KEY})"
DEEP_KEY = re.compile(
    rf"(?:^|[\[{{,])[ \t]*+{_KEY}{_PART}{{{MAX_DEPTH}}}(?:{_PART}{{999,}}+|{_PART}*+[=\]])",
    re.MULTILINE,
)
"""A dotted key of more parts than may be nested, or of a thousand and no end.

`tomllib` takes quadratic time for those.
"""

_KINDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a float",
    dict: "a table",
    list: "an array",
    datetime: "a date-time",
    date: "a date",
    time: "a time",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of one file. `entry` is the id or name of the rule, switch, budget … it is in."""

    file: str
    at: At
    message: str
    entry: str = ""
    line: int = 0
    column: int = 0

    @property
    def key(self) -> str:
        """The key as a person would write it: ``rule.resources``."""
        parts = [part for part in self.at if isinstance(part, str)]
        return ".".join(
            part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            for part in parts
        )

    def __str__(self) -> str:
        entry = f" in {self.entry!r}" if self.entry else ""
        key = f" {self.key}" if self.key else ""
        where = f"{key}{entry}:" if key or entry else ""
        return f"{self.file}:{self.line}:{self.column}:{where} {self.message}"


def first_of(problems: Sequence[Problem]) -> str:
    """Return the first problem, and how many more there are."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}"


Found = list[tuple[At, str]]
"""The problems of one reading: where, and what."""


class Shape(Protocol):
    """Something that a value of a file can be."""

    def read(self, value: Any, at: At, found: Found) -> Any:
        """Return what the value means; add to `found` what is wrong with it."""
        ...


@dataclass(frozen=True, slots=True)
class Value:
    """A single value. `parse` returns its meaning, or raises ValueError with what was expected."""

    parse: Callable[[Any], Any]

    def read(self, value: Any, at: At, found: Found) -> Any:
        """Return the parsed value, None where it is wrong."""
        try:
            return self.parse(value)
        except ValueError as error:
            found.append((at, str(error)))
            return None


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array, of at least so many entries: none or one."""

    entry: Shape
    least: int = 1

    def read(self, value: Any, at: At, found: Found) -> Any:
        """Return a tuple."""
        if not isinstance(value, list):
            found.append((at, f"expected an array, got {kind(value)}"))
            return ()
        if len(value) < self.least:
            found.append((at, "an empty array: leave the key out"))
        return tuple(self.entry.read(one, (*at, i), found) for i, one in enumerate(value))


@dataclass(frozen=True, slots=True)
class OneOrMore:
    """A value alone, or an array of at least one."""

    entry: Shape

    def read(self, value: Any, at: At, found: Found) -> Any:
        """Return a tuple, each value once."""
        if isinstance(value, list):
            return tuple(dict.fromkeys(ListOf(self.entry).read(value, at, found)))
        return (self.entry.read(value, at, found),)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table: its shape, whether it must be there, and what it is if it is not."""

    shape: Shape
    required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with defined keys, read to a dict that has each of them."""

    keys: Mapping[str, Key]
    check: Callable[[dict[str, Any]], Iterable[tuple[str | At, str]]] | None = None
    """What must hold between keys: (key or path, message) pairs."""
    between: Sequence[str] = ()
    """The keys that it looks at: it is asked where these are right. Empty: all of them."""

    def read(self, value: Any, at: At, found: Found) -> Any:
        """Return a dict of all defined keys, defaults filled in."""
        if not _is_table(value, at, found):
            return {}
        before = len(found)
        wrong = set()
        meant = set()
        for name in value.keys() - self.keys.keys():
            found.append(((*at, name), f"unknown key {name!r}{nearest_of(name, self.keys)}"))
            meant.add(nearest(name, self.keys))
        result = {}
        for name, key in self.keys.items():
            result[name] = key.default
            said = len(found)
            if name in value:
                result[name] = key.shape.read(value[name], (*at, name), found)
            elif key.required and name not in meant:  # misspelt is said already
                found.append((at, f"missing key {name!r}"))
            if len(found) > said or name in meant:
                wrong.add(name)
        asked = wrong.isdisjoint(self.between) if self.between else len(found) == before
        if self.check and asked:
            for name, message in self.check(result):
                inner = (name,) if isinstance(name, str) else name
                found.append(((*at, *inner), message))
        return result


@dataclass(frozen=True, slots=True)
class Brief:
    """A table, or a string alone, which is then that of one of its keys."""

    key: str
    table: Table

    def read(self, value: Any, at: At, found: Found) -> Any:
        """Return the table, filled in."""
        return self.table.read({self.key: value} if isinstance(value, str) else value, at, found)


@dataclass(frozen=True, slots=True)
class Named:
    """A table whose keys are names that the user gives; all entries of one shape."""

    entry: Shape
    name: Callable[[str], Any] = field(default=str)
    """Raises ValueError where a name is not one."""

    def read(self, value: Any, at: At, found: Found) -> Any:
        """Return a dict by name."""
        if not _is_table(value, at, found):
            return {}
        result = {}
        for name, entry in value.items():
            try:
                self.name(name)
            except ValueError as error:
                found.append(((*at, name), str(error)))
            result[name] = self.entry.read(entry, (*at, name), found)
        return result


def _is_table(value: object, at: At, found: Found) -> bool:
    if not isinstance(value, dict):
        found.append((at, f"expected a table, got {kind(value)}"))
        return False
    if not value and at:
        found.append((at, "an empty table: leave the key out"))
    return True


def kind(value: object) -> str:
    """Return in words what kind of TOML value this is."""
    return _KINDS.get(type(value), type(value).__name__)


def did_you_mean(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """Return ``: did you mean `x`?`` for the nearest known name, else nothing."""
    near = nearest(name, known)
    return f": did you mean `{near}`?" if near else ""


def nearest(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """Return the known name that is nearest, or nothing.

    Upper and lower case do not count; one that begins like this is nearer than any other.
    """
    lowered = {one.lower(): one for one in known}
    typed = name[:_LONGEST_TYPED].lower()
    begun = [one for one in lowered if len(typed) >= _BEGUN and one.startswith(typed)]
    if begun:
        return lowered[min(begun, key=len)]
    near = difflib.get_close_matches(typed, list(lowered), 1, 0.6)
    return lowered[near[0]] if near else ""


def nearest_of(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """Return `did_you_mean`, and where no name is near all that are known."""
    every = f": expected one of {', '.join(known)}" if known else ""
    return did_you_mean(name, known) or every


class Document:
    """One file, parsed, with all that is wrong with it. `file` is the name that problems carry."""

    def __init__(self, file: str, content: bytes) -> None:
        self.file = file
        self.found: Found = []
        self.data, self.text, self.broken = _parse(file, content)

    def read(self, shape: Table) -> dict[str, Any]:
        """Return the values by their shape; where problems() has any, they are not to be used."""
        values: dict[str, Any] = {} if self.broken else shape.read(self.data, (), self.found)
        return values

    def places(self, wanted: Sequence[At]) -> list[tuple[int, int]]:
        """Return line and column, from 1, of each key wanted of a document that is not broken."""
        from agentauth_cli.tables.lines import places

        return places(self.text, wanted)

    def problems(self) -> list[Problem]:
        """Return all that is wrong, with lines and entries, in the order of the file."""
        if self.broken:
            return [self.broken]
        if not self.found:
            return []
        placed = self.places([at for at, _ in self.found])
        problems = [
            Problem(self.file, at, message, _entry(self.data, at), line, column)
            for (at, message), (line, column) in zip(self.found, placed, strict=True)
        ]
        return sorted(problems, key=lambda one: (one.line, one.column, one.message))


def _entry(data: Mapping[str, Any], at: At) -> str:
    match at:
        case (str(kind_of), int(index), *_):
            entry = data[kind_of][index]
            label = entry.get("id", entry.get("name", "")) if isinstance(entry, dict) else ""
            return label if isinstance(label, str) else ""
    return ""


def _parse(file: str, content: bytes) -> tuple[dict[str, Any], str, Problem | None]:
    if len(content) > MAX_BYTES:
        return {}, "", Problem(file, (), "larger than 16 MiB", "", 1, 1)
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        from agentauth_cli.tables.refusal import not_utf8

        return {}, "", _refused(file, not_utf8(content, error.start))
    try:
        return _parsed(text), text, None
    except (RecursionError, ValueError) as error:
        return {}, "", _refused(file, _why(text, error))


def _parsed(text: str) -> dict[str, Any]:
    """Return what a text holds. Raises RecursionError for what nests too deep, ValueError."""
    import tomllib

    if DEEP_KEY.search(text):
        raise RecursionError
    data = tomllib.loads(text)
    if _deeper_than(data, MAX_DEPTH):
        raise RecursionError
    return data


def _why(text: str, error: RecursionError | ValueError) -> tuple[str, int, int]:
    import tomllib

    from agentauth_cli.tables import refusal

    if isinstance(error, RecursionError):
        return refusal.too_deep(text)
    if isinstance(error, tomllib.TOMLDecodeError):
        return refusal.not_toml(text, str(error))
    return refusal.too_long(text)


def _refused(file: str, why: tuple[str, int, int]) -> Problem:
    message, line, column = why
    return Problem(file, (), message, "", line, column)


def _deeper_than(data: object, limit: int) -> bool:
    level = _nested([data])
    for _ in range(limit):
        inner: list[Any] = []
        for one in level:
            inner.extend(_nested(one))
        if not inner:
            return False
        level = inner
    return True


def _nested(value: Any) -> list[Any]:
    members = value.values() if isinstance(value, dict) else value
    return [one for one in members if isinstance(one, dict | list)]
