"""apikeys.toml, rewritten: nothing that a person wrote is lost, and no other's key."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli import files
from agentauth_cli.config.apikeys_file import add, revoke
from agentauth_cli.errors import ConfigError, StateError, UsageError
from agentauth_cli.inbound.apikey import ApiKey
from agentauth_cli.inbound.apikeys import NAME, load
from support.account import open_folder, without_root
from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HASH = "sha256:" + "0" * 64
BY_HAND = f"""\
# Ask the platform team before adding one.
version = 1   # the only one there is

# The nightly build.
[[key]]
kind = "agent"            # not a service
name = "nightly"
id = "00000000"
hash = "{HASH}"
expires = 2027-02-21T10:00:00Z
created = 2026-11-23T10:00:00Z
# the end
"""


def key(key_id: str = "k3v9x2ab", name: str = "build-7", **fields: Any) -> ApiKey:
    """Return a key of 90 days."""
    return ApiKey(key_id, name, "agent", HASH, START, START + timedelta(days=90), **fields)


def test_two_folders_with_one_file_have_one_lock(tmp_path: Path) -> None:
    """A file that two configurations are linked to is changed by one at a time."""
    shared = tmp_path / "shared"
    shared.mkdir()
    add(shared, key(), agree)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).symlink_to(shared / NAME)

    def taken(_: object) -> None:
        with files.lock(shared / f".{NAME}.lock", 0.05):
            """Nobody else holds it."""

    with pytest.raises(StateError, match="held by another process"):
        add(tmp_path / "one", key("00000001"), taken)
    add(tmp_path / "other", key("00000002"), agree)
    assert [one.id for one in found(shared)] == ["k3v9x2ab", "00000002"]
    assert {one.name for one in (tmp_path / "one").iterdir()} == {NAME}


def agree(_: object) -> None:
    """Have nothing against it."""


def found(folder: Path) -> list[ApiKey]:
    """Return the keys of the file."""
    return list(load((folder / NAME).read_bytes()))


def test_a_key_is_written_as_the_specification_shows_it(tmp_path: Path) -> None:
    """Id, name, kind, groups, hash, created, expires; the file has mode 0600."""
    made = key(groups=("builders",))
    add(tmp_path / "config", made, agree)
    path = tmp_path / "config" / NAME
    assert path.read_text() == (
        'version = 1\n\n[[key]]\nid = "k3v9x2ab"\nname = "build-7"\nkind = "agent"\n'
        f'groups = ["builders"]\nhash = "{HASH}"\n'
        "created = 2026-11-23T10:00:00Z\nexpires = 2027-02-21T10:00:00Z\n"
    )
    assert found(tmp_path / "config") == [made]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_comments_and_order_are_kept(tmp_path: Path, end: str) -> None:
    """A command that writes a config file keeps comments and order."""
    (tmp_path / NAME).write_text(BY_HAND.removesuffix("\n") + end)
    add(tmp_path, key(), agree)
    assert (tmp_path / NAME).read_text().startswith(BY_HAND)
    assert [one.name for one in found(tmp_path)] == ["nightly", "build-7"]
    revoke(tmp_path, ["00000000"], START)
    lines = (tmp_path / NAME).read_text().splitlines()
    assert [one for one in lines if one in BY_HAND.splitlines()][: len(BY_HAND.splitlines())]
    assert "revoked = 2026-11-23T10:00:00Z" in lines
    assert [one.revoked for one in found(tmp_path)] == [START, None]


def test_an_array_in_one_line_stays_one(tmp_path: Path) -> None:
    """Whichever of TOML's forms the file has."""
    one = f'{{id = "00000000", name = "a", kind = "agent", hash = "{HASH}", '
    one += "created = 2026-11-23T10:00:00Z, expires = 2027-02-21T10:00:00Z}"
    (tmp_path / NAME).write_text(f"version = 1\nkey = [{one}]\n")
    add(tmp_path, key(), agree)
    revoke(tmp_path, ["00000000"], START)
    assert [(one.name, one.revoked) for one in found(tmp_path)] == [
        ("a", START),
        ("build-7", None),
    ]


def test_a_revocation_keeps_its_first_moment(tmp_path: Path) -> None:
    """Revoked twice is revoked since the first time; an unknown id changes nothing."""
    add(tmp_path, key(), agree)
    revoke(tmp_path, ["k3v9x2ab"], START)
    before = (tmp_path / NAME).read_bytes()
    revoke(tmp_path, ["k3v9x2ab", "zzzzzzzz"], START + timedelta(hours=1))
    assert (tmp_path / NAME).read_bytes() == before


def test_a_file_that_does_not_load_stays_as_it_is(tmp_path: Path) -> None:
    """It may hold every key there is."""
    (tmp_path / NAME).write_text("version = 1\nkey = 7\n")
    changes: list[Callable[[], None]] = [
        lambda: add(tmp_path, key(), agree),
        lambda: revoke(tmp_path, [], START),
    ]
    for change in changes:
        with pytest.raises(ConfigError, match=r"apikeys\.toml:2:1: key: expected an array"):
            change()
    assert (tmp_path / NAME).read_text() == "version = 1\nkey = 7\n"


def test_who_does_not_agree_leaves_no_key(tmp_path: Path) -> None:
    """What is asked under the lock sees the keys that there are, and may refuse."""
    add(tmp_path, key(), agree)
    before = (tmp_path / NAME).read_bytes()

    def refuse(keys: Any) -> None:
        assert [one.id for one in keys] == ["k3v9x2ab"]
        raise UsageError("no")

    with pytest.raises(UsageError):
        add(tmp_path, key("k3v9x2ac"), refuse)
    assert (tmp_path / NAME).read_bytes() == before


def test_an_id_that_is_there_is_not_added(tmp_path: Path) -> None:
    """A change that would leave a file that does not load is not made."""
    add(tmp_path, key(), agree)
    with pytest.raises(StateError, match="would not load"):
        add(tmp_path, key(name="other"), agree)
    assert [one.name for one in found(tmp_path)] == ["build-7"]


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    """Two writers never lose each other's change."""
    threads = [
        threading.Thread(target=add, args=(tmp_path, key(f"0000000{i}", f"n{i}"), agree))
        for i in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {one.name for one in found(tmp_path)} == {f"n{i}" for i in range(8)}


def test_a_folder_that_takes_nothing() -> None:
    """Admin commands exit 9 in plain words where the folder can only be read."""
    with open_folder() as folder:
        folder.chmod(0o555)
        with without_root(), pytest.raises(StateError):
            add(folder, key(), agree)
