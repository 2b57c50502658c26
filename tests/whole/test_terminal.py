"""What a person at a terminal sees."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.cloud import ROLE
from support.station import PROGRAM

if TYPE_CHECKING:
    from support.station import Station

pytestmark = pytest.mark.whole


def on_terminal(here: Station, *arguments: str) -> tuple[str, str]:
    """Run the program with its standard output on a terminal; return what both streams got."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [PROGRAM, *arguments],
            env={**here.environ, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        os.close(theirs)
        return terminal.read(65536).decode(), done.stderr


@pytest.mark.parametrize("form", ["json", "aws", "env"])
def test_on_a_terminal_secrets_are_hidden_with_a_line_how_to_get_them(
    here: Station, form: str
) -> None:
    """On a terminal, secret values are shown as •••• with a line on standard error."""
    shown, said = on_terminal(here, "vend", ROLE, "--format", form)
    assert "••••" in shown
    assert "ASIA" in shown
    assert "--reveal" in said
    assert here.events() == ["vend.intent", "vend.issued"]
    bare = "".join(char for char in shown if char.isascii())
    assert "FwoG" not in bare
    assert "SessionToken" not in shown or '"SessionToken": "••••"' in shown


def test_revealed_on_purpose_they_are_whole(here: Station) -> None:
    """`--reveal` shows them."""
    shown, said = on_terminal(here, "vend", ROLE, "--format", "env", "--reveal")
    assert "••••" not in shown
    assert "export AWS_SECRET_ACCESS_KEY=" in shown
    assert said == ""


def test_a_switch_stands_out_on_a_terminal_and_not_in_a_pipe(here: Station) -> None:
    """Colours on a terminal only."""
    here.run("disable", "--all", "--reason", "drill")
    shown, _ = on_terminal(here, "status")
    assert "\x1b[31m  all is off" in shown
    assert "\x1b" not in here.run("status").stdout
    shown, _ = on_terminal(here, "--no-color", "status")
    assert "\x1b" not in shown
