"""policy.compiled: used only while its sources are as they were, and never another answer."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from agentauth_cli import files
from agentauth_cli.config import compiled
from agentauth_cli.config.reading import Configuration
from agentauth_cli.errors import ConfigError, PolicyMissingError, UnsafeFileError
from agentauth_cli.policy.decide import evaluate
from support.policy_worlds import ask, rule, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALLOW = [rule("r")]
DENY = [rule("r", "deny")]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the sources that are read."""
    seen: list[str] = []
    read = files.read

    def noted(path: Path, *, limit: int) -> bytes | None:
        seen.append(path.name)
        return read(path, limit=limit)

    monkeypatch.setattr(files, "read", noted)
    return seen


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configuration:
    """Return a configuration with a policy that has not changed for long."""
    monkeypatch.setattr(compiled, "_SETTLED", 0)
    for name in ("config", "config/policy.d", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    _write(tmp_path / "config" / "policy.toml", ALLOW)
    _write(tmp_path / "config" / "policy.d" / "b.toml", [rule("other", tools=["t"])])
    return Configuration(tmp_path / "config", tmp_path / "state")


def _write(path: Path, rules: list[dict[str, object]]) -> None:
    path.write_bytes(written(rules))
    path.chmod(0o600)


def _answer(here: Configuration) -> str:
    return evaluate(here.policy(), ask()).decision


def _kept(here: Configuration) -> Path:
    assert here.state is not None
    return here.state / compiled.NAME


def test_a_policy_is_read_from_its_sources_once(here: Configuration, reads: list[str]) -> None:
    """A loaded policy is compiled to `policy.compiled` in the state directory."""
    digest = here.policy().digest
    assert sorted(reads) == ["b.toml", "policy.toml"]
    assert _kept(here).stat().st_mode & 0o777 == 0o600
    assert [one.name for one in _kept(here).parent.iterdir()] == [compiled.NAME]
    again = here.policy()
    assert again.digest == digest
    assert _answer(here) == "allow"
    assert len(reads) == 2
    assert [one.id for one in again.rules] == ["other", "r"]


def test_nothing_is_kept_without_a_state_folder(here: Configuration, reads: list[str]) -> None:
    """Without one, and where it does not exist, the sources are read."""
    for state in (None, here.folder / "none"):
        there = Configuration(here.folder, state)
        for _ in range(2):
            assert _answer(there) == "allow"
    assert len(reads) == 8


def _edit(folder: Path) -> None:
    path = folder / "policy.toml"
    path.write_bytes(path.read_bytes().replace(b'"allow"', b'"deny" '))


def _edit_in_time(folder: Path) -> None:
    """Change a file in place, keep its size, and set its times back."""
    before = (folder / "policy.toml").stat()
    _edit(folder)
    os.utime(folder / "policy.toml", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (folder / "policy.toml").stat().st_size == before.st_size


def _replace(folder: Path) -> None:
    """Put another file in place with the size and the time of the old one."""
    before = (folder / "policy.toml").stat()
    shutil.copy2(folder / "policy.toml", folder / ".new")
    _edit_file(folder / ".new")
    os.utime(folder / ".new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (folder / ".new").replace(folder / "policy.toml")


def _edit_file(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"allow"', b'"deny" '))


def _add(folder: Path) -> None:
    _write(folder / "policy.d" / "a.toml", [rule("no", "deny")])


def _link(folder: Path) -> None:
    """Lead a file of policy.d elsewhere."""
    _write(folder / "elsewhere", [rule("no", "deny")])
    (folder / "policy.d" / "b.toml").unlink()
    (folder / "policy.d" / "b.toml").symlink_to(folder / "elsewhere")


@pytest.mark.parametrize("change", [_edit, _edit_in_time, _replace, _add, _link])
def test_every_change_of_a_source_holds_at_once(
    here: Configuration, change: Callable[[Path], None]
) -> None:
    """Used only while names and (size, mtime_ns, ctime_ns, inode) of each file are as they were."""
    assert _answer(here) == "allow"
    change(here.folder)
    assert _answer(here) == "deny"
    assert _answer(here) == "deny"


def test_a_source_that_goes_takes_its_rules_along(here: Configuration) -> None:
    """A file of policy.d that is gone, and policy.toml itself."""
    here.policy()
    (here.folder / "policy.d" / "b.toml").unlink()
    assert [one.id for one in here.policy().rules] == ["r"]
    (here.folder / "policy.toml").unlink()
    with pytest.raises(PolicyMissingError):
        here.policy()


@pytest.mark.parametrize("path", ["policy.toml", "policy.d/b.toml", "policy.d"])
def test_an_unsafe_source_is_refused_though_it_was_compiled(here: Configuration, path: str) -> None:
    """Owner and mode right: what others may write is refused, as it is without."""
    here.policy()
    (here.folder / path).chmod(0o777)
    with pytest.raises(UnsafeFileError):
        here.policy()
    (here.folder / path).chmod(0o700)
    assert _answer(here) == "allow"


@pytest.mark.parametrize("name", ["policy.toml", "policy.d"])
def test_a_link_that_leads_nowhere_is_refused(here: Configuration, name: str) -> None:
    """Somebody meant a file or folder to be there."""
    shutil.rmtree(here.folder / "policy.d")
    here.policy()
    if name == "policy.toml":
        (here.folder / name).unlink()
    (here.folder / name).symlink_to(here.folder / "nowhere")
    with pytest.raises(UnsafeFileError):
        here.policy()


def test_what_does_not_load_is_not_compiled(here: Configuration) -> None:
    """One bad file means no policy, until it is mended."""
    here.policy()
    (here.folder / "policy.d" / "b.toml").write_bytes(b"version = 2\n")
    for _ in range(2):
        with pytest.raises(ConfigError, match="expected the integer 1"):
            here.policy()
    (here.folder / "policy.d" / "note").write_bytes(b"")
    with pytest.raises(ConfigError):
        here.policy()


def test_a_source_that_changed_just_now_is_not_trusted(
    here: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes twice within one tick looks the same after both."""
    monkeypatch.setattr(compiled, "_SETTLED", 3_600_000_000_000)
    for _ in range(2):
        assert _answer(here) == "allow"
        assert list(_kept(here).parent.iterdir()) == []


def test_sources_whose_times_were_made_up_are_not_trusted(here: Configuration) -> None:
    """Images that are built alike give an edited file the size, times and inode of the old one."""
    known = compiled.sources(str(here.folder))
    assert known
    assert here.state is not None
    *others, (first, (size, modified, changed, inode)) = known
    for made_up, kept in ((changed // 10**9 * 10**9, False), (changed, True)):
        built = (*others, (first, (size, modified, made_up, inode)))
        compiled.keep(str(here.state), b"", built)
        assert _kept(here).exists() is kept


def test_a_source_that_changes_while_it_is_read_is_not_kept(
    here: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read then may be neither the old policy nor the new one."""
    read = files.read

    def changing(path: Path, *, limit: int) -> bytes | None:
        content = read(path, limit=limit)
        if path.name == "policy.toml":
            _edit(here.folder)
        return content

    monkeypatch.setattr(files, "read", changing)
    assert _answer(here) == "allow"
    assert not _kept(here).exists()
    assert _answer(here) == "deny"


def _damages() -> dict[str, Callable[[Path], object]]:
    def cut(path: Path) -> None:
        os.truncate(path, path.stat().st_size - 20)

    def swap(path: Path) -> None:
        target = path.with_name("elsewhere")
        path.rename(target)
        path.symlink_to(target)

    def folder(path: Path) -> None:
        path.unlink()
        path.mkdir()

    def pipe(path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    return {
        "empty": lambda path: os.truncate(path, 0),
        "cut": cut,
        "noise": lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
        "zeroes": lambda path: path.write_bytes(b"\0" * path.stat().st_size),
        "readable": lambda path: path.chmod(0o644),
        "writable": lambda path: path.chmod(0o666),
        "link": swap,
        "folder": folder,
        "pipe": pipe,
    }


@pytest.mark.parametrize("damage", _damages())
def test_whatever_is_wrong_with_it_the_answer_is_the_same(
    here: Configuration, damage: str, reads: list[str]
) -> None:
    """A damaged, truncated or older file never changes an answer."""
    here.policy()
    _damages()[damage](_kept(here))
    del reads[:]
    assert _answer(here) == "allow"
    assert len(reads) == 2
    assert _answer(here) == "allow"
    assert len(reads) == (4 if damage == "folder" else 2), "it is made anew"


def test_one_that_was_kept_by_another_version_is_not_used(
    here: Configuration, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older file: what its bytes mean may have changed."""
    here.policy()
    monkeypatch.setattr("agentauth_cli.__version__", "9.9.9")
    here.policy()
    assert len(reads) == 4


def test_each_configuration_has_its_own(here: Configuration, reads: list[str]) -> None:
    """Two folders with one state folder: neither gets the other's answers."""
    other = here.folder.with_name("other")
    shutil.copytree(here.folder, other)
    _write(other / "policy.toml", DENY)
    there = Configuration(other, here.state)
    for _ in range(2):
        assert _answer(here) == "allow"
        assert _answer(there) == "deny"
    assert len(reads) == 8


def _with_a_damaged_rule(here: Configuration) -> None:
    here.policy()
    content = _kept(here).read_bytes()
    at = content.index(b"\x05other")
    _kept(here).write_bytes(content[:at] + b"\x05othex" + content[at + 6 :])


def test_a_block_that_is_damaged_is_read_from_the_sources(
    here: Configuration, reads: list[str]
) -> None:
    """Each block that is read is checked by its own checksum."""
    _with_a_damaged_rule(here)
    del reads[:]
    policy = here.policy()
    assert reads == []
    assert evaluate(policy, ask(tool="t")).rules == ("other", "r")
    assert len(reads) == 2
    assert evaluate(here.policy(), ask(tool="t")).rules == ("other", "r")
    assert len(reads) == 2, "it is made anew"


def test_a_policy_that_changes_before_it_is_mended_is_not_mixed(here: Configuration) -> None:
    """Half an answer by the old policy, half by the new one, would be neither."""
    _with_a_damaged_rule(here)
    policy = here.policy()
    _edit(here.folder)
    with pytest.raises(ConfigError, match="changed while it was asked"):
        evaluate(policy, ask(tool="t"))
    assert _answer(here) == "deny"


def test_a_file_that_is_cut_while_it_is_read_ends_no_process(here: Configuration) -> None:
    """Truncated at any moment: the sources are read."""
    here.policy()
    policy = here.policy()
    os.truncate(_kept(here), 100)
    assert evaluate(policy, ask(tool="t")).rules == ("other", "r")


def test_a_file_that_is_written_over_while_it_is_read_is_not_mixed(here: Configuration) -> None:
    """Backups are brought back so: the size is the same, the policy is another."""
    there = Configuration(here.folder.with_name("other_"), here.folder.with_name("states"))
    for folder in (there.folder, _kept(there).parent):
        folder.mkdir(mode=0o700)
    for one, tool in ((here, "mine"), (there, "your")):
        _write(one.folder / "policy.toml", [rule("r", tools=[tool])])
    shutil.rmtree(here.folder / "policy.d")
    for one in (here, there):
        one.policy()
    policy = here.policy()
    others = _kept(there).read_bytes()
    assert len(others) == _kept(here).stat().st_size
    _kept(here).write_bytes(others)
    assert evaluate(policy, ask(tool="mine")).decision == "allow"


def test_what_cannot_be_read_is_read_from_the_sources(
    here: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails."""
    here.policy()
    policy = here.policy()

    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)
    assert evaluate(policy, ask(tool="t")).rules == ("other", "r")


def test_where_it_cannot_be_written_all_else_goes_on(
    here: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, a folder that is not writable."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    assert _answer(here) == "allow"
    assert list(_kept(here).parent.iterdir()) == []


def test_what_cannot_be_looked_at_is_not_used(
    here: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the sources cannot be told, they are read, and say what is wrong."""
    here.policy()

    def refused(_: str) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refused)
    assert compiled.sources(str(here.folder)) is None


def test_a_policy_of_somebody_else_is_not_compiled(
    here: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes the state folder could else give answers that root's policy never gave."""
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert compiled.sources(str(here.folder)) is None
