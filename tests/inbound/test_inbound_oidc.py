"""What an OpenID provider says of itself, and what of it is believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.oidc import SCOPES, Flow, provider
from support.faulty import Faulty, redirect
from support.issuer import DISCOVERY
from support.openid import CLIENT, OpenIdServer


def corp(url: str, **more: Any) -> Issuer:
    """Return the issuer at this address."""
    return Issuer("corp", url, "agentauth", client_id=CLIENT, **more)


def refusal(issuer: Issuer, flow: Flow = "code") -> AuthenticationError:
    """Return why there is nobody to log in with."""
    with pytest.raises(AuthenticationError) as caught:
        provider(issuer, CLIENT, flow)
    assert caught.value.hint
    return caught.value


def test_where_a_login_begins_and_ends() -> None:
    """Discovered from the issuer: the endpoints, what it offers, whether it names itself."""
    with OpenIdServer() as server:
        found = provider(corp(server.url), CLIENT, "code")
        assert found.begins == f"{server.url}/authorize"
        assert found.token_endpoint == f"{server.url}/token"
        assert found.revocation_endpoint == f"{server.url}/revoke"
        assert found.names_itself
        assert found.scopes == ("openid", "offline_access")
        assert provider(corp(server.url), CLIENT, "device").begins == f"{server.url}/device"
        server.document = {"scopes_supported": None, "revocation_endpoint": None}
        found = provider(corp(server.url), CLIENT, "code")
        assert (found.scopes, found.revocation_endpoint) == (SCOPES, None)
        assert provider(corp(server.url, scopes=("openid",)), CLIENT, "code").scopes == ("openid",)


def test_what_is_configured_comes_first() -> None:
    """Endpoints of the configuration stand instead of discovery."""
    endpoints = {
        "authorization_endpoint": "https://id.test/a",
        "token_endpoint": "https://id.test/t",
    }
    found = provider(corp("https://id.test", **endpoints), CLIENT, "code")
    assert (found.begins, found.token_endpoint) == ("https://id.test/a", "https://id.test/t")
    assert (found.revocation_endpoint, found.names_itself) == (None, False)
    with OpenIdServer() as server:
        found = provider(corp(server.url, token_endpoint="https://id.test/t"), CLIENT, "code")
        assert (found.begins, found.token_endpoint) == (
            f"{server.url}/authorize",
            "https://id.test/t",
        )


@pytest.mark.parametrize("flow", ["code", "device"])
def test_an_endpoint_that_there_is_not(flow: Flow) -> None:
    """An issuer that has no such login says so, and what to do."""
    with OpenIdServer() as server:
        server.document = {"authorization_endpoint": None, "device_authorization_endpoint": None}
        error = refusal(corp(server.url), flow)
    assert error.reason == "endpoint_missing"
    assert error.exit_code == 4


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"issuer": "https://evil.test"}, "names another issuer"),
        ({"issuer": None}, "names another issuer"),
        ({"token_endpoint": "http://evil.test/token"}, "`token_endpoint` that is no URL"),
        ({"token_endpoint": 7}, "`token_endpoint` that is no URL"),
        ({"token_endpoint": "https://me@evil.test/"}, "`token_endpoint` that is no URL"),
        ({"token_endpoint": "https://evil.test/#x"}, "`token_endpoint` that is no URL"),
        ({"token_endpoint": "https://evil.test\\@id.test/"}, "`token_endpoint` that is no URL"),
        ({"token_endpoint": "https://evil.test:0/"}, "`token_endpoint` that is no URL"),
        ({"token_endpoint": "https://[::1/"}, "`token_endpoint` that is no URL"),
        ({"token_endpoint": "https:///token"}, "`token_endpoint` that is no URL"),
        ({"token_endpoint": "https://x.test/" + "a" * 2048}, "`token_endpoint` that is no URL"),
        ({"authorization_endpoint": "file:///etc/passwd"}, "`authorization_endpoint` that is no"),
        ({"authorization_endpoint": "https://x.test/\x1b[m"}, "`authorization_endpoint` that is"),
        ({"authorization_endpoint": "https://x.test/ --x"}, "`authorization_endpoint` that is"),
        ({"revocation_endpoint": "http://evil.test/"}, "`revocation_endpoint` that is no URL"),
        ({"code_challenge_methods_supported": ["plain"]}, "does not offer PKCE with S256"),
    ],
)
def test_a_document_that_is_not_to_be_believed(document: dict[str, Any], said: str) -> None:
    """Its `issuer` equals the configured one; endpoints are https, or loopback."""
    with OpenIdServer() as server:
        server.document = document
        error = refusal(corp(server.url))
    assert error.reason == "discovery_refused"
    assert said in error.message


def test_an_issuer_elsewhere_has_no_endpoint_on_this_machine() -> None:
    """An issuer over HTTPS cannot have the code sent to whoever listens here."""
    from agentauth_cli.inbound.oidc import _is_fit

    assert _is_fit("https://id.test/token", corp("https://id.test"))
    assert not _is_fit("http://127.0.0.1:8/token", corp("https://id.test"))
    assert _is_fit("http://127.0.0.1:8/token", corp("http://localhost:9"))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((500, {}), "issuer_unreachable"),
        ((404, {}), "issuer_unreachable"),
        ((200, b"<html>log in to the network</html>"), "discovery_refused"),
        ((200, b'{"issuer": "a", "issuer": "b"}'), "discovery_refused"),
        ((200, b'{"x": NaN}'), "discovery_refused"),
        ((200, b" " * 600_000), "issuer_unreachable"),
    ],
)
def test_an_answer_that_is_no_document(said: Any, reason: str) -> None:
    """A strict JSON object of 512 KiB at most, or nothing."""
    with OpenIdServer() as server:
        server.instead[DISCOVERY] = said
        assert refusal(corp(server.url)).reason == reason


def test_no_redirect_is_followed_and_nobody_there_is_said() -> None:
    """No redirects; an issuer that is down is a clear error."""
    with OpenIdServer() as evil, Faulty([lambda: iter(redirect(evil.url + DISCOVERY))]) as server:
        issuer = corp(server.url)
        assert "a redirect (302), which is not followed" in refusal(issuer).message
        assert not evil.asked
    error = refusal(issuer)
    assert (error.reason, error.exit_code) == ("issuer_unreachable", 4)
    assert error.message.startswith("issuer corp cannot be asked: 127.0.0.1:")


def test_a_slash_at_the_end_of_the_issuer() -> None:
    """The document is below the issuer, whether that ends in a slash or not (Discovery, 4.1)."""
    with OpenIdServer() as server:
        server.document = {"issuer": f"{server.url}/"}
        found = provider(replace(corp(server.url), issuer=f"{server.url}/"), CLIENT, "code")
        assert found.token_endpoint == f"{server.url}/token"
