"""A whole request as JSON says it. Nothing is filled in: what is missing makes it malformed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentauth_cli.model import Principal, Question
from agentauth_cli.policy.cases import with_name
from agentauth_cli.policy.narrow import canonical
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Key, Table, Value
from agentauth_cli.terms import AUTHS, KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping


def question(data: Mapping[str, Any], name_claims: Mapping[str, str]) -> Question:
    """Return the question that a JSON object asks; `name_claims` as `with_name` takes them.

    Raises ValueError saying what is missing, unknown or of the wrong type. Whether its names are
    well formed is for the evaluator to say.
    """
    found: list[Any] = []
    read = _REQUEST.read(data, (), found)
    if found:
        at, why = found[0]
        where = ".".join(str(part) for part in at)
        raise ValueError(f"{where}: {why}" if where else why)
    who, time = read["principal"], read["at"]
    try:
        age = who["session_age"]
        since = None if age is None else time - timedelta(seconds=age)
    except OverflowError:
        raise ValueError("principal.session_age: older than any date") from None
    principal = Principal(
        id=who["id"],
        name="",
        kind=who["kind"],
        auth=who["auth"],
        groups=who["groups"],
        claims=who["claims"],
        authenticated_at=since,
        actor=who["actor"],
    )
    return Question(
        with_name(principal, name_claims),
        read["action"],
        canonical(read["resource"], read["action"].partition(".")[0]),
        read["tool"],
        read["environment"],
        time,
    )


def moment(text: str) -> datetime:
    """Return the time of an RFC 3339 text. Raises ValueError."""
    try:
        return values.moment(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError("expected a date-time such as 2026-11-23T10:00:00Z") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a string")
    return value


def _moment(value: Any) -> datetime:
    return moment(_text(value))


def _groups(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("expected an array of strings")
    return tuple(_text(one) for one in value)


def _claims(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def _age(value: Any) -> int | None:
    return None if value is None else values.integer(value)


def _actor(value: Any) -> str | None:
    return None if value is None else _text(value)


_REQUEST = Table(
    {
        "principal": Key(
            Table(
                {
                    "id": Key(Value(_text), required=True),
                    "kind": Key(Value(values.Choice(*KINDS)), required=True),
                    "auth": Key(Value(values.Choice(*AUTHS)), required=True),
                    "groups": Key(Value(_groups), default=()),
                    "claims": Key(Value(_claims), default={}),
                    "session_age": Key(Value(_age)),
                    "actor": Key(Value(_actor)),
                }
            ),
            required=True,
        ),
        "action": Key(Value(_text), required=True),
        "resource": Key(Value(_text), required=True),
        "tool": Key(Value(_text), required=True),
        "environment": Key(Value(_text), required=True),
        "at": Key(Value(_moment), required=True),
    }
)
