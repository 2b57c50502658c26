"""A policy as bytes: written once, opened without parsing, read rule by rule as questions need it.

Decisions have one way: a policy that was just loaded from its files is packed too.
"""

from __future__ import annotations

from agentauth_cli.policy.blocks import Blocks, pack
from agentauth_cli.policy.index import Finder, Index
from agentauth_cli.policy.matching import Pattern, PrincipalPattern, Template
from agentauth_cli.policy.rule import Rule

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from agentauth_cli.model import Question
    from agentauth_cli.policy.cases import Case
    from agentauth_cli.policy.conditions import Condition

GROUP = 16
"""So many rules are read at once."""

_HEAD = 0


class Policy:
    """All rules of all files, by id, and the digest of the files.

    `claims` are the names of the claims that rules look at, `sources` what it was packed with.
    `cases` are the tests, in order; a policy that was not just loaded has none.
    """

    __slots__ = (
        *("_blocks", "_finder", "_first", "_groups"),
        *("cases", "claims", "count", "digest", "sources"),
    )

    def __init__(self, blocks: Blocks, cases: Sequence[Case] = ()) -> None:
        """Read the head. Raises DamagedError."""
        self.digest: str
        self.claims: frozenset[str]
        self.count: int
        self.sources: tuple[Any, ...]
        self.digest, claims, self.count, self._first, directory, self.sources = blocks.read(_HEAD)
        self.claims = frozenset(claims)
        self.cases = tuple(cases)
        self._blocks = blocks
        self._groups: dict[int, list[Rule]] = {}
        self._finder = Finder(directory, blocks.read)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, by id; decisions do without."""
        return tuple(map(self.rule, range(self.count)))

    def rule(self, number: int) -> Rule:
        """Return a rule by its number."""
        group, place = divmod(number, GROUP)
        rules = self._groups.get(group)
        if rules is None:
            read = self._blocks.read(self._first + group)
            rules = self._groups[group] = [_unpacked(one) for one in read]
        return rules[place]

    def candidates(self, question: Question, missing: int = 0) -> list[Rule]:
        """Return all rules that fail in at most so many parts, and some others, by id."""
        return [self.rule(one) for one in sorted(self._finder.candidates(question, missing))]


def packed(
    rules: Sequence[Rule], digest: str, claims: Sequence[str], sources: tuple[Any, ...] = ()
) -> bytes:
    """Return the bytes of a policy; the rules come sorted by id. `sources` is kept with it."""
    groups = [tuple(map(_packed, rules[at : at + GROUP])) for at in range(0, len(rules), GROUP)]
    directory = 1 + len(groups)
    head = (digest, tuple(claims), len(rules), 1, directory, sources)
    return pack([head, *groups, *Index(rules).blocks(directory)])


def _packed(rule: Rule) -> tuple[Any, ...]:
    return (
        rule.id,
        rule.effect,
        tuple((one.on, one.pattern.runs) for one in rule.principals),
        _runs(rule.tools),
        _runs(rule.actions),
        None if rule.resources is None else tuple(one.pieces for one in rule.resources),
        _runs(rule.environments),
        None if rule.when is None else tuple(map(_packed_condition, rule.when)),
        None if rule.unless is None else tuple(map(_packed_condition, rule.unless)),
        {name: _runs(one) if name == "models" else one for name, one in rule.obligations.items()},
        rule.description,
        rule.file,
        rule.index,
    )


def _unpacked(stored: tuple[Any, ...]) -> Rule:
    rule, effect, principals, tools, actions, resources, environments, *others = stored
    when, unless, obligations, *told = others
    return Rule(
        rule,
        effect,
        tuple(PrincipalPattern(on, Pattern(runs)) for on, runs in principals),
        _patterns(tools),
        _patterns(actions),
        None if resources is None else tuple(map(Template, resources)),
        _patterns(environments),
        None if when is None else tuple(map(_condition, when)),
        None if unless is None else tuple(map(_condition, unless)),
        {name: _patterns(one) if name == "models" else one for name, one in obligations.items()},
        *told,
    )


def _runs(patterns: Sequence[Pattern] | None) -> tuple[tuple[str, ...], ...] | None:
    return None if patterns is None else tuple(one.runs for one in patterns)


def _patterns(stored: Sequence[tuple[str, ...]] | None) -> tuple[Pattern, ...] | None:
    return None if stored is None else tuple(map(Pattern, stored))


def _packed_condition(one: Condition) -> tuple[Any, ...]:
    from agentauth_cli.policy import conditions as asked

    name = type(one).__name__
    match one:
        case asked.Claim():
            return (name, one.name, _runs(one.patterns))
        case asked.Actor():
            return (name, _runs(one.patterns))
        case asked.After() | asked.Before():
            return (name, one.time.isoformat())
    slots: Sequence[str] = one.__slots__
    return (name, *(getattr(one, slot) for slot in slots))


def _condition(stored: tuple[Any, ...]) -> Condition:
    from agentauth_cli.policy import conditions as asked

    name, *values = stored
    match name:
        case "Claim" | "Actor":
            values[-1] = _patterns(values[-1])
        case "After" | "Before":
            from datetime import datetime

            values = [datetime.fromisoformat(values[0])]
    found: Condition = getattr(asked, name)(*values)
    return found
