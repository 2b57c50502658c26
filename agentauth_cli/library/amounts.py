"""Tokens, money and providers as programs give them."""

from __future__ import annotations

from agentauth_cli.errors import UsageError
from agentauth_cli.model import ProviderType
from agentauth_cli.money import Money
from agentauth_cli.tables import values


def tokens(count: object) -> int | None:
    """Return a count of tokens, None for none said. Raises UsageError."""
    try:
        return None if count is None else values.tokens(count)
    except ValueError as error:
        raise UsageError(f"tokens: {error}", hint="") from None


def micro(amount: object) -> int | None:
    """Return an amount of USD in micro-dollars, None for none said. Raises UsageError."""
    try:
        return None if amount is None else values.affordable(Money.of(amount).micro)
    except ValueError as error:
        raise UsageError(str(error), hint="") from None


def provider_of(name: ProviderType | str) -> ProviderType:
    """Return the provider of this name. Raises UsageError."""
    try:
        return ProviderType(name)
    except ValueError:
        raise UsageError(f"{name!r} is none of {', '.join(ProviderType)}", hint="") from None
