"""What keeps a file from being TOML that is looked at: in words that help, and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.tables import refusal
from agentauth_cli.tables.shape import MAX_DEPTH, Document
from support.policy_worlds import property_of

DEEP = f"tables and arrays nested deeper than {MAX_DEPTH}"
LONG = "a number with too many digits"
END = "not TOML: Expected newline or end of document after a statement"
MARK = "not TOML: a byte order mark: save the file as UTF-8 without one"


def refused(content: bytes) -> tuple[str, int, int]:
    """Return the one problem of a file: message, line, column."""
    (problem,) = Document("f", content).problems()
    assert (problem.file, problem.at, problem.entry) == ("f", (), "")
    return problem.message, problem.line, problem.column


def no_date(shown: str) -> str:
    """Return what is said of a date that there is not."""
    return f"not TOML: no such date as {shown}: expected one such as 2026-11-23T10:00:00Z"


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a = 1\nb == 2", "not TOML: Invalid value", 2, 4),
        ("a = 1\r\n  b == 2", "not TOML: Invalid value", 2, 6),
        ("a = 'x", 'not TOML: Expected "\'"', 1, 7),
        ("a = 1\nb = '''\n\n", "not TOML: Expected \"'''\"", 3, 1),
        ("\ufeffversion = 1", MARK, 1, 1),
        ("a = 2026-13-01T00:00:00Z", no_date("2026-13-01T00:00:00Z"), 1, 5),
        ("x = 1\na = { b = 2026-13-01 }", no_date("2026-13-01"), 2, 11),
        ("x = 1\na = { b = 2026-02-30T00:00:00Z }", no_date("2026-02-30T00:00:00Z"), 2, 11),
        ("a = 2026-02-30", no_date("2026-02-30"), 1, 5),
        ("a = 2026-2-3", no_date("2026-2-3"), 1, 5),
        (
            "a = 2026-01-01 b",
            END,
            1,
            16,
        ),
        (
            "a = '2026-13-01' b",
            END,
            1,
            18,
        ),
        ("x = 1\n\ta = " + "[" * 5000, DEEP, 2, 5 + MAX_DEPTH),
        ("a = ['[[[[', " + "[" * 40 + "]" * 40 + "] # [[[[", DEEP, 1, 12 + MAX_DEPTH),
        ("x = 1\na = {" + "b = {" * 40 + "}" * 41, DEEP, 2, 5 + 5 * (MAX_DEPTH - 1)),
        ("x = 1\n " + ".".join("a" * 33) + " = 1", DEEP, 2, 2),
        ("x = 1\n[" + ".".join("a" * 20) + "]\nb" + ".c" * 20 + " = 1", DEEP, 2, 1),
        ("k = '" + "9" * 9000 + f"' # {'9' * 9000}\nl = [1,\n  -{'9' * 5000}]", LONG, 3, 4),
    ],
)
def test_what_is_no_toml_is_told_where_it_is(
    text: str, message: str, line: int, column: int
) -> None:
    """A load error names file, line and column, also of what is no TOML at all."""
    assert refused(text.encode()) == (message, line, column)


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [(b"\xff", 1, 1), (b"a = 1\n# \xc3\xa9\xc3", 2, 4), (b"a = 1\r\n\xed\xa0\x80", 2, 1)],
)
def test_what_is_not_utf_8(content: bytes, line: int, column: int) -> None:
    """Columns count characters, not bytes."""
    assert refused(content) == ("not UTF-8", line, column)


def test_a_number_that_python_gives_up_on_otherwise() -> None:
    """Whatever `tomllib` gives up on has a place: the top, where no number is the cause."""
    assert refusal.too_long("a = 'x'") == (LONG, 1, 1)


@property_of(200)
@given(
    st.lists(st.sampled_from(["a = 1", "# [{", "", "b = '[['", "c = [{}, {}]"]), max_size=5),
    st.integers(0, 4),
    st.sampled_from(["[", "{ k = "]),
    st.integers(MAX_DEPTH, 60),
)
def test_what_nests_too_deep_is_found_whatever_is_around_it(
    lines: list[str], indent: int, opening: str, depth: int
) -> None:
    """Deep nesting raises RecursionError in `tomllib`, or nothing: both are placed alike."""
    start = " " * indent + "deep = "
    text = "\n".join([*lines, start + opening * depth])
    place = (len(lines) + 1, len(start) + len(opening) * (MAX_DEPTH - 1) + 1)
    assert refusal.too_deep(text) == (DEEP, *place)


@pytest.mark.parametrize(
    "rest", ['"""\\', "'''\\", '"\\', "'", '"', "1-", "1111-", "[{", "a.", "\\"]
)
@pytest.mark.timeout(20)
def test_a_hostile_file_is_placed_in_linear_time(rest: str) -> None:
    """A hostile file cannot keep the loader busy, whatever is wrong with it."""
    for start in ("a = " + "[" * 2000, "a = ", "a = 1 1111-1-", "a = " + "9" * 5000 + "\nb = "):
        assert refused((start + rest * 300_000).encode())[1] >= 1
