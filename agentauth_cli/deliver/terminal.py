"""Our terminal, while what a command shows on it goes through a mask.

The command writes to a pseudo-terminal in its place. Where input is a terminal too, that becomes
the command's whole terminal, with a session of its own, and ours passes every key on, changing
nothing: the manner of sudo(8). Where not, the command stays in our session, and keys and job
control are none of our business.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import termios
import threading
import time
import tty
from typing import TYPE_CHECKING, Any

from agentauth_cli.deliver.child import Job, Leader, fork, stop
from agentauth_cli.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentauth_cli.deliver.child import Before
    from agentauth_cli.deliver.mask import Mask

_CHUNK = 65_536
_LEFT = 2 * _CHUNK
"""Bytes that a terminal holds, and more: what comes behind them was written later."""
_LEFT_OPEN = 0.2
"""Seconds that we wait at the end, where something that the command left behind holds its terminal
open."""
_END_OF_FILE = b"\x04"
_IN, _OUT, _ERR = 0, 1, 2
_OFLAG = 1  # of tcgetattr


def shown() -> bool:
    """Say whether a person sees what a command would print."""
    return os.isatty(_OUT) or os.isatty(_ERR)


class Terminal:
    """A pseudo-terminal in the place of ours. Raises StateError where the system has none."""

    def __init__(self) -> None:
        self._ours = _OUT if os.isatty(_OUT) else _ERR
        self.whole = os.isatty(_IN) and self._ours == _OUT
        self._before: list[Any] | None = None  # the settings of ours, while they are others
        self._listening = False
        self._typed = b""
        self._ending = False
        try:
            self._master, self._slave = os.openpty()
            self._woken, self._waking = os.pipe()
        except OSError as error:
            why = f"there is no pseudo-terminal: {error.strerror}"
            raise StateError(why, hint="Use --no-mask") from None
        os.set_blocking(self._master, False)
        settings = termios.tcgetattr(self._ours)
        if not self.whole:
            settings[_OFLAG] &= ~termios.OPOST  # ours does that
        termios.tcsetattr(self._slave, termios.TCSANOW, settings)
        self.resize()

    # -- the command's side ------------------------------------------------------------------

    def start(self, command: Callable[[], None], before: Before) -> TerminalJob:
        """Start a command on it. Raises OSError."""

        def alone(_told: int) -> None:
            for stream in (_IN, _OUT, _ERR) if self.whole else (_OUT, _ERR):
                if os.isatty(stream):
                    os.dup2(self._slave, stream)
            command()

        def in_front(told: int) -> None:
            os.setpgid(0, 0)
            os.tcsetpgrp(self._slave, os.getpid())
            alone(told)

        def led(told: int) -> None:
            os.close(self._master)
            os.setsid()
            fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)
            pid = fork(in_front)
            os.close(told)
            os._exit(Leader(pid, before).wait())

        pid = fork(led if self.whole else alone)
        os.close(self._slave)
        self._slave = -1
        return TerminalJob(pid, before, self)

    # -- our side ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def passing_on(self, mask: Mask) -> Iterator[None]:
        """Pass on what is typed, and what is shown as `mask` leaves it; then be as before."""
        pump = threading.Thread(target=self._pass_on, args=(mask,), daemon=True)
        self.take()
        pump.start()
        try:
            yield
        finally:
            self._ending = True
            self._wake()
            pump.join()
            self.give_back()

    def take(self) -> None:
        """Let our terminal pass every key on, where it is ours to change."""
        self.resize()
        if self.whole and _in_front():
            with contextlib.suppress(termios.error):  # hung up
                if self._before is None:
                    self._before = termios.tcgetattr(_IN)
                tty.setraw(_IN, termios.TCSADRAIN)
                self._listening = True
        self._wake()

    def give_back(self) -> None:
        """Let our terminal be as it was."""
        self._listening = False
        before, self._before = self._before, None
        if before is not None and _in_front():
            with contextlib.suppress(termios.error):
                termios.tcsetattr(_IN, termios.TCSADRAIN, before)

    def resize(self) -> None:
        """Let the command's terminal be as large as ours."""
        with contextlib.suppress(termios.error):
            termios.tcsetwinsize(self._master, termios.tcgetwinsize(self._ours))

    def close(self) -> None:
        """Let go of it: what still runs there is hung up."""
        for descriptor in (self._master, self._slave, self._woken, self._waking):
            if descriptor >= 0:
                os.close(descriptor)

    # -- in between, in a thread of its own --------------------------------------------------

    def _wake(self) -> None:
        os.write(self._waking, b"\0")

    def _pass_on(self, mask: Mask) -> None:
        while not self._ending:
            keys = [_IN] if self._listening and not self._typed else []
            full = [self._master] if self._typed else []
            ready, writable, _ = select.select([self._master, self._woken, *keys], full, [])
            if self._woken in ready:
                os.read(self._woken, _CHUNK)
            if self._master in ready and not self._show(mask):
                return
            if _IN in ready:
                self._typed = _read(_IN) or self._nothing_typed()
            if writable:
                self._type()
        self._drain(mask)

    def _show(self, mask: Mask) -> int:
        """Show what the command wrote; return how much that was, 0 at the end."""
        text = _read(self._master)
        _write(self._ours, mask.feed(text))
        return len(text)

    def _type(self) -> None:
        with contextlib.suppress(OSError):
            self._typed = self._typed[os.write(self._master, self._typed) :]

    def _nothing_typed(self) -> bytes:
        """Return what an end of input is to the command; nothing where it is not one for us."""
        self._listening = False
        return _END_OF_FILE if _in_front() else b""

    def _drain(self, mask: Mask) -> None:
        left, patience = _LEFT, _LEFT_OPEN
        while left > 0 and patience > 0:
            began = time.monotonic()
            if not select.select([self._master], [], [], patience)[0]:
                return
            patience -= time.monotonic() - began
            shown = self._show(mask)
            left = left - shown if shown else 0


class TerminalJob(Job):
    """A command on a terminal of ours."""

    def __init__(self, pid: int, before: Before, terminal: Terminal) -> None:
        super().__init__(pid, before)
        self._terminal = terminal

    def hear(self, number: int, *, to_all: bool) -> None:
        """Hand a signal on, unless it has it already."""
        if number == signal.SIGWINCH:
            self._terminal.resize()
            if not self._terminal.whole:  # else the kernel tells it
                self.tell(number)
        else:
            super().hear(number, to_all=to_all and not self._terminal.whole)

    def stopped(self) -> None:
        """Stop as it did, our terminal as it was; go on at once where nobody could wake us."""
        self._terminal.give_back()
        stop()
        if self._terminal.whole and signal.SIGCONT not in signal.sigpending():
            self.go_on()

    def go_on(self) -> None:
        """Let it go on, as we do."""
        self._terminal.take()
        super().go_on()


def _in_front() -> bool:
    """Say whether our terminal is ours to change, and not somebody else's for now."""
    try:
        return os.tcgetpgrp(_IN) == os.getpgrp()
    except OSError:
        return True  # it does not control us


def _read(descriptor: int) -> bytes:
    """Return what is there, nothing at the end: Linux says EIO where a terminal is gone."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""


def _write(descriptor: int, text: bytes) -> None:
    """Write all of it, as long as somebody can read it."""
    while text:
        try:
            text = text[os.write(descriptor, text) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except OSError:
            return
