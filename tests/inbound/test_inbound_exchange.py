"""RFC 8693 over real HTTP on loopback: what is asked, and which answers are taken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from agentauth_cli.errors import AuthenticationError, SourceCredentialError
from agentauth_cli.inbound.exchange import Client, exchange
from agentauth_cli.secret import Secret
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

if TYPE_CHECKING:
    from support.faulty import Part

KEY = signer("ES256")
TOKEN = KEY.token({"sub": "alice", "aud": "agentauth"})
ISSUED = KEY.token({"sub": "alice", "aud": "sts.amazonaws.com"})
TYPE = "urn:ietf:params:oauth:token-type:"


def issued(**changed: Any) -> dict[str, Any]:
    """Return a good answer with something changed; None takes it away."""
    good = {
        "access_token": ISSUED,
        "issued_token_type": f"{TYPE}jwt",
        "token_type": "N_A",
        "expires_in": 300,
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def said(content: object, status: int = 200) -> list[Part]:
    """Return this JSON as an answer."""
    return answer(json.dumps(content).encode(), status, {"Content-Type": "application/json"})


def ask(server: Faulty, token: str = TOKEN, seconds: float = 5.0) -> Secret:
    """Exchange the token at the server."""
    client = Client("corp", f"{server.url}/token", "agents")
    return exchange(client, Secret(token), "sts.amazonaws.com", seconds)


def refused(script: Any, seconds: float = 5.0) -> SourceCredentialError:
    """Return the error with which an answer is refused; it shows no token."""
    with Faulty([script]) as server, pytest.raises(SourceCredentialError) as caught:
        ask(server, seconds=seconds)
    error = caught.value
    assert error.exit_code == 4
    assert error.message.startswith("issuer corp gives no token for sts.amazonaws.com: ")
    assert error.message.isprintable()
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    for part in (*TOKEN.split("."), *ISSUED.split(".")):
        assert part not in error.message
    return error


def test_what_is_asked_of_the_issuer() -> None:
    """RFC 8693, 2.1, as a public client: the inbound token, for the provider's audience."""
    with Faulty([said(issued())]) as server:
        assert ask(server).reveal() == ISSUED
        (came,) = server.requests
    assert (came.method, came.target) == ("POST", "/token")
    assert "authorization" not in came.headers
    assert parse_qs(came.body.decode()) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "client_id": ["agents"],
        "audience": ["sts.amazonaws.com"],
        "subject_token": [TOKEN],
        "subject_token_type": [f"{TYPE}jwt"],
        "requested_token_type": [f"{TYPE}jwt"],
    }


@pytest.mark.parametrize(
    ("typ", "expected"),
    [
        ("at+jwt", "access_token"),
        ("application/at+JWT", "access_token"),
        ("JWT", "jwt"),
        (7, "jwt"),
    ],
)
def test_a_token_that_says_that_it_is_an_access_token_is_named_so(typ: Any, expected: str) -> None:
    """RFC 8693, 3: the type of the token that is shown; RFC 9068: how an access token says it."""
    token = KEY.token({"sub": "alice"}, KEY.header(typ=typ))
    with Faulty([said(issued())]) as server:
        ask(server, token)
        form = parse_qs(server.requests[0].body.decode())
    assert form["subject_token_type"] == [TYPE + expected]


@pytest.mark.parametrize(
    "changed",
    [
        {"issued_token_type": f"{TYPE}access_token", "token_type": "Bearer"},
        {"issued_token_type": f"{TYPE}id_token", "token_type": "bearer"},
        {"refresh_token": "another", "scope": ""},
    ],
)
def test_what_may_differ_in_a_good_answer(changed: dict[str, Any]) -> None:
    """Access and ID tokens are JWTs too; `token_type` is compared without case (RFC 6749, 5.1)."""
    with Faulty([said(issued(**changed))]) as server:
        assert ask(server).reveal() == ISSUED


BAD = {
    "a page with status 200": html(),
    "no body": answer(),
    "no object": said([issued()]),
    "a key twice": answer(b'{"access_token": "x", ' + json.dumps(issued()).encode()[1:]),
    "NaN": answer(json.dumps(issued(expires_in=float("nan"))).encode()),
    "no token": said(issued(access_token=None)),
    "an empty token": said(issued(access_token="")),
    "a token that is a number": said(issued(access_token=7)),
    "no type": said(issued(issued_token_type=None)),
    "a SAML assertion": said(issued(issued_token_type=f"{TYPE}saml2")),
    "a refresh token": said(issued(issued_token_type=f"{TYPE}refresh_token")),
    "no use": said(issued(token_type=None)),
    "a proof of possession": said(issued(token_type="DPoP")),
    "no life": said(issued(expires_in=None)),
    "a life of none": said(issued(expires_in=0)),
    "a life that is over": said(issued(expires_in=-1)),
    "a life as text": said(issued(expires_in="300")),
    "a life with a fraction": said(issued(expires_in=300.5)),
    "a life that is true": said(issued(expires_in=True)),
    "a redirect": redirect("http://169.254.169.254/"),
    "cut short": cut(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
    "more than 512 KiB": answer(b" " * (512 * 1024) + json.dumps(issued()).encode()),
    "no end of it": endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 9999),
    "created": said(issued(), 201),
}


@pytest.mark.parametrize("script", BAD.values(), ids=BAD.keys())
def test_an_answer_that_is_not_in_order_is_refused(script: Any) -> None:
    """Strict: an object once, a token, its type, its use, its life; 512 KiB; no redirects."""
    refused(script)


@pytest.mark.parametrize("script", [silence(), dribble(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 99, 0.1)])
def test_one_deadline(script: list[Part]) -> None:
    """One deadline over the whole request."""
    assert "no answer within 0.4 s" in refused(script, 0.4).message


def test_nobody_listening() -> None:
    """An issuer that is down is exit 4, and named."""
    client = Client("corp", f"http://127.0.0.1:{refused_port()}/", "agents")
    with pytest.raises(SourceCredentialError, match="issuer corp gives no token"):
        exchange(client, Secret(TOKEN), "x")


def test_nothing_is_sent_in_the_clear() -> None:
    """Plain HTTP is for loopback alone."""
    with pytest.raises(SourceCredentialError, match="plain http is for loopback alone"):
        exchange(Client("corp", "http://issuer.example/token", "agents"), Secret(TOKEN), "x")


def test_what_is_no_token_is_not_sent() -> None:
    """A subject token that is no JWT is refused before any call."""
    with Faulty([said(issued())]) as server:
        with pytest.raises(AuthenticationError):
            ask(server, "not-a-token")
        assert not server.requests


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ({"error": "invalid_target"}, "invalid_target"),
        ({"error": "invalid_target", "error_description": "no"}, "invalid_target: no"),
        ({"error": "bad\n\x1b[2J", "error_description": 7}, "bad\\n\\x1b[2J"),
        ({"error": "e", "error_description": f"not {TOKEN}"}, "e: not ••••"),
        ({"error": "e", "error_description": TOKEN.split(".")[1]}, "e: ••••"),
        ({"error": "e", "error_description": "x" * 999}, "e: " + "x" * 200),
        ({"error": 7}, "it answered with status 400"),
        ([], "it answered with status 400"),
    ],
)
def test_a_refusal_is_shown_as_code_and_description(content: object, shown: str) -> None:
    """Errors from RFC 6749, 5.2, are shown as code and description: escaped, redacted, cut."""
    message = refused(said(content, 400)).message
    assert message.partition("amazonaws.com: ")[2] == shown
