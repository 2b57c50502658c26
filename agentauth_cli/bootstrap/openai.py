"""OpenAI's side, as steps: project, service accounts, whose tokens are exchanged, spend limit.

Sources: OpenAI's guides "Admin APIs", "API keys and service accounts", "Workload identity
federation" and "Spend limits"; the reference of the administration API, whose requests these are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from agentauth_cli.bootstrap.issuers import vouching
from agentauth_cli.bootstrap.steps import Step, text
from agentauth_cli.bootstrap.tools import tools_of
from agentauth_cli.errors import ConfigError
from agentauth_cli.inbound.presets import owners
from agentauth_cli.model import ProviderType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.model import Metric, Unit
    from agentauth_cli.policy.budgets import Budget
    from agentauth_cli.policy.narrow import Tool

BASE = "https://api.openai.com/v1"

_ORGANIZATION = "/organization"
_PROVIDERS = f"{_ORGANIZATION}/workload_identity_providers"
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


def steps(settings: Settings, environment: str, budgets: Sequence[Budget]) -> str:
    """Return what there is to do for an environment.

    Raises ConfigError where it has nothing of OpenAI, no tool, no audience, and where nothing can
    vouch for anybody.
    """
    openai = settings.provider(ProviderType.OPENAI, environment, "bootstrap openai")
    tools = tools_of(settings, environment, ProviderType.OPENAI)
    issuers = vouching(settings, environment, openai)
    if issuers and openai["audience"] is None:
        raise ConfigError(
            f"environment {environment} has no audience that OpenAI's provider could demand",
            hint=f"Set `audience` of [environments.{environment}.openai]",
        )
    whole = [_project(environment, openai)]
    whole += [_account(one, openai) for one in tools]
    if issuers:
        whole += [_provider(one, environment, openai) for one in issuers]
        whole.append(_held(environment, openai, issuers))
        whole += [_rule(issuer, one, openai) for issuer in issuers for one in tools]
    else:
        whole.append(_key(environment))
    whole.append(_limit(tools, openai, budgets))
    head = _HEAD.format(environment=environment, base=openai["base_url"] or BASE)
    return text(head, whole)


def _request(method: str, *parts: str, body: Mapping[str, Any] | None = None) -> Iterator[str]:
    first, *more = parts
    yield f"{method} {'/'.join([first, *(quote(one, safe='') for one in more)])}"
    if body is not None:
        yield json.dumps(body)


def _project(environment: str, openai: Mapping[str, Any]) -> Step:
    project = openai["project_id"]
    made = {"name": f"agentauth-{environment}"}
    return Step(
        f"The project {project}",
        (
            *_request("GET", f"{_ORGANIZATION}/projects", project),
            "If it is not there yet, make one, and set `project_id` to its id:",
            *_request("POST", f"{_ORGANIZATION}/projects", body=made),
        ),
    )


def _account(tool: Tool, openai: Mapping[str, Any]) -> Step:
    title, place = f"The service account of {tool.name}", _accounts(openai)
    if tool.service_account is not None:
        return Step(title, tuple(_request("GET", *place, tool.service_account)))
    # By default the first key of an account would live for ever.
    body = {"name": _named(tool.environment, tool.name), "expires_in_seconds": 1}
    return Step(
        title,
        (
            *_request("POST", *place, body=body),
            "The key in the answer ends within a second. The account is a member of the project;",
            "for less, make it with create_service_account_only, and give it a role by a group.",
            "Set in config.toml:",
            f"[tools.{_key_of(tool.name)}.environments.{_key_of(tool.environment)}]",
            'service_account_id = "SERVICE_ACCOUNT_ID"',
        ),
    )


def _provider(issuer: Issuer, environment: str, openai: Mapping[str, Any]) -> Step:
    body = {
        "type": "oidc",
        "name": _named(environment, issuer.name),
        "issuer": issuer.issuer,
        "audience": openai["audience"],
    }
    keys = "Its keys are in a file: add them as `verification`, of type uploaded_jwks."
    return Step(
        f"The identity provider of {issuer.name}",
        (
            *_request("POST", _PROVIDERS, body=body),
            *((keys,) if issuer.jwks_file is not None else ()),
            "unconfirmed: that OpenAI takes any issuer; its guides list some.",
        ),
    )


def _held(environment: str, openai: Mapping[str, Any], issuers: Sequence[Issuer]) -> Step:
    known = openai["identity_provider_id"]
    lines = [
        f"[environments.{_key_of(environment)}.openai]",
        f"identity_provider_id = {json.dumps(known or 'IDENTITY_PROVIDER_ID')}",
    ]
    if known is not None:
        lines.append("It is set already: compare issuer and audience, instead of making another.")
        lines += _request("GET", _PROVIDERS, known)
    if len(issuers) > 1:
        names = ", ".join(one.name for one in issuers)
        lines.append(f"An environment has one: choose among {names}, and leave the others out.")
    return Step("Which of them is asked, in config.toml", tuple(lines))


def _rule(issuer: Issuer, tool: Tool, openai: Mapping[str, Any]) -> Step:
    scopes = dict.fromkeys(one for grant in tool.grants for one in grant.permissions)
    body = {
        "name": _named(tool.environment, tool.name),
        "project_id": openai["project_id"],
        "service_account_id": tool.service_account or "SERVICE_ACCOUNT_ID",
        "attribute_matchers": {issuer.subject_claim: "SUBJECT", **issuer.require},
        "permissions": {"type": "restricted", "scopes": list(scopes)},
    }
    provider = openai["identity_provider_id"] or "IDENTITY_PROVIDER_ID"
    anybody = "Anybody can have a token of this issuer: say whose."
    return Step(
        f"Who of {issuer.name} may be the account of {tool.name}: one rule for each subject",
        (
            *_request("POST", _PROVIDERS, provider, "federation_rules", body=body),
            *((anybody,) if owners(issuer.issuer) else ()),
            "unconfirmed: what a star in a matcher means, and that text matches a number or true.",
        ),
    )


def _key(environment: str) -> Step:
    return Step(
        "The admin key, from standard input",
        (f"agentauth source add openai --env {environment}",),
    )


def _limit(tools: Sequence[Tool], openai: Mapping[str, Any], budgets: Sequence[Budget]) -> Step:
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
    project = (f"{_ORGANIZATION}/projects", openai["project_id"], "spend_limit")
    return Step(
        f"The spend limit, as budget {least.id} has it, in cents",
        (
            *_request("POST", *project, body=body),
            "OpenAI ends it with its own month, and a little late.",
        ),
    )


def _bounds(budget: Budget, tools: Sequence[Tool]) -> bool:
    """Say whether one counter of a budget has all that these tools spend."""
    everybody = budget.principals is None and not budget.except_
    return everybody and _TOGETHER.issuperset(budget.per) and all(map(budget.meets, tools))


def _accounts(openai: Mapping[str, Any]) -> tuple[str, ...]:
    return f"{_ORGANIZATION}/projects", openai["project_id"], "service_accounts"


def _named(environment: str, what: str) -> str:
    return f"agentauth-{environment}-{what}"


def _key_of(name: str) -> str:
    """Return a name as a key of TOML; it has nothing but a dot that a bare one cannot have."""
    return f'"{name}"' if "." in name else name
