"""killswitch.toml, rewritten: comments and order kept, in one step, under a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli import files
from agentauth_cli.config import toml_file
from agentauth_cli.config.toml_file import EMPTY
from agentauth_cli.errors import ConfigError, StateError
from agentauth_cli.policy import switches
from agentauth_cli.policy.switches import NAME, Switch
from agentauth_cli.tables.shape import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from tomlkit import TOMLDocument


def turn_on(folder: Path, switch: Switch, now: datetime, say: Callable[[str], None]) -> None:
    """Add a switch, in place of one on the same name. Raises StateError where it cannot."""

    def add(document: TOMLDocument) -> None:
        _take_out(document, switch.target, switch.name)
        toml_file.add(document, "switch", _fields(switch))

    _rewrite(folder, add, now, say)


def turn_off(
    folder: Path, target: str, name: str, now: datetime, say: Callable[[str], None]
) -> bool:
    """Take a switch out; say whether it was there. Raises StateError where it cannot be written."""
    gone = False

    def remove(document: TOMLDocument) -> None:
        nonlocal gone
        gone = _take_out(document, target, name)

    _rewrite(folder, remove, now, say)
    return gone


def same(target: str, name: str, other: Switch) -> bool:
    """Say whether both mean the same; a principal without a slash is one of any issuer."""
    if target != other.target:
        return False
    if target != "principal":
        return name == other.name
    both = (switches.principal_pattern(one).text for one in (name, other.name))
    return len(set(both)) == 1


def _take_out(document: TOMLDocument, target: str, name: str) -> bool:
    found: Any = document.get("switch", [])
    doomed = [
        one for one in found if same(target, name, Switch(one["target"], one.get("name", "")))
    ]
    for one in doomed:
        found.remove(one)
    if doomed and not found:
        del document["switch"]
    return bool(doomed)


def _fields(switch: Switch) -> dict[str, Any]:
    keys = ("target", "name", "reason", "by", "at", "until")
    return {key: value for key in keys if (value := getattr(switch, key))}


def _rewrite(
    folder: Path,
    change: Callable[[TOMLDocument], None],
    now: datetime,
    say: Callable[[str], None],
) -> None:
    path = folder / NAME
    toml_file.rewrite(path, lambda: _text(path, now, say), change, switches.problems)


def _text(path: Path, now: datetime, say: Callable[[str], None]) -> str:
    """Return what stands in the file; one that does not load is put aside and begun anew."""
    try:
        content = files.read(path, limit=MAX_BYTES)
        if content is None:
            return EMPTY
        if not switches.problems(content):
            return content.decode()
    except ConfigError as error:
        say(f"{path}: {error.message}")
    first = kept = path.with_name(f"{NAME}.broken-{now:%Y%m%dT%H%M%SZ}")
    again = 1
    while kept.exists():
        again += 1
        kept = first.with_name(f"{first.name}-{again}")
    try:
        path.rename(kept)
    except OSError as error:
        raise StateError(f"{path} cannot be put aside: {error.strerror}") from None
    say(
        f"{path} did not load: kept as {kept.name}; switches that stood only there are not in force"
    )
    return EMPTY
