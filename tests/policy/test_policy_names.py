"""What a well-formed request is, and which patterns no well-formed name could match."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.policy import names, pattern, wellformed
from support import reference_policy
from support.policy_worlds import ALICE, QUESTION, ask, property_of

if TYPE_CHECKING:
    from agentauth_cli.model import Question

NOT_NAMES = [
    ("a*b", "holds *"),
    ("a?", "holds ?"),
    ("a\\b", "holds \\"),
    ("a${b", "holds ${"),
    ("a\x00", "holds the character U+0000"),
    ("a\n", "holds the character U+000A"),
    ("a\x7f", "holds the character U+007F"),
    ("a\x85", "holds the character U+0085"),
    ("a\u202e", "holds the character U+202E"),
    ("a\u200b", "holds the character U+200B"),
    ("a\ufeff", "holds the character U+FEFF"),
    ("a\U000e0041", "holds the character U+E0041"),
    ("a\ud800", "holds the character U+D800"),
    ("a\u2028", "holds the character U+2028"),
    ("a\u2029", "holds the character U+2029"),
    ("e\u0301", "is not in Unicode NFC"),
    ("\u212b", "is not in Unicode NFC"),
    ("a/./b", "holds . or .. as a segment"),
    ("a/../b", "holds . or .. as a segment"),
    ("a/..", "holds . or .. as a segment"),
    ("a/.", "holds . or .. as a segment"),
    ("x" * 2047 + "é", "is longer than 2048 bytes"),
    ("x" * 2049, "is longer than 2048 bytes"),
]
NAMES = [
    "a",
    "a b",
    "a/",
    "/a",
    "a//b",
    "a/...",
    "a/.b",
    "é",
    "日本",
    "$a{b}",
    "x" * 2048,
    "a:b@c#d",
]


@pytest.mark.parametrize(
    ("name", "said"), [*NOT_NAMES, ("..", "holds . or .. as a segment"), ("", "is empty")]
)
def test_names_that_are_not_well_formed(name: str, said: str) -> None:
    r"""In NFC, no Cc, Cf, Cs, Zl, Zp, no `?`, `\`, `${`, no `.` or `..` as a whole segment."""
    assert wellformed.malformed(ask(resource=name)) == f"resource {said}"


@pytest.mark.parametrize("name", NAMES)
def test_well_formed_names(name: str) -> None:
    """Names are 1 to 2,048 bytes."""
    assert wellformed.malformed(ask(resource=name)) == ""


@pytest.mark.parametrize(("name", "said"), NOT_NAMES)
@pytest.mark.parametrize("what", ["principal", "actor", "group"])
def test_groups_and_the_actor_have_the_form_of_ids(what: str, name: str, said: str) -> None:
    """Groups and the actor have the form of ids."""
    name = f"okta/{name}"
    changed = {"principal": {"id": name}, "actor": {"actor": name}, "group": {"groups": (name,)}}
    who: Any = changed[what]
    assert wellformed.malformed(ask(principal=replace(ALICE, **who))) == f"{what} {said}"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "alice",
        "okta/",
        "/alice",
        "Okta/alice",
        "-okta/alice",
        "ok_ta/alice",
        "okta /alice",
        "oktá/alice",
        "o" * 33 + "/alice",
        "group/alice",
        "kind/user",
        "okta:alice",
        "okta\n/alice",
    ],
)
@pytest.mark.parametrize("what", ["id", "actor", "groups"])
def test_ids_are_issuer_and_subject(what: str, name: str) -> None:
    """The issuer is `[a-z0-9][a-z0-9-]{0,31}`, never `group` or `kind`; the subject not empty."""
    who: Any = {what: (name,) if what == "groups" else name}
    assert wellformed.malformed(ask(principal=replace(ALICE, **who))).endswith(
        "is not issuer/subject"
    )


@pytest.mark.parametrize("name", ["o" * 32 + "/a", "0/a", "okta/a/b/c", "key/build-7", "a/é"])
def test_ids_are_split_at_the_first_slash(name: str) -> None:
    """An id is `issuer/subject`, split at the first slash; the subject may hold slashes."""
    who = replace(ALICE, id=name)
    assert wellformed.malformed(ask(principal=who)) == ""
    assert f"{who.issuer}/{who.user_id}" == name
    assert "/" not in who.issuer


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ("*", ""),
        ("a*", ""),
        ("a/*", ""),
        ("a/..*", "resource holds . or .. as a segment"),
        ("./*", "resource holds . or .. as a segment"),
        ("a/../*", "resource holds . or .. as a segment"),
        ("**", "resource holds *"),
        ("a*b*", "resource holds *"),
        ("*a", "resource holds *"),
        ("a?*", "resource holds ?"),
        ("${x}*", "resource holds ${"),
        ("\\*", "resource holds \\"),
        ("e\u0301*", "resource is not in Unicode NFC"),
        ("x" * 2047 + "*", ""),
        ("x" * 2048 + "*", "resource is longer than 2048 bytes"),
    ],
)
def test_a_star_stands_only_at_the_end_of_a_resource(resource: str, said: str) -> None:
    """A `*` may stand only as the last character of a resource; its prefix is a name."""
    assert wellformed.malformed(ask(resource=resource)) == said


@pytest.mark.parametrize(
    "action",
    [
        *("", "aws", "aws.s3", "aws.s3.put.x", "aws..put", ".s3.put", "aws.s3.", "AWS.s3.put"),
        *("aws.s3.*", "aws.s3.pút", "aws.s3.put\n", "aws/s3/put", "a.b." + "c" * 2045),
    ],
)
def test_an_action_is_three_parts(action: str) -> None:
    """An action is three parts of `[a-z0-9_-]+` joined by dots."""
    said = wellformed.malformed(ask(action=action))
    assert said == "action is not provider.resource_type.verb"


def test_the_longest_names() -> None:
    """Every name is 2048 bytes at most."""
    assert wellformed.malformed(ask(action="a.b." + "c" * 2044)) == ""
    assert wellformed.malformed(ask(resource="x" * 2048)) == ""
    longest = "okta/" + "x" * 2043
    who = replace(ALICE, id=longest, actor=longest, groups=(longest,))
    assert wellformed.malformed(ask(principal=who)) == ""
    longer = replace(ALICE, id=longest + "x")
    assert wellformed.malformed(ask(principal=longer)) == "principal is longer than 2048 bytes"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a:b", "é", ".", "..", "x" * 65, "a\n", "*"])
def test_tools_and_environments(name: str) -> None:
    """Tool and environment: 1 to 64, `[A-Za-z0-9._-]`; no dots as a whole tool or environment."""
    assert wellformed.malformed(ask(tool=name)).startswith("tool is not a name")
    assert wellformed.malformed(ask(environment=name)).startswith("environment is not a name")


@pytest.mark.parametrize("name", ["-", "a", "A.b_c-9", "...", ".x", "x" * 64])
def test_well_formed_tools_and_environments(name: str) -> None:
    """Tool and environment: 1 to 64, `[A-Za-z0-9._-]`."""
    assert wellformed.malformed(ask(tool=name, environment=name)) == ""


@pytest.mark.parametrize("who", [{"kind": "robot"}, {"kind": ""}, {"auth": "none"}, {"auth": None}])
def test_kind_and_auth_are_of_the_known_values(who: dict[str, Any]) -> None:
    """Kind and auth are of the known values."""
    said = wellformed.malformed(ask(principal=replace(ALICE, **who)))
    assert said == "principal of an unknown kind or auth"


def test_a_time_has_an_offset() -> None:
    """It has all of: principal (with kind and auth), action, resource, tool, environment, time."""
    naive = datetime(2026, 11, 23, 10)  # noqa: DTZ001 - the point of this test
    assert wellformed.malformed(ask(time=naive)) == "time has no offset"


@pytest.mark.timeout(20)
def test_huge_names_are_refused_at_once() -> None:
    """A name of many mebibytes is refused by its length, before it is looked at."""
    huge = "okta/a" + "\u0300\u0316" * 2**22
    who = replace(ALICE, id=huge, actor=huge, groups=(huge,))
    assert wellformed.malformed(ask(principal=who)) == "principal is longer than 2048 bytes"
    assert wellformed.malformed(ask(resource=huge)) == "resource is longer than 2048 bytes"
    assert wellformed.malformed(ask(tool=huge, environment=huge)).startswith("tool is not")


NASTY = st.one_of(
    st.text("ab/.*?\\${}\u0301\u200b\ud800 é\n-:", max_size=6),
    st.text("ab/.", max_size=3).map(lambda tail: "okta/" + tail),
    st.text(max_size=4),
)


@property_of(1_500)
@given(NASTY, NASTY, st.none() | NASTY, NASTY, NASTY, NASTY, NASTY)
def test_well_formed_is_what_the_reference_says(
    one: str, group: str, actor: str | None, action: str, resource: str, tool: str, env: str
) -> None:
    """What is well formed is what a second reading of the specification says."""
    who = replace(ALICE, id=one, groups=(group,), actor=actor)
    for question in (
        ask(principal=replace(ALICE, id=one)),
        ask(principal=replace(ALICE, groups=(group,))),
        ask(principal=replace(ALICE, actor=actor)),
        ask(action=action),
        ask(resource=resource),
        ask(tool=tool),
        ask(environment=env),
        replace(QUESTION, principal=who, action=action, resource=resource, tool=tool),
    ):
        assert _sound(question) is reference_policy.well_formed(question)


def _sound(question: Question) -> bool:
    return not wellformed.malformed(question)


# Patterns that no well-formed name could match


@pytest.mark.parametrize(("text", "said"), [*NOT_NAMES[3:], ("..", "..")])
def test_dead_names(text: str, said: str) -> None:
    """A pattern that no well-formed exact name could ever match is a load error."""
    said = said.removeprefix("holds ").removeprefix("is ")
    alternatives = [said, "variables stand in `resources` alone", ". or .. is a whole segment"]
    with pytest.raises(ValueError, match="|".join(map(re.escape, alternatives))):
        pattern.name(text)


@pytest.mark.parametrize("text", ["*", "a*", "*.", "*..", "..*", ".*/a", "a/*.", "/*/", "x" * 2048])
def test_living_names(text: str) -> None:
    """A segment of dots that a star can lengthen is not dead."""
    assert pattern.name(text).text == text


@pytest.mark.parametrize("text", ["a b", "a/*", "é*", ".", "..", "x" * 65, "x" * 64 + "y*", "\\*"])
def test_dead_tools_and_environments(text: str) -> None:
    """A slash in an environment: no name could match."""
    with pytest.raises(ValueError, match="no name can match"):
        pattern.short(text)


@pytest.mark.parametrize("text", ["*", "x" * 64, "x" * 64 + "*", "*x*", "*.", "..*", "...", "-"])
def test_living_tools_and_environments(text: str) -> None:
    """What some tool or environment can match loads: 1 to 64 characters besides the stars."""
    assert pattern.short(text).text == text


def _actions(longest: int) -> list[str]:
    return [
        text
        for n in range(1, longest + 1)
        for chars in product("a.*", repeat=n)
        if "**" not in (text := "".join(chars))
    ]


def test_dead_actions_by_brute_force() -> None:
    """A pattern loads as an action exactly if some action matches it.

    Each star is tried with every text that could complete an action of three parts.
    """
    fillings = ["", "a", ".", ".a", "a.", "a.a", "a.a.", ".a.", ".a.a", "a.a.a"]
    for text in _actions(6):
        runs = text.split("*")
        stars = len(runs) - 1
        alive = any(
            names.ACTION.fullmatch(
                "".join(run + (filled[i] if i < stars else "") for i, run in enumerate(runs))
            )
            for filled in product(fillings, repeat=stars)
        )
        assert (names.dead_action(runs) == "") is alive, text


@pytest.mark.parametrize(
    "text", ["aws.s3", "aws.s3.\\**", "AWS.*", "aws.s3.put?*", "aws s3.*", "a.b.c.*", "*a.b.c.d"]
)
def test_dead_actions(text: str) -> None:
    """`aws.s3` as an action: no action could match, nor one with a literal star."""
    with pytest.raises(ValueError, match=r"no action can match|is no wildcard"):
        pattern.action(text)


def test_an_action_that_is_too_long_is_dead() -> None:
    """Names are 1 to 2,048 bytes, actions too."""
    with pytest.raises(ValueError, match="longer than 2048"):
        pattern.action("a.b." + "c" * 2045)


def test_dead_ids_by_brute_force() -> None:
    """A pattern loads as an id exactly if some id matches it."""
    fillings = ["", "a", "/", "a/", "/a", "a/a"]
    for n in range(1, 6):
        for chars in product("a/*A", repeat=n):
            text = "".join(chars)
            if "**" in text:
                continue
            runs = text.split("*")
            stars = len(runs) - 1
            alive = any(
                not wellformed.malformed_id(
                    "".join(run + (filled[i] if i < stars else "") for i, run in enumerate(runs))
                )
                for filled in product(fillings, repeat=stars)
            )
            assert (names.dead_id(runs) == "") is alive, text
