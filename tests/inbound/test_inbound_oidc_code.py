"""Logging in through the browser: what is asked, and what of the answer counts."""

from __future__ import annotations

import secrets
import traceback
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound import oidc
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.oidc import Provider
from agentauth_cli.inbound.oidc_code import Attempt, attempt, code, page, tokens
from agentauth_cli.secret import Secret
from support.openid import CLIENT, OpenIdServer

CORP = Issuer("corp", "https://id.test", "agentauth")
PROVIDER = Provider(CORP, CLIENT, "https://id.test/authorize", "https://id.test/token")
MADE = Attempt("the-state", "the-nonce", Secret("the-verifier"))
HERE = "http://127.0.0.1:8/callback"


def test_what_the_browser_is_asked_to_open() -> None:
    """Authorization code with PKCE (S256), `state` and `nonce`; nothing secret is in the URL."""
    url = page(PROVIDER, MADE, HERE)
    assert url.startswith("https://id.test/authorize?")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": HERE,
        "scope": "openid profile email offline_access",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": MADE.challenge,
        "code_challenge_method": "S256",
    }
    assert "the-verifier" not in url
    assert "the-verifier" not in repr(MADE)
    other = Provider(CORP, CLIENT, "https://id.test/a?tenant=x", "https://id.test/token")
    assert page(other, MADE, HERE).startswith("https://id.test/a?tenant=x&response_type=code&")


def test_the_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    made = Attempt("", "", Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
    assert made.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_no_attempt_is_like_another() -> None:
    """State, nonce and verifier are 256 bits each, and different ones."""
    made = [attempt(secrets.token_urlsafe) for _ in range(20)]
    found = {text for one in made for text in (one.state, one.nonce, one.verifier.reveal())}
    assert len(found) == 60
    assert {len(text) for text in found} == {43}


def refused(query: str, provider: Provider = PROVIDER) -> AuthenticationError:
    """Return why this is no answer."""
    with pytest.raises(AuthenticationError) as caught:
        code(provider, MADE, query)
    assert caught.value.hint == "Nothing was kept: log in again"
    assert "the-code" not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_the_code_of_a_good_answer() -> None:
    """With the state of this attempt, and from the issuer that was asked where it says so."""
    assert code(PROVIDER, MADE, "code=the-code&state=the-state") == Secret("the-code")
    issuer = urlencode({"iss": CORP.issuer})
    assert code(PROVIDER, MADE, f"state=the-state&{issuer}&code=a%2Bb&x=") == Secret("a+b")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("code=the-code&state=another", "login_state"),
        ("code=the-code&state=", "login_state"),
        ("code=the-code", "login_state"),
        ("code=the-code&state=the-stat%C3%A9", "login_state"),
        ("error=access_denied&state=another", "login_state"),
        ("code=the-code&state=the-state&iss=https://evil.test", "login_issuer"),
        ("code=the-code&state=the-state&iss=", "login_issuer"),
        ("code=the-code&state=the-state&iss=https://id.test/", "login_issuer"),
        ("state=the-state", "login_answer"),
        ("code=&state=the-state", "login_answer"),
        ("code=the-code&code=b&state=the-state", "login_answer"),
        ("code=the-code&state=the-state&state=the-state", "login_answer"),
        ("code=the-code&state=%FF", "login_answer"),
        ("&".join(f"a{i}=" for i in range(40)), "login_answer"),
        ("", "login_answer"),
        ("error=access_denied&state=the-state", "login_refused"),
        ("error=&state=the-state&code=the-code", "login_refused"),
    ],
)
def test_an_answer_that_does_not_count(query: str, reason: str) -> None:
    """Wrong state, another issuer, error answers: clear errors."""
    assert refused(query).reason == reason


def test_an_issuer_that_names_itself_has_to() -> None:
    """RFC 9207: `iss` is required where the provider says that it sends it."""
    provider = Provider(CORP, CLIENT, "https://id.test/a", "https://id.test/t", names_itself=True)
    assert refused("code=the-code&state=the-state", provider).reason == "login_issuer"
    query = f"code=c&state=the-state&{urlencode({'iss': CORP.issuer})}"
    assert code(provider, MADE, query) == Secret("c")


def test_what_the_provider_says_is_told_on_one_line() -> None:
    """Its words are shown, escaped and redacted."""
    query = urlencode({"state": "the-state", "error": "denied", "error_description": "\x1b[31mno"})
    assert refused(query).message == "issuer corp refused it: denied: \\x1b[31mno"


def by_code(server: OpenIdServer, **changed: Any) -> Any:
    """Let the provider give a code, and ask it for tokens with this form changed."""
    issuer = Issuer("corp", server.url, "agentauth")
    found = oidc.provider(issuer, CLIENT, "code")
    made = attempt(secrets.token_urlsafe)
    url = page(found, made, HERE)
    back = server.answered("GET", "/authorize", dict(parse_qsl(urlsplit(url).query)))
    assert isinstance(back, str)
    received = code(found, made, urlsplit(back).query)
    used = Attempt(made.state, made.nonce, changed.get("verifier", made.verifier))
    return lambda: tokens(found, used, received, changed.get("redirect", HERE))


def test_the_tokens_for_a_code() -> None:
    """With the verifier that only we know, and for one use."""
    with OpenIdServer() as server:
        ask = by_code(server)
        found = ask()
        assert found.id_token is not None
        assert found.refresh is not None
        with pytest.raises(AuthenticationError, match="issuer corp refused it: invalid_grant"):
            ask()


@pytest.mark.parametrize(
    "changed", [{"verifier": Secret("another")}, {"redirect": "http://127.0.0.1:9/callback"}]
)
def test_a_code_that_somebody_else_asked_for(changed: dict[str, Any]) -> None:
    """A code is worth nothing without the verifier and the address of its own attempt."""
    with OpenIdServer() as server, pytest.raises(AuthenticationError) as caught:
        by_code(server, **changed)()
    assert caught.value.reason == "login_refused"


def test_a_token_endpoint_that_is_down() -> None:
    """Whatever fails behind the browser is a clear error."""
    with OpenIdServer() as server:
        ask = by_code(server)
    with pytest.raises(AuthenticationError) as caught:
        ask()
    assert caught.value.reason == "issuer_unreachable"
