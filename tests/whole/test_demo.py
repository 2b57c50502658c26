"""`agentauth demo`: the whole story, told by the real program, with nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.station import PROGRAM

pytestmark = pytest.mark.whole

TOLD_IN_ORDER = (
    "$ agentauth whoami",
    "$ agentauth check s3_upload",
    "allow: allowed by rule agents-upload",
    "$ agentauth vend s3_upload",
    '"credential_type": "aws_sts_session"',
    "$ agentauth configure aws s3_upload --profile agent",
    "credential_process = ",
    "/report.txt: written",
    "agents/somebody-else/report.txt: An error occurred (AccessDenied)",
    "asked for 14400 s, cut to 3600 s",
    "agentauth: over budget: budget uploads",
    "(exit code 7)",
    "$ agentauth disable --tool s3_upload",
    "agentauth: switched off: tool s3_upload is off",
    "(exit code 6)",
    "$ agentauth audit tail",
    "$ agentauth audit verify",
    "ok: ",
    "broken: record 2",
    "(exit code 1)",
)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment whose temporary folder is this one."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    return {**kept, "PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder)}


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of processes whose folder this is."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink().is_relative_to(folder):
                found.append((link.parent / "cmdline").read_text())
        except OSError:
            continue  # gone meanwhile, or not ours
    return found


def test_the_demo_tells_the_whole_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """It runs the real command line step by step, printing each command and its real output."""
    done = subprocess.run(
        [PROGRAM, "demo"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    at = 0
    for told in TOLD_IN_ORDER:
        at = done.stdout.find(told, at)
        assert at >= 0, f"{told}\n{done.stdout}"
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_half_way_the_demo_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Leaves nothing behind, also after Ctrl-C."""
    with subprocess.Popen(
        [PROGRAM, "demo"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if "vend" in line:
                break
        process.send_signal(number)
        process.stdout.read()
        assert process.wait(30) == 128 + number
    while processes_in(tmp_path):
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_kept_the_folder_says_how_to_go_on(tmp_path: Path) -> None:
    """`--keep` leaves the folder to play in."""
    done = subprocess.run(
        [PROGRAM, "demo", "--keep"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    (folder,) = tmp_path.iterdir()
    assert f"export AGENTAUTH_CONFIG_DIR={folder / 'config'}" in done.stdout
    exported = dict(
        line.removeprefix("export ").split("=", 1)
        for line in done.stdout.splitlines()
        if line.startswith("export ")
    )
    again = subprocess.run(
        [PROGRAM, "audit", "verify"],
        env={**environment(tmp_path), **exported},
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1  # the byte that the demo changed


def test_without_its_extra_the_demo_says_the_command_that_installs_it(tmp_path: Path) -> None:
    """Without the extra it says the one command that installs it."""
    call = "from agentauth_cli.cli.run import run; import sys; sys.executable = '/nowhere/python'"
    done = subprocess.run(
        [sys.executable, "-c", f"{call}; sys.exit(run(['demo']))"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "pip install 'agentauth[demo]'" in done.stderr
    assert list(tmp_path.iterdir()) == []
