"""Configurations to test with: one that loads, changed key by key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit

from agentauth_cli.config import settings

if TYPE_CHECKING:
    from agentauth_cli.config.settings import Settings
    from agentauth_cli.tables.shape import Problem

FOLDER = Path("/configuration")
TEMPLATE = "arn:aws:iam::{account_id}:role/{tool_name}"
_BASE: dict[str, Any] = {
    "version": 1,
    "default_environment": "dev",
    "inbound": {"os_login": True},
    "environments": {
        "dev": {
            "aws": {
                "account_id": "111111111111",
                "role_arn_template": TEMPLATE,
                "region": "eu-west-1",
            }
        }
    },
    "tools": {
        "put": {
            "provider": "aws",
            "actions": ["aws.s3.put"],
            "permissions": ["s3:PutObject"],
            "resource": "s3://acme/x/*",
        }
    },
}
PROD = {"account_id": "222222222222", "role_arn_template": TEMPLATE, "region": "eu-west-1"}


def config(**changes: Any) -> dict[str, Any]:
    """Return a configuration that loads, with some keys changed.

    A key is written with ``__`` for the dot between tables; None takes it away.
    """
    made = copy.deepcopy(_BASE)
    for path, value in changes.items():
        *tables, key = path.split("__")
        table = made
        for name in tables:
            table = table.setdefault(name, {})
        if value is None:
            del table[key]
        else:
            table[key] = value
    return made


def load(found: dict[str, Any]) -> tuple[Settings | None, list[Problem]]:
    """Load a configuration given as a table."""
    return settings.load(tomlkit.dumps(found).encode(), FOLDER)


def loaded(**changes: Any) -> Settings:
    """Return the settings of a changed configuration, which has to load."""
    found, problems = load(config(**changes))
    assert found is not None, [str(one) for one in problems]
    return found


def refused(**changes: Any) -> list[str]:
    """Return what is wrong with a changed configuration: ``key: message``, each with its line."""
    found, problems = load(config(**changes))
    assert found is None
    assert all(one.file == "config.toml" and one.line >= 1 for one in problems)
    return [f"{one.key}: {one.message}" for one in problems]
