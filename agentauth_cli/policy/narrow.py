"""From a tool as it is configured to the exact request: variables in, resource within."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agentauth_cli.model import Grant, Principal, ProviderType, Question
from agentauth_cli.policy.variables import values
from agentauth_cli.policy.wellformed import malformed_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.policy.matching import Template

_S3 = "s3://"
_S3_ARN = "arn:aws:s3:::"


@dataclass(frozen=True, slots=True)
class ToolGrant:
    """A grant as configured: `resource` is an exact name or a scope, with variables."""

    actions: tuple[str, ...]
    permissions: tuple[str, ...]
    resource: Template


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one lease is reserved for; None where nothing is said. Cost in micro-dollars."""

    tokens: int | None = None
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as configured for one environment. `duration` in seconds.

    `variables` are the environment's own (``account_id``, ``project`` …). What is for one provider
    alone is as in `ToolRequest`.
    """

    name: str
    environment: str
    provider: ProviderType
    grants: tuple[ToolGrant, ...]
    duration: int = 900
    role: str | None = None
    service_account: str | None = None
    policy_arns: tuple[str, ...] = ()
    oauth_scopes: tuple[str, ...] = ()
    unnarrowed: bool = False
    allowance: Allowance = field(default_factory=Allowance)
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What exactly is asked for. `refusal` says why nothing can be: then there is no grant."""

    tool: Tool
    principal: Principal
    grants: tuple[Grant, ...]
    refusal: str = ""
    asked: str = ""

    @property
    def resource(self) -> str | list[str]:
        """The resource for output and records: a string for one, a list for several."""
        resources = list(dict.fromkeys(grant.resource for grant in self.grants))
        if not resources:
            return self.asked
        return resources[0] if len(resources) == 1 else resources


def canonical(resource: str, provider: str) -> str:
    """Return an ``s3://`` name as the ARN that it means, anything else as it is."""
    if provider == ProviderType.AWS and resource.startswith(_S3):
        return _S3_ARN + resource.removeprefix(_S3)
    return resource


def narrow(tool: Tool, principal: Principal, asked: str | None) -> Narrowed:
    """Return the tool's grants for this principal, cut down to the resource asked for.

    Grants in which the resource does not lie are dropped; where it lies in none, or a variable has
    no usable value, `refusal` says which.
    """
    value_of = values(principal, tool.name, tool.environment, tool.variables)
    wanted = canonical(asked, tool.provider) if asked is not None else None
    whole = Narrowed(tool, principal, (), asked=wanted or "")
    try:
        grants = [
            Grant(one.actions, one.permissions, _name(one.resource.fill(value_of).runs))
            for one in tool.grants
        ]
    except ValueError as error:
        return replace(whole, refusal=f"tool {tool.name}: {error}")
    if wanted is None:
        return replace(whole, grants=tuple(grants))
    if wrong := malformed_name(wanted.removesuffix("*"), scope=wanted.endswith("*")):
        return replace(whole, refusal=f"malformed request: resource {wrong}")
    inside = [replace(one, resource=wanted) for one in grants if _lies_in(wanted, one.resource)]
    if not inside:
        those = ", ".join(dict.fromkeys(one.resource for one in grants))
        return replace(whole, refusal=f"{wanted} is outside of {tool.name}, which has {those}")
    return replace(whole, grants=tuple(inside))


def _name(runs: tuple[str, ...]) -> str:
    return "*".join(runs)


def _lies_in(wanted: str, resource: str) -> bool:
    if resource.endswith("*"):
        return wanted.removesuffix("*").startswith(resource[:-1])
    return wanted == resource


def questions(narrowed: Narrowed, question: Question) -> list[Question]:
    """Return one question for each action of each grant, in the order of the configuration."""
    return [
        replace(question, action=action, resource=grant.resource)
        for grant in narrowed.grants
        for action in grant.actions
    ]
