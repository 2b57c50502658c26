"""What each file may hold, as a JSON Schema: shipped, and laid beside the files for editors.

A file names its schema by a path relative to itself: it is found without a network, on every
machine that the folder is brought to, by whichever version of the editor.
"""

from __future__ import annotations

from importlib import resources
from pathlib import PurePath
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.config import places
from agentauth_cli.errors import UnknownNameError
from agentauth_cli.tables.shape import MAX_BYTES, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FOLDER = "schemas"
NAMES = ("policy", "config", "budgets", "killswitch", "apikeys")


def shipped(file: str) -> str:
    """Return the schema of a file, which may be named with or without ``.toml``.

    Raises UnknownNameError with the nearest name.
    """
    name = file.removesuffix(".toml")
    if name not in NAMES:
        near = did_you_mean(name, NAMES)
        raise UnknownNameError(
            f"there is no schema of {file!r}{near}", hint=f"Known: {', '.join(NAMES)}"
        )
    return resources.files("agentauth_cli").joinpath(FOLDER, f"{name}.json").read_text()


def line(file: str) -> str:
    """Return the line at the top of a file by which editors find its schema."""
    return f"#:schema ./{FOLDER}/{PurePath(file).stem}.json\n"


def put(folder: Path, named: Iterable[str]) -> None:
    """Lay the schemas of these files beside them, where there are none yet.

    Raises StateError where they cannot be written.
    """
    places.make(folder / FOLDER)
    for file in named:
        path = folder / FOLDER / f"{PurePath(file).stem}.json"
        if not path.exists():
            files.write(path, shipped(file).encode(), new=True)


def outdated(folder: Path) -> list[str]:
    """Return which schemas beside the files are not those that are shipped.

    Raises ConfigError where one cannot be read.
    """
    found = []
    for name in NAMES:
        content = files.read(folder / FOLDER / f"{name}.json", limit=MAX_BYTES)
        if content is not None and content != shipped(name).encode():
            found.append(name)
    return found
