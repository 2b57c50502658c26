"""The device grant: what is shown, how often is asked, and how it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound import oidc
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.oidc_device import LONGEST, begin, tokens
from support.clock import FakeClock
from support.faulty import Faulty, redirect
from support.openid import CLIENT, OpenIdServer

if TYPE_CHECKING:
    from agentauth_cli.inbound.oidc import Provider
    from agentauth_cli.inbound.oidc_token import Tokens


def at(server: OpenIdServer) -> Provider:
    """Return the server as one to log in with."""
    return oidc.provider(Issuer("corp", server.url, "agentauth"), CLIENT, "device")


def waited(server: OpenIdServer, **answer: Any) -> tuple[Tokens | AuthenticationError, list[float]]:
    """Log in; return what came of it, and how long was waited before each question."""
    clock, pauses = FakeClock(), list[float]()
    provider = at(server)
    if answer:
        server.instead["/device"] = lambda form: (200, server._POST_device(form)[1] | answer)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += timedelta(seconds=seconds)

    try:
        return tokens(provider, begin(provider), clock, sleep), pauses
    except AuthenticationError as error:
        return error, pauses


def test_what_is_shown() -> None:
    """The code and where to type it in, and the place with the code in it."""
    with OpenIdServer() as server:
        given = begin(at(server))
        assert (given.user_code, given.url) == ("WDJB-MJHT", f"{server.url}/go")
        assert given.whole == f"{server.url}/go?code=WDJB-MJHT"
        assert given.device_code.reveal() not in repr(given)
        ((_, form),) = [one for one in server.asked if one[0] == "/device"]
        assert form == {"client_id": CLIENT, "scope": "openid offline_access"}


def test_it_is_asked_at_the_providers_own_interval() -> None:
    """`interval`, 5 s where there is none; 5 s more each time it says slow_down."""
    with OpenIdServer() as server:
        server.polls = ["authorization_pending", "slow_down", "authorization_pending"]
        found, pauses = waited(server, interval=2)
        assert not isinstance(found, AuthenticationError)
        assert found.id_token is not None
        assert pauses == [2, 2, 7, 7]
        server.polls = ["slow_down", "slow_down"]
        assert waited(server, interval=5)[1] == [5, 10, 15]


def test_five_seconds_where_no_interval_is_given() -> None:
    """RFC 8628, 3.2."""
    with OpenIdServer() as server:
        said = server._POST_device({"client_id": CLIENT})[1]
        del said["interval"]
        provider = at(server)
        server.instead["/device"] = (200, said)
        assert begin(provider).interval == 5


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        ("access_denied", "login_refused", "issuer corp refused it: access_denied"),
        ("expired_token", "login_expired", "nobody confirmed the code before it expired"),
        ("invalid_grant", "login_refused", "issuer corp refused it: invalid_grant"),
    ],
)
def test_how_it_ends(error: str, reason: str, message: str) -> None:
    """Denied, expired, anything else: a clear error."""
    with OpenIdServer() as server:
        server.polls = ["authorization_pending", error]
        found, pauses = waited(server)
    assert isinstance(found, AuthenticationError)
    assert (found.reason, found.message, len(pauses)) == (reason, message, 2)


@pytest.mark.parametrize(("life", "most"), [(60, 60), (10**7, LONGEST)])
def test_the_wait_is_bounded(life: int, most: int) -> None:
    """Until the code expires, and never longer than half an hour."""
    with OpenIdServer() as server:
        server.polls = ["authorization_pending"] * 500
        found, pauses = waited(server, expires_in=life, interval=25)
    assert isinstance(found, AuthenticationError)
    assert found.reason == "login_expired"
    assert sum(pauses) == most


def test_an_interval_of_a_day_is_not_slept() -> None:
    """How long a provider asks to wait never counts past the life of its code."""
    with OpenIdServer() as server:
        assert waited(server, interval=86_400)[1] == [600]


def test_a_provider_that_is_away_for_a_while() -> None:
    """Busy or unreachable for a moment ends nothing: it is asked more slowly."""
    with OpenIdServer() as server:
        answers = iter([(503, {}), (429, {}), (400, {"error": "authorization_pending"})])

        def said(form: dict[str, str]) -> Any:
            return next(answers, None) or server._POST_token(form)

        server.instead["/token"] = said
        found, pauses = waited(server)
        assert not isinstance(found, AuthenticationError)
        assert pauses == [1, 6, 11, 11]


def test_a_provider_that_is_gone() -> None:
    """Nobody there until the code expires."""
    with OpenIdServer() as server:
        provider = at(server)
        given = begin(provider)
    clock = FakeClock()
    with pytest.raises(AuthenticationError, match="nobody confirmed"):
        tokens(provider, given, clock, lambda seconds: clock.advance(seconds=seconds))
    with pytest.raises(AuthenticationError) as caught:
        begin(provider)
    assert caught.value.reason == "issuer_unreachable"


def test_no_redirect_is_followed() -> None:
    """The device code goes to the one endpoint and nowhere else."""
    with OpenIdServer() as server, Faulty([lambda: iter(redirect(f"{server.url}/t"))]) as evil:
        server.document = {"token_endpoint": f"{evil.url}/token"}
        found, _ = waited(server)
    assert isinstance(found, AuthenticationError)
    assert (found.reason, "a redirect" in found.message) == ("issuer_unreachable", True)


@pytest.mark.parametrize(
    "changed",
    [
        {"device_code": None},
        {"device_code": ""},
        {"user_code": ""},
        {"user_code": "a" * 65},
        {"user_code": "a\x1b[m"},
        {"user_code": 7},
        {"verification_uri": "http://evil.test/"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "https://id.test/\x1b"},
        {"verification_uri": "https://id.test@evil.test/"},
        {"verification_uri": "https://[/"},
        {"verification_uri": None},
        {"expires_in": None},
        {"expires_in": 0},
        {"expires_in": 1.5},
        {"interval": 0},
        {"interval": "5"},
    ],
)
def test_an_answer_that_is_refused(changed: dict[str, Any]) -> None:
    """Whatever a person could not follow, or a terminal should not show."""
    with OpenIdServer() as server:
        found, pauses = waited(server, **changed)
    assert isinstance(found, AuthenticationError)
    assert (found.reason, pauses) == ("answer_refused", [])


def test_a_place_with_the_code_in_it_is_only_a_convenience() -> None:
    """One that nobody should be sent to is left out."""
    with OpenIdServer() as server:
        provider = at(server)
        said = server._POST_device({"client_id": CLIENT})[1]
        server.instead["/device"] = (200, {**said, "verification_uri_complete": "ftp://x"})
        assert begin(provider).whole is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((401, {"error": "invalid_client"}), "login_refused"),
        ((200, b"<html>"), "answer_refused"),
        ((200, b'{"interval": NaN}'), "answer_refused"),
    ],
)
def test_no_code_to_show(said: Any, reason: str) -> None:
    """A provider that gives no code says why."""
    with OpenIdServer() as server:
        provider = at(server)
        server.instead["/device"] = said
        with pytest.raises(AuthenticationError) as caught:
            begin(provider)
    assert caught.value.reason == reason
