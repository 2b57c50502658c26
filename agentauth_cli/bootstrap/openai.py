"""OpenAI's side, as steps: project, service accounts, whose tokens are exchanged, spend limit.

Sources: OpenAI's guides "Admin APIs", "API keys and service accounts", "Workload identity
federation" and "Spend limits"; the reference of the administration API, whose requests these are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.bootstrap.issuers import vouching
from agentauth_cli.bootstrap.steps import Step, text
from agentauth_cli.bootstrap.tools import tools_of
from agentauth_cli.errors import ConfigError
from agentauth_cli.inbound.presets import owners
from agentauth_cli.model import Grant, ProviderType, ToolRequest
from agentauth_cli.outbound.openai import BASE_URL
from agentauth_cli.outbound.openai_key import identifier, scopes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.model import Metric, Unit
    from agentauth_cli.policy.budgets import Budget
    from agentauth_cli.policy.narrow import Tool

_PROJECTS = "/organization/projects"
_PROVIDERS = "/organization/workload_identity_providers"
_ACCOUNT, _PROVIDER = "SERVICE_ACCOUNT_ID", "IDENTITY_PROVIDER_ID"
_MICRO_PER_CENT = 10_000
_MONTH: tuple[Unit, Metric] = ("month", "cost")
_TOGETHER = frozenset({"provider", "environment"})
"""What a budget may count apart, and still bound a project as a whole."""

_HEAD = """\
OpenAI's side of agentauth's environment {environment}:
agentauth bootstrap openai --env {environment}

Each request goes to {base}, as JSON, with an admin key in its header
Authorization. Keep that key out of command lines, which every program of the machine can read.
What is in CAPITALS is an id of an earlier answer, or yours to give."""


@dataclass(frozen=True, slots=True)
class Account:
    """A service account and the tools that it is for; without an `id` it is still to be made."""

    id: str | None
    tools: tuple[Tool, ...]

    @property
    def names(self) -> str:
        """The names of the tools."""
        return ", ".join(one.name for one in self.tools)


def steps(settings: Settings, environment: str, budgets: Sequence[Budget]) -> str:
    """Return what there is to do for an environment.

    Raises ConfigError where it has nothing of OpenAI, no tool, no audience, an id or a scope that
    OpenAI cannot have, and where nothing can vouch for anybody.
    """
    openai = settings.provider(ProviderType.OPENAI, environment, "bootstrap openai")
    tools = tools_of(settings, environment, ProviderType.OPENAI)
    project = identifier(openai["project_id"], "project_id")
    accounts = _accounts(tools, openai["service_account_id"])
    issuers = vouching(settings, environment, openai)
    whole = [_project(environment, project)]
    whole += [_account(one, environment, project) for one in accounts]
    if issuers:
        audience, known = openai["audience"], openai["identity_provider_id"]
        if audience is None:
            raise ConfigError(
                f"environments.{environment}.openai needs `audience`",
                hint="Set it to the audience that the identity provider at OpenAI is to demand",
            )
        provider = identifier(known or _PROVIDER, "identity_provider_id")
        whole += [_issuer(one, environment, audience) for one in issuers]
        whole.append(_held(environment, known, issuers))
        rules = f"{_PROVIDERS}/{provider}/federation_rules"
        whole += [_rule(issuer, one, project, rules) for issuer in issuers for one in accounts]
    else:
        command = f"agentauth source add openai --env {environment}"
        whole.append(Step("The admin key, from standard input", (command,)))
    whole.append(_limit(tools, project, budgets))
    head = _HEAD.format(environment=environment, base=openai["base_url"] or BASE_URL)
    return text(head, whole)


def _accounts(tools: Sequence[Tool], shared: str | None) -> list[Account]:
    """Return the accounts that the broker would ask for, and one to make for each other tool."""
    known: dict[str, list[Tool]] = {}
    for tool in tools:
        if account := tool.service_account or shared:
            known.setdefault(identifier(account, "service_account_id"), []).append(tool)
    found = [Account(account, tuple(those)) for account, those in known.items()]
    return found + [
        Account(None, (tool,)) for tool in tools if not tool.service_account and not shared
    ]


def _request(method: str, path: str, body: Mapping[str, Any] | None = None) -> Iterator[str]:
    yield f"{method} {path}"
    if body is not None:
        yield json.dumps(body)


def _project(environment: str, project: str) -> Step:
    return Step(
        f"The project {project}",
        (
            *_request("GET", f"{_PROJECTS}/{project}"),
            "If it is not there yet, make one, and set `project_id` to its id:",
            *_request("POST", _PROJECTS, {"name": f"agentauth-{environment}"}),
        ),
    )


def _account(account: Account, environment: str, project: str) -> Step:
    place = f"{_PROJECTS}/{project}/service_accounts"
    if account.id is not None:
        title = f"The service account {account.id}, of {account.names}"
        return Step(title, tuple(_request("GET", f"{place}/{account.id}")))
    # Without a word the first key of an account would live for ever.
    body = {"name": _named(environment, account.names), "expires_in_seconds": 1}
    return Step(
        f"The service account of {account.names}",
        (
            *_request("POST", place, body),
            "The key in the answer ends within a second. The account is a member of the project;",
            "for less, make it with create_service_account_only, and give it a role by a group.",
            "Set in config.toml:",
            f"[tools.{_key_of(account.names)}.environments.{_key_of(environment)}]",
            f'service_account_id = "{_ACCOUNT}"',
        ),
    )


def _issuer(issuer: Issuer, environment: str, audience: str) -> Step:
    body = {
        "type": "oidc",
        "name": _named(environment, issuer.name),
        "issuer": issuer.issuer,
        "audience": audience,
    }
    keys = "Its keys are in a file: add them as `verification`, of type uploaded_jwks."
    return Step(
        f"The identity provider of {issuer.name}",
        (
            *_request("POST", _PROVIDERS, body),
            *((keys,) if issuer.jwks_file is not None else ()),
            "unconfirmed: that OpenAI takes any issuer; its guides list some.",
        ),
    )


def _held(environment: str, known: str | None, issuers: Sequence[Issuer]) -> Step:
    lines = [
        f"[environments.{_key_of(environment)}.openai]",
        f'identity_provider_id = "{known or _PROVIDER}"',
    ]
    if known is not None:
        lines.append("It is set already: compare issuer and audience, instead of making another.")
        lines += _request("GET", f"{_PROVIDERS}/{known}")
    if len(issuers) > 1:
        names = ", ".join(one.name for one in issuers)
        lines.append(f"An environment has one: choose among {names}, and leave the others out.")
    return Step("Which of them is asked, in config.toml", tuple(lines))


def _rule(issuer: Issuer, account: Account, project: str, path: str) -> Step:
    grants = tuple(
        Grant((), grant.permissions, "") for tool in account.tools for grant in tool.grants
    )
    body = {
        "name": _named(account.tools[0].environment, account.id or account.names),
        "project_id": project,
        "service_account_id": account.id or _ACCOUNT,
        "attribute_matchers": {issuer.subject_claim: "SUBJECT", **issuer.require},
        "permissions": {
            "type": "restricted",
            "scopes": scopes(ToolRequest(account.names, ProviderType.OPENAI, grants=grants)),
        },
    }
    anybody = "Anybody can have a token of this issuer: say whose."
    return Step(
        f"Who of {issuer.name} gets tokens for {account.names}: a rule for each subject",
        (
            *_request("POST", path, body),
            *((anybody,) if owners(issuer.issuer) else ()),
            "unconfirmed: what a star in a matcher means, and that text matches a number or true.",
        ),
    )


def _limit(tools: Sequence[Tool], project: str, budgets: Sequence[Budget]) -> Step:
    """Return the step of the spend limit: the least of the budgets that bound all of the project.

    OpenAI's is of a calendar month alone, in cents; it is never below what the budget allows.
    """
    bounding = [one for one in budgets if _MONTH in one.limits and _bounds(one, tools)]
    if not bounding:
        why = "No budget bounds the month's cost of the whole project (budgets.toml)."
        return Step("The spend limit", (why, "OpenAI would hold one of a month alone."))
    least = min(bounding, key=lambda one: one.limits[_MONTH])
    cents = -(-least.limits[_MONTH] // _MICRO_PER_CENT)
    body = {"currency": "USD", "interval": "month", "threshold_amount": cents}
    return Step(
        f"The spend limit, as budget {least.id} has it, in cents",
        (
            *_request("POST", f"{_PROJECTS}/{project}/spend_limit", body),
            "The month is OpenAI's, and the limit acts a little late.",
        ),
    )


def _bounds(budget: Budget, tools: Sequence[Tool]) -> bool:
    """Say whether one counter of a budget has all that these tools spend."""
    everybody = budget.principals is None and not budget.except_
    return everybody and _TOGETHER.issuperset(budget.per) and all(map(budget.meets, tools))


def _named(environment: str, what: str) -> str:
    return f"agentauth-{environment}-{what}"


def _key_of(name: str) -> str:
    """Return a name as a key of TOML; it has nothing but a dot that a bare one cannot have."""
    return f'"{name}"' if "." in name else name
