"""What fetches tokens for providers passes the contract of the port, each way."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.provider_token import ProviderTokens
from agentauth_cli.model import Principal
from agentauth_cli.secret import Secret
from agentauth_cli.testing.contracts import SessionPortContract
from agentauth_cli.wiring import utc_now
from support.faulty import Faulty, answer
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentauth_cli.ports import SessionPort

AUDIENCE = "sts.amazonaws.com"
ISSUER = "https://issuer.example"


def token(audience: str) -> str:
    """Return a token of the principal's for this audience."""
    ends = int(time.time()) + 600
    claims = {"iss": ISSUER, "sub": "alice", "aud": audience, "exp": ends}
    return signer("ES256").token(claims)


class _Ours(SessionPortContract):
    @pytest.fixture
    def principal(self) -> Principal:
        """Return whom the token is of."""
        return Principal("corp/alice", "alice")

    @pytest.fixture
    def audience(self) -> str:
        """Return what the token is for."""
        return AUDIENCE


class TestTokenFile(_Ours):
    """A file of the environment's provider."""

    @pytest.fixture
    def sessions(self, tmp_path: Path) -> SessionPort:
        """Return it."""
        file = tmp_path / "token"
        file.write_text(token(AUDIENCE))
        return ProviderTokens((), lambda: None, utc_now, token_file=file)


class TestReuse(_Ours):
    """The token that the caller has shown."""

    @pytest.fixture
    def sessions(self) -> SessionPort:
        """Return it."""
        shown = Secret(token(AUDIENCE))
        issuers = [Issuer("corp", ISSUER, "agentauth")]
        return ProviderTokens(issuers, lambda: shown, utc_now, reuse_inbound=True)


class TestExchange(_Ours):
    """A token endpoint, which answers for one audience whatever it is asked."""

    @pytest.fixture
    def sessions(self) -> Iterator[SessionPort]:
        """Return it, with its endpoint running."""
        said = {
            "access_token": token(AUDIENCE),
            "issued_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_type": "N_A",
            "expires_in": 600,
        }
        content = {"content-type": "application/json"}
        with Faulty([answer(json.dumps(said).encode(), headers=content)]) as server:
            issuer = Issuer(
                "corp", ISSUER, "agentauth", client_id="me", token_endpoint=f"{server.url}/token"
            )
            shown = Secret(token("agentauth"))
            yield ProviderTokens([issuer], lambda: shown, utc_now)
