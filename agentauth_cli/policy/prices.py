"""What tokens cost: a table of prices by model, and the arithmetic. Integers only.

A price is in micro-dollars per million tokens of a kind. A name is ``PROVIDER/MODEL`` in lower
case; in a pattern ``*`` stands for any text and ``#`` for one digit. One's own prices go before
those of the table, a whole name before a pattern, of two patterns the longer first. Where a price
is not known to the last detail the dearer one is taken. What is not counted in tokens (searches,
hours of sound), and what a faster tier of service costs more, is not in here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import UnpricedModelError, UsageError
from agentauth_cli.policy.usage import LONGEST_MODEL, Tokens
from agentauth_cli.tables.values import MAX_INTEGER, affordable, integer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from agentauth_cli.model import PolicyDecision
    from agentauth_cli.policy.usage import Used

VERSION = 1
MILLION = 1_000_000
KINDS = tuple(field.name for field in fields(Tokens))
ALWAYS = -1
"""Where the first tier of a price begins: it holds for any number of tokens."""

# What an absent price falls back to, in this order: a model without a price for what comes out
# (an embedding) gives none out, one without a price for cached tokens has no discount on them.
INSTEAD = {
    "output": "input",
    "cached_input": "input",
    "cache_write": "input",
    "audio_input": "input",
    "audio_output": "output",
}

Rates = dict[str, int]
"""Micro-dollars per million tokens, by kind."""


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model: by how many tokens must be put in for a tier to hold, its rates.

    The first tier is ALWAYS; every tier has a rate for each kind.
    """

    tiers: tuple[tuple[int, Rates], ...]

    def rate(self, kind: str, total_input: int) -> int:
        """Return the dearest rate of a kind that holds for so many tokens put in."""
        return max(rates[kind] for above, rates in self.tiers if total_input > above)


def priced(tiers: Iterable[tuple[int, Mapping[str, int]]]) -> Price:
    """Return a price whose tiers have a rate for each kind; the first must have `input`."""
    whole = []
    stated: Rates = {}
    for above, rates in tiers:
        stated = {**stated, **rates}
        filled = dict(stated)
        for kind, instead in INSTEAD.items():
            filled.setdefault(kind, filled[instead])
        whole.append((above, filled))
    return Price(tuple(whole))


def dearest(prices: Sequence[Price]) -> Price:
    """Return the price that asks for each kind what the dearest of these asks."""
    tiers: dict[int, Rates] = {}
    for price in prices:
        for above, rates in price.tiers:
            known = tiers.get(above, {})
            tiers[above] = {kind: max(rates[kind], known.get(kind, 0)) for kind in KINDS}
    return Price(tuple(sorted(tiers.items(), key=lambda tier: tier[0])))


def cost(tokens: Tokens, price: Price) -> int:
    """Return what tokens cost, in micro-dollars, rounded up."""
    taken = tokens.total_input
    exact: int = sum(getattr(tokens, kind) * price.rate(kind, taken) for kind in KINDS)
    return -(-exact // MILLION)


def cost_unsplit(tokens: int, price: Price) -> int:
    """Return what tokens cost at most, where it is not said which went in and which came out."""
    rate = max(price.rate(kind, tokens) for kind in ("input", "output"))
    return -(-tokens * rate // MILLION)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by name and pattern, and where they come from, for people.

    `own` are the names of those that are one's own; `as_of` is a date.
    """

    prices: Mapping[str, Price]
    source: str = ""
    as_of: str = ""
    left_out: int = 0
    own: frozenset[str] = frozenset()

    def over(self, own: Mapping[str, Price]) -> PriceTable:
        """Return the table with prices of one's own, which go before all others."""
        return replace(self, prices={**self.prices, **own}, own=frozenset(own))

    def find(self, provider: str, model: str) -> Price | None:
        """Return the price of a model, None where there is none."""
        name = self.line(provider, model)
        return None if name is None else self.prices[name]

    def line(self, provider: str, model: str) -> str | None:
        """Return the name or pattern that a model's price stands under, None where there is none.

        The model is the provider's own where the table has it so, else it names its provider.
        """
        model = model[:LONGEST_MODEL].lower()
        whole = model if model.startswith(f"{provider}/") else f"{provider}/{model}"
        meant = (whole, model) if "/" in model else (whole,)
        found = (_best(known, name) for known in (self.own, self.prices) for name in meant)
        return next((one for one in found if one is not None), None)

    def dearest_of(self, provider: str) -> Price | None:
        """Return what the dearest model of a provider costs, kind by kind; None without any."""
        found = [price for name, price in self.prices.items() if name.startswith(f"{provider}/")]
        return dearest(found) if found else None

    def cost_of(
        self,
        used: Tokens | int,
        provider: str,
        model: str | None,
        decision: PolicyDecision | None = None,
    ) -> int:
        """Return what tokens cost in micro-dollars, without a model at the dearest price.

        Tokens that are only counted cost as if all were of the dearer side. Raises
        UnpricedModelError, with the line of [prices] to add; UsageError for more than can be meant.
        """
        price = self.dearest_of(provider) if model is None else self.find(provider, model)
        if price is None:
            raise _unpriced(provider, model, decision)
        found = cost_unsplit(used, price) if isinstance(used, int) else cost(used, price)
        try:
            return affordable(found)
        except ValueError as error:
            raise UsageError(f"the cost of the tokens: {error}", hint="") from None


def usage_cost(table: PriceTable, used: Used, provider: str | None, model: str | None) -> int:
    """Return what a call cost in micro-dollars. What is not given is what the usage says itself."""
    return table.cost_of(used.tokens, provider or used.provider, model or used.model)


def _unpriced(
    provider: str, model: str | None, decision: PolicyDecision | None
) -> UnpricedModelError:
    name = f"{provider}/{'MODEL' if model is None else model.lower()}"
    missing = f"no price for {name}" if model else f"no price for any model of {provider}"
    line = f'{json.dumps(name, ensure_ascii=False)} = {{ input = "…", output = "…" }}'
    return UnpricedModelError(
        missing, hint=f"Add to [prices] of budgets.toml: {line}", decision=decision
    )


# -- names -----------------------------------------------------------------------------------


def price_name(name: str) -> str:
    """Return the name or pattern of a price as the table has it. Raises ValueError."""
    provider, slash, model = name.partition("/")
    if not (provider and slash and model) or "*" in provider:
        raise ValueError('expected "PROVIDER/MODEL" such as "openai/gpt-4o-mini"')
    if len(name) > LONGEST_MODEL:
        raise ValueError(f"longer than {LONGEST_MODEL} characters")
    return name.lower()


def _best(known: Collection[str], name: str) -> str | None:
    """Return which of these names and patterns is meant by a name, None where none is."""
    if name in known:
        return name
    matching = (one for one in known if _is_pattern(one) and matches(one, name))
    return max(matching, key=lambda one: (len(one), one), default=None)


def _is_pattern(name: str) -> bool:
    return "*" in name or "#" in name


def matches(pattern: str, name: str) -> bool:
    """Say whether a name, in lower case, is one of the pattern's."""
    provider = pattern.partition("/")[0] + "/"
    if not name.startswith(provider):
        return False
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\#", "[0-9]")
    return re.fullmatch(expression, name, re.DOTALL) is not None


# -- the file of a table ---------------------------------------------------------------------


def load(data: Mapping[str, Any]) -> PriceTable:
    """Return the table that a file holds. Raises ValueError with what is wrong with it."""
    if data.get("version") != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    models = data.get("models")
    if not isinstance(models, list) or not models:
        raise ValueError("it has no models")
    prices: dict[str, Price] = {}
    for entry in models:
        names, price = _entry(entry)
        prices.update(dict.fromkeys(names, price))
    source, as_of = (data.get(name) for name in ("source", "as_of"))
    if not isinstance(source, str) or not isinstance(as_of, str):
        raise ValueError("it does not say where it comes from")
    date.fromisoformat(as_of)
    return PriceTable(prices, source, as_of, integer(data.get("left_out")))


def _entry(entry: Any) -> tuple[list[str], Price]:
    if not isinstance(entry, dict) or entry.keys() - {"names", "tiers", *KINDS}:
        raise ValueError("an entry is no price")
    names, tiers = entry.get("names"), entry.get("tiers", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("an entry has no names")
    if not isinstance(tiers, list) or not all(isinstance(tier, dict) for tier in tiers):
        raise ValueError("tiers are no list")
    if "input" not in entry:
        raise ValueError(f"{names} has no price for input")
    steps = [(ALWAYS, entry), *((integer(tier.get("above")), tier) for tier in tiers)]
    return [price_name(name) for name in names], priced(
        (above, {kind: integer(step[kind], 0, MAX_INTEGER) for kind in KINDS if kind in step})
        for above, step in steps
    )
