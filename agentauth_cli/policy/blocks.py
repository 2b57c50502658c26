"""Values as blocks of bytes, each with a checksum: what is read is checked, the rest is not read.

The bytes begin with a header, then an entry for each block (offset, length, CRC-32), then the
blocks, each written by `marshal`: of all readers of the standard library the fastest, and the bytes
are our own. A checksum is seeded by the number of its block, so that no block passes for another.
"""

from __future__ import annotations

import marshal
import zlib

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from mmap import mmap
    from typing import Any

FORMAT = 1
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
    entries, contents = [], []
    for number, value in enumerate(values):
        content = marshal.dumps(value)
        entries.append(_written(start, len(content), zlib.crc32(content, number)))
        contents.append(content)
        start += len(content)
    return b"".join([_MAGIC, _written(_VERSION, start), *entries, *contents])


class Blocks:
    """Reads single blocks of packed bytes.

    `size` returns how many bytes there are now: those of a file can become fewer.
    """

    __slots__ = ("_bytes", "_size", "mend")

    def __init__(self, packed: bytes | mmap, size: Callable[[], int] | None = None) -> None:
        """Look at the header. Raises DamagedError where it is not that of so many bytes."""
        self._bytes = packed
        self._size = size or packed.__len__
        self.mend: Callable[[], bytes] | None = None
        """Returns all bytes anew, which are the same: for the case that a block is damaged."""
        header = _MAGIC + _written(_VERSION, self._size())
        if self._bytes[:_HEADER] != header:
            raise DamagedError

    def read(self, number: int) -> Any:
        """Return the value of a block. Raises DamagedError where it cannot be mended."""
        try:
            return self._read(number)
        except DamagedError:
            if self.mend is None:
                raise
            self._bytes = self.mend()
            self._size, self.mend = self._bytes.__len__, None
            return self._read(number)

    def _read(self, number: int) -> Any:
        at = _HEADER + _ENTRY * number
        there = self._size()
        if at + _ENTRY > there:
            raise DamagedError
        start, length, checksum = _numbers(self._bytes[at : at + _ENTRY])
        if start + length > there:
            raise DamagedError
        content = self._bytes[start : start + length]
        if zlib.crc32(content, number) != checksum:
            raise DamagedError
        return marshal.loads(content)  # noqa: S302 - our own bytes, in a folder of ours alone
