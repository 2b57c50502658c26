"""How a lease ends before its credential does: settled, revoked, or never delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.errors import AgentAuthError
from agentauth_cli.ledger.rows import lease_fields
from agentauth_cli.model import NOT_ALONE, Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentauth_cli.model import Lease, ProviderCredential, Revocation
    from agentauth_cli.ports import Ledger, Record, Revoker


def revoke(
    ledger: Ledger,
    revoker: Callable[[], Revoker],
    lease: Lease,
    credential: ProviderCredential | None = None,
    said: Record | None = None,
) -> Revocation:
    """End the credential of a lease, as far as its provider can; write down what came of it.

    `said` is who asked for it, and why. Without, it is only the lease that ends: that a credential
    cannot be revoked alone is then not worth a record. Raises ProviderError, SourceCredentialError,
    ConfigError; StateError.
    """
    record = {"event": "lease.revoked", **lease_fields(lease), **(said or {})}
    try:
        found = revoker().revoke(lease, credential)
    except AgentAuthError as error:
        ledger.append({**record, "outcome": f"failed: {error.message}"})
        raise
    record["outcome"] = found.outcome
    if found.reach:
        record["reach"] = found.reach
    if not found.lives_on:
        ledger.revoked(lease.id, record)
    elif said is not None or found.outcome != NOT_ALONE:
        ledger.append(record)
    return found


def settle(ledger: Ledger, lease_id: str) -> bool:
    """End an issued lease before its credential does: what it reserved is spent.

    False where it is over already, or never was. Raises StateError.
    """
    lease = ledger.lease(lease_id)
    if lease is None:
        return False
    return ledger.settle(lease_id, {"event": "lease.settled", **lease_fields(lease)})


def undelivered(ledger: Ledger, lease_id: str, why: str) -> None:
    """Note that an issued credential never reached its caller after all. Raises StateError."""
    lease = ledger.lease(lease_id)
    if lease is not None:
        reason = f"undelivered: {why}"
        record = {"event": "vend.failed", **lease_fields(lease), "decision": Decision.DENY}
        ledger.undelivered(lease_id, {**record, "reason": reason})
