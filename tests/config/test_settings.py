"""config.toml held against itself, and what the program works with then."""

from __future__ import annotations

from typing import Any

import pytest
import tomlkit

from agentauth_cli.config import settings
from agentauth_cli.errors import ConfigError, UnavailableError, UnknownNameError
from agentauth_cli.inbound.os_account import OsAccount
from agentauth_cli.policy.narrow import Allowance
from support.configs import FOLDER, PROD, TEMPLATE, config, load, loaded, refused

# As spec/files.md has it, but for the comments.
EXAMPLE = """\
version = 1
default_environment = "dev"
ledger = "sqlite"

[inbound]
os_login = true

[inbound.os.agent-07]
kind = "agent"
groups = ["team-a"]

[inbound.issuers.okta]
issuer = "https://acme.okta.com/oauth2/default"
audience = "agentauth"
client_id = "0oa1example"
algorithms = ["RS256"]
kind = "user"
subject_claim = "sub"
name_claim = "preferred_username"
groups_claim = "groups"
session = "8h"

[inbound.issuers.github]
preset = "github-actions"
audience = "https://agentauth.acme.dev"
ambient = true
require = { repository_owner_id = "123456" }

[environments.dev.aws]
account_id = "111111111111"
role_arn_template = "arn:aws:iam::{account_id}:role/{tool_name}"
region = "eu-west-1"
source = "ambient"
audience = "sts.amazonaws.com"
session_tags = true

[environments.dev.gcp]
project = "acme-dev"
service_account_template = "{tool_id}@{project}.iam.gserviceaccount.com"
source = "web_identity"
workload_identity_provider = "//iam.googleapis.com/projects/123/locations/global/\
workloadIdentityPools/agents/providers/okta"

[environments.dev.openai]
project_id = "proj-dev-123"
source = "web_identity"
identity_provider_id = "idp_1"
service_account_id = "sa_1"

[environments.dev.huggingface]
namespace = "acme"
source = "oidc"

[tools.s3_upload]
description = "Upload build results"
provider = "aws"
actions = ["aws.s3.put"]
permissions = ["s3:PutObject"]
resource = "s3://acme-agents/${principal.name}/*"
duration = "15m"

[tools.deploy_site]
provider = "aws"
role = "arn:aws:iam::111111111111:role/deploy"
duration = "30m"
[[tools.deploy_site.grant]]
actions = ["aws.s3.put"]
permissions = ["s3:PutObject", "s3:DeleteObject"]
resource = "s3://acme-site/*"
[[tools.deploy_site.grant]]
actions = ["aws.cloudfront.invalidate"]
permissions = ["cloudfront:CreateInvalidation"]
resource = "arn:aws:cloudfront::111111111111:distribution/E1AB"

[tools.gcs_read]
provider = "gcp"
actions = ["gcp.storage.read"]
permissions = ["inRole:roles/storage.objectViewer"]
oauth_scopes = ["https://www.googleapis.com/auth/devstorage.read_only"]
resource = "gs://acme-data/public/*"
duration = "15m"

[tools.openai_chat]
provider = "openai"
actions = ["openai.chat.generate"]
permissions = ["model.request"]
resource = "${project_id}"
duration = "1h"
allowance = { tokens = 200_000, cost = "0.50" }

[tools.hf_pull]
provider = "huggingface"
actions = ["huggingface.repo.read"]
permissions = ["repo.content.read"]
resource = "models/acme/private-llm"
duration = "1h"
"""


def test_the_example_of_the_specification_loads_as_written() -> None:
    """The config.toml of the specification is one."""
    found, problems = settings.load(EXAMPLE.encode(), FOLDER)
    assert not problems
    assert found is not None
    tools = {tool.name: tool for tool in found.every_tool()}
    assert [tool.duration for tool in tools.values()] == [900, 1800, 900, 3600, 3600]
    assert tools["s3_upload"].grants[0].resource.pieces[0] == "arn:aws:s3:::acme-agents/"
    assert [grant.actions for grant in tools["deploy_site"].grants] == [
        ("aws.s3.put",),
        ("aws.cloudfront.invalidate",),
    ]
    assert tools["openai_chat"].allowance == Allowance(200_000, 500_000)
    assert tools["openai_chat"].variables == {"project_id": "proj-dev-123"}
    assert found.inbound.os_login
    assert found.inbound.os_accounts == {"agent-07": OsAccount("agent", ("team-a",))}
    okta, github = found.inbound.issuers
    assert (okta.name, okta.algorithms, okta.name_claim) == (
        "okta",
        ("RS256",),
        "preferred_username",
    )
    assert (okta.client_id, okta.token_endpoint) == ("0oa1example", None)
    assert found.inbound.ambient == (("github", "github-actions"),)
    assert github.issuer == "https://token.actions.githubusercontent.com"
    assert github.require == {"repository_owner_id": "123456"}


def test_defaults_are_those_of_the_specification() -> None:
    """Defaults: ledger sqlite, os_login false, source ambient, session_tags true, duration 15m."""
    found = loaded(inbound=None)
    aws = found.environments["dev"]["aws"]
    assert found.ledger == "sqlite"
    assert not found.inbound.os_login
    assert (aws["source"], aws["session_tags"]) == ("ambient", True)
    assert found.tool("put", "dev").duration == 900
    assert loaded(inbound__os__x={"groups": ["a"]}).inbound.os_accounts["x"].kind == "user"
    issuer = {"issuer": "https://acme.example", "audience": "a", "jwks_file": "keys.json"}
    (found_issuer,) = loaded(inbound__issuers__okta=issuer).inbound.issuers
    assert found_issuer.kind == "user"
    assert found_issuer.algorithms == ("RS256", "ES256", "EdDSA")
    assert found_issuer.jwks_file == FOLDER / "keys.json"


# -- names -----------------------------------------------------------------------------------


def test_an_unknown_environment_is_told_with_the_nearest_one() -> None:
    """Unknown names are UnknownNameError, with the nearest right one."""
    found = loaded(environments__prod__aws=PROD)
    assert found.environment(None) == "dev"
    assert found.environment("prod") == "prod"
    with pytest.raises(UnknownNameError, match="did you mean `prod`"):
        found.environment("prdo")
    with pytest.raises(UnknownNameError):
        found.environment("")


def test_an_unknown_tool_is_told_with_the_nearest_one() -> None:
    """A tool that is not configured is UnknownNameError, however odd its name."""
    found = loaded()
    with pytest.raises(UnknownNameError, match="did you mean `put`"):
        found.tool("putt", "dev")
    for odd in ("", "\x00", "x" * 100_000, "../put", "\udcff"):
        with pytest.raises(UnknownNameError):
            found.tool(odd, "dev")


def test_a_tool_needs_its_provider_in_the_environment() -> None:
    """The message names the table that is missing."""
    found = loaded(environments__bare__gcp={"project": "p"})
    with pytest.raises(ConfigError, match=r"tool put needs \[environments\.bare\.aws\]"):
        found.tool("put", "bare")
    assert [tool.environment for tool in found.every_tool()] == ["dev"]


def test_the_default_environment_is_one() -> None:
    """A default environment that is not configured is a load error, with the nearest name."""
    assert refused(default_environment="dve") == [
        "default_environment: there is no such environment: did you mean `dev`?"
    ]
    assert refused(environments=None) == ["default_environment: there is no such environment"]


# -- grants ----------------------------------------------------------------------------------

GRANT = {"actions": ["aws.s3.put"], "permissions": ["s3:PutObject"], "resource": "s3://acme/*"}


def test_grants_stand_in_the_long_form_or_in_the_short_one() -> None:
    """A tool has one grant in itself, or several in [[grant]], never both."""
    wrong = refused(tools__put__grant=[GRANT])
    assert wrong == ["tools.put.actions: stands in [[grant]] or in the tool, not in both"]
    for key in GRANT:
        assert refused(**{f"tools__put__{key}": None}) == [f"tools.put: missing key {key!r}"]
    without = {"provider": "aws", "grant": [{"actions": ["aws.s3.put"], "resource": "x"}]}
    assert refused(tools__put=without) == ["tools.put.grant: missing key 'permissions'"]
    loaded(tools__put={"provider": "aws", "grant": [GRANT, GRANT]})


@pytest.mark.parametrize("permission", ["s3:*", "*", "s3:Put*", "iam:PassRole", "S4:PutObject"])
def test_a_star_or_a_foreign_service_needs_wide(permission: str) -> None:
    """A permission with a star, or of another service, is a load error without `wide = true`."""
    (wrong,) = refused(tools__put__permissions=["s3:PutObject", permission])
    assert wrong.startswith(f"tools.put.permissions: permission {permission!r} ")
    assert "`wide = true`" in wrong
    loaded(tools__put__permissions=[permission], tools__put__wide=True)


def test_a_service_is_the_same_in_any_case() -> None:
    """AWS takes S3:PutObject for s3:PutObject."""
    loaded(tools__put__permissions=["S3:PutObject"])


def test_each_grant_is_held_against_its_own_actions() -> None:
    """A permission of a service that only another grant's actions name is foreign."""
    other = {**GRANT, "actions": ["aws.iam.pass"], "permissions": ["iam:PassRole"]}
    loaded(tools__put={"provider": "aws", "grant": [GRANT, other]})
    foreign = {**GRANT, "permissions": ["iam:PassRole"]}
    assert refused(tools__put={"provider": "aws", "grant": [other, foreign]})


@pytest.mark.parametrize(
    ("permission", "good"),
    [
        ("inRole:roles/storage.objectViewer", True),
        ("inRole:roles/iam.serviceAccountTokenCreator", False),
        ("inRole:roles/storage.*", False),
        ("inRole:projects/p/roles/custom", False),
    ],
)
def test_a_google_permission_is_of_its_actions_service_too(permission: str, *, good: bool) -> None:
    """(AWS and Google) of another service than its actions name is a load error."""
    tool = {
        "provider": "gcp",
        "actions": ["gcp.storage.read"],
        "permissions": [permission],
        "resource": "gs://acme/*",
    }
    found, problems = load(config(tools__read=tool))
    assert (found is not None) == good, problems
    loaded(tools__read={**tool, "wide": True})


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("s3://acme/x/*", "arn:aws:s3:::acme/x/*"),
        ("s3://${tool}/x", "arn:aws:s3:::${tool}/x"),
        ("arn:aws:s3:::acme/x/*", "arn:aws:s3:::acme/x/*"),
        ("s3:/acme", "s3:/acme"),
    ],
)
def test_an_s3_uri_becomes_the_arn(written: str, compared: str) -> None:
    """`s3://` and `arn:aws:s3:::` mean the same and are compared as the ARN."""
    pieces = loaded(tools__put__resource=written).tool("put", "dev").grants[0].resource.pieces
    shown = [f"${{{piece}}}" if i % 2 else piece for i, piece in enumerate(pieces)]
    assert "".join(shown) == compared


# -- durations -------------------------------------------------------------------------------


@pytest.mark.parametrize("duration", ["1s", "899s", "43201s", "13h", "999999999d"])
def test_a_duration_is_one_that_the_provider_can_mint(duration: str) -> None:
    """AWS mints 900 s to 12 h; what it cannot is refused when the file is read."""
    assert refused(tools__put__duration=duration) == [
        "tools.put.duration: aws mints 900 s to 43200 s"
    ]


@pytest.mark.parametrize(("duration", "seconds"), [("900s", 900), ("15m", 900), ("12h", 43200)])
def test_a_duration_is_read_in_seconds(duration: str, seconds: int) -> None:
    """Durations: digits and one of s m h d."""
    assert loaded(tools__put__duration=duration).tool("put", "dev").duration == seconds


# -- environments ----------------------------------------------------------------------------


def test_a_tool_may_be_narrowed_per_environment() -> None:
    """A tool may be narrowed per environment in [tools.NAME.environments.ENV] (same keys)."""
    found = loaded(
        environments__prod__aws=PROD,
        tools__put__environments__prod={
            "resource": "s3://acme-prod/x/*",
            "duration": "30m",
            "role": "arn:aws:iam::222222222222:role/other",
            "allowance": {"tokens": 5},
        },
    )
    dev, prod = found.tool("put", "dev"), found.tool("put", "prod")
    assert (dev.duration, prod.duration) == (900, 1800)
    assert (dev.role, prod.role) == (None, "arn:aws:iam::222222222222:role/other")
    assert prod.grants[0].resource.pieces[0] == "arn:aws:s3:::acme-prod/x/*"
    assert prod.grants[0].actions == dev.grants[0].actions
    assert (dev.allowance.tokens, prod.allowance.tokens) == (None, 5)
    assert prod.variables == {"account_id": "222222222222"}


def test_what_is_wrong_in_an_environment_is_told_there() -> None:
    """What an environment makes of a tool is held to the same rules, and told where it stands."""
    there = {"environments__prod__aws": PROD}

    def over(**keys: Any) -> list[str]:
        return refused(**there, tools__put__environments__prod=keys)

    star = "tools.put.environments.prod.permissions: permission 's3:*"
    assert over(permissions=["s3:*"])[0].startswith(star)
    assert over(duration="1m")[0].startswith("tools.put.environments.prod.duration: aws mints")
    assert over(grant=[GRANT])[0].startswith("tools.put.environments.prod")
    assert over(resuorce="x")[0].endswith("did you mean `resource`?")
    assert refused(tools__put__environments__prdo={"duration": "15m"}, **there) == [
        "tools.put.environments.prdo: there is no such environment: did you mean `prod`?"
    ]


def test_what_is_wrong_between_keys_is_told_at_the_entry_that_is_wrong() -> None:
    """A load error names line and column, also of what only the whole file shows."""
    text = """\
version = 1
default_environment = "dev"
[environments.dev.aws]
account_id = "111111111111"
role_arn_template = "arn:aws:iam::{account_id}:role/{tool_name}"
region = "eu-west-1"
[tools.short]
provider = "aws"
actions = ["aws.s3.put"]
permissions = ["s3:PutObject", "s3:*"]
resource = "s3://acme/x/*"
duration = "1m"
environments.dev = { resource = "s3://acme/y/*" }
[tools.long]
provider = "aws"
grant = [
  { actions = ["aws.s3.put"], permissions = ["s3:PutObject"], resource = "s3://acme/x/*" },
  { actions = ["aws.s3.put"], permissions = ["sts:x", "s3:x"], resource = "s3://acme/x/*" },
]
environments.dev = { duration = "99h" }
"""
    problems = settings.load(text.encode(), FOLDER)[1]
    assert [(one.key, one.line, one.column) for one in problems] == [
        ("tools.short.permissions", 10, 32),
        ("tools.short.duration", 12, 1),
        ("tools.long.grant.permissions", 18, 46),
        ("tools.long.environments.dev.duration", 20, 22),
    ]


def test_an_error_of_a_tool_is_told_once_however_many_environments_there_are() -> None:
    """The count of a load error counts errors, not environments."""
    prod = {**PROD, "account_id": "222222222222"}
    test = {**PROD, "account_id": "333333333333"}
    there = {"environments__prod__aws": prod, "environments__test__aws": test}
    assert len(refused(**there, tools__put__permissions=["s3:*"])) == 1
    assert len(refused(**there, tools__put__duration="1m")) == 1


def test_two_environments_never_give_a_tool_the_same_role() -> None:
    """Two environments that would give a tool the same role are an error naming both."""
    role = "arn:aws:iam::111111111111:role/one"
    same = ["tools.put: the same role in dev and prod: environments are walls"]
    assert refused(environments__prod__aws=PROD, tools__put__role=role) == same
    assert refused(environments__prod__aws={**PROD, "account_id": "111111111111"}) == same
    fixed = {**PROD, "role_arn_template": "arn:aws:iam::111111111111:role/put"}
    assert refused(environments__prod__aws=fixed) == same
    other = {"role": "arn:aws:iam::222222222222:role/one"}
    loaded(
        environments__prod__aws=PROD,
        tools__put__role=role,
        tools__put__environments__prod=other,
    )


def test_two_environments_never_give_a_tool_the_same_project_or_service_account() -> None:
    """The same service account or OpenAI project in two environments is an error naming both."""
    ask = {
        "provider": "openai",
        "actions": ["openai.chat.generate"],
        "permissions": ["model.request"],
        "resource": "${project_id}",
    }
    dev, same, other = ({"project_id": one} for one in ("p1", "p1", "p2"))
    assert refused(
        tools__ask=ask, environments__dev__openai=dev, environments__prod__openai=same
    ) == ["tools.ask: the same project in dev and prod: environments are walls"]
    loaded(tools__ask=ask, environments__dev__openai=dev, environments__prod__openai=other)
    for key in ("service_account_id", "service_account"):
        assert refused(
            tools__ask={**ask, key: "sa_1"},
            environments__dev__openai=dev,
            environments__prod__openai=other,
        ) == ["tools.ask: the same service account in dev and prod: environments are walls"]
    own = {**other, "service_account_id": "sa_1"}
    assert refused(
        tools__ask=ask,
        environments__dev__openai={**dev, "service_account_id": "sa_1"},
        environments__prod__openai=own,
    ) == ["tools.ask: the same service account in dev and prod: environments are walls"]

    read = {
        "provider": "gcp",
        "actions": ["gcp.storage.read"],
        "permissions": ["inRole:roles/storage.objectViewer"],
        "resource": "gs://acme/*",
    }
    template = "{tool_id}@{project}.iam.gserviceaccount.com"
    one = {"project": "one", "service_account_template": template}
    two = {"project": "two", "service_account_template": template}
    there = {"environments__dev__gcp": one, "environments__prod__gcp": two}
    loaded(tools__read=read, **there)
    account = {**read, "service_account": "a@one.iam.gserviceaccount.com"}
    assert refused(tools__read=account, **there) == [
        "tools.read: the same service account in dev and prod: environments are walls"
    ]
    assert refused(tools__read=read, **{**there, "environments__prod__gcp": one}) == [
        "tools.read: the same service account in dev and prod: environments are walls"
    ]


def test_no_tool_of_an_environment_acts_as_one_of_another() -> None:
    """A tool vended in `dev` can never carry prod's role, service account, project or key."""
    prods = "arn:aws:iam::222222222222:role/put"
    assert refused(
        environments__prod__aws=PROD,
        tools__other={**config()["tools"]["put"], "environments": {"dev": {"role": prods}}},
    ) == [
        "tools.other.environments.dev: the same role in prod and dev: environments are walls",
    ]
    template = "{tool_id}@{project}.iam.gserviceaccount.com"
    read = {
        "provider": "gcp",
        "actions": ["gcp.storage.read"],
        "permissions": ["inRole:roles/storage.objectViewer"],
        "resource": "gs://acme/*",
        "environments": {"dev": {"service_account": "gcs-read@two.iam.gserviceaccount.com"}},
    }
    assert refused(
        environments__dev__gcp={"project": "one", "service_account_template": template},
        environments__prod__gcp={"project": "two", "service_account_template": template},
        tools__gcs_read=read,
    ) == ["tools.gcs_read: the same service account in dev and prod: environments are walls"]


def test_a_role_comes_from_the_tool_or_the_environment() -> None:
    """Required for AWS: `role_arn_template` unless each tool has `role`."""
    without = {key: value for key, value in PROD.items() if key != "role_arn_template"}
    assert refused(environments__dev__aws=without) == [
        "tools.put: no `role`, and no role_arn_template in environment dev"
    ]
    role = "arn:aws:iam::222222222222:role/put"
    loaded(environments__dev__aws=without, tools__put__role=role)
    assert loaded().environments["dev"]["aws"]["role_arn_template"] == TEMPLATE


# -- exec ------------------------------------------------------------------------------------


def test_exec_says_which_variables_a_command_inherits() -> None:
    """`[exec]` (`inherit`)."""
    assert loaded().inherit == ()
    assert loaded(exec={"inherit": ["A", "b"]}).inherit == ("A", "b")


# -- managed policies of AWS -----------------------------------------------------------------

MANAGED = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def test_managed_policies_of_a_tool_are_the_requests() -> None:
    """`policy_arns` (AWS), where the tool says `wide = true`."""
    found = loaded(tools__put__policy_arns=[MANAGED], tools__put__wide=True)
    assert found.tool("put", "dev").policy_arns == (MANAGED,)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {},
            (
                "tools.put.policy_arns: AWS allows what they allow beside the tool's own: say "
                "`wide = true` to mean it"
            ),
        ),
        (
            {"tools__put__wide": True, "tools__put__policy_arns": [MANAGED] * 11},
            "tools.put.policy_arns: AWS takes 10",
        ),
        (
            {"tools__put__wide": True, "tools__put__policy_arns": ["arn:aws:iam::aws:role/x"]},
            "tools.put.policy_arns: expected the ARN of a managed policy",
        ),
        (
            {"tools__put__provider": "huggingface"},
            "tools.put.policy_arns: does nothing with provider 'huggingface'",
        ),
    ],
)
def test_managed_policies_that_would_surprise_are_refused(
    changes: dict[str, Any], why: str
) -> None:
    """They widen the session policy, up to the role: nobody gets that without saying so."""
    assert why in refused(**{"tools__put__policy_arns": [MANAGED]} | changes)


def test_what_mints_is_not_what_revokes() -> None:
    """A credential of its own, never the one that vends."""
    aws = "environments__dev__aws"
    keys = {f"{aws}__source": "profile:a", f"{aws}__revoke_source": "profile:a"}
    why = "what mints could rewrite the roles that confine it: name another profile"
    assert refused(**keys) == [f"environments.dev.aws.revoke_source: {why}"]
    loaded(**keys | {f"{aws}__revoke_source": "profile:b"})


# -- what comes later ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ledger": "postgresql://me:secret@db/x"}, "ledger = 'postgresql'"),
        ({"audit": {"mirror": "syslog"}}, "audit.mirror"),
        ({"fleet": {"require_same": True}}, "fleet.require_same"),
    ],
)
def test_what_this_version_has_not_is_named_by_the_request_that_needs_it(
    changes: dict[str, Any], named: str
) -> None:
    """It loads; the request that needs it is UnavailableError, naming the key."""
    found = loaded(**changes)
    with pytest.raises(UnavailableError) as caught:
        found.needs_later()
    assert caught.value.message == named


def test_nothing_of_the_example_is_for_later() -> None:
    """Every provider of the specification's example is one that this version has."""
    found, _ = settings.load(EXAMPLE.encode(), FOLDER)
    assert found is not None
    found.needs_later()


TOKENS = [
    ({"token_file": "t"}, "token_file: does nothing with source 'ambient'"),
    (
        {"source": "profile:x", "token_file": "t"},
        "token_file: does nothing with source 'profile:x'",
    ),
    ({"reuse_inbound": True}, "reuse_inbound: does nothing with source 'ambient'"),
    (
        {"source": "web_identity", "token_file": "t", "reuse_inbound": True},
        "reuse_inbound: does nothing beside token_file, which comes first",
    ),
]


@pytest.mark.parametrize(("keys", "told"), TOKENS)
def test_a_key_that_would_do_nothing_is_refused(keys: dict[str, Any], told: str) -> None:
    """Where a token comes from is said only where one is fetched, and once."""
    changes = {f"environments__dev__aws__{key}": value for key, value in keys.items()}
    assert refused(**changes) == [f"environments.dev.aws.{told}"]


@pytest.mark.parametrize(
    "keys",
    [
        {"audience": "sts.amazonaws.com", "reuse_inbound": False},
        {"source": "web_identity"},
        {"source": "web_identity", "token_file": "t", "audience": "x"},
        {"source": "web_identity", "reuse_inbound": True},
    ],
)
def test_where_a_token_comes_from_is_said_with_web_identity(keys: dict[str, Any]) -> None:
    """`source = "web_identity"` takes token_file or reuse_inbound; an audience does no harm."""
    loaded(**{f"environments__dev__aws__{key}": value for key, value in keys.items()})


def test_all_errors_are_found_at_once() -> None:
    """All errors of a file are listed at once, in its order, each with its line."""
    made = config(
        tools__put__permissions=["s3:*"], tools__put__duration="1m", default_environment="x"
    )
    lines = tomlkit.dumps(made).splitlines()
    problems = load(made)[1]
    assert [one.line for one in problems] == sorted(one.line for one in problems)
    assert len(problems) == 3
    assert lines[problems[0].line - 1].startswith("default_environment")
    assert lines[problems[2].line - 1].startswith("duration")


HUB = {"namespace": "acme"}
PULL = {
    "provider": "huggingface",
    "actions": ["huggingface.repo.read"],
    "permissions": ["repo.content.read"],
    "resource": "models/acme/llm",
}


def test_an_exchanged_token_of_hugging_face_lives_for_an_hour() -> None:
    """Without a duration it is that hour; another is refused, but not of a stored token."""
    stored = {**HUB, "source": "stored_token", "same_account": True}
    both = {"environments__dev__huggingface": HUB, "environments__prod__huggingface": stored}
    found = loaded(**both, tools__pull=PULL)
    assert found.tool("pull", "dev").duration == 3600
    assert found.tool("pull", "prod").duration == 900
    for duration in ("15m", "2h"):
        assert refused(**both, tools__pull={**PULL, "duration": duration}) == [
            "tools.pull.duration: huggingface mints 3600 s"
        ]
    over = {**PULL, "environments": {"prod": {"duration": "15m"}}}
    assert loaded(**both, tools__pull=over).tool("pull", "prod").duration == 900


def test_an_exchanged_token_of_openai_may_live_for_an_hour() -> None:
    """Without a duration it is that hour; less is refused, but not of a key."""
    token, key = {"project_id": "p1"}, {"project_id": "p2", "source": "admin_key"}
    both = {
        "environments__dev__openai": token,
        "environments__prod__openai": {**key, "same_account": True},
    }
    ask = {
        "provider": "openai",
        "actions": ["openai.chat.generate"],
        "permissions": ["model.request"],
        "resource": "${project_id}",
    }
    found = loaded(**both, tools__ask=ask)
    assert found.tool("ask", "dev").duration == 3600
    assert found.tool("ask", "prod").duration == 900
    assert refused(**both, tools__ask={**ask, "duration": "15m"}) == [
        "tools.ask.duration: openai mints 3600 s to 43200 s"
    ]
    loaded(**both, tools__ask={**ask, "duration": "2h"})


@pytest.mark.parametrize(
    ("provider", "source", "keys"),
    [
        ("openai", "admin_key", {"project_id": "p"}),
        ("huggingface", "stored_token", HUB),
    ],
)
def test_a_source_in_the_keyring_has_to_be_meant(
    provider: str, source: str, keys: dict[str, str]
) -> None:
    """`admin_key` and `stored_token` need `same_account = true` beside them."""
    at = f"environments__dev__{provider}"
    entry = {**keys, "source": source}
    where = f"{source} lies in a keyring that every program of this account can read"
    why = f"{where}: say `same_account = true` to mean it"
    assert refused(**{at: entry}) == [f"environments.dev.{provider}.source: {why}"]
    assert refused(**{at: {**entry, "same_account": False}})
    loaded(**{at: {**entry, "same_account": True}})
