"""The one voice.

Standard output carries the result and nothing else. Everything for people goes to standard error:
an error is one line of at most 300 characters, a notice one line; control characters are shown as
escapes, secrets never. What nobody reads any more is dropped. What only a person could answer is
asked on a terminal alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any, TextIO

from agentauth_cli.errors import StateError, Stopped
from agentauth_cli.secret import printable, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.errors import AgentAuthError

NAME = "agentauth"
LONGEST = 300
_RED = "\x1b[31m"
_PLAIN = "\x1b[0m"
# As a word of its own: no part of a resource or an id, and nothing in JSON.
_PRODUCTION = re.compile(
    r"(?:(?<=[\s('\[])|^)prod(?:uction)?(?:[-_0-9][A-Za-z0-9_-]*)?(?=[\s.,;:)'\]]|$)", re.MULTILINE
)


def out(text: str, *, in_red: bool = False, margin: str = "") -> None:
    """Write a line of the result, control characters shown as escapes.

    Where colours are, it is red as a whole, or its production environments are. `margin` stands
    before it, as it is. Raises Stopped where nobody reads it any more,
    StateError where standard output is full.
    """
    shown = printable(text)
    if colours():
        shown = f"{_RED}{shown}{_PLAIN}" if in_red else with_production(shown)
    try:
        _line(sys.stdout, margin + shown)
    except BrokenPipeError:
        raise Stopped(signal.SIGPIPE) from None
    except OSError as error:
        raise unwritable(error) from None


def unwritable(error: OSError) -> StateError:
    """Return what it means that standard output takes nothing."""
    why = f"standard output cannot be written: {error.strerror}"
    return StateError(why, hint="Check where it goes")


def out_json(value: Any) -> None:
    """Write the result as one JSON object, ASCII."""
    out(json.dumps(value))


def say(text: str) -> None:
    """Write a line for a person."""
    _tell(printable(redact(text)))


def say_lines(text: str) -> None:
    """Write text of several lines for a person."""
    _tell(redact(text).rstrip("\n"))


def _tell(text: str) -> None:
    """Write text for a person, with its production environments in red where colours are."""
    if draws() and is_terminal(sys.stderr):
        text = with_production(text)
    with contextlib.suppress(OSError):  # closed or full: the exit code is still told
        _line(sys.stderr, text)


def _line(stream: TextIO | None, text: str) -> None:
    if stream is not None:
        stream.write(text + "\n")
        stream.flush()


def error(failure: AgentAuthError, *, as_json: bool) -> None:
    """Write an error: one line, or with --json one object."""
    message, hint = printable(redact(failure.message)), printable(redact(failure.hint))
    if as_json:
        told = {
            "code": failure.exit_code,
            "class": type(failure).__name__,
            "message": message,
            "hint": hint,
            "retry_after": failure.retry_after,
        }
        _tell(json.dumps({"error": told}))
        return
    why = f": {message}" if message else ""
    line = f"{NAME}: {failure.what}{why}"
    end = "" if message.endswith("?") else "."
    mend = f"{end} {hint}" if hint else ""
    _tell(_cut(_cut(line, max(LONGEST - len(mend), LONGEST // 2)) + mend, LONGEST))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def columns(rows: Sequence[Sequence[str]]) -> None:
    """Write rows as aligned columns, the first row being the head."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out("  ".join(padded).rstrip())


def with_production(text: str) -> str:
    """Return the text with the names of production environments in red."""
    return _PRODUCTION.sub(rf"{_RED}\g<0>{_PLAIN}", text)


def colours() -> bool:
    """Say whether standard output is a terminal that shows colours, and nobody forbade them."""
    return draws() and is_terminal(sys.stdout)


def draws() -> bool:
    """Say whether nobody forbade colours and boxes on terminals."""
    return "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def boxes() -> bool:
    """Say whether standard output is a terminal that shows the characters of boxes."""
    if os.environ.get("TERM") == "dumb" or not is_terminal(sys.stdout):
        return False
    try:
        "├─└│".encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def is_terminal(stream: TextIO | None) -> bool:
    """Say whether a person sees this stream."""
    return stream is not None and stream.isatty()


def can_ask() -> bool:
    """Say whether a question can be asked: input and standard error are terminals."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def ask(question: str, default: str = "") -> str:
    """Ask on standard error; return the answer, `default` for an empty one."""
    shown = f" [{default}]" if default else ""
    sys.stderr.write(f"{question}{shown}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() or default
