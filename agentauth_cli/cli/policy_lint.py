"""`policy lint`: everything that is wrong with the files, before they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.cli import screen
from agentauth_cli.config.reading import hidden_files, read_files, read_policy
from agentauth_cli.errors import ConfigError
from agentauth_cli.policy import rules
from agentauth_cli.policy.lint import Finding, warnings
from agentauth_cli.policy.testing import run
from agentauth_cli.tables.shape import Document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentauth_cli.config.reading import Files
    from agentauth_cli.tables.shape import Problem
    from agentauth_cli.wiring import Wiring

Placed = tuple[Finding, tuple[int, int]]
"""A warning, its line and column."""


def work(wiring: Wiring, paths: list[Path], *, as_json: bool) -> int:
    """Show all errors and warnings; return the exit code: 3 where there is an error."""
    if paths:
        found = read_files(paths)
        digest, problems = rules.digest(found), rules.load(found)[1]
    else:
        digest, problems = wiring.configuration.problems()
    warned = _warnings(wiring, paths)
    if as_json:
        errors = [_shape(one) for one in problems]
        told = [_warning_shape(one, *place) for one, place in warned]
        screen.out_json({"digest": digest, "errors": errors, "warnings": told})
    else:
        for one in problems:
            screen.out(str(one))
        for warning, (line, column) in warned:
            of = f" in {warning.rule!r}" if warning.rule else ""
            what = f"warning: {warning.name}{of}: {warning.message}"
            screen.out(f"{warning.file}:{line}:{column}: {what}")
        if not problems:
            screen.out(f"ok: policy {digest[:12]}")
    return ConfigError.exit_code if problems else 0


def _warnings(wiring: Wiring, paths: Sequence[Path]) -> list[Placed]:
    """Return all warnings; of a policy that does not load there are none but hidden files."""
    try:
        hidden = hidden_files(paths) if paths else wiring.configuration.hidden_policies()
        placed = [(Finding("hidden-file", one, (), "", "is passed over"), (1, 1)) for one in hidden]
    except ConfigError:
        return []
    try:
        policy, files = read_policy(paths) if paths else wiring.configuration.policy_with_files()
    except ConfigError:
        return placed
    environments, name_claims = _known(wiring)
    found = warnings(policy, environments, run(policy, name_claims))
    return [*placed, *_placed(found, files)]


def _known(wiring: Wiring) -> tuple[list[str], dict[str, str]]:
    """Return the environments and name claims of config.toml, none where it does not load."""
    try:
        return sorted(wiring.settings.environments), wiring.settings.name_claims
    except ConfigError:
        return [], {}


def _placed(found: list[Finding], files: Files) -> list[Placed]:
    """Return the warnings with their places, in the order of the files."""
    placed: list[Placed] = []
    for file, content in files:
        mine = [one for one in found if one.file == file]
        places = Document(file, content).places([one.at for one in mine])
        placed += sorted(zip(mine, places, strict=True), key=lambda one: one[1])
    return placed


def _warning_shape(one: Finding, line: int, column: int) -> dict[str, object]:
    return {
        "name": one.name,
        "file": one.file,
        "line": line,
        "column": column,
        "rule": one.rule,
        "message": one.message,
    }


def _shape(one: Problem) -> dict[str, object]:
    return {
        "file": one.file,
        "line": one.line,
        "column": one.column,
        "rule": one.entry,
        "key": one.key,
        "message": one.message,
    }
