"""The price table compiled from genai-prices, held against what that package says itself."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from genai_prices import types as theirs
from genai_prices.data import providers

from agentauth_cli.config import genai
from agentauth_cli.errors import ConfigError
from agentauth_cli.policy.prices import Price, PriceTable, cost, load
from agentauth_cli.policy.usage import Tokens

TODAY = date(2026, 11, 25)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
OURS = {**genai.PROVIDERS, "huggingface_together": "huggingface"}


@pytest.fixture(scope="module")
def table() -> PriceTable:
    """Return the table of the installed package."""
    return load(json.loads(genai.compiled(TODAY)))


def names_of(provider: theirs.Provider) -> set[str]:
    """Return names that a provider's rules are about, and some that are near."""
    found = set()
    for model in provider.models:
        near = ("", "-2026-01-02", "-20260102", "-preview", "-v1:0")
        texts = [model.id, *(str(text) for text in _texts(model.match))]
        found |= {text + tail for text in texts for tail in near}
    return found


def _texts(clause: Any) -> list[str]:
    inside = getattr(clause, "or_", None) or getattr(clause, "and_", None)
    if inside:
        return [text for one in inside for text in _texts(one)]
    return [] if isinstance(clause, theirs.ClauseRegex) else list(vars(clause).values())


@pytest.mark.parametrize("provider", [one for one in providers if one.id in OURS])
def test_a_model_that_is_found_costs_what_their_model_costs(
    provider: theirs.Provider, table: PriceTable
) -> None:
    """Never less than the package itself says, and most often exactly that."""
    usage = {"input_tokens": 3000, "cache_read_tokens": 1000, "output_tokens": 500}
    tokens = Tokens(input=2000, cached_input=1000, output=500)
    found = same = 0
    for name in names_of(provider):
        price = table.find(OURS[provider.id], name)
        model = provider.find_model(name, all_providers=providers)
        if price is None:
            continue
        assert model is not None, name
        asked = model.calc_price(
            theirs.Usage(**usage),
            provider,
            genai_request_timestamp=NOON,
            auto_update_timestamp=None,
        )
        exact = asked.total_price * 1_000_000
        assert cost(tokens, price) >= exact, name
        found += 1
        same += cost(tokens, price) - exact < 1
    assert found > 20
    assert same > found * 0.7


# What their rules become


@dataclass
class Model:
    """A model as the package has it, as far as it matters."""

    id: str
    prices: Any
    match: Any = field(default_factory=lambda: theirs.ClauseEquals("other"))

    def is_match(self, name: str) -> bool:
        """Say whether a name is this model's."""
        return bool(self.match.is_match(name))


@dataclass
class Provider:
    """A provider of it."""

    id: str
    models: list[Model]
    fallback_model_providers: list[str] | None = None


def compiled(monkeypatch: pytest.MonkeyPatch, *found: Provider) -> PriceTable:
    """Return the table of these providers."""
    data = ModuleType("genai_prices.data")
    vars(data)["providers"] = found
    monkeypatch.setitem(sys.modules, "genai_prices.data", data)
    return load(json.loads(genai.compiled(TODAY)))


def per_million(dollars: str, **others: Any) -> theirs.ModelPrice:
    """Return their price for what goes in, and others."""
    return theirs.ModelPrice(input_mtok=Decimal(dollars), **others)


def rates(price: Price | None, total: int = 0) -> tuple[int, int]:
    """Return what goes in and comes out at."""
    assert price is not None
    return price.rate("input", total), price.rate("output", total)


@pytest.mark.parametrize(
    ("clause", "names", "left_out"),
    [
        (theirs.ClauseEquals("M-1"), {"m-1"}, 0),
        (theirs.ClauseStartsWith("M-"), {"m-*", "m-1"}, 0),
        (theirs.ClauseEndsWith("-1"), {"*-1", "m-1"}, 0),
        (theirs.ClauseContains("-"), {"*-*", "m-1"}, 0),
        (theirs.ClauseOr([theirs.ClauseEquals("a"), theirs.ClauseStartsWith("b")]), {"a", "b*"}, 0),
        (theirs.ClauseAnd([theirs.ClauseStartsWith("m")]), {"m-1"}, 1),
        (theirs.ClauseRegex(r"^m-\d{4}\.\d-x$"), {"m-####.#-x"}, 0),
        (theirs.ClauseRegex(r"^m-\d"), {"m-#*", "m-1"}, 0),
        (theirs.ClauseRegex(r"m-1"), {"m-1"}, 1),
        (theirs.ClauseRegex(r"^m.1$"), {"m-1"}, 1),
        (theirs.ClauseRegex(r"^m[-@]1$"), {"m-1"}, 1),
        (theirs.ClauseRegex(r"^m-1|x$"), {"m-1"}, 1),
        (theirs.ClauseRegex(r"^(?!x)"), {"m-1"}, 1),
    ],
)
def test_rules_on_names_become_names_and_patterns(
    clause: Any, names: set[str], left_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be compiled exactly is left out rather than guessed, and counted."""
    models = [Model("m-1", per_million("1"), clause)]
    known = Model("known", per_million("1"), theirs.ClauseEquals("known"))
    table = compiled(monkeypatch, Provider("openai", [*models, known]))
    assert set(table.prices) == {f"openai/{name}" for name in names | {"known"}}
    assert table.left_out == left_out


def test_prices_become_integers_of_the_dearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Micro-dollars per million tokens, rounded up; of what nobody counts apart the dearest."""
    tiered = theirs.TieredPrices(base=Decimal(1), tiers=[theirs.Tier(start=100, price=Decimal(2))])
    price = theirs.ModelPrice(
        input_mtok=tiered,
        output_mtok=Decimal("0.0000001"),
        output_image_mtok=Decimal(5),
        cache_read_mtok=Decimal("0.01875"),
        cache_write_mtok=Decimal(1),
        cache_write_1h_mtok=Decimal(2),
        input_audio_mtok=Decimal(40),
    )
    table = compiled(monkeypatch, Provider("google", [Model("other", price)]))
    base = {
        "input": 1_000_000,
        "cached_input": 18_750,
        "cache_write": 2_000_000,
        "audio_input": 40_000_000,
        "output": 5_000_000,
        "audio_output": 5_000_000,
    }
    found = table.find("gcp", "other")
    assert found is not None
    assert found.tiers == ((-1, base), (100, {**base, "input": 2_000_000}))
    tiny = theirs.ModelPrice(input_mtok=Decimal("0.0000001"))
    table = compiled(monkeypatch, Provider("aws", [Model("other", tiny)]))
    assert rates(table.find("aws", "other")) == (1, 1)


def test_of_prices_by_time_the_dearest_that_can_still_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Time-dependent prices: the dearest, of those that are not over."""

    def since(day: date | None, dollars: str) -> theirs.ConditionalPrice:
        begins = theirs.StartDateConstraint(start_date=day) if day else None
        return theirs.ConditionalPrice(constraint=begins, prices=per_million(dollars))

    hours = theirs.TimeOfDateConstraint(start_time=time(0), end_time=time(6))
    night = theirs.ConditionalPrice(constraint=hours, prices=per_million("1"))
    later = TODAY + timedelta(days=1)
    models = {
        "dropped": [since(None, "9"), since(TODAY, "3")],
        "rises": [since(None, "3"), since(later, "4")],
        "falls": [since(None, "3"), since(later, "2")],
        "nights": [since(None, "3"), night],
        "never": [since(later, "5"), since(later, "4")],
    }
    table = compiled(
        monkeypatch,
        Provider("openai", [Model(n, p, theirs.ClauseEquals(n)) for n, p in models.items()]),
    )
    found = {name: rates(table.find("openai", name))[0] // 10**6 for name in models}
    assert found == {"dropped": 3, "rises": 4, "falls": 3, "nights": 3, "never": 5}


def test_who_offers_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider offers those of another too; which of Hugging Face's answers is not known."""
    same = theirs.ClauseEquals("m")
    table = compiled(
        monkeypatch,
        Provider("anthropic", [Model("claude", per_million("1"), theirs.ClauseEquals("claude"))]),
        Provider("google", [], ["anthropic"]),
        Provider("huggingface_a", [Model("m", per_million("1"), same)]),
        Provider("huggingface_b", [Model("m", per_million("2"), same)]),
        Provider("mistral", [Model("m", per_million("1"), same)]),
        Provider("openai", [Model("m", theirs.ModelPrice(audio_hours=Decimal(1)), same)]),
    )
    assert set(table.prices) == {"anthropic/claude", "gcp/claude", "huggingface/m"}
    assert rates(table.find("huggingface", "m"))[0] == 2_000_000
    assert table.left_out == 1


def test_the_package_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed: a clear error with the command."""
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    with pytest.raises(ConfigError, match="not installed") as raised:
        genai.compiled(TODAY)
    assert raised.value.hint == "pip install 'agentauth[prices]'"
    assert raised.value.exit_code == 3
