"""Every entry of the list of load errors in "Loading", a test each."""

from __future__ import annotations

from typing import Any

import pytest

from agentauth_cli.policy import budgets, switches
from agentauth_cli.policy.cases import CASE
from agentauth_cli.policy.condition_file import CONDITIONS
from agentauth_cli.policy.obligation_file import OBLIGATIONS
from agentauth_cli.policy.rules import RULE, load
from support.policy_worlds import policy_of, rule, toml, written

TEST: dict[str, Any] = {
    "name": "t",
    "principal": "okta/alice",
    "action": "aws.s3.put",
    "resource": "bucket/key",
    "expect": "allow",
}


def text(kind: str, table: dict[str, Any]) -> str:
    """Write one table of an array."""
    return f"[[{kind}]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in table.items())


def errors(content: str | bytes) -> list[str]:
    """Return key and message of the load errors of one file."""
    whole = content if isinstance(content, bytes) else content.encode()
    policy, problems = load([("p.toml", whole)])
    assert (policy is None) is bool(problems)
    return [f"{one.key}: {one.message}" for one in problems]


def error(**parts: Any) -> str:
    """Return the one load error of a rule with these parts."""
    (found,) = errors(written([{**rule(), **parts}]))
    return found


def of_test(**parts: Any) -> list[str]:
    """Return the load errors of a test with these parts, on a rule that it may name."""
    return errors("version = 1\n" + text("test", {**TEST, **parts}))


# Empty lists, tables and strings

EMPTY: list[tuple[str, Any]] = [
    *((key, []) for key in ("principals", "tools", "actions", "resources", "environments")),
    *((key, [""]) for key in ("principals", "tools", "actions", "resources", "environments")),
    *((key, "") for key in ("id", "effect", "description")),
    *((key, {}) for key in ("when", "unless", "obligations")),
    *(("when", {key: []}) for key in ("auth", "days", "actor")),
    *(("when", {key: [""]}) for key in ("auth", "days", "actor")),
    *(("when", {key: ""}) for key in ("hours", "max_session_age")),
    ("when", {"claims": {}}),
    ("when", {"claims": {"c": []}}),
    ("when", {"claims": {"c": ""}}),
    ("when", {"claims": {"c": [""]}}),
    ("when", {"claims": {'""': "x"}}),
    ("when", {"days": ["mon"], "tz": ""}),
    *(("obligations", {key: ""}) for key in ("max_duration", "max_cost", "rate_limit")),
    *(("obligations", {key: []}) for key in ("rate_limit", "delivery", "models")),
    *(("obligations", {key: [""]}) for key in ("rate_limit", "delivery", "models")),
]
EMPTY_OF_TEST: list[tuple[str, Any]] = [
    *((key, "") for key in ("name", "principal", "action", "resource", "tool", "environment")),
    ("expect", ""),
    ("obligations", {}),
    ("principal", {}),
    *(("principal", {"id": "a/b", key: ""}) for key in ("kind", "auth", "session_age", "actor")),
    ("principal", {"id": ""}),
    ("principal", {"id": "a/b", "groups": []}),
    ("principal", {"id": "a/b", "groups": [""]}),
    ("principal", {"id": "a/b", "claims": {}}),
]


@pytest.mark.parametrize(("key", "value"), EMPTY, ids=str)
def test_nothing_is_empty(key: str, value: Any) -> None:
    """Empty lists, tables and strings (except a test's `rule = ""` and values in its `claims`)."""
    assert error(**{key: value}).startswith(f"rule.{key}")


@pytest.mark.parametrize(("key", "value"), EMPTY_OF_TEST, ids=str)
def test_nothing_of_a_test_is_empty(key: str, value: Any) -> None:
    """Empty lists, tables and strings (except a test's `rule = ""` and values in its `claims`)."""
    found = of_test(**{key: value})
    assert found
    assert all(one.startswith(f"test.{key}") for one in found)


def test_what_of_a_test_may_be_empty() -> None:
    """Empty are a test's `rule = ""` and values in its `claims`, as deep as they are."""
    claims = {"a": "", "b": [], "c": {}, "d": [""], "e": {"f": [], "g": ""}}
    assert of_test(rule="", principal={"id": "a/b", "claims": claims}) == []


def test_no_list_or_table_was_forgotten() -> None:
    """Every key of rules, conditions, obligations and tests stands among the empty ones."""
    nested: dict[str, set[str]] = {}
    for key, value in [*EMPTY, *EMPTY_OF_TEST]:
        nested.setdefault(key, set()).update(value if isinstance(value, dict) else ())
    assert nested.keys() >= RULE.keys.keys()
    assert nested.keys() >= CASE.keys.keys() - {"at", "rule"}
    assert nested["when"] >= CONDITIONS.keys.keys() - {"after", "before"}
    whole = {"max_tokens", "must_log", "require_reason"}
    assert nested["obligations"] >= OBLIGATIONS.keys.keys() - whole


# Dead patterns

DEAD_NAMES = ["e\u0301", "\u212b*", "a\u200b*", "a\n", "a\u2028", "*a\x9f*", "a/../*", "./a", "a/."]
DEAD_IDS = ["alice", "Okta/*", "okta/", "/a", "group/*", "kind/x", "ok_ta/*", "-a*", "a" * 33 + "*"]
DEAD: list[tuple[str, str]] = [
    *(("resources", one) for one in [*DEAD_NAMES, "x" * 2049, "\\*", "a\\\\b"]),
    *(("principals", one) for one in [*DEAD_IDS, "okta/e\u0301", "group:eng", "group:kind/x"]),
    *(("tools", one) for one in ["a/b", "a b*", "é", "..", "x" * 65, "*:*", "${tool}"]),
    *(("environments", one) for one in ["eu/dev", "dev/*", ".", "x" * 65 + "*"]),
    *(("actions", one) for one in ["aws", "aws.s3", "a.b.c.d", "*.*.*.*", "AWS.*", "aws..*", ".*"]),
]


@pytest.mark.parametrize("effect", ["allow", "deny"])
@pytest.mark.parametrize(("part", "pattern"), DEAD)
def test_dead_patterns(part: str, pattern: str, effect: str) -> None:
    """A pattern that no well-formed exact name could ever match (not NFC, `aws.s3` as …)."""
    found = error(effect=effect, **{part: ["*", pattern]})
    assert found.startswith(f"rule.{part}: ")
    assert "can match" in found


@pytest.mark.parametrize(
    ("part", "pattern"),
    [
        ("resources", "*\u0301"),
        ("resources", "a/..*"),
        ("resources", "x" * 2048),
        ("resources", "${tool}/*.."),
        ("principals", "okta*"),
        ("principals", "*"),
        ("principals", "group:*"),
        ("tools", "-"),
        ("tools", "..*"),
        ("environments", "x" * 64 + "*"),
        ("actions", "aws*"),
        ("actions", "*.*.*"),
        ("actions", "aws*put"),
    ],
)
def test_living_patterns(part: str, pattern: str) -> None:
    """A pattern that some well-formed name could match is no error."""
    assert policy_of([{**rule(effect="deny"), part: [pattern]}]).rules


@pytest.mark.parametrize("pattern", ["alice", "kind:agent", "group:okta/x", "okta/e\u0301", "a?"])
def test_dead_actors(pattern: str) -> None:
    """A pattern that no well-formed exact name could ever match: an actor's is one on ids."""
    assert error(when={"actor": [pattern]}).startswith("rule.when.actor: ")


@pytest.mark.parametrize(
    ("target", "key", "pattern"),
    [
        *(("tool", "tools", one) for one in ["a/b", "a?", "a**", "a\\b", ".."]),
        *(("environment", "environments", one) for one in ["eu/dev", "d**"]),
        *(("provider", "providers", one) for one in ["a b", "a?"]),
        *(("principal", "principals", one) for one in ["okta/", "Okta/x", "group:eng", "kind:bot"]),
    ],
)
def test_switches_and_budgets(target: str, key: str, pattern: str) -> None:
    """Patterns in killswitch.toml and budgets.toml follow the same rules, load errors included."""
    switch = "version = 1\n" + text("switch", {"target": target, "name": pattern})
    assert [one.key for one in switches.problems(switch.encode())] == ["switch.name"]
    limits = {"day": {"requests": 1}}
    budget = {"id": "b", "per": ["principal"], key: [pattern], "limits": limits}
    _, problems = budgets.load(("version = 1\n" + text("budget", budget)).encode(), ())
    assert [one.key for one in problems] == [f"budget.{key}"]


# Dates, hours and zones


@pytest.mark.parametrize("value", ["2026-01-01T00:00:00", "2026-01-01 00:00:00.5"])
def test_local_times(value: str) -> None:
    """A local date-time."""
    for key in ("after", "before"):
        (found,) = errors(written([rule()]) + f"when = {{ {key} = {value} }}\n".encode())
        assert found == f"rule.when.{key}: a local date-time: add Z or an offset"
    (found,) = errors("version = 1\n" + text("test", TEST) + f"at = {value}\n")
    assert found == "test.at: a local date-time: add Z or an offset"


@pytest.mark.parametrize("value", ["2026-01-01", "10:00:00", '"2026-01-01T00:00:00Z"', "1", "inf"])
def test_what_is_no_time(value: str) -> None:
    """A bad date is a load error."""
    (found,) = errors(written([rule()]) + f"unless = {{ after = {value} }}\n".encode())
    assert found.startswith("rule.unless.after: expected a date-time such as")


@pytest.mark.parametrize(
    ("after", "before", "loads"),
    [
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", False),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", False),
        ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", False),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z", True),
        ("2026-01-01T00:30:00+01:00", "2026-01-01T00:00:00Z", True),
    ],
)
@pytest.mark.parametrize("part", ["when", "unless"])
def test_after_before(after: str, before: str, loads: bool, part: str) -> None:
    """`after` not before `before`."""
    line = f"{part} = {{ after = {after}, before = {before} }}\n"
    found = errors(written([rule()]) + line.encode())
    assert found == ([] if loads else [f"rule.{part}.before: is not later than `after`"])


@pytest.mark.parametrize(
    ("hours", "loads"),
    [
        ("00:00-23:59", True),
        ("23:59-00:00", True),
        ("8:00-18:00", False),
        ("08:00-18:0", False),
        ("08:00", False),
        ("08.00-18.00", False),
        ("08:00 - 18:00", False),
        ("08:00-18:60", False),
        ("08:00-25:00", False),
        ("08:00:00-18:00:00", False),
        ("٠٨:00-18:00", False),
        ("08:00-18:00\n", False),
    ],
)
def test_hours(hours: str, loads: bool) -> None:
    """HH:MM."""
    found = errors(written([rule(when={"hours": hours})]))
    assert [one.partition(": ")[0] for one in found] == ([] if loads else ["rule.when.hours"])


@pytest.mark.parametrize(
    ("hours", "loads"),
    [("00:00-24:00", True), ("24:00-08:00", False), ("08:00-24:01", False), ("24:00-24:00", False)],
)
def test_midnight(hours: str, loads: bool) -> None:
    """`24:00` only as the end."""
    assert bool(errors(written([rule(when={"hours": hours})]))) is not loads


@pytest.mark.parametrize("hours", ["00:00-00:00", "08:00-08:00", "23:59-23:59"])
def test_equal_ends(hours: str) -> None:
    """Equal ends in `hours`."""
    assert error(unless={"hours": hours}).startswith("rule.unless.hours: the span ends where it")


def test_a_zone_alone() -> None:
    """`tz` without `days` or `hours`."""
    said = "rule.when.tz: means nothing without `days` or `hours`"
    assert error(when={"tz": "Europe/Paris"}) == said
    assert error(when={"tz": "Europe/Paris", "auth": ["jwt"]}) == said
    for key, value in (("days", ["mon"]), ("hours", "08:00-18:00")):
        assert policy_of([rule(when={"tz": "Europe/Paris", key: value})]).rules


@pytest.mark.parametrize(
    "zone",
    [
        *("CEST", "europe/paris", "Europe/paris", "Europe", "Europe/Paris ", "../Europe/Paris"),
        *("/etc/localtime", "Europe/../UTC", "posixrules", "localtime", "UTC+1", "+01:00", "zones"),
    ],
)
def test_zones(zone: str) -> None:
    """`tz` is an exact name of the `tzdata` package's list."""
    assert error(when={"days": ["mon"], "tz": zone}).startswith("rule.when.tz: expected a time zo")


# Whole files

MEBIBYTES_16 = 16 * 2**20


def test_the_longest_file() -> None:
    """A file over 16 MiB, or with arrays and tables nested deeper than 32 (the top table …)."""
    head = b"version = 1\n# "
    assert errors(head + b"x" * (MEBIBYTES_16 - len(head))) == []
    assert errors(head + b"x" * (MEBIBYTES_16 - len(head) + 1)) == [": larger than 16 MiB"]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{ a = ", "}"), ("[{ a = ", "}]")])
def test_the_deepest_file(opening: str, closing: str) -> None:
    """A file over 16 MiB, or with arrays and tables nested deeper than 32 (the top table …).

    A claim of a test may be as deep as that: it lies in the top table, the array of tests, the
    test, the principal and its claims.
    """
    each = opening.count("[") + opening.count("{")

    def nested(levels: int) -> list[str]:
        claim = (
            opening * (levels // each)
            + ("[]" if levels % each else "1")
            + closing * (levels // each)
        )
        principal = f'principal = {{ id = "a/b", claims = {{ c = {claim} }} }}\n'
        rest = {key: value for key, value in TEST.items() if key != "principal"}
        return errors("version = 1\n" + text("test", rest) + principal)

    assert nested(32 - 5) == []
    for levels in (33 - 5, 40, 900, 100_000):
        (found,) = nested(levels)
        assert "nested deeper than 32" in found


@pytest.mark.parametrize(
    "content",
    [
        "version = 1\nx = {a = 1,\nb = 2}",
        "version = 1\nx = {a = 1,}",
        'version = 1\nx = "\\e"',
        'version = 1\nx = "\\x41"',
        "version = 1\nx = 07:32",
        "version = 1\nx = 2026-01-01T07:32Z",
        "version = 1\nx = 01",
        "version = 1\nx = nil",
        "version = 1\nx",
        "version = 1\r",
        "version = 1\n\x00",
    ],
)
def test_toml_1_1_is_refused(content: str) -> None:
    """TOML 1.0."""
    (found,) = errors(content)
    assert found.startswith(": not TOML")


def test_the_claims_that_rules_name() -> None:
    """The claims that rules name are those of resources, and of conditions too."""
    policy = policy_of(
        [
            rule("a", when={"claims": {"ref": "x", "iss": "y"}}, unless={"claims": {"sub": "z"}}),
            rule("b", "deny", resources=["${principal.claims.team}"]),
        ]
    )
    assert policy.claims == {"ref", "iss", "sub", "team"}
