"""`configure github`: the steps of a workflow with which a job of GitHub Actions asks agentauth."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.options import Environment, Json, Tool
from agentauth_cli.config.settings import KEYLESS
from agentauth_cli.errors import ConfigError, UsageError
from agentauth_cli.wiring import Wiring

PLATFORM = "github-actions"

_STEPS = """\
permissions:
  contents: read
  id-token: write  # lets the job ask GitHub who it is
steps:
  - uses: OWNER/agentauth@COMMIT  # the repository of this program, at a commit that you have read
    with:
      tool: {tool}
{environment}\
      config-dir: ".agentauth"  # where this configuration is in your repository
      config-ref: "main"  # not the branch of a pull request, which could edit the policy
      command: |  # without it, every step that follows gets the credential
        echo "$AGENTAUTH_LEASE ends at $AGENTAUTH_EXPIRATION"
"""


def declare(group: typer.Typer) -> None:
    """Add the command to the group `configure`."""

    @group.command()
    def github(
        tool: Tool,
        *,
        env: Environment = None,
        show: Annotated[
            bool, typer.Option("--print", help="Show the steps; they are yours to put in.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Show the steps of a workflow that vend a tool's credential."""
        if not show:
            raise UsageError(
                "agentauth writes no workflow", hint="Add --print, and put the steps into a job"
            )
        work(Wiring(say=screen.say), tool, env, as_json=as_json)


def work(wiring: Wiring, name: str, environment: str | None, *, as_json: bool) -> None:
    """Show the steps, and say what a job would miss.

    Raises what finding the tool raises, and ConfigError where no job of GitHub would be anybody.
    """
    tool = wiring.tool(name, environment)
    if not any(preset == PLATFORM for _, preset in wiring.settings.inbound.ambient):
        raise ConfigError(
            "no issuer stands for jobs of GitHub Actions",
            hint=f'Add [inbound.issuers.github] with `preset = "{PLATFORM}"`, '
            '`audience = "agentauth"`, `ambient = true` and '
            '`require = {repository_owner_id = "…"}`',
        )
    # A string of JSON is one of YAML too.
    named = "" if environment is None else f"      env: {json.dumps(environment)}\n"
    steps = _STEPS.format(tool=json.dumps(name), environment=named)
    if as_json:
        screen.out_json({"tool": name, "steps": steps})
    else:
        for line in steps.splitlines():
            screen.out(line)
    source = wiring.settings.provider(tool.provider, tool.environment, name)["source"]
    if source not in KEYLESS:
        screen.say(
            f"environments.{tool.environment}.{tool.provider}.source is {source!r}: a job has none "
            'such; "web_identity" needs no key'
        )
