"""The file of variables of a job of GitHub Actions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.deliver import github
from agentauth_cli.errors import ProviderAnswerError, UndeliveredError, UsageError
from agentauth_cli.model import ProviderCredential, ProviderType
from agentauth_cli.secret import SecretMapping

if TYPE_CHECKING:
    from pathlib import Path

END = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)


def credential(text: str = "t=<<EOF") -> ProviderCredential:
    """Return a credential with this session token."""
    keys = {"aws_access_key_id": "made-up", "aws_secret_access_key": "s", "region_name": "r"}
    keys["aws_session_token"] = text
    return ProviderCredential(ProviderType.AWS, "aws_sts_session", SecretMapping(keys), END)


def test_the_variables_come_behind_what_is_there(tmp_path: Path) -> None:
    """A line each, and none of them is part of what stood there before."""
    path = tmp_path / "env"
    path.write_text("A=1")
    github.append(str(path), credential())
    github.append(str(path), credential("u"))
    lines = path.read_text().splitlines()
    assert lines[0] == "A=1"
    assert [line for line in lines if line.startswith("AWS_SESSION_TOKEN=")] == [
        "AWS_SESSION_TOKEN=t=<<EOF",
        "AWS_SESSION_TOKEN=u",
    ]
    assert "AWS_CREDENTIAL_EXPIRATION=2026-11-23T10:15:00Z" in lines


def test_a_value_of_several_lines_is_not_written(tmp_path: Path) -> None:
    """A value with control characters is an error, and nothing is written."""
    path = tmp_path / "env"
    path.touch()
    with pytest.raises(ProviderAnswerError):
        github.append(str(path), credential("t\nPATH=/evil"))
    assert path.read_bytes() == b""


def test_a_file_that_takes_nothing(tmp_path: Path) -> None:
    """The file is the runner's and there already; anything else gets no credential."""
    aim = tmp_path / "aim"
    aim.touch()
    (tmp_path / "link").symlink_to(aim)
    for path in (tmp_path, tmp_path / "absent", tmp_path / "link", "/dev/full", "/dev/null"):
        with pytest.raises(UndeliveredError, match="GITHUB_ENV"):
            github.append(str(path), credential())
    assert aim.read_bytes() == b""
    assert not (tmp_path / "absent").exists()


def test_elsewhere_there_is_no_such_file() -> None:
    """It is for a job of GitHub Actions."""
    assert github.file({"GITHUB_ENV": "/x"}) == "/x"
    for environ in ({}, {"GITHUB_ENV": ""}):
        with pytest.raises(UsageError, match="GITHUB_ENV is not set"):
            github.file(environ)
