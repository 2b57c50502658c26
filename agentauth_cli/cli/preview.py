"""`vend --dry-run`: what the provider would be asked, to the letter; nothing is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agentauth_cli.cli import screen
from agentauth_cli.vending import preview

if TYPE_CHECKING:
    from agentauth_cli.inbound.provider_token import Way
    from agentauth_cli.model import Preview
    from agentauth_cli.policy.narrow import Tool
    from agentauth_cli.vending import Asked
    from agentauth_cli.wiring import Wiring


def goes_round(key: str, provider: str) -> str:
    """Return the warning that this key of the configuration opens a way past agentauth."""
    return (
        f"{key}: whoever holds the presented token can go to {provider} without agentauth, "
        "past policy, budgets and audit"
    )


def asks_round(issuer: str, provider: str) -> str:
    """Return the warning that a job can fetch what the provider trusts, past agentauth."""
    return (
        f"inbound.issuers.{issuer}.ambient: whatever runs in a job can ask for the token that "
        f"{provider} trusts, past policy, budgets and audit; `exec` takes what asks from the child"
    )


def work(wiring: Wiring, given: Asked, *, as_json: bool) -> None:
    """Go the way of `check`; show the request that would be sent, and warn of what it cannot do.

    Raises what `vend` would raise until it reserves, and where no token could be had.
    """
    bounded, found = preview(wiring.parts(), given)
    tokens = wiring.tokens(given.tool.environment, given.tool.provider)
    way = tokens.way(bounded.narrowed.principal) if tokens else None
    warnings = []
    if way is not None and way.reused:
        key = f"environments.{given.tool.environment}.{given.tool.provider}.reuse_inbound"
        warnings.append(goes_round(key, given.tool.provider))
    if way is not None and way.job is not None:
        warnings.append(asks_round(way.job.issuer, given.tool.provider))
    told = shape(given.tool, found, way, warnings)
    if as_json:
        screen.out_json(told)
    else:
        _show(told)
    for warning in warnings:
        screen.say(f"warning: {warning}")


def shape(tool: Tool, found: Preview, way: Way | None, warnings: list[str]) -> dict[str, Any]:
    """Return the preview as `--json` shows it."""
    return {
        "version": 1,
        "tool": tool.name,
        "environment": tool.environment,
        "provider": tool.provider,
        "operation": found.operation,
        "endpoint": found.endpoint,
        "parameters": dict(found.parameters),
        "source": found.source,
        "audience": found.audience,
        "token": way and way.words,
        "unenforced": list(found.unenforced),
        "warnings": warnings,
    }


def _show(told: dict[str, Any]) -> None:
    screen.out(f"{told['operation']} at {told['endpoint']}")
    for name, value in told["parameters"].items():
        screen.out(f"  {name} = {value if isinstance(value, str | int) else json.dumps(value)}")
    screen.out(f"with: {told['source']}")
    if told["token"]:
        screen.out(f"token: for {told['audience']}, from {told['token']}")
    for one in told["unenforced"]:
        screen.out(f"not enforced by {told['provider']}: {one}")
