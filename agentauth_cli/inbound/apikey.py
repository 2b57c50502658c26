"""API keys of ours: their form, and who presents one. Pure.

A key is ``aak_``, 8 characters of public id, ``_``, 32 characters of secret (190 bits, so that a
plain SHA-256 of it can be kept) and 6 of checksum, all of 0-9 A-Z a-z. The checksum is the CRC32
of everything before it: it finds typing errors and keeps nothing secret.

`parse` raises AuthenticationError with the reason api_key_form or api_key_checksum, `principal`
with api_key_refused, api_key_revoked or api_key_expired. An error names the public id at most, and
only of a key whose checksum is right; name and state only to whoever has the secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.model import Principal
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from agentauth_cli.model import Kind

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "aak_"
ID = re.compile(r"[0-9A-Za-z]{8}")
HASH = re.compile(r"sha256:[0-9a-f]{64}")

_ID_LENGTH = 8
_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 6  # 62 ** 6 > 2 ** 32
_FORM = re.compile(r"(aak_([0-9A-Za-z]{8})_([0-9A-Za-z]{32}))([0-9A-Za-z]{6})")
_NOBODY = "sha256:" + "0" * 64
"""What no secret is known to have: an unknown id is compared too, and takes as long."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as apikeys.toml has it. `groups` are without the ``key/`` that they get.

    `hash` is ``sha256:HEX`` of the secret part. `revoked` is since when it is no good any more; the
    ledger may know more.
    """

    id: str
    name: str
    kind: Kind
    hash: str
    created: datetime
    expires: datetime
    groups: tuple[str, ...] = ()
    revoked: datetime | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """A well-formed key that somebody shows. Its id is public, its hash tells nothing."""

    id: str
    hash: str


def make(choose: Callable[[str], str]) -> Secret:
    """Return a new key; `choose` takes one character out of several, as `secrets.choice` does."""
    drawn = "".join(choose(ALPHABET) for _ in range(_ID_LENGTH + _SECRET_LENGTH))
    body = f"{PREFIX}{drawn[:_ID_LENGTH]}_{drawn[_ID_LENGTH:]}"
    return Secret(body + checksum(body))


def checksum(body: str) -> str:
    """Return the CRC32 of this text as six characters of base62."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def parse(key: Secret) -> Presented:
    """Return what a key is compared by. Raises AuthenticationError where it is no key of ours."""
    match = _FORM.fullmatch(key.reveal())
    if match is None:
        raise AuthenticationError(
            "the API key does not have the form of one",
            reason="api_key_form",
            hint="A key is aak_ and 47 more characters, with nothing around them",
        )
    body, key_id, secret, check = match.groups()
    if not hmac.compare_digest(checksum(body), check):
        raise AuthenticationError(
            "the checksum of the API key is wrong: it was mistyped or cut",
            reason="api_key_checksum",
            hint="Copy it again",
        )
    return Presented(key_id, f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}")


def find(presented: Presented, keys: Iterable[ApiKey]) -> ApiKey:
    """Return the key that is presented.

    Raises AuthenticationError; an unknown id takes as long as a wrong secret and is told as one: no
    stranger learns which keys there are.
    """
    found = {key.id: key for key in keys}.get(presented.id)
    same = hmac.compare_digest(found.hash if found else _NOBODY, presented.hash)
    if found is None or not same:
        raise AuthenticationError(
            f"there is no API key {presented.id} with that secret",
            reason="api_key_refused",
            hint="`agentauth apikey list` shows the ids; a key is shown once, when it is created",
        )
    return found


def principal(key: ApiKey, revoked: datetime | None, now: datetime) -> Principal:
    """Return whom a key stands for: always ``key/NAME``.

    `revoked` is since when the ledger has it revoked. Raises AuthenticationError for a key that is
    revoked, there or in its file, or has expired.
    """
    since = revoked or key.revoked
    if since is not None:
        raise AuthenticationError(
            f"API key {key.id} ({key.name}) is revoked since {since:%Y-%m-%dT%H:%M:%SZ}",
            reason="api_key_revoked",
            hint="`agentauth apikey create` makes a new one",
        )
    if now >= key.expires:
        raise AuthenticationError(
            f"API key {key.id} ({key.name}) expired at {key.expires:%Y-%m-%dT%H:%M:%SZ}",
            reason="api_key_expired",
            hint="`agentauth apikey create` makes a new one",
        )
    return Principal(
        id=f"key/{key.name}",
        name=key.name,
        kind=key.kind,
        auth="api_key",
        groups=tuple(f"key/{group}" for group in key.groups),
        expires_at=key.expires,
    )
