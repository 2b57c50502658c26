"""Answers of OpenAI that are not to be believed, that come late, or that refuse."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from openai.types.admin.organization.projects.service_accounts import APIKeyCreateResponse

from agentauth_cli.errors import (
    AgentAuthError,
    ProviderAnswerError,
    ProviderRefusedError,
    ProviderUnreachableError,
)
from agentauth_cli.outbound.openai import OpenAICredentialBroker
from agentauth_cli.secret import Secret
from support.clock import START, FakeClock
from support.faulty import (
    Faulty,
    answer,
    cut,
    dribble,
    endless,
    html,
    redirect,
    refused_port,
    silence,
)
from support.issuer import signer
from support.openai_api import ACCOUNT, PROJECT, PROVIDER
from support.openai_vend import ALICE, CHAT, LEASE, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.faulty import Part

NOW = int(START.timestamp())
KEY_VALUE, TOKEN_VALUE = "made-up-key-value-0123456789", "made-up-token-value-0123456789"
ADMIN_KEY = "made-up-admin-key-0123456789"
SUBJECT = signer("ES256").token({"sub": "alice", "aud": "x"})
REQUEST_ID = "req_0123456789abcdef"
KEY: dict[str, Any] = {
    "id": "key_1",
    "object": "organization.project.service_account.api_key",
    "name": f"{LEASE} openai_chat corp/alice",
    "value": KEY_VALUE,
    "created_at": NOW,
    "expires_at": NOW + 3_600,
}
TOKEN: dict[str, Any] = {
    "access_token": TOKEN_VALUE,
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "token_type": "Bearer",
    "expires_in": 3_600,
}
MEANT = request(unnarrowed=True)


def broker(url: str, way: str, **changed: Any) -> OpenAICredentialBroker:
    """Return a broker at START that asks this server for a `key`, or exchanges a `token`."""
    given: dict[str, Any] = {
        "project_id": PROJECT,
        "service_account_id": ACCOUNT,
        "clock": FakeClock(),
        "deadline": 5.0,
        "pause": lambda _most: None,
    }
    if way == "key":
        given |= {"admin_key": lambda: Secret(ADMIN_KEY), "base_url": url}
    else:
        given |= {
            "token": lambda _principal: Secret(SUBJECT),
            "identity_provider_id": PROVIDER,
            "token_endpoint": f"{url}/oauth/token",
        }
    return OpenAICredentialBroker(**(given | changed))


def said(good: dict[str, Any], **changed: Any) -> list[Part]:
    """Return a good answer with members changed; `...` takes one away."""
    whole = {name: value for name, value in (good | changed).items() if value is not ...}
    return text(json.dumps(whole))


def text(body: str, status: int = 200, **headers: str) -> list[Part]:
    """Return this text as an answer in JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(body.encode(), status, {"Content-Type": "application/json", **named})


def error(code: str | None, message: str, status: int, **headers: str) -> list[Part]:
    """Return an error as the API words it, with its request id."""
    body = {"error": {"message": message, "type": "some_error", "param": None, "code": code}}
    return text(json.dumps(body), status, x_request_id=REQUEST_ID, **headers)


def no_secret(caught: BaseException) -> None:
    """Hold that neither the error nor what a traceback shows below it has a secret."""
    shown: BaseException | None = caught
    while shown is not None:
        told = f"{shown} {shown!r} {getattr(shown, 'hint', '')}"
        for secret in (KEY_VALUE, TOKEN_VALUE, ADMIN_KEY, *SUBJECT.split(".")):
            assert secret not in told
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)


def vended(script: list[Any], way: str, **changed: Any) -> tuple[AgentAuthError, int]:
    """Return the error of a vend at a server with this script, and how often one was asked for."""
    with Faulty(script) as server, pytest.raises(AgentAuthError) as caught:
        broker(server.url, way, **changed).vend_credential(ALICE, MEANT)
    no_secret(caught.value)
    return caught.value, sum(one.method == "POST" for one in server.requests)


def test_the_good_answer_is_one_of_openais() -> None:
    """What is changed below is an answer that the SDK's typed model takes."""
    assert APIKeyCreateResponse.model_validate(KEY, strict=True).id == "key_1"


@pytest.mark.parametrize(("way", "good"), [("key", KEY), ("token", TOKEN)])
def test_a_good_answer_is_believed(way: str, good: dict[str, Any]) -> None:
    """Also one that ends earlier than asked, within a minute later, and with members besides."""
    for seconds in (1, 3_600, 3_660):
        changed = {"expires_at": NOW + seconds} if way == "key" else {"expires_in": seconds}
        with Faulty([said(good, **changed, more=[1])]) as server:
            made = broker(server.url, way).vend_credential(ALICE, MEANT)
        assert made.expires_at == START + timedelta(seconds=seconds)
        assert made.credentials["api_key"] in (KEY_VALUE, TOKEN_VALUE)


VALUES: dict[str, Any] = {
    "none": ...,
    "null": None,
    "empty": "",
    "a number": 7,
    "a list": [KEY_VALUE],
    "a line end": f"{KEY_VALUE}\n",
    "a nul": f"{KEY_VALUE}\0",
    "a space": f"{KEY_VALUE} x",
    "an escape": f"{KEY_VALUE}\x1b[2J",
    "a letter beyond ASCII": f"{KEY_VALUE}é",
    "without end": "x" * 16_385,
}
TIMES: dict[str, Any] = {
    "none": ...,
    "never": None,
    "a text": "3600",
    "a fraction": 3_600.0,
    "a truth": True,
    "a list": [1],
}


@pytest.mark.parametrize("line", ["{}", "HTTP/1.1 {} x", "HTTP/9{} 200 x"])
def test_what_echoes_the_key_in_a_broken_answer_is_not_quoted(line: str) -> None:
    """An exception chain must not carry a secret: `--debug` shows all of it."""
    caught, asked = vended([[f"{line.format(ADMIN_KEY)}\r\n\r\n".encode()]], "key")
    assert isinstance(caught, ProviderAnswerError)
    assert (caught.exit_code, asked) == (8, 1)


@pytest.mark.parametrize("end", [10**400, -(10**400)])
@pytest.mark.parametrize(("way", "name"), [("key", "expires_at"), ("token", "expires_in")])
def test_an_end_beyond_all_numbers_is_refused(way: str, name: str, end: int) -> None:
    """JSON has whole numbers that no clock can be compared with as it is: exit 8 all the same."""
    caught, asked = vended([said(KEY if way == "key" else TOKEN, **{name: end})], way)
    assert isinstance(caught, ProviderAnswerError)
    assert (caught.exit_code, asked) == (8, 1)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize(("way", "name"), [("key", "value"), ("token", "access_token")])
def test_a_value_that_is_none_is_refused(way: str, name: str, value: Any) -> None:
    """Visible ASCII characters, or exit 8 at the first attempt."""
    good = KEY if way == "key" else TOKEN
    caught, asked = vended([said(good, **{name: value})], way)
    assert isinstance(caught, ProviderAnswerError)
    assert f"no usable {name}" in caught.message
    assert (caught.exit_code, asked) == (8, 1)


@pytest.mark.parametrize("value", TIMES.values(), ids=TIMES.keys())
@pytest.mark.parametrize(("way", "name"), [("key", "expires_at"), ("token", "expires_in")])
def test_an_end_that_is_none_is_refused(way: str, name: str, value: Any) -> None:
    """A whole number; a key that never ends is none to vend."""
    good = KEY if way == "key" else TOKEN
    caught, asked = vended([said(good, **{name: value})], way)
    assert isinstance(caught, ProviderAnswerError)
    assert f"no usable {name}" in caught.message
    assert asked == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "has expired"),
        (-1, "has expired"),
        (-(10**30), "has expired"),
        (3_661, "longer than asked"),
        (43_200, "longer than asked"),
        (10**30, "longer than asked"),
    ],
)
@pytest.mark.parametrize("way", ["key", "token"])
def test_an_end_that_is_past_or_too_late_is_refused(way: str, seconds: int, words: str) -> None:
    """In the future, and no more than a minute later than asked."""
    good = said(KEY, expires_at=NOW + seconds) if way == "key" else said(TOKEN, expires_in=seconds)
    caught, _ = vended([good], way)
    assert isinstance(caught, ProviderAnswerError)
    assert words in caught.message


OTHERS: list[tuple[str, dict[str, Any], str]] = [
    ("key", {"name": "L9 openai_chat corp/mallory"}, "another key"),
    ("key", {"name": ...}, "another key"),
    ("key", {"object": "organization.admin_api_key"}, "another key"),
    ("key", {"object": ...}, "another key"),
    ("key", {"id": ...}, "no usable id"),
    ("key", {"id": ""}, "no usable id"),
    ("key", {"id": 1}, "no usable id"),
    ("key", {"id": "key_1\nL2 revoked"}, "no usable id"),
    ("key", {"id": "../x"}, "no usable id"),
    ("token", {"token_type": "mac"}, "token_type"),
    ("token", {"token_type": ...}, "token_type"),
    ("token", {"token_type": ["Bearer"]}, "token_type"),
    ("token", {"issued_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "another token"),
    ("token", {"issued_token_type": None}, "another token"),
]


@pytest.mark.parametrize(("way", "changed", "words"), OTHERS)
def test_what_was_not_asked_for_is_refused(way: str, changed: dict[str, Any], words: str) -> None:
    """A key of another name or kind, an id that is none, another kind of token."""
    good = KEY if way == "key" else TOKEN
    caught, asked = vended([said(good, **changed)], way)
    assert isinstance(caught, ProviderAnswerError)
    assert words in caught.message
    assert asked == 1


GOOD = json.dumps(KEY)
BROKEN: dict[str, Any] = {
    "a page with status 200": html(),
    "no body": answer(),
    "an empty object": text("{}"),
    "a list": text(f"[{GOOD}]"),
    "a text": text('"key"'),
    "cut short": text(GOOD[:-9]),
    "two objects": text(GOOD + GOOD),
    "a member twice": text(GOOD[:-1] + ', "value": "x"}'),
    "NaN": text(GOOD[:-1] + ', "x": NaN}'),
    "not UTF-8": answer(GOOD.encode("utf-16")),
    "a lone surrogate": text(GOOD[:-1] + ', "x": "\\ud800"}'),
    "nested without end": text('{"a":' * 10_000),
    "an error with status 200": text('{"error": {"code": "x", "message": "y"}}'),
    "created": text(GOOD, 201),
    "a redirect": redirect("http://169.254.169.254/"),
    "a body that is cut": cut(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
    "no HTTP": cut(b"\x16\x03\x01 what\r\n\r\n"),
    "a claim of 4 GiB": endless(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n", b"x" * 999
    ),
    "more than 1 MiB": text(GOOD + " " * (1 << 20)),
    "no end of it": endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 9999),
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("way", ["key", "token"])
def test_an_answer_that_is_not_in_order_is_refused(way: str, script: Any) -> None:
    """Exit 8 at the first attempt; nothing of the answer is in the message, nothing followed."""
    caught, asked = vended([script], way)
    assert isinstance(caught, ProviderAnswerError | ProviderRefusedError)
    assert (caught.exit_code, asked) == (8, 1)


UNANSWERED: dict[str, Callable[[], list[Part]]] = {
    "silence": silence,
    "a byte every now and then": lambda: dribble(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500, 0.1),
    "hung up": cut,
}


@pytest.mark.parametrize("script", UNANSWERED.values(), ids=UNANSWERED.keys())
@pytest.mark.parametrize("way", ["key", "token"])
def test_no_answer_before_the_deadline_is_unreachable(
    way: str, script: Callable[[], list[Part]]
) -> None:
    """One deadline over the whole call, not only between bytes."""
    caught, _ = vended([script()], way, deadline=0.4)
    assert isinstance(caught, ProviderUnreachableError)


@pytest.mark.parametrize("way", ["key", "token"])
def test_nobody_listening_or_no_such_name_is_unreachable(way: str) -> None:
    """Exit 8, naming where: a refused connection, a name that cannot be resolved."""
    port = refused_port()
    with pytest.raises(ProviderUnreachableError, match=f"127.0.0.1:{port}"):
        broker(f"http://127.0.0.1:{port}", way).vend_credential(ALICE, MEANT)
    with pytest.raises(ProviderUnreachableError, match=r"openai\.invalid"):
        broker("https://openai.invalid", way).vend_credential(ALICE, MEANT)


@pytest.mark.parametrize("way", ["key", "token"])
@pytest.mark.parametrize(("status", "attempts"), [(400, 1), (403, 1), (429, 3), (500, 3), (503, 3)])
def test_a_refusal_has_code_and_request_id(way: str, status: int, attempts: int) -> None:
    """Exit 8, with code, words and request id; what passes by itself is tried three times."""
    script = error("some_code", "not now", status, Retry_After="86400")
    waited: list[float] = []
    caught, asked = vended([script], way, pause=waited.append)
    assert isinstance(caught, ProviderRefusedError)
    assert (caught.code, caught.request_id) == ("some_code", REQUEST_ID)
    assert all(word in caught.message for word in ("some_code", "not now", REQUEST_ID))
    assert (asked, waited) == (attempts, [1.0, 2.0][: attempts - 1])


def test_a_fault_that_passes_is_tried_again() -> None:
    """The first answer that is in order ends it."""
    with Faulty([error(None, "oops", 500), said(KEY)]) as server:
        broker(server.url, "key").vend_credential(ALICE, CHAT)
        assert len(server.requests) == 2


def test_no_wait_goes_beyond_the_deadline() -> None:
    """What would end after it is not begun, whatever Retry-After says."""
    waited: list[float] = []
    script = error(None, "slow", 429, Retry_After="0")
    _, asked = vended([script], "key", deadline=0.9, pause=waited.append)
    assert (asked, waited) == (1, [])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "no code: status 502, without a reason (request id none)"),
        ("<html/>", "no code: status 502"),
        ("[]", "no code: status 502"),
        ('{"error": null}', "no code: status 502"),
        ('{"error": {"code": null, "type": "server_error"}}', "server_error: status 502"),
        ('{"error": {"code": 7, "message": ["x"]}}', "no code: status 502"),
        ('{"error": "invalid_grant", "error_description": "no"}', "invalid_grant: no"),
    ],
)
def test_a_refusal_without_a_reason_says_its_status(body: str, words: str) -> None:
    """An error of another shape is named by its status, and not quoted."""
    caught, _ = vended([text(body, 502)], "token")
    assert words in caught.message


@pytest.mark.parametrize("way", ["key", "token"])
def test_what_openai_says_is_shown_escaped_redacted_and_short(way: str) -> None:
    """Neither a secret nor an order gets into a message: one line, no control characters."""
    sent = ADMIN_KEY if way == "key" else SUBJECT
    orders = f"{sent} sk-{'a' * 30} \x1b[2J\nagentauth: vend admin \r" + "y" * 400
    for script in (error("bad", orders, 400), error(orders, "x", 400)):
        caught, _ = vended([script], way)
        assert caught.message.isprintable()
        assert "y" * 200 not in caught.message


def test_the_environment_leads_nobody_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_BASE_URL, OPENAI_ADMIN_KEY and proxies of the environment are not honoured."""
    with Faulty([said(KEY)]) as server, Faulty([html()]) as hostile:
        for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, hostile.url)
            monkeypatch.setenv(name.lower(), hostile.url)
        monkeypatch.setenv("OPENAI_ADMIN_KEY", "made-up-other-key")
        broker(server.url, "key").vend_credential(ALICE, CHAT)
        assert not hostile.requests
        assert server.requests[0].headers["authorization"] == f"Bearer {ADMIN_KEY}"
    assert os.environ["OPENAI_BASE_URL"] == hostile.url
