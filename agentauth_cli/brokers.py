"""The brokers that a configuration asks for, each with what it says to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import UnavailableError
from agentauth_cli.model import ProviderType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.provider_token import ProviderTokens
    from agentauth_cli.ports import Clock, CredentialBroker


@dataclass(frozen=True, slots=True)
class Brokers:
    """Makes the broker of a provider in an environment.

    `folder` is that of the configuration; `tokens` returns where an environment's provider gets its
    tokens, None where it needs none.
    """

    settings: Settings
    folder: Path
    clock: Clock
    tokens: Callable[[str, str], ProviderTokens | None]

    def broker(self, provider: ProviderType, environment: str) -> CredentialBroker:
        """Return it. Raises ConfigError where the environment has nothing of that provider."""
        if provider is ProviderType.AWS:
            from agentauth_cli.outbound.aws import AWSCredentialBroker

            return AWSCredentialBroker(**self.aws(environment))
        raise UnavailableError(f"the provider {provider}")

    def aws(self, environment: str) -> dict[str, Any]:
        """Return what the configuration says to the AWS broker of an environment."""
        from agentauth_cli.outbound.aws import AUDIENCE

        aws = self.settings.provider(ProviderType.AWS, environment, "the broker")
        bundle, audience = aws["ca_bundle"], aws["audience"] or AUDIENCE
        tokens = self.tokens(environment, ProviderType.AWS)
        return {
            "role_arn_template": aws["role_arn_template"],
            "account_id": aws["account_id"],
            "region": aws["region"],
            "source": aws["source"],
            "token": partial(tokens.token_for, audience=audience) if tokens else None,
            "audience": audience,
            "session_tags": aws["session_tags"],
            "sts_endpoint": aws["sts_endpoint"],
            "ca_bundle": self.folder / bundle if bundle else None,
            "clock": self.clock,
        }
