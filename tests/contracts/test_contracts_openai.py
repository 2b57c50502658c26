"""The broker of OpenAI passes the contract, with an admin key and with a token to exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.testing.contracts import CredentialBrokerContract
from support import openai_vend
from support.openai_api import OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.model import ToolRequest
    from agentauth_cli.ports import CredentialBroker


@pytest.mark.parametrize("way", ["admin", "exchange"])
class TestOpenAIBroker(CredentialBrokerContract):
    """Against the strict server on loopback."""

    @pytest.fixture
    def broker(self, way: str) -> Iterator[CredentialBroker]:
        """Return it."""
        with OpenAIServer() as api:
            yield getattr(openai_vend, way)(api)

    @pytest.fixture
    def tool_request(self) -> ToolRequest:
        """Return a request for a key of the project, or for a token that cannot be narrowed."""
        return openai_vend.request(unnarrowed=True)
