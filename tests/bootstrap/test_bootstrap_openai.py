"""OpenAI's side of a configuration, as steps: each request is one that OpenAI's SDK makes."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentauth_cli.bootstrap.openai import steps
from agentauth_cli.errors import ConfigError
from agentauth_cli.policy import budgets
from support.configs import loaded

AUDIENCE = "https://api.openai.com/v1"
OPENAI = {"project_id": "proj-dev-123", "audience": AUDIENCE}
OKTA = {"issuer": "https://id.acme.dev/o", "audience": "agentauth", "client_id": "agents"}
CI = {"preset": "github-actions", "audience": "x", "ambient": True}
CI |= {"require": {"repository_owner_id": "1"}}
CHAT = {
    "provider": "openai",
    "actions": ["openai.chat.generate"],
    "permissions": ["model.request"],
    "resource": "${project_id}",
    "allowance": {"tokens": 1, "cost": "0.5"},
}
BASE = {
    "environments__dev__openai": OPENAI,
    "inbound__issuers": {"okta": OKTA},
    "tools": {"chat": CHAT},
}
BUDGET = '[[budget]]\nid = "whole"\nproviders = ["openai"]\nper = []\n'
MONTH = 'limits.month = { cost = "12.34" }\n'
Asked = tuple[str, str, Any]


def written(said: str = "", **changes: Any) -> str:
    """Return the steps of a changed configuration, with budgets."""
    found = loaded(**BASE | changes)
    loadable, problems = budgets.load(f"version = 1\n{said}".encode(), tuple(found.every_tool()))
    assert not problems
    return steps(found, "dev", loadable)


def requests(text: str) -> list[Asked]:
    """Return the requests: method, path, body."""
    found = re.findall(r"^   (GET|POST) (\S+)\n(?:   (\{.*\})\n)?", text, re.MULTILINE)
    return [(method, path, json.loads(body) if body else None) for method, path, body in found]


class Recorder:
    """The SDK's client, with what it would have sent."""

    def __init__(self) -> None:
        self.sent: list[Asked] = []
        transport = httpx2.MockTransport(self._note)
        client = openai.OpenAI(
            admin_api_key="unused",
            base_url=AUDIENCE,
            http_client=httpx2.Client(transport=transport),
        )
        self.organization = client.admin.organization

    def _note(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content) if request.content else None
        path = request.url.raw_path.decode().removeprefix("/v1")
        self.sent.append((request.method, path, body))
        return httpx2.Response(200, json={})


# -- as the SDK has it -----------------------------------------------------------------------------


def test_each_request_is_the_one_of_the_sdk() -> None:
    """Method, path and body; the SDK takes each member by its name."""
    found = requests(written(BUDGET + MONTH))
    sdk = Recorder()
    bodies = [body for _, _, body in found]
    project, provider = "proj-dev-123", "IDENTITY_PROVIDER_ID"
    sdk.organization.projects.retrieve(project)
    sdk.organization.projects.create(**bodies[1])
    sdk.organization.projects.service_accounts.create(project, **bodies[2])
    sdk.organization.workload_identity_providers.create(**bodies[3])
    sdk.organization.workload_identity_providers.federation_rules.create(provider, **bodies[4])
    sdk.organization.projects.spend_limit.update(project, **bodies[5])
    assert found == sdk.sent


def test_what_is_there_already_is_looked_at() -> None:
    """An account and a provider that the configuration names are not made once more."""
    found = requests(
        written(
            tools={"chat": CHAT | {"service_account_id": "sa_1"}},
            environments__dev__openai=OPENAI | {"identity_provider_id": "idp_1"},
        )
    )
    sdk = Recorder()
    sdk.organization.projects.service_accounts.retrieve("sa_1", project_id="proj-dev-123")
    sdk.organization.workload_identity_providers.retrieve("idp_1")
    assert [found[2], found[4]] == sdk.sent
    assert found[5][1].startswith("/organization/workload_identity_providers/idp_1/")
    assert found[5][2]["service_account_id"] == "sa_1"


def test_tools_of_one_account_have_one_rule() -> None:
    """The account that the broker asks for: the tool's, else the environment's; scopes of all."""
    own = CHAT | {"service_account_id": "sa_2"}
    tools = {"chat": CHAT, "embed": CHAT | {"permissions": ["api.embeddings.write"]}, "own": own}
    text = written(tools=tools, environments__dev__openai=OPENAI | {"service_account_id": "sa_1"})
    assert "2. The service account sa_1, of chat, embed\n" in text
    assert "3. The service account sa_2, of own\n" in text
    rules = [body for _, path, body in requests(text) if path.endswith("/federation_rules")]
    assert [(one["service_account_id"], one["permissions"]["scopes"]) for one in rules] == [
        ("sa_1", ["model.request", "api.embeddings.write"]),
        ("sa_2", ["model.request"]),
    ]


# -- accounts, issuers, rules ----------------------------------------------------------------------


def test_each_tool_has_an_account_and_each_issuer_a_rule_for_it() -> None:
    """Issuer, audience, subject to service account; the mapping's permissions are the tool's."""
    tools = {"chat": CHAT, "embed.it": CHAT | {"permissions": ["api.embeddings.write"]}}
    text = written(inbound__issuers={"okta": OKTA, "ci": CI}, tools=tools)
    found = requests(text)
    made = [body["name"] for _, path, body in found if path.endswith("/service_accounts")]
    assert made == ["agentauth-dev-chat", "agentauth-dev-embed.it"]
    providers = [body for _, path, body in found if path.endswith("_providers")]
    assert [(one["issuer"], one["audience"]) for one in providers] == [
        ("https://id.acme.dev/o", AUDIENCE),
        ("https://token.actions.githubusercontent.com", AUDIENCE),
    ]
    rules = [body for _, path, body in found if path.endswith("/federation_rules")]
    assert [(one["attribute_matchers"], one["permissions"]["scopes"]) for one in rules] == [
        ({"sub": "SUBJECT"}, ["model.request"]),
        ({"sub": "SUBJECT"}, ["api.embeddings.write"]),
        ({"sub": "SUBJECT", "repository_owner_id": "1"}, ["model.request"]),
        ({"sub": "SUBJECT", "repository_owner_id": "1"}, ["api.embeddings.write"]),
    ]
    assert text.count("Anybody can have a token of this issuer") == 2
    assert "An environment has one: choose among okta, ci, and leave the others out." in text


def test_the_first_key_of_an_account_does_not_live() -> None:
    """Without a word OpenAI makes one that never ends."""
    (body,) = (body for _, path, body in requests(written()) if path.endswith("accounts"))
    assert body["expires_in_seconds"] == 1


@pytest.mark.parametrize("tool", ["chat", "embed.it"])
def test_what_goes_into_the_configuration_loads(tool: str) -> None:
    """Keys of TOML, at the tool in this environment."""
    text = written(tools={tool: CHAT})
    start = text.index("   [tools.")
    lines = text[start:].splitlines()[:2]
    said = tomllib.loads("\n".join(line.strip() for line in lines))
    assert said == {
        "tools": {tool: {"environments": {"dev": {"service_account_id": "SERVICE_ACCOUNT_ID"}}}}
    }


def test_keys_in_a_file_have_to_be_uploaded() -> None:
    """OpenAI finds keys by discovery otherwise."""
    assert "uploaded_jwks" in written(inbound__issuers={"okta": OKTA | {"jwks_file": "keys.json"}})
    assert "uploaded_jwks" not in written()


def test_an_admin_key_needs_no_provider_and_never_stands_in_a_command() -> None:
    """It comes from standard input; nothing of tokens is asked for."""
    text = written(environments__dev__openai=OPENAI | {"source": "admin_key", "same_account": True})
    assert "   agentauth source add openai --env dev\n" in text
    assert "federation_rules" not in text
    assert "identity_provider" not in text


# -- the spend limit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "cents"),
    [
        ("", None),
        (BUDGET + MONTH, 1234),
        (BUDGET + 'limits.month = { cost = "0.000001" }\n', 1),
        (BUDGET + 'limits.month = { cost = "0" }\n', 0),
        (BUDGET + 'limits.day = { cost = "1" }\n', None),
        (BUDGET + "limits.month = { tokens = 5 }\n", None),
        (BUDGET.replace("[]", '["provider", "environment"]') + MONTH, 1234),
        (BUDGET.replace("[]", '["principal"]') + MONTH, None),
        (BUDGET.replace("[]", '["group:okta/*"]') + MONTH, None),
        (BUDGET.replace("[]", '["tool"]') + MONTH, None),
        (BUDGET + 'principals = ["okta/alice"]\n' + MONTH, None),
        (BUDGET + 'except = ["okta/alice"]\n' + MONTH, None),
        (BUDGET + 'tools = ["chat"]\n' + MONTH, 1234),
        (BUDGET + 'tools = ["other"]\n' + MONTH, None),
        (BUDGET + 'environments = ["prod"]\n' + MONTH, None),
        (
            BUDGET + MONTH + BUDGET.replace("whole", "less") + 'limits.month = { cost = "5" }\n',
            500,
        ),
    ],
)
def test_the_limit_is_that_of_the_budget_that_bounds_the_project(
    said: str, cents: int | None
) -> None:
    """One counter for all that the project spends in a month; in cents, never below the budget."""
    text = written(said)
    found = [body for _, path, body in requests(text) if path.endswith("/spend_limit")]
    if cents is None:
        assert not found
        assert "No budget bounds the month's cost of the whole project" in text
    else:
        assert found == [{"currency": "USD", "interval": "month", "threshold_amount": cents}]


# -- what cannot be --------------------------------------------------------------------------------


def test_an_audience_is_required() -> None:
    """OpenAI has none by default: the provider's mapping says it."""
    with pytest.raises(ConfigError, match=r"environments\.dev\.openai needs `audience`"):
        written(environments__dev__openai={"project_id": "proj-dev-123"})


@pytest.mark.parametrize("key", ["project_id", "service_account_id", "identity_provider_id"])
def test_what_can_be_no_id_of_openai_is_refused(key: str) -> None:
    """As the broker refuses it: nothing of a name gets into a path."""
    with pytest.raises(ConfigError, match=f"^{key} 'a/b' is no id of OpenAI"):
        written(environments__dev__openai=OPENAI | {key: "a/b"})


def test_a_permission_that_is_no_scope_is_refused() -> None:
    """A rule without scopes could do everything."""
    with pytest.raises(ConfigError, match="'everything' is no scope of an OpenAI key"):
        written(tools={"chat": CHAT | {"permissions": ["everything"]}})


def test_an_environment_without_openai_is_named() -> None:
    """What is needed, and where it belongs."""
    with pytest.raises(ConfigError, match=r"bootstrap openai needs \[environments\.dev\.openai\]"):
        steps(loaded(), "dev", ())


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(deadline=None)
@given(TEXT, TEXT, TEXT)
def test_a_hostile_name_is_no_line_and_no_member(audience: str, claim: str, value: str) -> None:
    """Quotes, braces, newlines: a body stays one line of JSON, and says what was configured."""
    text = written(
        environments__dev__openai=OPENAI | {"audience": audience},
        inbound__issuers={"okta": OKTA | {"require": {claim: value}}},
    )
    assert len(text.split("\n")) == len(written().split("\n"))
    found = requests(text)
    assert found[3][2]["audience"] == audience
    assert found[4][2]["attribute_matchers"] == {"sub": "SUBJECT", claim: value}


def test_one_environment_says_nothing_of_another() -> None:
    """A name of prod is never in the steps of dev."""
    text = written(environments__prod__openai=OPENAI | {"project_id": "proj-prod"})
    assert "prod" not in text
