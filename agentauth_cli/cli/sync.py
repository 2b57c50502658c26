"""`budget sync`: what OpenAI billed for each key becomes what its lease is charged.

A key belongs to one lease. What was used counts at once. Less than was reserved counts only once
the key is over and OpenAI had a day to count: its figures come late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from agentauth_cli.cli import screen
from agentauth_cli.cli.identity import by
from agentauth_cli.cli.options import Environment, Json
from agentauth_cli.errors import ConfigError
from agentauth_cli.model import ProviderType, Usage
from agentauth_cli.tables.values import dollars
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from agentauth_cli.model import Charged, Lease

LOOKS_BACK = timedelta(days=31)
SETTLES = timedelta(days=1)
_ADMIN_KEY = "admin_key"
_MARK: Final = "billed"


def declare(group: typer.Typer) -> None:
    """Add the command."""

    @group.command("sync")
    def sync_(*, env: Environment = None, as_json: Json = False) -> None:
        """Charge leases what OpenAI billed for their keys.

        It looks at those of the last 31 days.
        """
        work(Wiring(say=screen.say), env, as_json=as_json)


@dataclass(frozen=True)
class Synced:
    """A lease whose charge changed: what it was before, and what it is now."""

    lease: Lease
    before: Charged
    after: Charged

    def shape(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "lease": self.lease.id,
            "tool": self.lease.tool,
            "environment": self.lease.environment,
            "tokens": {"before": self.before.tokens, "after": self.after.tokens},
            "cost": {"before": dollars(self.before.cost), "after": dollars(self.after.cost)},
        }


def work(wiring: Wiring, environment: str | None, *, as_json: bool) -> None:
    """Ask for each environment that has an admin key, and show which charges changed.

    Raises ConfigError where there is none; SourceCredentialError, ProviderError, StateError.
    """
    asked = _environments(wiring, environment)
    found = [one for name in asked for one in synced(wiring, name)]
    if as_json:
        screen.out_json({"environments": asked, "leases": [one.shape() for one in found]})
        return
    for one in found:
        tokens = f"{one.before.tokens} → {one.after.tokens} tokens"
        cost = f"{dollars(one.before.cost)} → {dollars(one.after.cost)} USD"
        screen.out(f"{one.lease.id} {one.lease.tool} {one.lease.environment}: {tokens}, {cost}")
    screen.say(f"{len(found)} leases are charged otherwise than before")


def _environments(wiring: Wiring, environment: str | None) -> list[str]:
    """Return those to ask for. Raises UnknownNameError; ConfigError where none has an admin key."""
    known = wiring.settings.environments
    names = list(known) if environment is None else [wiring.environment(environment)]
    found = [
        name
        for name in names
        if known[name].get(ProviderType.OPENAI, {}).get("source") == _ADMIN_KEY
    ]
    if not found:
        raise ConfigError(
            f"no admin key of OpenAI in {', '.join(names)}",
            hint='It takes `source = "admin_key"`: nothing else reads what was billed',
        )
    return found


def synced(wiring: Wiring, environment: str) -> Iterator[Synced]:
    """Charge the leases of an environment what was billed, and yield those that it changed."""
    ledger, now = wiring.ledger, wiring.clock()
    since = now - LOOKS_BACK
    leases = ledger.issued(ProviderType.OPENAI, environment, since)
    billed = wiring.made.openai_usage(environment, since) if leases else {}
    for lease in leases:
        before = ledger.charged(lease.id)
        over = lease.ends_at + SETTLES <= now
        told = billed.get(lease.credential_id, Usage(0, 0))
        usage = None if before is None else _changes(told, before, over=over)
        if before is None or usage is None:
            continue
        ledger.record_usage(lease.id, usage, {"by": by(wiring)}, lower=over, mark=_MARK)
        after = ledger.charged(lease.id)
        if after is not None:
            yield Synced(lease, before, after)


def _changes(told: Usage, before: Charged, *, over: bool) -> Usage | None:
    """Return what is to be recorded of what was told, None where that changes nothing."""
    if over:
        known = told.tokens, before.tokens_mark, told.cost, before.cost_mark
        return None if known == (before.tokens, _MARK, before.cost, _MARK) else told
    more = Usage(_over(told.tokens, before.tokens), _over(told.cost, before.cost))
    return None if more == Usage() else more


def _over(amount: int | None, than: int) -> int | None:
    return amount if amount is not None and amount > than else None
