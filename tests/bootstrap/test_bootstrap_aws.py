"""AWS's side of a configuration: who is trusted, what may be done, and what bounds it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import hcl2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.bootstrap import aws
from agentauth_cli.bootstrap.aws import Plan, ToolRole, Trusted, plan
from agentauth_cli.bootstrap.aws_cloudformation import cloudformation
from agentauth_cli.bootstrap.aws_terraform import terraform
from agentauth_cli.errors import ConfigError
from agentauth_cli.model import Principal
from agentauth_cli.outbound.aws_session import session_policy
from agentauth_cli.policy.narrow import narrow
from support.configs import loaded
from support.terraform import laid_out

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ISSUER = {"issuer": "https://id.acme.dev/o", "audience": "agentauth", "client_id": "agents"}
KEYLESS: dict[str, Any] = {
    "inbound__issuers": {"okta": ISSUER},
    "environments__dev__aws__source": "web_identity",
}


class Plain:
    """Refers to everything by a word."""

    def provider(self, issuer: Trusted) -> Any:
        """Return a word for the provider."""
        return f"provider {issuer.name}"

    def subjects(self, issuer: Trusted) -> Any:
        """Return a word for the subjects."""
        return f"subjects {issuer.name}"

    def sources(self) -> Any:
        """Return a word for the sources."""
        return "sources"

    def boundary(self) -> Any:
        """Return a word for the boundary."""
        return "boundary"

    def role(self, one: ToolRole) -> Any:
        """Return a word for the role."""
        return f"role {one.role.name}"


def planned(**changes: Any) -> Plan:
    """Return the plan of a changed configuration."""
    return plan(loaded(**changes), "dev")


def trusted(**changes: Any) -> list[dict[str, Any]]:
    """Return the statements of the trust policy."""
    found: list[dict[str, Any]] = aws.trust(planned(**changes), Plain())["Statement"]
    return found


# -- trust -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "actions"),
    [
        (True, ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]),
        (False, ["sts:AssumeRole"]),
    ],
)
def test_a_source_with_a_key_is_trusted_by_name(tags: bool, actions: list[str]) -> None:
    """The source principal, with sts:TagSession and sts:SetSourceIdentity where session_tags."""
    (found,) = trusted(environments__dev__aws__session_tags=tags)
    assert found == {"Effect": "Allow", "Principal": {"AWS": "sources"}, "Action": actions}


def test_an_issuer_is_trusted_for_one_audience_and_the_subjects_given() -> None:
    """A trust policy that demands audience and subject, by the issuer's own condition keys."""
    (found,) = trusted(**KEYLESS)
    assert found == {
        "Effect": "Allow",
        "Principal": {"Federated": "provider okta"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {"id.acme.dev/o:aud": "sts.amazonaws.com"},
            "StringLike": {"id.acme.dev/o:sub": "subjects okta"},
        },
    }
    (found,) = trusted(**KEYLESS, environments__dev__aws__audience="https://aws.acme.dev")
    assert found["Condition"]["StringEquals"] == {"id.acme.dev/o:aud": "https://aws.acme.dev"}


def test_google_is_known_to_aws_and_its_audience_is_called_oaud() -> None:
    """`aud` of accounts.google.com is the token's `azp`."""
    google = {"preset": "google", "audience": "x", "ambient": True, "require": {"hd": "acme.dev"}}
    changed = KEYLESS | {"inbound__issuers": {"google": google}}
    found = planned(**changed)
    (statement,) = aws.trust(found, Plain())["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        "accounts.google.com:oaud": "sts.amazonaws.com"
    }
    assert "openid_connect_provider" not in terraform(found)
    assert 'Federated = "accounts.google.com"' in terraform(found)
    assert '"Federated": "accounts.google.com"' in cloudformation(found)
    assert "AWS::IAM::OIDCProvider" not in cloudformation(found)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({}, ["browser", "job"]),
        ({"token_file": "token"}, ["browser", "job", "shown"]),
        ({"reuse_inbound": True}, ["browser", "job", "shown"]),
    ],
)
def test_only_issuers_whose_tokens_can_come_there_are_trusted(
    keys: dict[str, Any], names: list[str]
) -> None:
    """An OIDC provider per keyless issuer: of a login, a job, an exchange, or a file."""
    issuers = {
        "browser": ISSUER,
        "job": {"preset": "buildkite", "audience": "x", "ambient": True}
        | {"require": {"organization_id": "1"}},
        "shown": {"issuer": "https://shown.acme.dev", "audience": "x"},
    }
    changed = KEYLESS | {"inbound__issuers": issuers}
    changed |= {f"environments__dev__aws__{key}": value for key, value in keys.items()}
    assert sorted(one.name for one in planned(**changed).issuers) == names


def test_what_aws_does_not_look_at_is_said_where_the_subjects_are_asked_for() -> None:
    """Claims that we require are ours; anybody can have a token of a public issuer."""
    job = {"preset": "github-actions", "audience": "x", "ambient": True}
    job |= {"require": {"repository_owner_id": "1"}}
    (issuer,) = planned(**KEYLESS | {"inbound__issuers": {"ci": job}}).issuers
    assert issuer.advice.endswith(
        "; anybody can have a token of this issuer, so say whose"
        "; AWS does not look at repository_owner_id"
    )
    (issuer,) = planned(**KEYLESS).issuers
    assert issuer.advice == (
        "Whose tokens of id.acme.dev/o are trusted: the sub, * for any text but at its head"
    )


@pytest.mark.parametrize(
    ("subject", "fits"), [("okta|1", True), ("repo:acme/*", True), ("*", False), ("?x", False)]
)
def test_nobody_is_trusted_by_a_star_alone(subject: str, fits: bool) -> None:
    """Variables without a default, and none that stands for anybody."""
    assert bool(re.fullmatch(aws.SUBJECT, subject)) == fits
    assert re.fullmatch(aws.PRINCIPAL, "arn:aws:iam::111111111111:user/agents")
    assert not re.fullmatch(aws.PRINCIPAL, "arn:aws:iam::111111111111:user/*")
    assert not re.fullmatch(aws.PRINCIPAL, "*")


# -- roles -----------------------------------------------------------------------------------------


def test_a_role_may_what_its_tool_may_for_anybody() -> None:
    """Variables of a request become a star, those of the environment their value."""
    found = planned(
        tools__put__permissions=["s3:PutObject", "s3:ListBucket"],
        tools__put__resource="s3://acme-${account_id}/$x/${principal.name}${tool}*",
    )
    (role,) = found.roles
    assert aws.permissions(role)["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": "arn:aws:s3:::acme-111111111111/${$}x/*put*",
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": "arn:aws:s3:::acme-111111111111",
            "Condition": {"StringLike": {"s3:prefix": "${$}x/*put*"}},
        },
    ]


def test_a_role_has_the_path_and_the_longest_duration_of_its_tools() -> None:
    """The role's max session duration; IAM takes no less than an hour."""
    shared = {"role": "arn:aws:iam::111111111111:role/teams/web/deploy"}
    tool = {
        "provider": "aws",
        "actions": ["aws.sqs.send"],
        "permissions": ["sqs:SendMessage"],
        "resource": "arn:aws:sqs:eu-west-1:${account_id}:jobs",
        **shared,
    }
    found = planned(
        tools__put__role=shared["role"],
        tools__put__duration="15m",
        tools__send=tool | {"duration": "2h"},
    )
    (role,) = found.roles
    assert (role.path, role.role.name, role.seconds) == ("/teams/web/", "deploy", 7200)
    assert found.tags(role) == {"agentauth:environment": "dev", "agentauth:tool": "put send"}
    assert [one["Action"] for one in role.statements] == [["s3:PutObject"], ["sqs:SendMessage"]]
    assert aws.boundary(found)["Statement"] == [
        {"Effect": "Allow", "Action": ["s3:PutObject", "sqs:SendMessage"], "Resource": "*"}
    ]
    (role,) = planned().roles
    assert (role.path, role.role.name, role.seconds) == ("/", "put", 3600)


def test_who_revokes_may_write_policies_of_confined_roles_alone() -> None:
    """A role that the boundary confines gets no further, whatever is written on it."""
    found = planned(environments__dev__aws__revoke_source="profile:security")
    (statement,) = aws.revoking(found, Plain())["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Action": ["iam:PutRolePolicy"],
        "Resource": ["role put"],
        "Condition": {"StringEquals": {"iam:PermissionsBoundary": "boundary"}},
    }
    for written in (terraform(found), cloudformation(found)):
        assert "agentauth-dev-revoke" in written
    for written in (terraform(planned()), cloudformation(planned())):
        assert "agentauth-dev-revoke" not in written


def test_who_mints_is_allowed_to_assume_these_roles_and_no_others() -> None:
    """A trust policy alone is not enough in another account."""
    found = planned()
    assert aws.assuming(found, Plain())["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Resource": ["role put"],
        }
    ]
    for written in (terraform(found), cloudformation(found)):
        assert "agentauth-dev-source" in written
    for written in (terraform(planned(**KEYLESS)), cloudformation(planned(**KEYLESS))):
        assert "agentauth-dev-source" not in written


# -- refusals --------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no tool": (
        {"tools__put__provider": "gcp", "tools__put__wide": True},
        "environment dev has no tool of aws",
    ),
    "another account": (
        {"tools__put__role": "arn:aws:iam::222222222222:role/put"},
        "the role of put is of account 222222222222, the environment of 111111111111",
    ),
    "two roles of one name": (
        {
            "tools__put__role": "arn:aws:iam::111111111111:role/a/put",
            "tools__other": {
                "provider": "aws",
                "actions": ["aws.s3.put"],
                "permissions": ["s3:PutObject"],
                "resource": "s3://acme/y/*",
                "role": "arn:aws:iam::111111111111:role/b/put",
            },
        },
        (
            "arn:aws:iam::111111111111:role/a/put and arn:aws:iam::111111111111:role/b/put have "
            "one name, and IAM knows roles by their name"
        ),
    ),
    "no issuer": (
        {"environments__dev__aws__source": "web_identity"},
        "environment dev needs tokens, and no issuer gives any",
    ),
    "an issuer by plain http": (
        KEYLESS | {"inbound__issuers": {"okta": ISSUER | {"issuer": "http://127.0.0.1:1"}}},
        "a provider trusts no issuer by plain http: http://127.0.0.1:1",
    ),
    "no resource of AWS": (
        {"tools__put__resource": "gs://acme/x"},
        "'gs://acme/x' is no resource of AWS",
    ),
    "no permission of AWS": (
        {"tools__put__permissions": ["s3:Put-Object"]},
        "'s3:Put-Object' is no permission of AWS",
    ),
    "too long a boundary": (
        {"tools__put__permissions": [f"s3:{'A' * 90}{n}" for n in range(70)]},
        "the permissions boundary of dev has 6933 characters, and IAM takes 6144",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_set_up_is_refused(case: str) -> None:
    """Exit 3, saying what is in the way; nothing half is printed."""
    changes, why = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        terraform(planned(**changes))
    assert caught.value.message == why


def test_an_environment_without_aws_is_named() -> None:
    """What is needed, and where it belongs."""
    with pytest.raises(ConfigError, match=r"bootstrap aws needs \[environments\.dev\.aws\]"):
        plan(loaded(environments__dev={"gcp": {"project": "x"}}), "dev")


# -- what a request fills in -----------------------------------------------------------------------

PIECES = st.sampled_from(
    ["${principal.name}", "${tool}", "${account_id}", "${principal.hash}", "/", "a", "$x", "b"]
)
NAMES = st.text(st.sampled_from("az09._@+=,-"), min_size=1, max_size=6).filter(
    lambda one: ".." not in one
)


@given(st.lists(PIECES, max_size=6), st.sampled_from(["", "/*", "*"]), NAMES)
def test_a_role_has_room_for_whatever_a_request_fills_in(
    pieces: list[str], end: str, name: str
) -> None:
    """No session policy asks for what its role does not have: nothing vended is dead."""
    resource = f"s3://acme/x{''.join(pieces)}{end}"
    settings = loaded(
        tools__put__resource=resource, tools__put__permissions=["s3:PutObject", "s3:ListBucket"]
    )
    (role,) = plan(settings, "dev").roles
    narrowed = narrow(settings.tool("put", "dev"), Principal(f"corp/{name}", name), None)
    assert not narrowed.refusal
    asked = json.loads(session_policy(narrowed.grants))["Statement"]
    for mine, theirs in zip(asked, role.statements, strict=True):
        assert matches(theirs["Resource"], mine["Resource"])
        if "Condition" in theirs:
            assert matches(prefix(theirs), prefix(mine))


def prefix(statement: Mapping[str, Any]) -> str:
    """Return the prefix that may be listed."""
    ((said,),) = [list(one.values()) for one in statement["Condition"].values()]
    return str(said)


def matches(pattern: str, name: str) -> bool:
    """Say whether IAM's pattern has all that a name, or another pattern, stands for."""
    pieces = re.split(r"(\$\{[*?$]\}|\*)", pattern)
    form = "".join(".*" if one == "*" else re.escape(one) for one in pieces)
    return re.fullmatch(form, name) is not None


# -- as text ---------------------------------------------------------------------------------------


def test_both_languages_say_the_same() -> None:
    """One plan: names, paths, seconds, tags and who is trusted."""
    found = planned(**KEYLESS, environments__dev__aws__revoke_source="profile:security")
    template = json.loads(cloudformation(found))
    kinds = sorted(one["Type"] for one in template["Resources"].values())
    assert kinds == [
        *("AWS::IAM::ManagedPolicy", "AWS::IAM::ManagedPolicy"),
        *("AWS::IAM::OIDCProvider", "AWS::IAM::Role"),
    ]
    (parameter,) = template["Parameters"].values()
    assert parameter["Type"] == "CommaDelimitedList"
    assert "Default" not in parameter
    parsed = hcl2.loads(terraform(found))
    (variable,) = parsed["variable"]
    ((name, said),) = variable.items()
    assert name == '"subjects_okta"'
    assert "default" not in said
    assert json.loads(said["description"]) == parameter["Description"]
    made = [next(iter(one)).strip('"') for one in parsed["resource"]]
    assert sorted(made) == [
        *("aws_iam_openid_connect_provider", "aws_iam_policy", "aws_iam_policy"),
        *("aws_iam_role", "aws_iam_role_policy"),
    ]
    assert parsed["provider"][0]['"aws"']["allowed_account_ids"] == ['"111111111111"']


def test_terraform_finds_nothing_to_lay_out_otherwise(tmp_path: Path) -> None:
    """`terraform fmt -check`, which reads the whole of it."""
    revoked = {"environments__dev__aws__revoke_source": "profile:security"}
    for name, changes in (("keyed", revoked), ("keyless", KEYLESS | revoked)):
        (tmp_path / f"{name}.tf").write_text(terraform(planned(**changes)))
    assert laid_out(tmp_path) == ""
