"""policy.toml and policy.d: from bytes to rules, or to everything that is wrong with them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from agentauth_cli.policy import pattern
from agentauth_cli.policy.blocks import Blocks
from agentauth_cli.policy.cases import CASE, Case, case
from agentauth_cli.policy.condition_file import CONDITIONS, conditions
from agentauth_cli.policy.conditions import Claim
from agentauth_cli.policy.matching import CLAIM
from agentauth_cli.policy.names import rule_id
from agentauth_cli.policy.obligation_file import OBLIGATIONS, given
from agentauth_cli.policy.packed import Policy, packed
from agentauth_cli.policy.rule import NAMES, Rule
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Document, Key, ListOf, Problem, Table, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


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
    content, cases, problems = read(files)
    return (Policy(Blocks(content), cases) if content else None), problems


def read(
    files: Sequence[tuple[str, bytes]], sources: tuple[Any, ...] = ()
) -> tuple[bytes | None, tuple[Case, ...], list[Problem]]:
    """Read all files; return the policy's bytes, its tests, and the problems.

    The same files, and the same `sources` that are kept with them, always make the same bytes.
    """
    rules: list[Rule] = []
    cases: list[Case] = []
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for name, content in files:
        document = Document(name, content)
        found = document.read(FILE)
        entries = found.get("rule") or ()
        if not document.found:
            rules += [_rule(entry, name, i) for i, entry in enumerate(entries)]
            cases += [case(entry, name, i) for i, entry in enumerate(found.get("test") or ())]
        for i, entry in enumerate(entries):
            rule_id = entry.get("id")
            if rule_id in seen:
                why = f"duplicate id {rule_id!r} (also in {seen[rule_id]})"
                document.found.append((("rule", i, "id"), why))
            elif rule_id:
                seen[rule_id] = name
        problems += document.problems()
    if problems:
        return None, (), problems
    rules.sort(key=lambda one: one.id)
    claims = sorted({name for one in rules for name in _claims(one)})
    return packed(rules, digest(files), claims, sources), tuple(cases), []


def _rule(entry: Mapping[str, Any], file: str, index: int) -> Rule:
    known = {key: entry[key] for key in ("id", "effect", "description", *NAMES)}
    obligations = given(entry["obligations"])
    if "rate_limit" in obligations:
        obligations["rate_limit"] = tuple(
            (one.count, one.period) for one in obligations["rate_limit"]
        )
    return Rule(
        **known,
        when=conditions(entry["when"]),
        unless=conditions(entry["unless"]),
        obligations=obligations,
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
        "effect": Key(Value(values.Choice("allow", "deny")), required=True),
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
    between=("effect",),
)

FILE = Table(
    {
        "version": Key(Value(values.version), required=True),
        "rule": Key(ListOf(RULE), default=()),
        "test": Key(ListOf(CASE), default=()),
    }
)
