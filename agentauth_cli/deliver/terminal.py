"""Our terminal, while what a command shows on it goes through a mask.

The command has a pseudo-terminal in its place, with a session of its own. Once it wants the
keyboard, ours passes every key on and changes nothing; until then ours stays as it is, since others
may use it: `agentauth exec … | less`. The manner is that of sudo(8).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import termios
import threading
import time
import tty
from typing import TYPE_CHECKING, Any

from agentauth_cli.deliver import streams
from agentauth_cli.deliver.child import Job, Leader, die, fork, stop
from agentauth_cli.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentauth_cli.deliver.child import Before
    from agentauth_cli.deliver.mask import Mask

_LEFT = 2 * streams.CHUNK
"""Bytes that a terminal holds, and more: what comes behind them was written later."""
_SILENCE = 0.1
"""Seconds without a word after which a command that ended or stopped has said everything, though
something that it left behind may hold its terminal open."""
_END_OF_FILE = b"\x04"


class Terminal:
    """A pseudo-terminal in the place of ours.

    Raises StateError where the system has none, UsageError where two would be shown on.
    """

    def __init__(self) -> None:
        self._ours = streams.one_shown()
        self._keys, self._opened = streams.keyboard(self._ours)
        self._wanted = os.isatty(streams.IN) and os.isatty(streams.OUT) and self._in_front()
        self._before: list[Any] | None = None  # the settings of ours, while they are others
        self._typed = b""
        self._ending = self._over = False
        self._bug: BaseException | None = None
        self._leader = 0
        self._said_all = threading.Event()
        self._said_all.set()
        try:
            self._master, self._slave = os.openpty()
            self._woken, self._waking = os.pipe()
        except OSError as error:
            why = f"there is no pseudo-terminal: {error.strerror}"
            raise StateError(why, hint="Use --no-mask") from None
        os.set_blocking(self._master, False)
        termios.tcsetattr(self._slave, termios.TCSANOW, termios.tcgetattr(self._ours))
        self.resize()

    # -- the command's side ------------------------------------------------------------------

    def start(self, command: Callable[[], None], before: Before) -> TerminalJob:
        """Start a command on it. Raises OSError."""

        def led(told: int) -> None:
            os.close(self._master)
            os.setsid()
            fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)
            pid = fork(lambda _told: self._connect(command))
            os.close(told)
            code = Leader(pid, before, self._slave).wait()
            if code < 0:
                die(-code)
            os._exit(code)

        self._leader = fork(led)
        os.close(self._slave)
        self._slave = -1
        return TerminalJob(self._leader, before, self)

    def _connect(self, command: Callable[[], None]) -> None:
        os.setpgid(0, 0)
        if self._wanted:
            os.tcsetpgrp(self._slave, os.getpid())
        for stream in (streams.IN, streams.OUT, streams.ERR):
            if os.isatty(stream):
                os.dup2(self._slave, stream)
        command()

    # -- our side ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def passing_on(self, mask: Mask) -> Iterator[None]:
        """Pass on what is typed, and what is shown as `mask` leaves it; then be as before.

        Where that fails, the command is hung up, and the failure raised at the end.
        """
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
        if self._bug:
            raise self._bug

    def wanted(self, leader: int) -> bool:
        """Say whether the command wants the keyboard, did not before, and can have it."""
        before, self._wanted = self._wanted, os.tcgetpgrp(self._master) != leader
        return self._wanted and not before and self._in_front()

    def take(self) -> None:
        """Let our terminal pass every key on, where it is wanted, and ours to change."""
        self.resize()
        if self._wanted and self._in_front():
            with contextlib.suppress(termios.error):  # hung up
                settings = termios.tcgetattr(self._keys)
                tty.setraw(self._keys, termios.TCSADRAIN)
                self._before = self._before or settings
        self._wake()

    def give_back(self) -> None:
        """Let our terminal be as it was."""
        before, self._before = self._before, None
        if before is not None and self._in_front():
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, before)

    def resize(self) -> None:
        """Let the command's terminal be as large as ours."""
        with contextlib.suppress(termios.error):
            termios.tcsetwinsize(self._master, termios.tcgetwinsize(self._ours))

    def show_all(self) -> None:
        """Wait until everything is shown that the command wrote so far."""
        self._said_all.clear()
        self._wake()
        if not self._over:
            self._said_all.wait()

    def close(self) -> None:
        """Let go of it: what still runs there is hung up."""
        for descriptor in (self._master, self._slave, self._woken, self._waking, self._opened):
            if descriptor >= 0:
                os.close(descriptor)

    def _in_front(self) -> bool:
        """Say whether our terminal is ours to change, and not somebody else's for now."""
        try:
            return os.tcgetpgrp(self._keys) == os.getpgrp()
        except OSError:
            return True  # it does not control us

    def _wake(self) -> None:
        os.write(self._waking, b"\0")

    # -- in between, in a thread of its own --------------------------------------------------

    def _pass_on(self, mask: Mask) -> None:
        try:
            while not self._ending and self._pass(mask):
                pass
            self._drain(mask)
        except BaseException as bug:  # noqa: BLE001 - raised again where it is waited for
            self._bug = bug
            if not self._ending:  # nobody reads what the command writes: it would wait for ever
                os.kill(self._leader, signal.SIGKILL)
        self._over = True
        self._said_all.set()

    def _pass(self, mask: Mask) -> bool:
        """Wait for something and pass it on; False where the command's terminal is closed."""
        keys = [self._keys] if self._before and not self._typed else []
        full = [self._master] if self._typed else []
        ready, writable = streams.ready([self._master, self._woken, *keys], full)
        goes_on = self._master not in ready or self._show(mask) > 0
        if self._keys in ready:
            self._typed = streams.read(self._keys) or self._nothing_typed()
        if writable:
            self._type()
        if self._woken in ready:
            os.read(self._woken, streams.CHUNK)
            if not self._said_all.is_set():
                self._drain(mask)
                self._said_all.set()
        return goes_on

    def _show(self, mask: Mask) -> int:
        """Show what the command wrote; return how much that was, 0 at the end."""
        text = streams.read(self._master)
        shown = mask.feed(text)
        if not self._before:
            shown = shown.replace(b"\r\n", b"\n")  # the other way is our terminal's own work
        streams.write(self._ours, shown)
        return len(text)

    def _drain(self, mask: Mask) -> None:
        """Show what the command has written, and no more than its terminal could hold."""
        left, patience = _LEFT, _SILENCE
        while left > 0 and patience > 0:
            began = time.monotonic()
            if not streams.ready([self._master], [], patience)[0]:
                return
            patience -= time.monotonic() - began
            shown = self._show(mask)
            left = left - shown if shown else 0

    def _type(self) -> None:
        with contextlib.suppress(OSError):
            self._typed = self._typed[os.write(self._master, self._typed) :]

    def _nothing_typed(self) -> bytes:
        """Return what an end of input is to the command; nothing where it is not one for us."""
        self._before = None
        return _END_OF_FILE if self._in_front() else b""


class TerminalJob(Job):
    """A command on a terminal of ours; its process is the leader of the session there."""

    def __init__(self, pid: int, before: Before, terminal: Terminal) -> None:
        super().__init__(pid, before)
        self._terminal = terminal

    def hear(self, number: int, *, to_all: bool) -> None:
        """Hand a signal on: what our terminal sends to our group has not reached it yet."""
        if number == signal.SIGWINCH:
            self._terminal.resize()  # the kernel tells it
        elif not (to_all and number in {signal.SIGTTIN, signal.SIGTTOU}):
            self.tell(number)

    def stopped(self, number: int) -> None:
        """Stop as it did, our terminal as it was, until somebody wakes us, if anybody could.

        Where it stopped since it wants the keyboard, it gets it instead.
        """
        del number
        if not self._terminal.wanted(self.pid):
            self._terminal.show_all()
            self._terminal.give_back()
            stop()
        self.go_on()

    def go_on(self) -> None:
        """Let it go on, as we do."""
        self._terminal.take()
        self.tell(signal.SIGCONT)
