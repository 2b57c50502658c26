"""What `configure aws` writes: words that boto3 and a shell read alike."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from botocore.compat import compat_shell_split

from agentauth_cli.cli.configure import _quoted, config_file
from agentauth_cli.cli.init import Around, look_around
from agentauth_cli.errors import ConfigError
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "word",
    [
        "/usr/bin/agentauth",
        "/Users/a b/bin/agentauth",
        "/home/o'neil/bin/agentauth",
        "AGENTAUTH_CONFIG_DIR=/a;b/(c)&d|e<f>g*h?i~j#k",
        "/home/é/agentauth",
        "x=[1]{2}!",
    ],
)
def test_a_word_arrives_whole(word: str) -> None:
    """boto3 splits the line by itself, other SDKs hand it to a shell: both get the same word."""
    line = f"printf %s {_quoted(word)}"
    assert compat_shell_split(line, "linux")[2:] == [word]
    assert shlex.split(line)[2:] == [word]
    shown = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True)
    assert shown.stdout.decode() == word


@pytest.mark.parametrize("word", ['a"b', "a\\b", "$(touch x)", "`x`", "$HOME", "a\nb", "a\x1b"])
def test_a_word_that_they_read_otherwise_is_refused(word: str) -> None:
    """What one of them would take for more than text does not get into the file."""
    with pytest.raises(ConfigError, match="cannot stand in an AWS config file"):
        _quoted(word)


def test_the_file_is_where_botocore_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_CONFIG_FILE with `~` or a variable in it, or ~/.aws/config."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for named in ("~/x", "$HOME/x", str(tmp_path / "x")):
        assert config_file(Wiring({"AWS_CONFIG_FILE": named})) == tmp_path / "x"
    for environ in ({}, {"AWS_CONFIG_FILE": ""}):
        assert config_file(Wiring(environ)) == tmp_path / ".aws" / "config"


def test_without_a_home_the_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that nobody knows, without HOME: the message says what to set."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(ConfigError) as caught:
        config_file(Wiring({}))
    assert caught.value.hint == "Set HOME, or AWS_CONFIG_FILE"


@pytest.mark.parametrize("kind", ["fifo", "folder", "none", "bytes", "large", "broken"])
def test_what_cannot_be_read_proposes_nothing(tmp_path: Path, kind: str) -> None:
    """`init` looks around: what it finds there never keeps it from going on."""
    file = tmp_path / "config"
    contents = {"bytes": b"\xff", "large": b"#" * 10_000_000, "broken": b"region = x\n"}
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind != "none":
        file.write_bytes(contents[kind])
    assert look_around(file, {}) == Around()
