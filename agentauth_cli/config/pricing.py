"""The price table as a file: the one that this program came with, or the one made since."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from importlib import resources
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.config import genai
from agentauth_cli.errors import StateError
from agentauth_cli.policy.prices import PriceTable, load
from agentauth_cli.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "prices.json"
MAX_BYTES = 16 * 1024 * 1024


def shipped() -> PriceTable:
    """Return the table that this program came with."""
    content = resources.files("agentauth_cli.policy").joinpath(NAME).read_bytes()
    return _from(load(parse_object(content)), "shipped")


def _from(found: PriceTable, where: str) -> PriceTable:
    return replace(found, source=f"{found.source}, {where}")


def table(state: Path, say: Callable[[str], None]) -> PriceTable:
    """Return the newer one of the table that was made, in the state folder, and the shipped one.

    Raises StateError for one that is damaged, UnsafeFileError for one that others could have
    written: the shipped one does not take its place, since it may ask for less.
    """
    path = state / NAME
    content = files.read(path, limit=MAX_BYTES, private=True, say=say)
    if content is None:
        return shipped()
    try:
        made = _from(load(parse_object(content)), str(path))
    except ValueError as error:
        raise StateError(
            f"{path} is no price table: {error}",
            hint="Make it anew: `agentauth budget prices --update`, or remove it",
        ) from None
    return max(made, shipped(), key=lambda one: date.fromisoformat(one.as_of))


def update(state: Path, today: date) -> None:
    """Make the table anew from the installed `genai-prices`. Raises ConfigError, StateError."""
    content = genai.compiled(today)
    files.write(files.private_folder(state) / NAME, content)
