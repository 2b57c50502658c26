"""A person at a terminal: a pseudo-terminal that controls what runs on it, typed at and read."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 15.0
_CONTROLLED = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
BASH = ("bash", "--norc", "--noprofile", "-i")


class Person:
    """Runs a program on a terminal of its own, as a context manager; `seen` is what it showed.

    `before` are the settings that the terminal began with.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], folder: os.PathLike[str]
    ) -> None:
        self._command = [sys.executable, "-c", _CONTROLLED, *command]
        self._environ = {"TERM": "xterm", "PS1": "READY> ", "HISTFILE": os.devnull, **environ}
        self._folder = folder
        self.seen = b""
        self._passed = 0

    def __enter__(self) -> Self:
        self.terminal, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (30, 100))
        self.before = self.settings()
        self.process = subprocess.Popen(
            self._command,
            env=self._environ,
            cwd=self._folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        os.close(self.terminal)
        self.process.wait(SECONDS)

    def type(self, keys: str | bytes) -> None:
        """Type."""
        os.write(self.terminal, keys.encode() if isinstance(keys, str) else keys)

    def sees(self, pattern: str) -> re.Match[bytes]:
        """Wait for something behind what was seen so far. Raises AssertionError after a while."""
        end = time.monotonic() + SECONDS
        while not (match := re.compile(pattern.encode()).search(self.seen, self._passed)):
            assert select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0], (
                f"{pattern!r} is not in {self.seen[self._passed :]!r}"
            )
            assert self._read(), f"{pattern!r} is not in {self.seen[self._passed :]!r}"
        self._passed = match.end()
        return match

    def sees_after(self, keys: str, pattern: str) -> None:
        """Type something again and again, until it shows what it should."""
        end = time.monotonic() + SECONDS
        while not re.compile(pattern.encode()).search(self.seen, self._passed):
            assert time.monotonic() < end, f"{pattern!r} is not in {self.seen!r}"
            self.type(keys)
            while select.select([self.terminal], [], [], 0.3)[0] and self._read():
                pass
        self.sees(pattern)

    def _read(self) -> bool:
        try:
            text = os.read(self.terminal, 65_536)
        except OSError:
            return False
        self.seen += text
        return bool(text)

    def ends(self) -> int:
        """Read to the end; return the exit code."""
        end = time.monotonic() + SECONDS
        while select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]:
            if not self._read():
                break
        return self.process.wait(SECONDS)

    def settings(self) -> list[Any]:
        """Return the settings of the terminal."""
        return termios.tcgetattr(self.terminal)
