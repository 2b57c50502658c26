"""How files are read and written: what others could have changed is refused, what is written whole.

A reader sees the old file or the new one. A file is opened first and judged by its descriptor, so
that nobody can put another in its place in between.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import threading
from typing import TYPE_CHECKING

from agentauth_cli.errors import ConfigError, StateError, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCK_SECONDS = 30.0
_OTHERS_WRITE = 0o022
_OTHERS = 0o077
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700


def _silent(_notice: str) -> None:
    """Say nothing."""


def read(
    path: Path,
    *,
    limit: int,
    private: bool = False,
    follow: bool = True,
    say: Callable[[str], None] = _silent,
) -> bytes | None:
    """Return the content of a regular file, or None where there is none.

    Raises UnsafeFileError where somebody else than us or root owns it or may write it, where it is
    no regular file, or over `limit` bytes; ConfigError where it cannot be read. `private` (state
    and data): no symlink, and a mode that lets others read is set to 0600 and said.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    if private or not follow:
        flags |= os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafeFileError(f"{path} is a symbolic link", hint=f"rm {path}") from None
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=_look(path)) from None
    try:
        _judge(path, os.fstat(descriptor))
        if private:
            _close_to_others(descriptor, path, say)
        return _content(path, descriptor, limit)
    finally:
        os.close(descriptor)


def _look(path: Path) -> str:
    return f"ls -ld {path}"


def _judge(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFileError(f"{path} is not a regular file", hint="Move it away")
    _judge_owner(path, found)


def _judge_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.getuid(), 0):
        raise UnsafeFileError(
            f"{path} belongs to uid {found.st_uid}", hint=f"chown {os.getuid()} {path}"
        )
    if found.st_mode & _OTHERS_WRITE:
        raise UnsafeFileError(f"{path} can be written by others", hint=f"chmod go-w {path}")


def _content(path: Path, descriptor: int, limit: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise ConfigError(f"{path} is larger than {limit} bytes", hint="Make it smaller")
    return content


def _close_to_others(descriptor: int, path: Path, say: Callable[[str], None]) -> None:
    if os.fstat(descriptor).st_mode & _OTHERS:
        os.fchmod(descriptor, _PRIVATE_FILE)
        say(f"{path} could be read by others; its mode is now 0600")


def check_private(path: Path, say: Callable[[str], None] = _silent) -> None:
    """Judge a file of a private folder without opening it; close it to others' reading.

    For databases: SQLite loses its locks when somebody else closes a descriptor of the file. One
    that does not exist passes. Raises UnsafeFileError.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from None
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFileError(f"{path} is a symbolic link", hint=f"rm {path}")
    _judge(path, found)
    if found.st_mode & _OTHERS and found.st_uid == os.getuid():
        path.chmod(_PRIVATE_FILE)
        say(f"{path} could be read by others; its mode is now 0600")


def check_folder(path: Path) -> None:
    """Refuse a folder that others may write. One that does not exist passes.

    Raises UnsafeFileError.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=_look(path)) from None
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFileError(f"{path} is not a folder", hint="Move it away")
    _judge_owner(path, found)


def private_folder(path: Path) -> Path:
    """Make the folder with mode 0700, or check the one that is there; return it.

    Raises UnsafeFileError for a link, another's, or one that others may write; StateError where it
    cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=_PRIVATE_FOLDER)
            path.chmod(_PRIVATE_FOLDER)
        found = path.lstat()
    except OSError as error:
        raise StateError(f"{path} cannot be made: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFileError(f"{path} is not a folder", hint="Move it away")
    _judge_owner(path, found)
    if found.st_mode & _OTHERS and found.st_uid == os.getuid():
        path.chmod(_PRIVATE_FOLDER)
    return path


def write(path: Path, content: bytes, *, new: bool = False) -> None:
    """Put a file in place in one step: a new one with mode 0600, an old one keeps its mode.

    Written beside it under a name that nobody can foresee, synced, renamed. A symbolic link is
    followed, so that the file it leads to is replaced. With `new` a file that is there is an
    error. Raises StateError; then nothing has changed.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else _PRIVATE_FILE
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode
        )
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if new:
            os.link(temporary, target)
        else:
            temporary.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make what was created, renamed or removed in a folder last. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock of this file, for one thread of one process at a time.

    Waits in the kernel's queue, so that nobody starves. Raises StateError after `seconds`, or where
    the file cannot be opened.
    """
    try:
        descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE_FILE
        )
    except OSError as error:
        raise StateError(f"the lock {path} cannot be opened: {error.strerror}") from None
    try:
        _wait_for(descriptor, path, seconds)
        yield
    finally:
        os.close(descriptor)  # releases the lock; also one that a waiting thread gets later


def _wait_for(descriptor: int, path: Path, seconds: float) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    taken = threading.Event()

    def wait() -> None:
        with contextlib.suppress(OSError):  # closed under us: nobody waits any more
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            taken.set()

    threading.Thread(target=wait, daemon=True).start()
    if not taken.wait(seconds):
        raise StateError(f"{path} has been held by another process for {seconds:.0f} s")
