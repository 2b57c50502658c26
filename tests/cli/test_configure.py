"""What `configure aws` writes: words that boto3 and a shell read alike."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from botocore.compat import compat_shell_split

from agentauth_cli.cli.configure import _quoted
from agentauth_cli.errors import ConfigError


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
