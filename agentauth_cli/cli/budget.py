"""`budget show`: what is used of which limit, in the windows of now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from agentauth_cli.cli import prices, record, screen, sync
from agentauth_cli.cli.options import Json
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.ledger.rows import stamp
from agentauth_cli.policy.windows import window
from agentauth_cli.tables.values import dollars
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.ledger.recount import Counters
    from agentauth_cli.ledger.sqlite import SQLiteLedger
    from agentauth_cli.model import Metric, Window


def declare(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        help="What is used of which budget, and what models cost.", no_args_is_help=True
    )
    app.add_typer(group, name="budget")
    record.declare(group)
    prices.declare(group)
    sync.declare(group)

    @group.command()
    def show(*, as_json: Json = False) -> None:
        """Show each budget's counters in the windows of now."""
        work(Wiring(say=screen.say), as_json=as_json)


@dataclass(frozen=True)
class Sum:
    """One counter of one budget, now. `of` are the values that it is counted by.

    `marks` say how well the sum is known: of several leases it may be several of these.
    """

    budget: str
    metric: Metric
    window: Window
    of: tuple[str, ...]
    spent: int
    reserved: int
    limit: int
    marks: tuple[str, ...] = ()

    def amount(self, count: int) -> str:
        """Return an amount of this metric as it is shown."""
        return dollars(count) if self.metric == "cost" else str(count)


def current(wiring: Wiring) -> list[Sum]:
    """Return what is used of each budget in the windows of now."""
    ledger, now = wiring.ledger, wiring.clock()
    limits = [
        (budget.id, metric, limit, window(unit, now, budget.zone))
        for budget in wiring.budgets()
        for (unit, metric), limit in budget.limits.items()
    ]
    counters = ledger.counters({span.start for *_, span in limits})
    return [one for limit in limits for one in _sums(ledger, counters, *limit)]


def _sums(
    ledger: SQLiteLedger, counters: Counters, budget: str, metric: Metric, limit: int, span: Window
) -> Iterator[Sum]:
    """Yield the counters of a limit that are in use now, a 0 where nothing was taken from it."""
    found = list(_of(budget, span.unit, metric, counters, stamp(span.start)))
    for counter, of, (spent, reserved) in found or [("", (), (0, 0))]:
        marks = ledger.marks(counter, span, metric)
        yield Sum(budget, metric, span, of, spent, reserved, limit, tuple(sorted(marks)))


def _of(
    budget: str, unit: str, metric: str, counters: Counters, start: str
) -> Iterator[tuple[str, tuple[str, ...], tuple[int, int]]]:
    for (counter, since), used in sorted(counters.items()):
        parts = tuple(json.loads(counter))
        if since == start and parts[:4] == ("budget", budget, unit, metric):
            yield counter, parts[4:], used


def work(wiring: Wiring, *, as_json: bool) -> None:
    """Show every budget."""
    found = current(wiring)
    if as_json:
        screen.out_json({"budgets": [shape(one) for one in found]})
    elif not found:
        screen.say("there are no budgets: write budgets.toml")
    else:
        screen.columns(rows(found))


def rows(found: list[Sum]) -> list[list[str]]:
    """Return the table of budgets, its head first."""
    table = [["BUDGET", "OF", "WINDOW", "USED", "LIMIT", "LEFT", "ENDS", "MARK"]]
    for one in found:
        used = one.spent + one.reserved
        ends = f"{one.window.end.astimezone():%Y-%m-%d %H:%M}"
        left = one.amount(max(0, one.limit - used))
        amounts = [one.amount(used), f"{one.amount(one.limit)} {one.metric}", left]
        mark = "+".join(one.marks) or "-"
        table.append([one.budget, " ".join(one.of) or "-", one.window.unit, *amounts, ends, mark])
    return table


def shape(one: Sum) -> dict[str, object]:
    """Return a counter as JSON shows it."""
    return {
        "budget": one.budget,
        "of": list(one.of),
        "window": one.window.unit,
        "metric": one.metric,
        "spent": one.amount(one.spent) if one.metric == "cost" else one.spent,
        "reserved": one.amount(one.reserved) if one.metric == "cost" else one.reserved,
        "limit": one.amount(one.limit) if one.metric == "cost" else one.limit,
        "marks": list(one.marks),
        "starts_at": rfc3339(one.window.start),
        "ends_at": rfc3339(one.window.end),
    }
