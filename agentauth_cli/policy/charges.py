"""Bound: how long a credential may live, and what it takes from which counter. Arithmetic only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from agentauth_cli.errors import (
    BudgetExceededError,
    LimitError,
    PermissionDeniedError,
    RateLimitExceededError,
    StateError,
    TooManyTokensError,
)
from agentauth_cli.model import (
    Charge,
    Metric,
    Obligation,
    PolicyDecision,
    Principal,
    Rate,
    Usage,
)
from agentauth_cli.policy.matching import Pattern, PrincipalPattern
from agentauth_cli.policy.windows import window
from agentauth_cli.secret import MASK, redact
from agentauth_cli.tables.values import dollars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from agentauth_cli.policy.budgets import Budget
    from agentauth_cli.policy.narrow import Tool
    from agentauth_cli.policy.prices import PriceTable


@dataclass(frozen=True, slots=True)
class Stated:
    """What the caller says of its request. Seconds, tokens, micro-dollars; None where unsaid."""

    duration: int | None = None
    tokens: int | None = None
    cost: int | None = None
    model: str | None = None
    reason: str | None = None


def duration(
    tool: Tool,
    stated: Stated,
    decision: PolicyDecision,
    mintable: tuple[int, int],
    login_left: int | None,
) -> int:
    """Return the seconds that the credential may live: the least of all that limit it.

    `mintable` is what the provider can mint, shortest and longest. Raises PermissionDeniedError
    where an obligation leaves less than the shortest. What is left of the login cuts the duration,
    but never below the shortest.
    """
    shortest, longest = mintable
    limit = decision.limit("max_duration")
    if limit is not None and limit.value < shortest:
        raise PermissionDeniedError(
            f"max_duration of rule {limit.rule} is {limit.value} s, "
            f"and {tool.provider} mints nothing shorter than {shortest} s",
            hint=f"Raise max_duration of {limit.rule}",
            decision=decision,
        )
    asked = stated.duration if stated.duration is not None else tool.duration
    allowed = min(asked, tool.duration, longest, limit.value if limit else longest)
    return allowed if login_left is None else max(shortest, min(allowed, login_left))


def taken(
    budgets: Sequence[Budget],
    tool: Tool,
    stated: Stated,
    decision: PolicyDecision,
    prices: Callable[[], PriceTable],
) -> Usage:
    """Return the tokens and the cost that the request reserves. Raises as `charges` does."""
    amounts = _amounts(budgets, tool, stated, decision, prices)
    return Usage(amounts["tokens"], amounts["cost"])


def charges(
    budgets: Sequence[Budget],
    tool: Tool,
    principal: Principal,
    stated: Stated,
    decision: PolicyDecision,
    now: datetime,
    prices: Callable[[], PriceTable],
) -> list[Charge]:
    """Return what the request takes: rate limits first, then budgets in the order of the file.

    `prices` is asked only where the cost matters and a model is stated, but no cost. Raises
    PermissionDeniedError where an obligation needs something that is not stated,
    TooManyTokensError or BudgetExceededError where more is stated than it permits, and
    UnpricedModelError where no price tells the cost.
    """
    _check_obligations(stated, decision)
    try:
        taken = _amounts(budgets, tool, stated, decision, prices)
    except StateError:  # the table is damaged; what the policy refuses by itself comes before that
        _check_tokens(_larger(tool.allowance.tokens, stated.tokens), decision)
        raise
    _check_tokens(taken["tokens"], decision)
    _check_cost(taken["cost"], decision)
    return [
        *paced(decision.rate_limit, principal.id),
        *_budgeted(budgets, tool, principal, taken, now),
    ]


def _check_obligations(stated: Stated, decision: PolicyDecision) -> None:
    reason = decision.limit("require_reason")
    if reason and not stated.reason:
        raise PermissionDeniedError(
            f"rule {reason.rule} requires a reason", hint="Give --reason TEXT", decision=decision
        )
    for models in decision.obligations.get("models", ()):
        if stated.model is None:
            raise PermissionDeniedError(
                f"rule {models.rule} limits the models", hint="Give --model NAME", decision=decision
            )
        if not any(one.matches(stated.model) for one in models.value):
            allowed = ", ".join(one.text for one in models.value)
            raise PermissionDeniedError(
                f"rule {models.rule} permits the models {allowed}, not {stated.model}",
                hint="Ask for one of these",
                decision=decision,
            )


def _amounts(
    budgets: Sequence[Budget],
    tool: Tool,
    stated: Stated,
    decision: PolicyDecision,
    prices: Callable[[], PriceTable],
) -> dict[Metric, int | None]:
    cost = stated.cost
    limited = decision.limit("max_cost") is not None or any(
        budget.meets(tool) and metric == "cost" for budget in budgets for _, metric in budget.limits
    )
    if limited and cost is None and stated.model is not None:
        priced = prices().cost_of(stated.tokens or 0, tool.provider, stated.model, decision)
        cost = None if stated.tokens is None else priced
    return {
        "tokens": _larger(tool.allowance.tokens, stated.tokens),
        "cost": _larger(tool.allowance.cost, cost),
        "requests": 1,
        "leases": 1,
    }


def _larger(one: int | None, other: int | None) -> int | None:
    known = [amount for amount in (one, other) if amount is not None]
    return max(0, *known) if known else None


def _check_tokens(taken: int | None, decision: PolicyDecision) -> None:
    tokens = decision.limit("max_tokens")
    if tokens is not None:
        amount = _said(taken, tokens, "--estimate-tokens", decision)
        if amount > tokens.value:
            raise TooManyTokensError(
                f"{amount} tokens, and rule {tokens.rule} permits {tokens.value} for one lease",
                hint="State fewer, or lower the tool's allowance",
            )


def _check_cost(taken: int | None, decision: PolicyDecision) -> None:
    cost = decision.limit("max_cost")
    if cost is not None:
        amount = _said(taken, cost, "--estimate-cost", decision)
        if amount > cost.value:
            raise BudgetExceededError(
                f"${dollars(amount)}, and rule {cost.rule} permits ${dollars(cost.value)} "
                "for one lease",
                hint="State less, or lower the tool's allowance",
            )


def _said(amount: int | None, cap: Obligation, option: str, decision: PolicyDecision) -> int:
    if amount is None:
        raise PermissionDeniedError(
            f"rule {cap.rule} caps one lease, and nothing says what this one takes",
            hint=f"Give {option}, or set the tool's allowance",
            decision=decision,
        )
    return amount


def paced(limits: Iterable[Obligation], principal_id: str) -> Iterator[Charge]:
    """Yield what one request takes of these rates, each counted per principal and rule."""
    for limit in dict.fromkeys(limits):
        counter = _counter("rate", limit.rule, str(limit.value), principal_id)
        yield Charge(counter, "rate", limit.value, 1, limit.value.count, limit.rule)


def spent(
    budgets: Sequence[Budget], tool: Tool, principal: Principal, usage: Usage, now: datetime
) -> list[Charge]:
    """Return what was used, and is over, of each budget that it meets: tokens and cost alone."""
    amounts: dict[Metric, int | None] = {"tokens": usage.tokens, "cost": usage.cost}
    return [one for one in _budgeted(budgets, tool, principal, amounts, now) if one.amount]


def _budgeted(
    budgets: Sequence[Budget],
    tool: Tool,
    principal: Principal,
    taken: dict[Metric, int | None],
    now: datetime,
) -> Iterator[Charge]:
    for budget in budgets:
        for values in counted(budget, tool, principal):
            for (unit, metric), limit in budget.limits.items():
                counter = _counter("budget", budget.id, unit, metric, *values)
                span = window(unit, now, budget.zone)
                yield Charge(counter, metric, span, taken.get(metric) or 0, limit, budget.id)


def counted(budget: Budget, tool: Tool, principal: Principal) -> list[tuple[str, ...]]:
    """Return the values, in the order of `per`, of each counter of the budget that this touches.

    A request is counted on its principal and on its actor. A principal of none of the groups that
    a budget is counted by has a counter without a group, so that it is limited too.
    """
    if not budget.meets(tool):
        return []
    found: dict[tuple[str, ...], None] = {}
    for who, groups in _counted_principals(budget, principal):
        rows: list[tuple[str, ...]] = [()]
        for dimension in budget.per:
            options = _options(dimension, who, groups, tool)
            rows = [(*row, option) for row in rows for option in options]
        found.update(dict.fromkeys(rows))
    return list(found)


def _counted_principals(
    budget: Budget, principal: Principal
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield id and groups of the principal, and of its actor, of which only the id is known."""

    def meant(matches: Callable[[PrincipalPattern], bool]) -> bool:
        among = budget.principals is None or any(map(matches, budget.principals))
        return among and not any(map(matches, budget.except_))

    if meant(lambda one: one.matches(principal)):
        yield principal.id, principal.groups
    actor = principal.actor
    if actor is not None and meant(lambda one: one.matches_id(actor)):
        yield actor, ()


def _options(
    dimension: str | Pattern, who: str, groups: Sequence[str], tool: Tool
) -> Sequence[str]:
    if isinstance(dimension, Pattern):
        return [group for group in groups if dimension.matches(group)] or [""]
    match dimension:
        case "principal":
            return [who]
        case "provider":
            return [tool.provider.value]
        case "tool":
            return [tool.name]
        case _:
            return [tool.environment]


def _counter(*parts: str) -> str:
    """Return the name of a counter as a record can hold it, so that it can be recounted.

    A principal may look like a secret: anybody names the branches of CI jobs.
    """
    parts = tuple(part if redact(f'{part}"') == f'{part}"' else MASK for part in parts)
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=True)


def exceeded(charge: Charge, used: int, now: datetime, wait: float = 0.0) -> LimitError:
    """Return the error for a charge that would go over. `wait` in seconds, for rates."""
    if isinstance(charge.window, Rate):
        after = ceil(wait)
        who = f"rule {charge.source}" if charge.source else "the program"
        return RateLimitExceededError(
            f"{who} permits {charge.window}",
            hint=f"Try again in {after} s" if charge.limit else "Its rate is 0: never",
            retry_after=after if charge.limit else None,
        )
    span = charge.window
    left = ceil((span.end - now).total_seconds())
    ends = span.end.astimezone()
    of = ", ".join(json.loads(charge.counter)[4:]) or "all"
    return BudgetExceededError(
        f"budget {charge.source} for {of}: {_shown(charge, used)} of "
        f"{_shown(charge, charge.limit)} {charge.metric} used this {span.unit}, "
        f"{_shown(charge, charge.amount)} more asked for",
        hint=f"It begins anew at {ends:%Y-%m-%d %H:%M:%S %Z}",
        retry_after=left,
    )


def _shown(charge: Charge, amount: int) -> str:
    return f"${dollars(amount)}" if charge.metric == "cost" else str(amount)
