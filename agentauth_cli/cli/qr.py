"""A QR code on the terminal, for whoever has a telephone at hand."""

from __future__ import annotations

import shutil
import sys

from agentauth_cli.cli import screen

_BLOCKS = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
_BLACK_ON_WHITE = "\x1b[30;107m"
_PLAIN = "\x1b[0m"
_MARGIN = 2


def show(text: str) -> None:
    """Draw the code on standard error, where that is a terminal that can show it, and wide enough.

    Two rows of it are one line, in black on white whatever the colours of the terminal are.
    """
    if not screen.is_terminal(sys.stderr) or not screen.draws():
        return
    lines = drawn(text)
    if len(lines[0]) <= shutil.get_terminal_size().columns:
        screen.say_lines("\n".join(f"{_BLACK_ON_WHITE}{line}{_PLAIN}" for line in lines))


def drawn(text: str) -> list[str]:
    """Return the code as lines of half blocks."""
    import segno

    rows = [list(row) for row in segno.make_qr(text, error="l").matrix_iter(border=_MARGIN)]
    if len(rows) % 2:
        rows.append([0] * len(rows))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return [
        "".join(_BLOCKS[bool(high), bool(low)] for high, low in zip(upper, lower, strict=True))
        for upper, lower in pairs
    ]
