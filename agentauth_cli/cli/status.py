"""`status`: who am I, what is off, what is left, what lives: one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.cli import budget, lease, leases, screen
from agentauth_cli.cli.identity import via
from agentauth_cli.cli.options import Identity, Json
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.errors import AgentAuthError
from agentauth_cli.model import Principal
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import typer

    from agentauth_cli.policy.switches import Switch


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def status(*, identity: Identity = None, as_json: Json = False) -> None:
        """Show principal, switches, budgets, leases and ledger at once."""
        wiring = Wiring(say=screen.say, chosen=identity)
        if as_json:
            screen.out_json(shape(wiring))
        else:
            work(wiring)


def work(wiring: Wiring) -> None:
    """Show each part; one that cannot be had says why, and the others are shown all the same."""
    for title, part in (
        ("principal", _principal),
        ("switches", _switches),
        ("budgets", _budgets),
        ("leases", _leases),
        ("ledger", _ledger),
    ):
        screen.out(f"{title}:")
        try:
            part(wiring)
        except AgentAuthError as error:
            why = f"{error.what}: {error.message}. {error.hint}"
            screen.out(f"  {why}", in_red=True)


def _principal(wiring: Wiring) -> None:
    who = wiring.authenticate()
    until = f", until {rfc3339(who.expires_at)}" if who.expires_at else ""
    screen.out(f"  {via(who.id, who.actor)} ({who.kind}) from {wiring.identity.found}{until}")


def in_force(wiring: Wiring) -> Iterator[Switch]:
    """Yield the switches that are on, of the file and of the ledger, each once."""
    seen: dict[tuple[str, str], Switch] = {}
    for one in (*wiring.configuration.switches(), *wiring.ledger.switches()):
        if one.on(wiring.clock()):
            seen.setdefault((one.target, one.name), one)
    yield from seen.values()


def _switches(wiring: Wiring) -> None:
    for one in in_force(wiring):
        since = f" since {rfc3339(one.at)}" if one.at else ""
        until = f" until {rfc3339(one.until)}" if one.until else ""
        by = f" by {one.by}" if one.by else ""
        reason = f": {one.reason}" if one.reason else ""
        screen.out(f"  {one} is off{by}{since}{until}{reason}", in_red=True)


def _budgets(wiring: Wiring) -> None:
    found = budget.current(wiring)
    if found:
        screen.columns([[f"  {row[0]}", *row[1:]] for row in budget.rows(found)])


def _leases(wiring: Wiring) -> None:
    found = wiring.ledger.leases(wiring.clock())
    if found:
        screen.columns([[f"  {row[0]}", *row[1:]] for row in lease.rows(found)])


def _ledger(wiring: Wiring) -> None:
    seq, _ = wiring.ledger.head()
    screen.out(f"  {wiring.ledger.path}, {seq} records")
    if wiring.store == "ephemeral":
        screen.out("  nothing is counted from one run to the next: a month has no budget here")


def shape(wiring: Wiring) -> dict[str, Any]:
    """Return the same as JSON; a part that cannot be had is ``{"error": …}``."""
    now = wiring.clock()
    who = _or_error(wiring.authenticate)
    return {
        "principal": who.id if isinstance(who, Principal) else who,
        "actor": who.actor if isinstance(who, Principal) else None,
        "switches": _or_error(
            lambda: [
                {"target": one.target, "name": one.name, "reason": one.reason, "by": one.by}
                for one in in_force(wiring)
            ]
        ),
        "budgets": _or_error(lambda: [budget.shape(one) for one in budget.current(wiring)]),
        "leases": _or_error(lambda: [leases.shape(one) for one in wiring.ledger.leases(now)]),
        "ledger": _or_error(
            lambda: {"path": str(wiring.ledger.path), "records": wiring.ledger.head()[0]}
        ),
    }


def _or_error(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except AgentAuthError as error:
        return {"error": error.message, "hint": error.hint, "class": type(error).__name__}
