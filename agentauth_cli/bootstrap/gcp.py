"""Google's side: whose tokens its pool takes, whom they may stand for, and what those may do.

Sources: Google's IAM documentation, "Configure Workload Identity Federation" and "Best practices
for using Workload Identity Federation", the reference of workloadIdentityPools.providers,
"Principal identifiers", "Create service account credentials"; Cloud Storage's "Set and manage IAM
policies on buckets".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.bootstrap.issuers import vouching
from agentauth_cli.bootstrap.tools import anybodys, runs, tools_of
from agentauth_cli.errors import ConfigError
from agentauth_cli.inbound.presets import owners
from agentauth_cli.model import Grant, ProviderType
from agentauth_cli.outbound.gcp import default_audience
from agentauth_cli.outbound.gcp_account import ID, address, checked_template
from agentauth_cli.outbound.gcp_boundary import boundary, in_storage, literal
from agentauth_cli.policy.names import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.policy.narrow import Tool

CONDITION_LIMIT = 4096
DESCRIPTION_LIMIT = 256

_PROVIDER = re.compile(
    r"//iam\.googleapis\.com/projects/([0-9]{1,20})/locations/global"
    r"/workloadIdentityPools/([a-z0-9-]{4,32})/providers/([a-z0-9-]{4,32})"
)
_ATTRIBUTE = re.compile(r"[a-z0-9_]{1,89}")
_SELECTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEEDS = "The project needs the APIs iam, iamcredentials and sts, buckets uniform access."
_UNCONFIRMED = (
    "unconfirmed: that a bucket's condition knows objectListPrefix, as an access boundary does; "
    "else objects can be had, and not listed."
)


@dataclass(frozen=True, slots=True)
class Pool:
    """The pool and the one provider in it. `number` is that of the environment's project.

    `mapping` and `condition` are in CEL, on the claims of a token of `issuer`.
    """

    number: str
    name: str
    provider: str
    issuer: Issuer
    audience: str
    mapping: Mapping[str, str]
    condition: str

    @property
    def resource(self) -> str:
        """Its name at Google, which principals' identifiers begin with."""
        return f"projects/{self.number}/locations/global/workloadIdentityPools/{self.name}"


@dataclass(frozen=True, slots=True)
class Binding:
    """A role on a bucket; `condition` is empty for all of the bucket."""

    bucket: str
    role: str
    condition: str


@dataclass(frozen=True, slots=True)
class Account:
    """A service account, and the tools that it is for. `name` is the part before the at sign."""

    email: str
    name: str
    tools: tuple[str, ...]
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What there has to be for an environment; `notes` are sentences for whoever applies it.

    Without a `pool` the accounts are for whoever the `source` is.
    """

    environment: str
    project: str
    source: str
    pool: Pool | None
    accounts: tuple[Account, ...]
    notes: tuple[str, ...]

    @property
    def role(self) -> str:
        """What a principal needs to stand for an account."""
        return f"roles/iam.{'workloadIdentityUser' if self.pool else 'serviceAccountTokenCreator'}"

    @property
    def advice(self) -> str:
        """What whoever gives the principals should know."""
        if self.pool is None:
            return f"Who source {self.source} is at Google: user:, group: or serviceAccount:EMAIL"
        issuer = self.pool.issuer
        advice = f"Whose tokens of {issuer.issuer} are taken: subject/SUBJECT, 127 bytes at most"
        names = [one for one in self.pool.mapping if one.startswith("attribute.")]
        if names:
            advice += f", or {' or '.join(f'{one}/VALUE' for one in names)}"
        if owners(issuer.issuer):
            advice += "; anybody can have a token of this issuer, so say whose"
        return advice

    @property
    def form(self) -> str:
        """What a principal looks like, as a regular expression: one has no star."""
        if self.pool is None:
            return "(user|group|serviceAccount):[^*]+@[^*]+"
        return "(subject|attribute[.][a-z0-9_]+)/[^*]+"

    def described(self, tools: Sequence[str] = ()) -> str:
        """Return a description in the length that Google takes."""
        whole = f"agentauth, environment {self.environment}"
        return f"{whole}: {', '.join(tools)}"[:DESCRIPTION_LIMIT] if tools else whole


def plan(settings: Settings, environment: str) -> Plan:
    """Return what an environment needs.

    Raises ConfigError where it has nothing of Google, no tool, an account of another project, a
    bucket that is not known, and where its provider cannot vouch for anybody.
    """
    gcp = settings.provider(ProviderType.GCP, environment, "bootstrap gcp")
    tools = tools_of(settings, environment, ProviderType.GCP)
    issuers = vouching(settings, environment, gcp)
    pool = _pool(issuers, gcp, environment) if issuers else None
    accounts = tuple(_accounts(tools, gcp))
    conditions = any(one.condition for account in accounts for one in account.bindings)
    return Plan(
        environment=environment,
        project=gcp["project"],
        source=gcp["source"],
        pool=pool,
        accounts=accounts,
        notes=(
            _NEEDS,
            *((_UNCONFIRMED,) if conditions else ()),
            *_of_issuers(issuers, pool),
            *(note for one in tools for note in _of_tool(one)),
        ),
    )


def _pool(issuers: Sequence[Issuer], gcp: Mapping[str, Any], environment: str) -> Pool:
    given = gcp["workload_identity_provider"] or ""
    found = _PROVIDER.fullmatch(given)
    if found is None:
        raise ConfigError(
            f"environment {environment} has no workload_identity_provider to set up",
            hint="Such as //iam.googleapis.com/projects/123/locations/global/"
            "workloadIdentityPools/agents/providers/okta, 123 being the number of its project",
        )
    number, name, provider = found.groups()
    issuer = _issuer_of(provider, issuers)
    condition = " && ".join(_conditions(issuer))
    if len(condition) > CONDITION_LIMIT:
        raise ConfigError(
            f"what issuer {issuer.name} requires has {len(condition)} characters in Google's "
            f"words, and Google takes {CONDITION_LIMIT}",
            hint=f"Shorten `require` of [inbound.issuers.{issuer.name}]",
        )
    return Pool(
        number=number,
        name=name,
        provider=provider,
        issuer=issuer,
        audience=gcp["audience"] or default_audience(given),
        mapping={
            "google.subject": _claim(issuer.subject_claim),
            **{
                f"attribute.{one}": _claim(one)
                for one in issuer.require
                if _ATTRIBUTE.fullmatch(one)
            },
        },
        condition=condition,
    )


def _issuer_of(provider: str, issuers: Sequence[Issuer]) -> Issuer:
    """Return the issuer that a provider stands for: the only one, or the one that it is named for.

    Two issuers in one pool could have the same subject, and one would stand for the other.
    """
    named = [one for one in issuers if f"{provider}-".startswith(f"{one.name}-")]
    if len(issuers) > 1 and not named:
        raise ConfigError(
            f"provider {provider} is of one issuer, and {len(issuers)} give tokens",
            hint="Begin its id with the name of its issuer, in workload_identity_provider: one of "
            + ", ".join(one.name for one in issuers),
        )
    return max(named or issuers, key=lambda one: len(one.name))


def _conditions(issuer: Issuer) -> Iterator[str]:
    """Yield what must hold of a token beside signature and audience, as `inbound.claims` has it."""
    yield f"assertion.iss == {literal(issuer.issuer)}"
    yield "google.subject != ''"
    for name, value in issuer.require.items():
        yield f"{_claim(name)} == {literal(value)}"
    if "email" in {issuer.subject_claim, *issuer.require}:
        yield "assertion.email_verified == true"


def _claim(name: str) -> str:
    return f"assertion.{name}" if _SELECTED.fullmatch(name) else f"assertion[{literal(name)}]"


def _accounts(tools: Sequence[Tool], gcp: Mapping[str, Any]) -> Iterator[Account]:
    """Yield each service account with all the tools that share it."""
    template, project = checked_template(gcp["service_account_template"]), gcp["project"]
    shared: dict[str, list[Tool]] = {}
    for tool in tools:
        email = address(tool.service_account, tool.name, template, project)
        shared.setdefault(email, []).append(tool)
    for email, those in shared.items():
        name, _, where = email.partition("@")
        names = tuple(one.name for one in those)
        if where != f"{project}.iam.gserviceaccount.com" or not ID.fullmatch(name):
            raise ConfigError(
                f"{email}, the service account of {', '.join(names)}, is none that can be made in "
                f"project {project}",
                hint="Make it by hand, or give it an environment of its own",
            )
        bindings = dict.fromkeys(one for tool in those for one in _bindings(tool))
        yield Account(email, name, names, tuple(bindings))


def _bindings(tool: Tool) -> Iterator[Binding]:
    for one in tool.grants:
        resource = anybodys(tool, one.resource)
        if not in_storage(resource):
            continue
        limits = boundary([Grant(one.actions, one.permissions, resource)])
        (rule,) = limits["accessBoundary"]["accessBoundaryRules"]
        condition = rule.get("availabilityCondition", {"expression": ""})["expression"]
        bucket = rule["availableResource"].rpartition("/")[2]
        for role in rule["availablePermissions"]:
            yield Binding(bucket, role.removeprefix("inRole:"), condition)


def _of_issuers(issuers: Sequence[Issuer], pool: Pool | None) -> Iterator[str]:
    for one in issuers:
        if pool is None or one is pool.issuer:
            if one.jwks_file is not None:
                yield f"The keys of {one.issuer} are in a file: the provider has to be given them."
            continue
        yield (
            f"Tokens of {one.name}, {one.issuer}, are not taken: provider {pool.provider} is of "
            f"{pool.issuer.name} alone, and two issuers in one pool could have the same subject."
        )


def _of_tool(tool: Tool) -> Iterator[str]:
    for one in tool.grants:
        resource = anybodys(tool, one.resource)
        roles = ", ".join(role.removeprefix("inRole:") for role in one.permissions)
        if not in_storage(resource):
            yield f"By hand, for {tool.name}: {roles} on {one.resource.text}."
        elif VARIABLE in "".join(runs(tool, one.resource)):
            yield (
                f"The account of {tool.name} may {roles} on {resource}, since requests fill in "
                f"{one.resource.text}; its tokens are narrowed to that."
            )
