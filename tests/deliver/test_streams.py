"""Our own streams where they are terminals: what does not need a person to show."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from agentauth_cli.deliver import streams

if TYPE_CHECKING:
    import pytest


def test_a_slow_reader_gets_all_of_it() -> None:
    """Also where somebody else made the terminal non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    text = os.urandom(1 << 20)
    writer = threading.Thread(target=streams.write, args=(writing, text))
    writer.start()
    got = b""
    while len(got) < len(text):
        got += os.read(reading, 65_536)
    writer.join()
    assert got == text
    os.close(reading)
    streams.write(writing, b"nobody reads this")
    os.close(writing)
    assert streams.read(reading) == b""


def test_without_a_keyboard_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that does not control us is never exchanged for one that does."""
    ours, theirs = os.openpty()
    written = os.open(os.ttyname(theirs), os.O_WRONLY | os.O_NOCTTY)
    monkeypatch.setattr(streams, "IN", os.open(os.devnull, os.O_RDONLY))
    assert streams.keyboard(written) == (written, -1)
    assert streams.keyboard(theirs) == (theirs, -1)
    for descriptor in (streams.IN, written, theirs, ours):
        os.close(descriptor)
