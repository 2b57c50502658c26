"""Patterns: what they match, cover and touch, and which are refused."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentauth_cli.model import Principal
from agentauth_cli.policy import pattern
from agentauth_cli.policy.matching import Pattern
from support import reference_policy
from support.policy_worlds import property_of

TAILS = ["".join(chars) for n in range(6) for chars in product("abz", repeat=n)]


def joined(pieces: list[str]) -> str:
    """Join pieces of a pattern, leaving out stars that would follow a star."""
    text = ""
    for i, piece in enumerate(pieces):
        if piece != "*" or i == 0 or pieces[i - 1] not in {"*", "a*"}:
            text += piece
    return text


ANY_PATTERN = st.lists(st.sampled_from(["a", "b", "*", "\\*", "\\\\", "a*"]), max_size=6).map(
    joined
)
SIMPLE_PATTERN = st.text("ab*", max_size=5).map(lambda text: re.sub(r"\*+", "*", text))
NAMES = st.text("ab*\\", max_size=8)


def compiled(text: str) -> Pattern:
    """Return the pattern, whether or not a well-formed name could match it."""
    return pattern.parse(text, lambda _: "") if text else Pattern(("",))


@property_of(1_500)
@given(ANY_PATTERN, NAMES)
@example("a*a", "a")
@example("a*", "a")
@example("*", "")
@example("*a*a*", "aa")
@example("*ab*ba*", "aba")
def test_star_stands_for_any_run_of_characters(text: str, name: str) -> None:
    r"""`*` stands for any run of characters; `\*` is a literal star, `\\` a literal backslash."""
    wanted = reference_policy.matches(reference_policy.tokens(text), name)
    assert compiled(text).matches(name) is wanted


@pytest.mark.parametrize(
    ("text", "name", "matches"),
    [
        ("arn:aws:s3:::acme/*", "arn:aws:s3:::acme/a/b:c.d", True),
        ("*", "a/b:c.d\n", True),
        ("a.c", "abc", False),
        ("[a-z]", "b", False),
        ("[a-z]", "[a-z]", True),
        ("(a|b)+", "a", False),
        ("ABC", "abc", False),
        ("STRASSE", "straße", False),
        ("é", "é", True),
        ("é", "e\u0301", False),
        ("a", "a\n", False),
        ("a*a", "a", False),
        ("a*b*c", "abc", True),
        ("a*b*c", "acb", False),
        ("*a*ab", "aab", True),
        ("x*", "x", True),
    ],
)
def test_everything_else_is_itself(text: str, name: str, matches: bool) -> None:
    """Everything else is itself: UTF-8 bytes as they are, no case folding."""
    assert compiled(text).matches(name) is matches


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a?", "`?` is no wildcard"),
        ("?", "`?` is no wildcard"),
        ("a**", "`**` is not known"),
        ("***", "`**` is not known"),
        ("**/a", "`**` is not known"),
        ("a\\b", "a backslash stands only before"),
        ("a\\", "a backslash stands only before"),
        ("\\?", "a backslash stands only before"),
        ("\\\\\\a", "a backslash stands only before"),
        ("\\***", "`**` is not known"),
    ],
)
def test_what_other_tools_know_is_refused(text: str, said: str) -> None:
    """There is no `?`, no `**`; any other backslash is a load error."""
    with pytest.raises(ValueError, match=re.escape(said)):
        compiled(text)


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("a*b", ("a", "b")),
        ("*", ("", "")),
        ("\\*", ("*",)),
        ("X\\*X*XX", ("X*X", "XX")),
        ("\\**", ("*", "")),
        ("*\\*", ("", "*")),
        ("\\\\*", ("\\", "")),
        ("\\\\\\*", ("\\*",)),
    ],
)
def test_escapes_are_undone_once(text: str, runs: tuple[str, ...]) -> None:
    r"""`\*` is a literal star, `\\` a literal backslash."""
    assert compiled(text).runs == runs
    assert compiled(text).text == text


@property_of(400)
@given(SIMPLE_PATTERN, st.text("ab", max_size=3))
def test_covers_and_touches_by_brute_force(text: str, prefix: str) -> None:
    """A scope asks for every string, well formed or not, that starts with its prefix.

    A character that no pattern holds stands for all others; five more are enough for a witness.
    """
    one = compiled(text)
    matching = [one.matches(prefix + tail) for tail in TAILS]
    assert one.covers(prefix) is all(matching)
    assert one.touches(prefix) is any(matching)


@property_of(1_500)
@given(ANY_PATTERN, NAMES)
def test_covers_and_touches_as_defined(text: str, prefix: str) -> None:
    """A rule covers a scope if every such string matches one pattern, touches it if some does."""
    one, tokens = compiled(text), reference_policy.tokens(text)
    assert one.covers(prefix) is reference_policy.covers(tokens, prefix)
    assert one.touches(prefix) is reference_policy.touches(tokens, prefix)
    if one.covers(prefix):
        assert one.touches(prefix)


@pytest.mark.parametrize(
    ("text", "prefix", "covers", "touches"),
    [
        ("a/*", "a/", True, True),
        ("a/*", "a/b", True, True),
        ("a/*", "a", False, True),
        ("a/*", "", False, True),
        ("*", "", True, True),
        ("a/b", "a/", False, True),
        ("a/b", "a/b", False, True),
        ("a/b", "a/bc", False, False),
        ("a/*.txt", "a/", False, True),
        ("a/*.txt", "a/b.txt", False, True),
        ("a/*b*", "a/", False, True),
        ("a/*b*", "a/xb", True, True),
        ("a/*", "b", False, False),
        ("a\\*", "a", False, True),
    ],
)
def test_scopes(text: str, prefix: str, covers: bool, touches: bool) -> None:
    """The pattern ends in an unescaped `*` and matches the prefix."""
    assert compiled(text).covers(prefix) is covers
    assert compiled(text).touches(prefix) is touches


WHO = Principal(
    "okta/alice", "alice", kind="agent", groups=("okta/eng", "okta/ops/oncall", "okta/a:b")
)


@pytest.mark.parametrize(
    ("entry", "matches"),
    [
        ("okta/alice", True),
        ("okta/*", True),
        ("*", True),
        ("*/alice", True),
        ("okta/bob", False),
        ("okta/eng", False),
        ("group:okta/eng", True),
        ("group:okta/ops/*", True),
        ("group:*", True),
        ("group:okta/a:b", True),
        ("group:okta/a:*", True),
        ("group:okta/a:c", False),
        ("group:okta/alice", False),
        ("group:github/*", False),
        ("kind:agent", True),
        ("kind:user", False),
    ],
)
def test_principal_entries(entry: str, matches: bool) -> None:
    """Each entry is a pattern on the whole id, or `group:PATTERN` on any of its groups."""
    assert pattern.principal(entry).matches(WHO) is matches


def test_an_actor_does_not_lend_its_patterns() -> None:
    """A pattern on principals looks at the principal, not at who acts for it."""
    acted = Principal("okta/alice", "alice", actor="okta/robot")
    assert not pattern.principal("okta/robot").matches(acted)
    assert pattern.principal("okta/robot").matches_id("okta/robot")
    assert not pattern.principal("group:okta/*").matches_id("okta/robot")
    assert not pattern.principal("kind:user").matches_id("okta/robot")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("kind:robot", "unknown kind 'robot': one of user, agent, service"),
        ("kind:agents", "one of user, agent, service: did you mean `agent`?"),
        ("kind:*", "unknown kind"),
        ("kinds:agent", "they are issuer/subject: did you mean `kind:agent`?"),
        ("Group:okta/e*", "they are issuer/subject: did you mean `group:okta/e*`?"),
        ("Group:okta/a:b", "did you mean `group:okta/a:b`?"),
        ("kind:", "unknown kind"),
        ("group:", "an empty string"),
        ("group:eng", "no id can match"),
        ("group/x", "no id can match"),
        ("kind/x", "no id can match"),
        ("alice", "no id can match"),
        ("okta/", "no id can match"),
        ("Okta/*", "no id can match"),
        ("Okta*", "no id can match"),
        ("-okta/*", "no id can match"),
        ("o" * 33 + "*", "no id can match"),
        ("o" * 33 + "/x", "no id can match"),
        ("/alice", "no id can match"),
        ("okta/../x", "is a whole segment"),
        ("okta/a\u200bb", "holds the character U+200B"),
        (7, "expected a pattern, got an integer"),
        (True, "expected a pattern, got true or false"),
        (["a"], "expected a pattern, got an array"),
        (None, "expected a pattern"),
    ],
)
def test_dead_principal_entries(entry: object, said: str) -> None:
    """A pattern that no well-formed id could ever match is a load error."""
    with pytest.raises(ValueError, match=re.escape(said)):
        pattern.principal(entry)


@pytest.mark.parametrize("entry", ["alice", "groups:eng", "Kind:robot", "alice:x", "other:a/b"])
def test_no_principal_is_guessed(entry: str) -> None:
    """The nearest right spelling is told, and nothing that would match others too."""
    with pytest.raises(ValueError, match=r"issuer/subject$"):
        pattern.principal(entry)


@pytest.mark.parametrize(
    "entry",
    ["*", "okta*", "ok*a", "group*", "*x", "o" * 32 + "*", "*/alice", "okta/*", "a/b/c", "a/é"],
)
def test_living_principal_entries(entry: str) -> None:
    """A pattern that some id matches loads."""
    assert pattern.principal(entry).text == entry


VALUES = {
    "principal.name": "n",
    "tool": "t",
    "principal.claims.a.b": "v",
    "principal.claims.X": "w",
}


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("a", ("a",)),
        ("a/${tool}/*", ("a/t/", "")),
        ("${principal.name}", ("n",)),
        ("*${tool}*${principal.name}", ("", "t", "n")),
        ("${tool}/*/logs/*", ("t/", "/logs/", "")),
        ("long*longer*${tool}", ("long", "longer", "t")),
        ("${tool}${tool}x", ("ttx",)),
        ("$${tool}}", ("$t}",)),
        ("a$b{c}", ("a$b{c}",)),
        ("${principal.claims.a.b}", ("v",)),
        ("${principal.claims.X}", ("w",)),
    ],
)
def test_variables_are_filled_in(text: str, runs: tuple[str, ...]) -> None:
    """The value goes in as literal text."""
    assert pattern.template(text).fill(VALUES.__getitem__).runs == runs


def test_a_value_stays_literal_where_a_star_stands_beside() -> None:
    """A value with a star in it would be no wildcard: the value goes in as literal text."""
    filled = pattern.template("a/${tool}").fill(lambda _: "*")
    assert filled.runs == ("a/*",)
    assert not filled.matches("a/x")


def test_variables_are_listed_in_order() -> None:
    """The variables of a template are known."""
    one = pattern.template("${tool}/${environment}/*/${tool}")
    assert one.names == ("tool", "environment", "tool")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${tool", "`${` without `}`"),
        ("a${", "`${` without `}`"),
        ("${tool}${", "`${` without `}`"),
        ("${tol}", "unknown variable `${tol}`: did you mean `tool`?"),
        ("${principal.nam}", "did you mean `principal.name`?"),
        ("${principal.user_id}", "unknown variable `${principal.user_id}`"),
        ("${foo}", "expected one of principal.name, principal.issuer, principal.hash, environm"),
        ("${}", "unknown variable `${}`"),
        ("${ tool }", "unknown variable"),
        ("${Tool}", "unknown variable"),
        ("${project_id}", "unknown variable"),
        ("${principal.claims.}", "names no claim"),
        ("${principal.claims.a$}", "names no claim"),
        ("${principal.claims.${tool}}", "names no claim"),
        ("${principal.claims.a*}", "names no claim"),
        ("${principal.claims.a?}", "names no claim"),
        ("${principal.claims.a\\}", "names no claim"),
        ("${principal.claims.a{b}", "names no claim"),
        ("${principal.claims}", "unknown variable"),
        ("\\${tool}", "a backslash stands only before"),
        ("${tool}**", "`**` is not known"),
        ("a?${tool}", "`?` is no wildcard"),
        ("../${tool}", "is a whole segment"),
        ("${tool}/.", "is a whole segment"),
        ("x" * 2048 + "${tool}", "longer than 2048"),
        ("${tool}\\*", "no name can match: holds *"),
        ("a\u0000b", "holds the character U+0000"),
        ("", "an empty string"),
        (1.5, "expected a pattern, got a float"),
    ],
)
def test_refused_templates(text: object, said: str) -> None:
    """Of variables, only those that are known, and claims whose name is one."""
    with pytest.raises(ValueError, match=re.escape(said)):
        pattern.template(text)


def test_other_variables_can_be_known() -> None:
    """A tool's resource knows the variables of its environment besides."""
    one = pattern.template("${project}", ["project"])
    assert one.fill(lambda _: "acme").matches("acme")


@pytest.mark.parametrize("text", [".${tool}", "${tool}.", "${tool}..", "x" * 2047 + "${tool}"])
def test_a_variable_counts_as_text_that_is_not_known(text: str) -> None:
    """A segment that a variable completes is not dead."""
    assert pattern.template(text).text == text


@pytest.mark.parametrize("unit", ["a", "*a", "\\\\", "${tool}", "${", "a\u0300\u0316", "/"])
@pytest.mark.timeout(20)
def test_long_texts_are_refused_in_linear_time(unit: str) -> None:
    """A hostile file cannot keep the loader busy: a mebibyte of text is judged at once."""
    with pytest.raises(ValueError, match=r"longer than 2048|without|no name can match|holds"):
        pattern.template(unit * (2**20 // len(unit)))
