"""The files that `init` writes, as an editor sees them."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped] # it has no types

from agentauth_cli.cli import examples
from agentauth_cli.cli.init import Around, InitInput, work
from agentauth_cli.config import schemas
from agentauth_cli.errors import UsageError
from agentauth_cli.wiring import Wiring
from support.documents import as_json

if TYPE_CHECKING:
    from pathlib import Path

WANTED = InitInput(
    tool="s3_upload",
    environment="dev",
    resource="s3://acme-agents/${principal.name}/*",
    account="111111111111",
    region="eu-west-1",
    source="ambient",
)


def _init(folder: Path) -> None:
    work(Wiring({"AGENTAUTH_CONFIG_DIR": str(folder)}), WANTED, Around(), as_json=True)


@pytest.mark.parametrize("name", ["config", "policy", "budgets"])
def test_a_file_names_the_schema_that_it_is_right_by(tmp_path: Path, name: str) -> None:
    """The schemas are named by a `#:schema` line that `init` writes, and lie where it says."""
    _init(tmp_path)
    text = (tmp_path / f"{name}.toml").read_text()
    directive, _, path = text.partition("\n")[0].partition(" ")
    schema = (tmp_path / path).read_text()
    assert directive == "#:schema"
    assert not path.startswith("/")
    assert schema == schemas.shipped(name)
    assert list(Draft7Validator(json.loads(schema)).iter_errors(tomllib.loads(text))) == []


def test_a_schema_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """`init` never overwrites."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "policy.json").write_text("{}")
    _init(tmp_path)
    assert (tmp_path / "schemas" / "policy.json").read_text() == "{}"
    assert (tmp_path / "schemas" / "config.json").read_text() == schemas.shipped("config")


@pytest.mark.parametrize("name", examples.names())
def test_the_examples_are_right_by_their_schemas(name: str) -> None:
    """The examples of `init --example` validate, as they lie in the package."""
    for file, text in examples.example(name).texts.items():
        schema = Draft7Validator(json.loads(schemas.shipped(file)))
        assert list(schema.iter_errors(as_json(tomllib.loads(text)))) == []


@pytest.mark.parametrize("name", ["config.toml", "policy.toml", "budgets.toml", "policy.d"])
def test_a_link_that_leads_nowhere_is_there_already(tmp_path: Path, name: str) -> None:
    """All files or none: a policy that is written beside a budget that is not bounds nothing."""
    (tmp_path / name).symlink_to(tmp_path / "nowhere" / "x")
    with pytest.raises(UsageError, match="is there already"):
        _init(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_rules_that_no_policy_held_are_not_brought_to_life(tmp_path: Path) -> None:
    """A `policy.d` without `policy.toml` denies everything: `init` would let its rules hold."""
    (tmp_path / "policy.d").mkdir()
    with pytest.raises(UsageError, match=r"policy\.d is there already"):
        _init(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["policy.d"]


def test_an_ignore_list_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written where a link leads."""
    (tmp_path / ".gitignore").symlink_to(tmp_path / "elsewhere")
    _init(tmp_path)
    assert not (tmp_path / "elsewhere").exists()
