"""apikeys.toml, rewritten. One that does not load is left as it is: it may hold every key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli import files
from agentauth_cli.config import toml_file
from agentauth_cli.inbound import apikeys
from agentauth_cli.inbound.apikeys import NAME
from agentauth_cli.tables.shape import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from tomlkit import TOMLDocument

    from agentauth_cli.inbound.apikey import ApiKey


def add(folder: Path, key: ApiKey, agreed: Callable[[Sequence[ApiKey]], None]) -> None:
    """Add a key.

    `agreed` gets the keys that there are, under the lock, before anything is written; what it
    raises leaves the file as it was. Raises ConfigError where the file does not load, StateError
    where it cannot be written.
    """

    def put(document: TOMLDocument) -> None:
        agreed(apikeys.load(document.as_string().encode()))
        toml_file.add(document, "key", _fields(key))

    _rewrite(folder, put)


def revoke(folder: Path, ids: Collection[str], now: datetime) -> None:
    """Mark these keys as revoked. Raises as `add`."""

    def mark(document: TOMLDocument) -> None:
        found: Any = document.get("key", [])
        for entry in found:
            if entry["id"] in ids and "revoked" not in entry:
                entry["revoked"] = now.replace(microsecond=0)

    _rewrite(folder, mark)


def _fields(key: ApiKey) -> dict[str, Any]:
    groups = {"groups": list(key.groups)} if key.groups else {}
    return {
        "id": key.id,
        "name": key.name,
        "kind": key.kind,
        **groups,
        "hash": key.hash,
        "created": key.created,
        "expires": key.expires,
    }


def _rewrite(folder: Path, change: Callable[[TOMLDocument], None]) -> None:
    path = folder / NAME

    def read() -> str:
        content = files.read(path, limit=MAX_BYTES)
        apikeys.load(content)  # raises where it does not load
        return toml_file.EMPTY if content is None else content.decode()

    toml_file.rewrite(path, read, change, apikeys.problems)
