"""`doctor`: what the scenarios cannot show on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import tomlkit

from agentauth_cli.cli.doctor import Finding, work
from agentauth_cli.config import places
from agentauth_cli.config.places import Places
from agentauth_cli.wiring import Wiring
from support.configs import config

if TYPE_CHECKING:
    from pathlib import Path

POLICY = 'version = 1\n[[rule]]\nid = "r"\neffect = "allow"\nprincipals = ["os/*"]\n'


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return an environment whose folders lie in one place, with keys for boto3's chain."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "MADE-UP")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    names = ("config", "state", "data")
    return {f"AGENTAUTH_{name.upper()}_DIR": str(tmp_path / name) for name in names}


def write(folder: Path, text: str) -> None:
    """Write a configuration with a policy."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "config.toml").write_text(text)
    (folder / "policy.toml").write_text(POLICY)


def test_a_configuration_of_roots_is_named(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/etc/agentauth` replaces the user's configuration: said where it does."""
    system = tmp_path / "etc"
    write(system, tomlkit.dumps(config()))
    monkeypatch.setattr(places, "_owned_by_root", lambda path: path == system / "config.toml")
    wiring = Wiring(environ)
    vars(wiring)["places"] = Places(environ, system=system)
    found = list(work(wiring))
    message = f"{system} is root's and replaces the one of every user"
    assert found[1] == Finding("ok", "configuration", message)
    assert {one.state for one in found} == {"ok"}


def test_a_provider_without_a_source_to_look_at_is_passed_over(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """What cannot be judged without fetching is no finding."""
    gcp = {"project": "acme-dev"}
    write(tmp_path / "config", tomlkit.dumps(config(environments__dev__gcp=gcp)))
    wiring = Wiring(environ)
    vars(wiring)["places"] = Places(environ, system=tmp_path / "none")
    assert [one.about for one in work(wiring)] == [
        "configuration",
        "policy",
        "budgets",
        "kill switches",
        "API keys",
        "ledger",
        "protection",
        "environments.dev.aws",
    ]
    wiring.ledger.close()
