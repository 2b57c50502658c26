"""Loading: every error, with its place; never a partial load; the digest."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.policy.blocks import Blocks
from agentauth_cli.policy.matching import Pattern
from agentauth_cli.policy.obligation_file import OBLIGATIONS
from agentauth_cli.policy.packed import Policy
from agentauth_cli.policy.rules import digest, load, read
from support.policy_worlds import NOW, policy_of, property_of, rule, toml, written

HEAD = 'version = 1\n\n[[rule]]\nid = "r"\neffect = "allow"\n'


def errors(*files: str) -> list[str]:
    """Return the load errors of files, as they are shown."""
    policy, problems = load([(f"{i}.toml", text.encode()) for i, text in enumerate(files)])
    assert (policy is None) is bool(problems)
    return [str(one) for one in problems]


def test_a_whole_file_loads() -> None:
    """All parts of a rule are read; absent ones match everything."""
    text = """
        version = 1
        [[rule]]
        id = "b"
        effect = "allow"
        description = "Build agents"
        principals = ["key/build-*", "group:okta/eng", "kind:agent"]
        tools = ["s3_upload"]
        actions = ["aws.s3.put"]
        resources = ["arn:aws:s3:::acme/${principal.name}/*", "${principal.claims.repo}"]
        environments = ["dev", "staging"]
        [rule.obligations]
        max_duration = "15m"
        max_tokens = 0
        max_cost = "0.50"
        rate_limit = ["30/minute", "1/day", "30/minute"]
        must_log = true
        require_reason = true
        delivery = ["stdout", "exec"]
        models = ["gpt-*"]
        [[rule]]
        id = "a"
        effect = "deny"
        principals = ["*"]
    """
    policy, problems = load([("policy.toml", text.encode())])
    assert not problems
    assert policy is not None
    first, second = policy.rules
    assert (first.id, first.effect, first.tools, first.obligations) == ("a", "deny", None, {})
    assert (first.actions, first.resources, first.environments) == (None, None, None)
    assert (second.description, second.file) == ("Build agents", "policy.toml")
    assert [one.text for one in second.principals] == [
        "key/build-*",
        "group:okta/eng",
        "kind:agent",
    ]
    assert second.obligations == {
        "max_duration": 900,
        "max_tokens": 0,
        "max_cost": 500_000,
        "rate_limit": ((30, 60), (1, 86400)),
        "must_log": True,
        "require_reason": True,
        "delivery": ("stdout", "exec"),
        "models": (Pattern(("gpt-", "")),),
    }
    assert policy.claims == {"repo"}


def test_the_tests_of_all_files_are_kept_in_order() -> None:
    """Tests stand in any policy file, beside the rules or alone."""
    test = """
        [[test]]
        name = "{}"
        principal = "okta/alice"
        action = "aws.s3.put"
        resource = "x"
        expect = "deny"
    """
    files = [f"version = 1\n{test.format(name)}" for name in ("b", "a")]
    policy, problems = load([(f"{i}.toml", text.encode()) for i, text in enumerate(files)])
    assert policy is not None, problems
    assert [(one.name, one.file) for one in policy.cases] == [("b", "0.toml"), ("a", "1.toml")]


def test_what_a_policy_was_made_of_is_kept_with_it() -> None:
    """The same files, and the same sources that are kept with them, make the same bytes."""
    files = [("policy.toml", written([rule()]))]
    content, _, _ = read(files, ("a", 1))
    assert content is not None
    assert Policy(Blocks(content)).sources == ("a", 1)
    assert read(files, ("a", 1))[0] == content != read(files)[0]


def test_a_file_without_rules_loads() -> None:
    """A policy of no rules is one: it denies everything."""
    assert policy_of([]).rules == ()


GOOD = 'principals = ["*"]\n'
BAD_RULES = [
    ('resouces = ["a"]', "resouces", "unknown key 'resouces': did you mean `resources`?"),
    ('principal = ["a"]', "principal", "unknown key 'principal': did you mean `principals`?"),
    ("zzzzzz = 1", "zzzzzz", "unknown key 'zzzzzz'"),
    ('tools = "s3"', "tools", "expected an array, got a string"),
    ("tools = []", "tools", "an empty array: leave the key out"),
    ('tools = [""]', "tools", "an empty string matches nothing"),
    ("tools = [1]", "tools", "expected a pattern, got an integer"),
    ('tools = ["a/b"]', "tools", "no name can match: they are 1 to 64 of A-Z a-z 0-9 . _ -"),
    ('tools = [".."]', "tools", "no name can match: . and .. are none"),
    ('environments = ["dev/x"]', "environments", "no name can match: they are 1 to 64"),
    ('environments = ["dev", "${tool}"]', "environments", "no name can match"),
    ('actions = ["aws.s3"]', "actions", "no action can match: they are provider."),
    ('actions = ["aws.s3.\\\\**"]', "actions", "no action can match"),
    ('actions = ["aws.?.put"]', "actions", "`?` is no wildcard here"),
    ('resources = ["a/**"]', "resources", "`**` is not known"),
    ('resources = ["a\\\\b"]', "resources", "a backslash stands only before"),
    ('resources = ["a\\u0000b"]', "resources", "no name can match: holds the character U+0000"),
    ('resources = ["e\\u0301"]', "resources", "no name can match: is not in Unicode NFC"),
    ('resources = ["${principal.nme}"]', "resources", "did you mean `principal.name`?"),
    ('resources = ["${tool"]', "resources", "`${` without `}`"),
    ('description = ""', "description", "an empty string: leave the key out"),
    ("description = 1", "description", "expected a string, got an integer"),
    ("obligations = {}", "obligations", "an empty table: leave the key out"),
    ('obligations = ["must_log"]', "obligations", "expected a table, got an array"),
]
BAD_CONDITIONS = [
    ("{}", "", "an empty table: leave the key out"),
    ("{ claim = 1 }", "claim", "unknown key 'claim': did you mean `claims`?"),
    ("{ claims = {} }", "claims", "an empty table: leave the key out"),
    ("{ claims = ['ref'] }", "claims", "expected a table, got an array"),
    ("{ claims = { ref = [] } }", "claims.ref", "an empty array: leave the key out"),
    ("{ claims = { ref = '' } }", "claims.ref", "an empty string matches nothing"),
    ("{ claims = { ref = true } }", "claims.ref", "expected a pattern, got true or false"),
    ("{ claims = { ref = 'a?' } }", "claims.ref", "`?` is no wildcard here"),
    ("{ claims = { ref = '${tool}' } }", "claims.ref", "variables stand in `resources` alone"),
    ("{ claims = { '' = 'a' } }", 'claims.""', "an empty string names no claim"),
    ("{ auth = [] }", "auth", "an empty array: leave the key out"),
    ("{ auth = ['saml'] }", "auth", "expected one of jwt, api_key, ci, os"),
    ("{ auth = 'jwt' }", "auth", "expected an array, got a string"),
    ("{ after = 2026-01-01T00:00:00 }", "after", "a local date-time: add Z or an offset"),
    ("{ before = 2026-01-01 }", "before", "expected a date-time such as"),
    (
        "{ after = 2026-01-01T00:00:00Z, before = 2026-01-01T01:00:00+01:00 }",
        "before",
        "is not later than `after`",
    ),
    ("{ days = [] }", "days", "an empty array: leave the key out"),
    ("{ days = ['monday'] }", "days", "expected one of mon, tue, wed, thu, fri, sat, sun"),
    ("{ hours = 8 }", "hours", 'expected a span such as "08:00-18:00"'),
    ("{ hours = '8:00-18:00' }", "hours", "expected a span such as"),
    ("{ hours = '24:00-18:00' }", "hours", "expected a span such as"),
    ("{ hours = '08:00-24:01' }", "hours", "expected a span such as"),
    ("{ hours = '08:60-09:00' }", "hours", "expected a span such as"),
    ("{ hours = '08:00-08:00' }", "hours", "the span ends where it starts"),
    ("{ tz = 'Europe/Paris' }", "tz", "means nothing without `days` or `hours`"),
    ("{ days = ['mon'], tz = 'CEST' }", "tz", "expected a time zone such as"),
    ("{ days = ['mon'], tz = 'europe/paris' }", "tz", "did you mean `Europe/Paris`?"),
    ("{ actor = [] }", "actor", "an empty array: leave the key out"),
    ("{ actor = ['kind:agent'] }", "actor", "no id can match: they are issuer/subject"),
    ("{ max_session_age = '0h' }", "max_session_age", "expected a duration such as"),
]
BAD_OBLIGATIONS = [
    ("max_token = 5", "max_token", "unknown key 'max_token': did you mean `max_tokens`?"),
    ("max_tokens = -1", "max_tokens", "expected an integer from 0 to 9223372036854775807"),
    ("max_tokens = 9223372036854775808", "max_tokens", "expected an integer from 0"),
    ("max_tokens = 1.0", "max_tokens", "expected an integer, got a float"),
    ("max_tokens = inf", "max_tokens", "expected an integer, got a float"),
    ("max_tokens = nan", "max_tokens", "expected an integer, got a float"),
    ("max_tokens = true", "max_tokens", "expected an integer, got true or false"),
    ("max_cost = 0.5", "max_cost", "expected an amount in USD as a string"),
    ("max_cost = nan", "max_cost", "expected an amount in USD as a string"),
    ('max_cost = "-1"', "max_cost", "expected an amount in USD as a string"),
    ('max_duration = "0s"', "max_duration", "expected a duration such as"),
    ("max_duration = 900", "max_duration", "expected a duration such as"),
    ('rate_limit = "30/week"', "rate_limit", "expected a rate such as"),
    ("rate_limit = []", "rate_limit", "an empty array: leave the key out"),
    ('rate_limit = ["1/day", "x"]', "rate_limit", "expected a rate such as"),
    ("must_log = false", "must_log", "can only be true: leave the key out otherwise"),
    ("require_reason = 1", "require_reason", "can only be true"),
    ('delivery = "exec"', "delivery", "expected an array, got a string"),
    ("delivery = []", "delivery", "an empty array: leave the key out"),
    ('delivery = ["stdot"]', "delivery", "gateway: did you mean `stdout`?"),
    ("delivery = [1]", "delivery", "expected one of stdout, exec, endpoint, gateway"),
    ("models = []", "models", "an empty array"),
    ('models = ["a?"]', "models", "`?` is no wildcard here"),
]


@pytest.mark.parametrize(("line", "key", "said"), BAD_RULES)
def test_a_bad_key_of_a_rule(line: str, key: str, said: str) -> None:
    """An unknown key, a wrong type, a duplicate id, a bad pattern, duration, amount, date …."""
    (error,) = errors(HEAD + GOOD + line)
    assert re.match(rf"0\.toml:7:\d+: rule\.{re.escape(key)} in 'r': ", error)
    assert said in error


@pytest.mark.parametrize(("line", "key", "said"), BAD_OBLIGATIONS)
def test_a_bad_obligation(line: str, key: str, said: str) -> None:
    """A bad duration, amount or rate is a load error: no obligation is ever passed over."""
    (error,) = errors(HEAD + GOOD + f"[rule.obligations]\n{line}")
    assert re.match(rf"0\.toml:8:\d+: rule\.obligations\.{key} in 'r': ", error)
    assert said in error


@pytest.mark.parametrize("rule_id", ["", "A", "-a", ".a", "a b", "a/b", "é", "a" * 65, "a\\n"])
def test_a_bad_id(rule_id: str) -> None:
    """An id is `[a-z0-9][a-z0-9._-]{0,63}`."""
    (error,) = errors(f'version = 1\n[[rule]]\nid = "{rule_id}"\neffect = "deny"\n{GOOD}')
    assert error.startswith("0.toml:3:1: rule.id")
    assert error.endswith(
        ": expected an id of a-z 0-9 . _ -, 1 to 64 long, a letter or digit first"
    )


@pytest.mark.parametrize("rule_id", ["a", "0", "a" * 64, "a.b_c-d"])
def test_a_good_id(rule_id: str) -> None:
    """An id is `[a-z0-9][a-z0-9._-]{0,63}`."""
    assert policy_of([rule(rule_id)]).rules[0].id == rule_id


def test_an_id_that_is_no_string() -> None:
    """A wrong type is a load error, and nothing is done with the value."""
    (error,) = errors(f"version = 1\n[[rule]]\nid = [1]\neffect = 'deny'\n{GOOD}")
    assert error.startswith("0.toml:3:1: rule.id: expected an id")


@pytest.mark.parametrize("missing", ["id", "effect", "principals"])
def test_a_missing_key(missing: str) -> None:
    """Id, effect and principals are required: the error stands at the rule."""
    parts = {key: value for key, value in rule().items() if key != missing}
    _, (problem,) = load([("policy.toml", written([parts]))])
    assert problem.message == f"missing key {missing!r}"
    assert (problem.key, problem.line, problem.column) == ("rule", 3, 1)


@pytest.mark.parametrize("effect", ["permit", "Allow", "", "alow"])
def test_an_effect_is_allow_or_deny(effect: str) -> None:
    """The effect is `allow` or `deny`."""
    (error,) = errors(written([rule(effect=effect)]).decode())
    assert "rule.effect in 'r': expected one of allow, deny" in error


@pytest.mark.parametrize("part", ["when", "unless"])
@pytest.mark.parametrize(("table", "key", "said"), BAD_CONDITIONS)
def test_a_bad_condition(table: str, key: str, said: str, part: str) -> None:
    """Bad dates and zones, empty tables, equal ends, `tz` alone: each is a load error."""
    (error,) = errors(HEAD + GOOD + f"{part} = {table}")
    named = f"rule.{part}.{key}" if key else f"rule.{part}"
    assert re.match(rf"0\.toml:7:\d+: {re.escape(named)} in 'r': ", error)
    assert said in error


def test_a_deny_rule_has_no_obligations() -> None:
    """Obligations on a deny rule are a load error."""
    bad = rule(effect="deny", obligations={"must_log": True})
    (error,) = errors(written([bad]).decode())
    assert error == "0.toml:7:1: rule.obligations in 'r': a deny rule has no obligations"


@pytest.mark.parametrize(
    "version", ["0", "2", '"1"', "1.0", "true", "[1]", "1979-05-27", "{ a = 1 }", "-1", "inf"]
)
def test_version_is_the_integer_1(version: str) -> None:
    """`version` other than the integer 1 is a load error."""
    assert errors(f"version = {version}") == ["0.toml:1:1: version: expected the integer 1"]


@pytest.mark.parametrize("text", ["", "# nothing\n", 'rule = "x"\n'])
def test_version_is_required(text: str) -> None:
    """A file without `version` does not load."""
    assert "0.toml:1:1: missing key 'version'" in errors(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = 1\nrule = []", "0.toml:2:1: rule: an empty array: leave the key out"),
        ("version = 1\nrule = 3", "0.toml:2:1: rule: expected an array, got an integer"),
        ("version = 1\nrule = [3]", "0.toml:2:9: rule: expected a table, got an integer"),
        ("version = 1\n[rule]\nid = 'a'", "0.toml:2:1: rule: expected an array, got a table"),
        ("version = 1\n[rule.a]\nid = 'a'", "0.toml:2:1: rule: expected an array, got a table"),
        ("version = 1\n\ntest = []", "0.toml:3:1: test: an empty array: leave the key out"),
        (
            "version = 1\n[[rules]]\nid = 'a'",
            "0.toml:2:1: rules: unknown key 'rules': did you mean",
        ),
        ("version = 1\nversoin = 1", "0.toml:2:1: versoin: unknown key 'versoin': did you mean"),
    ],
)
def test_the_top_of_the_file(text: str, said: str) -> None:
    """The file holds `version`, rules, and nothing else."""
    (error,) = errors(text)
    assert error.startswith(said)


def test_an_empty_rule() -> None:
    """An empty table is a load error, besides the keys that it lacks."""
    found = errors("version = 1\n[[rule]]")
    assert [one.partition(": ")[0] for one in found] == ["0.toml:2:1"] * 4
    assert "an empty table" in found[0]


def test_all_errors_of_all_files_are_listed_at_once() -> None:
    """All errors of all files are listed at once."""
    first = HEAD + "tool = 1\nprincipals = []\nactions = ['x', 'y']\n"
    found = errors(first, "version = 2", "version = 1", "= 3")
    places = [one.split(": ")[0].rstrip(":") for one in found]
    assert places == [
        "0.toml:6:1",
        "0.toml:7:1",
        "0.toml:8:12",
        "0.toml:8:17",
        "1.toml:1:1",
        "3.toml:1:1",
    ]


def test_no_error_hides_another() -> None:
    """All errors of all files are listed at once: also those between keys, beside one of a key."""
    deny = rule(
        effect="deny",
        tols=["x"],
        obligations={"max_token": 5},
        when={"auth": ["x"], "after": NOW, "before": NOW, "tz": "UTC"},
        unless={"days": ["monday"], "tz": "UTC"},
    )
    assert [
        one.partition(": ")[2].partition(":")[0] for one in errors(written([deny]).decode())
    ] == [
        "rule.tols in 'r'",
        "rule.obligations in 'r'",
        "rule.obligations.max_token in 'r'",
        "rule.when.auth in 'r'",
        "rule.when.before in 'r'",
        "rule.when.tz in 'r'",
        "rule.unless.days in 'r'",
    ]
    test = '[[test]]\nname = ""\nexpect = "x"\nprincipal = "a/b"\naction = "a"\nresource = "x"\n'
    assert [one.split(": ")[1] for one in errors("version = 1\n" + test)] == [
        *("test.name", "test.expect", "test.action"),
    ]


def test_one_bad_file_means_no_policy() -> None:
    """Never a partial load."""
    policy, problems = load([("a", written([rule()])), ("b", b"version = 1\nx = 1")])
    assert policy is None
    assert [one.file for one in problems] == ["b"]


def test_an_id_is_unique_over_all_files() -> None:
    """A duplicate id, in one file or over several: an error for each after the first."""
    one = written([rule("a"), rule("b"), rule("a")])
    _, problems = load([("p.toml", one), ("d/x.toml", written([rule("b"), rule("c")]))])
    assert [str(found) for found in problems] == [
        "p.toml:14:1: rule.id in 'a': duplicate id 'a' (also in p.toml)",
        "d/x.toml:4:1: rule.id in 'b': duplicate id 'b' (also in p.toml)",
    ]


def test_a_duplicate_id_is_found_beside_other_errors() -> None:
    """All errors are listed at once: a duplicate id though another key is wrong."""
    _, problems = load([("p", written([rule("a", tools=[]), rule("a")]))])
    assert [one.message for one in problems] == [
        "an empty array: leave the key out",
        "duplicate id 'a' (also in p)",
    ]


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"version = 1\n[[rule]]\nid = ", 3, "not TOML: Invalid value"),
        (b"version = 1\n[[rule]]\nid = 'a", 3, "not TOML"),
        (b"version = 1\nversion = 1", 2, "not TOML: Cannot overwrite a value"),
        (b"version = 1\n[rule]\n[[rule]]", 3, "not TOML"),
        (b"a = 1\n\nb = '\xff'", 3, "not UTF-8"),
        (b"\xef\xbb\xbfversion = 1", 1, "not TOML"),
        (b"a = 2026-13-01T00:00:00Z", 1, "not TOML"),
        (b"a = " + b"[" * 5000, 1, "nested deeper than 32"),
        (b"a = " + b"9" * 5000, 1, "too many digits"),
        (b"\n" * 16 * 1024 * 1024 + b"\n", 1, "larger than 16 MiB"),
    ],
)
def test_what_is_not_toml(content: bytes, line: int, said: str) -> None:
    """TOML 1.0."""
    policy, (problem,) = load([("policy.toml", content)])
    assert policy is None
    assert (problem.line, problem.entry, problem.key) == (line, "", "")
    assert said in problem.message


def test_a_truncated_policy_never_loads() -> None:
    """A policy cut short anywhere inside its rule does not load as something else."""
    whole = written([rule("r", "deny", tools=["a"])])
    whole = whole[: whole.rindex(b"]") + 1]
    for length in range(len(whole)):
        policy, _ = load([("policy.toml", whole[:length])])
        assert policy is None or policy.rules == () or policy.rules[0].tools is None


def test_digest() -> None:
    """The policy's digest is SHA-256 over, for each file in order, the length …."""
    files = [("policy.toml", b"version = 1"), ("policy.d/é.toml", b"version = 1\n")]
    expected = hashlib.sha256(
        b"\0\0\0\0\0\0\0\x0bpolicy.toml"
        b"\0\0\0\0\0\0\0\x0bversion = 1"
        b"\0\0\0\0\0\0\0\x10policy.d/\xc3\xa9.toml"
        b"\0\0\0\0\0\0\0\x0cversion = 1\n"
    ).hexdigest()
    policy, _ = load(files)
    assert policy is not None
    assert policy.digest == digest(files) == expected


def test_the_digest_of_a_name_that_is_not_utf_8() -> None:
    """The bytes of its name: whatever bytes the file system has."""
    expected = hashlib.sha256(b"\0\0\0\0\0\0\0\x01\xff" + bytes(8)).hexdigest()
    assert digest([("\udcff", b"")]) == expected


@property_of(200)
@given(st.lists(st.tuples(st.text("ab", max_size=3), st.binary(max_size=3)), max_size=3))
def test_the_digest_knows_where_a_file_ends(files: list[tuple[str, bytes]]) -> None:
    """Moving a byte from one part to its neighbour, or the order of files, changes the digest."""
    parts = [part for name, content in files for part in (name.encode(), content)]
    for i in range(len(parts) - 1):
        if parts[i] and parts[i][-1:].isascii():
            moved = [*parts]
            moved[i], moved[i + 1] = parts[i][:-1], parts[i][-1:] + parts[i + 1]
            pairs = list(zip(moved[::2], moved[1::2], strict=True))
            if all(name.isascii() for name, _ in pairs):
                assert digest([(name.decode(), content) for name, content in pairs]) != digest(
                    files
                )
    if files != files[::-1]:
        assert digest(files) != digest(files[::-1])


@pytest.mark.parametrize("key", sorted(OBLIGATIONS.keys))
@property_of(60)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text("a0/.m\\*?", max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2)
        ),
        max_leaves=3,
    )
)
def test_an_obligation_is_read_or_refused(key: str, value: Any) -> None:
    """Whatever stands for an obligation is a problem or a value that holds, never nothing."""
    found: list[Any] = []
    read = OBLIGATIONS.read({key: value}, (), found)
    assert found or ((read[key] or read[key] == 0) and read[key] is not False)


def test_rules_are_sorted_by_id() -> None:
    """The order of files and rules never changes an answer."""
    rules = [rule(one) for one in ("b", "a.b", "a-b", "0", "a")]
    assert [one.id for one in policy_of(rules).rules] == ["0", "a", "a-b", "a.b", "b"]


def test_toml_of_these_tests_is_toml() -> None:
    """What the tests write as TOML is what `tomllib` reads."""
    import tomllib

    value = {"a": ["x\\", 'y"'], "b": {"c": True}}
    assert tomllib.loads(f"v = {toml(value)}")["v"] == value


@pytest.mark.parametrize("key", [".".join("a" * 33), " . ".join(['"x"'] * 40), "a" + ".'b'" * 9999])
@pytest.mark.parametrize("place", ["{key} = 1", "[{key}]", "[[{key}]]", "x = {{ {key} = 1 }}"])
@pytest.mark.timeout(20)
def test_long_dotted_keys_are_refused_at_once(key: str, place: str) -> None:
    """Nested deeper than 32: a dotted key nests as deep as it has parts."""
    (error,) = errors("version = 1\n" + place.format(key=key))
    column = place.index("{key}") + 1 - place.count("{{")
    assert error == f"0.toml:2:{column}: tables and arrays nested deeper than 32"


@pytest.mark.parametrize("place", ["", "!", " .", " 1", "\n= 1", "#", "."])
@pytest.mark.parametrize("opening", ["", "[", "[[", "x = {"])
@pytest.mark.timeout(20)
def test_long_dotted_keys_that_never_end(opening: str, place: str) -> None:
    """A hostile file cannot keep the loader busy: a key of a million parts is refused at once."""
    (error,) = errors(f"version = 1\n{opening}{'a.' * 1_000_000}a{place}")
    assert error == f"0.toml:2:{len(opening) + 1}: tables and arrays nested deeper than 32"


@pytest.mark.timeout(60)
def test_very_many_errors_are_placed_in_linear_time() -> None:
    """A hostile file cannot keep the loader busy: each of many errors is placed at once."""
    found = errors("version = 1\n" + "".join(f"k{i} = 1\n" for i in range(50_000)))
    assert len(found) == 50_000
    assert found[-1].startswith("0.toml:50001:1: k49999")
