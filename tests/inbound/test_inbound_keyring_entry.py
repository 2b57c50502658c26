"""One entry in a keyring that takes no long ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring.errors import KeyringError as BackendError

from agentauth_cli.errors import KeyringError
from agentauth_cli.inbound import keyring_entry
from agentauth_cli.inbound.keyring import Keyring
from agentauth_cli.secret import Secret
from support.keyrings import (
    FILE,
    AskingKeyring,
    FrailKeyring,
    SmallKeyring,
    entries,
    use,
    variables,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

ENTRY = "identity:x"
LENGTHS = (0, 1, 1280, 1281, 2560, 2561, 20_000)


def made(kind: Callable[[], T]) -> T:
    """Return one of a kind of keyring."""
    return kind()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallKeyring:
    """Return a keyring that takes no long entries."""
    monkeypatch.setenv(FILE, str(tmp_path / "keyring.json"))
    return made(SmallKeyring)


def kept(backend: SmallKeyring, value: str) -> set[str]:
    """Keep a value; return the names of all entries."""
    keyring_entry.write(backend, ENTRY, value)
    assert keyring_entry.read(backend, ENTRY) == value
    return set(entries(Path(os.environ[FILE]).parent))


@pytest.mark.parametrize("length", LENGTHS)
def test_a_value_of_any_length(small: SmallKeyring, tmp_path: Path, length: int) -> None:
    """Entries small enough for Windows: 2,560 bytes of UTF-16."""
    names = kept(small, "x" * length)
    assert len(names) == (1 if length <= 1280 else 1 + -(-length // 1280))
    keyring_entry.remove(small, ENTRY)
    assert entries(tmp_path) == {}
    assert keyring_entry.read(small, ENTRY) is None
    keyring_entry.remove(small, ENTRY)


def test_nothing_of_the_value_before_is_left(small: SmallKeyring) -> None:
    """The parts of the value before are removed once the new one is kept, not earlier."""
    first = kept(small, "1" * 5000)
    second = kept(small, "2" * 3000)
    assert first & second == {f"agentauth {ENTRY}"}
    assert (len(first), len(second)) == (5, 4)
    assert kept(small, "short") == {f"agentauth {ENTRY}"}


def test_a_value_that_looks_like_the_entry_of_parts(small: SmallKeyring) -> None:
    """Whatever is kept comes back: also what begins as our own note of parts does."""
    assert len(kept(small, "parts:a:1:" + "0" * 64)) == 2


@pytest.mark.parametrize("former", LENGTHS)
@pytest.mark.parametrize("length", [1, 4000])
def test_whoever_is_stopped_leaves_one_or_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, former: int, length: int
) -> None:
    """A crash between the parts never yields a mix of two values, and nothing stays for ever."""
    monkeypatch.setenv(FILE, str(tmp_path / "keyring.json"))
    before, after = "1" * former, "2" * length
    backend = made(FrailKeyring)
    seen = set()
    for left in count():
        FrailKeyring.left = 1000
        keyring_entry.remove(backend, ENTRY)
        assert entries(tmp_path) == {}
        keyring_entry.write(backend, ENTRY, before)
        FrailKeyring.left = left
        try:
            keyring_entry.write(backend, ENTRY, after)
        except BackendError:
            found = keyring_entry.read(backend, ENTRY)
            assert found in {before, after}
            seen.add(found)
        else:
            break
    FrailKeyring.left = 1000
    assert keyring_entry.read(backend, ENTRY) == after
    assert before in seen
    for left in count():
        FrailKeyring.left = left
        try:
            keyring_entry.remove(backend, ENTRY)
        except BackendError:
            continue
        break
    assert entries(tmp_path) == {}


def test_parts_that_do_not_belong_together_are_nothing(small: SmallKeyring) -> None:
    """A part that is gone, or another's, makes the whole unreadable, not half readable."""
    kept(small, "1" * 3000)
    part = f"{ENTRY}#a2"
    small.set_password("agentauth", part, "2" * 1280)
    assert keyring_entry.read(small, ENTRY) == ""
    small.delete_password("agentauth", part)
    assert keyring_entry.read(small, ENTRY) == ""


@pytest.fixture(scope="module")
def folder() -> Iterator[None]:
    """Have a folder for all examples of a property."""
    with tempfile.TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patched:
        patched.setenv(FILE, str(Path(path) / "keyring.json"))
        yield


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text().flatmap(lambda text: st.sampled_from([text, text * 900])), max_size=4))
def test_whatever_is_kept_comes_back(folder: None, values: list[str]) -> None:
    """Any text, of any length, over any other."""
    del folder
    backend = made(SmallKeyring)
    for value in values:
        kept(backend, value)
    keyring_entry.remove(backend, ENTRY)
    assert entries(Path(os.environ[FILE]).parent) == {}


def test_a_locked_keyring_asks_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked keyring asks once: who says no is not asked again, for no part of an entry."""
    use(monkeypatch, variables(tmp_path, "AskingKeyring"))
    ring = Keyring(tmp_path / "state")
    calls: list[Callable[[], object]] = [
        lambda: ring.get(ENTRY),
        lambda: ring.set(ENTRY, Secret("x" * 9000)),
        lambda: ring.delete(ENTRY),
    ]
    for call in calls:
        monkeypatch.setattr(AskingKeyring, "asked", 0)
        with pytest.raises(KeyringError, match="the keyring is locked"):
            call()
        assert AskingKeyring.asked == 1


WRITE = """
import sys
from pathlib import Path
from agentauth_cli.inbound.keyring import Keyring
from agentauth_cli.secret import Secret
ring = Keyring(Path(sys.argv[1]))
for _ in range(5):
    ring.set("identity:x", Secret(sys.argv[2] * 4000))
    assert len(set(ring.get("identity:x").reveal())) == 1
"""


def test_writers_at_once_mix_nothing(tmp_path: Path) -> None:
    """Entries of several parts are read and written by one process at a time."""
    environ = variables(tmp_path, "SmallKeyring")
    started = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path / "state"), char], env=environ)
        for char in "123"
    ]
    assert [one.wait(60) for one in started] == [0] * 3
    assert len(entries(tmp_path)) == 5
