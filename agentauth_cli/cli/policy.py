"""`policy`: what is wrong with the files, and what their tests say, before they are asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentauth_cli.cli import policy_test, screen
from agentauth_cli.cli.options import Json
from agentauth_cli.config.reading import read_files
from agentauth_cli.errors import ConfigError
from agentauth_cli.policy import rules
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from agentauth_cli.tables.shape import Problem

Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATH…]", help="Policy files that are not installed yet."),
]


def declare(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="The policy files.", no_args_is_help=True)
    app.add_typer(group, name="policy")

    @group.command()
    def lint(paths: Paths = None, *, as_json: Json = False) -> None:
        """List every error of the policy and the files beside it.

        With paths: every error of these policy files.
        """
        raise typer.Exit(work(Wiring(say=screen.say), paths or [], as_json=as_json))

    @group.command()
    def test(
        paths: Paths = None,
        *,
        coverage: Annotated[
            bool, typer.Option("--coverage", help="Show how many tests reach each rule.")
        ] = False,
        junit: Annotated[
            Path | None, typer.Option("--junit", metavar="FILE", help="Write a report for CI.")
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Run the tests that the policy files hold."""
        given = policy_test.Input(tuple(paths or ()), coverage, junit, as_json)
        raise typer.Exit(policy_test.work(Wiring(say=screen.say), given))


def work(wiring: Wiring, paths: list[Path], *, as_json: bool) -> int:
    """Show all errors; return the exit code: 3 where there is one."""
    if paths:
        found = read_files(paths)
        digest, problems = rules.digest(found), rules.load(found)[1]
    else:
        digest, problems = wiring.configuration.problems()
    if as_json:
        errors = [_shape(one) for one in problems]
        screen.out_json({"digest": digest, "errors": errors, "warnings": []})
    else:
        for one in problems:
            screen.out(str(one))
        if not problems:
            screen.out(f"ok: policy {digest[:12]}")
    return ConfigError.exit_code if problems else 0


def _shape(one: Problem) -> dict[str, object]:
    return {
        "file": one.file,
        "line": one.line,
        "column": one.column,
        "rule": one.entry,
        "key": one.key,
        "message": one.message,
    }
