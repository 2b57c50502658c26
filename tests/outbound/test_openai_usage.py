"""What OpenAI says of the use of its keys, and what is not believed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from agentauth_cli.errors import ProviderAnswerError
from agentauth_cli.model import Usage
from agentauth_cli.outbound.openai_usage import billed
from support import openai_usage
from support.clock import FakeClock
from support.openai_api import PROJECT
from support.openai_usage import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

CLOCK = FakeClock()
NOW = int(CLOCK().timestamp())
DAY = 86_400


def call(key: str | None, days_ago: int, tokens: int, cost: str, project: str = PROJECT) -> Call:
    """Return a call that was made with a key."""
    at = NOW - days_ago * DAY
    return Call(at, project, "user", key, "gpt-4o", tokens, tokens, Decimal(cost))


class Told:
    """OpenAI's usage of these calls, asked as the server of the tests would be."""

    def __init__(self, *calls: Call) -> None:
        self.calls = calls
        self.asked: list[str] = []

    def __call__(self, path: str) -> Mapping[str, Any]:
        """Return a page."""
        self.asked.append(path)
        parts = urlsplit(path)
        query, what = parse_qs(parts.query), parts.path.rpartition("/")[2]
        if what == "costs":
            return openai_usage.costs(self.calls, query, NOW)
        return openai_usage.usage(self.calls, query, NOW, what)


def test_each_key_has_what_it_used() -> None:
    """Usage grouped by `api_key_id` is the lease's real spend."""
    told = Told(
        call("key_a", 0, 100, "0.01"),
        call("key_a", 1, 50, "0.0000001"),
        call("key_b", 0, 1, "0"),
        call(None, 0, 999, "9"),
        call("key_c", 0, 999, "9", project="proj_other"),
        call("key_a", 9, 999, "9"),
    )
    found = billed(told, PROJECT, CLOCK() - timedelta(days=2))
    assert found == {"key_a": Usage(300, 10_001), "key_b": Usage(2, 0)}


def test_page_after_page() -> None:
    """More days than a page has are asked for."""
    told = Told(*(call("key_a", days, 1, "0.5") for days in range(70)))
    found = billed(told, PROJECT, CLOCK() - timedelta(days=80))
    assert found == {"key_a": Usage(140, 35_000_000)}
    assert len(told.asked) == 12


def test_what_is_embedded_counts_too() -> None:
    """Tokens that are no completion's are used all the same: a charge is not lowered by them."""
    embedded = replace(call("key_a", 0, 100, "0.01"), kind="embeddings")
    judged = replace(call("key_a", 0, 10, "0"), kind="moderations")
    found = billed(Told(embedded, judged, call("key_a", 0, 1, "0")), PROJECT, CLOCK())
    assert found == {"key_a": Usage(112, 10_000)}


def test_the_first_day_is_whole() -> None:
    """A day is asked for from its beginning: no part of what a lease used is left out of it."""
    told = Told()
    billed(told, PROJECT, CLOCK().replace(hour=23, minute=59))
    for asked in told.asked:
        (start,) = parse_qs(urlsplit(asked).query)["start_time"]
        assert int(start) == NOW - NOW % DAY


GOOD = {"api_key_id": "key_a", "input_tokens": 1, "output_tokens": 1}
COST = {"api_key_id": "key_a", "amount": {"value": 0.5, "currency": "usd"}}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("usage", {}),
        ("usage", {"data": {}}),
        ("usage", {"data": ["x"]}),
        ("usage", {"data": [{}]}),
        ("usage", {"data": [{"results": [{**GOOD, "input_tokens": -1}]}]}),
        ("usage", {"data": [{"results": [{**GOOD, "input_tokens": 1.5}]}]}),
        ("usage", {"data": [{"results": [{**GOOD, "output_tokens": True}]}]}),
        ("usage", {"data": [{"results": [{**GOOD, "output_tokens": 10**13}]}]}),
        ("usage", {"data": [], "has_more": True}),
        ("usage", {"data": [], "has_more": True, "next_page": "again"}),
        ("costs", {"data": [{"results": [{**COST, "amount": None}]}]}),
        ("costs", {"data": [{"results": [{**COST, "amount": {"value": 1, "currency": "eur"}}]}]}),
        ("costs", {"data": [{"results": [{**COST, "amount": {"value": -1, "currency": "usd"}}]}]}),
        ("costs", {"data": [{"results": [{**COST, "amount": {"value": "1", "currency": "usd"}}]}]}),
    ],
)
def test_what_is_not_believed(path: str, answer: dict[str, Any]) -> None:
    """Other shapes, and what cannot be meant, are refused: nothing is recorded of them."""

    def get(asked: str) -> Mapping[str, Any]:
        return answer if path in asked.partition("?")[0] else {"data": []}

    with pytest.raises(ProviderAnswerError):
        billed(get, PROJECT, CLOCK())
