"""The token for a provider: from where, in which order, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from agentauth_cli.errors import AuthenticationError, SourceCredentialError
from agentauth_cli.inbound.ci.job import Job
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.provider_token import ProviderTokens
from agentauth_cli.model import Principal
from agentauth_cli.secret import Secret
from support.faulty import Faulty, answer
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentauth_cli.ports import SessionPort

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = signer("ES256")
CORP = Issuer("corp", "https://issuer.example", "agentauth")
ALICE = Principal("corp/alice", "alice")
OS = Principal("os/alice", "alice", auth="os")
AUDIENCE = "sts.amazonaws.com"


def token(**changed: Any) -> str:
    """Return a token for the provider with something changed; None takes it away."""
    good = {
        "iss": CORP.issuer,
        "sub": "alice",
        "aud": AUDIENCE,
        "exp": NOW.timestamp() + 60,
    }
    return KEY.token({name: value for name, value in (good | changed).items() if value is not None})


def tokens(presented: str | None = None, issuer: Issuer = CORP, **changed: Any) -> ProviderTokens:
    """Return the tokens of an environment to whose caller this token belongs."""
    shown = None if presented is None else Secret(presented)
    return ProviderTokens((issuer,), lambda: shown, lambda: NOW, **changed)


def with_exchange(server: Faulty) -> Issuer:
    """Return the issuer with this server as its token endpoint."""
    return replace(CORP, token_endpoint=f"{server.url}/token", client_id="agents")


def issued(text: str) -> Callable[[], Any]:
    """Return the answer of a token endpoint that issues this token."""
    content = {
        "access_token": text,
        "issued_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_type": "N_A",
        "expires_in": 60,
    }
    return lambda: iter(answer(json.dumps(content).encode()))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file that holds a good token."""
    path = tmp_path / "token"
    path.write_text(token() + "\n")
    path.chmod(0o644)
    return path


def refusal(port: SessionPort, principal: Principal = ALICE) -> SourceCredentialError:
    """Return the error where there is no token to be had."""
    with pytest.raises(SourceCredentialError) as caught:
        port.token_for(principal, AUDIENCE)
    assert caught.value.exit_code == 4
    assert "eyJ" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    return caught.value


# --- from where -----------------------------------------------------------------------------------


@pytest.mark.parametrize("principal", [ALICE, OS])
def test_the_token_file_comes_first(file: Path, principal: Principal) -> None:
    """From `token_file` of the environment's provider, whoever asks."""
    with Faulty([issued(token())]) as server:
        port = tokens("x.y.z", with_exchange(server), token_file=file)
        assert port.token_for(principal, AUDIENCE).reveal() == token_in(file)
        assert not server.requests
    way = port.way(principal)
    assert (way.words, way.reused) == (f"the token file {file}", False)


def token_in(file: Path) -> str:
    """Return what the file holds."""
    return file.read_text().strip()


def test_the_token_file_is_read_at_each_use(file: Path) -> None:
    """Kubernetes rotates it, and mounts it as a link."""
    link = file.with_name("link")
    link.symlink_to(file)
    port = tokens(token_file=link)
    first = port.token_for(OS, AUDIENCE)
    file.write_text(token(jti="second"))
    assert port.token_for(OS, AUDIENCE).reveal() == token_in(file) != first.reveal()


def test_then_comes_an_exchange_at_the_issuer() -> None:
    """By RFC 8693 exchange at the principal's issuer, where it has an endpoint and a client id."""
    shown = token(aud="agentauth")
    with Faulty([issued(token())]) as server:
        port = tokens(shown, with_exchange(server), reuse_inbound=True)
        way = port.way(ALICE)
        assert not server.requests
        got = port.token_for(ALICE, AUDIENCE)
        form = parse_qs(server.requests[0].body.decode())
    assert got.reveal() != shown
    assert (form["subject_token"], form["audience"]) == ([shown], [AUDIENCE])
    assert (way.words, way.reused) == (f"an exchange at issuer corp, {server.url}/token", False)
    assert shown not in repr(way) + repr(port)


@pytest.mark.parametrize("lacking", ["token_endpoint", "client_id"])
def test_then_comes_the_presented_token_where_it_may(lacking: str) -> None:
    """Where only the inbound token exists, `reuse_inbound = true` is needed."""
    shown = token(aud=["agentauth", AUDIENCE])
    half = {"token_endpoint": "https://issuer.example/token", "client_id": "agents", lacking: None}
    issuer = replace(CORP, **half)  # type: ignore[arg-type] # of these two names
    port = tokens(shown, issuer, reuse_inbound=True)
    assert port.token_for(ALICE, AUDIENCE).reveal() == shown
    assert port.way(ALICE).reused
    assert "client_id" in refusal(tokens(shown, issuer)).hint


@pytest.mark.parametrize(
    ("presented", "principal"), [(None, ALICE), (None, OS), (token(), OS), (token(), None)]
)
def test_else_there_is_none(presented: str | None, principal: Principal | None) -> None:
    """Nobody's token stands for somebody who showed none; the error names the ways."""
    error = refusal(
        tokens(presented, reuse_inbound=True), principal or Principal("other/alice", "alice")
    )
    assert "nothing gives a token" in error.message
    assert "token_file" in error.hint


def test_a_way_that_fails_is_not_replaced_by_the_next(tmp_path: Path) -> None:
    """A weaker source never stands in for a stronger one that failed."""
    shown = token()
    with Faulty([answer(b"{}", 400)]) as server:
        issuer = with_exchange(server)
        assert "issuer corp" in refusal(tokens(shown, issuer, reuse_inbound=True)).message
        port = tokens(shown, issuer, token_file=tmp_path / "nothing")
        assert "does not exist" in refusal(port).message
        assert len(server.requests) == 1


@pytest.mark.parametrize("changed", [{"sub": "mallory"}, {"iss": "https://other.example"}])
def test_the_presented_token_is_still_the_principals(changed: dict[str, str]) -> None:
    """A token file that was replaced since the principal was verified vouches for nobody."""
    with Faulty([issued(token())]) as server:
        port = tokens(token(**changed), with_exchange(server), reuse_inbound=True)
        assert "presented now is not that of corp/alice" in refusal(port).message
        assert not server.requests


def test_the_subject_is_what_the_issuer_says() -> None:
    """`subject_claim` says whose a token is."""
    issuer = replace(CORP, subject_claim="oid")
    shown = token(sub="pairwise", oid="alice")
    assert tokens(shown, issuer, reuse_inbound=True).token_for(ALICE, AUDIENCE).reveal() == shown


# --- what comes back ------------------------------------------------------------------------------

UNFIT = {
    "no JWT": ("opaque-token", "three parts"),
    "nothing": ("", "three parts"),
    "no base64url": ("a b.c.d", "base64url"),
    "too long": (token(x="y" * 20_000), "larger than"),
    "another audience": (token(aud="agentauth"), f"audience is not {AUDIENCE}"),
    "a part of the audience": (token(aud=f"{AUDIENCE}.evil.example"), "audience is not"),
    "no audience": (token(aud=None), "audience is not"),
    "an audience of numbers": (token(aud=[AUDIENCE, 7]), "audience is not"),
    "expired": (token(exp=NOW.timestamp() - 1), "has expired"),
    "expires now": (token(exp=NOW.timestamp()), "has expired"),
    "no expiry": (token(exp=None), "`exp` is not a time"),
    "an expiry as text": (token(exp="9999999999"), "`exp` is not a time"),
    "an expiry that is true": (token(exp=True), "`exp` is not a time"),
}


@pytest.mark.parametrize(("text", "told"), UNFIT.values(), ids=UNFIT.keys())
def test_what_is_no_token_for_the_provider_is_refused(file: Path, text: str, told: str) -> None:
    """A JWT in three parts, for the audience asked for, with its expiry in the future."""
    file.write_text(text)
    assert told in refusal(tokens(token_file=file)).message


@pytest.mark.parametrize("text", ["opaque-token", token(aud="agentauth"), token(exp=1)])
def test_what_an_issuer_gives_is_looked_at_too(text: str) -> None:
    """What comes back of an exchange is checked for form."""
    with Faulty([issued(text)]) as server:
        refusal(tokens(token(aud="agentauth"), with_exchange(server)))


def test_a_presented_token_of_another_audience_is_not_reused() -> None:
    """`reuse_inbound` hands on nothing that the provider would not take."""
    error = refusal(tokens(token(aud="agentauth"), reuse_inbound=True))
    assert error.message == f"the presented token: the token's audience is not {AUDIENCE}"


def test_a_token_file_that_others_could_have_written_is_refused(file: Path) -> None:
    """The rules of AGENTAUTH_TOKEN_FILE: a file that others may write is refused."""
    file.chmod(0o666)
    error = refusal(tokens(token_file=file))
    assert "can be written by others" in error.message
    assert "chmod" in error.hint


def job(text: str, issuer: str = "corp") -> Job:
    """Return a job whose platform gives this token for the provider."""

    def ask(audience: str) -> Secret:
        assert audience == AUDIENCE
        return Secret(text)

    return Job(issuer, "Platform", ask)


def test_a_job_asks_its_platform_for_a_second_token(file: Path) -> None:
    """From the CI platform's endpoint any audience can be asked for; a token_file comes first."""
    with Faulty([issued(token(sub="other"))]) as server:
        issuer = with_exchange(server)
        second = token()
        port = tokens(token(aud="agentauth"), issuer, job=lambda: job(second), reuse_inbound=True)
        assert port.token_for(ALICE, AUDIENCE) == Secret(second)
        way = port.way(ALICE)
        assert (way.words, way.reused) == ("Platform, for a second token of the job", False)
        assert way.job is not None
        assert not server.requests
    before = replace(port, token_file=file)
    assert before.way(ALICE).words.startswith("the token file")


def test_the_second_token_is_the_jobs_own() -> None:
    """One of another subject, issuer or audience, or one that has expired, goes to no provider."""
    for text, words in (
        (token(sub="bob"), "is not that of corp/alice"),
        (token(iss="https://elsewhere.example"), "is not that of corp/alice"),
        (token(aud="agentauth"), "Platform, for a second token of the job: the token's audience"),
        (token(exp=1), "has expired"),
        ("<html>", "not exactly three parts"),
    ):
        error = refusal(tokens(job=lambda text=text: job(text)))
        assert words in error.message
        assert text not in error.message


def test_a_platform_that_gives_none_is_not_replaced() -> None:
    """One that fails is not replaced by the next."""

    def broken(_audience: str) -> Secret:
        raise AuthenticationError("GitLab: X is not set", hint="Add it")

    port = tokens(token(), job=lambda: Job("corp", "GitLab", broken), reuse_inbound=True)
    error = refusal(port)
    assert (error.message, error.hint) == ("GitLab: X is not set", "Add it")


def test_a_principal_that_is_not_the_job_gets_no_token_of_it() -> None:
    """The platform speaks for the job alone."""
    shown = token()
    port = tokens(shown, job=lambda: job(token(sub="x"), "github"), reuse_inbound=True)
    assert port.way(ALICE).reused
    assert port.token_for(ALICE, AUDIENCE) == Secret(shown)
    with pytest.raises(SourceCredentialError):
        tokens(job=lambda: job(token())).token_for(OS, AUDIENCE)
