"""Jobs of CI platforms, with the real program and endpoints on loopback that speak as they do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from agentauth_cli.wiring import Wiring
from support.cloud import ROLE
from support.faulty import answer, html, redirect
from support.jobs import (
    AUDIENCE,
    BEARER,
    FLAVOR,
    SUBJECT,
    Place,
    issuer,
    program,
    running,
    theirs,
    token,
    value,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.faulty import Part

pytestmark = pytest.mark.whole


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Run the two servers."""
    with running(tmp_path) as made:
        yield made


def test_a_job_of_github_is_a_principal(place: Place) -> None:
    """The CI platform's OIDC token, where an issuer with `ambient = true` names that platform."""
    place.configure("github-actions")
    who = place.here.json("whoami", "--json", **place.github())
    assert (who["id"], who["name"], who["kind"]) == (f"ci/{SUBJECT}", "42", "agent")
    assert who["auth"] == "ci"
    assert who["authenticated_at"] < who["expires_at"]
    assert who["source"] == "the job's own token (GitHub Actions, issuer ci)"
    (request,) = place.platform.requests
    assert request.headers["authorization"] == f"bearer {BEARER}"
    assert who["ends_with"] == "token"
    assert [one["state"] for one in who["sources"]] == [
        *("absent", "absent", "used", "absent", "later")
    ]
    place.platform.script = [value(token(act={"sub": "bot"}))]
    shown = place.here.run("whoami", **place.github()).stdout
    place.nothing_is_left(json.dumps(who), shown)
    for line in (
        "name: 42",
        "acted for by: ci/bot",
        "from: the job's own token (GitHub Actions, issuer ci)",
        "  the job's own token: used",
    ):
        assert f"\n{line}\n" in shown
    assert "\nby: a job's token, since 20" in shown
    assert "Z, the end of the token\n" in shown


def test_a_job_vends_with_a_second_token(place: Place) -> None:
    """The token that a caller shows to us is not the one that providers trust."""
    place.configure("github-actions")
    done = place.here.run("vend", ROLE, "--debug", **place.github())
    assert done.returncode == 0, done.stderr
    asked = [parse_qs(urlsplit(one.target).query) for one in place.platform.requests]
    assert [one["audience"] for one in asked] == [["agentauth"], [AUDIENCE]]
    assert place.sts.requests[0].body.count(b"WebIdentityToken=eyJ") == 1
    place.nothing_is_left(done.stdout, done.stderr)
    intent, issued = place.here.records()
    assert (intent["event"], issued["event"]) == ("vend.intent", "vend.issued")
    assert (issued["principal"], issued["auth"]) == (f"ci/{SUBJECT}", "ci")
    assert issued["session_age"] < 60
    place.here.everything_holds()
    shown = place.here.run("vend", ROLE, "--dry-run", **place.github())
    assert (
        "token: for sts.amazonaws.com, from GitHub Actions, for a second token of the job\n"
        in shown.stdout
    )
    round_ = (
        "inbound.issuers.ci.ambient: whatever runs in a job can ask for the token that aws trusts"
    )
    assert shown.stderr.startswith(f"warning: {round_}")
    assert f"bypass: {round_}" in place.here.run("doctor").stdout


def test_the_command_of_exec_cannot_ask(place: Place) -> None:
    """`exec` takes from the child what would fetch such tokens."""
    place.configure("github-actions")
    variables = place.github(
        ACTIONS_RUNTIME_TOKEN="t", GITHUB_TOKEN="t", BUILDKITE_AGENT_ACCESS_TOKEN="t"
    )
    done = place.here.run("exec", ROLE, "--", "env", **variables)
    assert done.returncode == 0, done.stderr
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert {"AWS_SESSION_TOKEN", "GITHUB_ACTIONS"} <= names
    assert not names & (variables.keys() - {"GITHUB_ACTIONS"})
    place.nothing_is_left(done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(b"{}", 403), "status 403"),
        (redirect("http://127.0.0.1:1/"), "a redirect (302), which is not followed"),
        (html(), "the answer is not"),
        (answer(b"x" * 100_000), "the answer is larger than 65536 bytes"),
        (value("x.y.z"), "the token is not"),
    ],
)
def test_a_platform_that_fails_is_exit_4(place: Place, said: list[Part], words: str) -> None:
    """A weaker source never stands in for a stronger one that failed."""
    place.configure("github-actions")
    place.platform.script = [said]
    done = place.here.run("vend", ROLE, **place.github())
    assert (done.returncode, done.stdout) == (4, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert place.here.events() == ["login.failed"]
    assert not place.sts.requests
    place.nothing_is_left(done.stderr)


def test_what_a_job_lacks_is_said(place: Place) -> None:
    """GitHub without `permissions: id-token: write`; an empty variable is no absence."""
    place.configure("github-actions")
    for variables in (
        {"GITHUB_ACTIONS": "true"},
        place.github(ACTIONS_ID_TOKEN_REQUEST_TOKEN=""),
        place.github(ACTIONS_ID_TOKEN_REQUEST_URL=""),
    ):
        done = place.here.run("whoami", **variables)
        assert (done.returncode, done.stdout) == (4, "")
        assert "permissions: {id-token: write}" in done.stderr
    assert not place.platform.requests


def test_a_token_for_another_audience_is_refused(place: Place) -> None:
    """Tokens are verified as any JWT of that issuer."""
    place.configure("github-actions")
    for audience, changed in ((AUDIENCE, {}), ("agentauth", {"repository_owner_id": "8"})):
        place.platform.script = [value(token(audience, **changed))]
        done = place.here.run("whoami", **place.github())
        assert done.returncode == 4
        assert "audience is not" in done.stderr or "`repository_owner_id`" in done.stderr


def test_a_second_token_that_is_none_goes_to_no_provider(place: Place) -> None:
    """What the platform gives for a provider has to be for that provider."""
    place.configure("github-actions")
    place.platform.script = [value(token()), value(token())]
    done = place.here.run("vend", ROLE, **place.github())
    assert done.returncode == 4
    assert "the token's audience is not sts.amazonaws.com" in done.stderr
    assert not place.sts.requests
    assert place.here.events()[-1] == "vend.failed"


def test_only_the_ambient_platform_is_asked(place: Place) -> None:
    """A build on a cloud VM must not become the VM."""
    google = issuer("cloud", "google", ambient=True)
    machine = {"K_SERVICE": "x", "GCE_METADATA_HOST": f"127.0.0.1:{place.platform.port}"}
    place.configure("github-actions", google)
    who = place.here.json("whoami", "--json", **place.github(), **machine)
    assert who["id"] == f"ci/{SUBJECT}"
    # The job may not ask: it does not become the machine.
    done = place.here.run("whoami", GITHUB_ACTIONS="true", **machine)
    assert done.returncode == 4
    # The machine's issuer alone, in a job: the job's platform is not asked.
    place.platform.script = [answer(theirs("google").encode(), headers=FLAVOR)]
    place.configure("github-actions", google, ambient=False)
    who = place.here.json("whoami", "--json", **place.github(), **machine)
    assert who["id"] == f"cloud/{SUBJECT}"
    assert place.platform.requests[-1].headers["metadata-flavor"] == "Google"
    assert "authorization" not in place.platform.requests[-1].headers
    # No issuer is ambient: the OS account.
    place.configure("github-actions", ambient=False)
    who = place.here.json("whoami", "--json", **place.github(), **machine)
    assert who["id"].startswith("os/")


def test_a_job_of_gitlab(place: Place) -> None:
    """The token is in a variable, one for each audience."""
    place.configure("gitlab")
    ours = {"GITLAB_CI": "true", "AGENTAUTH_ID_TOKEN": theirs("gitlab")}
    done = place.here.run("vend", ROLE, **ours)
    assert done.returncode == 4
    assert "not there. Let its `id_tokens` have STS_AMAZONAWS_COM_ID_TOKEN\n" in done.stderr
    both = ours | {"STS_AMAZONAWS_COM_ID_TOKEN": theirs("gitlab", AUDIENCE)}
    done = place.here.run("exec", ROLE, "--", "env", **both)
    assert done.returncode == 0, done.stderr
    assert "ID_TOKEN" not in done.stdout
    place.nothing_is_left(done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("preset", "variable", "name"),
    [("buildkite", "BUILDKITE", "buildkite-agent"), ("circleci", "CIRCLECI", "circleci")],
)
def test_a_job_whose_platform_has_a_program(
    place: Place, preset: str, variable: str, name: str
) -> None:
    """Run with a bounded time, no shell, no inherited secrets beyond what it needs."""
    place.configure(preset)
    bodies = {audience: theirs(preset, audience) for audience in ("agentauth", AUDIENCE)}
    cases = "\n".join(f"*{audience}*) echo {text};;" for audience, text in bodies.items())
    folder = program(place.here.folder / "bin", name, f'case "$*" in\n{cases}\nesac')
    environ = {variable: "true", "PATH": f"{folder}:/usr/bin:/bin"}
    who = place.here.json("whoami", "--json", **environ)
    assert (who["id"], who["auth"]) == (f"ci/{SUBJECT}", "ci")
    done = place.here.run("vend", ROLE, **environ)
    assert done.returncode == 0, done.stderr
    place.nothing_is_left(done.stdout, done.stderr)
    program(folder, name, "exit 1")
    assert place.here.run("whoami", **environ).returncode == 4


def test_a_service_of_google_cloud(place: Place) -> None:
    """Google's metadata server, for our audience and for a provider's."""
    place.configure("google")

    def said() -> list[Part]:
        asked = parse_qs(urlsplit(place.platform.requests[-1].target).query)
        return answer(theirs("google", asked["audience"][0]).encode(), headers=FLAVOR)

    place.platform.script = [lambda: iter(said())]
    environ = {"CLOUD_RUN_JOB": "j", "GCE_METADATA_HOST": f"127.0.0.1:{place.platform.port}"}
    done = place.here.run("exec", ROLE, "--", "env", **environ)
    assert done.returncode == 0, done.stderr
    assert "GCE_METADATA_HOST=127.0.0.1:1\n" in done.stdout
    assert len(place.platform.requests) == 2
    place.nothing_is_left(done.stdout, done.stderr)


def test_a_platform_is_asked_for_somebody_who_is_no_job_of_it(place: Place) -> None:
    """An identity on the command line that would not be used: exit 2, naming what comes first."""
    place.configure("github-actions")
    done = place.here.run("whoami", "--identity", "ci", **place.github())
    assert done.returncode == 2
    assert "the job's own token (GitHub Actions, issuer ci) is there and comes first" in done.stderr
    assert not place.platform.requests


def test_a_job_speaks_for_nobody_else(place: Place) -> None:
    """A service that runs in a job gets no token of the job for its own callers."""
    place.configure("github-actions")
    environ = {**place.here.environ, **place.github()}
    jobs = []
    for shown in (None, lambda: None):
        tokens = Wiring(environ, shown=shown).tokens("dev", "aws")
        assert tokens is not None
        jobs.append(tokens.job())
    assert [job and job.issuer for job in jobs] == ["ci", None]
    assert not place.platform.requests
