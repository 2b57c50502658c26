"""One AWS session, as plain values: its name and tags, its policy, and the check of the answer.

Nothing here goes out. Sources: the IAM user guide, "IAM policy elements: variables and tags" and
"Actions, resources and condition keys for Amazon S3"; the STS API reference, AssumeRole.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ConfigError, ProviderAnswerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentauth_cli.model import Grant, Principal, ToolRequest

SHORTEST, LONGEST = 900, 43_200
"""What AssumeRole can mint, in seconds."""

POLICY_LIMIT = 2048
ARNS_LIMIT = 10
MANAGED = re.compile(r"arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9_+=,.@/-]{1,512}")
NAME_LIMIT = 64
TAG_LIMIT = 256
LEASE_LIMIT = 40
KEYS = {
    "AccessKeyId": "aws_access_key_id",
    "SecretAccessKey": "aws_secret_access_key",
    "SessionToken": "aws_session_token",
}

_MARK = 16
LATEST = timedelta(seconds=60)
"""How far AWS's clock may be ahead of ours."""

_CLOCK = "Check this machine's clock, and the endpoint of the environment"
_LISTS = frozenset({"s3:listbucket", "s3:listbucketversions", "s3:listbucketmultipartuploads"})
_OUTSIDE_NAME = re.compile(r"[^A-Za-z0-9_+=,.@-]")
_OUTSIDE_TAG = re.compile(r"[^A-Za-z0-9 _.:/=+@-]")
_PERMISSION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9*]+|\*")
_IN_BUCKET = re.compile(r"(arn:aws[a-z-]*:s3:::[^/]+)/(.*)")
_ROLE = re.compile(
    r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/(?:[!-.0-~]+/)*([A-Za-z0-9_+=,.@-]{1,64})"
)
_VALUE = re.compile(r"[!-~]+")
_ESCAPES = str.maketrans({char: f"${{{char}}}" for char in "*?$"})


def session_name(principal: Principal) -> str:
    """Return the principal's id as a RoleSessionName: 2 to 64 of the characters AWS takes.

    Where that changes anything, a hash of the id stands at its end, so that two principals never
    share a name.
    """
    return _fitted(principal.id, _OUTSIDE_NAME, NAME_LIMIT)


def web_session_name(principal: Principal, lease: str | None) -> str:
    """Return the RoleSessionName of a web identity, whose session takes no tags.

    It says who, as far as there is room, and ends with a hash of the principal's id and the lease,
    both whole.
    """
    mark = sha256(principal.id.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    end = f"-{mark}"
    if lease:
        end += f"-{_fitted(lease, _OUTSIDE_NAME, LEASE_LIMIT)}"
    return _OUTSIDE_NAME.sub("-", principal.id)[: NAME_LIMIT - len(end)] + end


def session_tags(principal: Principal, request: ToolRequest) -> list[dict[str, str]]:
    """Return the session's tags: principal and tool, lease and actor where there is one."""
    facts = {
        "principal": principal.id,
        "tool": request.tool_name,
        "lease": request.lease,
        "actor": principal.actor,
    }
    return [
        {"Key": f"agentauth:{key}", "Value": _fitted(value, _OUTSIDE_TAG, TAG_LIMIT)}
        for key, value in facts.items()
        if value
    ]


def session_policy(grants: Sequence[Grant], policy_arns: Sequence[str] = ()) -> str:
    """Return the session policy as compact JSON: what the grants say and no more.

    Raises ConfigError where there is nothing to allow, where a permission or resource is none, and
    where the policy, with the ARNs of those beside it, is longer than AWS takes.
    """
    if not grants:
        raise ConfigError("a tool without permissions", hint="Give it `permissions`")
    statements = [
        statement
        for grant in grants
        for statement in allowing(grant.permissions, _escaped(resource_arn(grant.resource)))
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    text = json.dumps(policy, separators=(",", ":"), sort_keys=True)
    size = len(text) + sum(map(len, policy_arns))
    if size > POLICY_LIMIT:
        beside = " with its policy_arns" if policy_arns else ""
        raise ConfigError(
            f"the session policy{beside} has {size} characters, and AWS takes {POLICY_LIMIT}",
            hint="Give the tool fewer grants or permissions, or shorter resources",
        )
    return text


def managed(policy_arns: Sequence[str], wanted: Role) -> list[dict[str, str]]:
    """Return the managed policies that go beside the session policy of a role.

    What any of them allows is allowed as far as the role goes: AWS takes all session policies
    together. Raises ConfigError for more than it takes, and for what is none of the role's account.
    """
    if len(policy_arns) > ARNS_LIMIT:
        raise ConfigError(
            f"{len(policy_arns)} policy_arns, and AWS takes {ARNS_LIMIT}", hint="Name fewer"
        )
    for one in policy_arns:
        found = MANAGED.fullmatch(one)
        if found is None or found[1] not in ("aws", wanted.account):
            raise ConfigError(
                f"{one!r} is no managed policy of AWS or of account {wanted.account}",
                hint="See the tool's policy_arns",
            )
    return [{"arn": one} for one in policy_arns]


def _fitted(text: str, outside: re.Pattern[str], limit: int) -> str:
    plain = outside.sub("-", text)[:limit]
    if plain == text and len(plain) > 1:
        return plain
    mark = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: limit - 9]}-{mark}"


def allowing(permissions: Sequence[str], resource: str) -> list[dict[str, Any]]:
    """Return one statement, or two where listing a prefix stands beside other permissions.

    `resource` is as IAM reads it: a star stands for any text. Raises ConfigError for what is no
    permission.
    """
    for permission in permissions or ("",):
        if not _PERMISSION.fullmatch(permission):
            raise ConfigError(
                f"{permission!r} is no permission of AWS" if permission else "no permissions",
                hint="Give the tool `permissions`, such as s3:PutObject",
            )
    inside = _IN_BUCKET.fullmatch(resource)
    lists = [one for one in permissions if inside and one.lower() in _LISTS]
    others = [one for one in permissions if one not in lists]
    statements: list[dict[str, Any]] = []
    if others:
        statements.append(_allow(others, resource))
    if lists and inside:
        # Listing is asked of the bucket: what lies under a prefix is told by a condition.
        statements.append(_allow(lists, inside[1]) | _listing(inside[2]))
    return statements


def _allow(permissions: Sequence[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(permissions), "Resource": resource}


def _listing(prefix: str) -> dict[str, Any]:
    """Return the condition that listing stays under the prefix; none for the whole bucket."""
    if prefix == "*":
        return {}
    operator = "StringLike" if "*" in prefix.replace("${*}", "") else "StringEquals"
    return {"Condition": {operator: {"s3:prefix": prefix}}}


def resource_arn(resource: str) -> str:
    """Return the resource as an ARN. Raises ConfigError for what is none."""
    if resource.startswith("s3://"):
        resource = "arn:aws:s3:::" + resource.removeprefix("s3://")
    if not resource.isprintable() or not (resource.startswith("arn:") or resource == "*"):
        raise ConfigError(f"{resource!r} is no resource of AWS", hint="Give the tool an ARN")
    return resource


def literal(text: str) -> str:
    """Return the text as IAM reads it, with nothing in it a wildcard or a variable."""
    return text.translate(_ESCAPES)


def _escaped(resource: str) -> str:
    """Return the name with IAM's wildcards and variables as literal text, but for a last star."""
    name = resource.removesuffix("*")
    return literal(name) + resource[len(name) :]


@dataclass(frozen=True, slots=True)
class Role:
    """A role ARN taken apart; `arn` is the whole of it, path included."""

    arn: str
    partition: str
    account: str
    name: str

    def assumed(self, session: str) -> str:
        """Return the ARN of a session of this role, which has no path."""
        return f"arn:{self.partition}:sts::{self.account}:assumed-role/{self.name}/{session}"


def role_arn(template: str, account_id: str, tool_name: str) -> str:
    """Return the role of a tool by an environment's template."""
    return template.replace("{account_id}", account_id).replace("{tool_name}", tool_name)


def role(arn: str) -> Role:
    """Take a role ARN apart; raise ConfigError where it is none."""
    parts = _ROLE.fullmatch(arn)
    if parts is None:
        raise ConfigError(f"{arn!r} is no role ARN", hint="See role_arn_template and account_id")
    return Role(arn, *parts.groups())


def duration(request: ToolRequest, least: int, most: int) -> int:
    """Return the seconds asked for; raise UsageError where AWS cannot mint that."""
    if not least <= request.max_duration <= most:
        raise UsageError(
            f"AWS mints for {least} to {most} s, not {request.max_duration}",
            hint="Choose another duration",
        )
    return request.max_duration


def believed(
    answer: Mapping[str, Any], arn: str, asked: int, now: datetime
) -> tuple[dict[str, str], datetime]:
    """Return the keys, under boto3's names, and their end in UTC, of an answer that is in order.

    `arn` is the session asked for, `asked` its seconds, `now` when it was asked. Raises
    ProviderAnswerError, which never quotes the answer, for anything else.
    """
    keys, user = answer.get("Credentials"), answer.get("AssumedRoleUser")
    if not isinstance(keys, dict) or not isinstance(user, dict):
        raise ProviderAnswerError("AWS answered without a credential")
    if user.get("Arn") != arn:
        raise ProviderAnswerError("AWS answered for another account, role or session than asked")
    values: dict[str, str] = {}
    for name, ours in KEYS.items():
        value = keys.get(name)
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ProviderAnswerError(f"AWS answered with no usable {name}")
        values[ours] = value
    end = keys.get("Expiration")
    if not isinstance(end, datetime) or end.tzinfo is None:
        raise ProviderAnswerError("AWS answered with no usable Expiration")
    if end <= now:
        raise ProviderAnswerError("AWS answered with a credential that has expired", hint=_CLOCK)
    if end > now + timedelta(seconds=asked) + LATEST:
        why = "AWS answered with a credential that lives longer than asked"
        raise ProviderAnswerError(why, hint=_CLOCK)
    return values, end.astimezone(UTC)
