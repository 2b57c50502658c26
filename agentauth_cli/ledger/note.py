"""ledgers.toml: which ledger belongs to which configuration on this machine.

A ledger that vanished is no fresh budget: the note tells that there was one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.errors import ConfigError, StateError
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import MAX_BYTES, Document, Key, ListOf, Table, Value

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

FILE = "ledgers.toml"

SHAPE = Table(
    {
        "version": Key(Value(values.version), required=True),
        "ledger": Key(
            ListOf(
                Table(
                    {
                        "config": Key(Value(values.text), required=True),
                        "id": Key(Value(values.text), required=True),
                        "kind": Key(Value(values.Choice("sqlite", "postgresql")), required=True),
                        "created": Key(Value(values.moment), required=True),
                    }
                )
            ),
            default=(),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Note:
    """The ledger of one configuration."""

    config: str
    id: str
    kind: str
    created: datetime


def find(data: Path, config: Path, say: Callable[[str], None]) -> Note | None:
    """Return the note of this configuration folder, None where there is none yet.

    Raises ConfigError where the file does not load.
    """
    content = files.read(data / FILE, limit=MAX_BYTES, private=True, say=say)
    if content is None:
        return None
    document = Document(FILE, content)
    entries = document.read(SHAPE).get("ledger") or ()
    if problems := document.problems():
        raise ConfigError(str(problems[0]), hint=f"Mend {data / FILE}", problems=problems)
    return next((Note(**one) for one in entries if one["config"] == str(config)), None)


def remember(data: Path, note: Note) -> None:
    """Write the note, in place of one that this configuration had. Raises StateError.

    The file has been read by `find`, so that it is known to load.
    """
    import tomlkit
    from tomlkit.items import Array

    path = data / FILE
    content = files.read(path, limit=MAX_BYTES, private=True) or b"version = 1\n"
    # tomlkit would write the next table into a last line that has no end.
    document = tomlkit.parse(content.decode().removesuffix("\n") + "\n")
    ledgers = document.setdefault("ledger", tomlkit.aot())
    for entry in [one for one in ledgers if one["config"] == note.config]:
        ledgers.remove(entry)
    entry = tomlkit.inline_table() if isinstance(ledgers, Array) else tomlkit.table()
    entry.update({"config": note.config, "id": note.id, "kind": note.kind})
    entry["created"] = note.created
    ledgers.append(entry)
    made = tomlkit.dumps(document).encode()
    judged = Document(FILE, made)
    judged.read(SHAPE)
    if problems := judged.problems():
        raise StateError(f"{path} would not load with the note in it: {problems[0]}")
    files.write(path, made)
