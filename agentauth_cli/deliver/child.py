"""A command as our child: started as a shell would start it, told what we are told, waited for.

From `held` on, signals wait in line instead of interrupting, so that none is lost between here and
the command, and each is handed on once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import CommandMissingError, CommandUnusableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

BUG = 70
_LOOK = 1.0
"""After so many seconds without a signal the command is looked at all the same."""

_TOLD = (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
# A terminal sends these to all of its foreground group: to us, and to a command that is in it.
_FROM_TERMINAL = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)
_HELD = (*_TOLD, *_FROM_TERMINAL, signal.SIGCHLD, signal.SIGCONT)
_RESTORED = (*_HELD, signal.SIGPIPE, signal.SIGXFSZ)  # Python itself ignores the last two


@dataclass(frozen=True, slots=True)
class Before:
    """What this process changed of itself, as its command gets it back."""

    core: tuple[int, int]
    blocked: frozenset[int]
    ignored: frozenset[int]
    held: frozenset[int]

    def restore(self) -> None:
        """Put it back; for the command's own process. Signals that were ignored stay so (nohup)."""
        for one in _RESTORED:
            signal.signal(one, signal.SIG_IGN if one in self.ignored else signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, self.core)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)


@contextlib.contextmanager
def held(core: tuple[int, int]) -> Iterator[Before]:
    """Let signals wait until they are asked for. What nobody asked for in the end is dropped."""
    ignored = frozenset(one for one in _HELD if signal.getsignal(one) is signal.SIG_IGN)
    waiting = frozenset(_HELD) - ignored | {signal.SIGCHLD}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
    child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, children end unseen
    try:
        yield Before(core, frozenset(blocked), ignored, waiting)
    finally:
        while pending := signal.sigpending() & waiting:
            signal.sigwait(pending)
        signal.signal(signal.SIGCHLD, child)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def fork(work: Callable[[int], None]) -> int:
    """Do work in a process of its own; return its number once it is under way.

    It is when the descriptor that `work` gets closes, by exec or by hand. Raises the OSError that
    came before; EINVAL where it was another exception.
    """
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        _work(work, writing)
    os.close(writing)
    with open(reading, "rb") as told:  # noqa: PTH123 - a descriptor
        failed = told.read()
    if failed:
        os.waitpid(pid, 0)
        raise OSError(int(failed), os.strerror(int(failed)))
    return pid


def _work(work: Callable[[int], None], writing: int) -> None:
    failed = errno.EINVAL  # Python refuses by a ValueError what execve(2) would by this
    try:
        work(writing)
    except OSError as error:
        failed = error.errno or errno.EIO
    finally:
        with contextlib.suppress(OSError):  # closed by hand
            os.write(writing, b"%d" % failed)
        os._exit(BUG)  # nothing of ours runs twice


def run(command: Sequence[str], environ: Mapping[str, str], before: Before) -> None:
    """Become the command. Raises OSError."""
    if not command[0]:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))  # Python has another word
    before.restore()
    os.execvpe(command[0], list(command), dict(environ))  # noqa: S606 - what was asked for


def check(command: str, environ: Mapping[str, str]) -> None:
    """Raise what a command would be refused with, as far as its file tells: nothing runs for it."""
    why = _unusable(command, environ)
    if why is not None:
        raise refusal(command, environ, why)


def refusal(command: str, environ: Mapping[str, str], error: OSError) -> Exception:
    """Return what it means that a command could not be started: 126 or 127, as in a shell."""
    if error.errno != errno.ENOENT:
        return CommandUnusableError(f"{command}: {error.strerror}")
    if _unusable(command, environ) is None:
        return CommandUnusableError(f"{command}: the interpreter in its first line is not there")
    return CommandMissingError(command or "a command without a name")


def _unusable(command: str, environ: Mapping[str, str]) -> OSError | None:
    """Return what keeps a file from being run; None where there is one that can be."""
    why: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not command:
        return why
    folders = [""] if os.sep in command else os.get_exec_path(environ)
    for place in (Path(folder, command) for folder in folders):
        try:
            runs = stat.S_ISREG(place.stat().st_mode) and os.access(place, os.X_OK)
        except OSError as error:
            if os.sep in command or not isinstance(error, FileNotFoundError | NotADirectoryError):
                why = error
        else:
            if runs:
                return None
            why = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return why


class Job:
    """A command that runs in our process group."""

    def __init__(self, pid: int, before: Before) -> None:
        self.pid = pid
        self._held = before.held

    def wait(self) -> int:
        """Wait for its end, however long; return its exit code, -N where signal N killed it."""
        while True:
            number, to_all = _next(self._held)
            if number == signal.SIGCHLD:
                code = self._ended()
                if code is not None:
                    return code
            elif number == signal.SIGCONT:
                self.go_on()
            else:
                self.hear(number, to_all=to_all)

    def _ended(self) -> int | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return None
        if os.WIFSTOPPED(status):
            self.stopped(os.WSTOPSIG(status))
            return None
        return os.waitstatus_to_exitcode(status)

    def hear(self, number: int, *, to_all: bool) -> None:
        """Hand a signal on, unless the terminal sent it: the command has it then."""
        if not (to_all and number in _FROM_TERMINAL):
            self.tell(number)

    def tell(self, number: int) -> None:
        """Send it a signal."""
        with contextlib.suppress(PermissionError):  # it is another user's by now: sudo
            os.kill(self.pid, number)

    def stopped(self, number: int) -> None:
        """Stop as it did, so that the shell behind us goes on."""
        del number
        if stop():
            self.go_on()

    def go_on(self) -> None:
        """Let it go on, as we do. Who wakes us wakes all of our group: once is enough for it.

        A second SIGCONT could undo a stop that came in between.
        """
        if os.getpgid(self.pid) != os.getpgrp():
            self.tell(signal.SIGCONT)


class Leader(Job):
    """A command in a process group of its own, on the terminal of the session that we lead.

    We stop when it does, for our own parent to see: nobody else in its session could wake it, and
    a command without such a parent could not be stopped at all (POSIX: an orphaned process group).
    """

    def __init__(self, pid: int, before: Before, terminal: int) -> None:
        super().__init__(pid, before)
        self._terminal = terminal

    def hear(self, number: int, *, to_all: bool) -> None:
        """Hand every signal on; to all of its group what a terminal would send."""
        del to_all
        if number not in _FROM_TERMINAL:
            self.tell(number)
            return
        with contextlib.suppress(PermissionError):
            os.killpg(self.pid, number)

    def stopped(self, number: int) -> None:
        """Stop, whoever could wake us. A command that wants the terminal comes to the front."""
        if number in {signal.SIGTTIN, signal.SIGTTOU}:
            os.tcsetpgrp(self._terminal, self.pid)
        os.kill(os.getpid(), signal.SIGSTOP)
        _woken()
        self.go_on()  # even unheard: another stop may have swallowed the SIGCONT

    def go_on(self) -> None:
        """Let all of its group go on."""
        with contextlib.suppress(PermissionError):
            os.killpg(self.pid, signal.SIGCONT)


def die(number: int) -> None:
    """Die by the signal that killed the command, as sudo(8) does: a shell then ends its loop too.

    Returns where that is not deadly to us.
    """
    with contextlib.suppress(OSError):  # SIGKILL
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)


def stop() -> bool:
    """Stop this process, where a shell with job control could wake it again; say whether one did.

    The kernel drops SIGTSTP where none could; without a terminal nobody would.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    return _woken()


def _woken() -> bool:
    """Say whether SIGCONT is waiting, and take it out of the line: it is acted on here."""
    if signal.SIGCONT not in signal.sigpending():
        return False
    signal.sigwait({signal.SIGCONT})
    return True


def _next(numbers: frozenset[int]) -> tuple[int, bool]:
    """Wait for a signal; return it, and whether the terminal sent it to all of a group."""
    if sys.platform == "linux":
        told: Any = signal.sigtimedwait(numbers, _LOOK)
        if told is None:  # a thread that does not block it may have had the signal
            return signal.SIGCHLD, False
        return told.si_signo, told.si_code > 0  # sigaction(2): the kernel's own
    number = signal.sigwait(numbers)
    try:
        return number, os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return number, False
