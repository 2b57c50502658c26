"""Access tokens of a service account, exchanged for a JWT (workload identity federation).

Source: OpenAI's API reference, "Workload identity token exchange". The token has the permissions of
the matching mapping: nothing in the request narrows it, nor says how long it lives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from agentauth_cli.errors import ConfigError, ProviderRefusedError, SourceCredentialError
from agentauth_cli.model import Preview
from agentauth_cli.outbound import openai_key
from agentauth_cli.outbound.openai_admin import UNENFORCED
from agentauth_cli.outbound.openai_call import Caller, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agentauth_cli.model import Principal, Revocation, ToolRequest
    from agentauth_cli.outbound.openai_key import Made
    from agentauth_cli.secret import Secret

_FIXED = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
}
_UNENFORCED = (
    *UNENFORCED,
    "the tool's permissions: the token may do what the mapping of the service account says",
    "the tool's duration: the token lives as long as OpenAI says",
    "an earlier end: no kill switch ends a token that has been vended",
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The tokens of one identity provider; `token` is asked for the principal's JWT each time."""

    caller: Caller
    endpoint: str
    identity_provider: str | None
    audience: str | None
    token: Callable[[Principal], Secret] = field(repr=False)

    kind: ClassVar = "openai_access_token"
    shortest: ClassVar = openai_key.EXCHANGED

    def preview(self, principal: Principal, request: ToolRequest, account: str) -> Preview:
        """Return what would be asked, but for the token. Raises ConfigError."""
        del principal
        if self.identity_provider is None:
            hint = "Set identity_provider_id of the environment"
            raise ConfigError("no identity provider to exchange a token by", hint=hint)
        provider = openai_key.identifier(self.identity_provider, "identity_provider_id")
        openai_key.check_unnarrowed(request, "a token that is exchanged")
        asked = {**_FIXED, "identity_provider_id": provider, "service_account_id": account}
        return Preview(
            operation="token exchange",
            endpoint=self.endpoint,
            parameters=asked,
            source="web_identity",
            audience=self.audience,
            unenforced=_UNENFORCED,
        )

    def make(self, principal: Principal, request: ToolRequest, account: str, now: datetime) -> Made:
        """Exchange a token. Raises ConfigError before any call, SourceCredentialError.

        Raises ProviderError too.
        """
        shown = self.preview(principal, request, account)
        token = self.token(principal)
        body = {**shown.parameters, "subject_token": token.reveal()}
        answer = self.caller.ask("POST", self.endpoint, body, sent=token)
        if isinstance(answer, Refusal):
            raise self._meant(account, answer)
        return openai_key.token(answer, request.max_duration, now)

    def delete(self, key_id: str) -> Revocation:
        """Raise SourceCredentialError: a key was made with an admin key, which is not here."""
        raise SourceCredentialError(
            f"no admin key to delete {key_id} with", hint="Set source back to admin_key"
        )

    def _meant(self, account: str, refusal: Refusal) -> ProviderRefusedError:
        """Return what OpenAI's error means, with its code and request id."""
        audience = f" with audience {self.audience}" if self.audience else ""
        return ProviderRefusedError(
            f"a token of {account}: {refusal}",
            hint=f"Let identity provider {self.identity_provider} map the token's issuer and "
            f"subject{audience} to {account}",
            code=refusal.code,
            request_id=refusal.request_id,
        )
