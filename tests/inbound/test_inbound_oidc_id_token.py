"""The ID token of a login: whom it was given to, and as the answer to what."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import Key, parse
from agentauth_cli.inbound.jwt import verify
from agentauth_cli.inbound.oidc_id_token import principal, verified
from agentauth_cli.secret import Secret
from support.issuer import signer

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = signer("ES256")
CORP = Issuer("corp", "https://id.test", "agentauth", groups_claim="groups")


def keys(_issuer: Issuer, _kid: str | None) -> list[Key]:
    """Return the issuer's key."""
    found = parse(KEY.jwk())
    assert found is not None
    return [found]


def token(**changed: Any) -> Secret:
    """Return a good ID token with something changed; None takes it away."""
    now = NOW.timestamp()
    good = {"iss": CORP.issuer, "sub": "alice", "aud": "me", "iat": now, "exp": now + 300}
    claims = {"nonce": "n", **good, **changed}
    return Secret(KEY.token({name: one for name, one in claims.items() if one is not None}))


def reason(made: Secret, nonce: str | None = "n") -> str | None:
    """Return why this ID token is refused; None where it is good."""
    try:
        verified(made, CORP, "me", nonce, keys, NOW)
    except AuthenticationError as error:
        return error.reason
    return None


def test_the_claims_of_a_good_one() -> None:
    """Verified as every token, with the client id as audience; what is kept are the claims."""
    kept = verified(token(groups=["a"]), CORP, "me", "n", keys, NOW)
    assert json.loads(kept.reveal())["groups"] == ["a"]
    who = principal(kept, CORP, "me", [CORP], NOW)
    assert (who.id, who.groups) == ("corp/alice", ("corp/a",))
    assert principal(kept, replace(CORP, groups_claim=None), "me", [CORP], NOW).groups == ()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"azp": "me"}, None),
        ({"aud": ["me"]}, None),
        ({"aud": ["me", "other"], "azp": "me"}, None),
        ({"aud": ["me", "other"]}, "azp_refused"),
        ({"aud": ["me", "other"], "azp": "other"}, "azp_refused"),
        ({"azp": "other"}, "azp_refused"),
        ({"azp": 7}, "azp_refused"),
        ({"aud": "agentauth"}, "audience_refused"),
        ({"aud": None}, "audience_refused"),
        ({"nonce": "another"}, "nonce_refused"),
        ({"nonce": None}, "nonce_refused"),
        ({"nonce": ["n"]}, "nonce_refused"),
        ({"nonce": "é"}, "nonce_refused"),
        ({"iss": "https://evil.test"}, "issuer_unknown"),
        ({"exp": NOW.timestamp() - 31}, "expired"),
        ({"exp": None}, "expiry_missing"),
        ({"sub": "a*"}, "subject_refused"),
    ],
)
def test_what_it_has_to_say(changed: dict[str, Any], expected: str | None) -> None:
    """Audience is the client id, `azp` the client, `nonce` that of the request."""
    assert reason(token(**changed)) == expected


def test_a_request_without_a_nonce_needs_none() -> None:
    """The device grant has no `nonce`, nor has a refresh."""
    assert reason(token(nonce=None), None) is None
    assert reason(token(), None) is None


def test_a_signature_of_somebody_else() -> None:
    """It is signed by the issuer, or refused."""
    other = signer("ES256", number=1)
    made = other.token(json.loads(verified(token(), CORP, "me", "n", keys, NOW).reveal()))
    assert reason(Secret(made)) == "signature_invalid"


def test_an_id_token_is_no_token_to_show() -> None:
    """It is never accepted as AGENTAUTH_TOKEN unless the client id is also the audience."""
    with pytest.raises(AuthenticationError) as caught:
        verify(token(), [CORP], keys, NOW)
    assert caught.value.reason == "audience_refused"
    assert verify(token(), [replace(CORP, audience="me")], keys, NOW).id == "corp/alice"
