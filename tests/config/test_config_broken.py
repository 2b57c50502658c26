"""One thing in a file is wrong: the error stands where it is, and the schema sees it too."""

from __future__ import annotations

import copy
import json
from datetime import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped] # it has no types

from agentauth_cli.config import schemas
from agentauth_cli.policy import cases
from agentauth_cli.tables.shape import ListOf, Named, OneOrMore, Table, Value
from agentauth_cli.tables.values import Choice
from support.documents import FILES, Written, as_json, nodes
from support.policy_worlds import property_of

if TYPE_CHECKING:
    from agentauth_cli.tables.shape import Shape

At = tuple[str | int, ...]
BY_NAME = {name: Draft7Validator(json.loads(schemas.shipped(name))) for name in FILES}
Break = tuple[str, At, Any, At, str, bool]
"""What is done, to what, with what; where the error stands, how it begins; does a schema see it."""


def _breaks(name: str) -> list[Break]:
    """Return every single thing that can be wrong with the whole document of a file."""
    file = FILES[name]
    return [
        one for at, of, value in nodes(file.shape, file.whole) for one in _breaks_of(at, of, value)
    ]


def _breaks_of(at: At, of: Shape, value: Any) -> list[Break]:
    if isinstance(of, Table):
        near = next(iter(value))
        required = [key for key, one in of.keys.items() if one.required]
        return [
            ("put", (*at, "zzz"), 1, (*at, "zzz"), "unknown key 'zzz': expected one of ", True),
            ("put", (*at, f"{near}x"), 1, (*at, f"{near}x"), f"unknown key '{near}x': did", True),
            *(("drop", (*at, key), None, at, f"missing key {key!r}", True) for key in required),
            *_not_a(at, "a table", "an empty table"),
        ]
    if isinstance(of, Named):
        return _not_a(at, "a table", "an empty table")
    if isinstance(of, ListOf):
        return _not_a(at, "an array", "an empty array" if of.least else "")
    if isinstance(of, OneOrMore):
        return [("put", at, [], at, "an empty array", True), ("put", at, 1.5, at, "", True)]
    if isinstance(of, Value) and of.parse is not cases.claim:
        choice = of.parse if isinstance(of.parse, Choice) else None
        expected = f"expected one of {', '.join(choice.names)}" if choice else ""
        return [
            ("put", at, 1.5, at, expected, True),
            ("put", at, time(10), at, expected, False),
            *([("put", at, True, at, expected, True)] if type(value) in (int, float) else []),
        ]
    return []


def _not_a(at: At, what: str, empty: str) -> list[Break]:
    if not at:
        return []
    none: Any = {} if what == "a table" else []
    emptied: list[Break] = [("put", at, none, at, empty, True)] if empty else []
    return [("put", at, 1, at, f"expected {what}, got an integer", True), *emptied]


def _broken(whole: dict[str, Any], how: str, at: At, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(whole)
    table: Any = made
    for part in at[:-1]:
        table = table[part]
    if how == "drop":
        del table[at[-1]]
    else:
        table[at[-1]] = value
    return made


@pytest.mark.parametrize("name", FILES)
@property_of(80)
@given(data=st.data())
def test_an_error_stands_where_it_is(name: str, data: st.DataObject) -> None:
    """Each load error names file, line, column and key, and what was expected."""
    how, at, value, where, said, seen = data.draw(st.sampled_from(_breaks(name)))
    broken = _broken(FILES[name].whole, how, at, value)
    layout = Written(data.draw(st.randoms(use_true_random=False)))
    layout.document(broken)
    problems = FILES[name].problems(layout.text.encode())
    assert {(one.line, one.column) for one in problems} == {layout.placed[where]}, layout.text
    assert any(one.at == where and one.message.startswith(said) for one in problems)
    assert all(one.file == f"{name}.toml" and one.message for one in problems)
    if seen:
        assert not BY_NAME[name].is_valid(as_json(broken))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("date", ["2026-13-01T00:00:00Z", "2026-02-30", "2026-1-1"])
@property_of(20)
@given(data=st.data())
def test_a_date_that_there_is_not_is_named_where_it_stands(
    name: str, date: str, data: st.DataObject
) -> None:
    """A bad date is a load error, although it is no TOML: it stands where it is written."""
    file = FILES[name]
    values = [at for at, of, _ in nodes(file.shape, file.whole) if isinstance(of, Value)]
    broken = _broken(file.whole, "put", data.draw(st.sampled_from(values)), "HERE")
    layout = Written(data.draw(st.randoms(use_true_random=False)))
    layout.document(broken)
    before, _, after = layout.text.replace("'HERE'", '"HERE"').partition('"HERE"')
    (problem,) = file.problems(f"{before}{date}{after}".encode())
    assert problem.message.startswith(f"not TOML: no such date as {date}: expected one such as ")
    place = (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
    assert (problem.line, problem.column) == place
