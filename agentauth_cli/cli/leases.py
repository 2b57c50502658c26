"""A lease as the commands find and show it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from agentauth_cli.cli import screen
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.ending import revoke
from agentauth_cli.errors import (
    ConfigError,
    ProviderError,
    SourceCredentialError,
    UnknownNameError,
)
from agentauth_cli.model import ProviderType
from agentauth_cli.tables.shape import did_you_mean

if TYPE_CHECKING:
    from agentauth_cli.model import Lease
    from agentauth_cli.wiring import Wiring


def named(wiring: Wiring, lease_id: str) -> Lease:
    """Return a lease, also one that is over. Raises UnknownNameError with the nearest."""
    text = lease_id.isprintable()  # what is none, no ledger can hold
    found = wiring.ledger.lease(lease_id) if text else None
    if found is None:
        known = [one.id for one in wiring.ledger.leases(wiring.clock())] if text else []
        near = did_you_mean(lease_id, known)
        raise UnknownNameError(
            f"there is no lease {lease_id!r}{near}", hint="See `agentauth lease list`"
        )
    return found


def say_living(wiring: Wiring, principal: str) -> None:
    """Say which credentials a principal has: no switch and no logout takes them back."""
    now = wiring.clock()
    for one in wiring.ledger.leases(now):
        if one.principal == principal and one.lives(now):
            screen.say(f"lives on: {one.id} for {one.tool}, until {rfc3339(one.ends_at)}")


def end_alone(wiring: Wiring, lease: Lease) -> None:
    """End a lease's credential where it dies alone; say it where that fails. Raises StateError."""
    if not lease.lives(wiring.clock()):
        return
    broker = partial(wiring.broker_of, ProviderType(lease.provider), lease.environment)
    try:
        revoke(wiring.ledger, broker, lease)
    except (ConfigError, ProviderError, SourceCredentialError) as error:
        screen.say(f"{lease.id} was not revoked: {error.message}")


def shape(one: Lease) -> dict[str, object]:
    """Return a lease as JSON shows it."""
    return {
        "lease": one.id,
        "state": one.state,
        "principal": one.principal,
        "actor": one.actor,
        "tool": one.tool,
        "provider": one.provider,
        "environment": one.environment,
        "resource": one.resource,
        "credential_id": one.credential_id,
        "reserved_at": rfc3339(one.reserved_at),
        "ends_at": rfc3339(one.ends_at),
    }
