"""Which patterns could never match a well-formed name.

A pattern that can match nothing is refused where it is loaded: a deny rule with it would be
silently dead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agentauth_cli.policy.wellformed import DOTS, MAX_NAME, forbidden, size
from agentauth_cli.terms import is_issuer

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORT = re.compile(r"[A-Za-z0-9._-]{1,64}")
ACTION = re.compile(r"[a-z0-9_-]+\.[a-z0-9_-]+\.[a-z0-9_-]+")

RULE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NO_ISSUER = frozenset({"group", "kind"})


def rule_id(value: Any) -> str:
    """Return an id of ``[a-z0-9][a-z0-9._-]{0,63}``."""
    if not isinstance(value, str) or not RULE_ID.fullmatch(value):
        raise ValueError("expected an id of a-z 0-9 . _ -, 1 to 64 long, a letter or digit first")
    return value


# What follows judges patterns, as runs of literal text between stars. A variable stands in a run
# as VARIABLE: text that is not known yet.

VARIABLE = "\0"

_NO_VARIABLE = "variables stand in `resources` alone"


def dead_name(runs: Sequence[str]) -> str:
    """Return why no well-formed name can match, or nothing."""
    if sum(map(size, runs)) > MAX_NAME:
        return f"no name can match: longer than {MAX_NAME} bytes"
    for run in runs:
        for literal in run.split(VARIABLE):
            if wrong := forbidden(literal):
                return f"no name can match: {wrong}"
            if "${" in literal:
                return f"no name can match: {_NO_VARIABLE}"
    whole = "*".join(runs).split("/")
    if not DOTS.isdisjoint(whole):
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
    if len(runs) == 1 and text in DOTS:
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
        alive = is_issuer(issuer) and issuer not in _NO_ISSUER
        alive = alive and (bool(subject) or len(runs) > 1)
    elif len(runs) > 1:
        alive = not issuer or is_issuer(issuer)
    else:
        alive = False
    return dead_name(runs) if alive else "no id can match: they are issuer/subject"
