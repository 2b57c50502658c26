"""Packed values: what is read is what was written, or is known to be damaged."""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.policy import blocks
from agentauth_cli.policy.blocks import Blocks, DamagedError, pack
from support.policy_worlds import property_of

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = [("a", ("rules", 1)), (), {"b": (1, 2)}, "c" * 300, None]


@property_of(200)
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
        min_size=1,
        max_size=6,
    )
)
def test_each_block_is_what_was_written(values: list[object]) -> None:
    """Each block is read by itself, in any order."""
    whole = Blocks(pack(values))
    for number in reversed(range(len(values))):
        assert whole.read(number) == values[number]


@property_of(400)
@given(st.data())
def test_a_changed_byte_changes_no_answer(data: st.DataObject) -> None:
    """Each block that is read is checked by its own checksum."""
    content = bytearray(pack(VALUES))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
    for number, value in enumerate(VALUES):
        try:
            found = Blocks(bytes(content)).read(number)
        except DamagedError:
            continue
        assert found == value


def test_fewer_bytes_than_were_written_are_refused() -> None:
    """A truncated file never changes an answer."""
    content = pack(VALUES)
    for length in range(len(content)):
        with pytest.raises(DamagedError):
            Blocks(content[:length])
    with pytest.raises(DamagedError):
        Blocks(content + b"x")


class Changing:
    """Bytes that become others: `change` is called once part of them was taken."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.length = len(content)
        self.change: Callable[[], object] | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> bytes:
        found = self.content[part]
        if self.change is not None:
            change, self.change = self.change, None
            change()
        return found


def test_bytes_that_become_fewer_are_noticed() -> None:
    """A file can be cut while it is read."""
    there = Changing(pack(VALUES))
    whole = Blocks(there)
    assert whole.read(0) == VALUES[0]
    for length in (0, 60, len(there) - 1):
        there.content = pack(VALUES)[:length]
        with pytest.raises(DamagedError):
            whole.read(len(VALUES) - 1)


def test_a_block_that_is_said_to_be_larger_than_all_is_not_asked_for() -> None:
    """A damaged length could be any number."""
    content = bytearray(pack(VALUES))
    at = blocks._HEADER + blocks._NUMBER
    content[at : at + blocks._NUMBER] = b"\xff" * blocks._NUMBER
    there = Changing(bytes(content))
    with pytest.raises(DamagedError):
        Blocks(there).read(0)


def test_no_block_passes_for_another() -> None:
    """A checksum is seeded by the number of its block."""
    content = bytearray(pack([("allow",), ("deny!",)]))
    entry, first = blocks._ENTRY, blocks._HEADER
    content[first : first + entry] = content[first + entry : first + 2 * entry]
    with pytest.raises(DamagedError):
        Blocks(bytes(content)).read(0)


def test_no_block_passes_for_that_of_other_bytes() -> None:
    """A file can be written over while it is read: half of each would be neither policy."""
    mine, others = (pack([(head,), ("rule",)]) for head in "ab")
    there = Changing(mine)
    whole = Blocks(there)
    there.content = others
    with pytest.raises(DamagedError):
        whole.read(1)
    assert Blocks(others).read(1) == ("rule",)


@pytest.mark.parametrize("name", ["FORMAT", "version"])
def test_another_format_is_not_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older file never changes an answer."""
    content = pack(VALUES)
    assert Blocks(content).read(0) == VALUES[0]
    version = (blocks.FORMAT + 1) << 8 | marshal.version
    monkeypatch.setattr(blocks, "_VERSION", version if name == "FORMAT" else blocks._VERSION + 1)
    with pytest.raises(DamagedError):
        Blocks(content)


def test_a_damaged_block_is_mended_once() -> None:
    """The bytes come anew, and what was read before stays right."""
    content = pack(VALUES)
    damaged = content[:-3] + b"xyz"
    whole = Blocks(damaged)
    called = []

    def mend() -> bytes:
        called.append(1)
        return content

    whole.mend = mend
    damaged_last = pack([*VALUES[:-1], "other"])
    assert whole.read(3) == VALUES[3]
    assert whole.read(4) == VALUES[4]
    assert whole.read(0) == VALUES[0]
    assert called == [1]
    broken = Blocks(damaged)
    broken.mend = lambda: damaged_last[:-1] + b"\x00"
    with pytest.raises(DamagedError):
        broken.read(4)


def test_a_block_that_another_thread_mends_is_read_from_what_it_made() -> None:
    """Threads that share a policy while it is mended all get their answer."""
    content = pack(VALUES)
    there = Changing(content[:-3] + b"xyz")
    whole = Blocks(there)
    whole.mend = lambda: content

    def fails() -> None:
        there.change = lambda: whole.read(4)

    there.change = fails  # once the entry is read, and once the block is
    assert whole.read(4) == VALUES[4]
    assert whole.mend is None
