"""Keyrings to test with. Programs get one by PYTHON_KEYRING_BACKEND, with tests on PYTHONPATH."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import keyring
import keyring.core
from keyring.backend import KeyringBackend
from keyring.errors import InitError, KeyringError, KeyringLocked, PasswordSetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

    from agentauth_cli.inbound.login import Login
    from support.station import Station

TESTS = Path(__file__).parents[1]
FILE = "TEST_KEYRING"
RELEASE = threading.Event()
"""Lets what hangs in this process end."""


def variables(folder: Path, backend: str = "FileKeyring") -> dict[str, str]:
    """Return the environment in which a program has one of these as its keyring."""
    return {
        "PYTHONPATH": str(TESTS),
        "PYTHON_KEYRING_BACKEND": f"support.keyrings.{backend}",
        FILE: str(folder / "keyring.json"),
    }


def with_keyring(here: Station) -> Station:
    """Return a station whose programs have a keyring in a file."""
    return replace(here, environ={**here.environ, **variables(here.folder)})


def use(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]) -> None:
    """Let this process have the keyring that the variables name."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)


def entries(folder: Path) -> dict[str, str]:
    """Return what the keyring of this folder holds."""
    return _read(folder / "keyring.json")


def _read(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found


def untold(_principal: str) -> None:
    """Tell nobody who has left."""


def unended(_login: Login) -> None:
    """Have no issuer end what was forgotten."""


class FileKeyring(KeyringBackend):
    """Entries in a file, which two writers at once would spoil."""

    priority = 0.1

    def get_password(self, service: str, username: str) -> str | None:
        """Return an entry."""
        return _read(self._path).get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep an entry."""
        self._write({**_read(self._path), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        """Forget an entry."""
        found = _read(self._path)
        del found[f"{service} {username}"]
        self._write(found)

    def _write(self, found: dict[str, str]) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(found))
        new.replace(self._path)

    @property
    def _path(self) -> Path:
        return Path(os.environ[FILE])


class ReadOnlyKeyring(FileKeyring):
    """One that only gives, as those of package registries."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Take nothing."""
        raise NotImplementedError


class LockedKeyring(FileKeyring):
    """One that nobody unlocks."""

    def get_password(self, service: str, username: str) -> str | None:
        """Give nothing."""
        raise KeyringLocked(f"{service} {username} is locked")

    def set_password(self, service: str, username: str, password: str) -> None:
        """Take nothing."""
        raise KeyringLocked(f"{service} {username} {password}")


class BrokenKeyring(FileKeyring):
    """One that does not even begin."""

    def get_password(self, service: str, username: str) -> str | None:
        """Give nothing."""
        raise InitError(f"{service} {username}")


class TellingKeyring(FileKeyring):
    """One that takes nothing; what it says holds what it was given."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Take nothing, and tell everybody."""
        raise PasswordSetError(f"{service} {username} {password}")


class RudeKeyring(FileKeyring):
    """One that raises what keyrings should not."""

    def get_password(self, service: str, username: str) -> str | None:
        """Give nothing."""
        raise ZeroDivisionError(f"{service} {username}")


class HangingKeyring(FileKeyring):
    """One that asks a person who is not there; once released, it gives up."""

    def get_password(self, service: str, username: str) -> str | None:
        """Wait."""
        RELEASE.wait()
        raise KeyringLocked(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        """Wait."""
        RELEASE.wait()
        raise KeyringLocked(f"{service} {username} {password}")


class SilentKeyring(FileKeyring):
    """One that keeps what it is given, and does not say so until it is released."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep an entry, and wait."""
        super().set_password(service, username, password)
        RELEASE.wait()


class SmallKeyring(FileKeyring):
    """One as Windows and macOS have them: 2,560 bytes of UTF-16 at most, and nobody beside us."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return an entry."""
        with self._alone():
            return super().get_password(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep an entry that is small enough."""
        if len(password.encode("utf-16-le", "surrogatepass")) > 2560:
            raise PasswordSetError("The stub received bad data")
        with self._alone():
            super().set_password(service, username, password)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse who comes while somebody else is there."""
        taken = self._path.with_suffix(".taken")
        try:
            taken.touch(exist_ok=False)
        except FileExistsError:
            raise KeyringError("the keychain is busy") from None
        try:
            yield
        finally:
            taken.unlink()


class FrailKeyring(SmallKeyring):
    """One that dies after so many writes and deletions: `left` says how many are left to it."""

    left = 0

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep an entry, or die."""
        self._live()
        super().set_password(service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        """Forget an entry, or die."""
        self._live()
        super().delete_password(service, username)

    def _live(self) -> None:
        type(self).left -= 1
        if self.left < 0:
            raise KeyringError("killed")


class AskingKeyring(FileKeyring):
    """One that is locked and asks a person each time, who says no; `asked` counts."""

    asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        """Ask, and give nothing."""
        self._ask(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        """Ask, and take nothing."""
        self._ask(service, username, password)

    def _ask(self, *known: str) -> NoReturn:
        type(self).asked += 1
        raise KeyringLocked(" ".join(known))
