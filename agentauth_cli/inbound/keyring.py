"""The keyring of the system: the one place that touches it, and only where something is stored.

A backend that keeps what it is given in plain text, or nowhere, is refused: there is no other place
for a secret. Each call ends within a time limit, since a keyring may ask a person who is not there,
and no two are made at once, since macOS refuses that.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from agentauth_cli import files
from agentauth_cli.errors import KeyringError, KeyringSilentError
from agentauth_cli.inbound import keyring_entry
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from keyring.backend import KeyringBackend

T = TypeVar("T")

LOCK = "keyring.lock"
SECONDS = 30.0
"""For one call: as long as it takes a person to unlock the keyring."""

_NO_STORE = ("keyring.backends.fail", "keyring.backends.null")
_PLAIN_TEXT = ("keyrings.alt",)


class Keyring:
    """The entries of ours in the keyring. `folder` is the state directory, for the lock.

    Every method raises KeyringError where there is no safe keyring, or it does not do what it
    should; KeyringSilentError where that takes longer than `seconds`, and may yet be done;
    StateError where the lock cannot be had.
    """

    def __init__(self, folder: Path, seconds: float = SECONDS) -> None:
        self._folder = folder
        self._seconds = seconds

    def get(self, entry: str) -> Secret | None:
        """Return an entry, None where there is none."""
        return self._call(lambda: _get(entry))

    def set(self, entry: str, value: Secret) -> None:
        """Keep an entry, in place of one of the same name."""
        self._call(lambda: _set(entry, value))

    def delete(self, entry: str) -> None:
        """Forget an entry; one that is not there is forgotten already."""
        self._call(lambda: _delete(entry))

    def _call(self, work: Callable[[], T]) -> T:
        lock = files.private_folder(self._folder) / LOCK
        with files.lock(lock, 2 * self._seconds):  # whoever holds it has a time limit too
            return _within(self._seconds, work)


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Do it in a thread of its own, which is left alone where it does not come back."""
    done: list[T] = []
    failed: list[KeyringError] = []

    def run() -> None:
        try:
            done.append(work())
        except KeyringError as error:
            failed.append(error)
        except Exception as error:  # noqa: BLE001 - a backend is a plug-in: it raises what it likes
            failed.append(_told(error))

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads for this account
        raise KeyringError("the keyring cannot be asked: no thread can be started") from None
    thread.join(seconds)
    if failed:
        raise failed[0] from None
    if not done:
        raise KeyringSilentError(f"the keyring did not answer within {seconds:.0f} s") from None
    return done[0]


def _told(error: Exception) -> KeyringError:
    """Return what it means: its class says enough, its message may hold what was to be kept."""
    try:
        from keyring.errors import InitError, KeyringLocked, NoKeyringError
    except ImportError:
        return KeyringError("the library `keyring` cannot be loaded", hint="Install agentauth anew")
    match error:
        case KeyringLocked():
            return KeyringError("the keyring is locked", hint=f"Unlock it. {KeyringError.advice}")
        case NoKeyringError():
            return KeyringError("there is no keyring on this system")
        case InitError():
            return KeyringError("the keyring cannot be opened")
        case TimeoutError():
            return KeyringSilentError("the service behind the keyring did not answer")
    return KeyringError(f"the keyring failed with {type(error).__name__}")


def _backends() -> Sequence[KeyringBackend]:
    """Return the backends to use, best first. Raises KeyringError where none is safe."""
    import keyring
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    chain = chosen.backends if isinstance(chosen, ChainerBackend) else [chosen]
    stores = [one for one in chain if not _of(one, _NO_STORE)]
    if not stores:
        raise KeyringError("there is no keyring on this system")
    safe = [one for one in stores if not _of(one, _PLAIN_TEXT)]
    if not safe:
        raise KeyringError(f"{type(stores[0]).__module__} is no safe keyring: it writes to a file")
    return safe


def _of(backend: KeyringBackend, modules: Sequence[str]) -> bool:
    """Say whether the backend, or what it is made from, is of one of these modules."""
    return any(
        f"{base.__module__}.".startswith(f"{module}.")
        for base in type(backend).__mro__
        for module in modules
    )


def _get(entry: str) -> Secret | None:
    for backend in _backends():
        value = keyring_entry.read(backend, entry)
        if value is not None:
            return Secret(value)
    return None


def _set(entry: str, value: Secret) -> None:
    for backend in _backends():
        try:
            keyring_entry.write(backend, entry, value.reveal())
        except NotImplementedError:  # one that only reads, as those of package registries
            continue
        return
    raise KeyringError("the keyring of this system takes no entries")


def _delete(entry: str) -> None:
    for backend in _backends():
        keyring_entry.remove(backend, entry)
