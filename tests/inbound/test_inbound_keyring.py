"""The keyring of the system, where it is good, bad, absent or silent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from keyring.backends import chainer, fail

from agentauth_cli.errors import KeyringError, KeyringSilentError, StateError
from agentauth_cli.inbound.keyring import LOCK, SECONDS, Keyring
from agentauth_cli.secret import Secret
from support.keyrings import RELEASE, FileKeyring, ReadOnlyKeyring, entries, use, variables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = Secret("made-up-secret")


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Keyring]:
    """Return how to get our keyring over a backend."""

    def made(backend: str = "support.keyrings.FileKeyring", seconds: float = SECONDS) -> Keyring:
        environ = variables(tmp_path) | {"PYTHON_KEYRING_BACKEND": backend}
        use(monkeypatch, environ)
        return Keyring(tmp_path / "state", seconds)

    return made


def refusals(ring: Keyring) -> set[str]:
    """Return how each call is refused; none may give away what was to be kept."""
    said = set()
    calls: list[Callable[[], object]] = [
        lambda: ring.get("identity:x"),
        lambda: ring.set("identity:x", SECRET),
        lambda: ring.delete("identity:x"),
    ]
    for call in calls:
        with pytest.raises(KeyringError) as caught:
            call()
        shown = "".join(traceback.format_exception(caught.value))
        assert SECRET.reveal() not in shown
        assert caught.value.exit_code == 3
        assert "AGENTAUTH_TOKEN" in caught.value.hint
        assert "AGENTAUTH_API_KEY" in caught.value.hint
        said.add(caught.value.message)
    return said


def test_what_is_kept_is_found_and_forgotten(ours: Any, tmp_path: Path) -> None:
    """One entry under the service `agentauth`; forgetting twice forgets once."""
    ring = ours()
    assert ring.get("identity:x") is None
    ring.set("identity:x", SECRET)
    ring.set("identity:y", Secret("other"))
    ring.set("identity:y", Secret("another"))
    assert ring.get("identity:x") == SECRET
    assert entries(tmp_path) == {
        "agentauth identity:x": "made-up-secret",
        "agentauth identity:y": "another",
    }
    ring.delete("identity:x")
    ring.delete("identity:x")
    assert ring.get("identity:x") is None
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "backend", ["keyring.backends.fail.Keyring", "keyring.backends.null.Keyring"]
)
def test_no_keyring_is_no_place_for_a_secret(ours: Any, tmp_path: Path, backend: str) -> None:
    """No backend: a plain message, and no plaintext fallback."""
    assert refusals(ours(backend)) == {"there is no keyring on this system"}
    assert [one.name for one in (tmp_path / "state").iterdir()] == [LOCK]


def made(backend: Any) -> Any:
    """Return a backend of this class, whose constructor has no types."""
    return backend()


def plain_text(monkeypatch: pytest.MonkeyPatch) -> type[FileKeyring]:
    """Return a keyring as that of keyrings.alt, which keeps secrets in a file."""

    class PlaintextKeyring(FileKeyring):
        """One that is not refused for what it is derived from."""

    monkeypatch.setattr(PlaintextKeyring, "__module__", "keyrings.alt.file")
    return PlaintextKeyring


def test_a_keyring_in_plain_text_is_refused(
    ours: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backends that keep plain text are refused, also by what they are derived from."""
    ring = ours()
    plain = plain_text(monkeypatch)
    for backend in (plain(), type("Mine", (plain,), {})()):
        monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
        (said,) = refusals(ring)
        assert "is no safe keyring" in said
    assert entries(tmp_path) == {}


def chain(monkeypatch: pytest.MonkeyPatch, *backends: object) -> None:
    """Let the keyring be a chain of these."""

    class Chain(chainer.ChainerBackend):
        """Instead of those that are installed."""

    monkeypatch.setattr(Chain, "backends", list(backends))
    monkeypatch.setattr(keyring.core, "_keyring_backend", made(Chain))


def test_of_a_chain_only_what_is_safe_is_used(
    ours: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain is looked into: a member that keeps plain text gets nothing."""
    ring = ours()
    plain = plain_text(monkeypatch)()
    monkeypatch.setattr(
        type(plain), "_path", property(lambda _: tmp_path / "plain.json"), raising=False
    )
    chain(monkeypatch, plain, made(ReadOnlyKeyring), made(FileKeyring))
    ring.set("identity:x", SECRET)
    assert ring.get("identity:x") == SECRET
    ring.delete("identity:x")
    assert entries(tmp_path) == {}
    assert not (tmp_path / "plain.json").exists()
    chain(monkeypatch, plain)
    assert "is no safe keyring" in refusals(ring).pop()
    chain(monkeypatch, made(fail.Keyring))
    assert refusals(ring) == {"there is no keyring on this system"}


def test_a_keyring_that_takes_nothing(ours: Any) -> None:
    """One that only gives is no place to keep something."""
    with pytest.raises(KeyringError, match="takes no entries"):
        ours("support.keyrings.ReadOnlyKeyring").set("identity:x", SECRET)


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("support.keyrings.LockedKeyring", {"the keyring is locked"}),
        ("support.keyrings.BrokenKeyring", {"the keyring cannot be opened"}),
        ("support.keyrings.NoSuchKeyring", {"the keyring failed with AttributeError"}),
        ("no.such.module", {"the keyring failed with ModuleNotFoundError"}),
    ],
)
def test_a_keyring_that_fails(ours: Any, backend: str, expected: set[str]) -> None:
    """Whatever a keyring raises is told in a plain message, without what it was given."""
    assert refusals(ours(backend)) == expected


def test_a_keyring_that_tells_what_it_was_given(ours: Any) -> None:
    """What a keyring says of a secret that it does not take is not told."""
    with pytest.raises(KeyringError, match="with PasswordSetError") as caught:
        ours("support.keyrings.TellingKeyring").set("identity:x", SECRET)
    assert SECRET.reveal() not in "".join(traceback.format_exception(caught.value))


def test_no_backend_says_so_itself(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the library finds out only then."""
    ring = ours()

    def nothing(*_: object) -> None:
        raise keyring.errors.NoKeyringError("install one")

    monkeypatch.setattr(FileKeyring, "get_password", nothing)
    with pytest.raises(KeyringError, match="there is no keyring on this system"):
        ring.get("identity:x")


def test_a_keyring_that_does_not_answer(ours: Any) -> None:
    """A prompt that hangs is a clear error, and does not hold the next one up."""
    RELEASE.clear()
    ring = ours("support.keyrings.HangingKeyring", 0.05)
    try:
        assert refusals(ring) == {"the keyring did not answer within 0 s"}
    finally:
        RELEASE.set()


def test_what_may_still_be_done_is_told_apart(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is no refusal: what was asked for may still be done."""
    ring = ours()

    def silent(*_: object) -> None:
        raise TimeoutError("made-up-secret")

    monkeypatch.setattr(FileKeyring, "get_password", silent)
    with pytest.raises(KeyringSilentError, match="behind the keyring did not answer"):
        ring.get("identity:x")


def test_without_the_library_there_is_no_keyring(
    ours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation that lacks a part is a clear error, at once."""
    ring = ours()
    for name in [one for one in sys.modules if one.partition(".")[0] == "keyring"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(KeyringError, match="`keyring` cannot be loaded") as caught:
        ring.get("identity:x")
    assert caught.value.hint == "Install agentauth anew"


def test_no_two_calls_at_once(ours: Any, tmp_path: Path) -> None:
    """Reads and writes are serialised by a lock in the state directory."""
    ring = ours()
    threads = [threading.Thread(target=ring.set, args=(f"identity:{i}", SECRET)) for i in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(entries(tmp_path)) == 8


def test_a_lock_that_is_held(ours: Any, tmp_path: Path) -> None:
    """Who waits for the lock waits no longer than whoever holds it may."""
    from agentauth_cli import files

    ring = ours(seconds=0.05)
    with (
        files.lock(files.private_folder(tmp_path / "state") / LOCK),
        pytest.raises(StateError, match="held by another process"),
    ):
        ring.get("identity:x")


def test_without_threads_there_is_no_keyring(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started nothing could be given up."""
    ring = ours()

    def none(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    with pytest.raises(KeyringError, match="no thread"):
        ring.get("identity:x")


def test_the_library_is_imported_only_where_something_is_asked() -> None:
    """The import of keyring costs: nobody pays for it who has nothing stored."""
    code = "import sys, agentauth_cli.wiring; sys.exit('keyring' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": os.defpath}, check=False)
    assert done.returncode == 0
