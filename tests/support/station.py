"""A configuration in a folder of its own, and the real program run in it as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from agentauth_cli.cli import audit
from agentauth_cli.wiring import Wiring
from support.cloud import ACCOUNT, BUCKET, REGION, ROLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = Path(sys.executable).with_name("agentauth")
PREFIX = "agents/x/"

CONFIG = """\
version = 1
default_environment = "dev"

[inbound]
os_login = true

[environments.dev.aws]
account_id = "{account}"
role_arn_template = "arn:aws:iam::{{account_id}}:role/{{tool_name}}"
region = "{region}"
source = "profile:source"
sts_endpoint = "{sts}"

[tools.{tool}]
provider = "aws"
actions = ["aws.s3.put"]
permissions = ["s3:PutObject"]
resource = "s3://{bucket}/{prefix}*"
duration = "1h"
"""

POLICY = """\
version = 1

[[rule]]
id = "uploads"
effect = "allow"
principals = ["os/*"]
actions = ["aws.s3.put"]
resources = ["arn:aws:s3:::acme-agents/agents/*"]
"""

TENTH = """\
version = 1

[[budget]]
id = "ten"
per = ["principal"]
limits.month = { requests = 10 }
"""


@dataclass(frozen=True)
class Station:
    """The folder, and the environment that its commands get."""

    folder: Path
    environ: Mapping[str, str]

    def write(self, name: str, text: str) -> None:
        """Write a file of the configuration."""
        path = self.folder / "config" / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)

    def start(
        self, *arguments: str, stdout: int | IO[bytes] = subprocess.PIPE, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start the program."""
        return subprocess.Popen(
            [PROGRAM, *arguments],
            env={**self.environ, **variables},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )

    def run(
        self, *arguments: str, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        return self.shell([str(PROGRAM), *arguments], stdin, **variables)

    def shell(
        self, command: Sequence[str], stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run another program in the same environment."""
        return subprocess.run(
            command,
            env={**self.environ, **variables},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def json(self, *arguments: str, stdin: str = "", **variables: str) -> Any:
        """Run the program, which has to succeed, and return the JSON that it shows."""
        done = self.run(*arguments, stdin=stdin, **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def records(self) -> list[dict[str, Any]]:
        """Return all audit records, oldest first, as `audit tail --json` shows them."""
        with contextlib.closing(Wiring(environ=self.environ)) as wiring:
            rows = list(wiring.ledger.records())
        return [{**json.loads(row.record), "hash": row.hash} for row in rows]

    def events(self) -> list[str]:
        """Return the events of all audit records, oldest first."""
        return [record["event"] for record in self.records()]

    def everything_holds(self) -> None:
        """Assert that the chain verifies and that a recount gives the counters."""
        with contextlib.closing(Wiring(environ=self.environ)) as wiring:
            assert audit.check(wiring, as_json=False) == 0


def station(folder: Path, sts: str, source: Mapping[str, str], account: str = ACCOUNT) -> Station:
    """Return a station whose tool mints at `sts`, with the key `source` (environment names)."""
    for name in ("config", "aws"):
        (folder / name).mkdir(mode=0o700, parents=True)
    key = "".join(f"{name.lower()} = {value}\n" for name, value in source.items())
    (folder / "aws" / "credentials").write_text(f"[source]\n{key}")
    (folder / "aws" / "config").write_text(f"[profile source]\nregion = {REGION}\n")
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    made = Station(
        folder,
        {
            **kept,
            "PATH": os.defpath,
            "HOME": str(folder),
            "AGENTAUTH_CONFIG_DIR": str(folder / "config"),
            "AGENTAUTH_STATE_DIR": str(folder / "state"),
            "AGENTAUTH_DATA_DIR": str(folder / "data"),
            "AWS_CONFIG_FILE": str(folder / "aws" / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws" / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        },
    )
    made.write("config.toml", config(sts, account))
    made.write("policy.toml", POLICY)
    return made


def config(sts: str, account: str = ACCOUNT) -> str:
    """Return a config.toml with one tool, which mints at `sts`."""
    return CONFIG.format(
        account=account, region=REGION, sts=sts, tool=ROLE, bucket=BUCKET, prefix=PREFIX
    )
