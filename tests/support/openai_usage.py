"""What OpenAI counts: each call by project, service account, key and model, in buckets of time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.openai_org import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

WIDTHS = {"1m": (60, 60, 1440), "1h": (3600, 24, 168), "1d": (86_400, 7, 31)}
"""Seconds of a bucket, how many of them by default, how many at most."""
COST_BUCKETS = 180
KINDS = ("completions", "embeddings", "moderations")
"""Which usage counts tokens."""
USAGE_GROUPS = ("project_id", "user_id", "api_key_id", "model")
COST_GROUPS = ("project_id", "user_id", "api_key_id", "line_item")
FILTERS = {"project_ids": "project_id", "api_key_ids": "api_key_id", "models": "model"}


@dataclass(frozen=True)
class Call:
    """One call of a model. `cost` in USD; `kind` is the usage that it counts among."""

    at: int
    project_id: str
    user_id: str
    api_key_id: str | None
    model: str
    input_tokens: int
    output_tokens: int
    cost: Decimal
    kind: str = "completions"

    @property
    def line_item(self) -> str:
        """What it stands under on the invoice."""
        return self.model


Query = dict[str, list[str]]


def usage(
    calls: Sequence[Call], query: Query, now: float, kind: str = "completions"
) -> dict[str, Any]:
    """Return a page of /organization/usage/KIND."""
    if kind not in KINDS:
        raise RefusedError(404, "not_found", f"there is no usage of {kind}")
    calls = [one for one in calls if one.kind == kind]
    width = _one(query, "bucket_width", "1d")
    if width not in WIDTHS:
        raise RefusedError(400, "invalid_value", "bucket_width is none of 1m, 1h, 1d")
    seconds, usual, most = WIDTHS[width]
    groups = _groups(query, USAGE_GROUPS)
    return _page(calls, query, now, (seconds, usual, most), lambda one: _usage(one, groups, kind))


def costs(calls: Sequence[Call], query: Query, now: float) -> dict[str, Any]:
    """Return a page of /organization/costs."""
    if _one(query, "bucket_width", "1d") != "1d":
        raise RefusedError(400, "invalid_value", "bucket_width is not 1d")
    groups = _groups(query, COST_GROUPS)
    return _page(calls, query, now, (86_400, 7, COST_BUCKETS), lambda one: _costs(one, groups))


def _page(
    calls: Sequence[Call], query: Query, now: float, shape: tuple[int, int, int], results: Any
) -> dict[str, Any]:
    seconds, usual, most = shape
    start = int(_one(query, "page", _one(query, "start_time")).removeprefix("page_"))
    end = int(_one(query, "end_time", str(int(now) + 1)))
    limit = int(_one(query, "limit", str(usual)))
    if not 1 <= limit <= most:
        raise RefusedError(400, "invalid_value", f"limit is not between 1 and {most}")
    calls = [one for one in calls if start <= one.at < end and _wanted(one, query)]
    begins = range(start - start % seconds, end, seconds)
    data = [
        {
            "object": "bucket",
            "start_time": begin,
            "end_time": begin + seconds,
            "results": results([one for one in calls if begin <= one.at < begin + seconds]),
        }
        for begin in begins[:limit]
    ]
    more = len(begins) > limit
    following = f"page_{begins[limit]}" if more else None
    return {"object": "page", "data": data, "has_more": more, "next_page": following}


def _usage(calls: Sequence[Call], groups: Sequence[str], kind: str) -> list[dict[str, Any]]:
    def output(members: Sequence[Call]) -> dict[str, int]:
        if kind != "completions":
            return {}
        made = sum(one.output_tokens for one in members)
        return {"output_tokens": made, "input_cached_tokens": 0}

    return [
        {
            "object": f"organization.usage.{kind}.result",
            "input_tokens": sum(one.input_tokens for one in members),
            **output(members),
            "num_model_requests": len(members),
            **dict.fromkeys(USAGE_GROUPS),
            **dict(zip(groups, values, strict=True)),
        }
        for values, members in _grouped(calls, groups)
    ]


def _costs(calls: Sequence[Call], groups: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "object": "organization.costs.result",
            "amount": {"value": float(sum(one.cost for one in members)), "currency": "usd"},
            **dict.fromkeys(COST_GROUPS),
            **dict(zip(groups, values, strict=True)),
        }
        for values, members in _grouped(calls, groups)
    ]


def _grouped(calls: Sequence[Call], groups: Sequence[str]) -> list[tuple[Any, list[Call]]]:
    found: dict[Any, list[Call]] = defaultdict(list)
    for one in calls:
        found[tuple(getattr(one, group) for group in groups)].append(one)
    return list(found.items())


def _groups(query: Query, known: Sequence[str]) -> list[str]:
    groups = query.get("group_by", [])
    if not set(groups) <= set(known):
        raise RefusedError(400, "invalid_value", f"group_by is none of {', '.join(known)}")
    return groups


def _wanted(call: Call, query: Query) -> bool:
    return all(
        getattr(call, name) in query[filter_]
        for filter_, name in FILTERS.items()
        if filter_ in query
    )


def _one(query: Query, name: str, otherwise: str | None = None) -> str:
    found = query.get(name, [] if otherwise is None else [otherwise])
    if len(found) != 1:
        raise RefusedError(400, "missing_required_parameter", f"{name} is needed, once")
    return found[0]
