"""Every sentence of "Matching", asked of whole policies: which rules meet which requests."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from agentauth_cli.model import Decision, Principal
from agentauth_cli.policy.decide import evaluate
from agentauth_cli.policy.rules import load
from support.policy_worlds import ALICE, QUESTION, Rule, ask, policy_of, rule, written


def refused(**parts: Any) -> str:
    """Return the one load error of a rule with these parts."""
    _, (problem,) = load([("p.toml", written([{**rule(), **parts}]))])
    return problem.message


def matches(part: str, pattern: str, **asked: Any) -> bool:
    """Say whether a rule with this pattern meets the question; both effects have to agree."""
    whole: Rule = {**rule(), part: [pattern]}
    question = ask(**asked)
    allowed = evaluate(policy_of([whole]), question).decision is Decision.ALLOW
    denied = evaluate(policy_of([{**whole, "effect": "deny"}, rule("z")]), question)
    assert denied.reason == ("denied by rule" if allowed else "allowed by rule")
    return allowed


def named(pattern: str, name: str) -> bool:
    """Say whether a pattern on resources matches an exact name."""
    return matches("resources", pattern, resource=name)


# Patterns


@pytest.mark.parametrize(
    "run", ["", "x", "/", "a/b", ":", "a:b", ".", "a.b", "é 日$&~", "x" * 2040]
)
def test_a_star(run: str) -> None:
    """`*` stands for any run of characters, of any length, `/`, `:` and `.` included."""
    for pattern in ("-*-", "*--", "--*"):
        assert named(pattern, pattern.replace("*", run))
    assert not named("-*-", f"-{run}+")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("a*a", "a"), ("ab*ba", "aba"), ("*ab*b", "ab"), ("a*b*c", "acb"), ("a*b*b", "ab")],
)
def test_no_character_counts_twice(pattern: str, name: str) -> None:
    """`*` stands for any run of characters, and what stands beside it for characters of its own."""
    assert not named(pattern, name)
    assert named(pattern, f"{pattern.replace('*', '')}")


@pytest.mark.parametrize("claim", ["a*b", "a\\b"])
def test_what_is_literal(claim: str) -> None:
    r"""`\*` is a literal star, `\\` a literal backslash."""
    who = replace(ALICE, claims={"c": claim})
    literal = claim.replace("\\", "\\\\").replace("*", "\\*")
    policy = policy_of([rule(when={"claims": {"c": literal}})])
    assert evaluate(policy, ask(principal=who)).decision is Decision.ALLOW
    for other in ("axb", "ab", "a**b", "a\\\\b", "a\\*b"):
        who = replace(ALICE, claims={"c": other})
        assert evaluate(policy, ask(principal=who)).decision is Decision.DENY


@pytest.mark.parametrize("pattern", ["a\\b", "a\\", "\\?", "\\\\\\a", "*\\/", "\\${tool}"])
def test_other_backslashes(pattern: str) -> None:
    """Any other backslash is a load error."""
    assert "a backslash stands only before" in refused(resources=[pattern])


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("BUCKET/KEY", "bucket/key"),
        ("bucket/KEY*", "bucket/key"),
        ("strasse", "straße"),
        ("[a-z]", "b"),
        ("a.c", "abc"),
        ("a+", "aa"),
        ("(a|b)", "a"),
        ("~", "a"),
        ("%41", "A"),
        ("Å", "A"),
        ("a ", "a"),
    ],
)
def test_nothing_else_is_special(pattern: str, name: str) -> None:
    """Everything else is itself: UTF-8 bytes as they are, no case folding."""
    assert not named(pattern, name)
    if "*" not in pattern:
        assert named(pattern, pattern)


@pytest.mark.parametrize("part", ["principals", "tools", "actions", "resources", "environments"])
def test_what_people_will_type(part: str) -> None:
    """There is no `?`, no `**`, no character class: a `?` or two stars in a row are load errors."""
    assert "`?` is no wildcard here" in refused(**{part: ["a?"]})
    for stars in ("**", "a**", "**/a", "***"):
        assert "`**` is not known" in refused(**{part: [stars]})


# Principals


@pytest.mark.parametrize(
    ("name", "issuer", "subject"),
    [("okta/alice", "okta", "alice"), ("gh/repo/a/b", "gh", "repo/a/b"), ("a//", "a", "/")],
)
def test_an_id(name: str, issuer: str, subject: str) -> None:
    """An id is `issuer/subject`, split at the first slash."""
    who = replace(ALICE, id=name, name="alice")
    assert (who.issuer, who.user_id) == (issuer, subject)
    policy = policy_of([rule(resources=["${principal.issuer}"])])
    assert evaluate(policy, ask(principal=who, resource=issuer)).decision is Decision.ALLOW


@pytest.mark.parametrize("issuer", ["group", "kind", "", "-a", "a_b", "A", "é", "a" * 33])
def test_no_issuers(issuer: str) -> None:
    """The issuer is `[a-z0-9][a-z0-9-]{0,31}`, never `group` or `kind`."""
    who = replace(ALICE, id=f"{issuer}/alice")
    answer = evaluate(policy_of([rule()]), ask(principal=who))
    assert answer.reason == "malformed request: principal is not issuer/subject"
    assert "no id can match" in refused(principals=[f"{issuer}/alice"])


def test_a_subject() -> None:
    """The subject is not empty and may hold slashes."""
    empty = evaluate(policy_of([rule()]), ask(principal=replace(ALICE, id="okta/")))
    assert empty.reason.startswith("malformed request")
    assert "no id can match" in refused(principals=["okta/"])
    assert matches("principals", "okta/a/*/c", principal=replace(ALICE, id="okta/a/b/b/c"))


WHO = Principal("okta/alice", "alice", kind="agent", groups=("okta/eng", "gh/acme/ops"))


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ("okta/alice", True),
        ("okta/*", True),
        ("*/alice", True),
        ("okta/alic", False),
        ("okta/eng", False),
        ("group:okta/eng", True),
        ("group:*/ops", True),
        ("group:gh/acme", False),
        ("group:okta/alice", False),
        ("kind:agent", True),
        ("kind:user", False),
        ("kind:service", False),
    ],
)
def test_entries(entry: str, meant: bool) -> None:
    """Each entry is a pattern on the whole id, or `group:PATTERN` on any of its groups."""
    assert matches("principals", entry, principal=WHO) is meant


def test_one_entry_is_enough() -> None:
    """One match is enough."""
    meant, other = ["okta/alice", "group:okta/eng", "kind:agent"], ["okta/bob", "kind:service"]
    for one, entries in product(meant, (other, other[::-1], [])):
        policy = policy_of([{**rule(), "principals": [*entries, one, *entries]}])
        assert evaluate(policy, ask(principal=WHO)).decision is Decision.ALLOW
    policy = policy_of([{**rule(), "principals": other}])
    assert evaluate(policy, ask(principal=WHO)).decision is Decision.DENY


# Tools, actions, environments


@pytest.mark.parametrize(
    ("part", "asked", "name"),
    [
        ("tools", "tool", "s3_upload"),
        ("actions", "action", "aws.s3.put"),
        ("environments", "environment", "eu-west.1"),
    ],
)
def test_the_whole_name(part: str, asked: str, name: str) -> None:
    """Patterns on the whole name."""
    for pattern in (name, "*", f"{name[:3]}*", f"*{name[3:]}", f"{name[0]}*{name[-1]}"):
        assert matches(part, pattern, **{asked: name})
    for shorter in (name[:-1], name[1:], f"{name}s", name.upper(), f"*{name[:-1]}", f"{name[1:]}*"):
        if part != "actions" or shorter != name.upper():
            assert not matches(part, shorter, **{asked: name})


def test_what_an_action_is() -> None:
    """An action is `provider.resource_type.verb`."""
    for action in (
        "aws",
        "aws.s3",
        "aws.s3.put.now",
        "aws..put",
        ".s3.put",
        "aws.s3.",
        "aws/s3/put",
    ):
        answer = evaluate(policy_of([rule()]), ask(action=action))
        assert answer.reason == "malformed request: action is not provider.resource_type.verb"
    assert evaluate(policy_of([rule()]), ask(action="a.b.c")).decision is Decision.ALLOW


# Resources


def test_the_identifier() -> None:
    """Patterns on the resource's identifier."""
    arn = "arn:aws:s3:::acme/a"
    assert named("arn:aws:s3:::acme/*", arn)
    assert named(arn, arn)
    assert not named("acme/*", arn)
    assert not named("arn:aws:s3:::acme/", arn)


@pytest.mark.parametrize("resource", ["a/", "a/b", "a/b/c.d", "a/é", "a/?", "a/..", "a/\\", "a/\n"])
def test_a_scope_asks_for_every_string(resource: str) -> None:
    """The request's resource is either an exact name or a scope: a name ending in one `*`."""
    scope = ask(resource="a/*")
    one = replace(scope, resource=resource)
    covering = policy_of([rule(resources=["a/*"])])
    exactly = policy_of([rule(resources=["a/b"])])
    assert evaluate(covering, scope).decision is Decision.ALLOW
    assert evaluate(exactly, scope).decision is Decision.DENY
    alone = evaluate(covering, one)
    assert alone.decision is Decision.ALLOW or alone.reason.startswith("malformed request")


TAILS = ["".join(chars) for n in range(5) for chars in product("ab/", repeat=n)]
TEXTS = [
    *("*", "a*", "a/*", "*a", "*a*", "a*b", "a*b*", "a/b", "a", "*/*", "b*", "a/*/b", "*/b*"),
    *("ab*", "a/b*", "a*/"),
]
"""Patterns of a literal or two, with witnesses among `TAILS`."""


@pytest.mark.parametrize("text", TEXTS)
def test_scopes_by_what_lies_in_them(text: str) -> None:
    """An allow rule covers a scope if every such string matches one same pattern of the rule.

    The witness is a string with a character that no pattern holds.
    """
    allow = policy_of([rule(resources=[text])])
    deny = policy_of([rule("d", "deny", resources=[text]), rule()])
    for prefix in ("", "a", "a/", "a/b", "b", "ab"):
        strings = [
            prefix + tail + end for tail in TAILS for end in ("", "z") if prefix + tail + end
        ]
        inside = [evaluate(allow, ask(resource=one)).decision == "allow" for one in strings]
        scope = ask(resource=f"{prefix}*")
        covered = evaluate(allow, scope).decision is Decision.ALLOW
        touched = evaluate(deny, scope).decision is Decision.DENY
        assert covered is all(inside)
        assert touched is any(inside)


@pytest.mark.parametrize(
    ("pattern", "touched"),
    [("a/b", True), ("a/*.txt", True), ("*", True), ("*z", True), ("a*", True), ("b/*", False)],
)
def test_touching(pattern: str, touched: bool) -> None:
    """A rule touches a scope if some such string matches."""
    obliged = rule("o", resources=[pattern], obligations={"must_log": True})
    answer = evaluate(policy_of([obliged, rule("z")]), ask(resource="a/*"))
    assert (answer.decision, "must_log" in answer.obligations) == (Decision.ALLOW, touched)


@pytest.mark.parametrize(
    ("pattern", "denied"),
    [("a/secret", True), ("a/*", True), ("*.key", True), ("*", True), ("b", False), ("a", False)],
)
def test_a_deny_rule_needs_only_touch(pattern: str, denied: bool) -> None:
    """A deny rule matches a scope that it touches."""
    policy = policy_of([rule("d", "deny", resources=[pattern]), rule()])
    assert (evaluate(policy, ask(resource="a/*")).reason == "denied by rule") is denied


# Variables

VARIABLES = {
    "${principal.name}": "al",
    "${principal.issuer}": "okta",
    "${principal.hash}": hashlib.sha256(b"okta/alice").hexdigest()[:16],
    "${principal.claims.a.b}": "c",
    "${principal.claims.x/y z}": "w",
    "${environment}": "dev",
    "${tool}": "s3_upload",
}
CLAIMING = replace(ALICE, name="al", claims={"a.b": "c", "x/y z": "w", "a": {"b": "x"}})


@pytest.mark.parametrize(("variable", "value"), VARIABLES.items())
def test_each_variable(variable: str, value: str) -> None:
    """Variables, in `resources` and nowhere else: `${principal.name}` (the subject, …)."""
    policy = policy_of([rule(resources=[f"p/{variable}/*"])])
    for resource, decision in ((f"p/{value}/x", "allow"), ("p/other/x", "deny"), ("p/*", "deny")):
        assert evaluate(policy, ask(principal=CLAIMING, resource=resource)).decision == decision
    for part in ("principals", "tools", "actions", "environments"):
        assert "no " in refused(**{part: [variable]})
    assert "variables stand in `resources` alone" in refused(when={"claims": {"c": variable}})
    assert "no id can match" in refused(when={"actor": [variable]})


@pytest.mark.parametrize("name", ["", "a$", "a{b", "a*", "a?", "a\\", "${tool"])
def test_no_names_of_claims(name: str) -> None:
    r"""NAME is all up to `}` and holds no `$`, `{`, `*`, `?`, `\`."""
    assert "names no claim" in refused(resources=[f"x/${{principal.claims.{name}}}"])


def test_a_hash_is_always_usable() -> None:
    """`${principal.hash}`: unique across issuers and always usable."""
    policy = policy_of([rule(resources=["${principal.hash}"])])
    hashes = set()
    for one in ("gh/repo:acme/x:ref", "gh2/repo:acme/x:ref", "spiffe/a/b"):
        value = hashlib.sha256(one.encode()).hexdigest()[:16]
        hashes.add(value)
        who = replace(ALICE, id=one, name=one)
        assert evaluate(policy, ask(principal=who, resource=value)).decision is Decision.ALLOW
    assert len(hashes) == 3


def test_a_value_is_no_pattern() -> None:
    """The value goes in as literal text."""
    policy = policy_of([rule(resources=["${principal.claims.c}/x"])])
    for value, asked in (("a.c", "abc/x"), ("a+", "aa/x"), ("A", "a/x")):
        who = replace(ALICE, claims={"c": value})
        assert evaluate(policy, ask(principal=who, resource=f"{value}/x")).decision == "allow"
        assert evaluate(policy, ask(principal=who, resource=asked)).decision == "deny"


# Errors and failures

UNKNOWN = {"max_session_age": "8h"}
"""What nobody can judge of somebody whose login has no time."""
FAILED: dict[str, Any] = {
    "resources": ["${principal.claims.absent}"],
    "when": UNKNOWN,
    "unless": UNKNOWN,
}


@pytest.mark.parametrize("part", FAILED)
def test_an_allow_rule_that_fails(part: str) -> None:
    """Errors and failures (a failed substitution, an error in a condition) decide …."""
    failing: Rule = {**rule("a", obligations={"must_log": True}), part: FAILED[part]}
    alone = evaluate(policy_of([failing]), QUESTION)
    assert alone.nearest is not None
    assert (alone.decision, alone.nearest.parts) == (Decision.DENY, (part,))
    for resource, obliged in (("bucket/key", False), ("bucket/*", True)):
        beside = evaluate(policy_of([failing, rule("b")]), ask(resource=resource))
        assert (beside.decision, beside.rules) == (Decision.ALLOW, ("b",))
        assert ("must_log" in beside.obligations) is obliged
    assert evaluate(policy_of([failing]), ask(resource="bucket/*")).decision is Decision.DENY


@pytest.mark.parametrize("part", FAILED)
def test_a_deny_rule_that_fails(part: str) -> None:
    """For a deny rule it matches."""
    failing: Rule = {**rule("d", "deny"), part: FAILED[part]}
    for resource in ("bucket/key", "bucket/*"):
        answer = evaluate(policy_of([failing, rule()]), ask(resource=resource))
        assert (answer.reason, answer.rule) == ("denied by rule", "d")


@pytest.mark.parametrize("part", FAILED)
@pytest.mark.parametrize(
    "other",
    [
        {"tools": ["x"]},
        {"actions": ["x.*"]},
        {"environments": ["x"]},
        {"principals": ["x/y"]},
    ],
    ids=str,
)
def test_the_other_parts_of_a_rule_that_fails(part: str, other: dict[str, Any]) -> None:
    """The other parts are judged as always."""
    deny: Rule = {**rule("d", "deny"), part: FAILED[part], **other}
    obliged: Rule = {**deny, "effect": "allow", "obligations": {"must_log": True}}
    for one in (deny, obliged):
        answer = evaluate(policy_of([one, rule("z")]), ask(resource="bucket/*"))
        assert (answer.reason, answer.rules) == ("allowed by rule", ("z",))
        assert answer.obligations == {}
