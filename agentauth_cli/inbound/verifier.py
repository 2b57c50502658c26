"""Something presented → who that is: a token of an issuer, or an API key of ours.

The reason of a refusal is no_identity, presented_form, or one of those of `jwt` or `apikey`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound import apikey
from agentauth_cli.inbound.jwt import verify
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentauth_cli.inbound.apikey import ApiKey
    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.jwt import Keys
    from agentauth_cli.model import KeyState, Principal
    from agentauth_cli.ports import Clock

_SCHEME = "bearer"  # in any case: RFC 9110, 11.1


def bare(presented: str) -> Secret:
    """Return the value of ``Bearer VALUE``, or the value alone. Raises AuthenticationError."""
    hint = "Present `Bearer VALUE`, or the value alone"
    if not presented:
        raise AuthenticationError("nothing is presented", reason="no_identity", hint=hint)
    scheme, space, value = presented.partition(" ")
    if not space:
        return Secret(presented)
    if scheme.lower() != _SCHEME or value.split() != [value]:
        raise AuthenticationError(
            "what was presented is neither a token nor an API key",
            reason="presented_form",
            hint=hint,
        )
    return Secret(value)


class KeyLedger(Protocol):
    """What a ledger knows of API keys."""

    def api_key(self, key_id: str) -> KeyState:
        """Return how a key stands. Raises StateError."""
        ...

    def api_key_used(self, key_id: str) -> None:
        """Note that a key is used now. Raises StateError."""
        ...


@dataclass(frozen=True, slots=True)
class Verifier:
    """An IdentityVerifier. Keys and ledger are asked for only where an API key is presented."""

    issuers: Sequence[Issuer]
    keys: Keys
    api_keys: Callable[[], Sequence[ApiKey]]
    ledger: Callable[[], KeyLedger]
    clock: Clock

    def authenticate(self, presented: str) -> Principal:
        """Return who presents this: a JWT or an API key, bare or as ``Bearer VALUE``.

        Raises AuthenticationError with a reason, which never quotes it; and as `token` and
        `api_key` do.
        """
        value = bare(presented)
        if value.reveal().startswith(apikey.PREFIX):
            return self.api_key(value)
        return self.token(value)

    def token(self, token: Secret) -> Principal:
        """Return who a JWT stands for. Raises AuthenticationError, and what `keys` raises."""
        return verify(token, self.issuers, self.keys, self.clock())

    def check_name(self, name: str) -> None:
        """Raise AuthenticationError where no API key of this name is good any more."""
        ledger, now = self.ledger(), self.clock()
        refused = AuthenticationError(
            f"there is no API key of the name {name}", reason="api_key_refused"
        )
        for key in self.api_keys():
            if key.name == name:
                try:
                    apikey.principal(key, ledger.api_key(key.id).revoked_at, now)
                except AuthenticationError as error:
                    refused = error
                else:
                    return
        raise refused

    def api_key(self, key: Secret) -> Principal:
        """Return who an API key stands for, and note that it was used.

        Raises AuthenticationError; ConfigError where apikeys.toml does not load; StateError where
        the ledger cannot say whether the key is revoked.
        """
        found = apikey.find(apikey.parse(key), self.api_keys())
        ledger = self.ledger()
        who = apikey.principal(found, ledger.api_key(found.id).revoked_at, self.clock())
        ledger.api_key_used(found.id)
        return who
