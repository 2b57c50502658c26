"""The options that several commands share, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

from agentauth_cli.errors import UsageError
from agentauth_cli.inbound import session
from agentauth_cli.policy.usage import model_name


def identity_name(value: str | None) -> str | None:
    """Return the name of an identity. Raises UsageError for what cannot be one."""
    try:
        return None if value is None else session.name(value)
    except ValueError as error:
        raise UsageError(f"an identity: {error}") from None


def model(value: str | None) -> str | None:
    """Return the name of a model. Raises UsageError for what cannot be one."""
    return None if value is None else model_name(value)


Json = Annotated[bool, typer.Option("--json", help="Show the result as JSON.")]
Environment = Annotated[
    str | None,
    typer.Option("--env", metavar="NAME", help="The environment; else AGENTAUTH_ENV, the default."),
]
Identity = Annotated[
    str | None,
    typer.Option(
        "--identity",
        metavar="NAME",
        callback=identity_name,
        help="The login to use; else AGENTAUTH_IDENTITY, `default`.",
    ),
]
Tool = Annotated[str, typer.Argument(metavar="TOOL", help="A tool of config.toml.")]
Resource = Annotated[
    str | None,
    typer.Option("--resource", metavar="R", help="A part of the tool's resource."),
]
Duration = Annotated[
    str | None, typer.Option("--duration", metavar="D", help="How long it may live: 900s, 15m, 1h.")
]
Tokens = Annotated[
    int | None,
    typer.Option("--estimate-tokens", metavar="N", min=0, help="Tokens that this will take."),
]
Cost = Annotated[
    str | None,
    typer.Option("--estimate-cost", metavar="C", help="USD that this will cost: 0.50."),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="M", callback=model, help="The model that is used."),
]
WithOthers = Annotated[
    bool,
    typer.Option(
        "--with-others",
        help="Also what ends only with others: every session of an AWS role, whoever has it.",
    ),
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the audit trail.")
]
