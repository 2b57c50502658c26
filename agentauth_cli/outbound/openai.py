"""OpenAI: keys of a project's service account, or tokens that stand for one.

An API key is made with the organisation's admin key, cut down to scopes, and deleted when its lease
ends (`openai_admin`). A token is exchanged for a JWT, and nothing narrows it beyond the service
account (`openai_exchange`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentauth_cli.errors import ConfigError, SourceCredentialError, UsageError
from agentauth_cli.model import NOT_ALONE, ProviderCredential, ProviderType, Revocation
from agentauth_cli.outbound.attempts import jittered
from agentauth_cli.outbound.openai_admin import Admin
from agentauth_cli.outbound.openai_call import Caller
from agentauth_cli.outbound.openai_exchange import Exchange
from agentauth_cli.outbound.openai_key import check_project, identifier, scopes
from agentauth_cli.outbound.openai_usage import billed
from agentauth_cli.secret import SecretMapping

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentauth_cli.model import Lease, Preview, Principal, ToolRequest, Usage
    from agentauth_cli.ports import Clock
    from agentauth_cli.secret import Secret

BASE_URL = "https://api.openai.com/v1"
EXCHANGE = "https://auth.openai.com/oauth/token"


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a broker made by hand has nobody to hand it a clock


class OpenAICredentialBroker:
    """Mints for one OpenAI project: environments are separated by project.

    `admin_key` is asked for the admin key at each call, `token` for the principal's JWT, for
    `audience`: one of the two. The service account is the request's, else `service_account_id`.
    `base_url` has its ``/v1``, `token_endpoint` is the whole URL. `deadline` is in seconds, for all
    attempts of a call together; `pause` waits between them, no longer than the seconds it is told.
    Raises ConfigError for a project that cannot be one, and where both ways are given.
    """

    min_duration = Admin.shortest
    max_duration = 43_200

    def __init__(
        self,
        *,
        project_id: str,
        service_account_id: str | None = None,
        admin_key: Callable[[], Secret] | None = None,
        token: Callable[[Principal], Secret] | None = None,
        identity_provider_id: str | None = None,
        audience: str | None = None,
        base_url: str | None = None,
        token_endpoint: str | None = None,
        clock: Clock = _now,
        deadline: float = 20.0,
        pause: Callable[[float], None] = jittered,
    ) -> None:
        self.project_id = identifier(project_id, "project_id")
        self._account = service_account_id
        self._clock = clock
        self._way: Admin | Exchange | None = None
        caller = Caller(deadline, pause)
        if admin_key is not None and token is not None:
            raise ConfigError("two ways to mint", hint="Give one of `admin_key` and `token`")
        if admin_key is not None:
            base = (base_url or BASE_URL).rstrip("/")
            self._way = Admin(caller, base, self.project_id, admin_key)
        if token is not None:
            endpoint = token_endpoint or EXCHANGE
            self._way = Exchange(caller, endpoint, identity_provider_id, audience, token)
            self.min_duration = Exchange.shortest

    def vend_credential(
        self, principal: Principal, tool_request: ToolRequest
    ) -> ProviderCredential:
        """Mint a key that can do what the request says and no more, or a token where that is meant.

        This is the minting alone: no switch, policy, budget or audit. Raises UsageError or
        ConfigError before any call, SourceCredentialError where there is nothing to mint with, and
        ProviderError for a refusal, no answer, or an answer that is not to be believed.
        """
        way, account = self._checked(tool_request)
        made = way.make(principal, tool_request, account, self._clock())
        return ProviderCredential(
            provider=ProviderType.OPENAI,
            credential_type=way.kind,
            credentials=SecretMapping({"api_key": made.value.reveal(), "project": self.project_id}),
            expires_at=made.end,
            credential_id=made.id,
            narrowed=self._narrowed(tool_request, account),
        )

    def preview(self, principal: Principal, tool_request: ToolRequest) -> Preview:
        """Return what `vend_credential` would ask of OpenAI, without asking.

        Raises UsageError, ConfigError or SourceCredentialError as it does before any call.
        """
        way, account = self._checked(tool_request)
        return way.preview(principal, tool_request, account)

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        """Delete the key of a lease; a token, which has no id, lives until its end.

        Raises SourceCredentialError, ProviderError.
        """
        key_id = lease.credential_id if credential is None else credential.credential_id
        if not key_id:
            return Revocation(NOT_ALONE)
        return self._chosen().delete(key_id)

    def billed(self, since: datetime) -> dict[str, Usage]:
        """Return what each key of the project used since, tokens and cost, by the key's id.

        Days are whole ones, in UTC. Raises ConfigError where there is no admin key to ask with,
        SourceCredentialError, ProviderError.
        """
        way = self._chosen()
        if not isinstance(way, Admin):
            raise ConfigError(
                f"project {self.project_id} has no admin key, which alone reads what was billed",
                hint='Set `source = "admin_key"`, and see `agentauth source add --help`',
            )
        return billed(way.read, self.project_id, since)

    def _chosen(self) -> Admin | Exchange:
        if self._way is None:
            raise SourceCredentialError(
                f"nothing to ask with for project {self.project_id}",
                hint="Give the broker `admin_key` or `token`, or configure the environment",
            )
        return self._way

    def _checked(self, request: ToolRequest) -> tuple[Admin | Exchange, str]:
        """Return the way and the service account, for what can be minted here."""
        if request.provider != ProviderType.OPENAI:
            raise UsageError(f"this broker mints for openai, not for {request.provider}")
        if not self.min_duration <= request.max_duration <= self.max_duration:
            raise UsageError(
                f"OpenAI mints for {self.min_duration} to {self.max_duration} s here, "
                f"not {request.max_duration}",
                hint="Choose another `duration`; what is exchanged may live for 1h",
            )
        way = self._chosen()
        check_project(request, self.project_id)
        account = request.service_account or self._account
        if account is None:
            raise ConfigError(
                f"no service account for tool {request.tool_name}",
                hint="Set service_account_id of the environment, or of the tool",
            )
        return way, identifier(account, "service_account_id")

    def _narrowed(self, request: ToolRequest, account: str) -> str:
        """Return what it was cut down to, as JSON by OpenAI's own names."""
        facts: dict[str, object] = {"project_id": self.project_id, "service_account_id": account}
        if isinstance(self._way, Admin):
            facts["scopes"] = scopes(request)
        if request.unnarrowed:
            facts["unnarrowed"] = True
        return json.dumps(facts, separators=(",", ":"), sort_keys=True)
