"""What a person at a terminal sees."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from support.cloud import ROLE
from support.station import PROGRAM, Station

pytestmark = pytest.mark.whole

ANYTHING = """\
version = 1
[[rule]]
id = "all"
effect = "allow"
principals = ["*"]
"""
ASKED = """{
    "principal": {"id": "okta/a", "kind": "user", "auth": "jwt"},
    "action": "aws.s3.put", "resource": "é", "tool": "-", "environment": "prod",
    "at": "2026-11-23T10:00:00Z"
}"""


def on_terminal(here: Station, *arguments: str) -> tuple[str, str]:
    """Run the program with its standard output on a terminal; return what both streams got."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [PROGRAM, *arguments],
            env={"TERM": "xterm", **here.environ},
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


@pytest.mark.parametrize(
    ("variables", "branch"),
    [
        ({}, "├─ \x1b[31m"),
        ({"NO_COLOR": "1"}, "├─ "),
        ({"TERM": "dumb"}, "|- "),
        ({"LANG": "C", "LC_ALL": "C", "COLUMNS": "1"}, "├─ \x1b[31m"),
        ({"PYTHONIOENCODING": "ascii"}, "|- \x1b[31m"),
    ],
)
def test_the_tree_of_check(here: Station, variables: dict[str, str], branch: str) -> None:
    """Colours and boxes on a terminal only; what it cannot show is written in ASCII."""
    here.write("policy.toml", ANYTHING)
    asked = here.folder / "request.json"
    asked.write_text(ASKED, encoding="utf-8")
    there = Station(here.folder, {**here.environ, **variables})
    lines = on_terminal(there, "check", "--request", str(asked))[0].splitlines()
    assert lines[0] == "allow: allowed by rule all"
    assert lines[1].startswith(f"{branch}okta/a through - in prod at 2026-11-23T10:00:00Z")
    assert ("é" in lines[2]) is ("PYTHONIOENCODING" not in variables)
    assert there.run("check", "--request", str(asked)).stdout == "allow: allowed by rule all\n"
