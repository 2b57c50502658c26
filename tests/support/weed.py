"""SeaweedFS on loopback: an S3 and an STS of somebody else's making, as a second opinion on AWS.

It checks signatures, session policies, and a web identity's signature and audience with its issuer.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from support.cloud import ACCOUNT, BUCKET, OTHER_BUCKET, ROLE, Cloud
from support.faulty import refused_port
from support.issuer import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.issuer import IssuerServer

AUDIENCE = "sts.amazonaws.com"
ROOT = {"aws_access_key_id": "MADEUPROOTKEY", "aws_secret_access_key": "made-up-root-secret"}
READY_SECONDS = 60.0
_TWIN = 10_000  # each port's gRPC one is so much higher
_HIGHEST = 65_535


@contextmanager
def weed(folder: Path, issuer: IssuerServer) -> Iterator[Cloud]:
    """Run it until the end of the block, with two buckets and the role, which trusts the issuer."""
    (folder / "data").mkdir()
    (folder / "s3.json").write_text(json.dumps(_identities()))
    (folder / "iam.json").write_text(json.dumps(_iam(issuer)))
    master, volume, filer, s3 = _ports(4)
    command = [
        os.environ["AGENTAUTH_TEST_WEED"],
        *("server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-master.port={master}", f"-volume.port={volume}"),
        *("-filer", f"-filer.port={filer}", "-s3", f"-s3.port={s3}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-s3.config={folder / 's3.json'}", f"-s3.iam.config={folder / 'iam.json'}"),
    ]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={"HOME": str(folder), "PATH": os.defpath},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            key = {name.upper(): value for name, value in ROOT.items()}
            made = Cloud(f"http://127.0.0.1:{s3}", key)
            _furnish(made, folder)
            yield made
        finally:
            process.kill()  # a graceful stop takes long
            process.wait(10)


def _furnish(made: Cloud, folder: Path) -> None:
    client, end = made.client("s3", ROOT), time.monotonic() + READY_SECONDS
    for bucket in (BUCKET, OTHER_BUCKET):
        while True:
            try:
                client.create_bucket(Bucket=bucket)
            except (BotoCoreError, ClientError):
                if time.monotonic() > end:
                    raise RuntimeError((folder / "weed.log").read_text()[-2000:]) from None
                time.sleep(0.1)
            else:
                break


def _ports(count: int) -> list[int]:
    found: set[int] = set()
    while len(found) < count:
        port = refused_port()
        if port + _TWIN <= _HIGHEST:
            found.add(port)
    return list(found)


def _identities() -> dict[str, object]:
    key = {"accessKey": ROOT["aws_access_key_id"], "secretKey": ROOT["aws_secret_access_key"]}
    return {"identities": [{"name": "root", "credentials": [key], "actions": ["Admin"]}]}


def _iam(issuer: IssuerServer) -> dict[str, object]:
    def allow(**more: object) -> dict[str, object]:
        return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **more}]}

    trust = allow(Principal={"Federated": "corp"}, Action=["sts:AssumeRoleWithWebIdentity"])
    trust["Statement"] += allow(Principal={"AWS": "*"}, Action=["sts:AssumeRole"])["Statement"]  # type: ignore[operator]
    return {
        "sts": {
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "issuer": "weed",
            "signingKey": "bWFkZS11cC1zaWduaW5nLWtleS0zMi1jaGFyYWN0ZXJz",
        },
        "providers": [
            {
                "name": "corp",
                "type": "oidc",
                "enabled": True,
                "config": {
                    "issuer": issuer.url,
                    "clientId": AUDIENCE,
                    "jwksUri": issuer.url + KEYS,
                },
            }
        ],
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "roles": [
            {
                "roleName": ROLE,
                "roleArn": f"arn:aws:iam::{ACCOUNT}:role/{ROLE}",
                "trustPolicy": trust,
                "attachedPolicies": ["all"],
            }
        ],
        "policies": [{"name": "all", "document": allow(Action=["s3:*"], Resource=["*"])}],
    }
