"""Patterns: ``*`` stands for any run of characters, everything else for itself.

There is no ``?``, no ``**`` and no character class; who types them is told so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from agentauth_cli.policy.matching import (
    CLAIM,
    Pattern,
    PrincipalPattern,
    Template,
    runs_of,
)
from agentauth_cli.policy.names import (
    VARIABLE,
    dead_action,
    dead_claim,
    dead_id,
    dead_name,
    dead_short,
)
from agentauth_cli.tables.shape import did_you_mean, kind, nearest, nearest_of
from agentauth_cli.terms import KINDS

Dead = Callable[[Sequence[str]], str]

_SPECIAL = re.compile(r"\\[*\\]|\\|\?|\*\*|\*")

POLICY_VARIABLES = ("principal.name", "principal.issuer", "principal.hash", "environment", "tool")


def split(text: str) -> tuple[str, ...]:
    r"""Return the literal runs between the stars, escapes (``\*``, ``\\``) undone.

    Raises ValueError for ``?``, ``**``, and any other backslash.
    """
    for special in _SPECIAL.findall(text):
        if special == "\\":
            raise ValueError(r"a backslash stands only before * or \ here")
        if special == "?":
            raise ValueError("`?` is no wildcard here: only `*`, any run of characters")
        if special == "**":
            raise ValueError("`**` is not known: one `*` already stands for / too")
    return runs_of(text)


def parse(value: object, dead: Dead) -> Pattern:
    """Return the pattern; raises ValueError where it is none, or could match nothing."""
    text = _string(value)
    runs = split(text)
    if why := dead(runs):
        raise ValueError(why)
    return Pattern(runs)


def name(value: object) -> Pattern:
    """Return a pattern on any name."""
    return parse(value, dead_name)


def short(value: object) -> Pattern:
    """Return a pattern on tools or environments."""
    return parse(value, dead_short)


def action(value: object) -> Pattern:
    """Return a pattern on actions."""
    return parse(value, dead_action)


def identifier(value: object) -> Pattern:
    """Return a pattern on ids ``issuer/subject``."""
    return parse(value, dead_id)


def claim(value: object) -> Pattern:
    """Return a pattern on a claim, which may hold what no name does."""
    return parse(value, dead_claim)


def principal(value: object) -> PrincipalPattern:
    """Return an entry of `principals`: a pattern on ids, ``group:PATTERN``, ``kind:KIND``."""
    text = _string(value)
    on, colon, rest = text.partition(":")
    if colon and on == "kind":
        if rest not in KINDS:
            near = did_you_mean(rest, KINDS)
            raise ValueError(f"unknown kind {rest!r}: one of {', '.join(KINDS)}{near}")
        return PrincipalPattern("kind", Pattern((rest,)))
    if colon and on == "group":
        return PrincipalPattern("group", parse(rest, dead_id))
    return PrincipalPattern("id", parse(text, _dead_principal))


def _dead_principal(runs: Sequence[str]) -> str:
    """Return why no principal can match, with ``group:`` or ``kind:`` spelt right, or nothing.

    An id without an issuer is completed by nobody: one of any issuer would be a wider rule.
    """
    why = dead_id(runs)
    word, colon, rest = "*".join(runs).partition(":")
    on = nearest(word, ("group", "kind")) if colon else ""
    meant = rest in KINDS if on == "kind" else on and not dead_id(rest.split("*"))
    return f"{why}: did you mean `{on}:{rest}`?" if why and meant else why


def template(value: object, known: Sequence[str] = POLICY_VARIABLES) -> Template:
    """Return a resource with variables; raises ValueError for an unknown one, or a dead pattern."""
    text = _string(value)
    pieces = _pieces(text)
    for variable in pieces[1::2]:
        _check_variable(variable, known)
    literals = [split(piece) for piece in pieces[::2]]
    runs = [[one] for one in literals[0]]
    for first, *others in literals[1:]:
        runs[-1] += [VARIABLE, first]
        runs += [[one] for one in others]
    if why := dead_name(["".join(one) for one in runs]):
        raise ValueError(why)
    return Template(tuple(pieces))


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a pattern, got {kind(value)}")
    if not value:
        raise ValueError("an empty string matches nothing")
    if VARIABLE in value:
        raise ValueError("no name can match: holds the character U+0000")
    return value


def _pieces(text: str) -> list[str]:
    pieces, at = [], 0
    while (start := text.find("${", at)) >= 0:
        end = text.find("}", start)
        if end < 0:
            raise ValueError("`${` without `}`")
        pieces += [text[at:start], text[start + 2 : end]]
        at = end + 1
    return [*pieces, text[at:]]


def _check_variable(variable: str, known: Sequence[str]) -> None:
    if variable.startswith(CLAIM):
        claim = variable.removeprefix(CLAIM)
        if not claim or any(char in claim for char in "${*?\\"):
            raise ValueError(f"`${{{variable}}}` names no claim")
    elif variable not in known:
        near = nearest_of(variable, [*known, CLAIM + "NAME"])
        raise ValueError(f"unknown variable `${{{variable}}}`{near}")
