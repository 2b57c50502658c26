"""The one writer: all bytes of a credential, or an error that says they were not delivered."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.deliver import stdout
from agentauth_cli.errors import UndeliveredError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let the writer write to a pipe; return the end to read from."""
    reading, writing = os.pipe()
    monkeypatch.setattr(stdout, "STDOUT", writing)
    yield reading
    for descriptor in (reading, writing):
        if _open(descriptor):
            os.close(descriptor)


def _open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_the_bytes_arrive_at_once(pipe: int) -> None:
    """Written past every buffer: nothing waits for the end of the process."""
    stdout.write("{}\n")
    assert os.read(pipe, 100) == b"{}\n"


def test_more_than_the_pipe_holds_arrives_whole(pipe: int) -> None:
    """A short write is followed by the rest."""
    text = "x" * 1_000_000
    writer = threading.Thread(target=stdout.write, args=(text,))
    writer.start()
    arrived = b""
    while len(arrived) < len(text):
        arrived += os.read(pipe, 65_536)
    writer.join()
    assert arrived == text.encode()


def test_a_reader_that_is_gone_is_no_delivery(pipe: int) -> None:
    """If the output cannot be written (closed): UndeliveredError, exit 9."""
    os.close(pipe)
    with pytest.raises(UndeliveredError, match="Broken pipe") as caught:
        stdout.write("secret")
    assert caught.value.exit_code == 9
    assert "secret" not in str(caught.value)


def test_a_descriptor_that_is_closed_is_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed descriptor takes nothing."""
    reading, writing = os.pipe()
    monkeypatch.setattr(stdout, "STDOUT", writing)
    os.close(writing)
    os.close(reading)
    with pytest.raises(UndeliveredError, match="Bad file descriptor"):
        stdout.write("secret")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")  # noqa: PTH110
def test_a_full_disk_is_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the output cannot be written (full): UndeliveredError."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        monkeypatch.setattr(stdout, "STDOUT", full.fileno())
        with pytest.raises(UndeliveredError, match="No space left"):
            stdout.write("secret")


def test_a_file_that_may_not_grow_is_no_delivery(tmp_path: Path) -> None:
    """A file cannot grow (prlimit --fsize): no credential, said as such."""
    script = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "from agentauth_cli.deliver.stdout import write\n"
        "write('x' * 100)\n"
    )
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert b"UndeliveredError" in done.stderr
    assert b"File too large" in done.stderr


def test_nothing_to_write_is_written(pipe: int) -> None:
    """An empty text is delivered without a call."""
    stdout.write("")
    os.set_blocking(pipe, False)
    with pytest.raises(BlockingIOError):
        os.read(pipe, 1)
