"""What a well-formed request is: its names, and nothing else, are looked at by rules.

Every answer asks this, also in a process that lives for one: so it does without `re`.
"""

from __future__ import annotations

from agentauth_cli.terms import AUTHS, DIGITS, KINDS, LOWER, is_issuer

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from agentauth_cli.model import Question

MAX_NAME = 2048
DOTS = frozenset({".", ".."})
"""What is no segment of a name, and no name."""

_MAX_SHORT = 64
_SHORT = frozenset(LOWER + LOWER.upper() + DIGITS + "._-")
_ACTION = frozenset(LOWER + DIGITS + "_-")
_ACTION_PARTS = 3
_NO_ISSUER = frozenset({"group", "kind"})
_NO_LITERAL = r"?\*"
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def malformed(question: Question) -> str:
    """Return what is not well formed about a question, or nothing."""
    principal = question.principal
    if wrong := malformed_id(principal.id):
        return f"principal {wrong}"
    if principal.actor is not None and (wrong := malformed_id(principal.actor)):
        return f"actor {wrong}"
    for group in principal.groups:
        if wrong := malformed_id(group):
            return f"group {wrong}"
    if principal.kind not in KINDS or principal.auth not in AUTHS:
        return "principal of an unknown kind or auth"
    if not is_action(question.action):
        return "action is not provider.resource_type.verb"
    for what, name in (("tool", question.tool), ("environment", question.environment)):
        if not is_short(name):
            return f"{what} is not a name of A-Z a-z 0-9 . _ -"
    if question.time.utcoffset() is None:
        return "time has no offset"
    scope = question.resource.endswith("*")
    wrong = malformed_name(question.resource[:-1] if scope else question.resource, scope=scope)
    return f"resource {wrong}" if wrong else ""


def is_short(name: str) -> bool:
    """Say whether this is a name of a tool or environment."""
    return 0 < len(name) <= _MAX_SHORT and _SHORT.issuperset(name) and name not in DOTS


def is_action(name: str) -> bool:
    """Say whether this is an action ``provider.resource_type.verb``."""
    if len(name) > MAX_NAME:
        return False
    parts = name.split(".")
    return len(parts) == _ACTION_PARTS and all(part and _ACTION.issuperset(part) for part in parts)


def malformed_id(name: str) -> str:
    """Return what is wrong with an id ``issuer/subject``, or nothing."""
    issuer, slash, subject = name.partition("/")
    if not slash or not subject or not is_issuer(issuer) or issuer in _NO_ISSUER:
        return "is not issuer/subject"
    return malformed_name(name)


def malformed_name(name: str, *, scope: bool = False) -> str:
    """Return what is wrong with an exact name, or nothing.

    Of a scope `name` is the prefix: it may be empty, and the star counts as a byte.
    """
    if not name:
        return "" if scope else "is empty"
    if size(name) + scope > MAX_NAME:
        return f"is longer than {MAX_NAME} bytes"
    if wrong := forbidden(name):
        return wrong
    if "${" in name:
        return "holds ${"
    if "." in name and not DOTS.isdisjoint(name.split("/")):
        return "holds . or .. as a segment"
    return ""


def size(name: str) -> int:
    """Return the length in bytes. It is asked first: to normalize takes quadratic time at worst."""
    return len(name) if name.isascii() else len(name.encode("utf-8", "surrogatepass"))


def forbidden(name: str) -> str:
    """Return which character no name may hold, or that it is not normalized, or nothing."""
    for char in _NO_LITERAL:
        if char in name:
            return f"holds {char}"
    if name.isascii() and name.isprintable():
        return ""
    import unicodedata

    for char in name:
        if unicodedata.category(char) in _FORBIDDEN:
            return f"holds the character U+{ord(char):04X}"
    return "" if unicodedata.is_normalized("NFC", name) else "is not in Unicode NFC"
