"""What a token endpoint may answer, and what is made of anything else."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from agentauth_cli.errors import AuthenticationError, ProviderError
from agentauth_cli.inbound.oidc_token import Refusal, Tokens, ask, revoke
from agentauth_cli.secret import MASK, Secret
from support.faulty import Faulty, redirect
from support.openid import CLIENT, OpenIdServer

TOKEN = Secret("made-up-refresh-token")
FORM: dict[str, str | Secret] = {
    "grant_type": "refresh_token",
    "client_id": CLIENT,
    "refresh_token": TOKEN,
}
GOOD = {"access_token": "a-b", "token_type": "bearer", "expires_in": 60}


def answered(said: Any) -> Tokens | Refusal:
    """Return what is made of this answer."""
    with OpenIdServer() as server:
        server.instead["/token"] = said
        return ask(f"{server.url}/token", FORM, "corp")


def test_what_it_gives() -> None:
    """Tokens are wrapped as soon as they are read, and do not show themselves."""
    found = answered((200, {**GOOD, "refresh_token": "r", "id_token": "i"}))
    assert found == Tokens(Secret("a-b"), 60, Secret("i"), Secret("r"))
    assert "a-b" not in repr(found)
    assert answered((200, GOOD)) == Tokens(Secret("a-b"), 60)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"<html></html>",
        b'{"access_token": "a", "access_token": "b", "token_type": "bearer", "expires_in": 60}',
        b'{"access_token": "a", "token_type": "bearer", "expires_in": NaN}',
        {"access_token": "a", "token_type": "bearer"},
        {**GOOD, "expires_in": 0},
        {**GOOD, "expires_in": -1},
        {**GOOD, "expires_in": True},
        {**GOOD, "expires_in": "60"},
        {**GOOD, "expires_in": 1.5},
        {**GOOD, "expires_in": 10**12},
        {"token_type": "bearer", "expires_in": 60},
        {**GOOD, "access_token": ""},
        {**GOOD, "access_token": 7},
        {**GOOD, "access_token": "a\nb"},
        {**GOOD, "access_token": "é"},
        {**GOOD, "refresh_token": "a" * 20_000},
        {**GOOD, "id_token": ["a"]},
        {**GOOD, "token_type": "DPoP"},
        {**GOOD, "token_type": None},
    ],
)
def test_an_answer_that_is_refused(said: Any) -> None:
    """Duplicate keys, NaN, a missing `expires_in`: refused, and nothing of it told."""
    with pytest.raises(AuthenticationError) as caught:
        answered((200, said))
    assert caught.value.reason == "answer_refused"
    assert caught.value.message.startswith("the answer of issuer corp ")
    assert TOKEN.reveal() not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((400, {"error": "invalid_grant"}), Refusal("invalid_grant", "invalid_grant")),
        (
            (401, {"error": "invalid_client", "error_description": f"who\x1b is {TOKEN.reveal()}"}),
            Refusal("invalid_client", f"invalid_client: who\\x1b is {MASK}"),
        ),
        ((400, {"error": 7}), Refusal("", "it answered with status 400")),
        ((400, b"<html>"), Refusal("", "it answered with status 400")),
        ((503, b""), Refusal("", "it answered with status 503", transient=True)),
        ((429, {"error": "slow_down"}), Refusal("slow_down", "slow_down", transient=True)),
    ],
)
def test_a_refusal(said: Any, expected: Refusal) -> None:
    """The code of RFC 6749, 5.2, and its description, redacted; what may pass is told apart."""
    assert answered(said) == expected


def test_no_redirect_is_followed() -> None:
    """A refresh token goes to the one endpoint and nowhere else."""
    with OpenIdServer() as evil, Faulty([lambda: iter(redirect(f"{evil.url}/token"))]) as server:
        with pytest.raises(ProviderError, match="a redirect"):
            ask(f"{server.url}/token", FORM, "corp")
        assert not evil.asked


def test_a_revocation() -> None:
    """RFC 7009: the token, what it is, whose it is; whatever is not 200 is said."""
    with OpenIdServer() as server:
        revoke(f"{server.url}/revoke", CLIENT, TOKEN, "corp")
        assert server.asked == [
            (
                "/revoke",
                {
                    "token": TOKEN.reveal(),
                    "token_type_hint": "refresh_token",
                    "client_id": CLIENT,
                },
            )
        ]
        server.instead["/revoke"] = (503, {"error": "later", "error_description": TOKEN.reveal()})
        with pytest.raises(AuthenticationError, match=f"later: {MASK}"):
            revoke(f"{server.url}/revoke", CLIENT, TOKEN, "corp")
    with pytest.raises(AuthenticationError) as caught:
        revoke(f"{server.url}/revoke", CLIENT, TOKEN, "corp")
    assert caught.value.reason == "issuer_unreachable"
    assert TOKEN.reveal() not in "".join(traceback.format_exception(caught.value))
