"""Brokers of Hugging Face at the fake Hub of the tests, and what they are asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from huggingface_hub import hf_hub_download

from agentauth_cli.model import Lease, Principal, ProviderType, ToolRequest
from agentauth_cli.outbound.huggingface import HuggingFaceCredentialBroker
from agentauth_cli.secret import Secret
from support.hub_publishers import AUDIENCE, Publisher
from support.hub_tokens import READ
from support.issuer import signer

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.model import ProviderCredential
    from support.hub import Hub

NOW = datetime(2030, 5, 17, 9, 30, tzinfo=UTC)
ISSUER = "https://idp.acme.test"
ALICE = Principal("corp/alice", "alice")
FILES = {"config.json": b'{"layers": 2}'}
REPOSITORY = "acme/private-llm"
PULL = ToolRequest(
    "hf_pull", ProviderType.HUGGINGFACE, READ, f"models/{REPOSITORY}", max_duration=3600
)
SHORT = replace(PULL, max_duration=900)
LEASE = Lease("L1", "corp/alice", "hf_pull", "huggingface", "dev", PULL.resource, NOW, NOW)
PAGE = "/settings/tokens/new?tokenType=fineGrained"


def fresh(hub: Hub) -> Hub:
    """Return the hub with two private models, a dataset, and publishers of three resources."""
    hub.clock = lambda: NOW
    hub.keys = {ISSUER: [signer("ES256").jwk()]}
    hub.publishers = [
        Publisher(REPOSITORY, ISSUER, {"sub": "alice"}),
        Publisher("datasets/acme/rows", ISSUER, read_only=True),
        Publisher("acme", ISSUER),
    ]
    hub.given, hub.asked = {}, []
    hub.tokens, hub.identity, hub.instead = {}, {}, {}
    hub.revokes_exchanged = True
    hub.silo.held.clear()
    for kind, name in (("model", REPOSITORY), ("model", "acme/other"), ("dataset", "acme/rows")):
        hub.silo.put(kind, name, FILES)
    return hub


def proof(**claims: object) -> str:
    """Return a token of the issuer's."""
    usual = {"iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": NOW.timestamp() + 300}
    return signer("ES256").token(usual | claims)


TOKEN = proof()


def broker(endpoint: str, **changed: Any) -> HuggingFaceCredentialBroker:
    """Return a broker at NOW that does not wait between attempts."""
    arguments: dict[str, Any] = {
        "namespace": "acme",
        "token": lambda _principal: Secret(TOKEN),
        "endpoint": endpoint,
        "clock": lambda: NOW,
        "deadline": 5.0,
        "pause": lambda _most: None,
    }
    return HuggingFaceCredentialBroker(**(arguments | changed))


def storing(endpoint: str, token: str, **changed: Any) -> HuggingFaceCredentialBroker:
    """Return a broker with a stored token."""
    kept = {"source": "stored_token", "token": None, "stored": lambda: Secret(token)}
    return broker(endpoint, **(kept | changed))


def get(hub: Hub, folder: Path, made: ProviderCredential, repository: str, kind: str) -> bytes:
    """Download the one file as a user of huggingface_hub does."""
    path = hf_hub_download(
        repository,
        "config.json",
        repo_type=kind,
        endpoint=hub.url,
        cache_dir=folder / str(len(hub.asked)),
        token=made.credentials["token"],
    )
    with open(path, "rb") as content:  # noqa: PTH123 - huggingface_hub gives a name
        return content.read()


def no_secret(error: BaseException, *secrets: str) -> None:
    """Hold that neither the error nor what a traceback shows below it has a secret."""
    shown: BaseException | None = error
    while shown is not None:
        told = f"{shown} {shown!r} {getattr(shown, 'hint', '')}"
        for secret in (TOKEN, *TOKEN.split("."), *secrets):
            assert secret not in told
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
