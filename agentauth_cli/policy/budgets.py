"""budgets.toml: from bytes to budgets, or to everything that is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any

from agentauth_cli.policy import pattern
from agentauth_cli.policy.names import rule_id
from agentauth_cli.policy.windows import UNITS
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Document, Key, ListOf, Named, Problem, Table, Value
from agentauth_cli.tables.zones import zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agentauth_cli.model import Metric, Unit
    from agentauth_cli.policy.matching import Pattern, PrincipalPattern
    from agentauth_cli.policy.narrow import Tool
    from agentauth_cli.policy.prices import Price
    from agentauth_cli.tables.shape import At

PER = ("principal", "provider", "tool", "environment")
_GROUP = "group:"


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget. `limits` by (window unit, metric); absent patterns are None: every one.

    `per` holds names out of principal, provider, tool, environment, and patterns on groups.
    """

    id: str
    limits: Mapping[tuple[Unit, Metric], int]
    per: tuple[str | Pattern, ...] = ()
    principals: tuple[PrincipalPattern, ...] | None = None
    except_: tuple[PrincipalPattern, ...] = ()
    providers: tuple[Pattern, ...] | None = None
    tools: tuple[Pattern, ...] | None = None
    environments: tuple[Pattern, ...] | None = None
    zone: tzinfo = UTC

    def meets(self, tool: Tool) -> bool:
        """Say whether provider, tool and environment are this budget's; principals aside."""
        return (
            _any(self.providers, tool.provider)
            and _any(self.tools, tool.name)
            and _any(self.environments, tool.environment)
        )


def _any(patterns: tuple[Pattern, ...] | None, name: str) -> bool:
    return patterns is None or any(one.matches(name) for one in patterns)


def load(content: bytes, tools: tuple[Tool, ...]) -> tuple[tuple[Budget, ...], list[Problem]]:
    """Read the file; `tools` are those of every environment, which it is held against.

    A tool that a token or cost budget can reach has to say what one lease takes of it.
    """
    document = Document("budgets.toml", content)
    whole = document.read(FILE)
    entries = whole.get("budget") or ()
    sound = not document.found
    budgets = tuple(_budget(entry) for entry in entries) if sound else ()
    for i, budget in enumerate(budgets):
        document.found.extend((("budget", i, "limits"), why) for why in _unsaid(budget, tools))
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        budget_id = entry.get("id")
        if budget_id in seen:
            document.found.append((("budget", i, "id"), f"duplicate id {budget_id!r}"))
        if budget_id:
            seen.add(budget_id)
    document.found.extend(_same_prices(whole.get("prices") or {}))
    return budgets, document.problems()


def _same_prices(entries: Iterable[str]) -> Iterator[tuple[At, str]]:
    """Yield names of prices that differ from one before them in upper and lower case alone."""
    first: dict[str, str] = {}
    for name in entries:
        same = first.setdefault(name.lower(), name)
        if same != name:
            yield ("prices", name), f"the same as {same!r}: upper and lower case do not count"


def own_prices(content: bytes) -> dict[str, Price]:
    """Return the [prices] of a file that loads, by name."""
    from agentauth_cli.policy.prices import ALWAYS, price_name, priced

    entries = Document("budgets.toml", content).read(FILE).get("prices") or {}
    return {
        price_name(name): priced(
            [(ALWAYS, {kind: rate for kind, rate in rates.items() if rate is not None})]
        )
        for name, rates in entries.items()
    }


def _budget(entry: dict[str, Any]) -> Budget:
    limits = {
        (unit, metric): limit
        for unit, metrics in entry["limits"].items()
        for metric, limit in (metrics or {}).items()
        if limit is not None
    }
    known = {key: entry[key] for key in ("id", "per", "principals", "providers", "tools")}
    return Budget(
        **known,
        environments=entry["environments"],
        except_=entry["except"],
        limits=limits,
        zone=entry["tz"],
    )


def _unsaid(budget: Budget, tools: tuple[Tool, ...]) -> list[str]:
    missing: list[str] = []
    for metric in ("tokens", "cost"):
        if any(limited == metric for _, limited in budget.limits):
            names = dict.fromkeys(
                tool.name
                for tool in tools
                if budget.meets(tool) and getattr(tool.allowance, metric) is None
            )
            missing += [
                f"tool {name} has no `allowance.{metric}` in config.toml: "
                f"say what one lease takes of {budget.id} (0 is permitted)"
                for name in names
            ]
    return missing


def dimension(value: Any) -> str | Pattern:
    """Return one of PER, or the pattern on groups of ``group:PATTERN``."""
    if isinstance(value, str) and value.startswith(_GROUP):
        return pattern.principal(value).pattern
    return values.Choice(*PER, "group:PATTERN")(value)


def fraction(value: Any) -> float:
    """Return a part of a whole, over 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError("expected a number over 0, up to 1")
    return float(value)


def price_name(name: str) -> str:
    """Return the name or pattern of a price."""
    from agentauth_cli.policy.prices import price_name as named  # only where there are prices

    return named(name)


def _patterns(parse: Any) -> Key:
    return Key(ListOf(Value(parse)))


_METRICS = Table(
    {
        "tokens": Key(Value(values.integer)),
        "cost": Key(Value(values.money)),
        "requests": Key(Value(values.integer)),
        "leases": Key(Value(values.integer)),
    }
)

_LIMITS = Table({unit: Key(_METRICS) for unit in UNITS})

FILE = Table(
    {
        "version": Key(Value(values.version), required=True),
        "budget": Key(
            ListOf(
                Table(
                    {
                        "id": Key(Value(rule_id), required=True),
                        "principals": _patterns(pattern.principal),
                        "except": Key(ListOf(Value(pattern.principal)), default=()),
                        "providers": _patterns(pattern.short),
                        "tools": _patterns(pattern.short),
                        "environments": _patterns(pattern.short),
                        "per": Key(ListOf(Value(dimension), least=0), required=True),
                        "tz": Key(Value(zone), default=UTC),
                        "warn_at": Key(Value(fraction)),
                        "limits": Key(_LIMITS, required=True),
                    }
                )
            ),
            default=(),
        ),
        "prices": Key(
            Named(
                Table(
                    {
                        "input": Key(Value(values.money), required=True),
                        "output": Key(Value(values.money), required=True),
                        "cached_input": Key(Value(values.money)),
                        "cache_write": Key(Value(values.money)),
                        "audio_input": Key(Value(values.money)),
                        "audio_output": Key(Value(values.money)),
                    }
                ),
                price_name,
            )
        ),
    }
)
