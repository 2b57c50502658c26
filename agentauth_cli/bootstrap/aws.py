"""AWS's side: who the roles trust, what they may do, and what bounds them.

Sources: the IAM user guide, "Create a role for OpenID Connect federation", "Available keys for AWS
OIDC federation", "Permissions boundaries for IAM entities"; the quotas of IAM and STS.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from agentauth_cli.bootstrap.issuers import SCHEME, vouching
from agentauth_cli.bootstrap.tools import runs, tools_of
from agentauth_cli.errors import ConfigError
from agentauth_cli.inbound.presets import owners
from agentauth_cli.model import ProviderType
from agentauth_cli.outbound.aws import AUDIENCE
from agentauth_cli.outbound.aws_session import Role, allowing, literal, resource_arn, role
from agentauth_cli.policy.names import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.policy.narrow import Tool

SUBJECT = "[^*?].*"
"""What a subject looks like: one that begins with a star would be anybody's."""

PRINCIPAL = "arn:[^*?]+"
SHORTEST_MAXIMUM = 3600
"""The least that IAM takes as the longest session of a role, in seconds."""

BOUNDARY_LIMIT = 6144
INLINE = "agentauth"

_GOOGLE = "accounts.google.com"
_STARS = re.compile(r"\*+")


@dataclass(frozen=True, slots=True)
class Trusted:
    """An issuer whose tokens the roles trust. `host` is its URL without the scheme.

    `required` are claims that agentauth requires of its tokens, and AWS does not look at. `public`:
    anybody on earth can have a token of it.
    """

    name: str
    host: str
    required: tuple[str, ...]
    public: bool

    @property
    def advice(self) -> str:
        """What whoever gives the subjects should know."""
        advice = f"Whose tokens of {self.host} are trusted: the sub, * for any text but at its head"
        if self.public:
            advice += "; anybody can have a token of this issuer, so say whose"
        if self.required:
            advice += f"; AWS does not look at {', '.join(self.required)}"
        return advice

    @property
    def built_in(self) -> bool:
        """Whether IAM knows it without an OIDC provider: Google."""
        return self.host == _GOOGLE

    @property
    def audience_key(self) -> str:
        """The condition key of the audience: ``aud`` is Google's name for its ``azp``."""
        return f"{self.host}:{'oaud' if self.built_in else 'aud'}"

    @property
    def subject_key(self) -> str:
        """The condition key of the subject."""
        return f"{self.host}:sub"


@dataclass(frozen=True, slots=True)
class ToolRole:
    """A role, and the tools that it is for. `seconds` is the longest session."""

    role: Role
    tools: tuple[str, ...]
    statements: tuple[Mapping[str, Any], ...]
    seconds: int

    @property
    def path(self) -> str:
        """The path of the role, with a slash at both ends."""
        return self.role.arn.partition(":role")[2].removesuffix(self.role.name)


@dataclass(frozen=True, slots=True)
class Plan:
    """What there has to be in the account of an environment.

    `issuers` are trusted by their tokens for `audience`; without any the roles trust whoever the
    `source` is. `tagged`: sessions bear tags. `revoked_by` is the source that ends sessions early.
    """

    environment: str
    account: str
    region: str
    source: str
    audience: str
    issuers: tuple[Trusted, ...]
    tagged: bool
    revoked_by: str | None
    roles: tuple[ToolRole, ...]

    def named(self, what: str) -> str:
        """Return the name of something of this environment."""
        return f"agentauth-{self.environment}-{what}"

    def tags(self, one: ToolRole | None = None) -> dict[str, str]:
        """Return the tags of a role, or of what all roles share."""
        tags = {"agentauth:environment": self.environment}
        return tags | {"agentauth:tool": " ".join(one.tools)} if one else tags


class Words(Protocol):
    """How a language refers to what stands elsewhere in its file."""

    def provider(self, issuer: Trusted) -> Any:
        """Return the ARN of the OIDC provider."""
        ...

    def subjects(self, issuer: Trusted) -> Any:
        """Return the subjects that are trusted of this issuer."""
        ...

    def sources(self) -> Any:
        """Return the ARNs of whom the source credential may be."""
        ...

    def boundary(self) -> Any:
        """Return the ARN of the permissions boundary."""
        ...

    def role(self, one: ToolRole) -> Any:
        """Return the ARN of a role."""
        ...


def plan(settings: Settings, environment: str) -> Plan:
    """Return what an environment needs.

    Raises ConfigError where it has nothing of AWS, no tool, a role of another account, and where
    nothing can vouch for anybody.
    """
    aws = settings.provider(ProviderType.AWS, environment, "bootstrap aws")
    tools = tools_of(settings, environment, ProviderType.AWS)
    issuers = vouching(settings, environment, aws)
    return Plan(
        environment=environment,
        account=aws["account_id"],
        region=aws["region"],
        source=aws["source"],
        audience=aws["audience"] or AUDIENCE,
        issuers=tuple(_trusted(one) for one in issuers),
        tagged=aws["session_tags"],
        revoked_by=aws["revoke_source"],
        roles=tuple(_roles(settings, tools, aws)),
    )


def trust(plan: Plan, words: Words) -> dict[str, Any]:
    """Return the trust policy, the same for all roles."""
    if not plan.issuers:
        who = {"Effect": "Allow", "Principal": {"AWS": words.sources()}}
        return _document([who | {"Action": _assuming(plan)}])
    return _document(
        {
            "Effect": "Allow",
            "Principal": {"Federated": words.provider(one)},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {one.audience_key: plan.audience},
                "StringLike": {one.subject_key: words.subjects(one)},
            },
        }
        for one in plan.issuers
    )


def permissions(one: ToolRole) -> dict[str, Any]:
    """Return the role's own policy: what its tools may do, for anybody."""
    return _document(one.statements)


def boundary(plan: Plan) -> dict[str, Any]:
    """Return what no role of the environment may go beyond, whatever else is attached to it.

    Raises ConfigError where it is longer than IAM takes.
    """
    actions = {one for role in plan.roles for each in role.statements for one in each["Action"]}
    found = _document([{"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}])
    size = len(json.dumps(found, separators=(",", ":")))
    if size > BOUNDARY_LIMIT:
        raise ConfigError(
            f"the permissions boundary of {plan.environment} has {size} characters, and IAM takes "
            f"{BOUNDARY_LIMIT}",
            hint="Spread the tools over several environments",
        )
    return found


def assuming(plan: Plan, words: Words) -> dict[str, Any]:
    """Return what the source has to be allowed: in another account, trust alone is not enough."""
    roles = [words.role(one) for one in plan.roles]
    return _document([{"Effect": "Allow", "Action": _assuming(plan), "Resource": roles}])


def _assuming(plan: Plan) -> list[str]:
    tagging = ["sts:TagSession", "sts:SetSourceIdentity"] if plan.tagged else []
    return ["sts:AssumeRole", *tagging]


def revoking(plan: Plan, words: Words) -> dict[str, Any]:
    """Return what ending sessions early takes: a policy on roles that the boundary confines."""
    return _document(
        [
            {
                "Effect": "Allow",
                "Action": ["iam:PutRolePolicy"],
                "Resource": [words.role(one) for one in plan.roles],
                "Condition": {"StringEquals": {"iam:PermissionsBoundary": words.boundary()}},
            }
        ]
    )


def _trusted(issuer: Issuer) -> Trusted:
    return Trusted(
        name=issuer.name,
        host=issuer.issuer.removeprefix(SCHEME),
        required=tuple(issuer.require),
        public=bool(owners(issuer.issuer)),
    )


def _document(statements: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _roles(settings: Settings, tools: Sequence[Tool], aws: Mapping[str, Any]) -> Iterator[ToolRole]:
    """Yield each role with all the tools that share it."""
    shared: dict[str, list[Tool]] = {}
    for tool in tools:
        shared.setdefault(settings.role(tool), []).append(tool)
    taken: dict[str, str] = {}
    for name, those in shared.items():
        found, names = role(name), [one.name for one in those]
        if taken.setdefault(found.name, name) != name:
            raise ConfigError(
                f"{taken[found.name]} and {name} have one name, and IAM knows roles by their name",
                hint="Give one of the tools another `role`",
            )
        if found.account != aws["account_id"]:
            raise ConfigError(
                f"the role of {', '.join(names)} is of account {found.account}, the environment "
                f"of {aws['account_id']}",
                hint="Make that role by hand, or give it an environment of its own",
            )
        statements = (
            statement
            for one in those
            for grant in one.grants
            for statement in allowing(grant.permissions, _anybodys(one, grant.resource))
        )
        yield ToolRole(
            role=found,
            tools=tuple(names),
            statements=tuple(statements),
            seconds=max(SHORTEST_MAXIMUM, *(one.duration for one in those)),
        )


def _anybodys(tool: Tool, resource: Any) -> str:
    """Return the resource as IAM reads it, with a star for what each request fills in."""
    whole = "*".join(map(literal, runs(tool, resource))).replace(VARIABLE, "*")
    return resource_arn(_STARS.sub("*", whole))
