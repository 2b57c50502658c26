"""The rules of an organisation of teams, with the same meaning here and in Cedar, and requests.

Cedar's policies are written as Cedar is quickest: who and which action stand in the scope, a group
is a parent, and what is compared by pattern is an attribute. An obligation is an annotation.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentauth_cli.model import Principal, Question
from agentauth_cli.policy.rule import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

IN_FILE = 20_000
ACCOUNT = "123456789012"
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
FREEZE = (datetime(2026, 12, 20, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC))
IN_FREEZE = datetime(2026, 12, 24, 12, tzinfo=UTC)

S3_WRITE, S3_READ, S3_DELETE = "aws.s3.put", "aws.s3.get", "aws.s3.delete"


@dataclass(frozen=True, slots=True)
class BenchRule:
    """One rule before it is written in a language."""

    id: str
    effect: str
    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    auth: str = ""
    claims: Mapping[str, str] = field(default_factory=dict)
    unless: Mapping[str, str] = field(default_factory=dict)
    frozen: bool = False
    obligations: Mapping[str, Any] = field(default_factory=dict)


def organisation(count: int) -> list[BenchRule]:
    """Return so many rules: six of the platform, the others of teams."""
    found = _platform()
    team = 0
    while len(found) < count:
        found += _team(f"team-{team}")
        team += 1
    return found[:count]


def _platform() -> list[BenchRule]:
    shared = "arn:aws:s3:::acme-shared/*"
    everyone = ("*",)
    return [
        BenchRule("freeze-prod", "deny", everyone, (), environments=("prod",), frozen=True),
        BenchRule("no-iam", "deny", ("kind:agent",), ("aws.iam.*",)),
        BenchRule("no-payroll", "deny", everyone, (), ("arn:aws:s3:::acme-payroll/*",)),
        BenchRule("shared-read", "allow", ("group:okta/staff", "kind:agent"), (S3_READ,), (shared,),
                  obligations={"max_duration": "1h"}),
        BenchRule("shared-write", "allow", ("group:okta/platform",), (S3_WRITE,), (shared,),
                  obligations={"require_reason": True}),
        BenchRule("models", "allow", ("kind:agent",), ("openai.chat.create",),
                  ("openai:model/small-*",), obligations={"max_tokens": 20_000}),
    ]  # fmt: skip


def _team(name: str) -> list[BenchRule]:
    agents, people = f"key/{name}-*", f"group:okta/{name}"
    bucket = f"arn:aws:s3:::acme-{name}/*"
    queue = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{name}-*"
    table = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/{name}-*"
    role = f"arn:aws:iam::{ACCOUNT}:role/{name}-deploy"
    tests = ("dev", "staging")
    return [
        BenchRule(f"{name}-upload", "allow", (agents,), (S3_WRITE,), (bucket,), ("s3_upload",),
                  tests, obligations={"max_duration": "15m", "rate_limit": "30/minute"}),
        BenchRule(f"{name}-read", "allow", (agents, people), (S3_READ, "aws.s3.list"), (bucket,),
                  obligations={"max_duration": "1h"}),
        BenchRule(f"{name}-deploy", "allow", (f"key/{name}-ci",), ("aws.sts.assume",), (role,),
                  environments=("prod",), auth="ci", claims={"repository_owner": "acme"},
                  obligations={"must_log": True, "max_duration": "15m"}),
        BenchRule(f"{name}-no-trial", "deny", (f"key/{name}-trial-*",), (S3_WRITE, S3_DELETE)),
        BenchRule(f"{name}-chat", "allow", ("kind:agent",), ("openai.chat.create",),
                  (f"openai:project/{name}",), obligations={"max_cost": "0.50"}),
        BenchRule(f"{name}-queue", "allow", (agents,), ("aws.sqs.*",), (queue,),
                  obligations={"rate_limit": "10/second"}),
        BenchRule(f"{name}-table", "allow", (people,), ("aws.dynamodb.get", "aws.dynamodb.put"),
                  (table,), unless={"suspended": "yes"}, obligations={"require_reason": True}),
        BenchRule(f"{name}-archive", "deny", ("*",), (S3_WRITE, S3_DELETE),
                  (f"arn:aws:s3:::acme-{name}/archive/*",)),
    ]  # fmt: skip


def files(rules: Sequence[BenchRule]) -> list[tuple[str, bytes]]:
    """Return the rules as policy files, name and content: one may have 16 MiB at most."""
    parts = [rules[at : at + IN_FILE] for at in range(0, len(rules), IN_FILE)]
    return [
        (
            f"policy.d/{number:03}.toml" if number else "policy.toml",
            "\n".join(["version = 1", *map(_toml, part)]).encode(),
        )
        for number, part in enumerate(parts)
    ]


def _toml(rule: BenchRule) -> str:
    lines = ["[[rule]]", f'id = "{rule.id}"', f'effect = "{rule.effect}"']
    given = {part: getattr(rule, part) for part in NAMES}
    lines += [f"{part} = {json.dumps(names)}" for part, names in given.items() if names]
    when = [f'auth = ["{rule.auth}"]'] if rule.auth else []
    when += [f"claims = {_inline(rule.claims)}"] if rule.claims else []
    if rule.frozen:
        when += [f"after = {FREEZE[0].isoformat()}", f"before = {FREEZE[1].isoformat()}"]
    if when:
        lines.append(f"when = {{ {', '.join(when)} }}")
    if rule.unless:
        lines.append(f"unless = {{ claims = {_inline(rule.unless)} }}")
    if rule.obligations:
        lines.append(f"obligations = {_inline(rule.obligations)}")
    return "\n".join(lines)


def _inline(values: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{name} = {json.dumps(one)}" for name, one in values.items()) + " }"


def cedar(rules: Iterable[BenchRule]) -> str:
    """Return the rules as policies of Cedar."""
    return "\n".join(_cedar(rule) for rule in rules)


def _cedar(rule: BenchRule) -> str:
    lines = [f'@id("{rule.id}")']
    lines += [f"@{name}({json.dumps(str(one))})" for name, one in rule.obligations.items()]
    who, tests = _principals(rule.principals)
    exact = [f'Action::"{one}"' for one in rule.actions if "*" not in one]
    action = "action"
    if exact and len(exact) == len(rule.actions):
        action = f"action == {exact[0]}" if len(exact) == 1 else f"action in [{', '.join(exact)}]"
    effect = "permit" if rule.effect == "allow" else "forbid"
    lines.append(f"{effect}({who}, {action}, resource)")
    if action == "action" and rule.actions:
        tests.append(_like("context.action", rule.actions))
    for names, attribute in ((rule.tools, "tool"), (rule.environments, "environment")):
        if names:
            tests.append(_like(f"context.{attribute}", names))
    if rule.resources:
        tests.append(_like("context.resource", rule.resources))
    if rule.auth:
        tests.append(f'context.auth == "{rule.auth}"')
    if rule.frozen:
        after, before = (int(one.timestamp()) for one in FREEZE)
        tests.append(f"context.now >= {after} && context.now < {before}")
    tests += [_claim(name, value) for name, value in rule.claims.items()]
    if tests:
        lines.append(f"when {{ {' && '.join(tests)} }}")
    if rule.unless:
        lines.append(f"unless {{ {' && '.join(_claim(*one) for one in rule.unless.items())} }}")
    return "\n".join(lines) + ";"


def _principals(patterns: Sequence[str]) -> tuple[str, list[str]]:
    """Return the scope's part and, where that cannot say it, the condition."""
    if patterns == ("*",):
        return "principal", []
    scopes = {"group:": 'principal in Group::"{}"', "kind:": "principal is {}"}
    tests = []
    for pattern in patterns:
        for prefix, scope in scopes.items():
            if pattern.startswith(prefix):
                tests.append(scope.format(pattern.removeprefix(prefix)))
                break
        else:
            tests.append(_like("principal.id", [pattern]))
    if len(tests) == 1 and not tests[0].startswith("principal.id"):
        return tests[0], []
    return "principal", [f"({' || '.join(tests)})"]


def _like(attribute: str, patterns: Sequence[str]) -> str:
    tests = [f'{attribute} {"like" if "*" in one else "=="} "{one}"' for one in patterns]
    return tests[0] if len(tests) == 1 else f"({' || '.join(tests)})"


def _claim(name: str, value: str) -> str:
    return f'context.claims has {name} && context.claims.{name} == "{value}"'


def requests(rules: Sequence[BenchRule], count: int, seed: int = 17) -> list[Question]:
    """Return a mix: half what allow rules are about, a quarter what deny rules are about.

    The last quarter is what allow rules are about, but for one thing that is somebody else's.
    """
    chance = random.Random(seed)  # noqa: S311 - a mix that is the same every time
    about = {what: [one for one in rules if one.effect == what] for what in ("allow", "deny")}
    turns = ("allow", "allow", "deny", "allow but")
    return [_request(about, turns[i % len(turns)], chance) for i in range(count)]


def _request(
    about: Mapping[str, Sequence[BenchRule]], turn: str, chance: random.Random
) -> Question:
    effect, _, but = turn.partition(" ")
    rule = chance.choice(about[effect])
    principal, action, resource, tool, environment, time = _about(rule, chance)
    if but:
        if chance.randrange(2):
            resource = resource.replace("acme-", "other-").replace(ACCOUNT, "210987654321")
        else:
            action = chance.choice(("aws.kms.decrypt", "aws.s3.list", S3_DELETE))
    return Question(principal, action, resource, tool, environment, time)


def _about(
    rule: BenchRule, chance: random.Random
) -> tuple[Principal, str, str, str, str, datetime]:
    number = str(chance.randrange(5))
    who = chance.choice(rule.principals)
    team = rule.id.rpartition("-")[0] if rule.id.startswith("team-") else "team-0"
    claims = {"repository_owner": "acme", "plan": "standard"}
    if who.startswith("group:"):
        group = who.removeprefix("group:")
        groups = tuple(dict.fromkeys(("okta/staff", group)))
        principal = Principal(f"{group}.{number}", "", "user", "jwt", groups, claims)
    else:
        name = f"key/{team}-{number}" if who in {"*", "kind:agent"} else who.replace("*", number)
        principal = Principal(name, "", "agent", "ci" if rule.auth else "api_key", (), claims)
    action = chance.choice(rule.actions) if rule.actions else S3_WRITE
    resource = chance.choice(rule.resources) if rule.resources else "arn:aws:s3:::acme-team-0/*"
    return (
        principal,
        action.replace("*", "send"),
        resource.replace("*", f"run-{number}/out.json"),
        rule.tools[0] if rule.tools else "shell",
        rule.environments[0] if rule.environments else "dev",
        IN_FREEZE if rule.frozen else NOW,
    )


def cedar_request(question: Question) -> dict[str, Any]:
    """Return the same request in the form that Cedar takes quickest.

    The context is JSON already, and the names are no text that it has to parse.
    """
    principal = question.principal
    context = {
        "action": question.action,
        "resource": question.resource,
        "tool": question.tool,
        "environment": question.environment,
        "now": int(question.time.timestamp()),
        "auth": principal.auth,
        "claims": dict(principal.claims),
    }
    return {
        "principal": {"type": principal.kind, "id": principal.id},
        "action": {"type": "Action", "id": question.action},
        "resource": {"type": "Resource", "id": "any"},
        "context": json.dumps(context),
    }


def cedar_entities(questions: Iterable[Question]) -> str:
    """Return who asks, with groups, as Cedar's entities."""
    found = {
        one.principal.id: {
            "uid": {"type": one.principal.kind, "id": one.principal.id},
            "attrs": {"id": one.principal.id},
            "parents": [{"type": "Group", "id": group} for group in one.principal.groups],
        }
        for one in questions
    }
    return json.dumps(list(found.values()))
