"""What a call cost, by the price table in force."""

from __future__ import annotations

import contextlib

from agentauth_cli.money import Money
from agentauth_cli.policy.prices import usage_cost
from agentauth_cli.policy.usage import model_name, read
from agentauth_cli.wiring import Wiring


def calculate_cost(usage: object, model: str | None = None) -> Money:
    """Return what a call cost in USD, rounded up to a micro-dollar.

    `usage` is a usage object of OpenAI, Anthropic or Hugging Face, as the SDK gives it or as JSON
    has it, or a whole response, which names its model itself. `model` is a model of whose SDK it
    is, or ``provider/model``. Without any model it is the dearest price of the provider. Prices are
    the shipped table, or the one made since, and [prices] of the configuration in force over them.

    Raises UsageError for what is no usage, UnpricedModelError for a model that has no price,
    ConfigError or StateError where a file of prices does not load.
    """
    used = read(usage)
    named = None if model is None else model_name(model)
    with contextlib.closing(Wiring()) as wiring:
        return Money.of_micro(usage_cost(wiring.prices, used, None, named))
