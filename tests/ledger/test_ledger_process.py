"""Whether the process that holds a lease still lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.ledger import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLEEP = [sys.executable, "-S", "-c", "input()"]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that waits."""
    with subprocess.Popen(SLEEP, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as running:
        yield running
        running.kill()


def named(pid: int) -> str:
    """Return ``pid:start`` of another process."""
    return f"{pid}:{process._started(pid)}"


def until(holds: Callable[[], bool]) -> None:
    """Wait for what is bound to come."""
    for _ in range(1000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_this_process() -> None:
    """A lease is pending while its process (pid and start time) lives."""
    assert process.alive(process.this_process())
    assert process.this_process().startswith(f"{os.getpid()}:")


def test_another_process(child: subprocess.Popen[bytes]) -> None:
    """It lives, then it does not."""
    name = named(child.pid)
    assert process.alive(name)
    child.kill()
    child.wait()
    assert not process.alive(name)


def test_killed_and_not_asked_for(child: subprocess.Popen[bytes]) -> None:
    """A process that was killed is gone, also while its parent has not asked how it ended."""
    name = named(child.pid)
    child.kill()
    until(lambda: not process.alive(name))
    assert child.returncode is None


def test_the_number_came_again() -> None:
    """The same pid with another start time is another process."""
    assert not process.alive(f"{os.getpid()}:1")


@pytest.mark.parametrize("text", ["", ":", "1", "1:", ":1", "x:1", "-1:1", "0:1", f"{2**70}:1"])
def test_what_is_no_process(text: str) -> None:
    """Whatever stands in the column, the answer is no, not a failure."""
    assert not process.alive(text)


def test_a_name_made_to_mislead(tmp_path: Path) -> None:
    """A program may be called so that its name looks like the fields behind it."""
    program = tmp_path / "x) S 1 1 ("
    program.symlink_to(sys.executable)
    home = {"PYTHONHOME": sys.base_prefix}
    with subprocess.Popen([program, *SLEEP[1:]], stdin=subprocess.PIPE, env=home) as running:
        name = named(running.pid)
        assert process.alive(name)
        assert name.partition(":")[2].isdecimal()
        running.kill()


def test_the_parent() -> None:
    """`client` (parent process name)."""
    script = "from agentauth_cli.ledger.process import parent_name; print(parent_name())"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ
    )
    own = Path(f"/proc/{os.getpid()}/comm")
    assert not own.exists() or found.stdout.strip() == own.read_text(encoding="utf-8").strip()


def test_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Mac it is ps that knows."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "Mon Nov 23 10:00:00 2026\n")

    monkeypatch.setattr(process, "_proc", lambda: None)
    monkeypatch.setattr(subprocess, "run", run)
    assert process.this_process() == f"{os.getpid()}:Mon Nov 23 10:00:00 2026"
    assert process.alive(process.this_process())
    assert asked[0] == ["/bin/ps", "-o", "lstart=", "-p", str(os.getpid())]
    assert process.parent_name() == "Mon Nov 23 10:00:00 2026"
    assert asked[-1] == ["/bin/ps", "-o", "comm=", "-p", str(os.getppid())]


def test_where_there_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc and ps nobody is known to live."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        raise FileNotFoundError(command[0])

    monkeypatch.setattr(process, "_proc", lambda: None)
    monkeypatch.setattr(subprocess, "run", run)
    assert process.parent_name() == ""
    assert not process.alive(process.this_process())


def test_the_real_one() -> None:
    """/proc is used where it is."""
    assert (process._proc() is not None) == Path("/proc/self/stat").exists()
