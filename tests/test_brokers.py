"""The brokers that a configuration asks for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import tomlkit

from agentauth_cli.errors import ConfigError
from agentauth_cli.model import Principal, ProviderType, ToolRequest
from agentauth_cli.wiring import Wiring
from support.configs import config
from support.google import Google
from support.google_tokens import Account, Provider
from support.issuer import signer

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = "https://acme.okta.test"
POOL = "//iam.googleapis.com/projects/111111111111/locations/global/workloadIdentityPools/agents"
READ = ToolRequest(
    "gcs_read", ProviderType.GCP, "inRole:roles/storage.objectViewer", "gs://acme-data/in/*"
)
ALICE = Principal("okta/alice", "alice")


def wired(folder: Path, **gcp: object) -> Wiring:
    """Return the wiring of a configuration with Google in dev."""
    (folder / "config").mkdir()
    text = tomlkit.dumps(config(environments__dev__gcp={"project": "acme-dev", **gcp}))
    (folder / "config" / "config.toml").write_text(text)
    named = ("config", "state", "data")
    return Wiring({f"AGENTAUTH_{name.upper()}_DIR": str(folder / name) for name in named})


def test_googles_broker_is_as_configured(tmp_path: Path) -> None:
    """Project, template, provider, token and endpoints of the environment."""
    at = int(time.time())
    claims = {"iss": ISSUER, "sub": "alice", "aud": f"https:{POOL}/providers/okta"}
    token = signer("ES256").token(claims | {"iat": at, "exp": at + 300})
    (tmp_path / "token").write_text(token)
    address = "gcs-read@acme-dev.iam.gserviceaccount.com"
    keys = {ISSUER: [signer("ES256").jwk()]}
    with Google(Provider(f"{POOL}/providers/okta", ISSUER), keys=keys) as google:
        google.accounts = {address: Account({f"principal:{POOL}/subject/alice"})}
        broker = wired(
            tmp_path,
            service_account_template="{tool_id}@{project}.iam.gserviceaccount.com",
            source="web_identity",
            workload_identity_provider=f"{POOL}/providers/okta",
            token_file=str(tmp_path / "token"),
            sts_endpoint=google.url,
            iam_credentials_endpoint=google.url,
        ).broker_of(ProviderType.GCP, "dev")
        made = broker.vend_credential(ALICE, READ)
    assert (made.credential_id, made.credentials["project"]) == (address, "acme-dev")


def test_googles_own_endpoints_are_the_default(tmp_path: Path) -> None:
    """What is not configured is Google's own, and default credentials are the source."""
    template = "{tool_id}@{project}.iam.gserviceaccount.com"
    broker = wired(tmp_path, service_account_template=template).broker_of(ProviderType.GCP, "dev")
    shown = broker.preview(ALICE, READ)
    assert shown.endpoint.startswith("https://iamcredentials.googleapis.com/v1/projects/-/")
    assert shown.parameters["after"]["url"] == "https://sts.googleapis.com/v1/token"
    assert (shown.source, shown.audience) == ("ambient", None)


def test_web_identity_needs_its_provider(tmp_path: Path) -> None:
    """Without who trusts the token it is an error, before any call."""
    with pytest.raises(ConfigError, match="workload_identity_provider"):
        wired(tmp_path, source="web_identity").broker_of(ProviderType.GCP, "dev")
