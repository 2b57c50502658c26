"""One style for policy files: the order of keys, spaces, quotes and blank lines; comments kept.

Rules and tests stay where they are; only the keys within one table change places, each with the
comments above it. What holds a comment inside, or a string of several lines, is left as it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentauth_cli.policy.cases import CASE
from agentauth_cli.policy.condition_file import CONDITIONS
from agentauth_cli.policy.obligation_file import OBLIGATIONS
from agentauth_cli.policy.rules import RULE

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 100

_TOKEN = re.compile(
    r"(?P<long>\"\"\"(?:[^\\]|\\.)*?\"{3,5}|'''.*?'{3,5})"
    r"|(?P<string>\"(?:[^\"\\]|\\.)*\"|'[^']*')"
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<equals>=)|(?P<end>\n)"
    r"|(?P<other>[^\"'#\[\]{}=\n]+)",
    re.DOTALL,
)
_ORDER: dict[str, list[str]] = {
    "": ["version"],
    "rule": list(RULE.keys),
    "test": list(CASE.keys),
    "principal": ["id", "kind", "groups", "claims", "auth", "session_age", "actor"],
    "when": list(CONDITIONS.keys),
    "unless": list(CONDITIONS.keys),
    "obligations": list(OBLIGATIONS.keys),
}
"""The order of keys by the name of the table; of others (claims) it is that of the file."""


@dataclass(frozen=True, slots=True)
class _Statement:
    """A header or an entry: lines above it, its text in two parts, and the comment behind it."""

    above: tuple[str, ...]
    head: str
    value: str | None
    comment: str
    verbatim: bool

    @property
    def names(self) -> list[str]:
        """The parts of the key or of the header; quotes are taken off bare-looking ones."""
        inner = self.head.strip("[] \t") if self.value is None else self.head
        return [one.strip(" \t\"'") for one in inner.split(".")]


def formatted(text: str) -> str:
    """Return the text of a policy file that loads, in the one style. Twice is the same as once."""
    statements, below = _statements(text.replace("\r\n", "\n"))
    sections: list[list[_Statement]] = [[]]
    for one in statements:
        if one.value is None:
            sections.append([one])
        else:
            sections[-1].append(one)
    blocks = [_top(sections[0])] if sections[0] else []
    blocks += [_table(section) for section in sections[1:]]
    if below:
        blocks.append("\n".join(below))
    return "\n\n".join(blocks) + "\n"


def _top(entries: list[_Statement]) -> str:
    lines: list[str] = []
    for one in _ordered("", entries):
        lines += [*one.above, _entry(one)]
    return "\n".join(lines)


def _table(section: list[_Statement]) -> str:
    header, *entries = section
    brackets = (2 if header.head.startswith("[[") else 1) * "["
    inner = header.head.strip("[] \t")
    lines = [*header.above, f"{brackets}{inner}{brackets.replace('[', ']')}{_behind(header)}"]
    name = header.names[-1]
    for one in _ordered(name, entries):
        lines += [*(line for line in one.above if line), _entry(one)]
    return "\n".join(lines)


def _ordered(table: str, entries: list[_Statement]) -> list[_Statement]:
    return sorted(entries, key=lambda one: _rank(table, one.names[0]))


def _rank(table: str, name: str) -> int:
    known = _ORDER.get(table, [])
    return known.index(name) if name in known else len(known)


def _entry(one: _Statement) -> str:
    if one.verbatim:
        return f"{one.head} = {one.value}{_behind(one)}"
    import tomllib

    value = tomllib.loads(f"value = {one.value}")["value"]
    text = f"{one.head} = {_rendered(one.names[-1], value)}{_behind(one)}"
    if len(text) > WIDTH and isinstance(value, list):
        inside = "".join(f"    {_rendered(one.names[-1], entry)},\n" for entry in value)
        return f"{one.head} = [\n{inside}]{_behind(one)}"
    return text


def _behind(one: _Statement) -> str:
    return f"  {one.comment}" if one.comment else ""


def _rendered(table: str, value: Any) -> str:
    """Write a value on one line; `table` names what it is the value of."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: _rank(table, name))
        inside = ", ".join(f"{_key(name)} = {_rendered(name, value[name])}" for name in names)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_rendered(table, one) for one in value)}]"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return str(value.isoformat()).replace("+00:00", "Z")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _string(value: str) -> str:
    """Quote a string; singly where it holds backslashes, so that they need not be doubled."""
    if "\\" in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _statements(text: str) -> tuple[list[_Statement], list[str]]:
    """Return the statements of a TOML text, and the comments below the last one."""
    found: list[_Statement] = []
    above: list[str] = []
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        line = text[at : end if end >= 0 else len(text)].strip(" \t")
        if not line or line.startswith("#"):
            above.append(line)
            at = (end if end >= 0 else len(text)) + 1
            continue
        statement, at = _statement(text, at, _calm(above))
        found.append(statement)
        above = []
    return found, _calm(above, last=True)


def _calm(lines: Iterable[str], *, last: bool = False) -> list[str]:
    """Return lines without blank ones at the start or in a row; nor at the end of the file."""
    calm: list[str] = []
    for line in lines:
        if line or (calm and calm[-1]):
            calm.append(line)
    if calm and not calm[-1] and (last or not any(calm)):
        calm.pop()
    return calm


def _statement(text: str, at: int, above: list[str]) -> tuple[_Statement, int]:
    """Read one statement; return it and where the next line starts."""
    depth, equals, comments, long = 0, -1, [], False
    start = at
    while (token := _TOKEN.match(text, at)) and not (token.lastgroup == "end" and not depth):
        kind = token.lastgroup
        depth += (kind == "open") - (kind == "close")
        if kind == "equals" and equals < 0:
            equals = at
        if kind == "comment":
            comments.append((at, depth))
        long = long or kind == "long"
        at = token.end()
    comment = ""
    end = at
    if comments and not comments[-1][1]:
        end = comments.pop()[0]
        comment = text[end:at].strip()
    if equals < 0:
        return _Statement(tuple(above), text[start:end].strip(), None, comment, True), at + 1
    head = text[start:equals].strip(" \t")
    value = text[equals + 1 : end].strip()
    return _Statement(tuple(above), head, value, comment, bool(comments) or long), at + 1
