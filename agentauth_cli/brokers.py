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
        if provider is ProviderType.GCP:
            from agentauth_cli.outbound.gcp import GCPCredentialBroker

            return GCPCredentialBroker(**self.gcp(environment))
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

    def gcp(self, environment: str) -> dict[str, Any]:
        """Return what the configuration says to the Google broker of an environment."""
        from agentauth_cli.outbound.gcp import default_audience

        gcp = self.settings.provider(ProviderType.GCP, environment, "the broker")
        audience = gcp["audience"] or default_audience(gcp["workload_identity_provider"] or "")
        tokens = self.tokens(environment, ProviderType.GCP)
        return {
            "project": gcp["project"],
            "service_account_template": gcp["service_account_template"],
            "source": gcp["source"],
            "workload_identity_provider": gcp["workload_identity_provider"],
            "token": partial(tokens.token_for, audience=audience) if tokens else None,
            "audience": audience,
            "sts_endpoint": gcp["sts_endpoint"],
            "iam_credentials_endpoint": gcp["iam_credentials_endpoint"],
            "clock": self.clock,
        }
