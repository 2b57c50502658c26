"""Something presented → who that is."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.errors import AuthenticationError, ConfigError, StateError
from agentauth_cli.inbound import apikey
from agentauth_cli.inbound.apikey import ApiKey
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import Key, parse
from agentauth_cli.inbound.verifier import Verifier
from agentauth_cli.model import KeyState
from support.clock import START, FakeClock
from support.issuer import signer

if TYPE_CHECKING:
    from agentauth_cli.ports import IdentityVerifier

OKTA = Issuer("okta", "https://login.example.test", "agentauth")
MADE = signer("ES256")
KEY = apikey.make(random.Random(1).choice)  # noqa: S311 - to be the same again
TEXT = KEY.reveal()


@dataclass
class KeyStates:
    """What a ledger knows of keys."""

    revoked: datetime | None = None
    used: list[str] = field(default_factory=list)

    def api_key(self, key_id: str) -> KeyState:
        """Return how a key stands."""
        assert key_id == TEXT[4:12]
        return KeyState(revoked_at=self.revoked)

    def api_key_used(self, key_id: str) -> None:
        """Note a use."""
        self.used.append(key_id)


def no_ledger() -> KeyStates:
    """Have no ledger."""
    raise StateError("the disk is gone")


def issuer_keys(_issuer: Issuer, _kid: str | None) -> list[Key]:
    """Return the one key of the issuer."""
    key = parse(MADE.jwk())
    assert key is not None
    return [key]


def entry() -> ApiKey:
    """Return the key as its file has it."""
    shown = apikey.parse(KEY)
    return ApiKey(shown.id, "build-7", "agent", shown.hash, START, START + timedelta(days=90))


def verifier(states: KeyStates | None = None) -> Verifier:
    """Return a verifier with one issuer and one key."""
    found = states or KeyStates()
    return Verifier((OKTA,), issuer_keys, lambda: [entry()], lambda: found, FakeClock())


def token() -> str:
    """Return a good token."""
    claims = {"iss": OKTA.issuer, "aud": "agentauth", "exp": START.timestamp() + 60}
    return MADE.token(claims | {"sub": "alice"})


@pytest.mark.parametrize("form", ["{}", "Bearer {}", "bearer {}", "BEARER {}"])
def test_what_is_accepted(form: str) -> None:
    """`Bearer VALUE` in any case of the scheme, or the bare value: a JWT or an API key."""
    ours: IdentityVerifier = verifier()
    assert ours.authenticate(form.format(token())).id == "okta/alice"
    assert ours.authenticate(form.format(TEXT)).id == "key/build-7"


@pytest.mark.parametrize(
    "form",
    [
        "Bearer  {}",
        " Bearer {}",
        "Bearer {} ",
        "Bearer {} x",
        "Basic {}",
        " {}",
        "{} ",
        "Bearer ",
        "Bearer\t{}",
        "Token {}",
        "Bearer:{}",
        "Bearer Bearer {}",
        "",
        "{}\n",
    ],
)
@pytest.mark.parametrize("value", [token(), TEXT])
def test_anything_else_is_refused_and_never_quoted(form: str, value: str) -> None:
    """Anything else is refused with a reason, and is not quoted."""
    with pytest.raises(AuthenticationError) as caught:
        verifier().authenticate(form.format(value))
    said = caught.value.message + caught.value.hint
    assert value not in said
    assert TEXT[13:45] not in said
    assert caught.value.reason in (
        *("no_identity", "presented_form", "token_form", "token_encoding", "api_key_form"),
    )
    assert (not form) == (caught.value.reason == "no_identity")
    assert (" " in form) == (caught.value.reason == "presented_form")


@given(st.text(max_size=200))
def test_nothing_but_an_authentication_error(presented: str) -> None:
    """What is presented may be anything at all."""
    with pytest.raises(AuthenticationError):
        verifier().authenticate(presented)


def test_a_use_is_noted_and_a_refusal_is_not() -> None:
    """Last use and revocation are in the ledger; a revocation there wins over the file."""
    states = KeyStates()
    verifier(states).api_key(KEY)
    assert states.used == [TEXT[4:12]]
    revoked = KeyStates(revoked=START)
    with pytest.raises(AuthenticationError) as caught:
        verifier(revoked).api_key(KEY)
    assert caught.value.reason == "api_key_revoked"
    assert revoked.used == []


def test_a_ledger_that_cannot_be_read_refuses_the_key() -> None:
    """What cannot be read denies; a token has no need of it."""
    ours = Verifier((OKTA,), issuer_keys, lambda: [entry()], no_ledger, FakeClock())
    with pytest.raises(StateError):
        ours.authenticate(TEXT)
    assert ours.authenticate(token()).id == "okta/alice"


def test_a_key_file_that_does_not_load_refuses_every_key() -> None:
    """A file that does not load is exit 3; a token has no need of it."""

    def broken() -> list[ApiKey]:
        raise ConfigError("apikeys.toml:1:1: not TOML")

    ours = Verifier((OKTA,), issuer_keys, broken, no_ledger, FakeClock())
    with pytest.raises(ConfigError):
        ours.authenticate(TEXT)
    assert ours.authenticate(token()).id == "okta/alice"
