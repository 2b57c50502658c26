"""apikeys.toml: what it may hold, and the keys that it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ConfigError
from agentauth_cli.inbound.apikey import HASH, ID, ApiKey
from agentauth_cli.inbound.claims import text_fault
from agentauth_cli.policy.names import SHORT
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Document, Key, ListOf, Problem, Table, Value, first_of
from agentauth_cli.terms import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentauth_cli.tables.shape import At

NAME = "apikeys.toml"


def load(content: bytes | None) -> tuple[ApiKey, ...]:
    """Read the keys; no file is no key. Raises ConfigError."""
    if content is None:
        return ()
    document = Document(NAME, content)
    entries = document.read(FILE).get("key") or ()
    if found := document.problems():
        raise ConfigError(first_of(found), problems=found)
    return tuple(ApiKey(**entry) for entry in entries)


def problems(content: bytes) -> list[Problem]:
    """Return all that is wrong with the file."""
    document = Document(NAME, content)
    document.read(FILE)
    return document.problems()


def subject(value: Any) -> str:
    """Return a key's name, which becomes its principal's subject. Raises ValueError."""
    if not isinstance(value, str) or not SHORT.fullmatch(value) or value in (".", ".."):
        raise ValueError("expected a name of A-Z a-z 0-9 . _ -, 1 to 64 long")
    return value


def group(value: Any) -> str:
    """Return a group, as any issuer may name one. Raises ValueError."""
    fault = text_fault(value)
    if fault is not None:
        raise ValueError(f"a group that {fault}")
    return str(value)


def _ordered(key: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    if key["expires"] <= key["created"]:
        return [("expires", "is not after `created`")]
    return []


def _distinct(file: Mapping[str, Any]) -> Iterator[tuple[At, str]]:
    seen = set()
    for i, entry in enumerate(file["key"]):
        if entry["id"] in seen:
            yield ("key", i, "id"), f"duplicate id {entry['id']!r}"
        seen.add(entry["id"])


FILE = Table(
    {
        "version": Key(Value(values.version), required=True),
        "key": Key(
            ListOf(
                Table(
                    {
                        "id": Key(
                            Value(values.Form(ID, "8 characters 0-9 A-Z a-z")), required=True
                        ),
                        "name": Key(Value(subject), required=True),
                        "kind": Key(Value(values.Choice(*KINDS)), required=True),
                        "groups": Key(ListOf(Value(group)), default=()),
                        "hash": Key(
                            Value(values.Form(HASH, '"sha256:" and 64 hexadecimal digits')),
                            required=True,
                        ),
                        "created": Key(Value(values.moment), required=True),
                        "expires": Key(Value(values.moment), required=True),
                        "revoked": Key(Value(values.moment)),
                    },
                    check=_ordered,
                )
            ),
            default=(),
        ),
    },
    check=_distinct,
)
