"""The files that `init` writes: all that are judged good or none, never over what is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.config import places, schemas, settings
from agentauth_cli.config.reading import BUDGETS, POLICIES, POLICY
from agentauth_cli.errors import UsageError
from agentauth_cli.policy import budgets, rules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IGNORE = ".gitignore"


def judge(texts: Mapping[str, str], folder: Path) -> None:
    """Raise UsageError where what the options say does not make good files."""
    known, problems = settings.load(texts[settings.NAME].encode(), folder)
    tools = tuple(known.every_tool()) if known else ()
    problems += rules.load([(POLICY, texts[POLICY].encode())])[1]
    if BUDGETS in texts:
        problems += budgets.load(texts[BUDGETS].encode(), tools)[1]
    if problems:
        wrong = problems[0]
        raise UsageError(f"{wrong.key}: {wrong.message}", hint="Nothing was written")


def put(texts: Mapping[str, str], folder: Path) -> None:
    """Write all files into the folder, which is made, each with its schema for editors.

    Raises UsageError where one is there, also as a link that leads nowhere, or a `policy.d`: its
    rules would hold from now on.
    """
    there = [name for name in (*texts, POLICIES) if os.path.lexists(folder / name)]
    if there:
        raise UsageError(f"{folder / there[0]} is there already", hint="Nothing was written")
    places.make(folder)
    files.check_folder(folder)
    with files.lock(folder / ".init.lock"):
        for name, text in texts.items():
            files.write(folder / name, (schemas.line(name) + text).encode(), new=True)
        schemas.put(folder, texts)
        if not os.path.lexists(folder / IGNORE):
            files.write(folder / IGNORE, b"killswitch.toml\napikeys.toml\n.*.lock\n", new=True)
