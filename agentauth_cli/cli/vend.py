"""`vend`: the whole flow, one credential on standard output."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agentauth_cli.cli import preview, screen
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
from agentauth_cli.deliver import formats, github, stdout
from agentauth_cli.errors import UsageError
from agentauth_cli.policy.charges import Stated
from agentauth_cli.secret import MASK
from agentauth_cli.tables import values
from agentauth_cli.vending import Asked, Vended
from agentauth_cli.vending import vend as go
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


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
        formats.check(format_)
        wiring = Wiring(say=screen.say, chosen=identity)
        given = asked(
            wiring, tool, env, resource, duration, estimate_tokens, estimate_cost, model, reason
        )
        if dry_run:
            preview.work(wiring, given, as_json=as_json)
        else:
            work(wiring, VendInput(given, format_, reveal=reveal))


@dataclass(frozen=True)
class VendInput:
    """What is asked for, and how it is shown."""

    asked: Asked
    format: str
    reveal: bool


def asked(
    wiring: Wiring,
    tool: str,
    environment: str | None,
    resource: str | None,
    duration: str | None,
    tokens: int | None,
    cost: str | None,
    model: str | None,
    reason: str | None,
    delivery: str = "stdout",
) -> Asked:
    """Return what the options ask for. Raises UsageError, and what finding the tool raises."""
    seconds = parsed("--duration", values.duration, duration)
    stated = Stated(
        seconds,
        parsed("--estimate-tokens", values.tokens, tokens),
        parsed("--estimate-cost", values.cost, cost),
        model,
        reason,
    )
    return wiring.asked(tool, environment, stated, resource, delivery)


def parsed(option: str, parse: Callable[[T], int], given: T | None) -> int | None:
    """Return what an option says, None where it is not given. Raises UsageError."""
    try:
        return None if given is None else parse(given)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def work(wiring: Wiring, given: VendInput) -> None:
    """Vend, and write the credential in its format."""
    render = formats.named(given.format, given.asked.tool.provider)
    file = github.file(wiring.environ) if given.format == "github" else None
    show = given.reveal or not screen.is_terminal(sys.stdout)

    def deliver(vended: Vended) -> None:
        if show:
            stdout.write(render(vended))
        else:
            hidden = replace(vended.credential, credentials=formats.masked(vended.credential))
            text = render(replace(vended, credential=hidden))
            stdout.write(text.replace(json.dumps(MASK)[1:-1], MASK))
        if file is not None:
            github.append(file, vended.credential)

    vended = go(wiring.parts(), given.asked, deliver)
    if not show:
        screen.say("secrets are hidden on a terminal: use --reveal, or a pipe")
    say_cut(vended, given.asked.stated)


def say_cut(vended: Vended, stated: Stated) -> None:
    """Say where a credential lives shorter than was asked for."""
    cut, wanted = vended.bounded.duration, stated.duration
    if wanted is not None and wanted > cut:
        screen.say(f"asked for {wanted} s, cut to {cut} s: the limit of tool, policy or login")
