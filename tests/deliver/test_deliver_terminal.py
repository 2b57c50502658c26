"""The pseudo-terminal of a command: what does not need a person to show."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from agentauth_cli.deliver import terminal
from agentauth_cli.errors import StateError


def test_where_there_is_no_pseudo_terminal_the_mask_can_be_left_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said before anything is vended."""

    def none() -> tuple[int, int]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "openpty", none)
    with pytest.raises(StateError, match="no pseudo-terminal: No space left") as caught:
        terminal.Terminal()
    assert caught.value.hint == "Use --no-mask"


def test_a_slow_reader_gets_all_of_it() -> None:
    """Also where somebody else made the terminal non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    text = os.urandom(1 << 20)
    writer = threading.Thread(target=terminal._write, args=(writing, text))
    writer.start()
    got = b""
    while len(got) < len(text):
        got += os.read(reading, 65_536)
    writer.join()
    assert got == text
    os.close(reading)
    terminal._write(writing, b"nobody reads this")
    os.close(writing)
    assert terminal._read(reading) == b""
