"""The pseudo-terminal of a command: what does not need a person to show."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.deliver import terminal
from agentauth_cli.errors import StateError
from support.person import Person

if TYPE_CHECKING:
    from pathlib import Path


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


BROKEN = """\
import sys
from agentauth_cli.deliver.child import held, run
from agentauth_cli.deliver.terminal import Terminal

class Broken:
    def feed(self, text):
        if text:
            raise ArithmeticError("made up")
        return text

with held((0, 0)) as before:
    terminal = Terminal()
    command = ["sh", "-c", "trap '' HUP TERM; while echo up; do :; done"]
    job = terminal.start(lambda: run(command, {}, before), before)
    try:
        with terminal.passing_on(Broken()):
            job.wait()
    except ArithmeticError as error:
        print("caught", error)
        sys.exit(3)
"""


def test_where_passing_on_fails_the_command_is_hung_up_and_it_is_said(tmp_path: Path) -> None:
    """Nobody waits for a command that nobody reads; the terminal is as it was."""
    with Person([sys.executable, "-c", BROKEN], dict(os.environ), tmp_path) as person:
        person.sees("caught made up\r\n")
        assert person.ends() == 3
        assert person.settings() == person.before
