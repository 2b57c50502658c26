"""Where logins are kept: one entry of the keyring for each identity, and a note that it is there.

The note, in the state directory, holds names and principals and nothing secret. Without it the
keyring is never touched; an entry that it tells of and that cannot be had is a failure, never
nobody. Reasons: identity_unknown, session_missing, session_damaged, keyring_unavailable.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.errors import AuthenticationError, KeyringError, StateError
from agentauth_cli.inbound import login as logins
from agentauth_cli.inbound.strict_json import parse_object
from agentauth_cli.policy.names import SHORT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from agentauth_cli.inbound.keyring import Keyring
    from agentauth_cli.inbound.login import Login

NOTE = "identities.json"
LIMIT = 1024 * 1024
_LOCK_SECONDS = 120.0  # as long as somebody else may wait for the keyring


class Sessions:
    """The identities that are logged in. `folder` is the state directory.

    Every method raises StateError where the note cannot be read or written, UnsafeFileError where
    somebody else could have changed it.
    """

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._folder = folder
        self._keyring = keyring

    def principals(self) -> dict[str, str]:
        """Return who is logged in: ids of principals by the name of the identity."""
        path = self._folder / NOTE
        content = files.read(path, limit=LIMIT, private=True)
        if content is None:
            return {}
        try:
            found = parse_object(content).get("identities")
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
            raise StateError(
                f"{path} does not tell who is logged in", hint="rm it, and log in again"
            )
        return found

    def get(self, name: str) -> Login:
        """Return the login of an identity.

        Raises AuthenticationError where it is not logged in, or its entry cannot be had.
        """
        if name not in self.principals():
            raise unknown(f"no identity {name} is stored", self.principals())
        try:
            entry = self._keyring.get(_entry(name))
        except KeyringError as error:
            raise AuthenticationError(
                f"identity {name} is in the keyring, and {error.message}",
                reason="keyring_unavailable",
                hint=error.hint,
            ) from None
        if entry is None:
            raise AuthenticationError(
                f"identity {name} is not in the keyring any more",
                reason="session_missing",
                hint=logins.again(name),
            )
        try:
            return logins.read(entry)
        except ValueError:
            raise AuthenticationError(
                f"what the keyring holds for identity {name} is no login",
                reason="session_damaged",
                hint=logins.again(name),
            ) from None

    def keep(self, name: str, login: Login, principal: str) -> None:
        """Keep a login, in place of one of the same name. Raises KeyringError; then nothing has.

        Noted first: one that is cut short here is a failure at the next use, not nobody.
        """
        with self._locked():
            before = self.principals()
            self._note({**before, name: principal})
            try:
                self._keyring.set(_entry(name), logins.written(login))
            except KeyringError:
                self._note(before)
                raise

    def forget(self, name: str) -> None:
        """Forget a login. Raises KeyringError where it may still be there; then it stays noted."""
        with self._locked():
            self._keyring.delete(_entry(name))
            self._note({one: who for one, who in self.principals().items() if one != name})

    def _locked(self) -> AbstractContextManager[None]:
        return files.lock(files.private_folder(self._folder) / f"{NOTE}.lock", _LOCK_SECONDS)

    def _note(self, principals: Mapping[str, str]) -> None:
        files.write(self._folder / NOTE, json.dumps({"identities": principals}).encode())


def name(text: str) -> str:
    """Return the name of an identity. Raises ValueError."""
    if not SHORT.fullmatch(text):
        raise ValueError("expected a name of A-Z a-z 0-9 . _ -, 1 to 64 long")
    return text


def unknown(message: str, stored: Mapping[str, str]) -> AuthenticationError:
    """Return that an identity is not stored, with those that are."""
    names = ", ".join(sorted(stored))
    return AuthenticationError(
        message,
        reason="identity_unknown",
        hint=f"Stored: {names}" if names else "None is: see `agentauth login --help`",
    )


def _entry(name: str) -> str:
    return f"identity:{name}"
