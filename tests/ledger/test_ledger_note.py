"""ledgers.toml: which ledger belongs to which configuration."""

from __future__ import annotations

import stat
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentauth_cli.errors import ConfigError, StateError, UnsafeFileError
from agentauth_cli.ledger import note
from agentauth_cli.ledger.note import Note
from support.account import open_folder, without_root
from support.clock import START

HERE = Note("/home/alice/.config/agentauth", "01JD", "sqlite", START)
THERE = Note("/srv/jobs", "01JE", "postgresql", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))

JOBS = "id = '01JE'\nkind = 'postgresql'\ncreated = 2026-01-02T03:04:05Z"
INLINE = JOBS.replace("\n", ", ")
WRITTEN = """version = 1
[[ledger]]
config = "/home/alice/.config/agentauth"
id = "01JD"
kind = "sqlite"
created = 2026-11-23T10:00:00Z
"""


def found(folder: Path, config: str = HERE.config) -> Note | None:
    """Return the note of a configuration; nothing is to be said."""
    said: list[str] = []
    known = note.find(folder, Path(config), said.append)
    assert said == []
    return known


def test_none_yet(tmp_path: Path) -> None:
    """No file, no note."""
    assert found(tmp_path) is None
    assert found(tmp_path / "nowhere") is None


def test_written(tmp_path: Path) -> None:
    """It notes the ledger's id for this config path."""
    note.remember(tmp_path, HERE)
    assert (tmp_path / "ledgers.toml").read_text() == WRITTEN
    assert stat.S_IMODE((tmp_path / "ledgers.toml").stat().st_mode) == 0o600
    assert found(tmp_path) == HERE
    assert found(tmp_path, "/home/alice/.config") is None


def test_several(tmp_path: Path) -> None:
    """Each configuration has its own; a new one takes the place of the old."""
    for one in (HERE, THERE, replace(HERE, id="01JF")):
        note.remember(tmp_path, one)
    assert found(tmp_path, THERE.config) == THERE
    assert found(tmp_path) == replace(HERE, id="01JF")
    assert (tmp_path / "ledgers.toml").read_text().count("[[ledger]]") == 2


@pytest.mark.parametrize("config", ['/a "b"\\c', "/é/日本", "/with\nline", "/a b/ledger", "/x#y"])
def test_any_path(tmp_path: Path, config: str) -> None:
    """Whatever the folder is called, its note comes back."""
    note.remember(tmp_path, HERE)
    note.remember(tmp_path, replace(HERE, config=config, id="01JF"))
    assert found(tmp_path, config) == replace(HERE, config=config, id="01JF")
    assert found(tmp_path) == HERE


@pytest.mark.parametrize(
    "before",
    [
        "# mine\nversion = 1  # one\n",
        f"version = 1\n# keep\n\n[[ledger]] # that\nconfig = '/srv/jobs'\n{JOBS}\n",
        f"version = 1\n[[ledger]]\nconfig = '/srv/jobs'\n{JOBS}\n",
        f"version = 1\nledger = [ # that\n  {{ config = '/srv/jobs', {INLINE} }} ]\n",
        f"version = 1\nledger = [{{ config = '{HERE.config}', {INLINE} }}]\n",
    ],
)
def test_what_a_person_wrote(tmp_path: Path, before: str) -> None:
    """A command that writes such a file keeps comments and order, and what is written loads."""
    path = tmp_path / "ledgers.toml"
    path.write_text(before)
    path.chmod(0o600)
    others = found(tmp_path, THERE.config)
    note.remember(tmp_path, HERE)
    note.remember(tmp_path, HERE)
    assert found(tmp_path) == HERE
    assert found(tmp_path, THERE.config) == others
    assert [line for line in before.split("\n")[:1] if line not in path.read_text()] == []
    assert len(tomllib.loads(path.read_text())["ledger"]) == (2 if others else 1)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "version = 2",
        "version = 1\nledger = 7",
        "version = 1\nledger = []",
        "version = 1\n[[ledger]]\nconfig = '/x'",
        WRITTEN.replace("sqlite", "mysql"),
        WRITTEN.replace("id = ", "ids = "),
        WRITTEN.replace("Z", ""),
        WRITTEN + "\nnonsense",
        WRITTEN.replace("[[ledger]]", "[ledger]"),
        "version = 1\nx = 1",
        "\ud800",
        "a." * 40_000 + "b = 1",
    ],
)
def test_a_file_that_does_not_load(tmp_path: Path, content: str) -> None:
    """An unknown key, a wrong type is an error with file, line and key; nothing is guessed."""
    path = tmp_path / "ledgers.toml"
    path.write_bytes(content.encode(errors="surrogatepass"))
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"ledgers\.toml:") as raised:
        found(tmp_path)
    assert raised.value.hint == f"Mend {path}"


def test_others_may_write_it(tmp_path: Path) -> None:
    """Whoever may write the note could give a fresh budget: refused."""
    note.remember(tmp_path, HERE)
    (tmp_path / "ledgers.toml").chmod(0o660)
    with pytest.raises(UnsafeFileError, match="can be written by others"):
        found(tmp_path)


def test_a_link(tmp_path: Path) -> None:
    """No link in data, neither when it is read nor when it is written."""
    note.remember(tmp_path, HERE)
    path = tmp_path / "ledgers.toml"
    path.rename(tmp_path / "elsewhere.toml")
    path.symlink_to(tmp_path / "elsewhere.toml")
    with pytest.raises(UnsafeFileError, match="is a symbolic link"):
        found(tmp_path)
    with pytest.raises(UnsafeFileError, match="is a symbolic link"):
        note.remember(tmp_path, THERE)


def test_others_may_read_it(tmp_path: Path) -> None:
    """A file of ours in state or data that others may read is set to 0600 and said."""
    note.remember(tmp_path, HERE)
    path = tmp_path / "ledgers.toml"
    path.chmod(0o644)
    said: list[str] = []
    assert note.find(tmp_path, Path(HERE.config), said.append) == HERE
    assert said == [f"{path} could be read by others; its mode is now 0600"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "before", [WRITTEN, "version = 1", "version = 1\n# mine", "version = 1\r\n"]
)
def test_a_last_line_without_its_end(tmp_path: Path, before: str) -> None:
    """Whatever the last line ends with, what is written behind it loads."""
    path = tmp_path / "ledgers.toml"
    path.write_bytes(before.replace(HERE.config, THERE.config).removesuffix("\n").encode())
    path.chmod(0o600)
    note.remember(tmp_path, HERE)
    assert found(tmp_path) == HERE


def test_what_would_not_load_is_not_written(tmp_path: Path) -> None:
    """What is about to be written is judged first: exit 9, and the file is as it was."""
    note.remember(tmp_path, HERE)
    before = (tmp_path / "ledgers.toml").read_bytes()
    with pytest.raises(StateError, match=r"would not load with the note in it: ledgers\.toml:"):
        note.remember(tmp_path, replace(THERE, kind="paper"))
    assert (tmp_path / "ledgers.toml").read_bytes() == before


def test_it_cannot_be_written() -> None:
    """A note that cannot be written: exit 9."""
    with open_folder() as folder:
        folder.chmod(0o555)
        with without_root(), pytest.raises(StateError, match="cannot be written") as raised:
            note.remember(folder, HERE)
    assert raised.value.exit_code == 9
