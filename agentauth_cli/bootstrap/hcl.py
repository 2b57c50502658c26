"""Terraform's language (HCL): values quoted, and blocks laid out as `terraform fmt` leaves them.

Source: the HCL native syntax specification, "Template Expressions" and "Configuration Items".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Value = Any
"""A string, number, truth value, Expression, or a sequence or mapping of these."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_OUTSIDE_NAME = re.compile(r"[^A-Za-z0-9_-]")
_SPECIAL = re.compile(r'["\\]|[\0-\x1f\x7f-\x9f\u2028\u2029]|[$%](?=\{)')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_INDENT = "  "
_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Expression:
    """Text that is an expression already, such as ``var.subjects``."""

    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A block: its type and labels, its attributes, and the blocks within."""

    kind: str
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, Value] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()


def text(comment: str, blocks: Iterable[Block]) -> str:
    """Return a whole file: the comment, line by line, and the blocks."""
    head = "\n".join(f"# {line}".rstrip() for line in comment.splitlines())
    return "\n\n".join([head, *("\n".join(_block(one)) for one in blocks)]) + "\n"


def quoted(value: str) -> str:
    """Return a string literal that means this text and interpolates nothing."""
    return f'"{_SPECIAL.sub(_escape, value)}"'


def call(function: str, argument: Value) -> Expression:
    """Return the call of a function with one argument."""
    inside = "\n".join(_value(argument))
    return Expression(f"{function}({inside})")


def label(name: str) -> str:
    """Return a name that can stand in an address; what that changes gets a hash of the name."""
    plain = _OUTSIDE_NAME.sub("_", name)
    if not _NAME.fullmatch(plain):
        plain = f"_{plain}"
    if plain == name:
        return plain
    return f"{plain}_{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _escape(found: re.Match[str]) -> str:
    # `$${` would do for most, but not where another dollar stands before it.
    return _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}"


def _block(block: Block) -> list[str]:
    head = " ".join([block.kind, *map(quoted, block.labels)])
    inside = _attributes(block.attributes)
    for one in block.blocks:
        inside += ["", *_block(one)] if inside else _block(one)
    return [f"{head} {{", *_indented(inside), "}"]


def _attributes(values: Mapping[str, Value]) -> list[str]:
    """Return the lines of attributes; the equal signs of neighbours of one line are aligned."""
    entries = [(_key(name), _value(value)) for name, value in values.items()]
    lines: list[str] = []
    run: list[tuple[str, str]] = []
    for key, value in entries:
        if len(value) == 1:
            run.append((key, value[0]))
            continue
        lines += [*_aligned(run), f"{key} = {value[0]}", *value[1:]]
        run = []
    return lines + _aligned(run)


def _aligned(run: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(key) for key, _ in run), default=0)
    return [f"{key.ljust(width)} = {value}" for key, value in run]


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) else quoted(name)


def _value(value: Value) -> list[str]:
    """Return the lines of a value, the first to stand behind an equal sign."""
    match value:
        case Expression():
            return value.text.split("\n")
        case bool():
            return [str(value).lower()]
        case str():
            return [quoted(value)]
        case int():
            return [str(value)]
        case dict():
            return ["{", *_indented(_attributes(value)), "}"] if value else ["{}"]
        case _:
            return _list([_value(one) for one in value])


def _list(entries: Sequence[list[str]]) -> list[str]:
    flat = [lines[0] for lines in entries if len(lines) == 1]
    if len(flat) == len(entries) and len(joined := f"[{', '.join(flat)}]") <= _WIDTH:
        return [joined]
    inside = [line for lines in entries for line in [*lines[:-1], f"{lines[-1]},"]]
    return ["[", *_indented(inside), "]"]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"{_INDENT}{line}" if line else "" for line in lines]
