"""The broker of Hugging Face passes the contract, with an exchange and with a stored token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.model import ProviderType, ToolRequest
from agentauth_cli.outbound.huggingface import HuggingFaceCredentialBroker
from agentauth_cli.secret import Secret
from agentauth_cli.testing.contracts import CredentialBrokerContract
from support.hub import Hub
from support.hub_publishers import AUDIENCE, Publisher
from support.hub_tokens import READ, Scope
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.ports import CredentialBroker

PUBLISHER = Publisher("acme/private-llm", "https://idp.acme.test")
CLAIMS = {"iss": PUBLISHER.issuer, "sub": "ci", "aud": AUDIENCE, "exp": 4_000_000_000}


@pytest.mark.parametrize("source", ["oidc", "stored_token"])
class TestHuggingFaceBroker(CredentialBrokerContract):
    """Against a Hub on loopback."""

    @pytest.fixture
    def broker(self, source: str) -> Iterator[CredentialBroker]:
        """Return it."""
        with Hub(PUBLISHER, keys={PUBLISHER.issuer: [signer("ES256").jwk()]}) as server:
            stored = server.fine_grained(Scope("model", "acme/private-llm", (READ,)))
            yield HuggingFaceCredentialBroker(
                namespace="acme",
                source=source,
                token=lambda _principal: Secret(signer("ES256").token(CLAIMS)),
                stored=lambda: Secret(stored),
                endpoint=server.url,
            )

    @pytest.fixture
    def tool_request(self) -> ToolRequest:
        """Return a request for a private model."""
        provider = ProviderType.HUGGINGFACE
        return ToolRequest("pull", provider, READ, "models/acme/private-llm", max_duration=3600)
