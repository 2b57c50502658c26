"""Reads the command line of a plain `vend` without Typer.

Whatever it does not know for certain is None: then Typer reads it, and finds what is wrong with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agentauth_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMAND = "vend"
OPTIONS = {
    "--env": "env",
    "--identity": "identity",
    "--resource": "resource",
    "--duration": "duration",
    "--format": "format",
    "--estimate-tokens": "estimate_tokens",
    "--estimate-cost": "estimate_cost",
    "--model": "model",
    "--reason": "reason",
}
FLAGS = {"--reveal": "reveal", "--json": "as_json"}
_DIGITS = 15


class Words(NamedTuple):
    """What the options of `vend` say."""

    tool: str
    env: str | None = None
    identity: str | None = None
    resource: str | None = None
    duration: str | None = None
    format: str = "json"
    estimate_tokens: int | None = None
    estimate_cost: str | None = None
    model: str | None = None
    reason: str | None = None
    dry_run: bool = False
    reveal: bool = False
    as_json: bool = False


def vend(arguments: Sequence[str]) -> Words | None:
    """Return what the arguments of this process say, None where Typer has to read them."""
    if not arguments or arguments[0] != COMMAND:
        return None
    found: dict[str, str] = {}
    flags: set[str] = set()
    rest = iter(arguments[1:])
    for one in rest:
        option, equals, value = one.partition("=")
        if one in FLAGS:
            flags.add(FLAGS[one])
            continue
        name = OPTIONS.get(option, "" if one.startswith("-") else "tool")
        value = one if name == "tool" else value if equals else next(rest, "")
        if not name or not value or value.startswith("-") or name in found:
            return None
        found[name] = value
    return _read(found, flags)


def _read(found: dict[str, str], flags: set[str]) -> Words | None:
    """Return them as what they stand for."""
    tokens = found.pop("estimate_tokens", None)
    if "tool" not in found or (tokens is not None and not _is_count(tokens)):
        return None
    try:
        for name, check in _CHECKED.items():
            if name in found:
                check(found[name])
    except (UsageError, ValueError):
        return None
    said: dict[str, Any] = {**found, **dict.fromkeys(flags, True)}
    number = None if tokens is None else int(tokens)
    return Words(found["tool"], estimate_tokens=number)._replace(**said)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _check_identity(text: str) -> None:
    from agentauth_cli.inbound.session import name

    name(text)


def _check_model(text: str) -> None:
    from agentauth_cli.policy.usage import model_name

    model_name(text)


_CHECKED: dict[str, Callable[[str], None]] = {"identity": _check_identity, "model": _check_model}
