"""Which rules can match at all, found by the literal heads of their patterns.

Each part of a rule that gives names stands in a table by what its patterns begin with, unless one
of them begins with a star, or depends on a variable: then the part selects nothing. Of its parts
that do, the one whose keys are shared by the fewest rules is a rule's first, and so on: that is
the rank. A rule that matches is found under its first part; one that fails in one part is found
under its first or its second, and so on. Rules with fewer such parts are always looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from agentauth_cli.policy.rule import NAMES

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from agentauth_cli.model import Question
    from agentauth_cli.policy.rule import Rule

    Key = tuple[str, str, bool]
    """A table, what names begin with, and whether that is all of the name."""
    Numbers = tuple[int, ...]

PAGE = 64
"""So many keys are read at once."""


def keys(rule: Rule, part: str) -> list[Key] | None:
    """Return the keys that a part of a rule is found under; None where it selects nothing."""
    given = getattr(rule, part)
    if given is None:
        return None
    found = []
    for one in given:
        table, pattern = part, one
        if part == "principals":
            table, pattern = one.on, one.pattern
        elif part == "resources":
            pattern = one.fixed
            if pattern is None:
                return None  # where it has no value, a deny rule matches, whatever is asked for
        exact = len(pattern.runs) == 1
        if not exact and not pattern.runs[0]:
            return None
        found.append((table, pattern.runs[0], exact))
    return found


class Index:
    """The tables, built from rules in the order of their numbers."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        selecting = [[found for part in NAMES if (found := keys(rule, part))] for rule in rules]
        shared: dict[Key, int] = {}
        for parts in selecting:
            for part in parts:
                for key in part:
                    shared[key] = shared.get(key, 0) + 1
        self.always: list[list[int]] = [[] for _ in range(len(NAMES) + 1)]
        """Which rules have so many parts that select."""
        self.tables: dict[str, dict[str, list[dict[bool, list[int]]]]] = {}
        """By table, key, rank and whether the key is the whole name: rules."""
        for number, parts in enumerate(selecting):
            self.always[len(parts)].append(number)
            parts.sort(key=lambda part: sum(shared[key] for key in part))
            for rank, part in enumerate(parts):
                for table, head, exact in dict.fromkeys(part):
                    ranks = self.tables.setdefault(table, {}).setdefault(head, [])
                    while len(ranks) <= rank:
                        ranks.append({})
                    ranks[rank].setdefault(exact, []).append(number)

    def blocks(self, first: int) -> list[Any]:
        """Return what is stored, the directory first. `first` is the number of its block.

        A table is stored as pages of keys: the keys, for each the number of the longest other key
        that it begins with, and the rules of the first rank; then, in a page of its own that only
        a refusal reads, those of the others.
        """
        pages: list[Any] = []
        directory = {}
        for table, entries in self.tables.items():
            names = sorted(entries)
            starts = tuple(names[::PAGE])
            directory[table] = (starts, first + 1 + len(self.always) + len(pages))
            parents = _parents(names)
            for at in range(0, len(names), PAGE):
                some = names[at : at + PAGE]
                near = tuple(_postings(entries[name][:1]) for name in some)
                pages.append((tuple(some), tuple(parents[at : at + PAGE]), near))
                pages.append(tuple(_postings(entries[name][1:]) for name in some))
        return [directory, *(tuple(numbers) for numbers in self.always), *pages]


def _postings(ranks: Sequence[dict[bool, list[int]]]) -> tuple[tuple[Numbers, Numbers], ...]:
    return tuple((tuple(one.get(False, ())), tuple(one.get(True, ()))) for one in ranks)


def _parents(names: Sequence[str]) -> list[int]:
    """Return for each of the sorted names the number of the longest other that it begins with."""
    parents, open_ = [], list[int]()
    for i, name in enumerate(names):
        while open_ and not name.startswith(names[open_[-1]]):
            open_.pop()
        parents.append(open_[-1] if open_ else -1)
        open_.append(i)
    return parents


class Table:
    """One table, page by page as it is asked. `read` returns the value of a block."""

    __slots__ = ("_first", "_pages", "_read", "_starts")

    def __init__(self, starts: tuple[str, ...], first: int, read: Callable[[int], Any]) -> None:
        self._starts = starts
        self._first = first
        self._read = read
        self._pages: dict[int, Any] = {}

    def _page(self, number: int) -> Any:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = self._read(self._first + number)
        return page

    def under(self, name: str, most: int, found: set[int]) -> None:
        """Add the rules of ranks up to `most` that can match this name.

        Each key that the name begins with is the greatest key up to the name, or that begins with
        it: then it is no longer than what that shares with the name.
        """
        page = bisect_right(self._starts, name) - 1
        if page < 0:
            return
        names, parents, near = self._page(2 * page)
        slot = bisect_right(names, name) - 1
        shared = _shared(names[slot], name)
        while True:
            size = len(names[slot])
            if size <= shared:
                for heads, exacts in self._ranks(page, slot, most) if most else near[slot]:
                    found.update(heads)
                    if size == len(name):
                        found.update(exacts)
            if parents[slot] < 0:
                return
            page, slot = divmod(parents[slot], PAGE)
            names, parents, near = self._page(2 * page)

    def within(self, prefix: str, most: int, found: set[int]) -> None:
        """Add the rules of ranks up to `most` that can match a name that starts with `prefix`."""
        self.under(prefix, most, found)
        page = max(bisect_left(self._starts, prefix) - 1, 0)
        while page < len(self._starts):
            names = self._page(2 * page)[0]
            for slot in range(bisect_left(names, prefix), len(names)):
                if not names[slot].startswith(prefix):
                    return
                for heads, exacts in self._ranks(page, slot, most):
                    found.update(heads)
                    found.update(exacts)
            page += 1

    def _ranks(self, page: int, slot: int, most: int) -> Sequence[tuple[Numbers, Numbers]]:
        first: Sequence[tuple[Numbers, Numbers]] = self._page(2 * page)[2][slot]
        return first if not most else (*first, *self._page(2 * page + 1)[slot][:most])


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Finder:
    """Finds the rules that a question can concern, in the blocks from number `first` on."""

    __slots__ = ("_always", "_first", "_read", "_tables")

    def __init__(self, first: int, read: Callable[[int], Any]) -> None:
        self._first = first
        self._read = read
        self._tables = {
            table: Table(starts, block, read) for table, (starts, block) in read(first).items()
        }
        self._always: dict[int, Numbers] = {}

    def candidates(self, question: Question, missing: int) -> set[int]:
        """Return the numbers of all rules that fail in at most so many parts, and some others."""
        found: set[int] = set()
        for parts in range(min(missing, len(NAMES)) + 1):
            found.update(self._without(parts))
        principal, tables = question.principal, self._tables
        names = [
            ("id", principal.id),
            ("kind", principal.kind),
            *[("group", group) for group in principal.groups],
            ("tools", question.tool),
            ("actions", question.action),
            ("environments", question.environment),
        ]
        scope = question.resource.endswith("*")
        if not scope:
            names.append(("resources", question.resource))
        for table, name in names:
            if table in tables:
                tables[table].under(name, missing, found)
        if scope and "resources" in tables:
            tables["resources"].within(question.resource[:-1], missing, found)
        return found

    def _without(self, parts: int) -> Numbers:
        """Return the rules of which so many parts select, and that are looked at in any case."""
        numbers = self._always.get(parts)
        if numbers is None:
            numbers = self._always[parts] = self._read(self._first + 1 + parts)
        return numbers
