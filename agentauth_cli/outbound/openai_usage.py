"""What OpenAI counted and billed for each API key: usage of tokens, and costs.

Source: OpenAI's API reference, "Usage": those of ``/organization/usage`` that count tokens, and
``/organization/costs``, all in buckets of a day, page by page.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from agentauth_cli.errors import ProviderAnswerError
from agentauth_cli.model import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    Get = Callable[[str], Mapping[str, Any]]
    """Asks for a path below the base URL; returns the JSON object that came."""

_USAGE = tuple(
    f"/organization/usage/{kind}" for kind in ("completions", "embeddings", "moderations")
)
_COSTS = "/organization/costs"
_DAYS = 31  # of a page: as many as both give
_DAY = 86_400  # seconds
_PAGES = 10  # more than the days that anybody asks for have
_MICRO = 1_000_000
_MOST = 10**12
"""Tokens of a day, or USD: what is more cannot be meant."""


def billed(get: Get, project: str, since: datetime) -> dict[str, Usage]:
    """Return tokens, and cost in micro-dollars, of each key of a project that was used since.

    Days are whole ones, in UTC. Raises ProviderError where it is not told, or not to be believed.
    """
    tokens: dict[str, int] = defaultdict(int)
    cost: dict[str, Decimal] = defaultdict(Decimal)
    for path in _USAGE:
        for key, said in _results(get, path, project, since):
            tokens[key] += _count(said, "input_tokens") + _count(said, "output_tokens")
    for key, said in _results(get, _COSTS, project, since):
        cost[key] += _dollars(said)
    return {
        key: Usage(tokens.get(key, 0), _micro(cost.get(key, Decimal())))
        for key in sorted(tokens.keys() | cost.keys())
    }


def _results(
    get: Get, path: str, project: str, since: datetime
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each result with its key; what belongs to no key is nobody's lease."""
    query = {
        "start_time": int(since.timestamp()) // _DAY * _DAY,
        "bucket_width": "1d",
        "limit": _DAYS,
        "project_ids": project,
        "group_by": "api_key_id",
    }
    page: object = None
    for _ in range(_PAGES):
        asked = query if page is None else {**query, "page": page}
        answer = get(f"{path}?{urlencode(asked)}")
        for bucket in _list(answer, "data"):
            for said in _list(bucket, "results"):
                if isinstance(key := said.get("api_key_id"), str):
                    yield key, said
        if answer.get("has_more") is not True:
            return
        page = answer.get("next_page")
        if not isinstance(page, str):
            raise ProviderAnswerError(f"OpenAI's {path} has more pages, and names none")
    raise ProviderAnswerError(f"OpenAI's {path} has no end")


def _list(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = answer.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ProviderAnswerError(f"OpenAI's usage has no list `{name}`")
    return found


def _count(said: Mapping[str, Any], name: str) -> int:
    count = said.get(name, 0)
    if type(count) is not int or not 0 <= count <= _MOST:
        raise ProviderAnswerError(f"OpenAI's usage has no usable `{name}`")
    return count


def _dollars(said: Mapping[str, Any]) -> Decimal:
    """Return an amount that is none below nothing: what OpenAI gives back is not a lease's."""
    amount = said.get("amount")
    value: Any = amount.get("value") if isinstance(amount, dict) else None
    if (
        not isinstance(amount, dict)
        or type(value) not in {int, float}
        or amount.get("currency") != "usd"
        or not 0 <= value <= _MOST
    ):
        raise ProviderAnswerError("OpenAI's costs have no usable amount in USD")
    return Decimal(str(value))


def _micro(dollars: Decimal) -> int:
    return int((dollars * _MICRO).to_integral_value(ROUND_CEILING))
