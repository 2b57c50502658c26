"""The files of one configuration folder, read when they are needed."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from agentauth_cli import files
from agentauth_cli.config import compiled, settings
from agentauth_cli.errors import (
    ConfigError,
    NotConfiguredError,
    PolicyMissingError,
    SwitchFileError,
)
from agentauth_cli.inbound import apikeys
from agentauth_cli.policy import budgets, rules, switches
from agentauth_cli.policy.blocks import Blocks
from agentauth_cli.policy.packed import Policy
from agentauth_cli.tables.shape import MAX_BYTES, Problem, first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.apikey import ApiKey
    from agentauth_cli.policy.budgets import Budget
    from agentauth_cli.policy.prices import Price
    from agentauth_cli.policy.switches import Switch

    Reading = Callable[[str], AbstractContextManager[object]]

T = TypeVar("T")
Files = list[tuple[str, bytes]]
"""Policy files in order: name and content."""

POLICY = compiled.POLICY
POLICIES = compiled.POLICIES
BUDGETS = "budgets.toml"
SWITCHES = "killswitch.toml"
_LIMIT = MAX_BYTES + 1  # so that a file over the limit is an error of the file, with its name


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration folder. Every method raises ConfigError where a file does not load.

    `state` is where the compiled policy is kept; None for nowhere.
    """

    folder: Path
    state: Path | None = None

    def settings(self) -> Settings:
        """Read config.toml. Raises NotConfiguredError where there is none."""
        files.check_folder(self.folder)
        content = self._read(settings.NAME)
        if content is None:
            raise NotConfiguredError(f"there is no {self.folder / settings.NAME}")
        found, problems = settings.load(content, self.folder)
        return _loaded(found, problems)

    def policy(self) -> Policy:
        """Read the policy, or what was compiled from it.

        Raises PolicyMissingError where there is none.
        """
        known = compiled.sources(str(self.folder))
        if self.state is not None and known is not None:
            found = compiled.find(str(self.state), known, self._again)
            if found is not None:
                return found
        return Policy(Blocks(self._compile(known)))

    def _compile(self, known: compiled.Sources | None) -> bytes:
        """Return the policy's bytes, and keep them where nothing changed while they were read."""
        found, problems = self._there()
        content, _, more = rules.read(found, known or ())
        whole = _loaded(content, [*problems, *more])
        if self.state is not None and known and compiled.sources(str(self.folder)) == known:
            compiled.keep(str(self.state), whole, known)
        return whole

    def _again(self, digest: str) -> bytes:
        """Return the bytes of the policy that had this digest, from its sources."""
        whole = self._compile(compiled.sources(str(self.folder)))
        if Policy(Blocks(whole)).digest != digest:
            raise ConfigError("the policy was changed while it was asked", hint="Ask again")
        return whole

    def policy_with_files(self) -> tuple[Policy, Files]:
        """Read the files, tests included, and return name and content of each too.

        Raises as `policy`.
        """
        found, problems = self._there()
        policy, more = rules.load(found)
        return _loaded(policy, [*problems, *more]), found

    def _there(self) -> tuple[Files, list[Problem]]:
        found, problems = self.policy_files()
        if not found and not problems:
            raise PolicyMissingError(f"there is no {self.folder / POLICY}: everything is denied")
        return found, problems

    def policy_files(self) -> tuple[Files, list[Problem]]:
        """Return name and content of each policy file in order, and what cannot be one.

        Raises ConfigError for the first that cannot be read.
        """
        return self._policy_files(lambda _: contextlib.nullcontext())

    def _policy_files(self, reading: Reading) -> tuple[Files, list[Problem]]:
        """Return the policy files; `reading` is the context in which each is read, by its name."""
        found: Files = []
        problems: list[Problem] = []
        names: list[str] = []
        absent = False
        with reading(POLICY):
            whole = self._read(POLICY)
            absent = whole is None
            if whole is not None:
                found.append((POLICY, whole))
        with reading(POLICIES):
            names = self._policy_names()
        if names and absent:
            problems.append(Problem(POLICIES, (), f"needs {POLICY} beside it", "", 1, 1))
        for name in names:
            file = f"{POLICIES}/{name}"
            readable = name.endswith(".toml") and _is_utf8(name)
            with reading(file):
                content = self._read(file) if readable else None
                if content is None:
                    why = "only .toml files with a name in UTF-8 may lie here"
                    problems.append(Problem(file, (), why, "", 1, 1))
                else:
                    found.append((file, content))
        return found, problems

    def hidden_policies(self) -> list[str]:
        """Return the hidden .toml files of policy.d, which are passed over."""
        hidden = [one for one in self._names_in_policies() if one.startswith(".")]
        return [f"{POLICIES}/{one}" for one in hidden if one.endswith(".toml")]

    def _policy_names(self) -> list[str]:
        return [one for one in self._names_in_policies() if not one.startswith(".")]

    def _names_in_policies(self) -> list[str]:
        folder = self.folder / POLICIES
        files.check_folder(folder)
        try:
            names = [entry.name for entry in folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{folder} cannot be read: {error.strerror}") from None
        return sorted(names, key=os.fsencode)

    def budgets(self, known: Settings) -> tuple[Budget, ...] | None:
        """Read budgets.toml, None where there is none."""
        content = self._read(BUDGETS)
        if content is None:
            return None
        found, problems = budgets.load(content, tuple(known.every_tool()))
        return _loaded(found, problems)

    def own_prices(self) -> Mapping[str, Price]:
        """Return the [prices] of budgets.toml, by name."""
        content = self._read(BUDGETS)
        if content is None:
            return {}
        _loaded(*budgets.load(content, ()))
        return budgets.own_prices(content)

    def switches(self) -> tuple[Switch, ...]:
        """Read killswitch.toml. Raises SwitchFileError: what cannot be read stops everything."""
        try:
            return switches.load(self._read(SWITCHES))
        except ConfigError as error:
            raise SwitchFileError(error.message, hint=error.hint) from None

    def api_keys(self) -> tuple[ApiKey, ...]:
        """Read apikeys.toml; no file is no key."""
        return apikeys.load(self._read(apikeys.NAME))

    def problems(self) -> tuple[str, list[Problem]]:
        """Return the policy's digest and all that is wrong with any file, each file by itself."""
        found: Files = []
        problems: list[Problem] = []
        known = None
        with _listed(problems, str(self.folder)):
            files.check_folder(self.folder)
        unread: list[Problem] = []
        found, more = self._policy_files(lambda file: _listed(unread, file))
        problems += [*unread, *more, *rules.load(found)[1]]
        if not found and not more and not unread:
            problems.append(Problem(POLICY, (), "is missing: everything is denied", "", 1, 1))
        with _listed(problems, settings.NAME):
            if (content := self._read(settings.NAME)) is not None:
                known, more = settings.load(content, self.folder)
                problems += more
        with _listed(problems, BUDGETS):
            if (content := self._read(BUDGETS)) is not None:
                tools = tuple(known.every_tool()) if known else ()
                problems += budgets.load(content, tools)[1]
        with _listed(problems, SWITCHES):
            if (content := self._read(SWITCHES)) is not None:
                problems += switches.problems(content)
        with _listed(problems, apikeys.NAME):
            if (content := self._read(apikeys.NAME)) is not None:
                problems += apikeys.problems(content)
        return rules.digest(found), problems

    def _read(self, name: str) -> bytes | None:
        return files.read(self.folder / name, limit=_LIMIT)


@contextlib.contextmanager
def _listed(problems: list[Problem], file: str) -> Iterator[None]:
    """List what keeps a file from being read, so that the others are looked at all the same."""
    try:
        yield
    except ConfigError as error:
        problems.append(Problem(file, (), f"{error.message}. {error.hint}", "", 1, 1))


def read_files(paths: Sequence[Path]) -> Files:
    """Read policy files that are not installed yet; a folder stands for its .toml files.

    Hidden ones are passed over, as they are where they are installed.

    Raises ConfigError for a path that is not there or cannot be read.
    """
    found = []
    for path in paths:
        for one in _inside(path):
            content = files.read(one, limit=_LIMIT)
            if content is None:
                raise ConfigError(f"there is no {one}", hint="Check the path")
            if not _is_utf8(str(one)):
                raise ConfigError(f"the name {one} is not UTF-8", hint="Give it another")
            found.append((str(one), content))
    return found


def read_policy(paths: Sequence[Path]) -> tuple[Policy, Files]:
    """Read a policy that is not installed yet. Raises ConfigError where it does not load."""
    found = read_files(paths)
    return _loaded(*rules.load(found)), found


def hidden_files(paths: Sequence[Path]) -> list[str]:
    """Return the hidden .toml files in these folders. Raises ConfigError."""
    return [str(one) for path in paths for one in _inside(path, hidden=True)]


def _inside(path: Path, *, hidden: bool = False) -> list[Path]:
    try:
        inside = [one for one in path.iterdir() if one.name.endswith(".toml")]
        return sorted(one for one in inside if one.name.startswith(".") is hidden)
    except (FileNotFoundError, NotADirectoryError):
        return [] if hidden else [path]
    except OSError as error:
        why = f"{path} cannot be read: {error.strerror}"
        raise ConfigError(why, hint="Check the path") from None


def _is_utf8(name: str) -> bool:
    """Say whether the name can stand in the policy's digest."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _loaded(found: T | None, problems: Sequence[Problem]) -> T:
    if problems or found is None:
        raise ConfigError(first_of(problems), problems=problems)
    return found
