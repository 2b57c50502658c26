"""policy.compiled in the state folder: the policy as it was loaded, read block by block.

It is used only while its sources are as they were when it was written: their names, and size,
times and inode of each, owner and mode of their folders. Whatever is wrong with it, the policy is
read from its sources, and the answer is the same. A policy that is not this account's own is not
compiled: who can write the state folder could else write an answer that root's policy never gave.
"""

from __future__ import annotations

import os
import stat

import agentauth_cli
from agentauth_cli.policy.blocks import Blocks, DamagedError
from agentauth_cli.policy.packed import Policy

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Sources = tuple[Any, ...]

NAME = "policy.compiled"
POLICY = "policy.toml"
POLICIES = "policy.d"

_SETTLED = 2_000_000_000
"""So many nanoseconds ago a source has to have changed last.

A file that changes twice within one tick of its file system's clock looks the same after both.
"""

_SECOND = 1_000_000_000

_OTHERS = 0o077
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def sources(folder: str) -> Sources | None:
    """Return what the policy files of a folder are known by.

    None where that cannot be told, or where some are not this account's own.
    """
    inside = os.path.join(folder, POLICIES)
    try:
        names = tuple(sorted(one for one in os.listdir(inside) if not one.startswith(".")))
        of_policies = _folder(inside)
    except FileNotFoundError:
        if os.path.lexists(inside):  # a link that leads nowhere
            return None
        names, of_policies = (), ()
    except OSError:
        return None
    paths = [os.path.join(folder, POLICY), *(os.path.join(inside, one) for one in names)]
    try:
        files = tuple(map(_file, paths))
        return (agentauth_cli.__version__, folder, _folder(folder), of_policies, names, files)
    except OSError:
        return None


def _folder(path: str) -> tuple[int, ...]:
    found = _own(path)
    return (found.st_mode, found.st_ino)


def _file(path: str) -> tuple[int, ...]:
    found = _own(path)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _own(path: str) -> os.stat_result:
    found = os.stat(path)
    if found.st_uid != os.getuid():
        raise PermissionError
    return found


def find(state: str, known: Sources, mend: Callable[[str], bytes]) -> Policy | None:
    """Return the policy that was compiled from these sources; None where there is none.

    `mend` returns the bytes anew where some turn out to be damaged later; it gets the digest that
    the policy had.
    """
    try:
        file = _File(os.open(os.path.join(state, NAME), _READ))
    except OSError:
        return None
    if not file.ours:
        return None
    try:
        blocks = Blocks(file)
        policy = Policy(blocks)
    except DamagedError:
        return None
    blocks.mend = lambda: mend(policy.digest)
    return policy if policy.sources == known else None


class _File:
    """An open file as bytes, closed with the last that holds it.

    It is not mapped: a process that reads a mapped file which was cut meanwhile, or whose disk
    fails, is killed. What cannot be read is missing here.
    """

    __slots__ = ("_descriptor", "_size", "ours")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        found = os.fstat(descriptor)
        self._size = found.st_size
        private = found.st_uid == os.getuid() and not found.st_mode & _OTHERS
        self.ours = private and stat.S_ISREG(found.st_mode)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        try:
            return os.pread(self._descriptor, part.stop - part.start, part.start)
        except OSError:
            return b""

    def __del__(self) -> None:
        os.close(self._descriptor)


def keep(state: str, content: bytes, known: Sources) -> None:
    """Put the bytes of a policy in place, unless its sources may change and look the same.

    Nothing waits for the disk: half a file is seen by its checksums. What cannot be written is not
    needed either.
    """
    import contextlib

    path = os.path.join(state, NAME)
    beside = os.path.join(state, f".{NAME}.{os.urandom(8).hex()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            if not _settled(known, os.fstat(file.fileno()).st_mtime_ns):
                return
            file.write(content)
        os.rename(beside, path)
    except OSError:
        return
    finally:
        with contextlib.suppress(OSError):
            os.unlink(beside)


def _settled(known: Sources, now: int) -> bool:
    """Say whether whatever changes the sources from now on shows in what they are known by.

    A whole second is what images of file systems are made with, each file of each image with the
    same: there the time tells nothing.
    """
    changes = [changed for _, _, changed, _ in known[-1]]
    return now - max(changes) >= _SETTLED and all(one % _SECOND for one in changes)
