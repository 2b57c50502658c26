"""What a well-formed name is, and which patterns could never match one.

A pattern that can match nothing is refused where it is loaded: a deny rule with it would be
silently dead.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from agentauth_cli.model import AUTHS, ISSUER, KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.model import Question

MAX_NAME = 2048
SHORT = re.compile(r"[A-Za-z0-9._-]{1,64}")
ACTION = re.compile(r"[a-z0-9_-]+\.[a-z0-9_-]+\.[a-z0-9_-]+")
VALUE = re.compile(r"[A-Za-z0-9._@+=,-]{1,128}")
"""What may be put in for a variable, besides holding no ``..``."""

_RULE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NO_ISSUER = frozenset({"group", "kind"})
_DOTS = frozenset({".", ".."})


def malformed(question: Question) -> str:
    """Return what is not well formed about a question, or nothing."""
    principal = question.principal
    for what, name in (("principal", principal.id), ("actor", principal.actor)):
        if name is not None and (wrong := malformed_id(name)):
            return f"{what} {wrong}"
    for group in principal.groups:
        if wrong := malformed_id(group):
            return f"group {wrong}"
    if principal.kind not in KINDS or principal.auth not in AUTHS:
        return "principal of an unknown kind or auth"
    if not ACTION.fullmatch(question.action) or len(question.action) > MAX_NAME:
        return "action is not provider.resource_type.verb"
    for what, name in (("tool", question.tool), ("environment", question.environment)):
        if not SHORT.fullmatch(name) or name in _DOTS:
            return f"{what} is not a name of A-Z a-z 0-9 . _ -"
    if question.time.utcoffset() is None:
        return "time has no offset"
    scope = question.resource.endswith("*")
    wrong = malformed_name(question.resource[:-1] if scope else question.resource, scope=scope)
    return f"resource {wrong}" if wrong else ""


def malformed_id(name: str) -> str:
    """Return what is wrong with an id ``issuer/subject``, or nothing."""
    issuer, slash, subject = name.partition("/")
    if not slash or not subject or not ISSUER.fullmatch(issuer) or issuer in _NO_ISSUER:
        return "is not issuer/subject"
    return malformed_name(name)


def malformed_name(name: str, *, scope: bool = False) -> str:
    """Return what is wrong with an exact name, or nothing.

    Of a scope `name` is the prefix: it may be empty, and the star counts as a byte.
    """
    if not name:
        return "" if scope else "is empty"
    if _bytes(name) + scope > MAX_NAME:
        return f"is longer than {MAX_NAME} bytes"
    if wrong := _characters(name, r"?\*"):
        return wrong
    if "${" in name:
        return "holds ${"
    if not _DOTS.isdisjoint(name.split("/")):
        return "holds . or .. as a segment"
    return ""


def _bytes(name: str) -> int:
    """Return the length. It is asked first: to normalize takes quadratic time at worst."""
    return len(name.encode("utf-8", "surrogatepass"))


def _characters(name: str, forbidden: str) -> str:
    for char in name:
        if char in forbidden:
            return f"holds {char}"
        if unicodedata.category(char) in _FORBIDDEN:
            return f"holds the character U+{ord(char):04X}"
    return "" if unicodedata.is_normalized("NFC", name) else "is not in Unicode NFC"


def rule_id(value: Any) -> str:
    """Return an id of ``[a-z0-9][a-z0-9._-]{0,63}``."""
    if not isinstance(value, str) or not _RULE_ID.fullmatch(value):
        raise ValueError("expected an id of a-z 0-9 . _ -, 1 to 64 long, a letter or digit first")
    return value


# What follows judges patterns, as runs of literal text between stars. A variable stands in a run
# as VARIABLE: text that is not known yet.

VARIABLE = "\0"

_NO_VARIABLE = "variables stand in `resources` alone"


def dead_name(runs: Sequence[str]) -> str:
    """Return why no well-formed name can match, or nothing."""
    if sum(_bytes(run) for run in runs) > MAX_NAME:
        return f"no name can match: longer than {MAX_NAME} bytes"
    for run in runs:
        for literal in run.split(VARIABLE):
            if wrong := _characters(literal, r"?\*"):
                return f"no name can match: {wrong}"
            if "${" in literal:
                return f"no name can match: {_NO_VARIABLE}"
    whole = "*".join(runs).split("/")
    if not _DOTS.isdisjoint(whole):
        return "no name can match: . or .. is a whole segment"
    return ""


def dead_claim(runs: Sequence[str]) -> str:
    """Return why a pattern on a claim cannot be meant, or nothing: a claim may be any text."""
    return _NO_VARIABLE if any("${" in run for run in runs) else ""


def dead_short(runs: Sequence[str]) -> str:
    """Return why no tool or environment can match, or nothing."""
    text = "".join(runs)
    if text and not SHORT.fullmatch(text):
        return "no name can match: they are 1 to 64 of A-Z a-z 0-9 . _ -"
    if len(runs) == 1 and text in _DOTS:
        return "no name can match: . and .. are none"
    return ""


def dead_action(runs: Sequence[str]) -> str:
    """Return why no action ``provider.resource_type.verb`` can match, or nothing."""
    text = "*".join(runs)
    if len(runs) == 1:
        alive = ACTION.fullmatch(text) is not None
    else:
        alive = (
            re.fullmatch(r"[a-z0-9_.-]*", "".join(runs)) is not None
            and text.count(".") <= ACTION.pattern.count(r"\.")
            and ".." not in text
            and not text.startswith(".")
            and not text.endswith(".")
        )
    return dead_name(runs) if alive else "no action can match: they are provider.resource_type.verb"


def dead_id(runs: Sequence[str]) -> str:
    """Return why no id ``issuer/subject`` can match, or nothing."""
    issuer, slash, subject = runs[0].partition("/")
    if slash:
        alive = ISSUER.fullmatch(issuer) is not None and issuer not in _NO_ISSUER
        alive = alive and (bool(subject) or len(runs) > 1)
    elif len(runs) > 1:
        alive = not issuer or ISSUER.fullmatch(issuer) is not None
    else:
        alive = False
    return dead_name(runs) if alive else "no id can match: they are issuer/subject"
