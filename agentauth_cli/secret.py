"""Secrets have a type, and text that leaves is cleaned of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NoReturn

MASK = "••••"
_TOLD = 200
_PART = 8  # shorter ones would take words out of a message


class Secret:
    """A string that does not show itself: not in repr, str, f-strings, JSON or tracebacks.

    `reveal()` is the one way out; brokers and deliverers alone call it. It is no `str`, since a
    subclass would leak through join, + and json.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")


class SecretMapping(Mapping[str, str]):
    """A mapping whose items are plain strings and whose repr is masked.

    Made for ``boto3.client("s3", **cred.credentials)``. Pickling it, or handing it to json, raises
    TypeError.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> str:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{key!r}: {MASK!r}" for key in self._items) + "}"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials cannot be pickled or copied")


# A JWT. The first run of characters is matched in any case, so that none is scanned twice.
_TOKEN = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}+(?P<rest>\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+)?",
)

# A form a line: what it is, and how it looks. Only forms that no ordinary word has.
_FORMS = (
    # First, as they take the most: what its name gives away, in XML, in JSON (also within a
    # string), in a setting.
    r"(?<=<SecretAccessKey>)[^<]+",
    r"(?<=<SessionToken>)[^<]+",
    (
        r"(?i:(?<=secret_access_key)|(?<=secretaccesskey)|(?<=session_token)|(?<=sessiontoken))"
        r"[\\\"']{0,4}\s{0,8}[:=]\s{0,8}[\\\"']{0,4}[A-Za-z0-9+/=%_.-]{16,}"
    ),
    r"aak_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}",  # an API key of ours
    # OpenAI; no word that ends so, as task- and risk- do, but for the end of an escape
    r"(?:(?<![A-Za-z])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))sk-[A-Za-z0-9_-]{20,}",
    # Hugging Face: a stored one, and one that was exchanged
    r"hf_(?:[A-Za-z0-9]{20,}|(?:jwt|oauth)_[A-Za-z0-9_.-]{20,})",
    r"ya29\.[A-Za-z0-9_.-]{10,}",  # Google access token
    r"gh[pousr]_[A-Za-z0-9]{20,}",  # GitHub
    r"(?:FwoGZXIvYXdz|IQoJb3JpZ2lu)[A-Za-z0-9+/=%_-]{20,}",  # AWS session token
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
)
_SECRET = re.compile("|".join(_FORMS))


def redact(text: str) -> str:
    """Return `text` with everything that has the form of a secret replaced by ``••••``.

    Idempotent, and linear in the length of the text.
    """
    return _SECRET.sub(MASK, _TOKEN.sub(_masked, text))


def _masked(token: re.Match[str]) -> str:
    return MASK if token["rest"] else token[0]


def told(text: str, *secrets: str | None) -> str:
    """Return what somebody else says as it may be shown: redacted, escaped, 200 characters at most.

    These secrets are taken out whatever their form is, and so is each part of a token.
    """
    for secret in filter(None, secrets):
        for part in (secret, *(part for part in secret.split(".") if len(part) >= _PART)):
            text = text.replace(part, MASK)
    return printable(redact(text))[:_TOLD]


def printable(text: str) -> str:
    r"""Return `text` on one line: control characters and lone surrogates as escapes (``\x1b``)."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
