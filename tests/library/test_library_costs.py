"""`calculate_cost`: what a call cost."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import ChatCompletionOutputUsage
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion
from openai.types.completion_usage import PromptTokensDetails

from agentauth_cli import Money, calculate_cost
from agentauth_cli.config import pricing
from agentauth_cli.errors import ConfigError, StateError, UnpricedModelError, UsageError
from agentauth_cli.policy.prices import cost
from agentauth_cli.policy.usage import Tokens

if TYPE_CHECKING:
    from pathlib import Path

USAGE = CompletionUsage(prompt_tokens=1_000_001, completion_tokens=1000, total_tokens=1_001_001)
PRICES = 'version = 1\n[prices]\n"openai/gpt-4o-mini" = { input = "3", output = "4" }\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with nothing configured."""
    for name in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"AGENTAUTH_{name}_DIR", str(tmp_path / name.lower()))
        (tmp_path / name.lower()).mkdir(mode=0o700)
    return tmp_path


def write(path: Path, text: str) -> None:
    """Write a file that nobody else may."""
    path.write_text(text)
    path.chmod(0o600)


def test_by_the_price_of_the_model() -> None:
    """Rounded up to a micro-dollar; cached tokens have their price."""
    found = calculate_cost(USAGE, "gpt-4o-mini")
    assert (type(found), found) == (Money, Decimal("0.150601"))
    cached = USAGE.model_copy(
        update={"prompt_tokens_details": PromptTokensDetails(cached_tokens=1_000_000)}
    )
    assert calculate_cost(cached, model="openai/gpt-4o-mini") == Decimal("0.075601")
    assert calculate_cost(USAGE.model_dump(), "gpt-4o-mini") == found


def test_a_model_has_a_name() -> None:
    """Printable, without spaces and quotes: it may come into a line to paste."""
    with pytest.raises(UsageError, match="model: is no name"):
        calculate_cost(USAGE, 'gpt" = { input = "0", output = "0" } #')


def test_a_response_names_its_model() -> None:
    """`calculate_cost(response)` is by the model that answered; what is given goes before it."""
    response = ChatCompletion(
        id="x",
        choices=[],
        created=1,
        model="gpt-4o-mini-2024-07-18",
        object="chat.completion",
        usage=USAGE,
    )
    assert calculate_cost(response) == Decimal("0.150601")
    assert calculate_cost(response, "gpt-4o") == Decimal("2.510003")


def test_without_a_model_the_dearest_price_of_the_provider() -> None:
    """`"cost": calculate_cost(response.usage)` never says less than it was."""
    dearest = pricing.shipped().dearest_of("openai")
    assert dearest is not None
    tokens = Tokens(input=1_000_001, output=1000)
    assert calculate_cost(USAGE).micro == cost(tokens, dearest)
    assert calculate_cost(USAGE) >= calculate_cost(USAGE, "gpt-4o")
    other = ChatCompletionOutputUsage(completion_tokens=1, prompt_tokens=1, total_tokens=2)
    assert 0 < calculate_cost(other) < calculate_cost(USAGE)


def test_by_the_prices_of_the_configuration_in_force(folder: Path) -> None:
    """The table in force: shipped, or made since, and [prices] over it."""
    write(folder / "config" / "budgets.toml", PRICES)
    assert calculate_cost(USAGE, "gpt-4o-mini") == Decimal("3.004003")
    write(folder / "config" / "budgets.toml", PRICES.replace("3", "x"))
    with pytest.raises(ConfigError, match="expected an amount in USD"):
        calculate_cost(USAGE, "gpt-4o-mini")
    write(folder / "config" / "budgets.toml", PRICES)
    write(folder / "state" / "prices.json", "{")
    with pytest.raises(StateError, match="is no price table"):
        calculate_cost(USAGE, "gpt-4o-mini")


def test_what_cannot_be_priced() -> None:
    """A clear error of its own class."""
    with pytest.raises(UnpricedModelError, match="no price for openai/gpt-99"):
        calculate_cost(USAGE, "gpt-99")
    with pytest.raises(UsageError, match="has none of"):
        calculate_cost({})
