"""The JSON Schemas of the files, held against what loads them."""

from __future__ import annotations

import copy
import json
import runpy
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped] # it has no types

from agentauth_cli.config import schemas, shape
from agentauth_cli.errors import UnknownNameError
from agentauth_cli.inbound import apikeys
from agentauth_cli.policy import budgets, cases, condition_file, names, pattern
from agentauth_cli.tables import values, zones
from agentauth_cli.tables.shape import Key, Named, Table, Value
from support.documents import FILES, as_json, nodes, written
from support.policy_worlds import property_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOP = Path(__file__).parents[2]
SCRIPT: dict[str, Any] = runpy.run_path(str(TOP / ".ci" / "schemas.py"))
PARSERS: dict[Callable[[Any], Any], dict[str, Any]] = SCRIPT["PARSERS"]
BY_NAME = {name: Draft7Validator(json.loads(schemas.shipped(name))) for name in FILES}


def test_the_shipped_schemas_are_what_the_shapes_say() -> None:
    """JSON Schemas for all five files, generated from the definitions that load them."""
    for path, text in SCRIPT["files"]().items():
        assert path.read_text() == text, f"{path.name} has drifted: run `make schemas`"
        Draft7Validator.check_schema(json.loads(text))
    assert {path.stem for path in SCRIPT["files"]()} == set(schemas.NAMES) == set(FILES)


def test_a_new_kind_of_value_needs_a_schema() -> None:
    """What reads a value, and says nowhere what JSON it takes, has no schema."""

    def new(value: Any) -> Any:
        return value

    for of in (Table({"key": Key(Value(new))}), Named(Value(values.text), new)):
        with pytest.raises(KeyError):
            SCRIPT["schema"](of)


@pytest.mark.parametrize("file", ["policy", "policy.toml"])
def test_a_schema_by_the_name_of_its_file(file: str) -> None:
    """A file is named with or without its ending."""
    assert json.loads(schemas.shipped(file))["title"] == "policy.toml of agentauth"


@pytest.mark.parametrize("file", ["", "polcy", "../policy", "policy.json", "schemas/policy"])
def test_an_unknown_file_has_no_schema(file: str) -> None:
    """An unknown name is exit 2 with the nearest names."""
    with pytest.raises(UnknownNameError) as caught:
        schemas.shipped(file)
    assert caught.value.hint == "Known: policy, config, budgets, killswitch, apikeys"
    assert ("did you mean `policy`?" in caught.value.message) is ("pol" in file)


# -- values ----------------------------------------------------------------------------------


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, str):
        yield value


_SAMPLES = sorted({one for file in FILES.values() for one in _strings(file.whole)})
_SAMPLES += ["", ".", "..", "-", "0s", "10:00-10:00", "23:00-24:01", "key", "okta", "a/b", "*/x"]
_SAMPLES += ["group:*", "kind:user", "a.b.c", "*.put", "${tool}", "${x}", "\\*", "aws*", "profile:"]
_ALPHABET = st.sampled_from("ab019AZ._-/:*\\?${}@+é\u0661 \"'=")


@st.composite
def _nearly(draw: st.DrawFn) -> str:
    """Draw a string that stands in some file, with up to two changes, or any."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.text(_ALPHABET, max_size=8))
    text = draw(st.sampled_from(_SAMPLES))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at] + draw(st.text(_ALPHABET, max_size=2)) + text[at + draw(st.integers(0, 1)) :]
        )
    return text


KEYS: set[Callable[[Any], Any]] = {str, budgets.price_name, condition_file.claim_name}
"""What reads names of tables, which are strings."""
_OTHER: tuple[Any, ...] = (
    *(True, False, 0, 1, -1, 2, 2**63 - 1, 2**63, 0.5, 1.5, [], ["a"], {}, {"a": "b"}),
    *(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1), date(2026, 1, 1)),  # noqa: DTZ001
)


def _accepts(parse: Callable[[Any], Any], value: Any) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True


def _shown(parse: Any) -> str:
    return f"{parse.__module__.rpartition('.')[2]}.{parse.__name__}"


@pytest.mark.parametrize("parse", PARSERS, ids=_shown)
@property_of(150)
@given(value=_nearly() | st.sampled_from(_OTHER))
def test_a_schema_is_never_stricter_than_what_loads(
    parse: Callable[[Any], Any], value: Any
) -> None:
    """Each value that loads is right by its schema."""
    assume(parse not in KEYS or isinstance(value, str))
    if _accepts(parse, value):
        assert Draft7Validator(PARSERS[parse]).is_valid(as_json(value))


EXACT: list[Callable[[Any], Any]] = [
    *(values.text, values.boolean, values.integer, values.duration, values.money, values.rate),
    *(values.tokens, names.rule_id, cases.decider, condition_file.claim_name),
    *(budgets.price_name, budgets.fraction, shape.profile, shape.aws_source, shape.ledger),
    *(shape.uid, shape.short_name, shape.issuer_name, apikeys.subject),
]


@pytest.mark.parametrize("parse", EXACT, ids=_shown)
@property_of(150)
@given(value=_nearly() | st.sampled_from(_OTHER))
def test_a_schema_refuses_what_does_not_load(parse: Callable[[Any], Any], value: Any) -> None:
    """Where JSON Schema can say it all, what does not load is wrong by its schema."""
    assume(parse not in KEYS or isinstance(value, str))
    assume(not isinstance(value, date))  # JSON has none
    assert Draft7Validator(PARSERS[parse]).is_valid(value) is _accepts(parse, value)


@pytest.mark.parametrize(
    ("parse", "bad"),
    [
        *(
            (pattern.principal, one)
            for one in ["", "alice", "a**", "kind:robot", "group:eng", "a?"]
        ),
        *((pattern.principal, one) for one in ["Okta/x", "okta/", r"okta/\x", "kind:", "group:"]),
        *((pattern.identifier, one) for one in ["", "alice", "/x", "a/**", "kind:user"]),
        *((pattern.short, one) for one in ["", "a b", "a/b", "**", "a?", r"\*", "ä"]),
        *((pattern.action, one) for one in ["", "aws.s3", "a.b.c.d", "AWS.*", "aws.s3.put?", "**"]),
        *((pattern.name, one) for one in ["", "**", "a?", r"a\b", "\\"]),
        *((pattern.claim, one) for one in ["", "**", "a?", 1, True]),
        *((pattern.template, one) for one in ["", "${principal.nmae}", "${", "a**", "${}", 1]),
        *((pattern.template, one) for one in ["${account_id}", "${principal.claims.}"]),
        *((shape.tool_resource, one) for one in ["s3://x/${principal.nmae}/*", "s3://x/**", ""]),
        *((condition_file.hours, one) for one in ["", "8:00-18:00", "08:00-24:01", "24:00-01:00"]),
        *((values.always, one) for one in [False, "true", 1]),
        *((values.version, one) for one in [2, True, "1"]),
        *((values.moment, one) for one in [1, True, []]),
        *((values.cost, one) for one in [0.5, 1, "0,5"]),
        *((zones.zone, one) for one in ["", 1, "Europe Paris"]),
        *((apikeys.group, one) for one in ["", 1, "x" * 257]),
    ],
)
def test_what_both_refuse(parse: Callable[[Any], Any], bad: Any) -> None:
    """A wrong type, a bad duration, pattern, variable or name is refused by both."""
    assert not _accepts(parse, bad)
    assert not Draft7Validator(PARSERS[parse]).is_valid(bad)


# -- documents -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_the_whole_document_has_every_key(name: str) -> None:
    """What follows looks at each key of each file: none is left out."""
    file = FILES[name]
    assert [str(one) for one in file.problems(written(file.whole))] == []
    tables = [(one, value) for _, one, value in nodes(file.shape, file.whole)]
    known = {key for one, _ in tables if isinstance(one, Table) for key in one.keys}
    assert known <= {key for one, value in tables if isinstance(one, Table) for key in value}


@pytest.mark.parametrize("name", FILES)
@property_of(60)
@given(data=st.data())
def test_each_document_that_loads_is_right_by_its_schema(name: str, data: st.DataObject) -> None:
    """Each document that loads validates, whichever of its keys it has."""
    file = FILES[name]
    kept = copy.deepcopy(file.whole)
    optional = [
        (at, key)
        for at, one, value in nodes(file.shape, file.whole)
        if isinstance(one, Table | Named)
        for key in value
        if isinstance(one, Named) or not one.keys[key].required
    ]
    for at, key in data.draw(st.lists(st.sampled_from(optional), max_size=6, unique_by=str)):
        table: Any = kept
        for part in at:  # which may be gone already, with a table around it
            table = table.get(part, {}) if isinstance(table, dict) else table[part]
        table.pop(key, None)
    assume(not file.problems(written(kept)))
    assert list(BY_NAME[name].iter_errors(as_json(kept))) == []


@pytest.mark.parametrize("name", FILES)
def test_the_examples_of_the_specification_load_and_are_right(name: str) -> None:
    """The examples of the specification are right by loader and schema alike."""
    content = (Path(__file__).parent / "specified" / f"{name}.toml").read_bytes()
    assert FILES[name].problems(content) == []
    assert list(BY_NAME[name].iter_errors(as_json(tomllib.loads(content.decode())))) == []
