"""GitLab, whose tokens stand in variables that the job names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.cli import screen
from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.ci.gitlab import detect, variable_for
from agentauth_cli.secret import Secret


@pytest.mark.parametrize(
    ("audience", "name"),
    [
        ("agentauth", "AGENTAUTH_ID_TOKEN"),
        ("sts.amazonaws.com", "STS_AMAZONAWS_COM_ID_TOKEN"),
        ("https://agentauth.acme.dev", "HTTPS___AGENTAUTH_ACME_DEV_ID_TOKEN"),
        ("7up", "_UP_ID_TOKEN"),
        ("ünï-x_y", "_N__X_Y_ID_TOKEN"),
    ],
)
def test_the_variable_follows_from_the_audience(audience: str, name: str) -> None:
    """The name is that of Sigstore: what a shell cannot have in it becomes `_`."""
    assert variable_for(audience) == name


@given(st.text(min_size=1))
def test_every_audience_has_a_variable_that_a_job_can_set(audience: str) -> None:
    """GitLab's variables have the characters of a shell's."""
    assert re.fullmatch(r"[A-Z_][A-Z0-9_]*_ID_TOKEN", variable_for(audience))


def test_each_audience_has_a_token_of_its_own() -> None:
    """The token for a provider is another one than the token for us."""
    environ = {"GITLAB_CI": "true", "AGENTAUTH_ID_TOKEN": "a.b.c", "STS_ID_TOKEN": "d.e.f"}
    ask = detect(environ)
    assert ask is not None
    assert (ask("agentauth"), ask("sts")) == (Secret("a.b.c"), Secret("d.e.f"))
    assert detect({"AGENTAUTH_ID_TOKEN": "a.b.c", "CI": "true"}) is None


@pytest.mark.parametrize(
    ("more", "state"), [({}, "is not there"), ({"AA_ID_TOKEN": ""}, "is empty")]
)
def test_a_job_without_the_token_is_told_what_to_write(more: dict[str, str], state: str) -> None:
    """Here but broken: the name that `.gitlab-ci.yml` has to have is in the hint."""
    ask = detect({"GITLAB_CI": "true", "CI_JOB_JWT_V2": "x.y.z"} | more)
    assert ask is not None
    with pytest.raises(AuthenticationError, match=f"GitLab: .* the one for aa {state}$") as caught:
        ask("aa")
    assert caught.value.reason == "ambient_variable"
    assert caught.value.hint == "Let its `id_tokens` have AA_ID_TOKEN"


def test_the_hint_of_a_long_audience_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """An error is one line of at most 300 characters, also for Google's audiences."""
    pool = "projects/123456789012/locations/global/workloadIdentityPools/agents/providers/gitlab"
    ask = detect({"GITLAB_CI": "true"})
    assert ask is not None
    with pytest.raises(AuthenticationError) as caught:
        ask(f"https://iam.googleapis.com/{pool}")
    screen.error(caught.value, as_json=False)
    shown = capsys.readouterr().err
    assert len(shown) <= 301
    assert "Let its `id_tokens` have HTTPS___IAM_GOOGLEAPIS_COM_PROJECTS_123456789012_" in shown
    assert shown.endswith("_AGENTS_PROVIDERS_GITLAB_ID_TOKEN\n")
