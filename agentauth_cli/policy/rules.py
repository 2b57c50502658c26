"""policy.toml and policy.d: from bytes to rules, or to everything that is wrong with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentauth_cli.policy import pattern
from agentauth_cli.policy.cases import CASE, Case, case
from agentauth_cli.policy.condition_file import CONDITIONS, conditions
from agentauth_cli.policy.conditions import Claim
from agentauth_cli.policy.names import rule_id
from agentauth_cli.policy.obligation_file import OBLIGATIONS, given
from agentauth_cli.policy.pattern import CLAIM, Pattern, PrincipalPattern, Template
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Document, Key, ListOf, Problem, Table, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agentauth_cli.policy.conditions import Condition

NAMES = ("principals", "tools", "actions", "resources", "environments")
"""The parts of a rule that hold names."""

PARTS = (*NAMES, "when", "unless")
"""The parts of a rule that can fail, in the order in which they are named."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. An absent part is None: it matches everything."""

    id: str
    effect: str
    principals: tuple[PrincipalPattern, ...]
    tools: tuple[Pattern, ...] | None = None
    actions: tuple[Pattern, ...] | None = None
    resources: tuple[Template, ...] | None = None
    environments: tuple[Pattern, ...] | None = None
    when: tuple[Condition, ...] | None = None
    unless: tuple[Condition, ...] | None = None
    obligations: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    file: str = ""
    index: int = 0
    """Which of the rules of its file it is, from 0."""


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules of all files, by id, and the digest of the files.

    `claims` are the names of the claims that rules look at. `cases` are the tests, in order.
    """

    rules: tuple[Rule, ...]
    digest: str
    claims: frozenset[str] = frozenset()
    cases: tuple[Case, ...] = ()


def digest(files: Sequence[tuple[str, bytes]]) -> str:
    """Return SHA-256 over length (8 bytes, big endian) and bytes of each name and content."""
    total = hashlib.sha256()
    for name, content in files:
        for part in (name.encode("utf-8", "surrogateescape"), content):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()


def load(files: Sequence[tuple[str, bytes]]) -> tuple[Policy | None, list[Problem]]:
    """Read all files, given as (name, content) in order; one problem means no policy."""
    rules: list[Rule] = []
    cases: list[Case] = []
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for name, content in files:
        document = Document(name, content)
        read = document.read(_FILE)
        entries = read.get("rule") or ()
        if not document.found:
            rules += [_rule(entry, name, i) for i, entry in enumerate(entries)]
            cases += [case(entry, name, i) for i, entry in enumerate(read.get("test") or ())]
        for i, entry in enumerate(entries):
            rule_id = entry.get("id")
            if rule_id in seen:
                why = f"duplicate id {rule_id!r} (also in {seen[rule_id]})"
                document.found.append((("rule", i, "id"), why))
            elif rule_id:
                seen[rule_id] = name
        problems += document.problems()
    if problems:
        return None, problems
    ordered = tuple(sorted(rules, key=lambda one: one.id))
    claims = frozenset(name for one in ordered for name in _claims(one))
    return Policy(ordered, digest(files), claims, tuple(cases)), []


def _rule(entry: Mapping[str, Any], file: str, index: int) -> Rule:
    known = {key: entry[key] for key in ("id", "effect", "description", *NAMES)}
    return Rule(
        **known,
        when=conditions(entry["when"]),
        unless=conditions(entry["unless"]),
        obligations=given(entry["obligations"]),
        file=file,
        index=index,
    )


def _claims(rule: Rule) -> Iterator[str]:
    for resource in rule.resources or ():
        for name in resource.names:
            if name.startswith(CLAIM):
                yield name.removeprefix(CLAIM)
    for condition in (*(rule.when or ()), *(rule.unless or ())):
        if isinstance(condition, Claim):
            yield condition.name


def _no_obligations_on_deny(rule: dict[str, Any]) -> list[tuple[str, str]]:
    if rule["effect"] == "deny" and rule["obligations"] is not None:
        return [("obligations", "a deny rule has no obligations")]
    return []


def _listed(parse: Callable[[Any], Any]) -> Key:
    return Key(ListOf(Value(parse)))


RULE = Table(
    {
        "id": Key(Value(rule_id), required=True),
        "effect": Key(Value(values.choice("allow", "deny")), required=True),
        "description": Key(Value(values.text), default=""),
        "principals": Key(ListOf(Value(pattern.principal)), required=True),
        "tools": _listed(pattern.short),
        "actions": _listed(pattern.action),
        "resources": _listed(pattern.template),
        "environments": _listed(pattern.short),
        "when": Key(CONDITIONS),
        "unless": Key(CONDITIONS),
        "obligations": Key(OBLIGATIONS),
    },
    check=_no_obligations_on_deny,
)

_FILE = Table(
    {
        "version": Key(Value(values.version), required=True),
        "rule": Key(ListOf(RULE), default=()),
        "test": Key(ListOf(CASE), default=()),
    }
)
