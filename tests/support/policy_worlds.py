"""Small policies and questions: so few names that rules and questions really meet."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from agentauth_cli.model import Principal, Question
from agentauth_cli.policy.rules import load
from agentauth_cli.terms import AUTHS, KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentauth_cli.policy.packed import Policy

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
ALICE = Principal("okta/alice", "alice")
QUESTION = Question(ALICE, "aws.s3.put", "bucket/key", "s3_upload", "dev", NOW)

Rule = dict[str, Any]
"""A rule as TOML gives it."""


QUICK = "AGENTAUTH_TEST_QUICK" in os.environ
"""`make mutants` runs the tests thousands of times: with few examples, in each run the same."""

_FEWER = 15


def property_of(examples: int) -> settings:
    """Return the settings of a property: so many examples, nothing kept on disk."""
    unhurried = settings(
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    if QUICK:
        phases = [Phase.explicit, Phase.generate]
        few = examples // _FEWER
        return settings(unhurried, max_examples=few, derandomize=True, phases=phases)
    return settings(unhurried, max_examples=examples)


# From rules to a policy


def toml(value: object) -> str:
    """Write a value as TOML; tables are written inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)


def written(rules: Sequence[Rule]) -> bytes:
    """Write rules as a policy file."""
    tables = [
        "[[rule]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in rule.items())
        for rule in rules
    ]
    return "\n".join(["version = 1\n", *tables]).encode()


def policy_of(*files: Sequence[Rule]) -> Policy:
    """Load rules, one sequence for each file, which has to work."""
    named = [(f"policy.d/{i}.toml", written(rules)) for i, rules in enumerate(files)]
    policy, problems = load(named)
    assert policy is not None, [str(one) for one in problems]
    return policy


def rule(rule_id: str = "r", effect: str = "allow", **parts: Any) -> Rule:
    """Return a rule for every principal, with these parts besides."""
    return {"id": rule_id, "effect": effect, "principals": ["*"], **parts}


class Asked(TypedDict, total=False):
    """What of a question a test names."""

    principal: Principal
    action: str
    resource: str
    tool: str
    environment: str
    time: datetime


def ask(**what: Unpack[Asked]) -> Question:
    """Return a well-formed question, with these things otherwise."""
    return replace(QUESTION, **what)


# Strategies


def _some(entries: Sequence[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(entries), min_size=1, max_size=2, unique=True)


def _sound(pieces: list[str]) -> str:
    text = "".join(pieces)
    while "**" in text:
        text = text.replace("**", "*")
    return text


_PIECES = (
    *("x", "y", "/", "*", "*", "x*"),
    *("${principal.name}", "${principal.claims.c}", "${principal.issuer}", "${tool}"),
    *("${environment}", "${principal.hash}"),
)
RESOURCES = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=4).map(_sound)
OBLIGATIONS: Mapping[str, st.SearchStrategy[Any]] = {
    "max_duration": st.sampled_from(["900s", "15m", "1h", "60m", "1s"]),
    "max_tokens": st.integers(0, 2),
    "max_cost": st.sampled_from(["0", "0.5", "0.50", "1"]),
    "rate_limit": st.one_of(
        st.sampled_from(["0/day", "1/second"]), _some(["0/day", "1/second", "2/hour"])
    ),
    "must_log": st.just(True),
    "require_reason": st.just(True),
    "delivery": st.sampled_from(
        [["stdout"], ["exec"], ["endpoint", "gateway"], ["exec", "stdout"]]
    ),
    "models": _some(["gpt-*", "*-mini"]),
}


TIMES = [
    *(NOW, NOW + timedelta(hours=13), NOW + timedelta(hours=14, seconds=-1)),
    *(NOW + timedelta(days=5, hours=15, minutes=59), datetime(2026, 3, 29, 1, tzinfo=UTC)),
    datetime(2026, 11, 23, 1, 30, tzinfo=timezone(timedelta(hours=9))),
    datetime.max.replace(tzinfo=UTC),
    datetime.min.replace(tzinfo=UTC),
]
HOURS = ["08:00-18:00", "22:00-06:00", "10:00-24:00", "00:00-10:00", "23:00-00:00", "10:00-09:59"]
CONDITIONS: Mapping[str, st.SearchStrategy[Any]] = {
    "claims": st.dictionaries(
        st.sampled_from("cd"),
        st.sampled_from(["x", "*", "x*", "7", "true"]) | _some(["x", "y", "7", "tr*"]),
        min_size=1,
        max_size=2,
    ),
    "auth": _some(["jwt", "api_key", "ci", "os"]),
    "after": st.sampled_from(TIMES[:3]),
    "before": st.sampled_from(TIMES[3:5]).filter(lambda time: time > TIMES[2]),
    "days": _some(["mon", "sun", "sat"]),
    "hours": st.sampled_from(HOURS),
    "actor": _some(["a/*", "*/agent", "b/agent"]),
    "max_session_age": st.sampled_from(["1h", "3600s", "1d"]),
}


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a `when` or an `unless`."""
    named = st.sampled_from(sorted(CONDITIONS))
    keys: set[str] = draw(st.sets(named, min_size=1, max_size=3))
    drawn = {key: draw(CONDITIONS[key]) for key in sorted(keys)}
    if draw(st.booleans()) and keys & {"days", "hours"}:
        drawn["tz"] = draw(st.sampled_from(["Europe/Paris", "Asia/Tokyo", "UTC"]))
    return drawn


@st.composite
def rules(draw: st.DrawFn, rule_id: str, effect: str | None = None) -> Rule:
    """Draw one rule with this id."""
    drawn: Rule = {
        "id": rule_id,
        "effect": effect or draw(st.sampled_from(["allow", "allow", "allow", "deny"])),
        "principals": draw(
            st.just(["*"])
            | _some(["*", "a/*", "*/x", "a/x", "kind:user", "group:a/*", "group:*/g"])
        ),
    }
    optional = {
        "tools": _some(["t", "*", "t*", "-"]),
        "actions": _some(["*", "aws.*", "*.get", "aws.s3.put"]),
        "resources": st.lists(RESOURCES, min_size=1, max_size=2),
        "environments": _some(["dev", "*", "d*", "prod"]),
    }
    for part, strategy in optional.items():
        if draw(st.integers(0, 3)) == 0 or (part == "resources" and draw(st.booleans())):
            drawn[part] = draw(strategy)
    for part in ("when", "unless"):
        if draw(st.integers(0, 4)) == 0:
            drawn[part] = draw(conditions())
    if drawn["effect"] == "allow" and draw(st.integers(0, 2)):
        named = st.sampled_from([*sorted(OBLIGATIONS), "delivery", "delivery"])
        names = draw(st.sets(named, min_size=1, max_size=3))
        drawn["obligations"] = {name: draw(OBLIGATIONS[name]) for name in sorted(names)}
    return drawn


@st.composite
def rule_sets(draw: st.DrawFn, most: int = 4) -> list[Rule]:
    """Draw the rules of a policy, in an order that is not that of their ids."""
    ids = draw(st.permutations("abc01"))
    return [draw(rules(rule_id)) for rule_id in ids[: draw(st.integers(0, most))]]


CLAIMS = st.dictionaries(
    st.sampled_from("cd"),
    st.sampled_from(
        [
            *("x", "y", "x/y", "..", "", 7, -7, True, False, None, 7.5, 1e30, {"x": "x"}),
            *("x\ud800", [], ["x"], ["y", "x"], ["x", 7], ["x", "\udfff"], ["x", ["x"]]),
        ]
    ),
    max_size=2,
)
PRINCIPALS = st.builds(
    Principal,
    id=st.sampled_from(["a/x", "a/y", "b/x", "a/x/y"]),
    name=st.sampled_from(["x", "x", "y", "xy", "a:b", "x..y", "", "é", "x" * 129]),
    kind=st.sampled_from(KINDS),
    auth=st.sampled_from(AUTHS),
    groups=st.lists(st.sampled_from(["a/g", "a/h", "b/g"]), max_size=2, unique=True).map(tuple),
    claims=CLAIMS,
    authenticated_at=st.sampled_from([None, *(NOW - timedelta(hours=one) for one in (1, 2, 25))]),
    actor=st.sampled_from([None, "a/x", "b/agent"]),
)
EXACT = st.text("xy/", min_size=1, max_size=4)
QUESTIONS = st.builds(
    Question,
    principal=PRINCIPALS,
    action=st.sampled_from(["aws.s3.put", "aws.s3.get", "gcp.gcs.get"]),
    resource=st.one_of(EXACT, st.text("xy/", max_size=3).map(lambda prefix: prefix + "*")),
    tool=st.sampled_from(["t", "u", "-"]),
    environment=st.sampled_from(["dev", "prod"]),
    time=st.just(NOW) | st.sampled_from(TIMES),
)
