"""Patterns: ``*`` stands for any run of characters, everything else for itself.

There is no ``?``, no ``**`` and no character class; who types them is told so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentauth_cli.model import KINDS, Principal
from agentauth_cli.policy.names import (
    VARIABLE,
    dead_action,
    dead_claim,
    dead_id,
    dead_name,
    dead_short,
)
from agentauth_cli.tables.shape import did_you_mean, kind

Dead = Callable[[Sequence[str]], str]

_SPECIAL = re.compile(r"([^\\?*]+)|(\\[*\\]|\\|\?|\*\*|\*)")

CLAIM = "principal.claims."
POLICY_VARIABLES = ("principal.name", "principal.issuer", "principal.hash", "environment", "tool")


@dataclass(frozen=True, slots=True)
class Pattern:
    """`runs` are the literal texts between the stars; one run alone is an exact name."""

    text: str
    runs: tuple[str, ...]

    def matches(self, name: str) -> bool:
        """Say whether the whole name matches. Linear: each run is found once, leftmost first."""
        first, *middle = self.runs
        if not middle:
            return name == first
        last = middle.pop()
        if len(name) < len(first) + len(last):
            return False
        if not name.startswith(first) or not name.endswith(last):
            return False
        at, end = len(first), len(name) - len(last)
        for run in middle:
            at = name.find(run, at, end)
            if at < 0:
                return False
            at += len(run)
        return True

    def covers(self, prefix: str) -> bool:
        """Say whether every string that starts with `prefix` matches."""
        return len(self.runs) > 1 and not self.runs[-1] and self.matches(prefix)

    def touches(self, prefix: str) -> bool:
        """Say whether some string that starts with `prefix` matches."""
        first = self.runs[0]
        return first.startswith(prefix) or (len(self.runs) > 1 and prefix.startswith(first))


@dataclass(frozen=True, slots=True)
class Template:
    """A resource with variables in it: text and names of variables in turn, text first."""

    text: str
    pieces: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The variables, in order."""
        return self.pieces[1::2]

    def fill(self, value_of: Callable[[str], str]) -> Pattern:
        """Return the pattern with the variables' values as literal text.

        `value_of` returns a variable's value, or raises ValueError; that passes through.
        """
        runs = [""]
        for i, piece in enumerate(self.pieces):
            if i % 2:
                runs[-1] += value_of(piece)
            else:
                first, *others = split(piece)
                runs[-1] += first
                runs.extend(others)
        return Pattern(self.text, tuple(runs))


@dataclass(frozen=True, slots=True)
class PrincipalPattern:
    """One entry of `principals`: a pattern on the id, on a group, or a kind."""

    text: str
    on: str
    pattern: Pattern

    def matches(self, principal: Principal) -> bool:
        """Say whether the principal is meant. An actor is not looked at here."""
        if self.on == "kind":
            return self.pattern.matches(principal.kind)
        if self.on == "group":
            return any(self.pattern.matches(group) for group in principal.groups)
        return self.matches_id(principal.id)

    def matches_id(self, principal_id: str) -> bool:
        """Say whether this is a pattern on ids that matches the one given."""
        return self.on == "id" and self.pattern.matches(principal_id)


def split(text: str) -> list[str]:
    r"""Return the literal runs between the stars, escapes (``\*``, ``\\``) undone.

    Raises ValueError for ``?``, ``**``, and any other backslash.
    """
    runs: list[list[str]] = [[]]
    for literal, special in _SPECIAL.findall(text):
        runs[-1].append(literal or special[1:])
        if special == "\\":
            raise ValueError(r"a backslash stands only before * or \ here")
        if special == "?":
            raise ValueError("`?` is no wildcard here: only `*`, any run of characters")
        if special == "**":
            raise ValueError("`**` is not known: one `*` already stands for / too")
        if special == "*":
            runs.append([])
    return ["".join(run) for run in runs]


def parse(value: object, dead: Dead) -> Pattern:
    """Return the pattern; raises ValueError where it is none, or could match nothing."""
    text = _string(value)
    runs = split(text)
    if why := dead(runs):
        raise ValueError(why)
    return Pattern(text, tuple(runs))


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
            raise ValueError(f"unknown kind {rest!r}: one of {', '.join(KINDS)}")
        return PrincipalPattern(text, "kind", Pattern(rest, (rest,)))
    if colon and on == "group":
        return PrincipalPattern(text, "group", parse(rest, dead_id))
    return PrincipalPattern(text, "id", parse(text, dead_id))


def template(value: object, known: Sequence[str] = POLICY_VARIABLES) -> Template:
    """Return a resource with variables; raises ValueError for an unknown one, or a dead pattern."""
    text = _string(value)
    pieces = _pieces(text)
    for variable in pieces[1::2]:
        _check_variable(variable, known)
    literals = [split(piece) for piece in pieces[::2]]
    runs = list(literals[0])
    for first, *others in literals[1:]:
        runs[-1] += VARIABLE + first
        runs.extend(others)
    if why := dead_name(runs):
        raise ValueError(why)
    return Template(text, tuple(pieces))


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
        near = did_you_mean(variable, [*known, CLAIM + "NAME"])
        raise ValueError(f"unknown variable `${{{variable}}}`{near}")
