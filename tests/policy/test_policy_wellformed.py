"""Every sentence of "A well-formed request", asked of a policy that allows everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentauth_cli.model import Decision, Question
from agentauth_cli.policy.decide import evaluate
from agentauth_cli.terms import AUTHS, KINDS
from support.policy_worlds import ALICE, NOW, ask, policy_of, rule

EVERYTHING = policy_of([rule()])

PLACES = ["resource", "id", "actor", "groups"]
"""Where names stand that are long and may hold any character."""


def allowed(question: Question) -> bool:
    """Say whether a question is allowed; if it is not, it has to be malformed."""
    answer = evaluate(EVERYTHING, question)
    if answer.decision is Decision.ALLOW:
        return True
    assert answer.reason.startswith("malformed request: ")
    assert (answer.rules, answer.obligations, answer.nearest) == ((), {}, None)
    return False


def naming(place: str, name: str) -> Question:
    """Return a question with a name in one place; of an id it is the subject."""
    if place == "resource":
        return ask(resource=name)
    if place in {"tool", "environment"}:
        return ask(tool=name) if place == "tool" else ask(environment=name)
    whole: Any = f"okta/{name}"
    who: dict[str, Any] = {place: (whole,) if place == "groups" else whole}
    return ask(principal=replace(ALICE, **who))


@pytest.mark.parametrize("place", PLACES)
def test_the_length_of_names(place: str) -> None:
    """Names are 1 to 2,048 bytes (tool and environment: 1 to 64, `[A-Za-z0-9._-]`)."""
    most = 2048 if place == "resource" else 2048 - len("okta/")
    assert allowed(naming(place, "x"))
    assert allowed(naming(place, "x" * most))
    assert allowed(naming(place, "é" * (most // 2)))
    for name in ("", "x" * (most + 1), "é" * (most // 2) + "xx", "x" * 10**6):
        assert not allowed(naming(place, name))


def test_the_length_of_scopes_and_actions() -> None:
    """Names are 1 to 2,048 bytes: a scope's star and an action's dots count."""
    assert allowed(ask(resource="*"))
    assert allowed(ask(resource="x" * 2047 + "*"))
    assert not allowed(ask(resource="x" * 2048 + "*"))
    assert allowed(ask(action="a.b." + "c" * 2044))
    assert not allowed(ask(action="a.b." + "c" * 2045))


@pytest.mark.parametrize("place", ["tool", "environment"])
def test_tools_and_environments(place: str) -> None:
    """Names are 1 to 2,048 bytes (tool and environment: 1 to 64, `[A-Za-z0-9._-]`)."""
    for name in ("-", "x", "x" * 64, "A.b_c-9", "...", ".x"):
        assert allowed(naming(place, name))
    for name in ("", "x" * 65, "a b", "a/b", "a:b", "é", "a\n", "*", "a*", ".", ".."):
        assert not allowed(naming(place, name))


NOT_NFC = ["e\u0301", "\u212b", "\u1100\u1161", "a\u0345\u0301", "\uf900"]
CATEGORIES = {
    "Cc": "\x00\x1f\x7f\x85\n",
    "Cf": "\xad\u200b\u202e\u2066\ufeff\U000e0041",
    "Cs": "\ud800\udfff",
    "Zl": "\u2028",
    "Zp": "\u2029",
}
OTHERS = [
    "a b",
    "é",
    "日本",
    "a\u00a0b",
    "\U0001f600",
    "$a{b}",
    "a'b\"c",
    "a%2e",
    "a:b@c#d,e=f",
    "~",
]


@pytest.mark.parametrize("place", PLACES)
def test_characters(place: str) -> None:
    """In Unicode NFC, with no character of the categories Cc, Cf, Cs, Zl, Zp."""
    for bad in (*NOT_NFC, *"".join(CATEGORIES.values())):
        for name in (bad, f"a{bad}", f"a{bad}b", f"a/{bad}"):
            assert not allowed(naming(place, name))
    for good in OTHERS:
        assert allowed(naming(place, good))


@pytest.mark.parametrize("place", PLACES)
def test_what_means_something_to_others(place: str) -> None:
    r"""No `?`, `\`, `${`."""
    for bad in ("?", "\\", "${", "${tool}", "a?b", "a\\*", "x/${"):
        assert not allowed(naming(place, bad))
    for good in ("$", "{", "$ {", "}", "{$"):
        assert allowed(naming(place, good))


@pytest.mark.parametrize("place", PLACES)
def test_dots_between_slashes(place: str) -> None:
    """No `.` or `..` as a whole segment between slashes or at either end."""
    for bad in ("a/./b", "a/../b", "a/.", "a/..", "a//..", "a/../", "./a", "../a", ".", ".."):
        assert not allowed(naming(place, bad))
    for good in ("a/.../b", "a/.b", "a/b.", "a/..b", "...", "a..b", "a//b", "a/"):
        assert allowed(naming(place, good))


def test_dots_in_scopes() -> None:
    """Also in the prefix of a scope; nor as a whole tool or environment."""
    for bad in ("./*", "../*", "a/../*", "a/./*", "a/..*", "a/.*", ".*", "..*"):
        assert not allowed(ask(resource=bad))
    for good in ("a/.x*", "a/...*", "a/..x/*"):
        assert allowed(ask(resource=good))


def test_stars() -> None:
    """A `*` may stand only as the last character of a resource."""
    for good in ("*", "a*", "a/*"):
        assert allowed(ask(resource=good))
    for bad in ("**", "*a", "a*b", "a*b*", "a**"):
        assert not allowed(ask(resource=bad))
    for place in ("id", "actor", "groups"):
        assert not allowed(naming(place, "a*"))
    assert not allowed(ask(action="aws.s3.*"))


@pytest.mark.parametrize(
    "action",
    [
        *("", "aws", "aws.s3", "aws.s3.put.x", "aws..put", ".s3.put", "aws.s3.", "AWS.s3.put"),
        *("aws.s3.pút", "aws.s3.put\n", "aws/s3/put", " aws.s3.put", "aws:s3:put", "..", "..."),
    ],
)
def test_actions(action: str) -> None:
    """An action is three parts of `[a-z0-9_-]+` joined by dots."""
    assert not allowed(ask(action=action))
    assert allowed(ask(action="a-1._.0"))


def test_kinds_and_ways() -> None:
    """Kind and auth are of the known values."""
    for known in ({"kind": kind, "auth": auth} for kind in KINDS for auth in AUTHS):
        who: dict[str, Any] = dict(known)
        assert allowed(ask(principal=replace(ALICE, **who)))
    for key in ("kind", "auth"):
        for unknown in ("", "robot", "User", "JWT", None):
            who = {key: unknown}
            assert not allowed(ask(principal=replace(ALICE, **who)))


def test_a_time_without_an_offset() -> None:
    """It has all of: principal (with kind and auth), action, resource, tool, environment, time."""
    assert not allowed(ask(time=NOW.replace(tzinfo=None)))
