"""Vends from real accounts, and tries what each credential can do: `make contract`.

What is tried is said by the environment, beside a configuration of one's own:

    AGENTAUTH_CONTRACT_AWS="TOOL s3://BUCKET/INSIDE s3://BUCKET/OUTSIDE"      objects to be written
    AGENTAUTH_CONTRACT_GCP="TOOL gs://BUCKET/INSIDE gs://BUCKET/OUTSIDE"      objects that are there
    AGENTAUTH_CONTRACT_OPENAI="TOOL"
    AGENTAUTH_CONTRACT_HUGGINGFACE="TOOL models/INSIDE models/OUTSIDE"        repositories

Without them nothing is run, and that is said. The SDKs go where they go by themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = Path(sys.executable).with_name("agentauth")
PREFIX = "AGENTAUTH_CONTRACT_"
NOT_ALLOWED = (401, 403, 404)
"""What a provider says where a credential may not: some do not tell whether there is anything."""

Step = tuple[str, bool]
"""What was tried, and whether it came as it should."""


def vended(tool: str) -> dict[str, Any]:
    """Return what `vend` prints."""
    command = [PROGRAM, "vend", tool, "--reason", "make contract"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        sys.exit(f"{tool}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def revoked(lease: str) -> str:
    """Return what `lease revoke` says came of it."""
    command = [PROGRAM, "lease", "revoke", lease, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return str(json.loads(done.stdout)["leases"][0]["outcome"])


def aws(tool: str, inside: str, outside: str) -> Iterator[Step]:
    """Write an object inside, and none outside."""
    import boto3
    from botocore.exceptions import ClientError

    client = boto3.client("s3", **vended(tool)["credentials"])
    for uri, may in ((inside, True), (outside, False)):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            client.put_object(Bucket=bucket, Key=key, Body=b"agentauth")
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            yield f"put {uri}: refused", not may
        else:
            yield f"put {uri}: done", may


def gcp(tool: str, inside: str, outside: str) -> Iterator[Step]:
    """Read an object inside, and none outside."""
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.credentials import Credentials

    session = AuthorizedSession(Credentials(vended(tool)["credentials"]["access_token"]))  # type: ignore[no-untyped-call]
    base = os.environ.get("STORAGE_EMULATOR_HOST", "https://storage.googleapis.com")
    for uri, may in ((inside, True), (outside, False)):
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        answer = session.get(f"{base}/storage/v1/b/{bucket}/o/{quote(name, safe='')}")
        if answer.status_code in NOT_ALLOWED:
            yield f"get {uri}: refused ({answer.status_code})", not may
        else:
            answer.raise_for_status()
            yield f"get {uri}: done", may


def openai(tool: str) -> Iterator[Step]:
    """List the models; once the key is revoked, no more."""
    from openai import AuthenticationError, OpenAI

    made = vended(tool)
    client = OpenAI(max_retries=0, **made["credentials"])
    yield f"list models: {len(client.models.list().data)}", True
    outcome = revoked(made["lease"])
    yield f"revoke: {outcome}", True
    if outcome == "revoked":
        try:
            client.models.list()
        except AuthenticationError:
            yield "list models afterwards: refused", True
        else:
            yield "list models afterwards: done", False


def huggingface(tool: str, inside: str, outside: str) -> Iterator[Step]:
    """Look at a repository inside, and at none outside."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=vended(tool)["credentials"]["token"])
    for name, may in ((inside, True), (outside, False)):
        kind, _, repository = name.partition("/")
        try:
            api.repo_info(repository, repo_type=kind.removesuffix("s"))
        except HfHubHTTPError as error:
            if error.response.status_code not in NOT_ALLOWED:
                raise
            yield f"info {name}: refused ({error.response.status_code})", not may
        else:
            yield f"info {name}: done", may


PROVIDERS: dict[str, Callable[..., Iterator[Step]]] = {
    "AWS": aws,
    "GCP": gcp,
    "OPENAI": openai,
    "HUGGINGFACE": huggingface,
}


def main() -> None:
    """Try each provider that the environment names; exit with 1 where one is not as it should."""
    good = True
    for name, tried in PROVIDERS.items():
        said = os.environ.get(PREFIX + name)
        if not said:
            print(f"{name.lower()}: not run, there is no {PREFIX}{name}")
            continue
        for what, right in tried(*said.split()):
            print(f"{name.lower()}: {'ok  ' if right else 'BAD '} {what}", flush=True)
            good &= right
    sys.exit(not good)


if __name__ == "__main__":
    main()
