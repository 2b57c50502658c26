"""How files are read and written, and what others could have changed."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentauth_cli import files
from agentauth_cli.errors import ConfigError, StateError, UnsafeFileError
from support.account import NOBODY, give_away, open_folder, without_root
from support.ledgers import python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a file of ours."""
    path = tmp_path / "a file"
    path.write_bytes(b"content")
    path.chmod(0o600)
    return path


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Return how to set the umask; it is as before in the end."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def read(path: Path, *, private: bool = False, follow: bool = True) -> bytes | None:
    """Read a file about which nothing is to be said."""
    said: list[str] = []
    content = files.read(path, limit=LIMIT, private=private, follow=follow, say=said.append)
    assert said == []
    return content


def descriptors() -> int:
    """Return how many files this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def failing(number: int) -> Callable[..., NoReturn]:
    """Return a call that fails as the system does."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


class TestRead:
    """A regular file's content, or why not."""

    @pytest.mark.parametrize("private", [False, True])
    def test_a_file(self, path: Path, private: bool) -> None:
        """The content, whole, and the file is closed again."""
        before = descriptors()
        assert read(path, private=private) == b"content"
        assert descriptors() == before

    def test_none(self, tmp_path: Path) -> None:
        """None where there is none."""
        assert read(tmp_path / "nothing") is None
        assert read(tmp_path / "nowhere" / "nothing") is None

    @pytest.mark.parametrize(("size", "fits"), [(0, True), (LIMIT, True), (LIMIT + 1, False)])
    def test_the_limit(self, path: Path, size: int, fits: bool) -> None:
        """Up to `limit` bytes."""
        path.write_bytes(b"x" * size)
        if fits:
            assert read(path) == b"x" * size
        else:
            with pytest.raises(ConfigError, match=f"larger than {LIMIT} bytes"):
                read(path)

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
    def test_a_file_that_says_it_is_small(self) -> None:
        """What is read counts, not what the file says of its size."""
        with pytest.raises(ConfigError, match="larger than 10 bytes"):
            files.read(Path("/proc/self/environ"), limit=10)

    @pytest.mark.parametrize("others", [0o622, 0o620, 0o602, 0o666])
    @pytest.mark.parametrize("private", [False, True])
    def test_others_may_write(self, path: Path, others: int, private: bool) -> None:
        """Anything that group or others may write is refused with the command that mends it."""
        path.chmod(others)
        with pytest.raises(UnsafeFileError, match="can be written by others") as raised:
            read(path, private=private)
        assert raised.value.hint == f"chmod go-w '{path}'"
        assert mode(path) == others

    def test_others_may_read(self, path: Path) -> None:
        """Where it is not private, others may read it."""
        path.chmod(0o644)
        assert read(path) == b"content"
        assert mode(path) == 0o644

    @pytest.mark.parametrize("others", [0o644, 0o640, 0o604, 0o711])
    def test_others_may_read_what_is_private(self, path: Path, others: int) -> None:
        """A file of ours in state or data that others may read is set to 0600 and said."""
        path.chmod(others)
        said: list[str] = []
        assert files.read(path, limit=LIMIT, private=True, say=said.append) == b"content"
        assert mode(path) == 0o600
        assert said == [f"{path} could be read by others; its mode is now 0600"]
        assert read(path, private=True) == b"content"

    def test_nobody_need_listen(self, path: Path) -> None:
        """The mode is set also where nobody listens."""
        path.chmod(0o644)
        assert files.read(path, limit=LIMIT, private=True) == b"content"
        assert mode(path) == 0o600

    def test_it_belongs_to_somebody_else(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What somebody else than us or root owns is refused with the command that mends it."""
        give_away(path, monkeypatch)
        with pytest.raises(UnsafeFileError, match="belongs to uid") as raised:
            read(path)
        assert raised.value.hint == f"chown {os.getuid()} '{path}'"

    def test_it_belongs_to_root(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Root's files are as good as ours; their mode is not ours to set."""
        if os.geteuid() == 0:  # then a file of the test is root's, and no other is ever at risk
            path.chmod(0o644)
            monkeypatch.setattr(os, "getuid", lambda: NOBODY)
        else:
            path = Path("/etc/passwd")
        found = files.read(path, limit=10**6, private=True)
        assert found == path.read_bytes()
        assert mode(path) == 0o644

    def test_a_link(self, path: Path, tmp_path: Path) -> None:
        """A symlink is followed in the configuration, and refused in state and data."""
        link = tmp_path / "link"
        link.symlink_to(path)
        assert read(link) == b"content"
        for how in ({"private": True}, {"follow": False}):
            with pytest.raises(UnsafeFileError, match="is a symbolic link") as raised:
                read(link, **how)
            assert raised.value.hint == f"rm {link}"

    def test_a_link_to_what_is_not_ours(self, path: Path, tmp_path: Path) -> None:
        """Where a link is followed, it is what it leads to that is judged."""
        link = tmp_path / "link"
        link.symlink_to(path)
        path.chmod(0o666)
        with pytest.raises(UnsafeFileError, match="can be written by others"):
            read(link)

    def test_a_link_that_leads_nowhere(self, tmp_path: Path) -> None:
        """A link to a file that is gone is not the same as no file."""
        link = tmp_path / "a link"
        link.symlink_to(tmp_path / "gone" / "file")
        with pytest.raises(UnsafeFileError, match="is a link that leads nowhere") as raised:
            read(link)
        assert raised.value.hint == f"Bring back what it leads to, or rm '{link}'"

    def test_links_in_a_circle(self, tmp_path: Path) -> None:
        """Links in a circle are refused."""
        link = tmp_path / "link"
        link.symlink_to(link)
        with pytest.raises(UnsafeFileError, match="is a symbolic link"):
            read(link)

    def test_a_folder(self, tmp_path: Path) -> None:
        """A folder is no file."""
        with pytest.raises(UnsafeFileError, match="is not a regular file"):
            read(tmp_path)

    def test_a_folder_that_is_a_file(self, path: Path) -> None:
        """Something else where a folder should be is said."""
        with pytest.raises(ConfigError, match="cannot be read: Not a directory") as raised:
            read(path / "below")
        assert raised.value.hint == f"ls -ld '{path / 'below'}'"

    def test_a_fifo(self, tmp_path: Path) -> None:
        """A FIFO that nobody writes to does not block."""
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo, 0o600)
        before = descriptors()
        with pytest.raises(UnsafeFileError, match="is not a regular file"):
            read(fifo)
        assert descriptors() == before

    def test_a_socket(self, tmp_path: Path) -> None:
        """A socket cannot be read."""
        with socket.socket(socket.AF_UNIX) as wire:
            wire.bind(str(tmp_path / "socket"))
            with pytest.raises(ConfigError, match="cannot be read"):
                read(tmp_path / "socket")

    def test_a_device(self) -> None:
        """A device is no file."""
        with pytest.raises(UnsafeFileError, match="is not a regular file"):
            read(Path("/dev/zero"))

    def test_no_right_to_read(self) -> None:
        """What cannot be read is said, with where to look."""
        with open_folder() as folder:
            path = folder / "closed"
            path.touch(0o000)
            with without_root(), pytest.raises(ConfigError, match="Permission denied") as raised:
                read(path)
        assert raised.value.hint == f"ls -ld {path}"

    def test_replaced_in_between(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Replaced between stat and open: open, then fstat the same descriptor."""
        evil = tmp_path / "evil"
        evil.write_bytes(b"evil")
        evil.chmod(0o666)
        opened = os.open

        def open_and_replace(*arguments: object, **named: object) -> int:
            descriptor: int = opened(*arguments, **named)  # type: ignore[arg-type]
            evil.rename(path)
            return descriptor

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", open_and_replace)
            assert read(path) == b"content"
        with pytest.raises(UnsafeFileError):
            read(path)

    @pytest.mark.parametrize(("call", "error"), [("fdopen", ConfigError), ("fchmod", StateError)])
    def test_a_disk_that_fails(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: type[Exception]
    ) -> None:
        """A failure of the disk is told, and the file is closed."""
        path.chmod(0o644)
        before = descriptors()
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing(errno.EIO))
            with pytest.raises(error, match="Input/output error"):
                read(path, private=call == "fchmod")
        assert descriptors() == before


class TestCheckPrivate:
    """A file that is judged without being opened."""

    def test_fine(self, path: Path, tmp_path: Path) -> None:
        """Ours alone passes, and so does none."""
        files.check_private(path)
        files.check_private(tmp_path / "nothing")
        assert mode(path) == 0o600

    def test_others_may_read(self, path: Path) -> None:
        """Set to 0600 and said."""
        path.chmod(0o644)
        said: list[str] = []
        files.check_private(path, said.append)
        assert said == [f"{path} could be read by others; its mode is now 0600"]
        assert mode(path) == 0o600

    def test_others_may_write(self, path: Path) -> None:
        """Refused, and left as it is."""
        path.chmod(0o660)
        with pytest.raises(UnsafeFileError, match="can be written by others"):
            files.check_private(path)
        assert mode(path) == 0o660

    def test_a_link(self, path: Path, tmp_path: Path) -> None:
        """A link is refused, wherever it leads."""
        for target in (path, tmp_path / "nothing"):
            link = tmp_path / f"link to {target.name}"
            link.symlink_to(target)
            with pytest.raises(UnsafeFileError, match="is a symbolic link") as raised:
                files.check_private(link)
            assert raised.value.hint == f"rm '{link}'"

    def test_no_file(self, tmp_path: Path) -> None:
        """A folder or a FIFO is refused."""
        os.mkfifo(tmp_path / "fifo")
        for one in (tmp_path, tmp_path / "fifo"):
            with pytest.raises(UnsafeFileError, match="is not a regular file"):
                files.check_private(one)

    def test_it_belongs_to_somebody_else(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another's is refused."""
        give_away(path, monkeypatch)
        with pytest.raises(UnsafeFileError, match="belongs to uid"):
            files.check_private(path)

    def test_it_cannot_be_seen(self) -> None:
        """State that cannot be seen is exit 9."""
        with open_folder() as folder:
            folder.chmod(0o600)
            with without_root(), pytest.raises(StateError, match="Permission denied"):
                files.check_private(folder / "x")

    def test_it_vanishes(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """SQLite takes files away while they are looked at: that is no fault."""
        path.chmod(0o644)
        monkeypatch.setattr(Path, "chmod", failing(errno.ENOENT))
        said: list[str] = []
        files.check_private(path, said.append)
        assert said == []


class TestFolders:
    """Folders that are made, and those that are there."""

    @pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
    def test_made(self, tmp_path: Path, umask: Callable[[int], int], mask: int) -> None:
        """A folder with 0700, whatever the umask, and so are those above it."""
        umask(mask)
        below = tmp_path / "local" / "state" / "agentauth"
        assert files.private_folder(below) == below
        assert [mode(one) for one in (below, *below.parents[:2])] == [0o700] * 3
        assert files.private_folder(below) == below

    def test_what_is_there_above_it(self, tmp_path: Path) -> None:
        """A folder above that is there is not ours to judge."""
        above = tmp_path / "local"
        above.mkdir()
        above.chmod(0o755)
        files.private_folder(above / "state")
        assert mode(above) == 0o755

    def test_others_could_look_in(self, tmp_path: Path) -> None:
        """One of ours that others may read is closed."""
        folder = tmp_path / "state"
        folder.mkdir()
        folder.chmod(0o755)
        files.private_folder(folder)
        assert mode(folder) == 0o700

    @pytest.mark.parametrize("judge", [files.private_folder, files.check_folder])
    def test_others_may_write(self, tmp_path: Path, judge: Callable[[Path], object]) -> None:
        """A folder that group or others may write is refused."""
        for others in (0o770, 0o702, 0o1777):
            folder = tmp_path / oct(others)
            folder.mkdir()
            folder.chmod(others)
            with pytest.raises(UnsafeFileError, match="can be written by others") as raised:
                judge(folder)
            assert raised.value.hint == f"chmod go-w {folder}"

    @pytest.mark.parametrize("judge", [files.private_folder, files.check_folder])
    def test_it_belongs_to_somebody_else(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        judge: Callable[[Path], object],
    ) -> None:
        """Another's folder is refused."""
        folder = tmp_path / "state"
        folder.mkdir(0o700)
        give_away(folder, monkeypatch)
        with pytest.raises(UnsafeFileError, match="belongs to uid"):
            judge(folder)

    @pytest.mark.parametrize("judge", [files.private_folder, files.check_folder])
    def test_a_file(self, path: Path, judge: Callable[[Path], object]) -> None:
        """A file is no folder."""
        with pytest.raises(UnsafeFileError, match="is not a folder"):
            judge(path)

    @pytest.mark.parametrize("there", [False, True])
    def test_a_link(self, tmp_path: Path, there: bool) -> None:
        """A link in place of a private folder is refused; that of a configuration is followed."""
        folder, link = tmp_path / "folder", tmp_path / "link"
        if there:
            folder.mkdir(0o700)
        link.symlink_to(folder)
        with pytest.raises(UnsafeFileError, match="is not a folder"):
            files.private_folder(link)
        if there:
            files.check_folder(link)
        else:
            with pytest.raises(UnsafeFileError, match="is a link that leads nowhere"):
                files.check_folder(link)
        assert folder.exists() == there

    def test_none(self, tmp_path: Path) -> None:
        """A configuration that is not there passes."""
        files.check_folder(tmp_path / "nothing")
        assert not (tmp_path / "nothing").exists()

    def test_it_cannot_be_made(self, path: Path) -> None:
        """What cannot be made is exit 9."""
        with pytest.raises(StateError, match="cannot be made: Not a directory"):
            files.private_folder(path / "below" / "that")
        with open_folder() as folder:
            folder.chmod(0o555)
            with without_root(), pytest.raises(StateError, match="Permission denied"):
                files.private_folder(folder / "state")

    def test_it_cannot_be_closed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder whose mode cannot be set is exit 9."""
        tmp_path.chmod(0o755)
        monkeypatch.setattr(Path, "chmod", failing(errno.EROFS))
        with pytest.raises(StateError, match="Read-only file system"):
            files.private_folder(tmp_path)

    def test_it_cannot_be_seen(self, path: Path) -> None:
        """A configuration that cannot be looked at is exit 3."""
        with pytest.raises(ConfigError, match="cannot be read: Not a directory"):
            files.check_folder(path / "below")


class TestWrite:
    """A file in one step."""

    @pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
    def test_a_new_one(self, tmp_path: Path, umask: Callable[[int], int], mask: int) -> None:
        """A new file is made with 0600, whatever the umask."""
        umask(mask)
        files.write(tmp_path / "new", b"content")
        assert (tmp_path / "new").read_bytes() == b"content"
        assert mode(tmp_path / "new") == 0o600
        assert [one.name for one in tmp_path.iterdir()] == ["new"]

    @pytest.mark.parametrize("old", [0o600, 0o644, 0o640, 0o400])
    def test_an_old_one(self, path: Path, old: int) -> None:
        """An old one keeps its mode, and whoever has it open keeps the old content."""
        path.chmod(old)
        with path.open("rb") as reader:
            files.write(path, b"new")
            assert reader.read() == b"content"
        assert path.read_bytes() == b"new"
        assert mode(path) == old
        assert [one.name for one in path.parent.iterdir()] == [path.name]

    def test_new_means_new(self, path: Path, tmp_path: Path) -> None:
        """With `new` a file that is there is an error, and stays."""
        with pytest.raises(StateError, match="File exists"):
            files.write(path, b"other", new=True)
        assert path.read_bytes() == b"content"
        files.write(tmp_path / "new", b"other", new=True)
        assert (tmp_path / "new").read_bytes() == b"other"
        assert {one.name for one in tmp_path.iterdir()} == {path.name, "new"}

    def test_a_link(self, path: Path, tmp_path: Path) -> None:
        """A symbolic link is followed, so that the file it leads to is replaced."""
        link = tmp_path / "link"
        link.symlink_to(path.name)
        files.write(link, b"new")
        assert link.is_symlink()
        assert path.read_bytes() == b"new"

    def test_links_in_a_circle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Links that lead nowhere are exit 9."""
        monkeypatch.setattr(Path, "resolve", failing(errno.ELOOP))
        with pytest.raises(StateError, match="cannot be written"):
            files.write(tmp_path / "link", b"")

        def circle(_: Path) -> NoReturn:
            raise RuntimeError("Symlink loop")  # as Python before 3.13 says it

        monkeypatch.setattr(Path, "resolve", circle)
        with pytest.raises(StateError, match="links lead in a circle"):
            files.write(tmp_path / "link", b"")

    def test_nobody_can_foresee_the_name(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Predictable temp name pre-created as a symlink: O_EXCL in the same folder."""
        victim = tmp_path / "victim"
        victim.write_bytes(b"victim")
        monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
        trap = tmp_path / f".{path.name}.guessed"
        trap.symlink_to(victim)
        with pytest.raises(StateError, match="File exists"):
            files.write(path, b"new")
        assert victim.read_bytes() == b"victim"
        assert path.read_bytes() == b"content"
        assert trap.is_symlink()

    @pytest.mark.parametrize("call", ["fchmod", "fsync", "fdopen"])
    def test_a_disk_that_fails(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """Raises StateError; then nothing has changed, and nothing is left."""
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing(errno.ENOSPC))
            with pytest.raises(StateError, match="No space left on device"):
                files.write(path, b"new")
        assert path.read_bytes() == b"content"
        assert [one.name for one in path.parent.iterdir()] == [path.name]

    def test_a_disk_that_takes_nothing_any_more(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the temporary file cannot be removed either, the first failure counts."""
        monkeypatch.setattr(os, "fsync", failing(errno.EIO))
        monkeypatch.setattr(Path, "unlink", failing(errno.EROFS))
        with pytest.raises(StateError, match="Input/output error"):
            files.write(path, b"new")

    def test_stopped(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal in the middle leaves the old file and nothing beside it."""

        def stop(_: int) -> NoReturn:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", stop)
            with pytest.raises(KeyboardInterrupt):
                files.write(path, b"new")
        assert path.read_bytes() == b"content"
        assert [one.name for one in path.parent.iterdir()] == [path.name]

    def test_a_file_that_cannot_grow(self, path: Path) -> None:
        """A file cannot grow (prlimit --fsize=4096): exit 9, the old one stays."""
        script = """
import resource, sys
from pathlib import Path
from agentauth_cli import files
from agentauth_cli.errors import StateError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, -1))
try:
    files.write(Path(sys.argv[1]), b"x" * 4097)
except StateError as error:
    print(error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
"""
        out, complaint = python(script, str(path)).communicate()
        assert (out, complaint) == (f"{path} cannot be written: File too large\n", "")
        assert path.read_bytes() == b"content"
        assert [one.name for one in path.parent.iterdir()] == [path.name]

    @pytest.mark.parametrize("what", ["folder", "file"])
    def test_where_it_cannot_be(self, path: Path, what: str) -> None:
        """In place of a folder, or below a file, nothing can be written."""
        if what == "folder":
            path.unlink()
            path.mkdir()
        target = path if what == "folder" else path / "below"
        with pytest.raises(StateError, match="cannot be written"):
            files.write(target, b"new")
        assert [one.name for one in path.parent.iterdir()] == [path.name]

    def test_no_right_to_write(self) -> None:
        """A folder that takes nothing is exit 9."""
        with open_folder() as folder:
            folder.chmod(0o555)
            with without_root(), pytest.raises(StateError, match="Permission denied"):
                files.write(folder / "x", b"")

    def test_a_reader_sees_one_or_the_other(self, path: Path) -> None:
        """A reader sees the old file or the new."""
        whole = [bytes([letter]) * 50_000 for letter in b"abcd"]
        files.write(path, whole[0])
        seen: set[bytes] = set()
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                seen.add(files.read(path, limit=100_000) or b"")

        reader = threading.Thread(target=look)
        reader.start()
        for _ in range(20):
            for content in whole:
                files.write(path, content)
        done.set()
        reader.join()
        assert seen <= set(whole)

    @given(st.binary(max_size=3000))
    @settings(deadline=None, max_examples=25)
    def test_what_is_written_is_read(self, content: bytes) -> None:
        """Byte for byte."""
        with open_folder() as folder:
            files.write(folder / "x", content)
            assert files.read(folder / "x", limit=3000, private=True) == content


HOLD = """
import sys
from pathlib import Path
from agentauth_cli import files
with files.lock(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""

COUNT = """
import sys
from pathlib import Path
from agentauth_cli import files
path = Path(sys.argv[1])
print("ready", flush=True)
input()
for _ in range(25):
    with files.lock(path.with_suffix(".lock")):
        files.write(path, str(int(files.read(path, limit=100)) + 1).encode())
"""


class TestLock:
    """One at a time."""

    def test_held(self, tmp_path: Path) -> None:
        """For one thread of one process at a time; patience ends as a StateError."""
        path = tmp_path / "lock"
        before = descriptors()
        held = pytest.raises(StateError, match="lock has been held by another process")
        with files.lock(path), held, files.lock(path, 0.02):
            raise AssertionError("two at once")
        with files.lock(path, 0.02):
            pass
        assert descriptors() == before

    def test_given_back_by_a_failure(self, tmp_path: Path) -> None:
        """What fails inside gives the lock back."""
        with pytest.raises(KeyboardInterrupt), files.lock(tmp_path / "lock"):
            raise KeyboardInterrupt
        with files.lock(tmp_path / "lock", 0.02):
            pass

    def test_waited_for(self, tmp_path: Path) -> None:
        """Who waits gets it when it is free."""
        order: list[str] = []
        inside = threading.Event()

        def work() -> None:
            with files.lock(tmp_path / "lock"):
                inside.set()
                order.append("first")

        with files.lock(tmp_path / "lock"):
            other = threading.Thread(target=work)
            other.start()
            assert not inside.wait(0.05)
            order.append("before")
        other.join()
        assert order == ["before", "first"]

    def test_whoever_gave_up_keeps_nothing(self, tmp_path: Path) -> None:
        """A lock that comes after patience ended is not kept by anybody."""
        path = tmp_path / "lock"
        with files.lock(path):
            for _ in range(3):
                with pytest.raises(StateError), files.lock(path, 0.01):
                    pass
        with files.lock(path, 5):
            pass

    def test_a_process_that_was_killed(self, tmp_path: Path) -> None:
        """Kill -9 leaves no lock."""
        path = tmp_path / "lock"
        with python(HOLD, str(path)) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(StateError, match="held by another process"), files.lock(path, 0.02):
                pass
            holder.kill()
            holder.wait()
            with files.lock(path, 5):
                pass

    def test_two_writers_lose_nothing(self, tmp_path: Path) -> None:
        """Two writers never lose each other's change."""
        path = tmp_path / "count"
        files.write(path, b"0")
        running = [python(COUNT, str(path)) for _ in range(3)]
        for one in running:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in running:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        told = [one.communicate() for one in running]
        assert [complaint for _, complaint in told] == [""] * 3
        assert path.read_bytes() == b"75"
        assert {one.name for one in tmp_path.iterdir()} == {"count", "count.lock"}

    @pytest.mark.parametrize("mask", [0, 0o022, 0o777])
    def test_the_mode(self, tmp_path: Path, umask: Callable[[int], int], mask: int) -> None:
        """Files 0600, whatever the umask: nobody else can hold it, and we can."""
        umask(mask)
        with files.lock(tmp_path / "lock"):
            assert mode(tmp_path / "lock") == 0o600

    def test_a_lock_of_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A lock file whose mode is not ours to set can be held all the same."""
        with open_folder() as folder:
            path = folder / "lock"
            path.touch()
            path.chmod(0o666)
            monkeypatch.setattr(os, "fchmod", failing(errno.EPERM))
            with without_root(), files.lock(path):
                pass

    def test_a_link(self, path: Path, tmp_path: Path) -> None:
        """A link in its place is refused."""
        (tmp_path / "lock").symlink_to(path)
        with pytest.raises(StateError, match="cannot be opened"), files.lock(tmp_path / "lock"):
            pass

    def test_a_folder(self, tmp_path: Path) -> None:
        """A folder cannot be locked."""
        refused = pytest.raises(StateError, match="cannot be opened: Is a directory")
        with refused, files.lock(tmp_path):
            pass

    def test_no_folder(self, tmp_path: Path) -> None:
        """Without a folder there is no lock."""
        missing = tmp_path / "nowhere" / "lock"
        with pytest.raises(StateError, match="cannot be opened: No such file"), files.lock(missing):
            pass

    def test_no_locks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file system without locks is exit 9, not a race."""
        monkeypatch.setattr(fcntl, "flock", failing(errno.EOPNOTSUPP))
        with pytest.raises(StateError, match="cannot be locked"), files.lock(tmp_path / "lock"):
            pass

    def test_no_more_threads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`ulimit -u`: a clean failure."""

        def refuse(_: threading.Thread) -> NoReturn:
            raise RuntimeError("can't start new thread")

        path = tmp_path / "lock"
        with files.lock(path):
            monkeypatch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(StateError, match="is held by another process"), files.lock(path):
                pass

    def test_closed_under_whoever_waits(self, tmp_path: Path) -> None:
        """A descriptor that is closed while it is waited for ends the waiting quietly."""
        path = tmp_path / "lock"
        with files.lock(path), path.open("rb+") as file:
            number = file.fileno()
            taken = threading.Event()
            real = fcntl.flock
            with pytest.MonkeyPatch.context() as patch:

                def bad(descriptor: int, how: int) -> None:
                    if not how & fcntl.LOCK_NB:
                        taken.set()
                        raise OSError(errno.EBADF, "Bad file descriptor")
                    real(descriptor, how)

                patch.setattr(fcntl, "flock", bad)
                with pytest.raises(StateError, match="held by another"):
                    files._wait_for(number, path, 0.05)
                assert taken.wait(5)


def test_what_is_renamed_lasts(tmp_path: Path) -> None:
    """Fsync the folder; one that is none says so."""
    files.sync_folder(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        files.sync_folder(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        files.sync_folder(tmp_path / "file")
