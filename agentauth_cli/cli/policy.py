"""`policy`: what is wrong with the files, and what their tests say, before they are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentauth_cli.cli import policy_fmt, policy_lint, policy_schema, policy_test, screen
from agentauth_cli.cli.options import Json
from agentauth_cli.wiring import Wiring

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
        """List errors and warnings of the policy and the files beside it.

        With paths: those of these policy files.
        """
        raise typer.Exit(policy_lint.work(Wiring(say=screen.say), paths or [], as_json=as_json))

    @group.command()
    def test(
        paths: Paths = None,
        *,
        coverage: Annotated[
            bool, typer.Option("--coverage", help="Show which rules and conditions none reaches.")
        ] = False,
        junit: Annotated[
            Path | None, typer.Option("--junit", metavar="FILE", help="Write a report for CI.")
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Run the tests that the policy files hold.

        With --coverage: how many answers name each rule, limits that it sets included; the
        conditions that lack a test in which they hold, or one in which they alone fail (all else
        of the rule matches both times); rules that no request can reach, where that is sure.
        """
        given = policy_test.Input(tuple(paths or ()), coverage, junit, as_json)
        raise typer.Exit(policy_test.work(Wiring(say=screen.say), given))

    @group.command()
    def fmt(
        paths: Paths = None,
        *,
        check: Annotated[
            bool, typer.Option("--check", help="Change nothing; exit 1 where it would.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Write the policy files in one style; comments are kept."""
        wiring = Wiring(say=screen.say)
        raise typer.Exit(policy_fmt.work(wiring, paths or [], check=check, as_json=as_json))

    @group.command()
    def schema(
        file: Annotated[
            str,
            typer.Argument(metavar="FILE", help="policy, config, budgets, killswitch or apikeys."),
        ] = "policy",
    ) -> None:
        """Print the JSON Schema of a file, for editors."""
        policy_schema.work(file)
