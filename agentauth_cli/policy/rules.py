"""policy.toml and policy.d: from bytes to rules, or to everything that is wrong with them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentauth_cli.policy import pattern
from agentauth_cli.policy.condition_file import CONDITIONS, conditions
from agentauth_cli.policy.conditions import Claim
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

DELIVERIES = ("stdout", "exec", "endpoint", "gateway")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


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


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules of all files, by id, and the digest of the files.

    `claims` are the names of the claims that rules look at.
    """

    rules: tuple[Rule, ...]
    digest: str
    claims: frozenset[str] = frozenset()


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
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for name, content in files:
        document = Document(name, content)
        entries = document.read(_FILE).get("rule") or ()
        if not document.found:
            rules += [_rule(entry, name) for entry in entries]
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
    return Policy(ordered, digest(files), claims), []


def _rule(entry: Mapping[str, Any], file: str) -> Rule:
    known = {key: entry[key] for key in ("id", "effect", "description", *NAMES)}
    given = {key: value for key, value in (entry["obligations"] or {}).items() if value is not None}
    return Rule(
        **known,
        when=conditions(entry["when"]),
        unless=conditions(entry["unless"]),
        obligations=given,
        file=file,
    )


def _claims(rule: Rule) -> Iterator[str]:
    for resource in rule.resources or ():
        for name in resource.names:
            if name.startswith(CLAIM):
                yield name.removeprefix(CLAIM)
    for condition in (*(rule.when or ()), *(rule.unless or ())):
        if isinstance(condition, Claim):
            yield condition.name


def rule_id(value: Any) -> str:
    """Return an id of ``[a-z0-9][a-z0-9._-]{0,63}``."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("expected an id of a-z 0-9 . _ -, 1 to 64 long, a letter or digit first")
    return value


def _rates(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        return (values.rate(value),)
    if not value:
        raise ValueError("an empty array: leave the key out")
    return tuple(dict.fromkeys(values.rate(one) for one in value))


def _unavailable(what: str) -> Value:
    def refuse(_: Any) -> Any:
        raise ValueError(f"{what} are not available in this version")

    return Value(refuse)


def _no_obligations_on_deny(rule: dict[str, Any]) -> list[tuple[str, str]]:
    if rule["effect"] == "deny" and rule["obligations"] is not None:
        return [("obligations", "a deny rule has no obligations")]
    return []


def _listed(parse: Callable[[Any], Any]) -> Key:
    return Key(ListOf(Value(parse)))


OBLIGATIONS = Table(
    {
        "max_duration": Key(Value(values.duration)),
        "max_tokens": Key(Value(values.integer)),
        "max_cost": Key(Value(values.money)),
        "rate_limit": Key(Value(_rates)),
        "must_log": Key(Value(values.always)),
        "require_reason": Key(Value(values.always)),
        "delivery": _listed(values.choice(*DELIVERIES)),
        "models": _listed(pattern.name),
    }
)

_RULE = Table(
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
        "rule": Key(ListOf(_RULE), default=()),
        "test": Key(_unavailable("tests in the file")),
    }
)
