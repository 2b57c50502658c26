"""Where logins are kept: one entry of the keyring for each identity, and a note that it is there.

The note, in the state directory, holds names and principals and nothing secret. Without it the
keyring is never touched; an entry that it tells of and that cannot be had is a failure, never
nobody. What is under way is noted before the keyring is asked, and counts only once that has
answered: whatever a keyring does later, or a process that is stopped does not do, gives nobody a
login. Reasons: identity_unknown, session_unfinished, session_missing, session_damaged,
keyring_unavailable.
"""

from __future__ import annotations

import contextlib
import json
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.errors import (
    AgentAuthError,
    AuthenticationError,
    KeyringError,
    KeyringSilentError,
    StateError,
)
from agentauth_cli.inbound import login as logins
from agentauth_cli.policy.names import SHORT
from agentauth_cli.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from agentauth_cli.inbound.keyring import Keyring
    from agentauth_cli.inbound.login import Login

NOTE = "identities.json"
LIMIT = 1024 * 1024
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LOCK_SECONDS = 120.0  # as long as somebody else may wait for the keyring


@dataclass(frozen=True, slots=True)
class _Noted:
    """Principals by the name of the identity, and the names whose login is under way."""

    principals: Mapping[str, str]
    unfinished: frozenset[str]

    def without(self, name: str) -> _Noted:
        kept = {one: who for one, who in self.principals.items() if one != name}
        return _Noted(kept, self.unfinished - {name})


class Sessions:
    """The identities that are logged in. `folder` is the state directory.

    Every method raises StateError where the note cannot be read or written, UnsafeFileError where
    somebody else could have changed it.
    """

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._folder = folder
        self._keyring = keyring

    def principals(self) -> dict[str, str]:
        """Return whose logins are stored: ids of principals by the name of the identity."""
        return dict(self._noted().principals)

    def get(self, name: str) -> tuple[Login, str]:
        """Return the login of an identity, and as which principal it was kept.

        Raises AuthenticationError where it is not logged in, or its entry cannot be had.
        """
        noted = self._noted()
        if name not in noted.principals:
            raise unknown(f"no identity {name} is stored", noted.principals)
        if name in noted.unfinished:
            raise AuthenticationError(
                f"the login of identity {name} was not finished",
                reason="session_unfinished",
                hint=logins.again(name),
            )
        return self._entry(name), noted.principals[name]

    def _entry(self, name: str) -> Login:
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

    def check(self, name: str) -> None:
        """Ask the keyring for an identity's entry, so that one that is locked asks beforehand.

        Raises KeyringError where nothing could be kept.
        """
        self._keyring.get(_entry(name))

    def keep(self, name: str, login: Login, principal: str, left: Callable[[str], object]) -> None:
        """Keep a login, in place of one of the same name.

        That of another principal is forgotten first, as by `forget`. Raises KeyringError; then
        what is stored stays, except that one which may yet be replaced stands for nobody.
        """
        with self._locked():
            before = self._noted()
            former = before.principals.get(name, principal)
            if former != principal:
                self._keyring.delete(_entry(name))
                left(former)
            others = before.without(name)
            after = replace(others, principals={**others.principals, name: principal})
            self._note(replace(after, unfinished=after.unfinished | {name}))
            try:
                self._keyring.set(_entry(name), logins.written(login))
            except KeyringSilentError:
                raise
            except AgentAuthError:
                self._note(before)
                raise
            self._note(after)

    @contextlib.contextmanager
    def renewing(self, name: str) -> Iterator[None]:
        """Be the one who asks the issuer of this identity's login to renew it.

        A signal that would stop this thread waits until that is over: the old refresh token is
        spent as soon as the issuer has seen it, and the new one has to be kept.
        """
        folder = files.private_folder(self._folder)
        with files.lock(folder / f"renewing.{name}.lock", _LOCK_SECONDS):
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def swap(self, name: str, before: Login, after: Login) -> bool:
        """Keep a login in place of one before, if that is still the one that is kept; say whether.

        Raises KeyringError; AuthenticationError where the entry cannot be had.
        """
        with self._locked():
            noted = self._noted()
            if name not in noted.principals or name in noted.unfinished:
                return False
            if self._entry(name) != before:
                return False
            self._keyring.set(_entry(name), logins.written(after))
            return True

    def forget(
        self, name: str, left: Callable[[str], object], gone: Callable[[Login], object]
    ) -> None:
        """Forget a login, if there is one; `left` gets its principal once the secret is gone.

        `gone` gets the login itself before, where it can be read: the one that is kept at that
        moment, whoever has renewed it meanwhile. Raises KeyringError where it may still be there,
        and what `left` raises: then it stays noted, stands for nobody, and can be forgotten again.
        """
        with self._locked():
            noted = self._noted()
            if name in noted.principals:
                login = self._readable(name)
                self._keyring.delete(_entry(name))
                if login is not None:
                    gone(login)
                left(noted.principals[name])
                self._note(noted.without(name))

    def _readable(self, name: str) -> Login | None:
        with contextlib.suppress(AuthenticationError):
            return self._entry(name)
        return None

    def _noted(self) -> _Noted:
        path = self._folder / NOTE
        content = files.read(path, limit=LIMIT, private=True)
        if content is None:
            return _Noted({}, frozenset())
        try:
            found = parse_object(content)
        except ValueError:
            found = {}
        match {"unfinished": [], **found}:
            case {"identities": dict(principals), "unfinished": list(unfinished)} if all(
                isinstance(one, str) for one in (*principals.values(), *unfinished)
            ):
                return _Noted(principals, frozenset(unfinished))
        raise StateError(f"{path} does not tell who is logged in", hint="rm it, and log in again")

    def _locked(self) -> AbstractContextManager[None]:
        return files.lock(files.private_folder(self._folder) / f"{NOTE}.lock", _LOCK_SECONDS)

    def _note(self, noted: _Noted) -> None:
        fields = {"identities": noted.principals, "unfinished": sorted(noted.unfinished)}
        files.write(self._folder / NOTE, json.dumps(fields).encode())


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
