"""Values as blocks of bytes, each with a checksum: what is read is checked, the rest is not read.

The bytes begin with a header, then an entry for each block (offset, length, CRC-32), then the
blocks, each written by `marshal`: of all readers of the standard library the fastest, and the bytes
are our own. A checksum is seeded by the number of its block and by the checksum of the first one,
so that no block passes for another: of these bytes, or of others that were put in their place.
"""

from __future__ import annotations

import marshal
import zlib

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    class Bytes(Protocol):
        """What slices can be taken of. They are shorter where the end has come nearer."""

        def __len__(self) -> int: ...
        def __getitem__(self, part: slice, /) -> bytes: ...


FORMAT = 2
"""What the blocks mean. Other numbers are not read."""

_VERSION = FORMAT << 8 | marshal.version
_MAGIC = b"AGNTAUTH"
_NUMBER = 8
"""So many bytes a number takes."""

_HEADER = len(_MAGIC) + 2 * _NUMBER
_ENTRY = 3 * _NUMBER


class DamagedError(Exception):
    """The bytes are not what was written."""


def _written(*numbers: int) -> bytes:
    return b"".join(one.to_bytes(_NUMBER, "little") for one in numbers)


def _numbers(content: bytes) -> tuple[int, ...]:
    return tuple(
        int.from_bytes(content[at : at + _NUMBER], "little")
        for at in range(0, len(content), _NUMBER)
    )


def pack(values: Sequence[Any]) -> bytes:
    """Return the bytes of these values: numbers, strings, None, tuples and dicts of them."""
    start = _HEADER + _ENTRY * len(values)
    entries, contents, seed = [], [], 0
    for number, value in enumerate(values):
        content = marshal.dumps(value)
        checksum = zlib.crc32(content, seed + number)
        entries.append(_written(start, len(content), checksum))
        contents.append(content)
        start += len(content)
        seed = seed if number else checksum
    return b"".join([_MAGIC, _written(_VERSION, start), *entries, *contents])


class Blocks:
    """Reads single blocks of packed bytes, for several threads too."""

    __slots__ = ("_opened", "mend")

    def __init__(self, packed: Bytes) -> None:
        """Look at the header. Raises DamagedError where it is not that of so many bytes."""
        self._opened = _Opened(packed)
        self.mend: Callable[[], bytes] | None = None
        """Returns all bytes anew, which say the same: for the case that a block is damaged."""

    def read(self, number: int) -> Any:
        """Return the value of a block. Raises DamagedError where it cannot be mended."""
        opened = self._opened
        try:
            return opened.read(number)
        except DamagedError:
            mend = self.mend
            if mend is not None:
                self._opened = _Opened(mend())
                self.mend = None
            elif self._opened is opened:  # else another thread has just mended it
                raise
        return self._opened.read(number)


class _Opened:
    """Bytes of which the header is right. They can become other ones, or fewer."""

    __slots__ = ("_bytes", "_seed", "_size")

    def __init__(self, packed: Bytes) -> None:
        self._bytes = packed
        self._size = len(packed)
        if self._part(0, _HEADER) != _MAGIC + _written(_VERSION, self._size):
            raise DamagedError
        self._seed = self._entry(0)[-1]

    def read(self, number: int) -> Any:
        start, length, checksum = self._entry(number)
        content = self._part(start, length)
        if zlib.crc32(content, self._seed + number if number else 0) != checksum:
            raise DamagedError
        return marshal.loads(content)  # noqa: S302 - our own bytes, in a folder of ours alone

    def _entry(self, number: int) -> tuple[int, ...]:
        return _numbers(self._part(_HEADER + _ENTRY * number, _ENTRY))

    def _part(self, start: int, length: int) -> bytes:
        if start + length > self._size:
            raise DamagedError
        found = self._bytes[start : start + length]
        if len(found) < length:
            raise DamagedError
        return found
