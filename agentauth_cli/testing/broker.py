"""A broker without a cloud."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from agentauth_cli.errors import UsageError
from agentauth_cli.model import (
    Preview,
    Principal,
    ProviderCredential,
    ProviderType,
    Revocation,
    ToolRequest,
)

if TYPE_CHECKING:
    from agentauth_cli.errors import AgentAuthError
    from agentauth_cli.model import Lease
    from agentauth_cli.ports import Clock

_KINDS = {
    ProviderType.AWS: "aws_sts_session",
    ProviderType.GCP: "gcp_access_token",
    ProviderType.OPENAI: "openai_project_key",
    ProviderType.HUGGINGFACE: "hf_oidc_token",
}
_KEYS = {
    ProviderType.AWS: ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
    ProviderType.GCP: ("access_token",),
    ProviderType.OPENAI: ("api_key",),
    ProviderType.HUGGINGFACE: ("token",),
}


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a broker made by hand has nobody to hand it a clock


class FakeBroker:
    """Hands out what a test set, else made-up credentials of the right shape, each another.

    `requests` is what it was asked, oldest first, and `revoked` are the leases that it was to end.
    With `provider` it mints for that one alone.
    """

    def __init__(
        self,
        *,
        provider: ProviderType | None = None,
        clock: Clock = _now,
        min_duration: int = 1,
        max_duration: int = 43_200,
    ) -> None:
        self.min_duration = min_duration
        self.max_duration = max_duration
        self.requests: list[tuple[Principal, ToolRequest]] = []
        self.revoked: list[str] = []
        self._provider = provider
        self._clock = clock
        self._numbers = count(1)
        self._set: ProviderCredential | None = None
        self._error: AgentAuthError | None = None

    def set_credential(self, credential: ProviderCredential) -> None:
        """Hand out this one from now on, whatever is asked."""
        self._set = credential
        self._error = None

    def set_error(self, error: AgentAuthError) -> None:
        """Raise this from now on."""
        self._error = error

    def vend_credential(
        self, principal: Principal, tool_request: ToolRequest
    ) -> ProviderCredential:
        """Return the credential that was set, else one made up for the request.

        Raises the error that was set; UsageError for a duration that it does not mint, or another
        provider than its own.
        """
        self.requests.append((principal, tool_request))
        if self._error is not None:
            raise self._error
        self._check(tool_request)
        return self._set or self._made_up(tool_request)

    def preview(self, principal: Principal, tool_request: ToolRequest) -> Preview:
        """Return the request as what would be asked. Raises UsageError as `vend_credential`."""
        self._check(tool_request)
        return Preview(
            operation="FakeMint",
            endpoint="https://fake.invalid",
            parameters={"principal": principal.id, "seconds": tool_request.max_duration},
            source="fake",
        )

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        """Return that it is done, and keep the lease's id in `revoked`. Raises the set error."""
        del credential
        if self._error is not None:
            raise self._error
        self.revoked.append(lease.id)
        return Revocation("revoked")

    def _check(self, tool_request: ToolRequest) -> None:
        if self._provider not in (None, tool_request.provider):
            raise UsageError(f"this broker is for {self._provider}, not {tool_request.provider}")
        if not self.min_duration <= tool_request.max_duration <= self.max_duration:
            raise UsageError(
                f"this broker mints for {self.min_duration} to {self.max_duration} s, "
                f"not {tool_request.max_duration}"
            )

    def _made_up(self, request: ToolRequest) -> ProviderCredential:
        number = next(self._numbers)
        values = {key: f"fake-{key}-{number}" for key in _KEYS[request.provider]}
        return ProviderCredential(
            provider=request.provider,
            credential_type=_KINDS[request.provider],
            credentials=values,
            expires_at=self._clock() + timedelta(seconds=request.max_duration),
            credential_id=f"fake-{number}",
            narrowed=", ".join(grant.resource for grant in request.narrowed),
        )
