"""An emulator of AWS on loopback, with authentication on: a bucket, a role, and who may assume it.

The emulator (`ministack`) checks signatures, role policies, trust policies and session policies.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import boto3
from botocore.config import Config

from support.faulty import refused_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACCOUNT = "000000000000"
REGION = "us-east-1"
BUCKET = "acme-agents"
OTHER_BUCKET = "acme-other"
ROLE = "put_file"
ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
READY_SECONDS = 30.0
_ASSUME = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


@dataclass(frozen=True)
class Cloud:
    """A running emulator. `source` is the environment of one who may assume ROLE."""

    url: str
    source: Mapping[str, str]

    def client(self, service: str, credentials: Mapping[str, str]) -> Any:
        """Return a boto3 client that uses these credentials, and this emulator, alone."""
        arguments: dict[str, Any] = {"region_name": REGION, **credentials}
        return boto3.Session().client(
            service,  # type: ignore[call-overload] # any service
            endpoint_url=self.url,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            **arguments,
        )


@contextmanager
def cloud(folder: Path) -> Iterator[Cloud]:
    """Run the emulator until the end of the block; `folder` is its home and holds its log."""
    port = refused_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "ministack"],
            env=_environment(folder, port),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(process, url, folder)
            yield _furnished(Cloud(url, {}))
        finally:
            process.kill()
            process.wait(10)


def _environment(folder: Path, port: int) -> dict[str, str]:
    return {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "HOME": str(folder),
        "IOT_MTLS_ENABLED": "0",
        "PATH": "/usr/bin:/bin",
        "SERVICES": "s3,iam,sts",
        "TMPDIR": str(folder),
    }


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    opener = build_opener(ProxyHandler({}))
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with opener.open(f"{url}/_ministack/health", timeout=5) as health:
                state = json.load(health)
        except (URLError, HTTPException, OSError):
            time.sleep(0.05)
        else:
            assert state.get("auth") == "enabled", "this version of ministack enforces nothing"
            return
    raise RuntimeError(f"no ministack: {(folder / 'ministack.log').read_text()[-2000:]}")


def _furnished(empty: Cloud) -> Cloud:
    """Make the buckets, the user and the role; return the cloud with the user's key."""
    s3, iam = (empty.client(service, ROOT) for service in ("s3", "iam"))
    for bucket in (BUCKET, OTHER_BUCKET):
        s3.create_bucket(Bucket=bucket)
    user = iam.create_user(UserName="agentauth")["User"]["Arn"]
    key = iam.create_access_key(UserName="agentauth")["AccessKey"]
    role = iam.create_role(
        RoleName=ROLE,
        MaxSessionDuration=43_200,
        AssumeRolePolicyDocument=_policy(_ASSUME, Principal={"AWS": user}),
    )["Role"]["Arn"]
    iam.put_role_policy(
        RoleName=ROLE, PolicyName="all", PolicyDocument=_policy(["s3:*"], Resource="*")
    )
    iam.put_user_policy(
        UserName="agentauth", PolicyName="assume", PolicyDocument=_policy(_ASSUME, Resource=role)
    )
    source = {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    return Cloud(empty.url, source)


def _policy(actions: list[str], **rest: Any) -> str:
    statement = {"Effect": "Allow", "Action": actions, **rest}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
