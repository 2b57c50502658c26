"""The files of a configuration folder: what is wrong with one stops everything, and is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import tomlkit

from agentauth_cli.config.reading import Configuration, read_files
from agentauth_cli.errors import (
    AgentAuthError,
    ConfigError,
    NotConfiguredError,
    PolicyMissingError,
    SwitchFileError,
    UnsafeFileError,
)
from agentauth_cli.policy.rules import digest
from support.account import give_away, open_folder, without_root
from support.configs import config

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
version = 1

[[rule]]
id = "all"
effect = "allow"
principals = ["*"]
"""
BUDGETS = """\
version = 1

[[budget]]
id = "b"
per = []
limits.day = { requests = 1 }
"""
SWITCHES = """\
version = 1

[[switch]]
target = "all"
"""
API_KEYS = """\
version = 1

[[key]]
id = "k3v9x2ab"
name = "build-7"
kind = "agent"
hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
created = 2026-11-23T10:00:00Z
expires = 2027-02-21T10:00:00Z
"""
CODES = {
    "config.toml": 3,
    "policy.toml": 3,
    "budgets.toml": 3,
    "killswitch.toml": 6,
    "apikeys.toml": 3,
}
NAMES = list(CODES)


def _configuration(folder: Path) -> Configuration:
    """Write a configuration that loads, whole."""
    for name, text in (
        ("config.toml", tomlkit.dumps(config())),
        ("policy.toml", POLICY),
        ("budgets.toml", BUDGETS),
        ("killswitch.toml", SWITCHES),
        ("apikeys.toml", API_KEYS),
    ):
        _write(folder / name, text.encode())
    return Configuration(folder)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


@pytest.fixture
def whole(tmp_path: Path) -> Configuration:
    """Return a configuration that loads, whole."""
    return _configuration(tmp_path)


def _read(configuration: Configuration, name: str) -> object:
    """Read one of the files as a request does."""
    match name:
        case "config.toml":
            return configuration.settings()
        case "policy.toml":
            return configuration.policy()
        case "budgets.toml":
            return configuration.budgets(configuration.settings())
        case "apikeys.toml":
            return configuration.api_keys()
        case _:
            return configuration.switches()


def _refusal(configuration: Configuration, name: str) -> AgentAuthError:
    """Return how a file is refused; it stays as it is, byte for byte."""
    path = configuration.folder / name
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(AgentAuthError) as caught:
        _read(configuration, name)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert caught.value.exit_code == CODES[name]
    assert name in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_configuration_that_is_in_order_loads(whole: Configuration) -> None:
    """Each file gives what it says."""
    assert list(whole.settings().tools) == ["put"]
    assert [rule.id for rule in whole.policy().rules] == ["all"]
    assert [one.id for one in whole.budgets(whole.settings()) or ()] == ["b"]
    assert [one.target for one in whole.switches()] == ["all"]
    assert [one.name for one in whole.api_keys()] == ["build-7"]
    assert whole.problems() == (whole.policy().digest, [])


def test_what_is_not_there_is_told_apart(tmp_path: Path) -> None:
    """No configuration and no policy are errors of their own; no budgets and switches are none."""
    empty = Configuration(tmp_path)
    with pytest.raises(NotConfiguredError, match=r"there is no .*/config\.toml"):
        empty.settings()
    with pytest.raises(PolicyMissingError, match=r"there is no .*/policy\.toml: everything is den"):
        empty.policy()
    assert empty.switches() == ()
    _write(tmp_path / "config.toml", tomlkit.dumps(config()).encode())
    assert empty.budgets(empty.settings()) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"version = 1\nversion = 1\n", 2),
        (b"version = 1\n[[", 2),
        (b"version = 1\nx =", 2),
        (b'version = 1\nx = "\n', 2),
        (b"\xff\xfe", 1),
        (b"\xef\xbb\xbfversion = 1\n", 1),
        (b"version = 1\n\x00", 2),
        (b"x = " + b"[" * 10_000, 1),
        (b"x = " + b"9" * 10_000, 1),
        (b"." * 100_000, 1),
        (b"a." * 40 + b"a = 1", 1),
    ],
    ids=range(11),
)
def test_a_file_that_is_no_toml_is_refused_with_its_line(
    whole: Configuration, name: str, text: bytes, line: int
) -> None:
    """Bad TOML is an error naming file and line; nothing of the file is used."""
    _write(whole.folder / name, text)
    assert _refusal(whole, name).message.startswith(f"{name}:{line}:")


@pytest.mark.parametrize("name", NAMES)
def test_ten_megabytes_of_zeros_are_refused(whole: Configuration, name: str) -> None:
    """A file that a broken disk filled with zeros is refused, soon and with its name."""
    _write(whole.folder / name, bytes(10_000_000))
    _refusal(whole, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_over_the_limit_is_refused(whole: Configuration, name: str) -> None:
    """A file over 16 MiB is a load error."""
    with (whole.folder / name).open("ab") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    assert "larger than 16 MiB" in _refusal(whole, name).message
    with (whole.folder / name).open("ab") as file:
        file.truncate(1_000_000_000)
    with pytest.raises(AgentAuthError, match="is larger than"):
        _read(whole, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_type_and_an_unknown_key_name_file_line_and_key(
    whole: Configuration, name: str
) -> None:
    """An unknown key, a wrong type: an error with file, line, key and the nearest right one."""
    before = (whole.folder / name).read_text()
    _write(whole.folder / name, f"verion = 1\n{before}".encode())
    message = _refusal(whole, name).message
    assert message.startswith(f"{name}:1:1: verion: unknown key 'verion': did you mean `version`?")
    _write(whole.folder / name, before.replace("version = 1", 'version = "1"').encode())
    assert _refusal(whole, name).message.startswith(f"{name}:1:1: version: expected the integer 1")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "killswitch.toml"])
def test_a_load_error_gives_the_first_and_the_count(whole: Configuration, name: str) -> None:
    """A load error's line gives the first and the count; `policy lint` lists all."""
    before = (whole.folder / name).read_text()
    _write(whole.folder / name, f"x = 1\ny = 2\nz = 3\n{before}".encode())
    error = _refusal(whole, name)
    assert isinstance(error, ConfigError)
    assert error.message.endswith(" (and 2 more)")
    assert [one.line for one in error.problems] == [1, 2, 3]
    assert "policy lint" in error.hint


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_its_place_is_refused(whole: Configuration, name: str) -> None:
    """What is no regular file is refused, and said what to do with it."""
    (whole.folder / name).unlink()
    (whole.folder / name).mkdir()
    error = _refusal(whole, name)
    assert "is not a regular file" in error.message
    assert error.hint == "Move it away"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_others_may_write_is_refused(whole: Configuration, name: str) -> None:
    """Anything that group or others may write is refused with the command that mends it."""
    for mode in (0o620, 0o602, 0o666):
        (whole.folder / name).chmod(mode)
        error = _refusal(whole, name)
        assert error.hint == f"chmod go-w {whole.folder / name}"
    (whole.folder / name).chmod(0o644)
    _read(whole, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_somebody_else_is_refused(
    whole: Configuration, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else than us or root owns is refused."""
    path = whole.folder / name
    whole.settings()
    give_away(path, monkeypatch)
    if path.owner() == whole.folder.owner():  # not root here: now all files are somebody's
        pytest.skip("needs another account")
    assert "belongs to uid" in _refusal(whole, name).message


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_we_may_not_read_is_refused(name: str) -> None:
    """A file without permission is an error of that file, never an absence."""
    with open_folder() as folder:
        whole = _configuration(folder)
        for other in NAMES:
            (folder / other).chmod(0o000 if other == name else 0o644)
        _read_all(whole)
        with without_root(), pytest.raises(AgentAuthError) as caught:
            _read(whole, name)
        assert caught.value.exit_code == CODES[name]
        assert f"{folder / name} cannot be read: Permission denied" in caught.value.message


def _read_all(whole: Configuration) -> None:
    """Read everything once, so that what is imported late is there for another account."""
    for name in NAMES:
        path = whole.folder / name
        mode = path.stat().st_mode & 0o777
        path.chmod(0o644)
        _read(whole, name)
        path.chmod(mode)


def test_a_folder_that_others_may_write_is_refused(whole: Configuration) -> None:
    """Who may write the folder can put another file into it."""
    whole.folder.chmod(0o777)
    with pytest.raises(UnsafeFileError) as caught:
        whole.settings()
    assert caught.value.hint == f"chmod go-w {whole.folder}"
    _, problems = whole.problems()
    assert any("can be written by others" in one.message for one in problems)
    whole.folder.chmod(0o700)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    """A configuration folder is a folder."""
    (tmp_path / "config").touch()
    with pytest.raises(ConfigError, match="is not a folder"):
        Configuration(tmp_path / "config").settings()


def test_a_link_is_followed(whole: Configuration, tmp_path: Path) -> None:
    """Configuration is kept in git, and linked from there; the file behind it is judged."""
    real = tmp_path / "git.toml"
    (whole.folder / "policy.toml").rename(real)
    (whole.folder / "policy.toml").symlink_to(real)
    assert whole.policy().rules
    real.chmod(0o666)
    _refusal(whole, "policy.toml")


@pytest.mark.parametrize("name", NAMES)
def test_a_link_to_a_file_that_is_gone_is_not_no_file(whole: Configuration, name: str) -> None:
    """No file may mean no limit or no switch; one that cannot be had never does."""
    (whole.folder / name).unlink()
    (whole.folder / name).symlink_to("gone.toml")
    _refusal(whole, name)


# -- policy.d --------------------------------------------------------------------------------


def test_policy_files_are_read_in_the_order_of_their_bytes(whole: Configuration) -> None:
    """`policy.toml` in the config directory, then every `policy.d/*.toml` beside it, …."""
    folder = whole.folder / "policy.d"
    folder.mkdir(mode=0o700)
    for name in ("b.toml", "B.toml", "a.toml", "ä.toml"):
        _write(folder / name, b"version = 1\n")
    (folder / ".hidden.toml").write_text("not read")
    found, problems = whole.policy_files()
    names = [name.removeprefix("policy.d/") for name, _ in found]
    assert names == ["policy.toml", "B.toml", "a.toml", "b.toml", "ä.toml"]
    assert not problems
    assert whole.policy().digest == digest(found)


def test_only_toml_files_lie_in_policy_d(whole: Configuration) -> None:
    """Anything in `policy.d` but regular files, or links to them, whose names end in `.toml`."""
    folder = whole.folder / "policy.d"
    folder.mkdir(mode=0o700)
    _write(folder / "README", b"hello")
    with pytest.raises(ConfigError, match=r"policy\.d/README:1:.*only \.toml files"):
        whole.policy()
    (folder / "README").unlink()
    (folder / "x.toml").mkdir()
    with pytest.raises(UnsafeFileError, match=r"x\.toml is not a regular file"):
        whole.policy()
    (folder / "x.toml").rmdir()
    (folder / "x.toml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"policy\.d/x\.toml"):
        whole.policy()
    (folder / "x.toml").unlink()
    os.mkfifo(folder / "x.toml", 0o600)
    with pytest.raises(UnsafeFileError, match=r"x\.toml is not a regular file"):
        whole.policy()
    (folder / "x.toml").unlink()
    _write(whole.folder / "elsewhere", POLICY.replace('"all"', '"linked"').encode())
    (folder / "x.toml").symlink_to(whole.folder / "elsewhere")
    assert [rule.id for rule in whole.policy().rules] == ["all", "linked"]
    (folder / "y.toml").symlink_to(whole.folder)
    with pytest.raises(UnsafeFileError, match=r"y\.toml is not a regular file"):
        whole.policy()


def test_policy_d_stands_beside_a_policy(whole: Configuration) -> None:
    """`policy.d` with anything not hidden in it, without `policy.toml`."""
    (whole.folder / "policy.toml").unlink()
    folder = whole.folder / "policy.d"
    folder.mkdir(mode=0o700)
    (folder / ".gitkeep").touch()
    with pytest.raises(PolicyMissingError):
        whole.policy()
    _write(folder / "a.toml", POLICY.encode())
    with pytest.raises(ConfigError, match=r"policy\.d:1:.*needs policy\.toml beside it"):
        whole.policy()


def test_policy_d_is_a_folder_that_others_may_not_write(whole: Configuration) -> None:
    """An unsafe file or folder (spec/files.md)."""
    folder = whole.folder / "policy.d"
    folder.touch()
    with pytest.raises(UnsafeFileError, match="is not a folder"):
        whole.policy()
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(UnsafeFileError, match="can be written by others"):
        whole.policy()


# -- everything at once ----------------------------------------------------------------------


def test_everything_that_is_wrong_is_listed_at_once(whole: Configuration) -> None:
    """`policy lint` lists all errors of all files, also where one cannot be read at all."""
    _write(whole.folder / "config.toml", b"x = 1\n")
    (whole.folder / "policy.toml").chmod(0o666)
    (whole.folder / "budgets.toml").unlink()
    (whole.folder / "budgets.toml").mkdir()
    _write(whole.folder / "killswitch.toml", b"[[")
    _write(whole.folder / "apikeys.toml", b"\xff")
    _, problems = whole.problems()
    assert {one.file for one in problems} == set(NAMES)
    by_file = {one.file: one for one in problems}
    assert f"chmod go-w {whole.folder / 'policy.toml'}" in by_file["policy.toml"].message
    assert all(one.line == 1 for one in problems)


def test_a_policy_file_that_cannot_be_read_hides_no_other(whole: Configuration) -> None:
    """All errors of all files are listed at once: of each file of policy.d too."""
    folder = whole.folder / "policy.d"
    folder.mkdir(mode=0o700)
    for name in ("a.toml", "b.toml", "c.toml"):
        _write(folder / name, POLICY.encode())
    (folder / "b.toml").chmod(0o666)
    (folder / "README").touch()
    _write(whole.folder / "policy.toml", b"version = 2\n")
    _, problems = whole.problems()
    assert sorted((one.file, one.line) for one in problems) == [
        ("policy.d/README", 1),
        ("policy.d/b.toml", 1),
        ("policy.d/c.toml", 4),
        ("policy.toml", 1),
    ]
    folder.chmod(0o777)
    (whole.folder / "policy.toml").unlink()
    (alone,) = whole.problems()[1]
    assert (alone.file, "can be written by others" in alone.message) == ("policy.d", True)


def test_a_missing_policy_is_a_problem(tmp_path: Path) -> None:
    """Where everything is denied, `policy lint` does not say ok."""
    _, (missing,) = Configuration(tmp_path).problems()
    assert (missing.file, missing.message) == ("policy.toml", "is missing: everything is denied")


def test_files_that_are_not_installed_are_read_by_their_paths(tmp_path: Path) -> None:
    """With paths: files that are not installed yet; a folder stands for its .toml files."""
    for name in ("b.toml", "a.toml", "c.txt"):
        _write(tmp_path / name, b"version = 1\n")
    found = read_files([tmp_path, tmp_path / "c.txt"])
    assert [name for name, _ in found] == [
        str(tmp_path / name) for name in ("a.toml", "b.toml", "c.txt")
    ]
    with pytest.raises(ConfigError, match="there is no"):
        read_files([tmp_path / "absent"])


def test_switches_that_cannot_be_read_stop_everything(whole: Configuration) -> None:
    """A file that cannot be read or parsed stops everything (exit 6), saying how to mend it."""
    _write(whole.folder / "killswitch.toml", b"version = 1\n[[switch]]\ntarget = 'tol'\n")
    with pytest.raises(SwitchFileError) as caught:
        whole.switches()
    assert caught.value.message.startswith("killswitch.toml:3:1: switch.target: expected one of")
    assert "until then everything is stopped" in caught.value.hint


def test_a_link_to_a_folder_of_policies_that_is_gone_is_refused(whole: Configuration) -> None:
    """The rules that deny may be those that are gone."""
    (whole.folder / "policy.d").symlink_to("gone")
    with pytest.raises(UnsafeFileError, match=r"policy\.d is a link that leads nowhere"):
        whole.policy()


def test_a_policy_file_whose_name_is_not_utf8_is_a_problem(whole: Configuration) -> None:
    """It is named among the other problems, and none of them is hidden by it."""
    (whole.folder / "policy.d").mkdir()
    name = os.fsdecode(b"\xff.toml")
    _write(whole.folder / "policy.d" / name, b"version = 1\n")
    _write(whole.folder / "policy.d" / "a.md", b"")
    _, problems = whole.problems()
    assert [one.file for one in problems] == ["policy.d/a.md", f"policy.d/{name}"]
    with pytest.raises(ConfigError, match="UTF-8"):
        read_files([whole.folder / "policy.d"])


def test_a_path_that_cannot_be_looked_at_is_said() -> None:
    """A name that is too long, a folder that is closed: an error of the configuration."""
    with open_folder() as folder:
        with pytest.raises(ConfigError, match="File name too long"):
            read_files([folder / ("x" * 300)])
        (folder / "closed").mkdir(0o000)
        with without_root():
            for path in (folder / "closed", folder / "closed" / "x.toml"):
                with pytest.raises(ConfigError, match="Permission denied"):
                    read_files([path])
