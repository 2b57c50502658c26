"""Google's side of a configuration: whose tokens are taken, whom they stand for, what those may."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import hcl2
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentauth_cli.bootstrap.gcp import Plan, plan
from agentauth_cli.bootstrap.gcp_gcloud import gcloud
from agentauth_cli.bootstrap.gcp_terraform import terraform
from agentauth_cli.errors import ConfigError
from agentauth_cli.model import Principal, ProviderType, ToolRequest
from agentauth_cli.outbound.gcp import GCPCredentialBroker
from support.configs import config, load, loaded
from support.shells import WORDS, entries, words
from support.terraform import laid_out

if TYPE_CHECKING:
    from pathlib import Path

POOL = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/agents"
TEMPLATE = "{tool_id}@{project}.iam.gserviceaccount.com"
AWS = {
    "account_id": "111111111111",
    "region": "eu-west-1",
    "role_arn_template": "arn:aws:iam::{account_id}:role/{tool_name}",
}
GCP = {"project": "acme-dev", "service_account_template": TEMPLATE}
OKTA = {"issuer": "https://id.acme.dev/o", "audience": "agentauth", "client_id": "agents"}
CI = {"preset": "github-actions", "audience": "x", "ambient": True}
CI |= {"require": {"repository_owner_id": "1"}}
VIEWER = "inRole:roles/storage.objectViewer"
READ = {
    "provider": "gcp",
    "actions": ["gcp.storage.read"],
    "permissions": [VIEWER],
    "resource": "gs://acme-data/public/*",
}
BEGINS = "resource.name.startsWith('projects/_/buckets/"
LISTED = "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"


def configured(**changes: Any) -> dict[str, Any]:
    """Return changes of a configuration that make it one of Google, keyless, changed."""
    federated = GCP | {
        "source": "web_identity",
        "workload_identity_provider": f"{POOL}/providers/okta",
    }
    return {
        "environments__dev__gcp": federated,
        "inbound__issuers": {"okta": OKTA},
        "tools": {"gcs_read": READ},
        **changes,
    }


def planned(**changes: Any) -> Plan:
    """Return the plan of a changed configuration."""
    return plan(loaded(**configured(**changes)), "dev")


def resources(found: Plan) -> dict[str, dict[str, Any]]:
    """Return the resources of the Terraform, by ``kind.name``."""
    return {
        f"{kind}.{name}".replace('"', ""): said
        for one in hcl2.loads(terraform(found))["resource"]
        for kind, named in one.items()
        for name, said in named.items()
    }


def unquoted(value: Any) -> Any:
    """Return what a string literal of HCL means."""
    return json.loads(value)


def commands(found: Plan) -> list[list[str]]:
    """Return the commands that make something, in words."""
    script = gcloud(found)
    made: list[list[str]] = []
    for word in words(script[script.index("\n\ngcloud ") :]):
        if word == "gcloud":
            made.append([])
        if word not in {"for", "one", "in", "$@;", "do", "done"}:
            made[-1].append(word)
    return made


def flags(words: list[str]) -> dict[str, str]:
    """Return the flags of a command."""
    return dict(one.removeprefix("--").split("=", 1) for one in words if one.startswith("--"))


# -- whose tokens ----------------------------------------------------------------------------------


def test_the_provider_takes_one_issuers_tokens_for_the_audience_that_agentauth_asks_for() -> None:
    """Attribute mapping, attribute condition, and the audience of spec/providers.md."""
    found = planned(
        inbound__issuers={"ci": CI},
        environments__dev__gcp__source="web_identity",
    )
    provider = resources(found)["google_iam_workload_identity_pool_provider.ci"]
    condition = (
        "assertion.iss == 'https://token.actions.githubusercontent.com' && google.subject != ''"
        " && assertion.repository_owner_id == '1'"
    )
    assert unquoted(provider["attribute_condition"]) == condition
    mapping = {unquoted(key): unquoted(one) for key, one in provider["attribute_mapping"].items()}
    assert mapping == {
        "google.subject": "assertion.sub",
        "attribute.repository_owner_id": "assertion.repository_owner_id",
    }
    assert unquoted(provider["workload_identity_pool_provider_id"]) == "okta"
    (oidc,) = provider["oidc"]
    assert unquoted(oidc["issuer_uri"]) == "https://token.actions.githubusercontent.com"
    assert list(map(unquoted, oidc["allowed_audiences"])) == [f"https:{POOL}/providers/okta"]
    assert (
        unquoted(
            resources(found)["google_iam_workload_identity_pool.pool"]["workload_identity_pool_id"]
        )
        == "agents"
    )


def test_both_languages_say_the_same_of_the_provider() -> None:
    """One plan: issuer, audience, mapping, condition, pool."""
    changed = configured()
    changed["environments__dev__gcp"]["audience"] = "https://google.acme.dev,x"
    found = plan(loaded(**changed), "dev")
    provider = resources(found)["google_iam_workload_identity_pool_provider.okta"]
    create, oidc = commands(found)[:2]
    assert create[:5] == ["gcloud", "iam", "workload-identity-pools", "create", "agents"]
    assert flags(create)["project"] == flags(oidc)["project"] == "acme-dev"
    assert oidc[3:6] == ["providers", "create-oidc", "okta"]
    said = flags(oidc)
    assert said["workload-identity-pool"] == "agents"
    assert said["issuer-uri"] == unquoted(provider["oidc"][0]["issuer_uri"])
    assert said["attribute-condition"] == unquoted(provider["attribute_condition"])
    audiences = list(map(unquoted, provider["oidc"][0]["allowed_audiences"]))
    assert entries(said["allowed-audiences"]) == audiences == ["https://google.acme.dev,x"]
    assert entries(said["attribute-mapping"]) == [
        f"{unquoted(key)}={unquoted(one)}" for key, one in provider["attribute_mapping"].items()
    ]


def test_what_a_condition_compares_is_what_the_login_compares() -> None:
    """A claim of any name, its value as text, and no address that nobody confirmed."""
    issuer = OKTA | {
        "subject_claim": "https://acme.dev/id",
        "require": {"oidc.circleci.com/org-id": "it's", "email": "a@acme.dev", "hd": "acme.dev"},
    }
    pool = planned(inbound__issuers={"okta": issuer}).pool
    assert pool is not None
    assert pool.condition.split(" && ")[2:] == [
        r"assertion['oidc.circleci.com/org-id'] == 'it\'s'",
        "assertion.email == 'a@acme.dev'",
        "assertion.hd == 'acme.dev'",
        "assertion.email_verified == true",
    ]
    assert pool.mapping == {
        "google.subject": "assertion['https://acme.dev/id']",
        "attribute.email": "assertion.email",
        "attribute.hd": "assertion.hd",
    }


@pytest.mark.parametrize(
    ("provider", "names", "chosen"),
    [
        ("anything", ["okta"], "okta"),
        ("okta", ["okta", "ci"], "okta"),
        ("ci-main", ["okta", "ci"], "ci"),
        ("ci-main", ["ci", "ci-main"], "ci-main"),
    ],
)
def test_a_provider_stands_for_one_issuer(provider: str, names: list[str], chosen: str) -> None:
    """Two issuers in one pool could have the same subject: the others are named, and left out."""
    changed = configured(inbound__issuers=dict.fromkeys(names, OKTA))
    changed["environments__dev__gcp"]["workload_identity_provider"] = f"{POOL}/providers/{provider}"
    found = plan(loaded(**changed), "dev")
    assert found.pool is not None
    assert found.pool.issuer.name == chosen
    for written in (terraform(found), gcloud(found)):
        for name in names:
            said = f"Tokens of {name}, https://id.acme.dev/o, are not taken" in written
            assert said == (name != chosen)
    made = [one for one in resources(found) if "pool_provider" in one]
    assert made == [f"google_iam_workload_identity_pool_provider.{chosen}"]


def test_keys_in_a_file_have_to_be_given_to_google() -> None:
    """Google fetches keys from a public URL alone."""
    issuer = OKTA | {"jwks_file": "keys.json"}
    assert any("are in a file" in one for one in planned(inbound__issuers={"okta": issuer}).notes)
    assert not any("are in a file" in one for one in planned().notes)


# -- whom they stand for ---------------------------------------------------------------------------


def test_principals_are_asked_for_and_nobody_is_by_default() -> None:
    """A variable without a default; workloadIdentityUser for principal:// and principalSet://."""
    found = planned(inbound__issuers={"okta": CI})
    (variable,) = hcl2.loads(terraform(found))["variable"]
    said = variable['"principals"']
    assert "default" not in said
    assert unquoted(said["description"]) == (
        "Whose tokens of https://token.actions.githubusercontent.com are taken: subject/SUBJECT, "
        "127 bytes at most, or attribute.repository_owner_id/VALUE; anybody can have a token of "
        "this issuer, so say whose"
    )
    member = resources(found)["google_service_account_iam_member.gcs-read"]
    assert unquoted(member["role"]) == "roles/iam.workloadIdentityUser"
    assert flags(commands(found)[3])["role"] == "roles/iam.workloadIdentityUser"


def test_a_source_with_a_credential_mints_by_its_own_name() -> None:
    """The ADC source gets serviceAccountTokenCreator, and there is no pool."""
    found = planned(environments__dev__gcp=GCP)
    assert found.pool is None
    made = resources(found)
    assert list(made) == [
        "google_service_account.gcs-read",
        "google_service_account_iam_member.gcs-read",
        "google_storage_bucket_iam_member.gcs-read_1",
    ]
    member = made["google_service_account_iam_member.gcs-read"]
    assert unquoted(member["role"]) == "roles/iam.serviceAccountTokenCreator"
    assert flags(commands(found)[1])["role"] == "roles/iam.serviceAccountTokenCreator"
    assert found.advice == "Who source ambient is at Google: user:, group: or serviceAccount:EMAIL"


@pytest.mark.parametrize(
    ("source", "principal", "fits"),
    [
        ("web_identity", "subject/repo:acme/app:ref:refs/heads/main", True),
        ("web_identity", "attribute.repository_owner_id/1", True),
        ("web_identity", "*", False),
        ("web_identity", "subject/*", False),
        ("web_identity", "subject/", False),
        ("web_identity", "user:a@acme.dev", False),
        ("ambient", "user:a@acme.dev", True),
        ("ambient", "serviceAccount:ci@acme-dev.iam.gserviceaccount.com", True),
        ("ambient", "allUsers", False),
        ("ambient", "user:*@acme.dev", False),
    ],
)
def test_no_principal_is_everybody(source: str, principal: str, fits: bool) -> None:
    """Both languages refuse the same; the script before it asks gcloud for anything."""
    changed = configured()
    changed["environments__dev__gcp"]["source"] = source
    found = plan(loaded(**changed), "dev")
    assert bool(re.fullmatch(found.form, principal)) == fits
    said = ran(gcloud(found), principal)
    assert (said.returncode == 0) == fits
    assert bool(said.stdout) == fits


def test_the_script_binds_each_principal_to_each_account() -> None:
    """What gcloud gets, word by word, from a shell."""
    tool = READ | {"resource": "gs://acme-data/it's $(touch /x) `y` $z/*"}
    found = planned(tools={"gcs_read": tool, "gcs_write": READ})
    subject = "subject/repo:a/b:$HOME 'x'"
    said = ran(gcloud(found), subject, "attribute.hd/acme.dev")
    assert said.returncode == 0, said.stderr
    asked = [one.split("\n") for one in said.stdout.split("\n\n")[:-1]]
    bound = [one for one in asked if one[2:4] == ["service-accounts", "add-iam-policy-binding"]]
    begins = "iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/agents/"
    assert [(one[4], flags(one)["member"]) for one in bound] == [
        (f"{account}@acme-dev.iam.gserviceaccount.com", member)
        for account in ("gcs-read", "gcs-write")
        for member in (
            f"principal://{begins}{subject}",
            f"principalSet://{begins}attribute.hd/acme.dev",
        )
    ]
    (condition,) = {flags(one)["condition"] for one in asked if "`y`" in "".join(one)}
    name = "projects/_/buckets/acme-data/objects/it\\'s $(touch /x) `y` $z/"
    assert f"expression=resource.name.startsWith('{name}')" in condition


def ran(script: str, *principals: str) -> subprocess.CompletedProcess[str]:
    """Run a script with a gcloud that prints what it is asked, a word a line."""
    fake = (
        'gcloud() { if [ "$1" = projects ]; then echo 123; '
        "else printf '%s\\n' \"gcloud\" \"$@\" ''; fi; }\n"
    )
    return subprocess.run(
        ["/bin/sh", "-s", "--", *principals],
        input=fake + script,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/nowhere"},
    )


def test_the_script_stops_at_another_projects_number() -> None:
    """A principal of a pool with another number would be somebody else's."""
    said = ran(gcloud(planned()).replace("= 123 ]", "= 124 ]"), "subject/a")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == "workload_identity_provider has the number of another project\n"
    assert ran(gcloud(planned())).stderr == "give at least one principal\n"


# -- what they may ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gcs_read", "Read.It", "x"])
def test_an_account_is_the_one_that_the_broker_asks_for(name: str) -> None:
    """tool_id as the broker computes it; a role's condition as the boundary of its tokens."""
    (account,) = planned(tools={name: READ}).accounts
    broker = GCPCredentialBroker(project="acme-dev", service_account_template=TEMPLATE)
    request = ToolRequest(
        tool_name=name,
        provider=ProviderType.GCP,
        action=VIEWER,
        resource="gs://acme-data/public/*",
        max_duration=900,
    )
    asked = broker.preview(Principal(id="okta/alice", name="alice"), request)
    assert asked.parameters["name"] == f"projects/-/serviceAccounts/{account.email}"
    options = asked.parameters["after"]["options"]
    (rule,) = options["accessBoundary"]["accessBoundaryRules"]
    (binding,) = account.bindings
    assert binding.condition == rule["availabilityCondition"]["expression"]
    assert rule["availableResource"].endswith(f"/buckets/{binding.bucket}")
    assert rule["availablePermissions"] == [f"inRole:{binding.role}"]


@pytest.mark.parametrize(
    ("resource", "condition"),
    [
        ("gs://acme-data/a/b", "resource.name == 'projects/_/buckets/acme-data/objects/a/b'"),
        ("gs://acme-data/*", ""),
        ("gs://acme-data/${principal.name}/*", ""),
        (
            "gs://acme-data/${tool}/${principal.name}/x",
            f"{BEGINS}acme-data/objects/gcs_read/') || {LISTED}.startsWith('gcs_read/')",
        ),
    ],
)
def test_a_bucket_is_opened_as_far_as_the_tool_reaches(resource: str, condition: str) -> None:
    """With an IAM condition on the prefix where there is one, up to what a request fills in."""
    found = planned(tools={"gcs_read": READ | {"resource": resource}})
    (binding,) = found.accounts[0].bindings
    assert binding.condition == condition
    said = resources(found)["google_storage_bucket_iam_member.gcs-read_1"]
    assert unquoted(said["bucket"]) == "acme-data"
    assert unquoted(said["role"]) == "roles/storage.objectViewer"
    asked = flags(commands(found)[-1])
    assert asked["member"] == "serviceAccount:gcs-read@acme-dev.iam.gserviceaccount.com"
    assert asked["role"] == "roles/storage.objectViewer"
    if condition:
        (only,) = said["condition"]
        assert unquoted(only["expression"]) == condition
        assert entries(asked["condition"])[1] == f"expression={condition}"
    else:
        assert "condition" not in said
        assert asked["condition"] == "None"
    wider = any("its tokens are narrowed" in one for one in found.notes)
    assert wider == ("${principal.name}" in resource)
    assert any("objectListPrefix" in one for one in found.notes) == bool(condition)


def test_tools_of_one_account_share_it() -> None:
    """Each role once, each tool by its name, what is outside of Cloud Storage by hand."""
    shared = {"service_account": "team-data@acme-dev.iam.gserviceaccount.com"}
    query = {
        "provider": "gcp",
        "actions": ["gcp.bigquery.read"],
        "permissions": ["inRole:roles/bigquery.dataViewer"],
        "resource": "projects/acme-dev/datasets/sales",
        "unnarrowed": True,
    }
    found = planned(tools={"one": READ | shared, "two": READ | shared, "query": query | shared})
    (account,) = found.accounts
    assert (account.name, account.tools) == ("team-data", ("one", "two", "query"))
    assert len(account.bindings) == 1
    assert found.notes[-1] == (
        "By hand, for query: roles/bigquery.dataViewer on projects/acme-dev/datasets/sales."
    )
    said = unquoted(resources(found)["google_service_account.team-data"]["description"])
    assert said == "agentauth, environment dev: one, two, query"


def test_a_description_is_no_longer_than_google_takes() -> None:
    """256 bytes; a tool's name is ASCII."""
    shared = {"service_account": "team-data@acme-dev.iam.gserviceaccount.com"}
    found = planned(tools={f"tool{i:060}": READ | shared for i in range(6)})
    assert len(found.described(found.accounts[0].tools)) == 256


# -- refusals --------------------------------------------------------------------------------------

NONE = ", the service account of x, is none that can be made in project acme-dev"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no tool": (
        {"tools": {"put": READ | {"provider": "aws", "wide": True}}, "environments__dev__aws": AWS},
        "environment dev has no tool of gcp",
    ),
    "no provider": (
        {"environments__dev__gcp": GCP | {"source": "web_identity"}},
        "environment dev has no workload_identity_provider to set up",
    ),
    "a provider of a project's name": (
        {
            "environments__dev__gcp": GCP
            | {
                "source": "web_identity",
                "workload_identity_provider": f"{POOL}/providers/okta".replace("123", "acme"),
            }
        },
        "environment dev has no workload_identity_provider to set up",
    ),
    "issuers that the provider is not named for": (
        {"inbound__issuers": {"one": OKTA, "two": OKTA}},
        "provider okta is of one issuer, and 2 give tokens",
    ),
    "another project": (
        {"tools": {"x": READ | {"service_account": "abcdef@acme-prod.iam.gserviceaccount.com"}}},
        f"abcdef@acme-prod.iam.gserviceaccount.com{NONE}",
    ),
    "an id that is too short": (
        {"tools": {"x": READ | {"service_account": "abc@acme-dev.iam.gserviceaccount.com"}}},
        f"abc@acme-dev.iam.gserviceaccount.com{NONE}",
    ),
    "no account": (
        {"environments__dev__gcp": {"project": "acme-dev"}},
        "no service account to act as",
    ),
    "a bucket of each request": (
        {"tools": {"x": READ | {"resource": "gs://acme-${principal.name}/x"}}},
        "'gs://acme-*' is no object of Cloud Storage",
    ),
    "too long a condition": (
        {"inbound__issuers": {"okta": OKTA | {"require": {"x": "y" * 4096}}}},
        "what issuer okta requires has 4181 characters in Google's words, and Google takes 4096",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_set_up_at_google_is_refused(case: str) -> None:
    """Exit 3, saying what is in the way."""
    changes, why = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        planned(**changes)
    assert caught.value.message == why


NASTY = st.sampled_from("'\"\\$`{}%<>^,=;|&#")


# -- hostile names ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(claim=WORDS.filter(bool), value=WORDS.filter(bool), audience=WORDS.filter(bool))
def test_a_hostile_name_stays_a_name(claim: str, value: str, audience: str) -> None:
    """Quotes, ${, newlines: each language reads back what the configuration says."""
    changed = configured(inbound__issuers={"okta": OKTA | {"require": {claim: value}}})
    changed["environments__dev__gcp"]["audience"] = audience
    found = plan(loaded(**changed), "dev")
    assert found.pool is not None
    provider = resources(found)["google_iam_workload_identity_pool_provider.okta"]
    said = flags(commands(found)[1])
    condition = found.pool.condition
    assert unquoted(provider["attribute_condition"]) == condition == said["attribute-condition"]
    assert [unquoted(one) for one in provider["oidc"][0]["allowed_audiences"]] == [audience]
    assert entries(said["allowed-audiences"]) == [audience]
    _, _, *required = cel(condition)
    assert required[-1] == value
    assert required[:-1] == [claim] or f"assertion.{claim} ==" in condition


@settings(deadline=None, max_examples=60)
@given(st.text(NASTY | st.characters(exclude_characters="*").filter(str.isprintable)))
def test_a_hostile_object_stays_an_object(name: str) -> None:
    """A name ends no string of CEL, of HCL or of a shell."""
    tool = READ | {"resource": f"gs://acme-data/x{name}"}
    configuration, _ = load(config(**configured(tools={"gcs_read": tool})))
    assume(configuration is not None)
    assert configuration is not None
    found = plan(configuration, "dev")
    assert cel(found.accounts[0].bindings[0].condition) == [
        f"projects/_/buckets/acme-data/objects/x{plain(name)}"
    ]
    (binding,) = found.accounts[0].bindings
    (only,) = resources(found)["google_storage_bucket_iam_member.gcs-read_1"]["condition"]
    assert unquoted(only["expression"]) == binding.condition
    asked = entries(flags(commands(found)[-1])["condition"])
    assert asked[1] == f"expression={binding.condition}"


def plain(name: str) -> str:
    """Return a name of the configuration, its escapes undone."""
    return re.sub(r"\\(.)", r"\1", name)


def cel(expression: str) -> list[str]:
    """Return what the string literals of an expression mean, in order."""
    return [meant(one) for one in re.findall(r"'(?:[^'\\]|\\.)*'", expression, re.DOTALL)]


def meant(literal: str) -> str:
    """Return what a string literal of CEL means."""
    return re.sub(
        r"\\(u([0-9a-f]{4})|.)",
        lambda found: chr(int(found[2], 16)) if found[2] else found[1],
        literal[1:-1],
    )


def test_one_environment_says_nothing_of_another() -> None:
    """A name of prod is never in the output of dev."""
    prod = GCP | {"project": "acme-prod", "source": "ambient"}
    over = {"environments": {"prod": {"resource": "gs://prod-data/*"}}}
    found = planned(environments__prod__gcp=prod, tools={"gcs_read": READ | over})
    for written in (terraform(found), gcloud(found)):
        assert "prod" not in written
        assert "gcs_read" in written
        assert "https://id.acme.dev/o" in written


def test_terraform_finds_it_well_laid_out(tmp_path: Path) -> None:
    """`terraform fmt -check` has nothing to say."""
    (tmp_path / "main.tf").write_text(terraform(planned(inbound__issuers={"okta": CI})))
    assert laid_out(tmp_path) == ""
