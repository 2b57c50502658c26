"""Our verifier passes the contract that it ships for others."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.inbound import apikey
from agentauth_cli.inbound.apikey import ApiKey
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import Key, parse
from agentauth_cli.inbound.verifier import Verifier
from agentauth_cli.testing.contracts import IdentityVerifierContract
from support.clock import START, FakeClock
from support.issuer import signer
from support.ledgers import opened

if TYPE_CHECKING:
    from pathlib import Path

OKTA = Issuer("okta", "https://login.example.test", "agentauth")
MADE = signer("EdDSA")
KEY = apikey.make(random.Random(1).choice)  # noqa: S311 - to be the same again


def issuer_keys(_issuer: Issuer, _kid: str | None) -> list[Key]:
    """Return the one key of the issuer."""
    key = parse(MADE.jwk())
    assert key is not None
    return [key]


def entries() -> list[ApiKey]:
    """Return the one API key."""
    shown = apikey.parse(KEY)
    return [ApiKey(shown.id, "build-7", "agent", shown.hash, START, START + timedelta(days=90))]


class TestVerifier(IdentityVerifierContract):
    """Tokens of an issuer, and API keys of ours."""

    @pytest.fixture
    def verifier(self, tmp_path: Path) -> Verifier:
        """Return a verifier with a real ledger."""
        clock = FakeClock()
        ledger = opened(tmp_path, clock)
        return Verifier((OKTA,), issuer_keys, entries, lambda: ledger, clock)

    @pytest.fixture
    def good(self) -> list[str]:
        """Return a token and a key, with and without a scheme."""
        exp = START.timestamp() + 60
        token = MADE.token({"iss": OKTA.issuer, "aud": "agentauth", "sub": "alice", "exp": exp})
        return [form + one for form in ("", "Bearer ", "bearer ") for one in (token, KEY.reveal())]
