"""`vend`: the whole flow, one credential on standard output."""

from __future__ import annotations

from typing import Annotated

import typer

from agentauth_cli.cli import vend_work
from agentauth_cli.cli.options import (
    Cost,
    Duration,
    Environment,
    Identity,
    Json,
    Model,
    Reason,
    Resource,
    Tokens,
    Tool,
)
from agentauth_cli.cli.quick import Words
from agentauth_cli.deliver import formats


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def vend(
        tool: Tool,
        *,
        env: Environment = None,
        identity: Identity = None,
        resource: Resource = None,
        duration: Duration = None,
        format_: Annotated[
            str, typer.Option("--format", metavar="F", help=" · ".join(formats.FORMATS))
        ] = "json",
        estimate_tokens: Tokens = None,
        estimate_cost: Cost = None,
        model: Model = None,
        reason: Reason = None,
        dry_run: Annotated[
            bool,
            typer.Option("--dry-run", help="Show what the provider would be asked; ask nothing."),
        ] = False,
        reveal: Annotated[
            bool, typer.Option("--reveal", help="Show the secrets on a terminal too.")
        ] = False,
        as_json: Json = False,  # else the form of errors, which is read where they end
    ) -> None:
        """Vend one credential for one tool."""
        vend_work.vend(
            Words(
                tool,
                env,
                identity,
                resource,
                duration,
                format_,
                estimate_tokens,
                estimate_cost,
                model,
                reason,
                dry_run=dry_run,
                reveal=reveal,
                as_json=as_json,
            )
        )
