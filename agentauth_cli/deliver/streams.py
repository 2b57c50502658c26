"""Our own streams where they are terminals: which there are, waiting for them, reading, writing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from typing import TYPE_CHECKING

from agentauth_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK = 65_536
IN, OUT, ERR = 0, 1, 2


def shown() -> bool:
    """Say whether a person sees what a command would print."""
    return os.isatty(OUT) or os.isatty(ERR)


def one_shown() -> int:
    """Return where to show what the command prints. Raises UsageError for two terminals."""
    out = os.isatty(OUT)
    if out and os.isatty(ERR) and not _same(OUT, ERR):
        raise UsageError(
            "standard output and standard error are two terminals: one can be masked",
            hint="Send one of them to a file, or use --no-mask",
        )
    return OUT if out else ERR


def _same(one: int, other: int) -> bool:
    """Say whether two terminals are one, by its name or as the one that controls us: /dev/tty."""
    return os.path.sameopenfile(one, other) or (_controls_us(one) and _controls_us(other))


def _controls_us(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) >= 0
    except OSError:
        return False


def keyboard(ours: int) -> tuple[int, int]:
    """Return what to read keys from, and the same where it was opened for that, else -1.

    Where a shell sends output to a terminal it can be written only: `>/dev/tty`.
    """
    for stream in (IN, ours):
        if os.isatty(stream) and fcntl.fcntl(stream, fcntl.F_GETFL) & os.O_ACCMODE != os.O_WRONLY:
            return stream, -1
    with contextlib.suppress(OSError):
        if _controls_us(ours):
            opened = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            return opened, opened
    return ours, -1


def ready(
    reading: Sequence[int], writing: Sequence[int], seconds: float | None = None
) -> tuple[set[int], set[int]]:
    """Wait until some can be read or written. Not select(2): it knows no descriptor past 1023."""
    poll = select.poll()
    for one in reading:
        poll.register(one, select.POLLIN)
    for one in writing:
        poll.register(one, select.POLLOUT | (select.POLLIN if one in reading else 0))
    found = poll.poll(None if seconds is None else seconds * 1000)
    return (
        {one for one, event in found if one in reading and event & ~select.POLLOUT},
        {one for one, event in found if one in writing and event & ~select.POLLIN},
    )


def read(descriptor: int) -> bytes:
    """Return what is there, nothing at the end: Linux says EIO where a terminal is gone."""
    try:
        return os.read(descriptor, CHUNK)
    except OSError:
        return b""


def write(descriptor: int, text: bytes) -> None:
    """Write all of it, as long as somebody can read it."""
    while text:
        try:
            text = text[os.write(descriptor, text) :]
        except BlockingIOError:
            ready([], [descriptor])
        except OSError:
            return
