"""API keys of a project's service account, made and deleted with the organisation's admin key."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from agentauth_cli.errors import (
    AgentAuthError,
    ProviderAnswerError,
    ProviderRefusedError,
    SourceCredentialError,
)
from agentauth_cli.model import Preview, Revocation
from agentauth_cli.outbound import openai_key
from agentauth_cli.outbound.openai_call import Caller, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from agentauth_cli.model import Principal, ToolRequest
    from agentauth_cli.outbound.openai_key import Made
    from agentauth_cli.secret import Secret

UNENFORCED = (
    "what is spent: budgets count credentials, not calls; the project's own spend limit holds",
    "which models are used: the project's own model permissions hold",
)

_UNAUTHORIZED, _MISSING = 401, 404
_HINTS = (
    ("scope", "`permissions` of the tool are scopes of OpenAI's keys, such as model.request"),
    ("expir", "Lower the `duration` of the tool to what the project's policy for keys permits"),
)


@dataclass(frozen=True, slots=True)
class Admin:
    """The keys of one project; `key` is asked for the admin key at each call."""

    caller: Caller
    base: str
    project: str
    key: Callable[[], Secret] = field(repr=False)

    kind: ClassVar = "openai_project_key"
    shortest: ClassVar = 1

    def preview(self, principal: Principal, request: ToolRequest, account: str) -> Preview:
        """Return what would be asked. Raises ConfigError."""
        return Preview(
            operation=f"POST {self._project}/service_accounts/{account}/api_keys",
            endpoint=self.base,
            parameters={
                "name": openai_key.name(principal, request),
                "expires_in_seconds": request.max_duration,
                "scopes": openai_key.scopes(request),
            },
            source="admin_key",
            unenforced=UNENFORCED,
        )

    def make(self, principal: Principal, request: ToolRequest, account: str, now: datetime) -> Made:
        """Make a key. Raises ConfigError before any call, SourceCredentialError, ProviderError."""
        shown = self.preview(principal, request, account)
        method, _, path = shown.operation.partition(" ")
        answer = self.caller.ask(method, self.base + path, shown.parameters, bearer=self.key())
        if isinstance(answer, Refusal):
            raise _meant(f"a key of {account} in {self.project}", answer)
        try:
            return openai_key.key(answer, shown.parameters, now)
        except ProviderAnswerError:
            if answer.get("name") == shown.parameters["name"]:
                self._drop(answer.get("id"))
            raise

    def _drop(self, key_id: object) -> None:
        """Delete a key of ours that is not believed: it may live for ever."""
        if isinstance(key_id, str):
            with contextlib.suppress(AgentAuthError):  # what is told is why it is not believed
                self.delete(key_id)

    def delete(self, key_id: str) -> Revocation:
        """Delete a key: `unconfirmed` where the project has none such, which was it, or never was.

        Raises as `make`.
        """
        path = f"{self._project}/api_keys/{openai_key.identifier(key_id, 'the id of the key')}"
        answer = self.caller.ask("DELETE", self.base + path, bearer=self.key())
        if isinstance(answer, Refusal):
            if answer.status == _MISSING:
                return Revocation("unconfirmed")
            raise _meant(f"deleting {key_id} in {self.project}", answer)
        if not openai_key.is_gone(answer, key_id):
            raise ProviderAnswerError(f"OpenAI did not confirm that {key_id} is deleted")
        return Revocation("revoked")

    def read(self, path: str) -> Mapping[str, Any]:
        """Return what OpenAI says at a path, not believed yet. Raises as `make`."""
        answer = self.caller.ask("GET", self.base + path, bearer=self.key())
        if isinstance(answer, Refusal):
            raise _meant(path.partition("?")[0], answer)
        return answer

    @property
    def _project(self) -> str:
        return f"/organization/projects/{self.project}"


def _meant(what: str, refusal: Refusal) -> AgentAuthError:
    """Return what OpenAI's error means, with its code and request id."""
    message = f"{what}: {refusal}"
    if refusal.status == _UNAUTHORIZED:
        hint = "It takes an admin key of the organisation that may write the project's API keys"
        return SourceCredentialError(message, hint=hint)
    said = f"{refusal.code} {refusal.why}".lower()
    hints = [hint for word, hint in _HINTS if word in said]
    if refusal.status == _MISSING:
        hints = ["Check project_id of the environment, and service_account_id: one of that project"]
    return ProviderRefusedError(
        message, hint=next(iter(hints), None), code=refusal.code, request_id=refusal.request_id
    )
