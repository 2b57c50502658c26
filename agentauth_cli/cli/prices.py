"""`budget prices`: what tokens cost, and where that is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.options import Json
from agentauth_cli.config import pricing
from agentauth_cli.errors import UnknownNameError
from agentauth_cli.policy.prices import KINDS
from agentauth_cli.tables.shape import did_you_mean
from agentauth_cli.tables.values import dollars
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from agentauth_cli.policy.prices import Price, PriceTable


def declare(group: typer.Typer) -> None:
    """Add the command."""

    @group.command()
    def prices(
        model: Annotated[
            str | None,
            typer.Argument(metavar="[MODEL]", help="A model, or PROVIDER/MODEL; else all."),
        ] = None,
        *,
        update: Annotated[
            bool,
            typer.Option("--update", help="Make the table anew from the installed genai-prices."),
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Show what models cost: USD per million tokens."""
        wiring = Wiring(say=screen.say)
        if update:
            pricing.update(wiring.places.state, wiring.clock().date())
        work(wiring, model, as_json=as_json)


@dataclass(frozen=True)
class Line:
    """A price of the table: the name or pattern that it stands under, and whose it is."""

    name: str
    price: Price
    own: bool


def work(wiring: Wiring, model: str | None, *, as_json: bool) -> None:
    """Show the table in force, or what it says of one model."""
    table, own = wiring.prices, wiring.configuration.own_prices()
    names = sorted(table.prices) if model is None else _meant(table, model)
    lines = [Line(name, table.prices[name], name in own) for name in names]
    if as_json:
        screen.out_json(
            {
                "source": table.source,
                "as_of": table.as_of,
                "left_out": table.left_out,
                "prices": [shape(one) for one in lines],
            }
        )
        return
    screen.columns(rows(lines))
    more = f" and {len(own)} of budgets.toml" if own else ""
    screen.say(f"from {table.source}, as of {table.as_of}{more}; {table.left_out} models left out")


def _meant(table: PriceTable, model: str) -> list[str]:
    """Return under which names a model has a price. Raises UnknownNameError with the nearest."""
    providers = sorted({name.partition("/")[0] for name in table.prices})
    found = dict.fromkeys(table.line(provider, model) for provider in providers)
    names = [name for name in found if name is not None]
    if not names:
        bare = {name.partition("/")[2] for name in table.prices}
        near = did_you_mean(model.lower(), sorted(bare | table.prices.keys()))
        raise UnknownNameError(
            f"there is no price for {model!r}{near}", hint="`agentauth budget prices` shows all"
        )
    return names


def rows(lines: list[Line]) -> list[list[str]]:
    """Return the table of prices, its head first; a row for each tier."""
    table = [["MODEL", *(kind.upper().replace("_", " ") for kind in KINDS), "ABOVE", "FROM"]]
    for one in lines:
        for above, rates in one.price.tiers:
            begins = f"{above} tokens" if above >= 0 else "-"
            whose = "budgets.toml" if one.own else "table"
            table.append([one.name, *(dollars(rates[kind]) for kind in KINDS), begins, whose])
    return table


def shape(one: Line) -> dict[str, Any]:
    """Return a price as JSON shows it: USD per million tokens, tier by tier."""
    tiers = [
        {"above": max(above, 0), **{kind: dollars(rates[kind]) for kind in KINDS}}
        for above, rates in one.price.tiers
    ]
    return {"model": one.name, "own": one.own, "tiers": tiers}
