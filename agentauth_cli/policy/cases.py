"""The tests that a policy file holds: a request each, and the answer that it should get."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentauth_cli.model import Decision, Principal, Question
from agentauth_cli.policy.names import rule_id
from agentauth_cli.policy.narrow import canonical
from agentauth_cli.policy.obligation_file import OBLIGATIONS, given
from agentauth_cli.policy.wellformed import malformed
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Brief, Key, ListOf, Named, Table, Value
from agentauth_cli.terms import AUTHS, KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_TOOL = "-"
AT = datetime(2026, 1, 1, tzinfo=UTC)
"""When a test asks that does not say: always the same, so that no test rots."""

_WHERE: Mapping[str, tuple[str, ...]] = {
    "principal": ("principal", "id"),
    "actor": ("principal", "actor"),
    "group": ("principal", "groups"),
}
"""Where it stands what `malformed` names, unless it is a key of the test."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test. `rule` is the deciding one, empty for none, None where the test does not say."""

    name: str
    question: Question
    expect: Decision
    rule: str | None
    obligations: Mapping[str, Any]
    file: str
    index: int


def case(entry: Mapping[str, Any], file: str, index: int) -> Case:
    """Return the test that a sound table, read by `CASE`, describes."""
    return Case(
        name=entry["name"],
        question=_question(entry),
        expect=Decision(entry["expect"]),
        rule=entry["rule"],
        obligations=given(entry["obligations"]),
        file=file,
        index=index,
    )


def with_name(principal: Principal, name_claims: Mapping[str, str]) -> Principal:
    """Return a principal that nobody verified, named as its issuer's tokens would name it.

    `name_claims` are the claims that config.toml names, by issuer. A missing one leaves a name
    that cannot be put in for ``${principal.name}``.
    """
    claim = name_claims.get(principal.issuer)
    if claim is None:
        return replace(principal, name=principal.user_id)
    value = principal.claims.get(claim)
    return replace(principal, name=value if isinstance(value, str) else "")


def _question(entry: Mapping[str, Any]) -> Question:
    who, at = entry["principal"], entry["at"]
    age = who["session_age"]
    principal = Principal(
        id=who["id"],
        name="",
        kind=who["kind"],
        auth=who["auth"],
        groups=who["groups"],
        claims=who["claims"],
        authenticated_at=None if age is None else at - timedelta(seconds=age),
        actor=who["actor"],
    )
    action = entry["action"]
    resource = canonical(entry["resource"], action.partition(".")[0])
    return Question(principal, action, resource, entry["tool"], entry["environment"], at)


def _well_formed(entry: dict[str, Any]) -> list[tuple[str | tuple[str, ...], str]]:
    try:
        wrong = malformed(_question(entry))
    except OverflowError:
        return [(("principal", "session_age"), "the login is older than any date")]
    if not wrong:
        return []
    named = wrong.partition(" ")[0]
    return [(_WHERE.get(named, named), f"not a well-formed request: {wrong}")]


def claim(value: Any) -> Any:
    """Return what a claim of a token can be: JSON, in which empty values are values too."""
    if isinstance(value, list):
        return [claim(one) for one in value]
    if isinstance(value, dict):
        return {name: claim(one) for name, one in value.items()}
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError("expected what JSON can hold: no date, no time, no inf, no nan")


def decider(value: Any) -> str:
    """Return the id of a rule, or nothing for none."""
    return "" if value == "" else rule_id(value)


CASE = Table(
    {
        "name": Key(Value(values.text), required=True),
        "principal": Key(
            Brief(
                "id",
                Table(
                    {
                        "id": Key(Value(values.text), required=True),
                        "kind": Key(Value(values.Choice(*KINDS)), default="user"),
                        "groups": Key(ListOf(Value(values.text)), default=()),
                        "claims": Key(Named(Value(claim)), default={}),
                        "auth": Key(Value(values.Choice(*AUTHS)), default="jwt"),
                        "session_age": Key(Value(values.duration)),
                        "actor": Key(Value(values.text)),
                    }
                ),
            ),
            required=True,
        ),
        "tool": Key(Value(values.text), default=NO_TOOL),
        "action": Key(Value(values.text), required=True),
        "resource": Key(Value(values.text), required=True),
        "environment": Key(Value(values.text), default="dev"),
        "at": Key(Value(values.moment), default=AT),
        "rule": Key(Value(decider)),
        "obligations": Key(OBLIGATIONS),
        "expect": Key(Value(values.Choice(*Decision)), required=True),
    },
    check=_well_formed,
    between=("principal", "action", "resource", "tool", "environment", "at"),
)
