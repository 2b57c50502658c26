"""What the core asks of the world. Types only: implementations do not inherit from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from agentauth_cli.model import (
        Action,
        Charge,
        Lease,
        Mark,
        PolicyContext,
        PolicyDecision,
        Preview,
        Principal,
        ProviderCredential,
        Resource,
        Revocation,
        ToolRequest,
        Usage,
    )
    from agentauth_cli.policy.switches import Switch
    from agentauth_cli.secret import Secret

Clock = Callable[[], datetime]
"""The time, aware, in UTC."""

Record = Mapping[str, Any]
"""The fields of an audit record that the caller knows; the ledger adds seq, at, node and pid."""


class IdentityVerifier(Protocol):
    """Something presented → who that is."""

    def authenticate(self, presented: str) -> Principal:
        """Return the principal. Raises AuthenticationError, with a reason, for anything less.

        `presented` is what stands in the Authorization header of a request, or the bare value.
        """
        ...


class PolicyDecisionPoint(Protocol):
    """Whether this principal may do this to that."""

    def evaluate(
        self,
        principal: Principal,
        action: Action,
        resource: Resource,
        context: PolicyContext | None = None,
    ) -> PolicyDecision:
        """Return the answer; what is not well formed, or cannot be decided, is denied."""
        ...


class SessionPort(Protocol):
    """What vouches for a principal → tokens that providers trust."""

    def token_for(self, principal: Principal, audience: str) -> Secret:
        """Return a token of the principal's for this audience. Raises SourceCredentialError."""
        ...


class Revoker(Protocol):
    """Ends credentials early at one provider, for one environment."""

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        """End the credential of a lease, as far as the provider can do that.

        `credential` is given where the caller still has it. Raises ProviderError, and
        SourceCredentialError where there is nothing to ask with.
        """
        ...


class CredentialBroker(Revoker, Protocol):
    """Mints at one provider, for one environment. What it revokes is the one credential alone."""

    min_duration: int
    max_duration: int

    def vend_credential(
        self, principal: Principal, tool_request: ToolRequest
    ) -> ProviderCredential:
        """Mint a credential that can do what the request says and no more.

        Called by hand this is the minting alone: no switch, policy, budget or audit.
        Raises ProviderError, or SourceCredentialError where there is nothing to mint with.
        """
        ...

    def preview(self, principal: Principal, tool_request: ToolRequest) -> Preview:
        """Return what `vend_credential` would ask of the provider, without asking.

        Raises what it would raise before any call.
        """
        ...


class Ledger(Protocol):
    """Counters, leases, switches and the audit chain, in one transaction a step.

    Every method raises StateError where it cannot read or write; then nothing has changed.
    """

    def switches(self) -> Sequence[Switch]:
        """Return the switches that it remembers."""
        ...

    def reserve(
        self,
        lease: Lease,
        charges: Callable[[datetime], Sequence[Charge]],
        record: Record,
        usage: Usage = ...,
    ) -> None:
        """Apply all charges or none; write the pending lease and the record.

        `charges` is asked with the time of the step, so that each belongs to the window of its
        reservation; `usage` is what is reserved of tokens and cost, limited or not. Raises
        LimitError for the first that would go over.
        """
        ...

    def issue(
        self,
        lease: Lease,
        record: Record,
        recheck: Callable[[Sequence[Switch]], None],
    ) -> None:
        """Call `recheck` with the switches as they stand; then lease active, record written.

        `lease.ends_at` and `lease.credential_id` are the credential's. What `recheck` raises
        leaves the lease as it was.
        """
        ...

    def peek(self, charges: Sequence[Charge], now: datetime) -> None:
        """Raise the LimitError that these charges would meet now; change nothing."""
        ...

    def release(self, lease_id: str, record: Record) -> None:
        """Give back what a pending lease holds (not rates), and write the record."""
        ...

    def undelivered(self, lease_id: str, record: Record) -> None:
        """Note that an active lease's credential never reached its caller."""
        ...

    def settle(self, lease_id: str, record: Record) -> bool:
        """End an issued lease early: what it reserved is spent. False where it is over already."""
        ...

    def revoked(self, lease_id: str, record: Record) -> None:
        """Note that an issued lease's credential is no more: it is settled, and ends now."""
        ...

    def record_usage(
        self,
        lease_id: str,
        usage: Usage,
        record: Record,
        *,
        lower: bool = False,
        mark: Mark = "declared",
    ) -> None:
        """Count what an issued lease really used, also past its limits and after its end.

        It raises what the lease is charged; `lower` may lower it. Twice counts once. `mark` says
        how well it is known.
        """
        ...

    def lease(self, lease_id: str) -> Lease | None:
        """Return a lease as it stands now, also one that is over; None where there is none."""
        ...

    def lease_state(self, lease_id: str) -> str:
        """Return how far a lease came, empty where there is none."""
        ...

    def append(self, record: Record) -> None:
        """Write one record."""
        ...

    def append_thinned(self, key: str, record: Record) -> None:
        """Write the record, at most one a minute for a key; the next says how many were not."""
        ...
