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
import signal
import stat
import threading
from functools import partial
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
    no regular file or a link that leads nowhere; ConfigError where it cannot be read or is over
    `limit` bytes. `private` (state and data): no symlink, and a mode that lets others read is set
    to 0600 and said.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    if private or not follow:
        flags |= os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        _judge_absence(path)
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            hint = f"rm {_quoted(path)}"
            raise UnsafeFileError(f"{path} is a symbolic link", hint=hint) from None
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=_look(path)) from None
    try:
        found = os.fstat(descriptor)
        _judge(path, found)
        if private:
            _close_to_others(path, found, partial(os.fchmod, descriptor), say)
        return _content(path, descriptor, limit)
    finally:
        os.close(descriptor)


def _judge_absence(path: Path) -> None:
    """Refuse a link that leads nowhere: somebody meant a file or folder to be here."""
    if path.is_symlink():
        hint = f"Bring back what it leads to, or rm {_quoted(path)}"
        raise UnsafeFileError(f"{path} is a link that leads nowhere", hint=hint)


def _look(path: Path) -> str:
    return f"ls -ld {_quoted(path)}"


def _quoted(path: Path) -> str:
    """Return the path as a shell takes it: on a Mac the state lies under Application Support."""
    import shlex

    return shlex.quote(str(path))


def _judge(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFileError(f"{path} is not a regular file", hint="Move it away")
    _judge_owner(path, found)


def _judge_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.getuid(), 0):
        raise UnsafeFileError(
            f"{path} belongs to uid {found.st_uid}", hint=f"chown {os.getuid()} {_quoted(path)}"
        )
    if found.st_mode & _OTHERS_WRITE:
        hint = f"chmod go-w {_quoted(path)}"
        raise UnsafeFileError(f"{path} can be written by others", hint=hint)


def _content(path: Path, descriptor: int, limit: int) -> bytes:
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise ConfigError(f"{path} is larger than {limit} bytes", hint="Make it smaller")
    return content


def _close_to_others(
    path: Path, found: os.stat_result, chmod: Callable[[int], None], say: Callable[[str], None]
) -> None:
    """Set a file of ours that others may read to 0600, and say so; one of root's stays as it is."""
    if not found.st_mode & _OTHERS or found.st_uid != os.getuid():
        return
    try:
        chmod(_PRIVATE_FILE)
    except FileNotFoundError:  # SQLite takes its -wal away when the last one closes
        return
    except OSError as error:
        raise StateError(
            f"{path} can be read by others, and its mode cannot be set: {error.strerror}"
        ) from None
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
        raise UnsafeFileError(f"{path} is a symbolic link", hint=f"rm {_quoted(path)}")
    _judge(path, found)
    _close_to_others(path, found, path.chmod, say)


def check_folder(path: Path) -> None:
    """Refuse a folder that others may write. One that does not exist passes.

    Raises UnsafeFileError, also for a link that leads nowhere.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        _judge_absence(path)
        return
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=_look(path)) from None
    _judge_folder(path, found)


def _judge_folder(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFileError(f"{path} is not a folder", hint="Move it away")
    _judge_owner(path, found)


def private_folder(path: Path) -> Path:
    """Make the folder, and those above it, with mode 0700, or check what is there; return it.

    Raises UnsafeFileError for a link, another's, or one that others may write; StateError where it
    cannot be made.
    """
    try:
        missing = [one for one in (path, *path.parents) if not one.exists()]
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):  # somebody was faster: judged below
                folder.mkdir(mode=_PRIVATE_FOLDER)
                folder.chmod(_PRIVATE_FOLDER)  # whatever the umask took
        found = path.lstat()
        _judge_folder(path, found)
        if found.st_mode & _OTHERS and found.st_uid == os.getuid():
            path.chmod(_PRIVATE_FOLDER)
    except OSError as error:
        raise StateError(f"{path} cannot be made: {error.strerror}") from None
    return path


def write(path: Path, content: bytes, *, new: bool = False) -> None:
    """Put a file in place in one step: a new one with mode 0600, an old one keeps its mode.

    Written beside it under a name that nobody can foresee, synced, renamed. A symbolic link is
    followed, so that the file it leads to is replaced. With `new` a file that is there is an
    error. Raises StateError; then nothing has changed.
    """
    target = behind_links(path)
    try:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
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
        with contextlib.suppress(OSError):  # renamed, or the disk takes nothing any more
            temporary.unlink()


def behind_links(path: Path) -> Path:
    """Return where a file is that is reached by this path. Raises StateError."""
    try:
        return path.resolve()
    except RuntimeError:  # what Python before 3.13 calls it
        raise StateError(f"{path} cannot be written: its links lead in a circle") from None
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror}") from None


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
    the file cannot be opened or locked.
    """
    try:
        descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE_FILE
        )
    except OSError as error:
        raise StateError(f"the lock {path} cannot be opened: {error.strerror}") from None
    try:
        with contextlib.suppress(PermissionError):  # root's: it is closed to others already
            os.fchmod(descriptor, _PRIVATE_FILE)  # a umask may have closed it to us
        _wait_for(descriptor, path, seconds)
        yield
    finally:
        os.close(descriptor)  # releases the lock; also one that a waiting thread gets later


def _wait_for(descriptor: int, path: Path, seconds: float) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _queue_for(descriptor, path, seconds)
    except OSError as error:  # a file system without locks
        raise StateError(f"{path} cannot be locked: {error.strerror}") from None


def _queue_for(descriptor: int, path: Path, seconds: float) -> None:
    taken = threading.Event()

    def wait() -> None:
        # Where it waits for longer than us, a signal to the process is not for it to take.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        with contextlib.suppress(OSError):  # closed under us: nobody waits any more
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            taken.set()

    try:
        threading.Thread(target=wait, daemon=True).start()
    except RuntimeError:  # no more threads for this account
        raise StateError(f"{path} is held by another process") from None
    if not taken.wait(seconds):
        raise StateError(f"{path} has been held by another process for {seconds:.0f} s")
