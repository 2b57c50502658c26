"""`lease revoke`: what can be ended is ended, and what cannot is said.

The credential of an AWS session, or of a Google access token, is not known to its provider one by
one: it lives until its end. `disable` stops new ones at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.identity import by
from agentauth_cli.cli.leases import named
from agentauth_cli.cli.options import Json, Reason
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.errors import (
    ConfigError,
    ProviderError,
    SourceCredentialError,
    UnavailableError,
)
from agentauth_cli.ledger.rows import lease_fields
from agentauth_cli.model import ProviderType
from agentauth_cli.vending import revoke
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.model import Lease

LIVES_ON = 1
_RELEASED = {
    "pending": "released; a mint that is under way is not delivered",
    "orphaned": "released: nothing was vended for it",
}


def declare(group: typer.Typer) -> None:
    """Add the command."""

    @group.command()
    def revoke(
        leases: Annotated[list[str], typer.Argument(metavar="LEASE...", help="Leases.")],
        *,
        reason: Reason = None,
        as_json: Json = False,
    ) -> None:
        """Revoke leases: a line for each says what came of it."""
        raise typer.Exit(work(Wiring(say=screen.say), leases, reason, as_json=as_json))


@dataclass(frozen=True)
class Outcome:
    """What came of a revocation. `lives_on`: the credential can still be used."""

    lease: Lease
    said: str
    lives_on: bool = False

    def shape(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        ends = rfc3339(self.lease.ends_at)
        return {
            "lease": self.lease.id,
            "outcome": self.said,
            "lives_on": self.lives_on,
            "ends_at": ends,
        }


def work(wiring: Wiring, names: Sequence[str], reason: str | None, *, as_json: bool) -> int:
    """Revoke each, and show what came of it; return the exit code: 1 where one lives on.

    Raises UnknownNameError before anything was revoked.
    """
    leases = [named(wiring, name) for name in dict.fromkeys(names)]
    said = {"user_reason": reason, "by": by(wiring)}
    found = [revoked(wiring, lease, said) for lease in leases]
    if as_json:
        screen.out_json({"leases": [one.shape() for one in found]})
    else:
        for one in found:
            ends = f", ends at {rfc3339(one.lease.ends_at)}" if one.lives_on else ""
            screen.out(f"{one.lease.id}: {one.said}{ends}")
    return LIVES_ON if any(one.lives_on for one in found) else 0


def revoked(wiring: Wiring, lease: Lease, said: dict[str, Any]) -> Outcome:
    """Revoke one lease, and write down what came of it."""
    record = {"event": "lease.revoked", **lease_fields(lease), **said}
    if lease.state in _RELEASED:
        wiring.ledger.release(lease.id, {**record, "outcome": "released"})
        now = named(wiring, lease.id)
        if now.state == "released":
            return Outcome(now, _RELEASED[lease.state])
        lease = now  # it was issued meanwhile
    if not lease.lives(wiring.clock()):
        return Outcome(lease, f"over already: {lease.state}")
    broker = partial(wiring.broker_of, ProviderType(lease.provider), lease.environment)
    try:
        found = revoke(wiring.ledger, broker, lease, said=said)
    except (ConfigError, ProviderError, SourceCredentialError, UnavailableError) as error:
        return Outcome(lease, f"failed: {error.message}", lives_on=True)
    return Outcome(lease, found.outcome, lives_on=found.lives_on)
