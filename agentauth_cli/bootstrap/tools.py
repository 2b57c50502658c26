"""The tools of an environment, and what of their resources is known before anybody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.errors import ConfigError
from agentauth_cli.policy.names import VARIABLE

if TYPE_CHECKING:
    from agentauth_cli.config.settings import Settings
    from agentauth_cli.model import ProviderType
    from agentauth_cli.policy.matching import Template
    from agentauth_cli.policy.narrow import Tool


def tools_of(settings: Settings, environment: str, provider: ProviderType) -> list[Tool]:
    """Return the tools of a provider. Raises ConfigError where there is none."""
    found = [
        one
        for one in settings.every_tool()
        if one.environment == environment and one.provider is provider
    ]
    if not found:
        raise ConfigError(
            f"environment {environment} has no tool of {provider}", hint="Add one to [tools]"
        )
    return found


def runs(tool: Tool, resource: Template) -> tuple[str, ...]:
    """Return the text between the stars of a resource; VARIABLE is what each request fills in."""
    known = {"tool": tool.name, "environment": tool.environment, **tool.variables}
    return resource.fill(lambda name: known.get(name, VARIABLE)).runs


def anybodys(tool: Tool, resource: Template) -> str:
    """Return the resource up to the first text that each request fills in, a star for the rest."""
    head, variable, _ = "*".join(runs(tool, resource)).partition(VARIABLE)
    return f"{head}*" if variable else head
