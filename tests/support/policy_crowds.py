"""Policies of many rules whose names begin alike, and questions near them, from a seed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentauth_cli.model import Principal, Question

if TYPE_CHECKING:
    from random import Random

    from support.policy_worlds import Rule

SEGMENTS = ("a", "ab", "abc", "b", "acme", "acme-1", "acme-17", "é", "x", "y*", "*", "a*b", "*c")
VARIABLES = ("${principal.name}", "${principal.claims.c}", "${tool}")
SUBJECTS = ("a", "ab", "abc", "build-7", "build-77", "a/b", "é")
ISSUERS = ("okta", "key", "ci")
CLAIMS = ("x", "a/b", "ab", 7, None)
ACTIONS = ("aws.s3.put", "aws.s3.get", "aws.sqs.put", "gcp.gcs.get")
TOOLS = ("-", "upload", "upload-2", "read")
ENVIRONMENTS = ("dev", "dev-2", "prod")
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def _resource(random: Random) -> str:
    pieces = [random.choice(SEGMENTS) for _ in range(random.randint(1, 4))]
    if not random.randrange(6):
        pieces.append(random.choice(VARIABLES))
    return "/".join(pieces)


def _principal(random: Random) -> str:
    issuer, subject = random.choice(ISSUERS), random.choice(SUBJECTS)
    return random.choice(
        (
            *("*", "kind:agent", "kind:user", f"{issuer}/*", f"{issuer}/{subject}"),
            *(f"{issuer}/{subject}*", f"group:{issuer}/{subject}", f"group:{issuer}/*"),
            *(f"*/{subject}", f"{issuer}/{subject}", f"{issuer}/*{subject}"),
        )
    )


def _starred(random: Random, names: tuple[str, ...]) -> str:
    name = random.choice(names)
    return name if random.randrange(2) else name[: random.randint(0, len(name) - 1)] + "*"


def _some(random: Random, one: Any) -> list[str]:
    return [one() for _ in range(random.choice((1, 1, 1, 2, 3)))]


def _conditions(random: Random) -> dict[str, Any]:
    return random.choice(
        (
            {"claims": {"c": ["x", "a*"]}},
            {"auth": ["jwt"]},
            {"after": NOW - timedelta(hours=1), "before": NOW + timedelta(hours=1)},
            {"max_session_age": "1h"},
            {"hours": "09:00-11:00", "tz": "Europe/Paris", "claims": {"d": "*"}},
        )
    )


def _obligations(random: Random) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "max_duration": random.choice(("900s", "15m", "1h")),
        "max_tokens": random.randrange(3),
        "rate_limit": random.choice(("1/day", ["2/hour", "1/day"])),
        "must_log": True,
        "delivery": random.choice((["exec"], ["stdout", "exec"], ["stdout"])),
        "models": ["gpt-*"],
    }
    return {name: whole[name] for name in random.sample(sorted(whole), random.randint(1, 2))}


def crowd(random: Random, most: int) -> list[Rule]:
    """Return rules in any order; each part is there about every other time."""
    rules: list[Rule] = []
    for number in random.sample(range(1000), random.randint(0, most)):
        rule: Rule = {
            "id": f"r{number}",
            "effect": random.choice(("allow", "allow", "allow", "deny")),
            "principals": _some(random, lambda: _principal(random)),
        }
        if random.randrange(2):
            rule["tools"] = _some(random, lambda: _starred(random, TOOLS[1:]))
        if random.randrange(2):
            rule["actions"] = _some(random, lambda: random.choice((*ACTIONS, "aws.*", "*.get")))
        if random.randrange(5):
            rule["resources"] = _some(random, lambda: _resource(random))
        if random.randrange(2):
            rule["environments"] = _some(random, lambda: _starred(random, ENVIRONMENTS))
        for part in ("when", "unless"):
            if not random.randrange(8):
                rule[part] = _conditions(random)
        if rule["effect"] == "allow" and not random.randrange(3):
            rule["obligations"] = _obligations(random)
        rules.append(rule)
    return rules


def _id(random: Random) -> str:
    return f"{random.choice(ISSUERS)}/{random.choice(SUBJECTS)}"


def _asker(random: Random) -> Principal:
    return Principal(
        _id(random),
        random.choice(("a", "ab", "build-7", "no name", "")),
        kind=random.choice(("user", "agent")),
        auth=random.choice(("jwt", "api_key")),
        groups=tuple(
            f"{random.choice(ISSUERS)}/{random.choice(SUBJECTS)}"
            for _ in range(random.randrange(3))
        ),
        claims={
            name: random.choice(("x", "a/b", "ab", 7, None))
            for name in random.choice(("", "c", "cd"))
        },
        authenticated_at=random.choice((None, NOW - timedelta(minutes=9), NOW - timedelta(days=1))),
    )


def questions(random: Random, rules: list[Rule], many: int) -> list[Question]:
    """Return questions: three of four are made to meet a rule in most of its parts."""
    asked = []
    for _ in range(many):
        plain = "/".join(random.choice(SEGMENTS) for _ in range(random.randint(1, 4)))
        resource = plain.replace("*", random.choice(("", "q", "acme")))
        question = Question(
            _asker(random),
            random.choice(ACTIONS),
            resource + "*" * (not random.randrange(4)),
            random.choice(TOOLS),
            random.choice(ENVIRONMENTS),
            NOW + timedelta(hours=random.choice((0, 0, 0, 3))),
        )
        if rules and random.randrange(4):
            question = _towards(random, question, random.choice(rules))
        asked.append(question)
    return asked


def _towards(random: Random, question: Question, rule: Rule) -> Question:
    def name(part: str) -> str:
        text: str = random.choice(rule[part])
        for variable in VARIABLES:
            text = text.replace(variable, "ab")
        return text.replace("*", random.choice(("", "q")))

    found: dict[str, Any] = {
        key: name(part)
        for part, key in (
            *(("tools", "tool"), ("actions", "action"), ("environments", "environment")),
            ("resources", "resource"),
        )
        if part in rule and random.randrange(5)
    }
    if "resource" in found and not random.randrange(4):
        found["resource"] = found["resource"][: random.randint(0, len(found["resource"]))] + "*"
    return replace(question, **{key: one for key, one in found.items() if one})
