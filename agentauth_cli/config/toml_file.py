"""A file of the configuration, rewritten: comments and order kept, in one step, under a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli import files
from agentauth_cli.config import places
from agentauth_cli.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tomlkit import TOMLDocument

    from agentauth_cli.tables.shape import Problem

EMPTY = "version = 1\n"


def rewrite(
    path: Path,
    read: Callable[[], str],
    change: Callable[[TOMLDocument], None],
    problems: Callable[[bytes], Sequence[Problem]],
) -> None:
    """Change the file; its folder is made where there is none.

    `read` returns what stands in it, called under the lock. Raises StateError where it cannot be
    written, or would not load any more; then nothing has changed.
    """
    import tomlkit

    places.make(path.parent)
    target = files.behind_links(path)  # the lock of all who reach it, by whichever link
    with files.lock(target.with_name(f".{target.name}.lock")):
        # tomlkit would write what is added into a last line that has no end.
        text = read().removesuffix("\n") + "\n"
        document = tomlkit.parse(text)
        change(document)
        changed = tomlkit.dumps(document)
        if problems(changed.encode()):
            raise StateError(f"{path} would not load with that change", hint="Mend it by hand")
        if changed != text:
            files.write(path, changed.encode())


def add(document: TOMLDocument, array: str, fields: Mapping[str, Any]) -> None:
    """Add an entry to an array of tables, in whichever of TOML's forms the array is written."""
    import tomlkit
    from tomlkit.items import Array

    gap = "" if tomlkit.dumps(document).endswith("\n\n") else "\n"
    found: Any = document.setdefault(array, tomlkit.aot())
    inline = isinstance(found, Array)
    entry = tomlkit.inline_table() if inline else tomlkit.table()
    entry.update(fields)
    if not inline:
        entry.trivia.indent = gap
    found.append(entry)
