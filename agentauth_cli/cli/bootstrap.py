"""`bootstrap`: the provider's side of this configuration, for the provider's own tools to apply."""

from __future__ import annotations

from typing import Annotated

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.options import Environment
from agentauth_cli.errors import UsageError
from agentauth_cli.wiring import Wiring

_TERRAFORM = "terraform"
_AWS = (_TERRAFORM, "cloudformation")
_GCP = (_TERRAFORM, "gcloud")


def declare(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Show what has to be there at a provider.", no_args_is_help=True)
    app.add_typer(group, name="bootstrap")

    @group.callback()
    def root() -> None:
        """Show what has to be there at a provider, as Terraform or the like; nothing is applied."""

    @group.command()
    def aws(
        *,
        env: Environment = None,
        format_: Annotated[
            str, typer.Option("--format", metavar="F", help=" · ".join(_AWS))
        ] = _TERRAFORM,
    ) -> None:
        """Show the roles, who they trust, and what bounds them."""
        for_aws(Wiring(say=screen.say), env, _one_of(format_, _AWS))

    @group.command()
    def gcp(
        *,
        env: Environment = None,
        format_: Annotated[
            str, typer.Option("--format", metavar="F", help=" · ".join(_GCP))
        ] = _TERRAFORM,
    ) -> None:
        """Show the pool, the accounts, and who may be them."""
        for_gcp(Wiring(say=screen.say), env, _one_of(format_, _GCP))

    @group.command()
    def openai(*, env: Environment = None) -> None:
        """Show the steps: accounts, rules, spend limit."""
        for_openai(Wiring(say=screen.say), env)

    @group.command()
    def huggingface(*, env: Environment = None) -> None:
        """Show the trusted publishers, field by field."""
        for_huggingface(Wiring(say=screen.say), env)


def for_aws(wiring: Wiring, environment: str | None, form: str) -> None:
    """Show AWS's side of an environment. Raises ConfigError, UnknownNameError."""
    from agentauth_cli.bootstrap.aws import plan
    from agentauth_cli.bootstrap.aws_cloudformation import cloudformation
    from agentauth_cli.bootstrap.aws_terraform import terraform

    found = plan(wiring.settings, wiring.environment(environment))
    show(terraform(found) if form == _TERRAFORM else cloudformation(found))


def for_gcp(wiring: Wiring, environment: str | None, form: str) -> None:
    """Show Google's side of an environment. Raises ConfigError, UnknownNameError."""
    from agentauth_cli.bootstrap.gcp import plan
    from agentauth_cli.bootstrap.gcp_gcloud import gcloud
    from agentauth_cli.bootstrap.gcp_terraform import terraform

    found = plan(wiring.settings, wiring.environment(environment))
    show(terraform(found) if form == _TERRAFORM else gcloud(found))


def for_openai(wiring: Wiring, environment: str | None) -> None:
    """Show OpenAI's side of an environment. Raises ConfigError, UnknownNameError."""
    from agentauth_cli.bootstrap.openai import steps

    settings = wiring.settings
    budgets = wiring.configuration.budgets(settings) or ()
    show(steps(settings, wiring.environment(environment), budgets))


def for_huggingface(wiring: Wiring, environment: str | None) -> None:
    """Show Hugging Face's side of an environment. Raises ConfigError, UnknownNameError."""
    from agentauth_cli.bootstrap.huggingface import steps

    show(steps(wiring.settings, wiring.environment(environment)))


def show(text: str) -> None:
    """Write a whole file as the result."""
    for line in text.removesuffix("\n").split("\n"):
        screen.out(line)


def _one_of(form: str, known: tuple[str, ...]) -> str:
    if form not in known:
        raise UsageError(f"there is no format {form!r}", hint=f"One of {', '.join(known)}")
    return form
