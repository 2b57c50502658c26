"""Brokers of OpenAI at the loopback server, and what their credentials are used for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai

from agentauth_cli.model import Principal, ProviderType, ToolRequest
from agentauth_cli.outbound.openai import OpenAICredentialBroker
from agentauth_cli.secret import Secret
from support.openai_api import ACCOUNT, AUDIENCE, PROJECT, PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.openai_api import OpenAIServer

ALICE = Principal("corp/alice", "alice")
LEASE = "L0123456789abcdef"
CHAT = ToolRequest(
    tool_name="openai_chat",
    provider=ProviderType.OPENAI,
    action="model.request",
    resource=PROJECT,
    max_duration=3_600,
    lease=LEASE,
)


def request(**changed: Any) -> ToolRequest:
    """Return the request CHAT with something changed."""
    fields = {name: getattr(CHAT, name) for name in ToolRequest.__slots__}
    return ToolRequest(**(fields | changed))


def admin(api: OpenAIServer, **changed: Any) -> OpenAICredentialBroker:
    """Return a broker with the admin key, at the server's clock, that never waits long."""
    given: dict[str, Any] = {
        "project_id": PROJECT,
        "service_account_id": ACCOUNT,
        "admin_key": lambda: Secret(api.admin_key),
        "base_url": api.base_url,
        "clock": api.clock,
        "deadline": 5.0,
        "pause": lambda _most: None,
    }
    return OpenAICredentialBroker(**(given | changed))


def exchange(api: OpenAIServer, **changed: Any) -> OpenAICredentialBroker:
    """Return a broker that exchanges a token of the issuer's."""
    given: dict[str, Any] = {
        "admin_key": None,
        "base_url": None,
        "token": lambda _principal: Secret(api.subject_token()),
        "identity_provider_id": PROVIDER,
        "audience": AUDIENCE,
        "token_endpoint": api.token_url,
    }
    return admin(api, **(given | changed))


def client(api: OpenAIServer, credentials: Mapping[str, Any]) -> openai.OpenAI:
    """Return the real client with a vended credential, each answer held against its typed model."""
    return openai.OpenAI(
        **credentials, base_url=api.base_url, max_retries=0, _strict_response_validation=True
    )


def chat(api: OpenAIServer, credentials: Mapping[str, Any]) -> str | None:
    """Ask a model something with it; return what it says."""
    with client(api, credentials) as asking:
        said = asking.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}]
        )
        return said.choices[0].message.content
