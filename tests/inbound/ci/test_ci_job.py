"""The job that we are: whose, which of several, and what its token makes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.ci import job as jobs
from agentauth_cli.inbound.ci.job import PLATFORMS, Job, find
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import Key, parse
from agentauth_cli.inbound.verifier import Verifier
from agentauth_cli.secret import Secret
from support.issuer import signer
from support.jobs import GITHUB, KEY, SUBJECT, token

if TYPE_CHECKING:
    from collections.abc import Callable

ISSUER = Issuer("github", GITHUB, "agentauth", require={"repository_owner_id": "7"})
OTHER = Issuer("corp", "https://issuer.example", "agentauth")
HERE = {
    "github-actions": {"GITHUB_ACTIONS": "true"},
    "gitlab": {"GITLAB_CI": "true"},
    "buildkite": {"BUILDKITE": "true"},
    "circleci": {"CIRCLECI": "true"},
    "google": {"K_SERVICE": "x"},
}


def keys(_issuer: Issuer, _kid: str | None) -> list[Key]:
    """Return the one key."""
    key = parse(KEY.jwk())
    assert key is not None
    return [key]


def no_ledger() -> NoReturn:
    """Be asked for by nobody."""
    raise AssertionError


VERIFIER = Verifier((ISSUER, OTHER), keys, list, no_ledger, lambda: datetime.now(UTC))


def job(text: str) -> Job:
    """Return a job of GitHub whose platform gives this token."""

    def ask(audience: str) -> Secret:
        assert audience == "agentauth"
        return Secret(text)

    return Job("github", "GitHub Actions", ask)


def refusal(work: Callable[[], object]) -> AuthenticationError:
    """Return the error."""
    with pytest.raises(AuthenticationError) as caught:
        work()
    return caught.value


def test_only_the_detector_of_an_ambient_issuer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build on a cloud machine must not become the machine."""
    ran: list[str] = []
    detector = jobs._detector

    def seen(preset: str) -> Callable[..., object]:
        ran.append(preset)
        return detector(preset)

    monkeypatch.setattr(jobs, "_detector", seen)
    everywhere = {name: one for variables in HERE.values() for name, one in variables.items()}
    for preset in PLATFORMS:
        found = find(everywhere, [("ours", preset)])
        assert found is not None
        assert (found.issuer, found.platform) == ("ours", PLATFORMS[preset])
        assert found.found == f"the job's own token ({PLATFORMS[preset]}, issuer ours)"
    assert ran == list(PLATFORMS)
    assert find(everywhere, []) is None
    assert ran == list(PLATFORMS)


def test_elsewhere_nobody_is_a_job() -> None:
    """Where the platform's own variables are not there, it is no source."""
    assert set(HERE) == set(PLATFORMS)
    for preset in set(PLATFORMS) - {"google"}:
        others = {k: v for name, one in HERE.items() if name != preset for k, v in one.items()}
        assert find(others, [("ours", preset)]) is None


def test_a_job_on_a_machine_of_google_is_the_job() -> None:
    """Of a platform and the machine around it, both ambient, the platform is meant."""
    ambient = [("cloud", "google"), ("ci", "buildkite")]
    for order in (ambient, ambient[::-1]):
        found = find(HERE["google"] | HERE["buildkite"], order)
        assert found is not None
        assert found.issuer == "ci"
    alone = find(HERE["google"], ambient)
    assert alone is not None
    assert alone.issuer == "cloud"


@pytest.mark.parametrize(
    "ambient",
    [
        (("a", "github-actions"), ("b", "gitlab")),
        (("a", "github-actions"), ("b", "github-actions")),
    ],
)
def test_chance_does_not_decide_whose_job_it_is(ambient: tuple[tuple[str, str], ...]) -> None:
    """Two that fit are refused, with both names."""
    error = refusal(lambda: find(HERE["github-actions"] | HERE["gitlab"], ambient))
    assert error.reason == "ambient_ambiguous"
    assert "a (GitHub Actions) and b (" in error.message


def test_a_job_is_known_since_its_token_was_issued() -> None:
    """`authenticated_at` is iat for CI; auth is `ci`."""
    issued = int(datetime.now(UTC).timestamp()) - 7
    who = job(token(iat=issued, auth_time=1)).authenticate(ISSUER, VERIFIER)
    assert (who.id, who.auth) == (f"github/{SUBJECT}", "ci")
    assert who.authenticated_at == datetime.fromtimestamp(issued, UTC)
    assert who.expires_at is not None


def test_without_iat_that_is_not_known() -> None:
    """What a token does not say is not made up."""
    now = datetime.now(UTC).timestamp()
    claims = {"iss": GITHUB, "sub": "x", "aud": "agentauth", "exp": now + 60}
    text = KEY.token(claims | {"auth_time": 1, "repository_owner_id": "7"})
    assert job(text).authenticate(ISSUER, VERIFIER).authenticated_at is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"aud": "sts.amazonaws.com"}, "audience_refused"),
        ({"exp": 1}, "expired"),
        ({"repository_owner_id": "8"}, "requirement_unmet"),
        ({"iss": "https://elsewhere.example"}, "issuer_unknown"),
        ({"iss": OTHER.issuer}, "ambient_other"),
    ],
)
def test_its_token_is_verified_as_any_other(changed: dict[str, object], reason: str) -> None:
    """Tokens are verified as any JWT of that issuer, and are of no other issuer."""
    text = token(**changed)
    error = refusal(lambda: job(text).authenticate(ISSUER, VERIFIER))
    assert error.reason == reason
    assert text not in error.message


def test_what_is_no_token_of_the_issuer() -> None:
    """A page, or a signature of somebody else, is nobody."""
    forged = signer("RS256", number=9).token({"iss": GITHUB})
    for text, reason in (("<html>", "token_form"), (forged, "signature_invalid")):
        error = refusal(lambda: job(text).authenticate(ISSUER, VERIFIER))  # noqa: B023 - called here
        assert error.reason == reason
