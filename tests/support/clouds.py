"""Stations whose one tool is of Google, OpenAI or Hugging Face, keyless, at servers on loopback."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.google import Google
from support.google_tokens import Account, Provider
from support.hub import Hub
from support.hub_publishers import AUDIENCE as HUB_AUDIENCE
from support.hub_publishers import Publisher
from support.issuer import signer
from support.openai_api import ACCOUNT, AUDIENCE, PROJECT, PROVIDER, OpenAIServer
from support.station import station

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.station import Station

ISSUER = "https://idp.acme.test"
BUCKET = "acme-data"
_POOL = "//iam.googleapis.com/projects/111111111111/locations/global/workloadIdentityPools/agents"
_TOOL_ACCOUNT = "tool-one@acme-dev.iam.gserviceaccount.com"
_CONFIG = """\
version = 1
default_environment = "dev"

[inbound]
os_login = true

[environments.dev.{provider}]
token_file = "token"
{keys}

[tools.tool_one]
provider = "{provider}"
{tool}
"""
_POLICY = """\
version = 1

[[rule]]
id = "one"
effect = "allow"
principals = ["os/*"]
tools = ["tool_one"]
"""


def _station(folder: Path, provider: str, keys: str, tool: str, proof: str) -> Station:
    made = station(folder, "http://127.0.0.1:1", {})
    made.write("config.toml", _CONFIG.format(provider=provider, keys=keys, tool=tool))
    made.write("policy.toml", _POLICY)
    made.write("token", proof)
    return made


def _proof(audience: str) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "ci", "aud": audience, "iat": now, "exp": now + 3_600}
    return signer("ES256").token(claims)


@contextmanager
def google(folder: Path) -> Iterator[tuple[Station, Google]]:
    """Return a tool for gs://acme-data/in/*, and the server, which has in/a and out/a."""
    pool = f"{_POOL}/providers/okta"
    with Google(Provider(pool, ISSUER), keys={ISSUER: [signer("ES256").jwk()]}) as server:
        server.accounts[_TOOL_ACCOUNT] = Account({f"principal:{_POOL}/subject/ci"})
        server.roles[f"serviceAccount:{_TOOL_ACCOUNT}"] = {BUCKET: {"roles/storage.objectViewer"}}
        server.buckets.held = {BUCKET: {"in/a": b"A", "out/a": b"B"}}
        keys = (
            'project = "acme-dev"\nsource = "web_identity"\n'
            'service_account_template = "{tool_id}@{project}.iam.gserviceaccount.com"\n'
            f'workload_identity_provider = "{pool}"\n'
            f'sts_endpoint = "{server.url}"\niam_credentials_endpoint = "{server.url}"'
        )
        tool = (
            'actions = ["gcp.storage.read"]\nresource = "gs://acme-data/in/*"\n'
            'permissions = ["inRole:roles/storage.objectViewer"]'
        )
        yield _station(folder, "gcp", keys, tool, _proof(f"https:{pool}")), server


@contextmanager
def openai(folder: Path) -> Iterator[tuple[Station, OpenAIServer]]:
    """Return a tool that may ask models, and the server."""
    with OpenAIServer() as server:
        keys = (
            f'project_id = "{PROJECT}"\nservice_account_id = "{ACCOUNT}"\n'
            f'identity_provider_id = "{PROVIDER}"\naudience = "{AUDIENCE}"\n'
            f'token_endpoint = "{server.token_url}"\nbase_url = "{server.base_url}"'
        )
        tool = (
            'actions = ["openai.chat.generate"]\npermissions = ["model.request"]\n'
            'resource = "${project_id}"\nunnarrowed = true'
        )
        yield _station(folder, "openai", keys, tool, server.subject_token()), server


@contextmanager
def hub(folder: Path) -> Iterator[tuple[Station, Hub]]:
    """Return a tool that reads models/acme/in, and the server, which has acme/in and acme/out."""
    with Hub(Publisher("acme/in", ISSUER), keys={ISSUER: [signer("ES256").jwk()]}) as server:
        for name in ("acme/in", "acme/out"):
            server.silo.put("model", name, {"config.json": b"{}"})
        keys = f'namespace = "acme"\nendpoint = "{server.url}"'
        tool = (
            'actions = ["huggingface.repo.read"]\npermissions = ["repo.content.read"]\n'
            'resource = "models/acme/in"'
        )
        yield _station(folder, "huggingface", keys, tool, _proof(HUB_AUDIENCE)), server
