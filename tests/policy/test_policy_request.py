"""A whole request as JSON: strict, and nothing is filled in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentauth_cli.model import Principal, Question
from agentauth_cli.policy.request import question

WHO = {"id": "okta/alice", "kind": "user", "auth": "jwt"}
WHOLE: dict[str, Any] = {
    "principal": WHO,
    "action": "aws.s3.put",
    "resource": "s3://bucket/key",
    "tool": "-",
    "environment": "dev",
    "at": "2026-11-23T11:00:00+01:00",
}
NOON = datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_the_smallest_request() -> None:
    """Principal with kind and auth, action, resource, tool, environment, time."""
    who = Principal("okta/alice", "alice")
    expected = Question(who, "aws.s3.put", "arn:aws:s3:::bucket/key", "-", "dev", NOON)
    assert question(WHOLE, {}) == expected


def test_all_of_a_principal() -> None:
    """`principal` with `id`, `kind`, `groups`, `claims`, `auth`, `session_age`, `actor`."""
    more = {"groups": ["okta/eng"], "claims": {"email": "al"}, "session_age": 60, "actor": "key/x"}
    more |= {"kind": "agent", "auth": "ci"}
    who = question({**WHOLE, "principal": {**WHO, **more}}, {"okta": "email"}).principal
    assert (who.groups, who.claims, who.actor) == (("okta/eng",), {"email": "al"}, "key/x")
    assert who.authenticated_at == NOON - timedelta(seconds=60)
    assert (who.name, who.kind, who.auth) == ("al", "agent", "ci")


def test_what_a_principal_need_not_have() -> None:
    """Empty groups and claims, no age and no actor are answers too."""
    more: dict[str, Any] = {"groups": [], "claims": {}, "session_age": None, "actor": None}
    assert question({**WHOLE, "principal": {**WHO, **more}}, {}) == question(WHOLE, {})


@pytest.mark.parametrize("key", sorted(WHOLE))
def test_a_missing_part(key: str) -> None:
    """It has all of: principal (with kind and auth), action, resource, tool, environment, time."""
    with pytest.raises(ValueError, match=f"^missing key '{key}'$"):
        question({name: value for name, value in WHOLE.items() if name != key}, {})


@pytest.mark.parametrize("key", sorted(WHO))
def test_a_missing_part_of_the_principal(key: str) -> None:
    """A well-formed request has a principal with kind and auth."""
    who = {name: value for name, value in WHO.items() if name != key}
    with pytest.raises(ValueError, match=f"^principal: missing key '{key}'$"):
        question({**WHOLE, "principal": who}, {})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tol": "x"}, "tol: unknown key 'tol': did you mean `tool`?"),
        ({"tool": None}, "tool: expected a string"),
        ({"action": 7}, "action: expected a string"),
        ({"at": "2026-11-23T10:00:00"}, "at: expected a date-time such as 2026-11-23T10:00:00Z"),
        ({"at": "noon"}, "at: expected a date-time such as"),
        ({"at": 7}, "at: expected a string"),
        ({"principal": "okta/alice"}, "principal: expected a table, got a string"),
        ({"principal": {**WHO, "kind": "bot"}}, "principal.kind: expected one of user, agent"),
        ({"principal": {**WHO, "auth": None}}, "principal.auth: expected one of jwt"),
        ({"principal": {**WHO, "groups": "a/b"}}, "principal.groups: expected an array"),
        ({"principal": {**WHO, "groups": [7]}}, "principal.groups: expected a string"),
        ({"principal": {**WHO, "claims": []}}, "principal.claims: expected an object"),
        ({"principal": {**WHO, "actor": 7}}, "principal.actor: expected a string"),
        ({"principal": {**WHO, "session_age": "8h"}}, "principal.session_age: expected an integer"),
        ({"principal": {**WHO, "session_age": -1}}, "principal.session_age: expected an integer"),
        (
            {"principal": {**WHO, "session_age": 10**15}},
            "principal.session_age: older than any date",
        ),
    ],
)
def test_what_is_wrong(changed: dict[str, Any], said: str) -> None:
    """A wrong type or an unknown key is malformed."""
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        question({**WHOLE, **changed}, {})
