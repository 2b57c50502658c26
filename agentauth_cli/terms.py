"""The fixed words of the field: kinds of principals, ways of authentication, names of issuers.

Apart from `model`, since deciding by a compiled policy costs less than importing what that needs.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from typing import Literal

KINDS: tuple[Literal["user", "agent", "service"], ...] = ("user", "agent", "service")
AUTHS: tuple[Literal["jwt", "api_key", "ci", "os"], ...] = ("jwt", "api_key", "ci", "os")
RESERVED_ISSUERS = frozenset({"key", "os", "group", "kind"})

LOWER = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
_FIRST = frozenset(LOWER + DIGITS)
_ISSUER = _FIRST | {"-"}
_LONGEST_ISSUER = 32


def is_issuer(text: str) -> bool:
    """Say whether this is a name of an issuer: ``[a-z0-9][a-z0-9-]{0,31}``."""
    return 0 < len(text) <= _LONGEST_ISSUER and text[0] in _FIRST and _ISSUER.issuperset(text)
