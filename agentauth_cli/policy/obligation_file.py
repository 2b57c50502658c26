"""How obligations are written in a policy file, by rules and by tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.policy import pattern
from agentauth_cli.policy.engine import DELIVERIES
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Key, ListOf, Table, Value

if TYPE_CHECKING:
    from collections.abc import Mapping


def given(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the obligations that a table, read by `OBLIGATIONS`, names."""
    return {key: value for key, value in (entry or {}).items() if value is not None}


def _rates(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        return (values.rate(value),)
    if not value:
        raise ValueError("an empty array: leave the key out")
    return tuple(dict.fromkeys(values.rate(one) for one in value))


OBLIGATIONS = Table(
    {
        "max_duration": Key(Value(values.duration)),
        "max_tokens": Key(Value(values.integer)),
        "max_cost": Key(Value(values.money)),
        "rate_limit": Key(Value(_rates)),
        "must_log": Key(Value(values.always)),
        "require_reason": Key(Value(values.always)),
        "delivery": Key(ListOf(Value(values.choice(*DELIVERIES)))),
        "models": Key(ListOf(Value(pattern.name))),
    }
)
