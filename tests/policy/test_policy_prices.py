"""What tokens cost: the arithmetic, which price is meant, and the file of a table."""

from __future__ import annotations

import tomllib
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.errors import UnpricedModelError, UsageError
from agentauth_cli.policy.budgets import load as load_budgets
from agentauth_cli.policy.budgets import own_prices
from agentauth_cli.policy.prices import (
    ALWAYS,
    KINDS,
    Price,
    PriceTable,
    cost,
    cost_unsplit,
    dearest,
    load,
    matches,
    price_name,
    priced,
    usage_cost,
)
from agentauth_cli.policy.usage import Tokens, Used
from support.policy_worlds import property_of

RATES = st.integers(0, 10**12)
COUNTS = st.integers(0, 10**9)
TOKENS = st.builds(Tokens, *[COUNTS] * len(KINDS))
SOME_RATES = st.dictionaries(st.sampled_from(KINDS), RATES)
BASES = st.builds(lambda rates, rate: {**rates, "input": rate}, SOME_RATES, RATES)
PRICES = st.builds(
    lambda base, tiers: priced([(ALWAYS, base), *sorted(tiers.items())]),
    BASES,
    st.dictionaries(COUNTS, SOME_RATES, max_size=2),
)


def flat(rate: int, **rates: int) -> Price:
    """Return a price that is the same for every kind, but for some."""
    return priced([(ALWAYS, {"input": rate, **rates})])


# What it costs


@property_of(300)
@given(TOKENS, PRICES)
def test_a_cost_is_rounded_up_to_a_micro_dollar(tokens: Tokens, price: Price) -> None:
    """Never below the exact cost, never a micro-dollar or more above it."""
    rates = {kind: price.rate(kind, tokens.total_input) for kind in KINDS}
    exact = sum(Fraction(getattr(tokens, kind) * rates[kind], 10**6) for kind in KINDS)
    assert 0 <= cost(tokens, price) - exact < 1


@property_of(200)
@given(COUNTS, PRICES)
def test_tokens_without_a_split_are_priced_at_the_dearer_side(count: int, price: Price) -> None:
    """However many of them went in, the rest coming out, they do not cost more."""
    at_most = cost_unsplit(count, price)
    assert at_most >= cost(Tokens(input=count), price)
    for put_in in (0, count // 3, count):
        assert at_most >= cost(Tokens(input=put_in, output=count - put_in), price)
    sides = (price.rate(kind, count) for kind in ("input", "output"))
    assert at_most - Fraction(count * max(sides), 10**6) < 1


@property_of(200)
@given(TOKENS, PRICES, PRICES)
def test_the_dearest_of_prices_asks_for_each_kind_what_the_dearer_asks(
    tokens: Tokens, one: Price, other: Price
) -> None:
    """Without a model the dearest price of the provider, kind by kind."""
    both, total = dearest([one, other]), tokens.total_input
    for kind in KINDS:
        assert both.rate(kind, total) == max(one.rate(kind, total), other.rate(kind, total))
    assert cost(tokens, both) >= max(cost(tokens, one), cost(tokens, other))


def test_a_kind_without_a_price_has_the_dearer_known_one() -> None:
    """No price for cached tokens: no discount. None for what comes out: that of what goes in."""
    price = priced([(ALWAYS, {"input": 10, "output": 30})])
    assert price.tiers == (
        (
            ALWAYS,
            {
                "input": 10,
                "output": 30,
                "cached_input": 10,
                "cache_write": 10,
                "audio_input": 10,
                "audio_output": 30,
            },
        ),
    )
    assert set(flat(7).tiers[0][1].values()) == {7}
    known = flat(10, cached_input=1, cache_write=12, audio_input=40, output=30, audio_output=80)
    tokens = Tokens(1000, 1000, 1000, 1000, 1000, 1000)
    assert cost(tokens, known) == -(-(10 + 1 + 12 + 40 + 30 + 80) // 1000)


def test_a_tier_holds_for_all_tokens_above_its_beginning() -> None:
    """Tiered prices: the dearest tier that applies."""
    rates = {"input": 2_000_000, "output": 8_000_000}
    price = priced([(ALWAYS, rates), (1000, {"input": 4_000_000}), (2000, {"input": 3_000_000})])
    assert cost(Tokens(input=1000, output=1), price) == 2008
    assert cost(Tokens(input=1001, output=1), price) == 4012
    assert cost(Tokens(input=1000, cached_input=1), price) == 4004
    assert cost(Tokens(input=3000), price) == 12_000
    assert cost(Tokens(), price) == 0


# Which price is meant


def test_a_whole_name_goes_before_a_pattern_and_the_longer_pattern_first() -> None:
    """Longest match wins, exact before pattern."""
    table = PriceTable(
        {
            "openai/*": flat(1),
            "openai/gpt-*": flat(2),
            "openai/gpt-4o-mini": flat(3),
            "openai/*-audio*": flat(4),
            "openai/gpt-4o-####-##-##": flat(5),
        }
    )
    for model, rate in {
        "gpt-4o-mini": 3,
        "GPT-4o-Mini": 3,
        "openai/gpt-4o-mini": 3,
        "gpt-4o-mini-x": 2,
        "gpt-4o-2026-01-02": 5,
        "gpt-4o-2026-01-0x": 2,
        "gpt-audio": 4,
        "o3": 1,
    }.items():
        assert table.find("openai", model) == flat(rate), model
    assert table.find("aws", "gpt-4o-mini") is None


def test_a_model_is_the_providers_own_or_names_its_provider() -> None:
    """Names are `provider/model`, or a bare `model` of the tool's provider."""
    table = PriceTable(
        {
            "huggingface/openai/gpt-oss": flat(1),
            "openai/gpt-oss": flat(2),
            "anthropic/claude": flat(3),
        }
    )
    assert table.find("huggingface", "openai/gpt-oss") == flat(1)
    assert table.find("openai", "openai/gpt-oss") == flat(2)
    assert table.find("openai", "gpt-oss") == flat(2)
    assert table.find("aws", "anthropic/claude") == flat(3)
    assert table.find("aws", "claude") is None


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("a/x*", "a/x", True),
        ("a/x*", "a/xy", True),
        ("a/x*", "b/xy", False),
        ("a/*x", "a/yx", True),
        ("a/m-*/x", "a/m-y/x", True),
        ("a/m-*/x", "b/m-y/x", False),
        ("a/*x", "a/yxz", False),
        ("a/*x*z", "a/yx/z", True),
        ("a/x.y*", "a/xzy", False),
        ("a/x-#", "a/x-1", True),
        ("a/x-#", "a/x-12", False),
        ("a/x-#", "a/x-\u0661", False),
        ("a/[x]*", "a/x", False),
        ("a/x*", "a/x\ny", True),
    ],
)
def test_a_pattern_is_text_with_stars_and_digits(pattern: str, name: str, *, meant: bool) -> None:
    """`*` stands for any text, `#` for one digit, everything else for itself."""
    assert matches(pattern, name) is meant


def test_without_a_model_the_dearest_of_the_provider() -> None:
    """`calculate_cost(usage)`: the dearest price of the provider; a model of its own otherwise."""
    table = PriceTable(
        {"openai/a": flat(10**6, output=5 * 10**6), "openai/b": flat(3 * 10**6), "aws/c": flat(9)}
    )
    used = Used(Tokens(input=2, output=1), "openai")
    assert usage_cost(table, used, None, None) == 2 * 3 + 5
    assert usage_cost(table, used, None, "a") == 2 + 5
    assert usage_cost(table, Used(used.tokens, "openai", "b"), None, None) == 9
    assert usage_cost(table, Used(used.tokens, "openai", "b"), None, "a") == 7
    assert usage_cost(table, Used(used.tokens, "openai"), "aws", "c") == 1
    with pytest.raises(UnpricedModelError, match=r"^no price for gcp/gemini$"):
        table.cost_of(1, "gcp", "Gemini")
    with pytest.raises(UnpricedModelError, match=r"^no price for any model of gcp$") as raised:
        table.cost_of(1, "gcp", None)
    assert raised.value.hint.endswith('"gcp/MODEL" = { input = "…", output = "…" }')


# One's own prices

HEAD = b"version = 1\n[prices]\n"


def test_own_prices_stand_in_the_place_of_the_tables() -> None:
    """`[prices]` of budgets.toml over the shipped table."""
    own = own_prices(
        HEAD + b'"OpenAI/gpt" = { input = "0.15", output = "0.60", cached_input = "0.01" }\n'
        b'"openai/gpt-*" = { input = "1", output = "2", cache_write = "3", '
        b'audio_input = "4", audio_output = "5" }\n'
    )
    table = PriceTable({"openai/gpt": flat(1), "openai/o": flat(2)}, "s", "d", 3).over(own)
    assert (table.source, table.as_of, table.left_out) == ("s", "d", 3)
    assert table.find("openai", "o") == flat(2)
    mine = flat(150_000, output=600_000, cached_input=10_000)
    assert table.find("openai", "gpt") == mine
    more = {"cache_write": 3 * 10**6, "audio_input": 4 * 10**6, "audio_output": 5 * 10**6}
    assert table.find("openai", "gpt-x") == flat(10**6, output=2 * 10**6, **more)
    assert own_prices(b"version = 1") == {}


def test_own_patterns_stand_in_the_place_of_whole_names_of_the_table() -> None:
    """What somebody pays is what they say: a pattern of one's own goes before any other name."""
    table = PriceTable({"openai/gpt-4o": flat(1), "openai/gpt-4o-*": flat(2), "openai/o": flat(3)})
    own = table.over({"openai/gpt*": flat(10), "aws/*": flat(20)})
    assert own.find("openai", "gpt-4o") == flat(10)
    assert own.find("openai", "gpt-4o-mini") == flat(10)
    assert own.find("openai", "o") == flat(3)
    assert own.find("aws", "openai/gpt-4o") == flat(20)
    assert own.find("gcp", "openai/gpt-4o") == flat(10)
    assert own.find("gcp", "gpt-4o") is None


def test_a_hint_is_a_line_of_toml() -> None:
    """It is to be pasted into budgets.toml, and says there what it says here."""
    with pytest.raises(UnpricedModelError) as raised:
        PriceTable({}).cost_of(1, "openai", 'gpt" = { input = "0" } #')
    line = raised.value.hint.partition(": ")[2]
    assert list(tomllib.loads(line)) == ['openai/gpt" = { input = "0" } #']


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpt", 'expected "PROVIDER/MODEL"'),
        ("/gpt", 'expected "PROVIDER/MODEL"'),
        ("openai/", 'expected "PROVIDER/MODEL"'),
        ("*/gpt", 'expected "PROVIDER/MODEL"'),
        ("openai/" + "x" * 250, "longer than 256 characters"),
    ],
)
def test_a_price_has_a_name(name: str, message: str) -> None:
    """Every key is checked: an error with file, line and key."""
    content = HEAD + f'"{name}" = {{ input = "1", output = "2" }}\n'.encode()
    (problem,) = load_budgets(content, ())[1]
    assert message in problem.message
    assert problem.line == 3
    with pytest.raises(ValueError, match=message):
        price_name(name)


def test_names_that_a_price_can_have() -> None:
    """A name is PROVIDER/MODEL in lower case; the model may hold slashes and stars."""
    assert price_name("HuggingFace/Meta-*/Llama-#") == "huggingface/meta-*/llama-#"
    longest = "openai/" + "x" * 249
    assert price_name(longest) == longest


def test_a_cost_that_cannot_be_meant_is_refused() -> None:
    """More than one lease can be charged is no cost."""
    table = PriceTable({"openai/gpt": flat(10**15)})
    with pytest.raises(UsageError) as raised:
        table.cost_of(10**15, "openai", "gpt")
    assert raised.value.message.startswith("the cost of the tokens: ")
    assert raised.value.hint == ""


# The file of a table


def file(**changes: Any) -> dict[str, Any]:
    """Return a table as its file has it, with some keys changed."""
    entry = {"names": ["openai/gpt"], "input": 10, "tiers": [{"above": 5, "input": 20}]}
    whole = {"version": 1, "source": "s", "as_of": "2026-11-25", "left_out": 0, "models": [entry]}
    return {**whole, **changes}


def test_a_file_is_read() -> None:
    """Prices by name, their tiers, and where they come from."""
    table = load(file())
    assert table.find("openai", "gpt") == priced([(ALWAYS, {"input": 10}), (5, {"input": 20})])
    assert (table.source, table.as_of, table.left_out) == ("s", "2026-11-25", 0)
    free = load(file(models=[{"names": ["openai/free"], "input": 0}]))
    assert free.find("openai", "free") == flat(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version is not 1"),
        ({"models": []}, "no models"),
        ({"models": {}}, "no models"),
        ({"source": None}, "where it comes from"),
        ({"as_of": 1}, "where it comes from"),
        ({"left_out": -1}, "expected an integer"),
        ({"models": ["x"]}, "an entry is no price"),
        ({"models": [{"names": ["a/b"], "input": 1, "more": 1}]}, "an entry is no price"),
        ({"models": [{"input": 1}]}, "an entry has no names"),
        ({"models": [{"names": [1], "input": 1}]}, "an entry has no names"),
        ({"models": [{"names": ["ab"], "input": 1}]}, "PROVIDER/MODEL"),
        ({"models": [{"names": ["a/b"]}]}, "no price for input"),
        ({"models": [{"names": ["a/b"], "input": 1.5}]}, "expected an integer"),
        ({"models": [{"names": ["a/b"], "input": -1}]}, "expected an integer"),
        ({"models": [{"names": ["a/b"], "input": True}]}, "expected an integer"),
        ({"models": [{"names": ["a/b"], "input": 1, "tiers": 1}]}, "tiers are no list"),
        ({"models": [{"names": ["a/b"], "input": 1, "tiers": [1]}]}, "tiers are no list"),
        ({"models": [{"names": ["a/b"], "input": 1, "tiers": [{}]}]}, "expected an integer"),
    ],
)
def test_a_file_that_is_no_table_is_refused(changes: dict[str, Any], message: str) -> None:
    """Nothing of a damaged table is believed."""
    with pytest.raises(ValueError, match=message):
        load(file(**changes))
