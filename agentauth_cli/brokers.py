"""The brokers that a configuration asks for, each with what it says to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from agentauth_cli.config.settings import STORED
from agentauth_cli.errors import ConfigError, UsageError
from agentauth_cli.inbound.stored import Slot
from agentauth_cli.model import ProviderType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.provider_token import ProviderTokens
    from agentauth_cli.inbound.stored import StoredSources
    from agentauth_cli.model import Usage
    from agentauth_cli.ports import Clock, CredentialBroker, Revoker
    from agentauth_cli.secret import Secret

_ENDPOINTS = {ProviderType.OPENAI: "base_url", ProviderType.HUGGINGFACE: "endpoint"}
"""The key of an environment's provider that says where its stored credential is sent."""


@dataclass(frozen=True, slots=True)
class Brokers:
    """Makes the broker of a provider in an environment.

    `folder` is that of the configuration; `tokens` returns where an environment's provider gets its
    tokens, None where it needs none; `sources` are those that lie in the keyring.
    """

    settings: Settings
    folder: Path
    clock: Clock
    tokens: Callable[[str, str], ProviderTokens | None]
    sources: StoredSources

    def broker(self, provider: ProviderType, environment: str) -> CredentialBroker:
        """Return it. Raises ConfigError where the environment has nothing of that provider."""
        if provider is ProviderType.AWS:
            from agentauth_cli.outbound.aws import AWSCredentialBroker

            return AWSCredentialBroker(**self.aws(environment))
        if provider is ProviderType.GCP:
            from agentauth_cli.outbound.gcp import GCPCredentialBroker

            return GCPCredentialBroker(**self.gcp(environment))
        if provider is ProviderType.OPENAI:
            from agentauth_cli.outbound.openai import OpenAICredentialBroker

            return OpenAICredentialBroker(**self.openai(environment))
        from agentauth_cli.outbound.huggingface import HuggingFaceCredentialBroker

        return HuggingFaceCredentialBroker(**self.huggingface(environment))

    def arguments(self, provider: ProviderType, environment: str) -> dict[str, Any]:
        """Return what the configuration says to the broker of a provider in an environment.

        Raises ConfigError where the environment has nothing of that provider.
        """
        told = {
            ProviderType.AWS: self.aws,
            ProviderType.GCP: self.gcp,
            ProviderType.OPENAI: self.openai,
            ProviderType.HUGGINGFACE: self.huggingface,
        }
        return told[provider](environment)

    def revoker(self, provider: ProviderType, environment: str) -> Revoker:
        """Return what ends credentials of a provider also where others end with them.

        Raises ConfigError where nothing can, or the environment has nothing of that provider.
        """
        if provider is not ProviderType.AWS:
            return self.broker(provider, environment)
        from agentauth_cli.outbound.aws_revoke import AWSRoleRevoker

        aws = self.settings.provider(provider, environment, "revoking")
        return AWSRoleRevoker(
            role_of=lambda lease: self.settings.role(self.settings.tool(lease.tool, environment)),
            source=aws["revoke_source"],
            region=aws["region"],
            iam_endpoint=aws["iam_endpoint"],
            sts_endpoint=aws["sts_endpoint"],
            ca_bundle=self._bundle(aws),
            clock=self.clock,
        )

    def aws(self, environment: str) -> dict[str, Any]:
        """Return what the configuration says to the AWS broker of an environment."""
        from agentauth_cli.outbound.aws import AUDIENCE

        aws = self.settings.provider(ProviderType.AWS, environment, "the broker")
        audience = aws["audience"] or AUDIENCE
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
            "ca_bundle": self._bundle(aws),
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

    def openai(self, environment: str) -> dict[str, Any]:
        """Return what the configuration says to the OpenAI broker of an environment."""
        return {**self.openai_project(environment), **self._openai_way(environment)}

    def openai_usage(self, environment: str, since: datetime) -> dict[str, Usage]:
        """Return what each API key of an environment's project used since, by the key's id.

        Raises ConfigError, SourceCredentialError, ProviderError.
        """
        from agentauth_cli.outbound.openai import OpenAICredentialBroker

        return OpenAICredentialBroker(**self.openai(environment)).billed(since)

    def openai_project(self, environment: str) -> dict[str, Any]:
        """Return the same without what it mints with."""
        openai = self.settings.provider(ProviderType.OPENAI, environment, "the broker")
        return {
            "project_id": openai["project_id"],
            "service_account_id": openai["service_account_id"],
            "identity_provider_id": openai["identity_provider_id"],
            "audience": openai["audience"],
            "base_url": openai["base_url"],
            "token_endpoint": openai["token_endpoint"],
            "clock": self.clock,
        }

    def _openai_way(self, environment: str) -> dict[str, Any]:
        tokens = self.tokens(environment, ProviderType.OPENAI)
        if tokens is None:
            return {"admin_key": partial(self.stored, environment, ProviderType.OPENAI)}
        audience = self.settings.environments[environment][ProviderType.OPENAI]["audience"]
        if audience is None:
            raise ConfigError(
                f"environments.{environment}.openai needs `audience`",
                hint="Set it to the audience that the identity provider at OpenAI expects",
            )
        return {"token": partial(tokens.token_for, audience=audience)}

    def huggingface(self, environment: str) -> dict[str, Any]:
        """Return what the configuration says to the Hugging Face broker of an environment."""
        from agentauth_cli.outbound.huggingface import AUDIENCE

        provider = ProviderType.HUGGINGFACE
        hub = self.settings.provider(provider, environment, "the broker")
        audience = hub["audience"] or AUDIENCE
        tokens = self.tokens(environment, provider)
        return {
            "namespace": hub["namespace"],
            "source": hub["source"],
            "token": partial(tokens.token_for, audience=audience) if tokens else None,
            "stored": partial(self.stored, environment, provider),
            "audience": audience,
            "endpoint": hub["endpoint"],
            "clock": self.clock,
        }

    def slot(self, environment: str, provider: str) -> Slot:
        """Return where the keyring has the source credential of an environment's provider.

        Raises ConfigError where the environment has nothing of that provider, and UsageError where
        its `source` is none that is stored.
        """
        found = self.settings.provider(provider, environment, "a stored source")
        if found["source"] not in STORED:
            raise UsageError(
                f"environments.{environment}.{provider} has source {found['source']!r}",
                hint=f"One that is stored is {' or '.join(sorted(STORED))}",
            )
        endpoint = _ENDPOINTS[ProviderType(provider)]
        origins = {"config": str(self.folder), endpoint: found[endpoint]}
        return Slot(provider, environment, origins)

    def stored(self, environment: str, provider: str) -> Secret:
        """Return the source credential that the keyring holds for an environment's provider.

        Raises SourceCredentialError where it cannot be had, OriginError where it was stored for
        another configuration.
        """
        return self.sources.get(self.slot(environment, provider))

    def _bundle(self, aws: Mapping[str, Any]) -> Path | None:
        return self.folder / aws["ca_bundle"] if aws["ca_bundle"] else None
