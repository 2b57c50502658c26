"""Answers of Google as JSON, a request, and a broker that asks for it at a standing time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentauth_cli.model import Principal, ProviderType, ToolRequest
from agentauth_cli.outbound.gcp import GCPCredentialBroker
from agentauth_cli.secret import Secret
from support.faulty import answer
from support.issuer import signer

if TYPE_CHECKING:
    from support.faulty import Part

NOW = datetime(2030, 5, 17, 9, 30, tzinfo=UTC)
ALICE = Principal("okta/alice", "alice")
PROVIDER = (
    "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/agents/providers/okta"
)
TOKEN = signer("ES256").token({"sub": "alice", "aud": f"https:{PROVIDER}"})
FEDERATED, WHOLE, NARROW = "made-up-federated", "made-up-account-token", "made-up-narrow-token"
ACCOUNT = "gcs-read@acme-dev.iam.gserviceaccount.com"
TYPE = "urn:ietf:params:oauth:token-type:"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
VIEWER = "inRole:roles/storage.objectViewer"
READ = ToolRequest(
    tool_name="gcs_read",
    provider=ProviderType.GCP,
    action=VIEWER,
    resource="gs://acme-data/public/*",
    lease="L0123456789abcdef",
)
MINT = f"/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"


def broker(endpoint: str, **changed: Any) -> GCPCredentialBroker:
    """Return a broker at NOW that waits a short time for answers, and none between attempts."""
    arguments: dict[str, Any] = {
        "project": "acme-dev",
        "service_account_template": "{tool_id}@{project}.iam.gserviceaccount.com",
        "source": "web_identity",
        "workload_identity_provider": PROVIDER,
        "token": lambda _principal: Secret(TOKEN),
        "sts_endpoint": endpoint,
        "iam_credentials_endpoint": endpoint,
        "clock": lambda: NOW,
        "deadline": 5.0,
        "pause": lambda _most: None,
    }
    return GCPCredentialBroker(**(arguments | changed))


def request(**changed: Any) -> ToolRequest:
    """Return the request READ with something changed."""
    fields = {name: getattr(READ, name) for name in ToolRequest.__slots__}
    return ToolRequest(**(fields | changed))


def said(value: object, status: int = 200) -> list[Part]:
    """Return this value as JSON."""
    return answer(json.dumps(value).encode(), status, {"Content-Type": "application/json"})


def exchanged(token: str = FEDERATED, without: str = "", **other: Any) -> list[Part]:
    """Return the answer of the Security Token Service."""
    usual = {
        "access_token": token,
        "issued_token_type": f"{TYPE}access_token",
        "token_type": "Bearer",
        "expires_in": 900,
    } | other
    return said({name: value for name, value in usual.items() if name != without})


def minted(seconds: float = 900, **other: Any) -> list[Part]:
    """Return the answer to generateAccessToken."""
    end = (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    usual = {"accessToken": WHOLE, "expireTime": end} | other
    return said({name: value for name, value in usual.items() if value is not None})


def good() -> list[Any]:
    """Return the three answers of a mint."""
    return [exchanged(), minted(), exchanged(NARROW)]


def no_secret(error: BaseException) -> None:
    """Hold that neither the error nor what a traceback shows below it has a secret."""
    shown: BaseException | None = error
    while shown is not None:
        told = f"{shown} {shown!r} {getattr(shown, 'hint', '')}"
        for secret in (FEDERATED, WHOLE, NARROW, TOKEN, *TOKEN.split(".")):
            assert secret not in told
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)


def refused(status: int, name: str, words: str) -> list[Part]:
    """Return an error as Google's APIs word it."""
    return said({"error": {"code": status, "message": words, "status": name}}, status)


def denied(name: str, words: str, status: int = 400) -> list[Part]:
    """Return an error as the Security Token Service words it."""
    return said({"error": name, "error_description": words}, status)
