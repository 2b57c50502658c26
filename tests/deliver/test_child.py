"""Starting a command and hearing signals for it: what does not need a whole program to show."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentauth_cli.deliver import child
from agentauth_cli.errors import CommandMissingError, CommandUnusableError
from agentauth_cli.files import lock

CORE = (0, 0)


def send(number: int) -> None:
    """Send a signal to this thread: another of the tests' threads would take it otherwise."""
    signal.pthread_kill(threading.get_ident(), number)


def descriptors() -> set[str]:
    """Return the descriptors that this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_a_process_that_cannot_be_made_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits: ulimit -u: a clean failure."""

    def none() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", none)
    before = len(descriptors())
    with pytest.raises(BlockingIOError) as caught:
        child.fork(lambda _told: None)
    assert len(descriptors()) == before
    meant = child.refusal("command", {}, caught.value)
    assert isinstance(meant, CommandUnusableError)
    assert str(meant) == "command: Resource temporarily unavailable"


def test_what_python_refuses_is_told_like_what_the_system_does() -> None:
    """Every failure before the command runs is one: nothing was delivered."""
    with child.held(CORE) as before, pytest.raises(OSError, match="Invalid argument"):
        child.fork(lambda _told: child.run(["true"], {"": "odd=1"}, before))


def test_a_failure_behind_the_start_is_the_exit_code() -> None:
    """Once it is under way nobody listens any more."""

    def late(told: int) -> None:
        os.close(told)
        raise ValueError

    assert os.waitstatus_to_exitcode(os.waitpid(child.fork(late), 0)[1]) == child.BUG


@pytest.mark.parametrize(
    ("path", "command", "refused"),
    [
        ("{0}/closed:{0}/open", "tool", ""),
        ("{0}/open:{0}/closed", "tool", ""),
        ("{0}/nowhere:{0}/open/tool:{0}/closed", "tool", "cannot be run: tool: Permission denied"),
        ("{0}/nowhere:{0}/open/tool", "tool", "not found: tool"),
        ("{0}/open", "closed", "not found: closed"),
        ("{0}", "open", "cannot be run: open: Permission denied"),
        ("", "tool", "not found: tool"),
        ("", "{0}/open/tool", ""),
        ("", "{0}/open/" + "x" * 300, "cannot be run: {1}: File name too long"),
        ("{0}/open", "x" * 300, "cannot be run: {1}: File name too long"),
    ],
)
def test_a_command_is_looked_up_on_the_path_that_it_gets(
    tmp_path: Path, path: str, command: str, refused: str
) -> None:
    """126, 127: the command cannot be run, is not there: found out before anything is vended."""
    for folder, mode in (("closed", 0o600), ("open", 0o700)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tool").touch(mode=mode)
    asked = command.format(tmp_path)
    environ = {"PATH": path.format(tmp_path)}
    if not refused:
        child.check(asked, environ)
        return
    with pytest.raises((CommandMissingError, CommandUnusableError)) as caught:
        child.check(asked, environ)
    assert f"{caught.value.what}: {caught.value}" == refused.format(tmp_path, asked)


def test_an_empty_path_is_the_folder_that_we_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system looks a command up (execvp(3)); without a PATH, in the usual places."""
    (tmp_path / "tool").touch(mode=0o700)
    monkeypatch.chdir(tmp_path)
    child.check("tool", {"PATH": ""})
    child.check("sh", {})


@pytest.mark.parametrize(
    ("command", "number", "kind"),
    [
        ("nothing", errno.ENOENT, CommandMissingError),
        ("there", errno.ENOENT, CommandUnusableError),
        ("nothing", errno.EACCES, CommandUnusableError),
        ("there", errno.E2BIG, CommandUnusableError),
        ("there/x", errno.ENOTDIR, CommandUnusableError),
        ("", errno.ENOENT, CommandMissingError),
    ],
)
def test_what_does_not_start_is_126_or_127_as_in_a_shell(
    tmp_path: Path, command: str, number: int, kind: type[Exception]
) -> None:
    """126, 127: the command cannot be run, is not there. The child's PATH is looked at."""
    (tmp_path / "there").touch(mode=0o700)
    found = child.refusal(command, {"PATH": str(tmp_path)}, OSError(number, "why"))
    assert type(found) is kind


def test_what_nobody_asked_for_is_dropped_and_all_is_as_before() -> None:
    """Signals wait in line; at the end nothing of it is left."""
    heard: list[int] = []
    old = signal.signal(signal.SIGUSR1, lambda number, _frame: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        with child.held(CORE) as before:
            send(signal.SIGUSR1)
            send(signal.SIGWINCH)
            assert heard == []
            assert signal.SIGUSR1 in before.held
            assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        assert heard == []
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
        send(signal.SIGUSR1)
        assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, old)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_signal_that_a_process_sent_was_not_sent_by_the_terminal(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """INT and QUIT that the terminal sends are not doubled; others are handed on."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "tcgetpgrp", lambda _fd: -1)
    with child.held(CORE) as before:
        send(signal.SIGINT)
        assert child._next(before.held) == (signal.SIGINT, False)


def test_without_a_controlling_terminal_nothing_is_known_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When there is no terminal they are forwarded."""

    def none(_descriptor: int) -> int:
        raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "tcgetpgrp", none)
    with child.held(CORE) as before:
        send(signal.SIGINT)
        assert child._next(before.held) == (signal.SIGINT, False)


def test_without_a_terminal_we_never_stop() -> None:
    """Nobody would wake us there."""
    script = "from agentauth_cli.deliver.child import stop; print(stop())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == "False\n"


def test_a_command_of_another_user_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that became another user (sudo) cannot be told; we wait all the same."""

    def refused(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refused)
    monkeypatch.setattr(os, "killpg", refused)
    before = child.Before(CORE, frozenset(), frozenset(), frozenset())
    child.Job(os.getpid(), before).tell(signal.SIGTERM)
    leader = child.Leader(os.getpid(), before, 0)
    leader.hear(signal.SIGINT, to_all=True)
    leader.hear(signal.SIGTERM, to_all=False)
    leader.go_on()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("child.die(signal.SIGTERM)", -signal.SIGTERM),
        ("child.die(signal.SIGKILL)", -signal.SIGKILL),
        ("child.die(signal.SIGCHLD)", 0),
    ],
)
def test_we_die_by_a_signal_though_it_is_blocked_and_ignored(script: str, code: int) -> None:
    """Where signal N killed the command we die by N, where that is deadly."""
    begin = (
        "import signal; from agentauth_cli.deliver import child;"
        " signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM});"
        " signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    )
    done = subprocess.run([sys.executable, "-c", begin + script], check=False, timeout=30)
    assert done.returncode == code


LEFT_WAITING = """\
import os, pathlib, signal, sys
from agentauth_cli.deliver import child
from agentauth_cli.errors import StateError
from agentauth_cli.files import lock
try:
    with lock(pathlib.Path(sys.argv[1]), 0.2):
        pass
except StateError:
    pass
with child.held((0, 0)) as before:
    os.kill(os.getpid(), signal.SIGTERM)
    sys.exit(child._next(before.held)[0])
"""


def test_a_thread_that_still_waits_for_a_lock_takes_no_signal(tmp_path: Path) -> None:
    """Signals wait in line, so that none is lost: they go to any thread that lets them."""
    path = tmp_path / "lock"
    with lock(path):
        command = [sys.executable, "-c", LEFT_WAITING, str(path)]
        assert subprocess.run(command, check=False, timeout=30).returncode == signal.SIGTERM


def test_a_command_that_ended_unseen_is_seen_all_the_same() -> None:
    """The signal goes to a thread that does not block it: one that hangs in a look-up, say."""
    done = threading.Event()
    other = threading.Thread(target=done.wait, daemon=True)
    other.start()
    try:
        with child.held(CORE) as before:
            pid = child.fork(lambda _told: child.run(["false"], os.environ, before))
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            while signal.SIGCHLD in signal.sigpending():
                time.sleep(0.01)
            assert child.Job(pid, before).wait() == 1
    finally:
        done.set()
        other.join()
