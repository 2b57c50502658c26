"""`lease revoke`: what can be ended is ended, and what cannot is said.

The credential of an AWS session, or of a Google access token, is not known to its provider one by
one: it lives until its end. `disable` stops new ones at once. AWS can end all of a role's sessions
together, which takes `--with-others`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.identity import by
from agentauth_cli.cli.leases import named
from agentauth_cli.cli.options import Json, Reason, WithOthers
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.ending import revoke
from agentauth_cli.errors import (
    ConfigError,
    ProviderError,
    SourceCredentialError,
    UnknownNameError,
)
from agentauth_cli.ledger.rows import lease_fields
from agentauth_cli.model import ProviderType, Revocation
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.model import Lease
    from agentauth_cli.ports import Revoker

LIVES_ON = 1
_RELEASED = {
    "pending": "released; a mint that is under way is not delivered",
    "orphaned": "released: nothing was vended for it",
}


_FAILURES = (ConfigError, ProviderError, SourceCredentialError, UnknownNameError)


def declare(group: typer.Typer) -> None:
    """Add the command."""

    @group.command()
    def revoke(
        leases: Annotated[list[str], typer.Argument(metavar="LEASE...", help="Leases.")],
        *,
        with_others: WithOthers = False,
        reason: Reason = None,
        as_json: Json = False,
    ) -> None:
        """Revoke leases: a line for each says what came of it."""
        wiring = Wiring(say=screen.say)
        code = work(wiring, leases, reason, with_others=with_others, as_json=as_json)
        raise typer.Exit(code)


@dataclass(frozen=True)
class Outcome:
    """What came of a revocation. `lives_on`: the credential can still be used.

    `reach` says what else ends with it; `endless`: it can be used after its lease, too.
    """

    lease: Lease
    said: str
    lives_on: bool = False
    reach: str = ""
    endless: bool = False

    def __str__(self) -> str:
        ends = f", ends at {rfc3339(self.lease.ends_at)}" if self.lives_on else ""
        if self.endless:
            ends = f", lives on until it is revoked at {self.lease.provider}"
        reach = f"; {self.reach}" if self.reach else ""
        return f"{self.lease.id}: {self.said}{ends}{reach}"

    def shape(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "lease": self.lease.id,
            "outcome": self.said,
            "lives_on": self.lives_on,
            "ends_at": None if self.endless else rfc3339(self.lease.ends_at),
            "reach": self.reach or None,
        }


def work(
    wiring: Wiring,
    names: Sequence[str],
    reason: str | None,
    *,
    with_others: bool = False,
    as_json: bool,
) -> int:
    """Revoke each, and show what came of it; return the exit code: 1 where one lives on.

    Raises UnknownNameError before anything was revoked.
    """
    leases = [named(wiring, name) for name in dict.fromkeys(names)]
    revoking = Revoking(wiring, reason, with_others=with_others)
    found = [revoking.one(lease) for lease in leases]
    if as_json:
        screen.out_json({"leases": [one.shape() for one in found]})
    else:
        for one in found:
            screen.out(str(one))
    return code(found)


def code(found: Sequence[Outcome]) -> int:
    """Return the exit code: a script must not take what lives on for what is gone."""
    return LIVES_ON if any(one.lives_on for one in found) else 0


class Revoking:
    """Revokes leases, one after the other, and writes down what came of each.

    `with_others`: also what ends only together with credentials of others.
    """

    def __init__(self, wiring: Wiring, reason: str | None, *, with_others: bool) -> None:
        self._wiring = wiring
        self._said = {"user_reason": reason, "by": by(wiring)}
        self._find = wiring.revoker_of if with_others else wiring.broker_of
        self._found: dict[tuple[str, str], Revoker] = {}

    def one(self, lease: Lease) -> Outcome:
        """Revoke one lease."""
        wiring = self._wiring
        if lease.state in _RELEASED:
            record = {"event": "lease.revoked", **lease_fields(lease), **self._said}
            wiring.ledger.release(lease.id, {**record, "outcome": "released"})
            now = named(wiring, lease.id)
            if now.state == "released":
                return Outcome(now, _RELEASED[lease.state])
            lease = now  # it was issued meanwhile
        if not lease.lives(wiring.clock()):
            return Outcome(lease, f"over already: {lease.state}")
        try:
            found = revoke(wiring.ledger, partial(self._revoker, lease), lease, said=self._said)
        except _FAILURES as error:
            return Outcome(lease, f"failed: {error.message}", lives_on=True)
        return _outcome(lease, found)

    def _revoker(self, lease: Lease) -> Revoker:
        """Return the one for this provider and environment, which may remember what it has done."""
        key = (lease.provider, lease.environment)
        if key not in self._found:
            self._found[key] = self._find(ProviderType(lease.provider), lease.environment)
        return self._found[key]


def _outcome(lease: Lease, found: Revocation) -> Outcome:
    return Outcome(lease, found.outcome, found.lives_on, found.reach, found.endless)
