"""The broker of Google passes the contract, with default credentials and with a web identity."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.model import ProviderType, ToolRequest
from agentauth_cli.outbound.gcp import GCPCredentialBroker
from agentauth_cli.secret import Secret
from agentauth_cli.testing.contracts import CredentialBrokerContract
from support.google import OAUTH, Google
from support.google_tokens import Account, Provider
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentauth_cli.model import Principal
    from agentauth_cli.ports import CredentialBroker

ISSUER = "https://acme.okta.test"
POOL = "//iam.googleapis.com/projects/111111111111/locations/global/workloadIdentityPools/agents"
PROVIDER = f"{POOL}/providers/okta"
ACCOUNT = "gcs-read@acme-dev.iam.gserviceaccount.com"
USER = "user:bob@acme.test"


def proof(principal: Principal) -> Secret:
    """Return a token of the issuer's for the pool."""
    at = int(time.time())
    claims = {"iss": ISSUER, "sub": principal.user_id, "aud": f"https:{PROVIDER}"}
    return Secret(signer("ES256").token(claims | {"iat": at, "exp": at + 300}))


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    """Run a fake that lets both sources act as the tool's service account."""
    keys = {ISSUER: [signer("ES256").jwk()]}
    with Google(Provider(PROVIDER, ISSUER), keys=keys) as server:
        server.accounts = {ACCOUNT: Account({f"principal:{POOL}/subject/contract", USER})}
        server.signed_in = {"made-up-refresh": USER}
        yield server


@pytest.mark.parametrize("source", ["ambient", "web_identity"])
class TestGoogleBroker(CredentialBrokerContract):
    """Against a fake of Google on loopback."""

    @pytest.fixture
    def broker(
        self, source: str, google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> CredentialBroker:
        """Return it."""
        login = {
            "type": "authorized_user",
            "client_id": "made-up",
            "client_secret": "made-up-secret",
            "refresh_token": "made-up-refresh",
            "token_uri": google.url + OAUTH,
        }
        (tmp_path / "adc.json").write_text(json.dumps(login))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "adc.json"))
        return GCPCredentialBroker(
            project="acme-dev",
            service_account_template="{tool_id}@{project}.iam.gserviceaccount.com",
            source=source,
            workload_identity_provider=PROVIDER,
            token=proof,
            sts_endpoint=google.url,
            iam_credentials_endpoint=google.url,
        )

    @pytest.fixture
    def tool_request(self) -> ToolRequest:
        """Return a request for objects in a bucket."""
        role = "inRole:roles/storage.objectViewer"
        return ToolRequest("gcs_read", ProviderType.GCP, role, "gs://acme-data/public/*")
