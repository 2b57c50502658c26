"""The public names: all there, typed, and loaded when they are asked for."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import agentauth_cli
import agentauth_cli.testing

HEAVY = (
    *("typer", "rich", "keyring", "boto3", "botocore", "google", "openai"),
    *("huggingface_hub", "jwt", "cryptography"),
)


def loaded(code: str) -> set[str]:
    """Return the modules that are loaded when this code has run in a process of its own."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    # without the measuring of coverage, which imports much itself
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_it_costs_nothing() -> None:
    """`import agentauth_cli` imports none of the SDKs, and nothing of its own."""
    found = loaded("import agentauth_cli")
    assert not found & {*HEAVY, "typing"}
    assert [name for name in found if name.startswith("agentauth_cli")] == ["agentauth_cli"]


@pytest.mark.parametrize("name", [one for one in agentauth_cli.__all__ if one != "__version__"])
def test_no_name_brings_what_it_does_not_need(name: str) -> None:
    """A name is loaded lazily, and none of them loads an SDK before it is used."""
    assert not loaded(f"from agentauth_cli import {name}") & set(HEAVY)


def test_the_plugin_costs_nothing() -> None:
    """Pytest loads the plugin in every run of everybody: it brings pytest, and nothing of ours."""
    found = loaded("import agentauth_cli.testing.plugin")
    ours = {name for name in found if name.startswith("agentauth_cli")}
    assert ours == {"agentauth_cli", "agentauth_cli.testing", "agentauth_cli.testing.plugin"}
    assert not found & set(HEAVY)


@pytest.mark.parametrize("name", agentauth_cli.testing.__all__)
def test_what_tests_need(name: str) -> None:
    """Each fake is there by name, and nothing else is."""
    assert getattr(agentauth_cli.testing, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        agentauth_cli.testing.Nothing  # noqa: B018 - asking is the test


def test_every_name_is_there_once() -> None:
    """What is promised, what type checkers see, and what is loaded are the same."""
    source = Path(agentauth_cli.__file__).read_text(encoding="utf-8")
    (block,) = [one for one in ast.parse(source).body if isinstance(one, ast.If)]
    seen = {
        alias.name: one.module
        for one in block.body
        if isinstance(one, ast.ImportFrom)
        for alias in one.names
    }
    assert sorted([*seen, "__version__"]) == sorted(agentauth_cli.__all__)
    for name, module in seen.items():
        assert f"agentauth_cli.{agentauth_cli._HOME[name]}" == module
        assert getattr(agentauth_cli, name) is not None
    assert dir(agentauth_cli) == sorted(agentauth_cli.__all__)


def test_a_name_that_is_none() -> None:
    """As any module: AttributeError."""
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        agentauth_cli.Nothing  # noqa: B018 - asking is the test


def test_every_public_thing_is_documented() -> None:
    """Documented: each class and function says what it is."""
    found = [getattr(agentauth_cli, name) for name in agentauth_cli.__all__]
    for one in found:
        assert one.__doc__ or not (isinstance(one, type) or inspect.isfunction(one)), one
