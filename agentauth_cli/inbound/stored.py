"""Source credentials that lie in the keyring: one entry for each environment's provider.

An entry holds what of the configuration it was stored for, and is used with that alone: whoever can
set AGENTAUTH_CONFIG_DIR could otherwise have it sent to endpoints of their own.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from agentauth_cli.errors import KeyringError, OriginError, SourceCredentialError, UsageError
from agentauth_cli.secret import Secret
from agentauth_cli.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.inbound.keyring import Keyring

WHAT: Mapping[str, str] = MappingProxyType({"openai": "admin key", "huggingface": "token"})
"""What people call the credential that is stored for a provider."""

T = TypeVar("T")

_WITHOUT = "Without a keyring that is unlocked, set a `source` that needs none"
_FORM = re.compile(r"[!-~]{16,1024}")


@dataclass(frozen=True, slots=True)
class Slot:
    """What a stored credential is for: a provider of an environment, as it is configured.

    `origins` are what it is bound to; None where it is not said.
    """

    provider: str
    environment: str
    origins: Mapping[str, str | None] = field(hash=False)

    def __str__(self) -> str:
        return f"{self.provider} {self.what} of environment {self.environment}"

    @property
    def what(self) -> str:
        """Its name for people."""
        return WHAT[self.provider]

    @property
    def entry(self) -> str:
        """Its name in the keyring."""
        return f"source:{self.provider}:{self.environment}"

    @property
    def again(self) -> str:
        """The command that stores another."""
        return f"`agentauth source add {self.provider} --env {self.environment}`"


@dataclass(frozen=True, slots=True)
class Kept:
    """What an entry holds."""

    secret: Secret
    stored_at: datetime
    origins: Mapping[str, str | None]

    def elsewhere(self, slot: Slot) -> str | None:
        """Return the first origin that is another than the slot's, None where all are the same."""
        for origin in sorted(self.origins.keys() | slot.origins.keys()):
            if self.origins.get(origin) != slot.origins.get(origin):
                return origin
        return None


def formed(secret: Secret, slot: Slot) -> Secret:
    """Return what somebody wants to store. Raises UsageError for what cannot be a credential."""
    if not _FORM.fullmatch(secret.reveal()):
        raise UsageError(
            f"what was given is no {slot.what}",
            hint="Give one line of 16 to 1024 visible characters, and nothing else",
        )
    return secret


@dataclass(frozen=True, slots=True)
class StoredSources:
    """The source credentials in the keyring. Every method raises KeyringError, StateError."""

    keyring: Keyring

    def get(self, slot: Slot) -> Secret:
        """Return the credential. Raises SourceCredentialError where it cannot be had, OriginError.

        Only what was stored for just this configuration counts.
        """
        try:
            kept = self.kept(slot)
        except KeyringError as error:
            why = f"the {slot} is in the keyring, and {error.message}"
            raise SourceCredentialError(why, hint=error.hint) from None
        if kept is None:
            why = f"the {slot} is not stored"
            raise SourceCredentialError(why, hint=f"Store it: {slot.again}")
        origin = kept.elsewhere(slot)
        if origin is not None:
            raise OriginError(
                f"the {slot} was stored for another `{origin}` than that of this configuration",
                hint=f"Store it again, if this one is yours: {slot.again}",
            )
        return kept.secret

    def kept(self, slot: Slot) -> Kept | None:
        """Return what is stored in this slot, whatever it is bound to; None where nothing is.

        Raises SourceCredentialError where the entry is damaged.
        """
        entry = _advised(lambda: self.keyring.get(slot.entry))
        if entry is None:
            return None
        try:
            return _read(entry)
        except ValueError:
            why = f"what the keyring holds is no {slot}"
            raise SourceCredentialError(why, hint=f"Store it again: {slot.again}") from None

    def keep(self, slot: Slot, secret: Secret, now: datetime) -> None:
        """Keep a credential, in place of the one before."""
        fields = {
            "secret": secret.reveal(),
            "stored_at": now.isoformat(),
            "origins": dict(slot.origins),
        }
        _advised(lambda: self.keyring.set(slot.entry, Secret(json.dumps(fields))))

    def has(self, slot: Slot) -> bool:
        """Say whether anything is stored in this slot, damaged or not."""
        return _advised(lambda: self.keyring.get(slot.entry)) is not None

    def forget(self, slot: Slot) -> None:
        """Forget a credential; one that is not there is forgotten already."""
        _advised(lambda: self.keyring.delete(slot.entry))


def _advised(ask: Callable[[], T]) -> T:
    """Return the keyring's answer; where it gives none, logins are no help."""
    try:
        return ask()
    except KeyringError as error:
        hint = error.hint.replace(error.advice, _WITHOUT)
        raise type(error)(error.message, hint=hint) from None


def _read(entry: Secret) -> Kept:
    match parse_object(entry.reveal().encode("utf-8", "surrogatepass")):
        case {"secret": str(secret), "stored_at": str(stored_at), "origins": dict(origins)}:
            return Kept(Secret(secret), datetime.fromisoformat(stored_at), origins)
    raise ValueError("is no source credential")
