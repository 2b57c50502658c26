"""Where each key of a TOML document stands."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.tables.lines import At, places
from support.policy_worlds import property_of

TEXT = '''\
# a comment = 1
version = 1  # = 2
a.b . "c d" = 'x'

[table]
  indented = [1, 2, # three
    3,
    { in = "x", also.dotted = [ [4], [5] ] },
  ]
multi = """
[not.a.table]
no = 1 \\""" "quoted\\\\""""
lit = \'\'\'it''s
x = 1\'\'\'\'
after = 1979-05-27 07:32:00

[[rule]]
id = "a"
[[rule]]
id = "b"
[rule.sub]
k = 1
[[rule.list]]
k = 1
[[rule.list]]
[deep.er.still]
"quoted \\u0041" = {}
[ spaced . "x" ]
y = true
'''

WHERE: list[tuple[At, int, int]] = [
    ((), 1, 1),
    (("version",), 2, 1),
    (("a",), 3, 1),
    (("a", "b"), 3, 1),
    (("a", "b", "c d"), 3, 1),
    (("table",), 5, 1),
    (("table", "indented"), 6, 3),
    (("table", "indented", 0), 6, 15),
    (("table", "indented", 1), 6, 18),
    (("table", "indented", 2), 7, 5),
    (("table", "indented", 3), 8, 5),
    (("table", "indented", 3, "in"), 8, 7),
    (("table", "indented", 3, "also"), 8, 17),
    (("table", "indented", 3, "also", "dotted"), 8, 17),
    (("table", "indented", 3, "also", "dotted", 1), 8, 38),
    (("table", "indented", 3, "also", "dotted", 1, 0), 8, 39),
    (("table", "multi"), 10, 1),
    (("table", "lit"), 13, 1),
    (("table", "after"), 15, 1),
    (("rule",), 17, 1),
    (("rule", 0), 17, 1),
    (("rule", 0, "id"), 18, 1),
    (("rule", 1), 19, 1),
    (("rule", 1, "id"), 20, 1),
    (("rule", 1, "sub"), 21, 1),
    (("rule", 1, "sub", "k"), 22, 1),
    (("rule", 1, "list"), 23, 1),
    (("rule", 1, "list", 0), 23, 1),
    (("rule", 1, "list", 0, "k"), 24, 1),
    (("rule", 1, "list", 1), 25, 1),
    (("deep",), 26, 1),
    (("deep", "er"), 26, 1),
    (("deep", "er", "still"), 26, 1),
    (("deep", "er", "still", "quoted A"), 27, 1),
    (("spaced",), 28, 1),
    (("spaced", "x", "y"), 29, 1),
]


@pytest.mark.parametrize(("at", "line", "column"), WHERE)
def test_places(at: At, line: int, column: int) -> None:
    """Each key is where it stands."""
    assert places(TEXT, [at]) == [(line, column)]


def test_several_are_placed_at_once() -> None:
    """One walk places all that is wanted, in the order wanted."""
    wanted = [at for at, _, _ in reversed(WHERE)]
    assert places(TEXT, wanted) == [(line, column) for _, line, column in reversed(WHERE)]


@pytest.mark.parametrize(
    ("at", "place"),
    [
        (("nothing",), (1, 1)),
        (("rule", 0, "missing"), (17, 1)),
        (("rule", 7, "id"), (17, 1)),
        (("table", "missing", "deeper"), (5, 1)),
    ],
)
def test_a_key_that_is_not_there(at: At, place: tuple[int, int]) -> None:
    """A key that is not there is at what would enclose it."""
    assert places(TEXT, [at]) == [place]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing", "   "])
def test_an_empty_document(text: str) -> None:
    """The document itself is at (1, 1)."""
    assert places(text, [(), ("a",)]) == [(1, 1), (1, 1)]


@pytest.mark.parametrize(
    "value",
    [
        *("1", "-1.5e3", "true", "inf", "1979-05-27T07:32:00Z", "07:32:00", "0xff", '""', "''"),
        *('""""""', "''''''", '"""a""""', '"""a"""""', '"""""a"""', "'''a''''", "''''a'''"),
        *('"\\""', '"\\\\"', "'\\'", '"#"', '"]"', '"= {"', '"""\\"\\"\\" """', '"""\n\n"""'),
        *("[]", "{}", "[[], [[]]]", "[1,]", "[ # c ]\n1 # d\n, # e\n]", "[\"a,]\", '#']"),
        *("{a=1}", "{ a = [1, {b=2}], c.d = '}' }", "[1e3,2]", "[true,false]", "[1979-05-27]"),
    ],
)
def test_what_comes_after_a_value(value: str) -> None:
    """Whatever a value looks like, the key after it is found, and its line."""
    text = f"first = {value} # comment\nnext = 1\n[table]\nlast = {value}"
    assert tomllib.loads(text)["next"] == 1
    lines = text.split("\n")
    expected = [(lines.index("next = 1") + 1, 1), (lines.index("[table]") + 1, 1)]
    assert places(text, [("next",), ("table",)]) == expected
    assert places(text, [("table", "last")]) == [(expected[1][0] + 1, 1)]


# Documents that are written while it is noted where each key goes

KEYS = st.sampled_from(["a", "b", "c-1", '"q.r"', "'l'", '"\\u00e9"', '""', "1"])
SCALARS = st.sampled_from(
    ["1", "'x = 1'", '"#\\""', '"""\n[t]\nk = 1"""', "'''\n\n'''", "1979-05-27 07:32:00", "true"]
)
GAPS = st.sampled_from(["", " ", "\t", "\n", " # c = 1 ]\n", "\n\n  "])
SPACES = st.sampled_from(["", " ", "\t "])


class Writer:
    """A document as it grows, and the place of each key in it."""

    def __init__(self) -> None:
        self.text = ""
        self.placed: dict[At, tuple[int, int]] = {}

    def here(self) -> tuple[int, int]:
        """Return line and column of what comes next."""
        line = self.text.rpartition("\n")[2]
        return self.text.count("\n") + 1, len(line) + 1

    def value(self, draw: st.DrawFn, at: At, depth: int) -> None:
        """Write a value, and place what is in it."""
        shape = draw(st.integers(0, 3)) if depth else 0
        if shape == 1:
            self.text += "["
            for i in range(draw(st.integers(0, 3))):
                self.text += ("," if i else "") + draw(GAPS)
                self.placed[(*at, i)] = self.here()
                self.value(draw, (*at, i), depth - 1)
                self.text += draw(GAPS)
            self.text += "]"
        elif shape == 2:
            self.text += "{"
            for i, key in enumerate(draw(st.lists(KEYS, max_size=2, unique_by=parsed))):
                self.text += ("," if i else "") + draw(SPACES)
                self.entry(draw, key, at, depth - 1)
                self.text += draw(SPACES)
            self.text += "}"
        else:
            self.text += draw(SCALARS)

    def entry(self, draw: st.DrawFn, key: str, at: At, depth: int) -> None:
        """Write a key, dotted at times, and its value."""
        start, names = self.here(), [parsed(key)]
        self.text += key
        while draw(st.integers(0, 3)) == 3:
            more = draw(KEYS)
            self.text += draw(SPACES) + "." + draw(SPACES) + more
            names.append(parsed(more))
        for length in range(len(names)):
            self.placed[(*at, *names[: length + 1])] = start
        self.text += draw(SPACES) + "=" + draw(SPACES)
        self.value(draw, (*at, *names), depth)


def parsed(key: str) -> str:
    """Return the name that a key of TOML means."""
    return next(iter(tomllib.loads(f"{key} = 1")))


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    """Draw a document: keys, then tables and arrays of tables of other names."""
    writer = Writer()

    def entries(at: At) -> None:
        for key in draw(st.lists(KEYS, max_size=3, unique_by=parsed)):
            writer.text += draw(SPACES)
            writer.entry(draw, key, at, 3)
            writer.text += draw(st.sampled_from(["\n", " # c\n", "\n\n", "\n \n"]))

    entries(())
    for i in range(draw(st.integers(0, 3))):
        name, count = f"table{i}", draw(st.integers(0, 3))
        for index in range(max(count, 1)):
            writer.text += draw(SPACES)
            at: At = (name, index) if count else (name,)
            writer.placed.setdefault((name,), writer.here())
            writer.placed[at] = writer.here()
            writer.text += f"[[ {name} ]]\n" if count else f"[{name}]# c\n"
            entries(at)
            if draw(st.booleans()):
                inner: At = (*at, "x", "y z")
                writer.placed[inner] = writer.placed[(*at, "x")] = writer.here()
                writer.text += f"[{name} . x.'y z']\n"
                entries(inner)
    return writer


def paths(value: Any, at: At = ()) -> list[At]:
    """Return the path of everything in a document."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    if isinstance(value, list):
        inner = list(enumerate(value))
    return [at, *(path for name, one in inner for path in paths(one, (*at, name)))]


@property_of(250)
@given(documents())
def test_every_key_of_a_document_is_where_it_stands(writer: Writer) -> None:
    """For any document, each key's place is where it was written."""
    everything = [at for at in paths(tomllib.loads(writer.text)) if at]
    assert places(writer.text, everything) == [writer.placed[at] for at in everything]
