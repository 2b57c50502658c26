"""A cloud on this machine for the demo: the `ministack` emulator, with authentication on.

It checks signatures, trust policies, role policies and session policies, so that a refusal in the
demo is the cloud's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentauth_cli.errors import ProviderUnreachableError, UnavailableError
from agentauth_cli.transport import Deadline, send

ACCOUNT = "000000000000"
REGION = "us-east-1"
READY_SECONDS = 30.0
_OWNER = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
_ASSUME = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


@dataclass(frozen=True)
class Cloud:
    """A running emulator."""

    url: str

    def client(self, service: str) -> Any:
        """Return a boto3 client of the account's owner."""
        import boto3
        from botocore.config import Config

        return boto3.Session().client(  # type: ignore[call-overload] # any service
            service,
            endpoint_url=self.url,
            region_name=REGION,
            config=Config(proxies={}, s3={"addressing_style": "path"}),
            **_OWNER,
        )

    def furnish(self, bucket: str, role: str) -> dict[str, str]:
        """Make a bucket, a role with full access to it, and a user who may assume the role.

        Returns the user's access key, as the AWS credentials file names its parts.
        """
        self.client("s3").create_bucket(Bucket=bucket)
        iam = self.client("iam")
        user = iam.create_user(UserName="engineer")["User"]["Arn"]
        key = iam.create_access_key(UserName="engineer")["AccessKey"]
        made = iam.create_role(
            RoleName=role,
            MaxSessionDuration=43_200,
            AssumeRolePolicyDocument=_policy(_ASSUME, Principal={"AWS": user}),
        )
        whole = _policy(["s3:*"], Resource="*")
        iam.put_role_policy(RoleName=role, PolicyName="s3", PolicyDocument=whole)
        assume = _policy(_ASSUME, Resource=made["Role"]["Arn"])
        iam.put_user_policy(UserName="engineer", PolicyName="assume", PolicyDocument=assume)
        return {
            "aws_access_key_id": key["AccessKeyId"],
            "aws_secret_access_key": key["SecretAccessKey"],
        }


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cloud]:
    """Run the emulator until the end of the block; `folder` is its home and takes its log.

    Raises UnavailableError where it is not installed, ProviderUnreachableError where it does not
    start.
    """
    program = Path(sys.executable).with_name("ministack")
    if not os.access(program, os.X_OK):
        raise UnavailableError("the demo's cloud", hint="pip install 'agentauth[demo]'")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    cloud = Cloud(f"http://127.0.0.1:{port}")
    with (folder / "cloud.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own extra, beside our own Python
            [program],
            env=_environment(folder, port),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours to handle: it ends when we are done with it
        )
        try:
            _wait(process, cloud)
            yield cloud
        finally:
            process.kill()
            process.wait()


def _environment(folder: Path, port: int) -> dict[str, str]:
    return {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "HOME": str(folder),
        "IOT_MTLS_ENABLED": "0",
        "PATH": os.defpath,
        "SERVICES": "s3,iam,sts",
        "TMPDIR": str(folder),
    }


def _wait(process: subprocess.Popen[bytes], cloud: Cloud) -> None:
    deadline = Deadline(READY_SECONDS)
    while process.poll() is None:
        try:
            health = send("GET", f"{cloud.url}/_ministack/health", deadline=deadline)
        except ProviderUnreachableError:
            deadline.remaining()
            time.sleep(0.05)
            continue
        if json.loads(health.body).get("auth") != "enabled":
            raise UnavailableError("a demo cloud that enforces", hint="Use ministack 1.5 or newer")
        return
    raise ProviderUnreachableError("the demo's cloud did not start")


def _policy(actions: list[str], **rest: Any) -> str:
    statement = {"Effect": "Allow", "Action": actions, **rest}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
