"""GitHub Actions: None is not here, raising is here but broken."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.ci import asking
from agentauth_cli.inbound.ci.github import detect
from agentauth_cli.secret import Secret
from support.faulty import Faulty, answer, cut, html, redirect, refused_port, silence
from support.jobs import BEARER, token, value

if TYPE_CHECKING:
    from support.faulty import Part

URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"


def job(url: str, **changed: str) -> dict[str, str]:
    """Return the variables of a job that may ask at this address."""
    return {"GITHUB_ACTIONS": "true", URL: f"{url}/token?api-version=2.0", TOKEN: BEARER} | changed


def asked(environ: dict[str, str], audience: str = "agentauth") -> Secret:
    """Ask for a token in this job."""
    ask = detect(environ)
    assert ask is not None
    return ask(audience)


def refusal(environ: dict[str, str]) -> AuthenticationError:
    """Return why this job gets none."""
    with pytest.raises(AuthenticationError) as caught:
        asked(environ)
    assert BEARER not in f"{caught.value.message} {caught.value.hint} {caught.value!r}"
    assert caught.value.__cause__ is None
    return caught.value


def test_elsewhere_there_is_no_token() -> None:
    """None = not here."""
    assert detect({}) is None
    assert detect({"CI": "true", "GITLAB_CI": "true", "GITHUB_TOKEN": "x"}) is None


@pytest.mark.parametrize("audience", ["agentauth", "https://a.dev/x?y=1&z=ü", "a b+c%20"])
def test_the_endpoint_is_asked_for_an_audience(audience: str) -> None:
    """Return a token for an audience, asked for with the job's own authorization."""
    with Faulty([value(token(audience))]) as server:
        got = asked(job(server.url), audience)
        for url in (f"{server.url}/token", f"{server.url}/token?"):
            assert asked(job(server.url, **{URL: url}), audience).reveal().startswith("eyJ")
    assert got.reveal().startswith("eyJ")
    assert BEARER not in repr(got)
    first = server.requests[0]
    target = urlsplit(first.target)
    assert (first.method, target.path) == ("GET", "/token")
    assert parse_qs(target.query) == {"api-version": ["2.0"], "audience": [audience]}
    assert first.headers["authorization"] == f"bearer {BEARER}"
    assert [parse_qs(urlsplit(one.target).query) for one in server.requests[1:]] == [
        {"audience": [audience]}
    ] * 2


@pytest.mark.parametrize("name", [URL, TOKEN])
@pytest.mark.parametrize("text", ["", None])
def test_a_job_without_permission_is_told_how_to_get_it(name: str, text: str | None) -> None:
    """Raise = here but broken: GitHub without `permissions: id-token: write`."""
    environ = job("https://pipelines.example")
    environ = {key: one for key, one in (environ | {name: text}).items() if one is not None}
    error = refusal(environ)
    assert error.reason == "ambient_variable"
    assert f"{name} is {'empty' if text == '' else 'not set'} in this job" in error.message
    assert "permissions: {id-token: write}" in error.hint
    assert error.exit_code == 4


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (answer(b"{}", 403), "ambient_refused", "status 403"),
        (answer(BEARER.encode(), 500), "ambient_refused", "status 500"),
        (answer(b"", 204), "ambient_refused", "status 204"),
        (redirect("http://127.0.0.1:1/"), "ambient_answer", "a redirect (302)"),
        (html(), "ambient_answer", "the answer is not"),
        (answer(b"x" * (asking.LIMIT + 1)), "ambient_answer", "larger than"),
        (cut(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "ambient_answer", "cut short"),
        (cut(), "ambient_unreachable", ""),
        (answer(b'{"value": "a.b.c", "value": "d.e.f"}'), "ambient_answer", "the answer"),
        (answer(b"[]"), "ambient_answer", "the answer"),
        (value(None), "ambient_answer", "no `value`"),
        (value(""), "ambient_answer", "no `value`"),
        (value(["eyJ"]), "ambient_answer", "no `value`"),
    ],
)
def test_what_is_no_answer_is_refused(said: list[Part], reason: str, words: str) -> None:
    """Each failure is precise, and quotes nothing of what authorized the question."""
    with Faulty([said]) as server:
        error = refusal(job(server.url))
    assert error.reason == reason
    assert words in error.message
    assert "GitHub Actions" in error.message


def test_it_is_asked_within_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that is slow, or not there, ends the question."""
    monkeypatch.setattr(asking, "SECONDS", 0.2)
    with ExitStack() as stack:
        slow = stack.enter_context(Faulty([silence()])).url
        for url in (slow, f"http://127.0.0.1:{refused_port()}"):
            assert refusal(job(url)).reason == "ambient_unreachable"


@pytest.mark.parametrize(
    "url",
    ["http://pipelines.example/t", "file:///etc/passwd", "https://u:p@h/", "https://h/#x", "x"],
)
def test_an_address_that_nothing_is_sent_to(url: str) -> None:
    """HTTPS, or loopback: the authorization goes nowhere in the clear."""
    assert refusal(job("", **{URL: url})).reason == "ambient_unreachable"


def test_an_authorization_that_is_no_header_is_not_sent() -> None:
    """A line feed in a variable adds no header."""
    with Faulty([value(token())]) as server:
        environ = job(server.url, **{TOKEN: f"{BEARER}\r\nx-evil: 1"})
        assert refusal(environ).reason == "ambient_unreachable"
    assert not server.requests


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_fault_that_passes_is_waited_for(status: int) -> None:
    """Bounded tries: a platform that is busy, or hangs up, is asked again, three times in all."""
    good = token()
    with Faulty([answer(b"", status, {"Retry-After": "86400"}), cut(), value(good)]) as server:
        assert asked(job(server.url)) == Secret(good)
    with Faulty([answer(b"", status)]) as server:
        assert refusal(job(server.url)).reason == "ambient_refused"
        assert len(server.requests) == 3


@pytest.mark.parametrize("said", [answer(b"", 403), answer(b"", 404), html(), redirect("/")])
def test_a_refusal_is_not_asked_twice(said: list[Part]) -> None:
    """What another try would not change."""
    with Faulty([said]) as server:
        refusal(job(server.url))
        assert len(server.requests) == 1
