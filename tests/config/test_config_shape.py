"""Every key of config.toml: what it refuses, and that it says where."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from agentauth_cli.config import settings
from agentauth_cli.config.shape import FILE
from agentauth_cli.tables.shape import ListOf, Named, Shape, Table, Value
from support.configs import FOLDER, config, load, loaded, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

At = tuple[str | int, ...]

# A name that a table of the user's own may have, by the table it stands in.
_NAMES = {"environments": "dev", "tools": "put", "issuers": "okta"}
_NEVER: tuple[Any, ...] = (datetime(2026, 1, 1, tzinfo=UTC), 1.5, math.nan, math.inf, [[]])


def _shapes(shape: Shape, at: At = ()) -> Iterator[tuple[At, Shape]]:
    """Yield each shape in the file with a place where it can stand."""
    yield at, shape
    match shape:
        case Table():
            for name, key in shape.keys.items():
                yield from _shapes(key.shape, (*at, name))
        case Named():
            yield from _shapes(shape.entry, (*at, _NAMES.get(str(at[-1]), "dev")))
        case ListOf():
            yield from _shapes(shape.entry, (*at, 0))


_SHAPES = list(_shapes(FILE))
_VALUES = [at for at, shape in _SHAPES if isinstance(shape, Value)]
_TABLES = [(at, shape) for at, shape in _SHAPES if isinstance(shape, Table)]
_ALL = [at for at, _ in _SHAPES if at]


def _shown(at: object) -> str:
    return ".".join(map(str, at)) if isinstance(at, tuple) else ""


def _with(at: At, value: Any) -> tuple[dict[str, Any], str]:
    """Return the base with a value at this place; and the document."""
    made = config()
    table: Any = made
    for part, following in zip(at, (*at[1:], ""), strict=True):
        last = following == ""
        inner = value if last else [] if isinstance(following, int) else {}
        if isinstance(part, int):
            table[:] = [inner]
        elif last or part not in table or not isinstance(table[part], type(inner)):
            table[part] = inner
        table = table[part]
    return made, tomlkit.dumps(made)


@pytest.mark.parametrize("at", _VALUES, ids=_shown)
def test_a_value_of_the_wrong_type_is_refused_at_its_place(at: At) -> None:
    """A wrong type, NaN, inf, a float where money is meant is an error with file, line, key."""
    for wrong in _NEVER:
        _, text = _with(at, wrong)
        found, problems = settings.load(text.encode(), FOLDER)
        assert found is None
        here = [one for one in problems if one.at == at]
        assert here, f"{wrong!r} passed"
        key = next(part for part in reversed(at) if isinstance(part, str))
        assert key in text.splitlines()[here[0].line - 1]


@pytest.mark.parametrize("at", _ALL, ids=_shown)
def test_a_table_or_array_is_not_a_string(at: At) -> None:
    """A key that wants a table or an array says so; an empty string is never a value."""
    made, _ = _with(at, "")
    found, problems = load(made)
    assert found is None
    assert any(one.at == at and one.message for one in problems)


@pytest.mark.parametrize(("at", "table"), _TABLES, ids=_shown)
def test_an_unknown_key_is_refused_with_the_nearest_right_one(at: At, table: Table) -> None:
    """An unknown key is an error with file, line, key and the nearest right one."""
    for name in table.keys:
        made, _ = _with((*at, f"{name}x"), 1)
        problems = load(made)[1]
        here = [one.message for one in problems if one.at == (*at, f"{name}x")]
        assert here == [f"unknown key '{name}x': did you mean `{name}`?"]


def test_a_required_key_that_is_missing_is_named() -> None:
    """Required: version, default_environment, a tool's provider; for AWS account_id, region."""
    required = [
        (at, name) for at, table in _TABLES for name, key in table.keys.items() if key.required
    ]
    assert {"version", "default_environment", "provider", "account_id", "region"} <= {
        name for _, name in required
    }
    for at, name in required:
        made, _ = _with((*at, "y"), 1) if at else (config(), "")
        table: Any = made
        for part in at:
            table = table[part]
        table.pop(name, None)
        assert any(
            one.at == at and one.message == f"missing key {name!r}" for one in load(made)[1]
        ), (at, name)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("version", True),
        ("default_environment", "a b"),
        ("default_environment", ".."),
        ("default_environment", "x" * 65),
        ("ledger", "mysql://x"),
        ("environments__dev__aws__account_id", "12345678901"),
        ("environments__dev__aws__account_id", 111111111111),
        ("environments__dev__aws__account_id", "\u0661" * 12),
        ("environments__dev__aws__region", "Europe"),
        ("environments__dev__aws__source", "profile:"),
        ("environments__dev__aws__source", "env"),
        ("environments__dev__aws__session_tags", "yes"),
        ("environments__dev__aws__role_arn_template", "arn:aws:iam::1:role/{tool_name}"),
        ("environments__dev__aws__role_arn_template", "arn:aws:iam::{account_id}:role/{tool}"),
        ("environments__dev__aws__sts_endpoint", "http://sts.amazonaws.com"),
        ("environments__dev__aws__sts_endpoint", "http://127.0.0.1.evil.example"),
        ("environments__dev__aws__sts_endpoint", "https://user@sts.amazonaws.com"),
        ("environments__dev__aws__sts_endpoint", "https://sts.amazonaws.com/path"),
        ("environments__dev__aws__sts_endpoint", "file:///etc/passwd"),
        ("environments__dev__aws__sts_endpoint", "https://sts.amazonaws.com/?x"),
        ("tools__put__duration", "15"),
        ("tools__put__duration", "0m"),
        ("tools__put__duration", 900),
        ("tools__put__actions", ["s3.put"]),
        ("tools__put__actions", []),
        ("tools__put__permissions", ["s3 PutObject"]),
        ("tools__put__resource", "s3://acme/*/x"),
        ("tools__put__resource", "s3://acme/x**"),
        ("tools__put__resource", "s3://acme/${principal.nmae}/*"),
        ("tools__put__resource", "s3://acme/../*"),
        ("tools__put__role", "arn:aws:iam::1:role/x"),
        ("tools__put__allowance", {"cost": 0.5}),
        ("tools__put__allowance", {"cost": "0,50"}),
        ("tools__put__allowance", {"tokens": -1}),
        ("tools__put__allowance", {"tokens": 2**63}),
        ("tools__put__allowance", {}),
        ("tools__put__provider", "azure"),
        ("inbound__os__root__kind", "root"),
        ("inbound__issuers__okta__algorithms", ["HS256"]),
        ("inbound__issuers__okta__algorithms", ["none"]),
        ("inbound__issuers__okta__issuer", "http://acme.example"),
        ("inbound__issuers__okta__preset", "githubactions"),
        ("daemon__allow_uid", [-1]),
        ("audit__mirror", ""),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(key: str, value: object) -> None:
    """What a key holds is judged when it is read, not when it is used."""
    assert any(one.startswith(key.replace("__", ".")) for one in refused(**{key: value}))


@pytest.mark.parametrize("name", ["a b", "..", "-", "", "x" * 65, "ä", "a/b"])
def test_names_of_tools_and_environments_are_names(name: str) -> None:
    """Tool and environment: 1 to 64 of A-Z a-z 0-9 . _ - (spec/policy.md)."""
    tool = config()["tools"]["put"]
    shown = name if name in ("-", "x" * 65) else f'"{name}"'
    assert f"tools.{shown}: expected a name" in "\n".join(refused(tools={name: tool}))
    there = config()["environments"]["dev"]
    assert f"environments.{shown}: expected a name" in "\n".join(
        refused(environments={name: there, "dev": there})
    )


@pytest.mark.parametrize("name", ["key", "os", "group", "kind", "Okta", "a_b", "-a", "x" * 33])
def test_names_of_issuers_are_names_that_nothing_else_has(name: str) -> None:
    """The name becomes the principal's issuer: [a-z0-9][a-z0-9-]{0,31}, none that we use."""
    issuer = {"issuer": "https://acme.example", "audience": "agentauth"}
    assert refused(inbound={"issuers": {name: issuer}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ledger", "ephemeral"),
        ("ledger", "postgresql://db.acme.dev/agentauth"),
        ("environments__dev__aws__account_id", "000000000000"),
        ("environments__dev__aws__region", "us-gov-west-1"),
        ("environments__dev__aws__source", "profile:a b"),
        ("environments__dev__aws__sts_endpoint", "http://127.0.0.1:4566"),
        ("environments__dev__aws__sts_endpoint", "http://[::1]:4566/"),
        ("environments__dev__aws__sts_endpoint", "https://sts.eu-west-1.amazonaws.com"),
        ("tools__put__role", "arn:aws-cn:iam::111111111111:role/path/deploy"),
        ("tools__put__resource", "arn:aws:s3:::${principal.claims.repository}"),
        ("tools__put__allowance", {"tokens": 0, "cost": "0"}),
        ("daemon", {"account": "agentauth", "autostart": True, "allow_uid": [0, 1000]}),
        ("audit", {"mirror": "syslog", "events": ["vend.issued"]}),
        ("exec", {"inherit": ["LANG"]}),
        ("gateway", {"port": 8080}),
        ("fleet", {"require_same": True}),
    ],
)
def test_what_is_meant_loads(key: str, value: object) -> None:
    """Parts of other versions load and are checked all the same."""
    loaded(**{key: value})
