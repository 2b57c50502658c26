"""What a file may hold: every error, with its place, found at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.model import Rate
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import (
    MAX_BYTES,
    Brief,
    Document,
    Found,
    Key,
    ListOf,
    Named,
    OneOrMore,
    Problem,
    Table,
    Value,
    did_you_mean,
    kind,
    nearest_of,
)
from support.policy_worlds import property_of


def _ordered(table: dict[str, Any]) -> list[tuple[str, str]]:
    return [("low", "above high")] if table["low"] > table["high"] else []


RANGE = Table(
    {
        "low": Key(Value(values.integer), required=True),
        "high": Key(Value(values.integer), default=9),
    },
    check=_ordered,
)
FILE = Table(
    {
        "name": Key(Value(values.text)),
        "range": Key(ListOf(RANGE), default=()),
        "by": Key(Named(RANGE, Value(values.duration).parse)),
    }
)


def read(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return values and problems of a file `f`."""
    document = Document("f", text.encode())
    found = document.read(FILE)
    return found, [str(one) for one in document.problems()]


def test_values_and_defaults() -> None:
    """A table is read to a dict that has each defined key."""
    text = 'name = "x"\nrange = [{ low = 1 }]\n[by.15m]\nlow = 0\nhigh = 0'
    assert read(text) == (
        {"name": "x", "range": ({"low": 1, "high": 9},), "by": {"15m": {"low": 0, "high": 0}}},
        [],
    )
    assert read("") == ({"name": None, "range": (), "by": None}, [])


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("name = 1", ["f:1:1: name: expected a string, got an integer"]),
        ("nam = 'x'", ["f:1:1: nam: unknown key 'nam': did you mean `name`?"]),
        ("other = 'x'", ["f:1:1: other: unknown key 'other': expected one of name, range, by"]),
        ("range = []", ["f:1:1: range: an empty array: leave the key out"]),
        ("range = 'x'", ["f:1:1: range: expected an array, got a string"]),
        ("[range]", ["f:1:1: range: expected an array, got a table"]),
        ("[[range]]", ["f:1:1: range: an empty table", "f:1:1: range: missing key 'low'"]),
        ("range = [1]", ["f:1:10: range: expected a table, got an integer"]),
        ("[[range]]\nlow = 9\nhigh = 8", ["f:2:1: range.low: above high"]),
        ("[[range]]\nhigh = 8", ["f:1:1: range: missing key 'low'"]),
        (
            "[[range]]\nloww = 1",  # and not that `low` is missing
            ["f:2:1: range.loww: unknown key 'loww': did you mean `low`?"],
        ),
        ("by = {}", ["f:1:1: by: an empty table: leave the key out"]),
        ("by = 1", ["f:1:1: by: expected a table, got an integer"]),
        ("[by.x]\nlow = 1", ["f:1:1: by.x: expected a duration such as"]),
        ("[by.1h]\nlow = 'x'", ["f:2:1: by.1h.low: expected an integer, got a string"]),
        (
            "[[range]]\nid = 'a'\nlow = 1",
            ["f:2:1: range.id in 'a': unknown key 'id': expected one of low, high"],
        ),
        (
            "[[range]]\nname = 'b'\nlow = 1",
            ["f:2:1: range.name in 'b': unknown key 'name': expected one of low, high"],
        ),
        (
            "[[range]]\nid = 1\nlow = 1",
            ["f:2:1: range.id: unknown key 'id': expected one of low, high"],
        ),
    ],
)
def test_problems(text: str, problems: list[str]) -> None:
    """An unknown key or a wrong type: an error naming file, line, entry, key and the nearest."""
    found = read(text)[1]
    for one, start in zip(found, problems, strict=True):
        assert one.startswith(start)


def test_all_problems_are_found_in_the_order_of_the_file() -> None:
    """All errors are listed at once."""
    text = "zz = 1\nname = 2\n[by.x]\nlow = -1\n[[range]]\nlow = 1.5\naa = 1\nbb = 1\n"
    found = read(text)[1]
    assert [one.split(": ")[0] for one in found] == [
        "f:1:1",
        "f:2:1",
        "f:3:1",
        "f:4:1",
        "f:6:1",
        "f:7:1",
        "f:8:1",
    ]


def test_keys_are_compared_only_where_all_are_right() -> None:
    """What must hold between keys is asked only where each is right."""
    assert len(read("[[range]]\nlow = 10\nhigh = 'x'")[1]) == 1


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        (Problem("f", (), "m", "", 1, 1), "f:1:1: m"),
        (Problem("f", ("a", 0, "b"), "m", "", 3, 1), "f:3:1: a.b: m"),
        (Problem("f", ("a", 0, "b"), "m", "x'y", 3, 1), 'f:3:1: a.b in "x\'y": m'),
    ],
)
def test_a_problem_is_one_line(problem: Problem, shown: str) -> None:
    """A problem names file, line, key and entry."""
    assert str(problem) == shown


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "a string"),
        (True, "true or false"),
        (1, "an integer"),
        (1.5, "a float"),
        ({}, "a table"),
        ([], "an array"),
        (datetime(2026, 1, 1, tzinfo=UTC), "a date-time"),
        (date(2026, 1, 1), "a date"),
        (time(10), "a time"),
        (None, "null"),
        (object(), "object"),
    ],
)
def test_kinds(value: object, words: str) -> None:
    """The kind of a value in words."""
    assert kind(value) == words


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resouces", ": did you mean `resources`?"),
        ("resources", ": did you mean `resources`?"),
        ("RESOURCES", ": did you mean `resources`?"),
        ("res", ": did you mean `resources`?"),
        ("re", ""),
        ("", ""),
        ("x" * 10_000_000, ""),
    ],
)
@pytest.mark.timeout(10)
def test_the_nearest_known_name(name: str, said: str) -> None:
    """The nearest known key is told: "unknown key `resouces`: did you mean `resources`?"."""
    assert did_you_mean(name, ["resources", "rules", "tools"]) == said


@pytest.mark.parametrize(
    ("known", "nearest"),
    [
        (["gitlab", "github-actions-old", "github-actions"], "github-actions"),
        (["gitlab", "my-github"], "my-github"),
    ],
)
def test_the_beginning_of_a_name_is_nearer_than_another(known: list[str], nearest: str) -> None:
    """What begins as was typed was meant, the shortest of several."""
    assert did_you_mean("github", known) == f": did you mean `{nearest}`?"


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (["dev", "prod"], ": did you mean `prod`?"),
        (["dev", "qa"], ": expected one of dev, qa"),
        ([], ""),
    ],
)
def test_all_names_are_told_where_none_is_near(known: list[str], said: str) -> None:
    """Each load error says what was expected."""
    assert nearest_of("prodd", known) == said


SEVERAL = Table(
    {
        "rate": Key(OneOrMore(Value(values.rate))),
        "who": Key(Brief("id", Table({"id": Key(Value(values.text)), "n": Key(Value(str))}))),
        "none": Key(ListOf(Value(values.text), least=0)),
    },
    check=lambda table: [(("who", "id"), "nobody")] if table["none"] == ("x",) else [],
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("rate = '1/day'", {"rate": (Rate(1, 86400),)}),
        ("rate = ['1/day', '2/day', '1/day']", {"rate": (Rate(1, 86400), Rate(2, 86400))}),
        ("who = 'x'", {"who": {"id": "x", "n": None}}),
        ("who = { n = 'y' }", {"who": {"id": None, "n": "y"}}),
        ("none = []", {"none": ()}),
    ],
)
def test_shapes_that_are_written_in_several_ways(text: str, meant: dict[str, Any]) -> None:
    """One rate or a list of rates, an id or a table with it; an array that may be empty."""
    document = Document("f", text.encode())
    assert document.read(SEVERAL) == {"rate": None, "who": None, "none": None, **meant}
    assert document.problems() == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rate = 1", "f:1:1: rate: expected a rate such as"),
        ("rate = []", "f:1:1: rate: an empty array: leave the key out"),
        ("rate = ['1/day', '1/dy']", "f:1:18: rate: expected a rate such as"),
        ("who = 1", "f:1:1: who: expected a table, got an integer"),
        ("who = ''", "f:1:1: who.id: an empty string"),
        ("who = { id = 'a' }\nnone = ['x']", "f:1:9: who.id: nobody"),
        ("none = 1", "f:1:1: none: expected an array, got an integer"),
    ],
)
def test_each_of_them_is_placed(text: str, problem: str) -> None:
    """An error stands at the entry of an array, or at the key inside a table, that is wrong."""
    document = Document("f", text.encode())
    document.read(SEVERAL)
    (found,) = document.problems()
    assert str(found).startswith(problem)


@pytest.mark.parametrize(
    ("at", "key"),
    [
        (("prices", "a/x", "input"), 'prices."a/x".input'),
        (("tools", "a.b"), 'tools."a.b"'),
        (("claims", ""), 'claims.""'),
        (("rule", 3, "é"), 'rule."é"'),
    ],
)
def test_a_key_is_written_as_in_the_file(at: tuple[str | int, ...], key: str) -> None:
    """Names with a point or a slash in them are quoted."""
    assert Problem("f", at, "m").key == key


def nested(depth: int, array: bool) -> str:
    """Return a document in which the deepest container lies at this depth, the top being 1."""
    inner = depth - 1
    if array:
        return "a = " + "[" * inner + "]" * inner
    return "a = " + "{ a = " * (inner - 1) + "{}" + " }" * (inner - 1)


@pytest.mark.parametrize("array", [True, False])
def test_depth(array: bool) -> None:
    """Arrays and tables nested deeper than 32 (the top table is the first): a load error."""
    for depth, deep in ((32, False), (33, True), (200, True), (100_000, True)):
        document = Document("f", nested(depth, array).encode())
        found = [one.message for one in document.problems()]
        assert bool(found) is deep
        assert all("nested deeper than 32" in one for one in found)


@pytest.mark.parametrize("part", ["a", '"a.b"', "'a'", '"\\""', "a-_1"])
@pytest.mark.parametrize("form", ["{} = 1", "[{}]", "[[{}]]", "x = {{ y = 1, {} = 1 }}", "  {}=1"])
def test_depth_of_dotted_keys(part: str, form: str) -> None:
    """A dotted key nests as deep as it has parts, and the header or table it stands in."""
    around = {"[{}]": 1, "[[{}]]": 2}.get(form, 1 if "x" in form else 0)
    for spaced in (".", " . "):
        fitting = form.format(spaced.join([part] * (32 - around)))
        assert Document("f", fitting.encode()).problems() == []
        deeper = form.format(spaced.join([part] * (33 - around)))
        (problem,) = Document("f", deeper.encode()).problems()
        assert problem.message == "tables and arrays nested deeper than 32"


@pytest.mark.parametrize(
    "text",
    [
        "a = '{}'".format(".".join("a" * 99)),
        'a = "x, {} "'.format(".".join("a" * 99)),
        "a = 1 # {} = 1".format(".".join("a" * 99)),
        "a = [{}]".format(", ".join(["1.5"] * 99)),
        "a = '''\n{}\n'''".format(".".join("a" * 99)),
    ],
)
def test_dots_that_nest_nothing(text: str) -> None:
    """Strings, comments and numbers hold as many dots as they like."""
    assert Document("f", text.encode()).problems() == []


def test_size() -> None:
    """A file over 16 MiB is a load error."""
    comment = b"#" + b"x" * (MAX_BYTES - 1)
    assert Document("f", comment).problems() == []
    (problem,) = Document("f", comment + b"x").problems()
    assert problem.message == "larger than 16 MiB"


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"a = 1\nb == 2", 2, "not TOML: Invalid value"),
        (b"a = 1\r\nb == 2", 2, "not TOML: Invalid value"),
        (b"a = 1\na = 2", 2, "not TOML: Cannot overwrite a value"),
        (b"a = '", 1, "not TOML"),
        (b"a = 1\nb = '''\n\n", 3, "not TOML"),
        (b"a = 1\nb\xff = 1", 2, "not UTF-8"),
        (b"a = 1\rb = 2", 1, "not TOML"),
        (b"a = '\x00'", 1, "not TOML"),
        (b'a = "\\ud800"', 1, "not TOML"),
        (b"a = " + b"1" * 5000, 1, "too many digits"),
    ],
)
def test_what_is_no_toml(content: bytes, line: int, said: str) -> None:
    """A file that is not TOML 1.0 is refused with the line where it stops being so."""
    document = Document("f", content)
    assert document.read(FILE) == {}
    (problem,) = document.problems()
    assert said in problem.message
    assert "(at" not in problem.message
    assert problem.line == line
    assert problem.column >= 1


@property_of(1_000)
@given(
    st.one_of(
        st.binary(max_size=40),
        st.text("ab.=[]{}\"'\\#,\n\r 019-:TZ+_\u00e9\ud7ff", max_size=30).map(str.encode),
        st.lists(
            st.sampled_from(
                [
                    "name",
                    "range",
                    "by",
                    " = ",
                    ".",
                    "[",
                    "]",
                    "{",
                    "}",
                    "'x'",
                    '"""',
                    "\n",
                    "1",
                    ",",
                ]
            ),
            max_size=14,
        ).map(lambda pieces: "".join(pieces).encode()),
    )
)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Whatever a file holds, the reading ends, and what is wrong has a line of the file."""
    document = Document("f", content)
    document.read(FILE)
    lines = content.count(b"\n") + 1
    for problem in document.problems():
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.message


def test_a_shape_is_anything_that_reads() -> None:
    """A shape returns what the value means, and adds what is wrong to what was found."""

    class Even:
        def read(self, value: Any, at: tuple[str | int, ...], found: Found) -> Any:
            if value % 2:
                found.append((at, "odd"))
            return value

    found: Found = []
    assert ListOf(Even()).read([2, 3], ("k",), found) == (2, 3)
    assert found == [(("k", 1), "odd")]
