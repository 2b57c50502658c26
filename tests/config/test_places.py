"""Which folders hold what, in which environment."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from agentauth_cli.config import places
from agentauth_cli.config.reading import Configuration
from agentauth_cli.errors import ConfigError, StateError, UnsafeFileError
from support.account import open_folder, without_root

VARIABLES = ("AGENTAUTH_CONFIG_DIR", "AGENTAUTH_STATE_DIR", "AGENTAUTH_DATA_DIR")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home in which no variable leads elsewhere."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_folders_are_those_of_the_platform(home: Path) -> None:
    """The config directory is `platformdirs.user_config_dir("agentauth")`; state and data alike."""
    found = places.Places({}, system=home / "none")
    assert found.default
    for folder in (found.config, found.state, found.data):
        assert folder.is_relative_to(home)
        assert "agentauth" in folder.parts
        assert not folder.exists()
    assert len({found.config, found.state, found.data}) == 3


def test_each_folder_can_be_moved_by_its_variable(tmp_path: Path) -> None:
    """`AGENTAUTH_CONFIG_DIR`, `AGENTAUTH_STATE_DIR`, `AGENTAUTH_DATA_DIR`."""
    environ = {name: str(tmp_path / name) for name in VARIABLES}
    found = places.Places(environ, system=tmp_path / "none")
    assert (found.config, found.state, found.data) == tuple(tmp_path / name for name in VARIABLES)
    assert not found.default


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_that_is_set_and_empty_is_an_error(variable: str, tmp_path: Path) -> None:
    """An empty variable never means the current folder."""
    found = places.Places({**dict.fromkeys(VARIABLES, "here"), variable: ""}, system=tmp_path)
    for name in VARIABLES:
        folder = name.split("_")[1].lower()
        if name != variable:  # what one of them says stops nothing that needs another
            assert getattr(found, folder) == Path("here").absolute()
            continue
        with pytest.raises(ConfigError, match=f"{variable} is set and empty") as caught:
            getattr(found, folder)
        assert variable in caught.value.hint


@pytest.mark.parametrize("folder", ["config", "state", "data"])
def test_without_a_home_the_variables_are_named(
    folder: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account that nobody knows, without HOME: the message says what to set."""
    assert home.exists()
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(ConfigError, match="is not known") as caught:
        getattr(places.Places({}, system=tmp_path / "none"), folder)
    for name in ("HOME", *VARIABLES):
        assert name in caught.value.hint


def test_a_relative_folder_is_meant_from_here(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folders are absolute, so that what is noted of them holds from anywhere."""
    monkeypatch.chdir(tmp_path)
    environ = dict.fromkeys(VARIABLES, "here")
    found = places.Places(environ, system=tmp_path / "none")
    assert {found.config, found.state, found.data} == {tmp_path / "here"}
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, "relative")
    found = places.Places({}, system=home / "none")
    assert all(one.is_absolute() for one in (found.config, found.state, found.data))


def test_a_configuration_reached_by_a_link_is_the_same_one(tmp_path: Path) -> None:
    """A link is no other configuration: it would have a fresh ledger."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    found = places.Places({"AGENTAUTH_CONFIG_DIR": str(tmp_path / "link")}, system=tmp_path)
    assert found.config == tmp_path / "real"


def test_links_that_lead_in_a_circle_are_said(tmp_path: Path) -> None:
    """A configuration that leads nowhere is an error of the configuration."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    found = places.Places({"AGENTAUTH_CONFIG_DIR": str(tmp_path / "one")}, tmp_path / "none")
    with pytest.raises(ConfigError):  # here, or, since Python 3.13, where it is read
        Configuration(found.config).settings()


def test_the_administrators_configuration_replaces_the_users_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/etc/agentauth/config.toml`, if root owns it, replaces the user's configuration whole."""
    system = tmp_path / "etc"
    system.mkdir()
    (system / "config.toml").touch()
    environ = {"AGENTAUTH_CONFIG_DIR": str(tmp_path / "own")}
    monkeypatch.setattr(places, "_owned_by_root", lambda path: path == system / "config.toml")
    found = places.Places(environ, system=system)
    assert found.config == system
    assert not found.default


def test_a_file_that_is_not_roots_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write to /etc/agentauth without being root gives nobody a configuration."""
    environ = {"AGENTAUTH_CONFIG_DIR": str(tmp_path / "own")}
    monkeypatch.setattr(places, "_owned_by_root", lambda _: False)
    assert places.Places(environ, system=tmp_path).config == tmp_path / "own"


def test_whose_a_file_is_is_asked_of_the_file(tmp_path: Path) -> None:
    """A file that is not there belongs to nobody."""
    assert not places._owned_by_root(tmp_path / "absent")
    (tmp_path / "there").touch()
    owner = (tmp_path / "there").stat().st_uid
    assert places._owned_by_root(tmp_path / "there") == (owner == 0)
    assert not places._owned_by_root(tmp_path / "there" / "below")


def test_an_administrators_folder_that_cannot_be_looked_into_is_an_error() -> None:
    """Its configuration is not passed over: the user's own would take its place."""
    with open_folder() as folder:
        (folder / "etc").mkdir(0o000)
        found = places.Places({"AGENTAUTH_CONFIG_DIR": str(folder)}, system=folder / "etc")
        with without_root(), pytest.raises(ConfigError, match=r"etc/config\.toml cannot be read"):
            _ = found.config


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_folders_are_made_for_us_alone(tmp_path: Path, umask: int) -> None:
    """A folder is made with 0700, whatever the umask; so are those above it."""
    before = os.umask(umask)
    try:
        places.make(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [one.stat().st_mode & 0o777 for one in (tmp_path / "a", tmp_path / "a" / "b")] == [
        0o700,
        0o700,
    ]


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """A configuration folder may be a link, and readable by others."""
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("real")
    places.make(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """No folder below a file, nor at a link to nowhere, nor where we may not write."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError):
        places.make(tmp_path / "file" / "folder")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UnsafeFileError):
        places.make(tmp_path / "link")
    tmp_path.chmod(0o500)
    with without_root(), pytest.raises(StateError):
        places.make(tmp_path / "folder")
    tmp_path.chmod(0o700)
