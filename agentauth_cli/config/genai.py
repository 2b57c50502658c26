"""The price table, compiled from the package `genai-prices`: what its own rules say, as a file.

What they say by the time of day is taken at its dearest. So is what holds from a day on, of the
prices from today onwards. Names that no pattern can say in full are left out, and the models
counted that have such: no price is guessed.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ConfigError
from agentauth_cli.policy.prices import ALWAYS, INSTEAD, VERSION, dearest, price_name, priced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date
    from decimal import Decimal

    from agentauth_cli.policy.prices import Price, Rates

# Whose models can be meant, under the names that this program has for them.
PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "aws": "aws", "google": "gcp"}
_HUGGINGFACE = "huggingface"

# By kind, the prices of theirs that tokens which are counted as that kind may have: of pictures
# and films nobody reports the tokens apart.
_PRICES = {
    "input": ("input_mtok", "input_image_mtok", "input_video_mtok"),
    "cached_input": ("cache_read_mtok", "cache_audio_read_mtok", "cache_image_read_mtok"),
    "cache_write": ("cache_write_mtok", "cache_write_1h_mtok"),
    "audio_input": ("input_audio_mtok",),
    "output": ("output_mtok", "output_image_mtok", "output_video_mtok", "output_reasoning_mtok"),
    "audio_output": ("output_audio_mtok",),
}
_DIGITS = re.compile(r"\\d(?:\{(\d)\})?")
_PLAIN = re.compile(r"[a-z0-9/:@.#-]+")


def compiled(today: date) -> bytes:
    """Return the file of a table, from the installed `genai-prices`, as of a day.

    Raises ConfigError where that package is not installed.
    """
    from importlib.metadata import version

    try:
        data = import_module("genai_prices.data")
    except ImportError:
        raise ConfigError(
            "genai-prices is not installed", hint="pip install 'agentauth[prices]'"
        ) from None
    prices, left_out = _prices(data.providers, today)
    head = {
        "version": VERSION,
        "source": f"genai-prices {version('genai-prices')}",
        "as_of": today.isoformat(),
        "left_out": left_out,
    }
    return _file(head, prices)


def _file(head: Mapping[str, Any], prices: Mapping[str, Price]) -> bytes:
    """Return a table as JSON, a line a price, with all the names that have it."""
    names: dict[str, list[str]] = {}
    for name, price in sorted(prices.items()):
        provider = name.partition("/")[0]
        names.setdefault(json.dumps([provider, price.tiers]), []).append(name)
    entries = sorted(
        json.dumps({"names": same, **_entry(prices[same[0]])}) for same in names.values()
    )
    first = json.dumps(head)[1:-1]
    return ("{" + first + ', "models": [\n' + ",\n".join(entries) + "\n]}\n").encode("ascii")


def _entry(price: Price) -> dict[str, Any]:
    """Return a price as a file has it: without the rates that `priced` fills in."""
    (_, base), *tiers = price.tiers
    rates = {kind: rate for kind, rate in base.items() if rate != base.get(INSTEAD.get(kind, ""))}
    more = {"tiers": [{"above": above, **dearer} for above, dearer in tiers]} if tiers else {}
    return {**rates, **more}


# -- prices ----------------------------------------------------------------------------------


def _prices(providers: Iterable[Any], today: date) -> tuple[dict[str, Price], int]:
    """Return the prices by name, and of how many models a name or the price was left out."""
    found: dict[str, list[Price]] = {}
    left_out = 0
    for ours, model in _models(providers):
        price = _price(model.prices, today)
        names = set(_names(model))
        if price is None or None in names:
            left_out += 1
        if price is not None:
            for name in names - {None}:
                found.setdefault(f"{ours}/{name}", []).append(price)
    return {price_name(name): dearest(prices) for name, prices in found.items()}, left_out


def _models(providers: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield each model and our name of whoever offers it, also that of another's."""
    known = {provider.id: provider for provider in providers}
    for provider in known.values():
        ours = PROVIDERS.get(provider.id)
        if provider.id.startswith(f"{_HUGGINGFACE}_"):
            ours = _HUGGINGFACE  # which of the providers behind it answers is not known
        if ours is not None:
            offered = [provider, *(known[one] for one in provider.fallback_model_providers or ())]
            yield from ((ours, model) for one in offered for model in one.models)


def _price(prices: Any, today: date) -> Price | None:
    """Return the dearest of the prices that hold from today on; None where input has none."""
    holding = [one for one in map(_tiers, _holding(prices, today)) if "input" in one[0][1]]
    return dearest([priced(tiers) for tiers in holding]) if holding else None


def _holding(prices: Any, today: date) -> list[Any]:
    """Return those of a model's prices that can hold today or later: the last that holds wins."""
    if not isinstance(prices, list):
        return [prices]
    found = []
    for one in reversed(prices):
        found.append(one.prices)
        begins = getattr(one.constraint, "start_date", None)
        if one.constraint is None or (begins is not None and begins <= today):
            break
    return found


def _tiers(price: Any) -> list[tuple[int, Rates]]:
    values = {
        kind: [value for name in names if (value := getattr(price, name, None)) is not None]
        for kind, names in _PRICES.items()
    }
    starts = {
        tier.start
        for found in values.values()
        for one in found
        for tier in getattr(one, "tiers", ())
    }
    return [
        (
            above,
            {
                kind: max(_micro(one, above) for one in found)
                for kind, found in values.items()
                if found
            },
        )
        for above in (ALWAYS, *sorted(starts))
    ]


def _micro(price: Any, above: int) -> int:
    """Return USD as micro-dollars, rounded up; of tiers the dearest that holds above so many."""
    if not hasattr(price, "tiers"):
        return _rounded_up(price)
    holding = [tier.price for tier in price.tiers if tier.start <= above]
    return max(_rounded_up(one) for one in (price.base, *holding))


def _rounded_up(dollars: Decimal) -> int:
    numerator, denominator = dollars.as_integer_ratio()
    return -(-numerator * 1_000_000 // denominator)


# -- names -----------------------------------------------------------------------------------


def _names(model: Any) -> Iterator[str | None]:
    """Yield names and patterns of a model; None for each rule that a pattern cannot say."""
    if model.is_match(model.id):
        yield model.id.lower()
    yield from _patterns(model.match)


def _patterns(clause: Any) -> Iterator[str | None]:
    match vars(clause):
        case {"or_": members}:
            for one in members:
                yield from _patterns(one)
        case {"equals": text}:
            yield text.lower()
        case {"starts_with": text}:
            yield f"{text}*".lower()
        case {"ends_with": text}:
            yield f"*{text}".lower()
        case {"contains": text}:
            yield f"*{text}*".lower()
        case {"regex": expression}:
            yield _pattern(expression)
        case _:
            yield None


def _pattern(expression: str) -> str | None:
    """Return a regular expression of text and digits as a pattern, None for any other."""
    if not expression.startswith("^"):
        return None
    whole = expression.endswith("$")
    body = expression[1:-1] if whole else expression[1:]
    body = _DIGITS.sub(lambda digits: "#" * int(digits[1] or 1), body)
    text = body.replace(r"\.", "\0")
    if "." in text or not _PLAIN.fullmatch(plain := text.replace("\0", ".")):
        return None
    return plain if whole else f"{plain}*"
