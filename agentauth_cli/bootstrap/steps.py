"""Steps for a person, numbered: text to read, and values to carry over one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.secret import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MARGIN = "   "


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it is about, and its lines."""

    title: str
    lines: tuple[str, ...]


def text(head: str, steps: Iterable[Step]) -> str:
    """Return the whole. Each line of a step stays one line, whatever it holds."""
    parts = [head.splitlines()]
    for number, step in enumerate(steps, 1):
        lines = (f"{_MARGIN}{printable(line)}".rstrip() for line in step.lines)
        parts.append([f"{number}. {printable(step.title)}", *lines])
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def fields(values: Mapping[str, str | Sequence[str]]) -> list[str]:
    """Return names and values, the values below each other; some have several."""
    width = max(map(len, values))
    lines: list[str] = []
    for name, value in values.items():
        first, *more = [value] if isinstance(value, str) else value
        lines += [f"{name.ljust(width)}  {first}", *(f"{' ' * width}  {one}" for one in more)]
    return lines
