"""What a program may say of a request: checked before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from agentauth_cli.errors import UsageError
from agentauth_cli.library.amounts import micro, tokens
from agentauth_cli.policy.charges import Stated
from agentauth_cli.policy.usage import model_name
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import kind

if TYPE_CHECKING:
    from decimal import Decimal

    from agentauth_cli.vending import Asked
    from agentauth_cli.wiring import Wiring

LONGEST = 4096
"""Characters of a text: all of it is written down, also where the request is refused."""

_TEXTS = ("environment", "resource", "reason")


class Asking(TypedDict, total=False):
    """What a request may say besides principal and tool; all of it may be left out."""

    environment: str
    """Else AGENTAUTH_ENV, else the default one."""
    resource: str
    """A part of the tool's resource."""
    duration: int
    """Seconds."""
    estimate_tokens: int
    estimate_cost: float | str | Decimal
    """USD."""
    model: str
    reason: str
    presented: str
    """What the principal was authenticated by: where web identity exchanges or reuses it."""


def asked(wiring: Wiring, tool: str, asking: Asking) -> Asked:
    """Return what is asked for.

    Raises TypeError for a name that there is not, since what narrows must not be lost by a slip;
    UsageError for a value that cannot be meant, and what finding the tool raises.
    """
    if unknown := sorted(asking.keys() - Asking.__annotations__.keys()):
        raise TypeError(f"got an unexpected keyword argument {unknown[0]!r}")
    model = asking.get("model")
    texts = {name: _text(name, asking.get(name)) for name in _TEXTS}
    stated = Stated(
        _seconds(asking.get("duration")),
        tokens(asking.get("estimate_tokens")),
        micro(asking.get("estimate_cost")),
        None if model is None else model_name(model),
        texts["reason"],
    )
    return wiring.asked(tool, texts["environment"], stated, texts["resource"])


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise UsageError(f"{name}: expected a string, got {kind(value)}", hint="")
    if len(value) > LONGEST:
        raise UsageError(f"{name}: longer than {LONGEST} characters", hint="")
    return value


def _seconds(value: Any) -> int | None:
    try:
        return None if value is None else values.integer(value, 1)
    except ValueError as error:
        raise UsageError(f"duration: {error}, in seconds", hint="") from None
