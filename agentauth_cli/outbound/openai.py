"""OpenAI: the project that a broker stands for. It does not vend in this version."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from agentauth_cli.errors import UnavailableError

if TYPE_CHECKING:
    from agentauth_cli.model import Lease, Principal, ProviderCredential, ToolRequest


class OpenAICredentialBroker:
    """One OpenAI project: environments are separated by project."""

    min_duration = 1
    max_duration = 43_200

    def __init__(self, *, project_id: str) -> None:
        self.project_id = project_id

    def vend_credential(self, principal: Principal, tool_request: ToolRequest) -> NoReturn:
        """Raise UnavailableError: this version mints for AWS alone."""
        del principal
        raise UnavailableError(f"the provider openai (tool {tool_request.tool_name})")

    def preview(self, principal: Principal, tool_request: ToolRequest) -> NoReturn:
        """Raise UnavailableError, as `vend_credential` does."""
        self.vend_credential(principal, tool_request)

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> NoReturn:
        """Raise UnavailableError: there is nothing of ours at OpenAI."""
        del credential
        raise UnavailableError(f"the provider openai (lease {lease.id})")
