"""A tree of lines: what stands under what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentauth_cli.cli import screen

if TYPE_CHECKING:
    from collections.abc import Sequence

_BOXES = ("├─ ", "└─ ", "│  ", "   ")
_ASCII = ("|- ", "`- ", "|  ", "   ")


@dataclass(frozen=True)
class Branch:
    """A line, and what stands under it."""

    text: str
    under: Sequence[Branch] = field(default_factory=tuple)
    in_red: bool = False


def show(branches: Sequence[Branch]) -> None:
    """Write a tree; in ASCII where standard output does not show boxes."""
    _show(branches, _BOXES if screen.boxes() else _ASCII, "")


def _show(branches: Sequence[Branch], pieces: Sequence[str], margin: str) -> None:
    between, end, beside, below = pieces
    for i, one in enumerate(branches, 1):
        last = i == len(branches)
        screen.out(one.text, in_red=one.in_red, margin=margin + (end if last else between))
        _show(one.under, pieces, margin + (below if last else beside))
