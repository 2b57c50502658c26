"""`policy fmt`: one canonical order and style, comments kept, idempotent."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.policy.formatting import formatted
from agentauth_cli.policy.rules import load
from support.policy_worlds import Rule, property_of, rule_sets, written

MESSY = """\


# Who may do what.

# All of it.
version=1 # the only one
[[ rule ]]   # ours
effect   = 'allow'

# why it is there
  # in two lines
id="a"
principals = [ 'okta/*',"key/\\u002A" , ]
unless.auth = ["os"]

resources = ['a\\*b', # inside
  "c"]


# a deny rule


[[rule]]
principals = ["*"]
description = \"\"\"
two
lines\"\"\"
id = "d"
effect = "deny"
when = {before=2027-01-04T00:00:00Z,after = 2026-12-20T01:00:00+01:00, claims = {"a!" = 'x'} }
[rule.unless]
hours = "00:00-24:00"
days = ["mon"]
[[test]]
expect="deny"
name = "t"
resource = "x"
action = "a.b.c"
principal={claims={n=[1,true,7.5,{}]},id="a/x"}
# the end

"""
NEAT = """\
# Who may do what.

# All of it.
version = 1  # the only one

[[rule]]  # ours
# why it is there
# in two lines
id = "a"
effect = "allow"
principals = ["okta/*", "key/*"]
resources = ['a\\*b', # inside
  "c"]
unless.auth = ["os"]

# a deny rule

[[rule]]
id = "d"
effect = "deny"
description = \"\"\"
two
lines\"\"\"
principals = ["*"]
when = { claims = { "a!" = "x" }, after = 2026-12-20T01:00:00+01:00, before = 2027-01-04T00:00:00Z }

[rule.unless]
days = ["mon"]
hours = "00:00-24:00"

[[test]]
name = "t"
principal = { id = "a/x", claims = { n = [1, true, 7.5, {}] } }
action = "a.b.c"
resource = "x"
expect = "deny"

# the end
"""


def test_the_style() -> None:
    """One canonical order and style, comments kept."""
    assert formatted(MESSY) == NEAT
    assert formatted(NEAT) == NEAT
    assert tomllib.loads(MESSY) == tomllib.loads(NEAT)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("version = 1", "version = 1\n"),
        ("version = 1\r\n\r\n# c\r\n", "version = 1\n\n# c\n"),
        ("# c\nversion = 1\n\n\n", "# c\nversion = 1\n"),
        ("\n\n\nversion = 1 ", "version = 1\n"),
    ],
)
def test_small_files(text: str, wanted: str) -> None:
    """Lines end as they do on Unix, and the file with one of them."""
    assert formatted(text) == wanted


def test_long_arrays() -> None:
    """An array that does not fit into a line is written with an entry a line."""
    many = [f"okta/somebody-{i}" for i in range(6)]
    text = f"version = 1\n\n[[rule]]\nprincipals = {many}\n"
    lines = "".join(f'    "{one}",\n' for one in many)
    wanted = f"version = 1\n\n[[rule]]\nprincipals = [\n{lines}]\n"
    assert formatted(text) == wanted
    assert formatted(wanted) == wanted


@pytest.mark.parametrize(
    ("written_as", "wanted"),
    [
        ("'a'", '"a"'),
        (r'"a\\*"', r"'a\*'"),
        (r'''"a\\'"''', r'''"a\\'"'''),
        (r'"\u007f\u0001\n"', r'"\u007F\u0001\n"'),
        ('"é # no comment"', '"é # no comment"'),
    ],
)
def test_strings(written_as: str, wanted: str) -> None:
    """Strings have double quotes, those with backslashes single ones where that can be."""
    assert formatted(f"version = 1\nx = {written_as}") == f"version = 1\nx = {wanted}\n"


COMMENTS = st.sampled_from(["", "", " # c", "\n# c", "\n\n#d", "\n", "  "])


@property_of(200)
@given(rule_sets(), st.data())
def test_the_meaning_stays(rules: list[Rule], data: st.DataObject) -> None:
    """Comments are kept, the policy is the same, and twice is the same as once."""
    text = "\n".join(line + data.draw(COMMENTS) for line in written(rules).decode().split("\n"))
    once = formatted(text)
    assert formatted(once) == once
    assert tomllib.loads(once) == tomllib.loads(text)
    assert load([("p", once.encode())])[0] is not None
    comments: list[Any] = [sorted(re.findall("#[^\n]*", one)) for one in (text, once)]
    assert comments[0] == comments[1]
