"""What an environment can do to the real program: lead it elsewhere, or spoil its words."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.cloud import ROLE
from support.station import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

    from support.station import Station

pytestmark = pytest.mark.whole

NAMES = ("AGENTAUTH_CONFIG_DIR", "AGENTAUTH_STATE_DIR", "AGENTAUTH_DATA_DIR")


def vend(here: Station, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Vend, and hold that a failure is told in one line, without a traceback."""
    done = here.run("vend", ROLE, *arguments, **variables)
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
    return done


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_others_can_change_is_refused(near: Station, name: str, mode: int) -> None:
    """AGENTAUTH_* pointing to another policy or state: only when owner and mode are right."""
    assert vend(near).returncode == 0
    folder = near.folder / near.environ[name].rpartition("/")[2]
    folder.chmod(mode)
    done = vend(near)
    assert done.returncode in {3, 9}
    assert "chmod" in done.stderr
    folder.chmod(0o700)
    assert vend(near).returncode == 0
    near.everything_holds()


@pytest.mark.skipif(os.getuid() != 0, reason="giving a folder away needs root")
@pytest.mark.parametrize("name", NAMES)
def test_somebody_elses_folder_is_refused(near: Station, name: str) -> None:
    """Only when the owner is right: whoever owns a folder can put any policy into it."""
    assert vend(near).returncode == 0
    folder = near.folder / near.environ[name].rpartition("/")[2]
    os.chown(folder, 1001, -1)
    done = vend(near)
    assert done.returncode in {3, 9}
    assert str(folder) in done.stderr
    os.chown(folder, 0, -1)
    assert vend(near).returncode == 0


@pytest.mark.parametrize("name", ["config.toml", "policy.toml"])
def test_a_file_that_others_can_change_is_refused(near: Station, name: str) -> None:
    """A file of a folder that is pointed to is judged as the folder is."""
    (near.folder / "config" / name).chmod(0o666)
    done = vend(near)
    assert done.returncode == 3
    assert "chmod" in done.stderr


def test_the_record_has_the_path(near: Station) -> None:
    """The audit records the path of a configuration that is not the default one."""
    assert vend(near).returncode == 0
    assert {one["config"] for one in near.records()} == {str(near.folder / "config")}
    near.write("policy.toml", "version = 1\n")
    assert vend(near).returncode == 5
    assert near.records()[-1]["config"] == str(near.folder / "config")


def test_a_variable_leads_to_no_fresh_ledger(near: Station) -> None:
    """An agent cannot give itself a fresh budget by a variable."""
    assert vend(near).returncode == 0
    elsewhere = near.folder / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    for variables in (
        {"AGENTAUTH_STATE_DIR": str(elsewhere)},
        {"AGENTAUTH_LEDGER": "ephemeral"},
    ):
        assert vend(near, **variables).returncode == 9
    near.everything_holds()


POOR = (
    {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1", "TERM": "dumb"},
    # what Python would do to mend it is off
    {"LC_ALL": "POSIX", "PYTHONIOENCODING": "", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "tr_TR.ISO-8859-9", "PYTHONIOENCODING": "latin-1:strict"},
)
REASON = "für Ümläute → 日本"


@pytest.mark.parametrize("number", range(len(POOR)))
def test_a_poor_environment_spoils_no_words(near: Station, number: int) -> None:
    """LANG=C, PYTHONIOENCODING=ascii, COLUMNS=1, TERM=dumb: no UnicodeEncodeError; ASCII JSON."""
    budget = 'id = "ten"\nper = []\nlimits.day.leases = 9\n'
    near.write("budgets.toml", f"version = 1\n[[budget]]\n{budget}")
    for arguments in (
        ("whoami", "--json"),
        ("vend", ROLE, "--reason", REASON),
        ("check", ROLE),
        ("budget", "show"),
        ("audit", "tail"),
        ("audit", "tail", "--json"),
        ("status",),
        ("vend", "--help"),
        ("audit", "verify"),
    ):
        done = run(near, *arguments, **POOR[number], COLUMNS="1")
        assert done.returncode == 0, (arguments, done.stderr)
        assert not done.stderr
        assert b"\x1b" not in done.stdout
        if "--json" in arguments or arguments == ("vend", ROLE, "--reason", REASON):
            assert done.stdout.isascii()
            assert all(json.loads(line) for line in done.stdout.splitlines())
    said = [one["user_reason"] for one in near.records() if one["event"] == "vend.issued"]
    assert [os.fsencode(one) for one in said] == [REASON.encode()]


def run(
    here: Station, *arguments: str | bytes, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the program with arguments that may be any bytes."""
    return subprocess.run(
        [os.fsencode(PROGRAM), *map(os.fsencode, arguments)],
        env={**here.environ, **variables},
        cwd=here.folder,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("variables", [{}, *POOR[:2]], ids=["usual", "ascii", "posix"])
def test_arguments_that_are_no_text(near: Station, variables: dict[str, str]) -> None:
    """Non-UTF-8 argv bytes: refused in a line of ASCII, and never a traceback."""
    for code, arguments in (
        (2, ("vend", b"s3_\xff")),
        (5, ("vend", ROLE, "--resource", b"s3://acme/\xc3\x28")),
        (2, ("vend", ROLE, "--env", b"\xff")),
        (2, ("whoami", "--identity", b"\xfe")),
        (2, (b"\xff\xfe",)),
        (5, ("check", "--action", "aws.s3.put", "--resource", b"\xed\xa0\x80", "--json")),
    ):
        done = run(near, *arguments, **variables)
        assert done.returncode == code, (arguments, done)
        assert b"Traceback" not in done.stderr
        assert done.stdout.isascii()
        assert done.stderr.isascii()


def test_a_reason_that_is_no_text_breaks_no_record(near: Station) -> None:
    """What is hashed is ASCII, whatever the bytes of the command line were."""
    done = run(near, "vend", ROLE, "--reason", b"a\xffb")
    assert done.returncode == 0, done.stderr
    assert os.fsencode(near.records()[-1]["user_reason"]) == b"a\xffb"
    near.everything_holds()


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_whose_name_is_no_text(near: Station, tmp_path: Path, name: str) -> None:
    """A path that is no text, in a variable, is used or refused in a line, never a bug."""
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(folder, 0o700)  # noqa: PTH102 - bytes
    there = {name: os.fsdecode(folder)}
    done = run(near, "vend", ROLE, **there)
    assert b"Traceback" not in done.stderr
    if name == "AGENTAUTH_CONFIG_DIR":  # which is empty
        assert done.returncode == 3
        return
    assert done.returncode == 0, done.stderr
    assert run(near, "audit", "verify", **there).returncode == 0
