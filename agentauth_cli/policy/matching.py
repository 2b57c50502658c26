"""Patterns and names: what matches, what covers a scope, what touches one.

A pattern is its runs: the literal texts between its stars. One run alone is an exact name.
"""

from __future__ import annotations

from agentauth_cli.policy.plain import Plain

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Callable

    from agentauth_cli.model import Principal

    Runs = tuple[str, ...]
    Run = str | tuple[str, ...]

CLAIM = "principal.claims."


class Pattern(Plain):
    """``*`` stands for any run of characters, everything else for itself."""

    __slots__ = ("runs",)

    def __init__(self, runs: Runs) -> None:
        self.runs = runs

    @property
    def text(self) -> str:
        """The pattern as it is written."""
        return "*".join(map(_escaped, self.runs))

    def matches(self, name: str) -> bool:
        """Say whether the whole name matches. Linear: each run is found once, leftmost first."""
        runs = self.runs
        first = runs[0]
        if len(runs) == 1:
            return name == first
        last = runs[-1]
        at, end = len(first), len(name) - len(last)
        if at > end or not name.startswith(first) or not name.endswith(last):
            return False
        for run in runs[1:-1]:
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


class PrincipalPattern(Plain):
    """One entry of `principals`: a pattern on the id, on a group, or a kind.

    `on` is ``id``, ``group`` or ``kind``.
    """

    __slots__ = ("on", "pattern")

    def __init__(self, on: str, pattern: Pattern) -> None:
        self.on = on
        self.pattern = pattern

    @property
    def text(self) -> str:
        """The entry as it is written."""
        return self.pattern.text if self.on == "id" else f"{self.on}:{self.pattern.text}"

    def matches(self, principal: Principal) -> bool:
        """Say whether the principal is meant. An actor is not looked at here."""
        if self.on == "id":
            return self.pattern.matches(principal.id)
        if self.on == "kind":
            return self.pattern.matches(principal.kind)
        return any(self.pattern.matches(group) for group in principal.groups)

    def matches_id(self, principal_id: str) -> bool:
        """Say whether this is a pattern on ids that matches the one given."""
        return self.on == "id" and self.pattern.matches(principal_id)


class Template(Plain):
    """A resource with variables in it.

    `pieces` are text, as it is written, and names of variables in turn, text first.
    """

    __slots__ = ("_runs", "fixed", "pieces")

    def __init__(self, pieces: tuple[str, ...]) -> None:
        self.pieces = pieces
        self.fixed = Pattern(runs_of(pieces[0])) if len(pieces) == 1 else None
        """The pattern that it is where it has no variables."""
        self._runs = _template_runs(pieces)

    @property
    def text(self) -> str:
        """The resource as it is written."""
        return "".join(f"${{{one}}}" if i % 2 else one for i, one in enumerate(self.pieces))

    @property
    def names(self) -> tuple[str, ...]:
        """The variables, in order."""
        return self.pieces[1::2]

    def fill(self, value_of: Callable[[str], str]) -> Pattern:
        """Return the pattern with the variables' values as literal text.

        `value_of` returns a variable's value, or raises ValueError; that passes through.
        """
        return self.fixed or Pattern(tuple(_filled(run, value_of) for run in self._runs))


def runs_of(text: str) -> Runs:
    r"""Return the literal runs between the stars of a sound pattern, its escapes undone."""
    if "\\" not in text:
        return tuple(text.split("*"))
    runs: list[list[str]] = [[]]
    literal = False
    for char in text:
        if literal or char not in "*\\":
            runs[-1].append(char)
            literal = False
        elif char == "*":
            runs.append([])
        else:
            literal = True
    return tuple(map("".join, runs))


def _template_runs(pieces: tuple[str, ...]) -> tuple[Run, ...]:
    """Return runs: literal text, or text and names of variables in turn where there are some."""
    runs: list[Run] = list(runs_of(pieces[0]))
    for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
        first, *others = runs_of(text)
        last = runs[-1]
        runs[-1] = (*((last,) if type(last) is str else last), name, first)
        runs.extend(others)
    return tuple(runs)


def _filled(run: Run, value_of: Callable[[str], str]) -> str:
    if type(run) is str:
        return run
    return "".join(value_of(piece) if i % 2 else piece for i, piece in enumerate(run))


def _escaped(literal: str) -> str:
    return literal.replace("\\", r"\\").replace("*", r"\*")
