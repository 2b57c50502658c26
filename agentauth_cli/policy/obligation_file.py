"""How obligations are written in a policy file, by rules and by tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.policy import pattern
from agentauth_cli.policy.engine import DELIVERIES
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Key, ListOf, OneOrMore, Table, Value

if TYPE_CHECKING:
    from collections.abc import Mapping


def given(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the obligations that a table, read by `OBLIGATIONS`, names."""
    return {key: value for key, value in (entry or {}).items() if value is not None}


OBLIGATIONS = Table(
    {
        "max_duration": Key(Value(values.duration)),
        "max_tokens": Key(Value(values.integer)),
        "max_cost": Key(Value(values.money)),
        "rate_limit": Key(OneOrMore(Value(values.rate))),
        "must_log": Key(Value(values.always)),
        "require_reason": Key(Value(values.always)),
        "delivery": Key(ListOf(Value(values.Choice(*DELIVERIES)))),
        "models": Key(ListOf(Value(pattern.name))),
    }
)
