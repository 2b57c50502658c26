"""One AWS session as plain values: its name, its tags and its policy."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentauth_cli.errors import ConfigError
from agentauth_cli.model import Grant, Principal, ProviderType, ToolRequest
from agentauth_cli.outbound.aws_session import (
    POLICY_LIMIT,
    role,
    session_name,
    session_policy,
    session_tags,
)

ids = st.builds("{}/{}".format, st.from_regex(r"[a-z]{2,8}", fullmatch=True), st.text(min_size=1))


def grant(*permissions: str, resource: str) -> Grant:
    """Return a grant of these permissions."""
    return Grant((), permissions, resource)


def statements(*grants: Grant) -> list[dict[str, Any]]:
    """Return the statements of the grants' policy."""
    policy = json.loads(session_policy(grants))
    assert policy["Version"] == "2012-10-17"
    return list(policy["Statement"])


# --- name and tags --------------------------------------------------------------------------------


@given(ids)
def test_a_session_name_is_one_that_aws_takes(principal: str) -> None:
    """2 to 64 long, of the characters `A-Z a-z 0-9 _ + = , . @ -`."""
    assert re.fullmatch(r"[A-Za-z0-9_+=,.@-]{2,64}", session_name(Principal(principal, "x")))


@given(ids, ids)
def test_two_principals_have_two_session_names(one: str, other: str) -> None:
    """With a short hash when anything changed: no principal can pass for another in AWS's log."""
    assume(one != other)
    assert session_name(Principal(one, "x")) != session_name(Principal(other, "x"))


@pytest.mark.parametrize(
    ("principal", "name"),
    [
        ("alice@corp.example", r"alice@corp\.example"),
        ("corp/alice", r"corp-alice-[0-9a-f]{8}"),
        ("a", r"a-[0-9a-f]{8}"),
        ("corp/" + "x" * 90, r"corp-x{50}-[0-9a-f]{8}"),
        ("corp/zoë", r"corp-zo--[0-9a-f]{8}"),
    ],
)
def test_a_session_name_reads_like_its_principal(principal: str, name: str) -> None:
    """RoleSessionName is the principal, with other characters replaced."""
    assert re.fullmatch(name, session_name(Principal(principal, "x")))


@given(ids, st.text(min_size=1), st.text(min_size=1, max_size=400))
def test_tags_are_ones_that_aws_takes(principal: str, tool: str, actor: str) -> None:
    """Values in the characters that IAM allows, ASCII, at most 256 long."""
    request = ToolRequest(tool, ProviderType.AWS, lease="lease-1")
    for tag in session_tags(Principal(principal, "x", actor=actor), request):
        assert re.fullmatch(r"[A-Za-z0-9 _.:/=+@-]{1,256}", tag["Value"])
        assert tag["Key"].startswith("agentauth:")


def test_a_tag_is_left_out_where_there_is_nothing_to_say() -> None:
    """`agentauth:actor` where somebody acts for the principal."""
    tags = session_tags(Principal("corp/alice", "alice"), ToolRequest("tool", ProviderType.AWS))
    assert [tag["Key"] for tag in tags] == ["agentauth:principal", "agentauth:tool"]


# --- policy, by example ---------------------------------------------------------------------------


def test_several_grants_become_several_statements_of_one_policy() -> None:
    """A tool with several grants becomes several statements of one session policy."""
    distribution = "arn:aws:cloudfront::111111111111:distribution/E1AB"
    assert statements(
        grant("s3:PutObject", "s3:DeleteObject", resource="arn:aws:s3:::acme-site/*"),
        grant("cloudfront:CreateInvalidation", resource=distribution),
    ) == [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:DeleteObject"],
            "Resource": "arn:aws:s3:::acme-site/*",
        },
        {
            "Effect": "Allow",
            "Action": ["cloudfront:CreateInvalidation"],
            "Resource": distribution,
        },
    ]


@pytest.mark.parametrize("permission", ["s3:ListBucket", "s3:ListBucketVersions", "s3:listbucket"])
def test_listing_beside_other_permissions_is_a_statement_of_its_own(permission: str) -> None:
    """`s3:ListBucket` on a prefix becomes a Condition on `s3:prefix` against the bucket ARN."""
    assert statements(grant("s3:GetObject", permission, resource="arn:aws:s3:::b/x/*")) == [
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::b/x/*"},
        {
            "Effect": "Allow",
            "Action": [permission],
            "Resource": "arn:aws:s3:::b",
            "Condition": {"StringLike": {"s3:prefix": "x/*"}},
        },
    ]


@pytest.mark.parametrize(
    ("resource", "condition"),
    [
        ("arn:aws:s3:::b/x", {"StringEquals": {"s3:prefix": "x"}}),
        ("arn:aws-cn:s3:::b/x*", {"StringLike": {"s3:prefix": "x*"}}),
        ("arn:aws:s3:::b/a*b$c?*", {"StringLike": {"s3:prefix": "a${*}b${$}c${?}*"}}),
        ("arn:aws:s3:::b/*", None),
    ],
)
def test_listing_stays_under_the_prefix(
    resource: str, condition: dict[str, dict[str, str]] | None
) -> None:
    """A scope is compared as a prefix, a name exactly; the whole bucket needs no condition."""
    (only,) = statements(grant("s3:ListBucket", resource=resource))
    assert only["Resource"] == resource.partition("/")[0]
    assert only.get("Condition") == condition


def test_an_s3_name_means_its_arn() -> None:
    """s3:// and arn:aws:s3::: mean the same."""
    by_name = statements(grant("s3:PutObject", resource="s3://b/x/*"))
    assert by_name == statements(grant("s3:PutObject", resource="arn:aws:s3:::b/x/*"))


@pytest.mark.parametrize(
    ("resource", "written"),
    [
        ("arn:aws:s3:::b/a?b*", "arn:aws:s3:::b/a${?}b*"),
        ("arn:aws:s3:::b/a*b", "arn:aws:s3:::b/a${*}b"),
        ("arn:aws:s3:::b/**", "arn:aws:s3:::b/${*}*"),
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/${$}{aws:username}/*"),
    ],
)
def test_wildcards_of_iam_in_a_resource_are_literal(resource: str, written: str) -> None:
    """IAM's own wildcards in a resource from outside are escaped: `${*}`, `${?}`, `${$}`."""
    assert statements(grant("s3:PutObject", resource=resource))[0]["Resource"] == written


@pytest.mark.parametrize(
    "grants",
    [
        [],
        [grant(resource="arn:aws:s3:::b/*")],
        [grant("", resource="arn:aws:s3:::b/*")],
        [grant("PutObject", resource="arn:aws:s3:::b/*")],
        [grant("s3:Put Object", resource="arn:aws:s3:::b/*")],
        [grant("s3:PutObject", resource="")],
        [grant("s3:PutObject", resource="b/x")],
        [grant("s3:PutObject", resource="arn:aws:s3:::b/\n*")],
    ],
)
def test_what_allows_nothing_or_cannot_be_meant_is_refused(grants: list[Grant]) -> None:
    """A tool without permissions, and what is no permission or ARN, is a configuration error."""
    with pytest.raises(ConfigError):
        session_policy(grants)


def test_a_policy_that_is_too_long_is_refused_with_both_sizes() -> None:
    """Too long: an error with the size and the limit."""
    room = POLICY_LIMIT - len(session_policy([grant("s3:PutObject", resource="arn:aws:s3:::b/")]))
    fits = "arn:aws:s3:::b/" + "x" * room
    assert len(session_policy([grant("s3:PutObject", resource=fits)])) == POLICY_LIMIT
    with pytest.raises(ConfigError, match=r"2049 .* 2048"):
        session_policy([grant("s3:PutObject", resource=fits + "x")])


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "put_file",
        "arn:aws:iam::1:role/short",
        "arn:aws:iam::111111111111:user/alice",
        "arn:aws:iam::111111111111:role/",
        "arn:aws:iam::111111111111:role/a b",
        "arn:aws:iam::111111111111:role/a\n",
        f"arn:aws:iam::{chr(0x661) * 12}:role/a",
    ],
)
def test_what_is_no_role_is_refused(arn: str) -> None:
    """A role is an ARN of a role, letter for letter."""
    with pytest.raises(ConfigError):
        role(arn)


# --- policy, as IAM would read it -----------------------------------------------------------------

LISTS = ("s3:ListBucket", "s3:ListBucketVersions")
keys = st.text("ab*?$/{}", max_size=5)
resources = st.builds("arn:aws:s3:::{}/{}".format, st.sampled_from(["b", "bb"]), keys)
grants_of_s3 = st.lists(
    st.builds(
        lambda permissions, resource: Grant((), tuple(sorted(permissions)), resource),
        st.sets(st.sampled_from(["s3:GetObject", "s3:PutObject", *LISTS]), min_size=1),
        resources,
    ),
    min_size=1,
    max_size=3,
)


@given(grants_of_s3, st.sampled_from(["s3:GetObject", "s3:PutObject"]), resources)
def test_objects_are_reached_where_a_grant_says_so_and_nowhere_else(
    grants: list[Grant], action: str, resource: str
) -> None:
    """The session policy allows exactly what the grants allow: no character widens it."""
    assert iam(session_policy(grants), action, resource, None) == any(
        action in one.permissions and covers(one.resource, resource) for one in grants
    )


@given(grants_of_s3, st.sampled_from(LISTS), st.sampled_from(["b", "bb"]), st.none() | keys)
def test_listing_is_allowed_where_a_grant_says_so_and_nowhere_else(
    grants: list[Grant], action: str, bucket: str, prefix: str | None
) -> None:
    """Listing without a prefix needs the whole bucket; with one, a grant that covers it."""
    whole = f"arn:aws:s3:::{bucket}/*"
    asked = f"arn:aws:s3:::{bucket}/{prefix or ''}"
    assert iam(session_policy(grants), action, f"arn:aws:s3:::{bucket}", prefix) == any(
        action in one.permissions
        and (one.resource == whole if prefix is None else covers(one.resource, asked))
        for one in grants
    )


def covers(scope: str, name: str) -> bool:
    """Say whether our scope covers the name: a last star is any ending, all else is itself."""
    return name.startswith(scope[:-1]) if scope.endswith("*") else name == scope


def iam(policy: str, action: str, resource: str, prefix: str | None) -> bool:
    """Say what IAM would: its wildcards are `*` and `?`, and `${*}` is a star."""
    for statement in json.loads(policy)["Statement"]:
        listed = action.lower() in [one.lower() for one in statement["Action"]]
        if listed and like(statement["Resource"], resource):
            condition: dict[str, dict[str, str]] = statement.get("Condition", {})
            wanted = next(iter(condition.values()), {}).get("s3:prefix")
            literal = "StringEquals" in condition
            if wanted is None or (prefix is not None and like(wanted, prefix, literal=literal)):
                return True
    return False


def like(pattern: str, text: str, *, literal: bool = False) -> bool:
    """Match as StringLike does, or as StringEquals: variables are filled in by both."""
    parts = re.split(r"(\$\{[*?$]\}|[*?])", pattern)
    wild = {} if literal else {"*": ".*", "?": "."}
    escapes = {"${*}": "*", "${?}": "?", "${$}": "$"}
    expression = "".join(wild.get(part) or re.escape(escapes.get(part, part)) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None
