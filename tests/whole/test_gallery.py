"""Each example of the gallery, written and asked by the real program."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.cli import examples
from support.station import PROGRAM, station

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.whole

DENIED = {
    "solo": "check --action aws.s3.put --resource s3://example-bucket/somebody-else/x",
    "ci-deploy": (
        "check site_deploy --principal github/repo:example-org/shop:ref:refs/heads/main "
        "--kind service --claim repository_owner=somebody-else"
    ),
    "agent-team": "check notes_read --principal key/agent-1 --kind agent --auth os",
    "llm-budget": "check large_model --principal key/agent-1 --kind agent --auth api_key",
    "prod-freeze": (
        "check deploy --env prod --principal okta/ann --group okta/engineering "
        "--at 2026-12-24T10:00:00Z"
    ),
}
"""A request that each example denies."""


@pytest.mark.parametrize("name", examples.names())
def test_an_example_does_what_its_head_says(name: str, tmp_path: Path) -> None:
    """`init --example` writes files that lint, test and fmt find nothing in, and that decide."""
    here = station(tmp_path / "here", "http://127.0.0.1:1", {})
    place = {"AGENTAUTH_CONFIG_DIR": str(tmp_path / "config")}
    written = here.run("init", "--example", name, **place)
    assert written.returncode == 0, written.stderr
    lint = here.run("policy", "lint", **place)
    assert (lint.returncode, lint.stdout[:11]) == (0, "ok: policy ")
    assert here.run("policy", "fmt", "--check", **place).returncode == 0
    commands = written.stdout.partition("# then:\n")[2].splitlines()
    allowed = False
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == PROGRAM.name
        done = here.run(*arguments, **place)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        allowed = allowed or done.stdout.startswith("allow: ")
    assert allowed
    denied = here.run(*shlex.split(DENIED[name]), **place)
    assert (denied.returncode, denied.stdout[:6]) == (5, "deny: ")
