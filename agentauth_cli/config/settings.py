"""config.toml, read and held against itself: what the program works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentauth_cli.config import issuers
from agentauth_cli.config.shape import FILE
from agentauth_cli.errors import ConfigError, UnavailableError, UnknownNameError
from agentauth_cli.inbound.os_account import OsAccount
from agentauth_cli.inbound.source import Inbound
from agentauth_cli.model import ProviderType
from agentauth_cli.outbound import gcp_account
from agentauth_cli.outbound.aws_session import ARNS_LIMIT, LONGEST, SHORTEST, role_arn
from agentauth_cli.outbound.hub_place import LIFE
from agentauth_cli.outbound.openai_key import EXCHANGED
from agentauth_cli.policy.matching import Template
from agentauth_cli.policy.narrow import Allowance, Tool, ToolGrant, canonical
from agentauth_cli.tables.shape import At, Document, Problem, did_you_mean, nearest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

NAME = "config.toml"
DURATION = 900
KEYLESS = frozenset({"web_identity", "oidc"})
"""The sources of an environment's provider that need a token for the provider's audience."""

STORED = frozenset({"admin_key", "stored_token"})
"""The sources that lie in the keyring, which every program of the account can read."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What config.toml says. `environments` by name and provider, keys as in the file."""

    default_environment: str
    ledger: str
    inbound: Inbound
    environments: Mapping[str, Mapping[str, Mapping[str, Any]]]
    tools: Mapping[str, Mapping[str, Any]]
    later: tuple[str, ...] = field(default=())
    """Keys that every request needs, of parts that this version does not have."""
    inherit: tuple[str, ...] = ()
    """Variables that `exec` lets its command have, whatever they hold."""

    @property
    def name_claims(self) -> dict[str, str]:
        """The claim that says the name of a principal, by issuer, where file or preset has one."""
        found = self.inbound.issuers
        return {one.name: one.name_claim for one in found if one.name_claim is not None}

    def environment(self, name: str | None) -> str:
        """Return the environment of this name, the default one for None.

        Raises UnknownNameError with the nearest name.
        """
        wanted = self.default_environment if name is None else name
        if wanted not in self.environments:
            near = did_you_mean(wanted, self.environments)
            raise UnknownNameError(
                f"there is no environment {wanted!r}{near}", hint=_known(self.environments)
            )
        return wanted

    def tool(self, name: str, environment: str) -> Tool:
        """Return the tool as it is in this environment.

        Raises UnknownNameError with the nearest names, ConfigError where the environment has
        nothing of the tool's provider.
        """
        if name not in self.tools:
            near = did_you_mean(name, self.tools)
            raise UnknownNameError(f"there is no tool {name!r}{near}", hint=_known(self.tools))
        entry = self.tools[name]
        provider = self.provider(entry["provider"], environment, f"tool {name}")
        return _tool(name, entry, environment, provider)

    def provider(self, name: str, environment: str, needed_by: str) -> Mapping[str, Any]:
        """Return what an environment says of a provider. Raises ConfigError where it is nothing."""
        found = self.environments.get(environment, {}).get(name)
        if found is None:
            raise ConfigError(
                f"{needed_by} needs [environments.{environment}.{name}]",
                hint="Add it to config.toml, or name another environment",
            )
        return found

    def role(self, tool: Tool) -> str:
        """Return the ARN of the role that sessions of an AWS tool are of."""
        if tool.role is not None:
            return tool.role
        aws = self.provider(ProviderType.AWS, tool.environment, f"tool {tool.name}")
        return role_arn(aws["role_arn_template"], aws["account_id"], tool.name)

    def every_tool(self) -> Iterator[Tool]:
        """Yield each tool in each environment that has its provider."""
        for environment, providers in self.environments.items():
            for name, entry in self.tools.items():
                if (provider := providers.get(entry["provider"])) is not None:
                    yield _tool(name, entry, environment, provider)

    def trusts_usage(self, tool: str, environment: str) -> bool:
        """Say whether a report on this tool may lower what was reserved; not where it is gone."""
        entry = self.tools.get(tool)
        return entry is not None and bool(_merged(entry, environment)["trust_reported_usage"])

    def needs_later(self) -> None:
        """Raise UnavailableError naming what this version does not have and every request needs."""
        if self.later:
            raise UnavailableError(self.later[0])


def _known(names: Iterable[str]) -> str | None:
    """Return the first names as a hint; None, for the class's own, where there are none."""
    first = sorted(names)[:8]
    return "Known: " + ", ".join(first) if first else None


def load(content: bytes, folder: Path) -> tuple[Settings | None, list[Problem]]:
    """Read config.toml; relative files in it are of `folder`."""
    document = Document(NAME, content)
    data = document.read(FILE)
    if not document.broken and not document.found:
        document.found.extend(dict.fromkeys(_conflicts(data)))  # each once, not per environment
    if problems := document.problems():
        return None, problems
    environments = {
        name: {provider: entry for provider, entry in providers.items() if entry is not None}
        for name, providers in data["environments"].items()
    }
    return Settings(
        default_environment=data["default_environment"],
        ledger=data["ledger"],
        inbound=_inbound(data["inbound"] or {}, folder),
        environments=environments,
        tools=data["tools"],
        later=tuple(_later(data)),
        inherit=tuple(data["exec"]["inherit"]) if data["exec"] else (),
    ), []


def _later(data: Mapping[str, Any]) -> Iterator[str]:
    if data["ledger"].startswith("postgresql:"):
        yield f"ledger = {data['ledger'].partition(':')[0]!r}"
    if data["audit"] and data["audit"]["mirror"]:
        yield "audit.mirror"
    if data["fleet"] and data["fleet"]["require_same"]:
        yield "fleet.require_same"


def _inbound(data: Mapping[str, Any], folder: Path) -> Inbound:
    found = data.get("issuers", {})
    return Inbound(
        os_login=data.get("os_login", False),
        os_accounts={
            name: OsAccount(entry["kind"], entry["groups"])
            for name, entry in data.get("os", {}).items()
        },
        issuers=tuple(issuers.issuer(name, entry, folder) for name, entry in found.items()),
        ambient=tuple((name, entry["preset"]) for name, entry in found.items() if entry["ambient"]),
    )


# -- what must hold between the keys ---------------------------------------------------------


def _conflicts(data: Mapping[str, Any]) -> Iterator[tuple[At, str]]:
    if data["default_environment"] not in data["environments"]:
        near = nearest_of(data["default_environment"], data["environments"])
        yield ("default_environment",), f"there is no such environment{near}"
    for name, entry in (data["inbound"] or {"issuers": {}})["issuers"].items():
        yield from issuers.conflicts(("inbound", "issuers", name), entry)
    for name, providers in data["environments"].items():
        for provider, entry in providers.items():
            yield from _source_conflicts(("environments", name, provider), entry or {})
        aws = providers[ProviderType.AWS]
        if aws and aws["revoke_source"] == aws["source"]:
            why = "what mints could rewrite the roles that confine it: name another profile"
            yield ("environments", name, ProviderType.AWS, "revoke_source"), why
    walls: dict[tuple[str, str], str] = {}
    for name, entry in data["tools"].items():
        yield from _tool_conflicts(data, name, entry, walls)


def _source_conflicts(at: At, entry: Mapping[str, Any]) -> Iterator[tuple[At, str]]:
    """Find what a source cannot be without, and what says where a token comes from for nothing."""
    keyless, stored = entry.get("source") in KEYLESS, entry.get("source") in STORED
    if stored and not entry["same_account"]:
        why = "lies in a keyring that every program of this account can read"
        yield (*at, "source"), f"{entry['source']} {why}: say `same_account = true` to mean it"
    for key in ("token_file", "reuse_inbound"):
        if entry.get(key) and not keyless:
            yield (*at, key), f"does nothing with source {entry['source']!r}"
    if keyless and entry["token_file"] and entry["reuse_inbound"]:
        yield (*at, "reuse_inbound"), "does nothing beside token_file, which comes first"


def _tool_conflicts(
    data: Mapping[str, Any],
    name: str,
    entry: Mapping[str, Any],
    walls: dict[tuple[str, str], str],
) -> Iterator[tuple[At, str]]:
    """Find what a tool cannot mean; `walls` holds the environment of each that a tool acts as."""
    at: At = ("tools", name)
    for environment in entry["environments"]:
        if environment not in data["environments"]:
            near = nearest_of(environment, data["environments"])
            yield (*at, "environments", environment), f"there is no such environment{near}"
    for environment, providers in data["environments"].items():
        over = entry["environments"].get(environment)
        here: At = at if over is None else (*at, "environments", environment)
        merged = _merged(entry, environment)
        # where each key stands that holds in this environment
        where = {
            key: (*(here if over and over.get(key) is not None else at), key) for key in merged
        }
        yield from _grant_conflicts(at, merged, where)
        yield from _managed_conflicts(merged, where)
        provider = providers[entry["provider"]]
        yield from _duration_conflicts(merged, provider, where)
        if provider is None:
            continue
        if entry["provider"] == ProviderType.AWS and _role(merged, name, provider) is None:
            yield here, f"no `role`, and no role_arn_template in environment {environment}"
            continue
        for what, which in _walls(merged, name, provider):
            other = walls.setdefault((what, which), environment)
            if other != environment:
                yield here, f"the same {what} in {other} and {environment}: environments are walls"


def _walls(
    entry: Mapping[str, Any], name: str, provider: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield whom or what the tool acts as in an environment: its kind, and which.

    No two environments may give the same, be it to two tools.
    """
    match entry["provider"]:
        case ProviderType.AWS:
            yield "role", f"{_role(entry, name, provider)}"
        case ProviderType.GCP:
            account = _service_account(entry) or provider["service_account_template"]
            if account:
                yield "service account", gcp_account.filled(account, provider["project"], name)
        case ProviderType.OPENAI:
            yield "project", provider["project_id"]
            account = _service_account(entry) or provider["service_account_id"]
            if account:
                yield "service account", account


def _grant_conflicts(
    at: At, entry: Mapping[str, Any], where: Mapping[str, At]
) -> Iterator[tuple[At, str]]:
    short = [key for key in ("actions", "permissions", "resource") if entry[key]]
    if entry["grant"] and short:
        later = max(where[short[0]], where["grant"], key=len)
        yield later, "stands in [[grant]] or in the tool, not in both"
        return
    if not entry["grant"] and len(short) != len(("actions", "permissions", "resource")):
        missing = [key for key in ("actions", "permissions", "resource") if not entry[key]]
        yield at, f"missing key {missing[0]!r}"
        return
    if entry["wide"] or entry["provider"] not in (ProviderType.AWS, ProviderType.GCP):
        return
    for i, grant in enumerate(_grants(entry)):
        services = {action.split(".")[1] for action in grant.actions}
        of = (*where["grant"], i, "permissions") if entry["grant"] else where["permissions"]
        for j, permission in enumerate(grant.permissions):
            why = ""
            if "*" in permission:
                why = "has a star"
            elif _service(permission, entry["provider"]) not in services:
                why = "is of another service than its actions"
            if why:
                yield (*of, j), f"permission {permission!r} {why}: say `wide = true` to mean it"


def _duration_conflicts(
    entry: Mapping[str, Any], provider: Mapping[str, Any] | None, where: Mapping[str, At]
) -> Iterator[tuple[At, str]]:
    shortest, longest = _mintable(entry["provider"], provider)
    if entry["duration"] and not shortest <= entry["duration"] <= longest:
        between = f"{shortest} s" if shortest == longest else f"{shortest} s to {longest} s"
        yield where["duration"], f"{entry['provider']} mints {between}"


def _mintable(name: str, provider: Mapping[str, Any] | None) -> tuple[int, int]:
    """Return the shortest and longest life, in seconds, that a provider can mint as configured."""
    if name == ProviderType.AWS:
        return SHORTEST, LONGEST
    if name == ProviderType.GCP:
        return gcp_account.SHORTEST, gcp_account.LONGEST
    keyless = provider is not None and provider["source"] in KEYLESS
    if name == ProviderType.HUGGINGFACE and keyless:
        return LIFE, LIFE
    if name == ProviderType.OPENAI and keyless:
        return EXCHANGED, LONGEST
    return 1, LONGEST


def _managed_conflicts(
    entry: Mapping[str, Any], where: Mapping[str, At]
) -> Iterator[tuple[At, str]]:
    if not entry["policy_arns"]:
        return
    if entry["provider"] != ProviderType.AWS:
        yield where["policy_arns"], f"does nothing with provider {entry['provider']!r}"
    elif len(entry["policy_arns"]) > ARNS_LIMIT:
        yield where["policy_arns"], f"AWS takes {ARNS_LIMIT}"
    elif not entry["wide"]:
        why = "AWS allows what they allow beside the tool's own: say `wide = true` to mean it"
        yield where["policy_arns"], why


def _service(permission: str, provider: str) -> str:
    """Return ``s3`` of ``s3:PutObject``, ``storage`` of ``inRole:roles/storage.objectViewer``."""
    if provider == ProviderType.GCP:
        return permission.rpartition("/")[2].partition(".")[0].lower()
    return permission.partition(":")[0].lower()


# -- tools -----------------------------------------------------------------------------------


def _merged(entry: Mapping[str, Any], environment: str) -> dict[str, Any]:
    """Return the tool's keys with those of one environment over them."""
    over = entry["environments"].get(environment) or {}
    return {**entry, **{key: value for key, value in over.items() if value is not None}}


def _grants(entry: Mapping[str, Any]) -> tuple[ToolGrant, ...]:
    grants = entry["grant"] or [entry]
    return tuple(
        ToolGrant(one["actions"], one["permissions"], _canonical(one["resource"], entry))
        for one in grants
    )


def _canonical(resource: Template, entry: Mapping[str, Any]) -> Template:
    """Return an ``s3://`` resource as the ARN that it means."""
    first = canonical(resource.pieces[0], entry["provider"])
    return Template((first, *resource.pieces[1:]))


def _role(entry: Mapping[str, Any], name: str, aws: Mapping[str, Any]) -> str | None:
    if entry["role"] or not aws["role_arn_template"]:
        role: str | None = entry["role"]
        return role
    return role_arn(aws["role_arn_template"], aws["account_id"], name)


def _service_account(entry: Mapping[str, Any]) -> str | None:
    account: str | None = entry["service_account"] or entry["service_account_id"]
    return account


def _tool(
    name: str, entry: Mapping[str, Any], environment: str, provider: Mapping[str, Any]
) -> Tool:
    merged = _merged(entry, environment)
    allowance = merged["allowance"] or {}
    variables = ("project_id", "account_id", "project", "namespace")
    return Tool(
        name=name,
        environment=environment,
        provider=ProviderType(merged["provider"]),
        grants=_grants(merged),
        duration=merged["duration"] or max(DURATION, _mintable(merged["provider"], provider)[0]),
        role=merged["role"],
        service_account=_service_account(merged),
        policy_arns=tuple(merged["policy_arns"] or ()),
        oauth_scopes=tuple(merged["oauth_scopes"] or ()),
        unnarrowed=bool(merged["unnarrowed"]),
        allowance=Allowance(allowance.get("tokens"), allowance.get("cost")),
        variables={key: provider[key] for key in variables if key in provider},
    )
