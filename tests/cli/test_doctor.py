"""`doctor`: what the scenarios cannot show on every machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import tomlkit

from agentauth_cli.cli.doctor import Finding, work
from agentauth_cli.config import places
from agentauth_cli.config.places import Places
from agentauth_cli.inbound.session import NOTE
from agentauth_cli.wiring import Wiring
from support.configs import config
from support.issuer import signer

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


def test_a_stored_source_is_not_fetched(tmp_path: Path, environ: dict[str, str]) -> None:
    """All that is said is that whoever is this account can read it."""
    openai = {"project_id": "proj-1", "source": "admin_key", "same_account": True}
    write(tmp_path / "config", tomlkit.dumps(config(environments__dev__openai=openai)))
    wiring = Wiring(environ)
    vars(wiring)["places"] = Places(environ, system=tmp_path / "none")
    assert [one.about for one in work(wiring)] == [
        "configuration",
        "policy",
        "budgets",
        "kill switches",
        "API keys",
        "logins",
        "ledger",
        "protection",
        "environments.dev.aws",
        "bypass",
    ]
    wiring.ledger.close()


@pytest.mark.parametrize(
    ("file", "state", "message"),
    [
        (None, "sick", "is not there"),
        ({"type": "authorized_user"}, "ok", "source ambient"),
        ({"type": "service_account"}, "warning", "is a key that never ends"),
    ],
)
def test_googles_default_credentials_are_looked_at(
    tmp_path: Path,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    file: dict[str, str] | None,
    state: str,
    message: str,
) -> None:
    """Whether there are any; a service account's key is said to be long-lived."""
    gcp = {"project": "acme-dev"}
    write(tmp_path / "config", tomlkit.dumps(config(environments__dev__gcp=gcp)))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "adc.json"))
    if file is not None:
        (tmp_path / "adc.json").write_text(json.dumps(file))
    wiring = Wiring(environ)
    vars(wiring)["places"] = Places(environ, system=tmp_path / "none")
    (found,) = [one for one in work(wiring) if one.about == "environments.dev.gcp"]
    assert found.state == state
    assert message in found.message
    wiring.ledger.close()


@pytest.mark.parametrize(
    ("variable", "sick"),
    [
        (
            "AGENTAUTH_CONFIG_DIR",
            {"configuration", "policy", "budgets", "kill switches", "API keys", "ledger"},
        ),
        ("AGENTAUTH_STATE_DIR", {"budgets", "logins", "ledger"}),
    ],
)
def test_a_folder_that_is_not_known_is_a_finding(
    tmp_path: Path, environ: dict[str, str], variable: str, sick: set[str]
) -> None:
    """What cannot be looked at is a finding too, and the rest is looked at all the same."""
    write(tmp_path / "config", tomlkit.dumps(config()))
    found = list(work(Wiring({**environ, variable: ""})))
    assert {one.about for one in found if one.state == "sick"} == sick
    assert {one.message for one in found if one.state == "sick"} == {f"{variable} is set and empty"}
    assert "protection" in {one.about for one in found}


def test_a_note_of_logins_that_cannot_be_read(tmp_path: Path, environ: dict[str, str]) -> None:
    """identities.json is looked at: where it is damaged nobody is anybody."""
    write(tmp_path / "config", tomlkit.dumps(config()))
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / NOTE).write_text("garbage")
    wiring = Wiring(environ)
    (one,) = [one for one in work(wiring) if one.state == "sick"]
    assert (one.about, one.hint) == ("logins", "rm it, and log in again")
    wiring.ledger.close()


GOOGLE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/o"


@pytest.mark.parametrize(
    ("provider", "entry", "audience"),
    [
        (
            "gcp",
            {"project": "p", "source": "web_identity", "workload_identity_provider": GOOGLE},
            f"https:{GOOGLE}",
        ),
        ("gcp", {"project": "p", "source": "web_identity"}, ""),
        ("openai", {"project_id": "p", "source": "web_identity"}, ""),
        ("openai", {"project_id": "p", "source": "web_identity", "audience": "o"}, "o"),
        ("huggingface", {"namespace": "a", "source": "oidc"}, "https://huggingface.co"),
    ],
)
def test_the_token_file_of_any_provider_is_read(
    tmp_path: Path, environ: dict[str, str], provider: str, entry: dict[str, str], audience: str
) -> None:
    """A token has to be there and for the provider, as far as that is known."""
    about = f"environments.dev.{provider}.token_file"
    entry = {**entry, "token_file": "token"}
    write(tmp_path / "config", tomlkit.dumps(config(**{f"environments__dev__{provider}": entry})))
    file = tmp_path / "config" / "token"

    def finding() -> Finding:
        wiring = Wiring(environ)
        vars(wiring)["places"] = Places(environ, system=tmp_path / "none")
        (one,) = [one for one in work(wiring) if one.about == about]
        wiring.ledger.close()
        return one

    assert finding().state == "sick"
    assert "does not exist" in finding().message
    for claims, state in (({"aud": "another"}, "sick"), ({"aud": audience}, "ok")):
        file.write_text(signer("ES256").token({**claims, "exp": 9_999_999_999}))
        assert finding().state == (state if audience else "warning")
    assert f"{file} holds a token" in finding().message
