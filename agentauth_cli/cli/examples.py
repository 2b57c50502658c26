"""`init --example`: whole configurations to begin with, which lie beside the program as files.

The head of an example's config.toml says in its first line what it is for, then what is to be
replaced in the files, and what to run next: what is shown is read from there.
"""

from __future__ import annotations

import importlib.resources
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.cli import init_files, screen
from agentauth_cli.config import settings
from agentauth_cli.config.reading import BUDGETS, POLICY
from agentauth_cli.errors import UnknownNameError, UsageError
from agentauth_cli.inbound import os_account
from agentauth_cli.policy.variables import values
from agentauth_cli.tables.shape import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.model import Principal
    from agentauth_cli.wiring import Wiring

LIST = "list"
"""Given for a name, it shows them all."""

LOGIN = "your-login"
"""Stands in the files for the name of whoever runs `init`."""

_FILES = (settings.NAME, POLICY, BUDGETS)
_REPLACE = re.compile(r"^#   (\S+)  +(\S.*)$", re.MULTILINE)
_THEN = re.compile(r"^#   (agentauth .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """Some files, config.toml first."""

    name: str
    texts: Mapping[str, str]

    @property
    def about(self) -> str:
        """What it is for, in a line."""
        return self._head.partition("\n")[0].removeprefix("# ")

    @property
    def replace(self) -> dict[str, str]:
        """What stands in the files for something of one's own, and for what."""
        return dict(_REPLACE.findall(self._head))

    @property
    def then(self) -> list[str]:
        """The commands that come next."""
        return _THEN.findall(self._head)

    @property
    def _head(self) -> str:
        return self.texts[settings.NAME].partition("\nversion")[0]

    def holding(self, placeholder: str) -> list[str]:
        """Return the files in which a placeholder stands, comments aside."""
        lines = ((name, line) for name, text in self.texts.items() for line in text.splitlines())
        found = (name for name, line in lines if placeholder in line and not line.startswith("#"))
        return list(dict.fromkeys(found))

    def of(self, who: Principal) -> Example:
        """Return it with the name of who runs `init`. Raises UsageError where it cannot be put in.

        A name that no resource may hold could also mean something in a pattern.
        """
        if not any(LOGIN in text for text in self.texts.values()):
            return self
        try:
            name = values(who, "", "")("principal.name")
        except ValueError:
            why = f"the login {who.name!r} cannot stand in a resource"
            raise UsageError(why, hint="Take another example: agent-team, ci-deploy") from None
        texts = {file: text.replace(LOGIN, name) for file, text in self.texts.items()}
        return Example(self.name, texts)


def names() -> list[str]:
    """Return the names of all examples."""
    return sorted(one.name for one in _folder().iterdir() if one.is_dir())


def example(name: str) -> Example:
    """Return an example as it lies beside the program. Raises UnknownNameError."""
    known = names()
    if name not in known:
        near = did_you_mean(name, known)
        raise UnknownNameError(
            f"there is no example {name!r}{near}", hint=f"Known: {', '.join(known)}"
        )
    found = {file: _folder() / name / file for file in _FILES}
    texts = {file: one.read_text("utf-8") for file, one in found.items() if one.is_file()}
    return Example(name, texts)


def _folder() -> importlib.resources.abc.Traversable:
    return importlib.resources.files("agentauth_cli") / "examples"


def work(wiring: Wiring, name: str, *, as_json: bool) -> None:
    """Write an example's files, or show what examples there are."""
    if name == LIST:
        _show_all(as_json=as_json)
        return
    who = os_account.authenticate({})
    found = example(name).of(who)
    folder = wiring.places.config
    init_files.judge(found.texts, folder)
    init_files.put(found.texts, folder)
    if as_json:
        screen.out_json({"folder": str(folder), "principal": who.id, **shape(found)})
        return
    screen.out(f"written to {folder}: {', '.join(found.texts)}")
    screen.out("")
    screen.out("# to be replaced, wherever it stands:")
    rows = [(one, meaning, ", ".join(found.holding(one))) for one, meaning in found.replace.items()]
    screen.columns(rows)
    screen.out("")
    screen.out("# then:")
    for command in found.then:
        screen.out(command)


def _show_all(*, as_json: bool) -> None:
    found = [example(name) for name in names()]
    if as_json:
        told = [{"name": one.name, "about": one.about} for one in found]
        screen.out_json({"examples": told})
        return
    screen.columns([(one.name, one.about) for one in found])


def shape(found: Example) -> dict[str, object]:
    """Return an example as `--json` shows it."""
    return {
        "example": found.name,
        "files": list(found.texts),
        "replace": [
            {"placeholder": one, "meaning": meaning, "files": found.holding(one)}
            for one, meaning in found.replace.items()
        ],
        "commands": found.then,
    }
