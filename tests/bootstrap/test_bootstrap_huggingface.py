"""Hugging Face's side of a configuration: trusted publishers, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentauth_cli.bootstrap.huggingface import steps
from agentauth_cli.errors import ConfigError
from support.configs import loaded

OKTA: dict[str, Any] = {
    "issuer": "https://id.acme.dev/o",
    "audience": "agentauth",
    "client_id": "agents",
}
CI = {"preset": "github-actions", "audience": "x", "ambient": True}
CI |= {"require": {"repository_owner_id": "1"}}
PULL = {
    "provider": "huggingface",
    "actions": ["huggingface.repo.read"],
    "permissions": ["repo.content.read"],
    "resource": "models/acme/llm",
}
BASE = {
    "environments__dev__huggingface": {"namespace": "acme"},
    "inbound__issuers": {"ci": CI},
    "tools": {"hf_pull": PULL},
}


def written(**changes: Any) -> str:
    """Return the steps of a changed configuration."""
    return steps(loaded(**BASE | changes), "dev")


def test_a_publisher_is_said_field_by_field() -> None:
    """Page, issuer, claims, audience https://huggingface.co, resource."""
    assert written() == WHOLE


WHOLE = """\
Hugging Face's side of agentauth's environment dev:
agentauth bootstrap huggingface --env dev

Claims are compared exactly, without stars, and all have to match. SUBJECT is yours to give: a
publisher for each. Managing a repository's publishers takes the role Write on it.
unconfirmed: that a form for a provider has every claim; the general one has.

1. models/acme/llm, for hf_pull: ci
   Page      https://huggingface.co/acme/llm/settings, Trusted Publishers
   Provider  GitHub Actions
   Issuer    https://token.actions.githubusercontent.com
   Claims    sub = SUBJECT
             repository_owner_id = 1
   Audience  https://huggingface.co
   Resource  acme/llm
   Anybody can have a token of this issuer: say whose.
   What is exchanged for a token of this publisher may write there.
"""


def test_every_resource_has_a_publisher_for_every_issuer() -> None:
    """Tools of one repository share it; each issuer is one of its own."""
    text = written(
        inbound__issuers={"ci": CI, "okta": OKTA},
        tools={"one": PULL, "two": PULL, "set": PULL | {"resource": "datasets/acme/rows"}},
    )
    titles = [line for line in text.splitlines() if line[:1].isdigit()]
    assert titles == [
        "1. models/acme/llm, for one, two: ci",
        "2. models/acme/llm, for one, two: okta",
        "3. datasets/acme/rows, for set: ci",
        "4. datasets/acme/rows, for set: okta",
    ]
    assert "Page      https://huggingface.co/datasets/acme/rows/settings," in text
    assert "Resource  datasets/acme/rows\n" in text


@pytest.mark.parametrize(
    ("issuer", "form"),
    [
        ("https://token.actions.githubusercontent.com", "GitHub Actions"),
        ("https://token.actions.githubusercontent.com/acme", "GitHub Actions"),
        ("https://gitlab.com", "GitLab CI"),
        ("https://gitlab.com.acme.dev", "any other of OpenID Connect"),
        ("https://oidc.circleci.com/org/01234567-89ab-cdef-0123-456789abcdef", "CircleCI"),
        ("https://id.acme.dev/o", "any other of OpenID Connect"),
    ],
)
def test_the_form_is_that_of_the_issuer(issuer: str, form: str) -> None:
    """The Hub has forms for some; any other takes its URL."""
    required = {"repository_owner_id": "1", "project_id": "1", "sub": "x"}
    one = OKTA | {"issuer": issuer, "require": required}
    text = written(inbound__issuers={"okta": one})
    assert f"   Provider  {form}\n" in text
    assert f"   Issuer    {issuer}\n" in text


def test_a_namespace_has_its_page_in_the_accounts_settings() -> None:
    """A publisher of an account reads gated repositories."""
    text = written(tools={"ns": PULL | {"resource": "${namespace}", "unnarrowed": True}})
    assert "Page      https://huggingface.co/settings/authentication#ci-cd-access\n" in text
    assert "Resource  acme\n" in text
    assert text.endswith("reads the gated repositories of this account.\n")


def test_many_repositories_are_many_publishers() -> None:
    """What requests fill in, or a star, is said."""
    for resource in ("models/acme/x-${principal.name}", "models/acme/x-*"):
        text = written(tools={"x": PULL | {"resource": resource}})
        assert "1. models/acme/x-*, for x: ci\n" in text
        assert "A publisher is of one repository" in text
    assert "A publisher is of one repository" not in written()


def test_another_audience_is_not_what_the_hub_documents() -> None:
    """The environment's own is shown, and said to be unconfirmed."""
    hub = {"namespace": "acme", "audience": "https://hub.acme.dev"}
    text = written(environments__dev__huggingface=hub | {"endpoint": "https://hub.acme.dev"})
    assert "Audience  https://hub.acme.dev\n" in text
    assert "unconfirmed: the audience; the Hub documents https://huggingface.co alone." in text
    assert "Page      https://hub.acme.dev/acme/llm/settings," in text
    assert "unconfirmed: the audience" not in written()


def test_a_stored_token_is_made_with_what_the_tools_may() -> None:
    """No publisher; it comes from standard input."""
    hub = {"namespace": "acme", "source": "stored_token", "same_account": True}
    text = written(environments__dev__huggingface=hub)
    assert "Page         https://huggingface.co/settings/tokens/new?tokenType=fineGrained\n" in text
    assert "Permissions  repo.content.read on models/acme/llm (hf_pull)\n" in text
    assert "   agentauth source add huggingface --env dev\n" in text
    assert "Issuer" not in text


def test_a_resource_of_another_namespace_is_refused() -> None:
    """Environments are walls."""
    with pytest.raises(ConfigError, match="models/other/llm is not of the namespace acme"):
        written(tools={"x": PULL | {"resource": "models/other/llm"}})


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_hostile_claim_is_no_line(claim: str) -> None:
    """Whatever a configuration holds, a field is a line."""
    issuer = CI | {"require": {"repository_owner_id": "1", claim: "2"}}
    text = written(inbound__issuers={"ci": issuer})
    more = 0 if claim == "repository_owner_id" else 1
    assert len(text.split("\n")) == len(WHOLE.split("\n")) + more


def test_one_environment_says_nothing_of_another() -> None:
    """A name of prod is never in the steps of dev."""
    assert "prod" not in written(environments__prod__huggingface={"namespace": "acme-prod"})
