"""`demo`: the whole story with the real program, against a cloud on this machine."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.demo_cloud import ACCOUNT, REGION, Cloud, running
from agentauth_cli.errors import AgentAuthError

BUCKET = "acme-agents"
TOOL = "s3_upload"

_CONFIG = f"""\
version = 1
default_environment = "dev"

[inbound]
os_login = true

[environments.dev.aws]
account_id = "{ACCOUNT}"
role_arn_template = "arn:aws:iam::{{account_id}}:role/{{tool_name}}"
region = "{REGION}"
source = "profile:engineer"
sts_endpoint = "URL"

[tools.{TOOL}]
provider = "aws"
actions = ["aws.s3.put"]
permissions = ["s3:PutObject"]
resource = "s3://{BUCKET}/agents/${{principal.name}}/*"
duration = "1h"
"""

_POLICY = f"""\
version = 1

[[rule]]
id = "agents-upload"
effect = "allow"
principals = ["os/*"]
tools = ["{TOOL}"]
actions = ["aws.s3.put"]
resources = ["arn:aws:s3:::{BUCKET}/agents/${{principal.name}}/*"]
obligations = {{ max_duration = "1h" }}
"""

_BUDGETS = """\
version = 1

[[budget]]
id = "uploads"
per = ["principal"]
limits.month = { requests = 3 }
"""

_PUT = """\
import sys, boto3
s3 = boto3.Session(profile_name="agent").client("s3", endpoint_url=sys.argv[1])
for key in sys.argv[2:]:
    try:
        s3.put_object(Bucket="acme-agents", Key=key, Body=b"hello")
        print(f"{key}: written")
    except s3.exceptions.ClientError as error:
        print(f"{key}: {error}")
"""


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        *,
        keep: Annotated[bool, typer.Option("--keep", help="Leave the folder, to play in.")] = False,
    ) -> None:
        """Show the whole story against a cloud on this machine."""
        work(keep=keep)


class DemoFailedError(AgentAuthError):
    """A step of the demo ended otherwise than it should."""

    exit_code = 1
    what = "the demo failed"


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: its folder, its cloud, the environment of its commands."""

    folder: Path
    cloud: Cloud
    environ: dict[str, str]

    def explain(self, text: str) -> None:
        """Say what comes now."""
        screen.out("")
        screen.out(f"# {text}")

    def agentauth(self, *arguments: str, expect: int = 0) -> None:
        """Run the real command line, and show what it prints, secrets masked."""
        program = str(Path(sys.executable).with_name(screen.NAME))
        self.run([program, *arguments], shlex.join([screen.NAME, *arguments]), expect)

    def run(self, command: Sequence[str], shown: str, expect: int = 0) -> None:
        """Run a command and show it. Raises DemoFailedError for another exit code."""
        screen.out(f"$ {shown}")
        done = subprocess.run(  # noqa: S603 - our own commands
            command,
            env=self.environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for line in done.stdout.splitlines():
            screen.out(f"  {_masked(line)}")
        if expect:
            screen.out(f"  (exit code {done.returncode})")
        if done.returncode != expect:
            raise DemoFailedError(f"{shown}: exit code {done.returncode}, not {expect}")


def work(*, keep: bool) -> None:
    """Set the stage, tell the story, and leave nothing behind unless told to keep it."""
    folder = Path(tempfile.mkdtemp(prefix="agentauth-demo-"))
    try:
        with running(folder) as cloud:
            stage = _set(folder, cloud)
            _story(stage)
            if keep:
                _play(stage)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _set(folder: Path, cloud: Cloud) -> Stage:
    key = cloud.furnish(BUCKET, TOOL)
    config = folder / "config"
    config.mkdir(mode=0o700)
    _put(config / "config.toml", _CONFIG.replace("URL", cloud.url))
    _put(config / "policy.toml", _POLICY)
    _put(config / "budgets.toml", _BUDGETS)
    parts = "".join(f"{name} = {value}\n" for name, value in key.items())
    _put(folder / "aws-credentials", f"[engineer]\n{parts}")
    _put(folder / "aws-config", f"[profile engineer]\nregion = {REGION}\n")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environ = {
        **kept,
        "AGENTAUTH_CONFIG_DIR": str(config),
        "AGENTAUTH_STATE_DIR": str(folder / "state"),
        "AGENTAUTH_DATA_DIR": str(folder / "data"),
        "AWS_CONFIG_FILE": str(folder / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Stage(folder, cloud, environ)


def _put(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _story(stage: Stage) -> None:
    stage.explain("Who is asking? The account of the operating system, for now.")
    stage.agentauth("whoami")
    stage.explain("May it upload? The policy is a file; this asks it and vends nothing.")
    stage.agentauth("check", TOOL)
    stage.explain("A credential for one tool, one prefix, one hour. (Secrets are masked here.)")
    stage.agentauth("vend", TOOL)

    inside, outside = f"agents/{_name()}/report.txt", "agents/somebody-else/report.txt"
    stage.explain("The same for every AWS program: a profile that asks agentauth.")
    stage.agentauth("configure", "aws", TOOL, "--profile", "agent")
    stage.run(["cat", str(stage.folder / "aws-config")], "cat ~/.aws/config")
    stage.explain("boto3 with that profile: inside the prefix, then outside of it. The second")
    screen.out("# refusal is the cloud's own: the credential cannot do more.")
    script = [sys.executable, "-P", "-c", _PUT, stage.cloud.url, inside, outside]
    stage.run(script, f"python put.py {inside} {outside}")
    stage.explain("Asking for four hours: it comes back cut to what the policy allows.")
    stage.agentauth("vend", TOOL, "--duration", "4h")

    stage.explain("The budget permits three requests a month. This is the fourth.")
    stage.agentauth("vend", TOOL, expect=7)
    stage.explain("3 a.m.: stop the tool. The next request is refused before anything else.")
    stage.agentauth("disable", "--tool", TOOL, "--reason", "leaked prompt")
    stage.agentauth("vend", TOOL, expect=6)
    stage.agentauth("enable", "--tool", TOOL)

    stage.explain("Everything that happened, in a chain of hashes.")
    stage.agentauth("audit", "tail")
    stage.agentauth("audit", "verify")
    stage.explain("Somebody changes one byte of the ledger. The chain names the record.")
    _tamper(stage)
    stage.agentauth("audit", "verify", expect=1)


def _name() -> str:
    from agentauth_cli.inbound.os_account import authenticate

    return authenticate({}).name


def _tamper(stage: Stage) -> None:
    path = stage.folder / "state" / "ledger.db"
    changed = """UPDATE records SET record = replace(record, '"allow"', '"alloW"') WHERE seq = 2"""
    screen.out(f'$ sqlite3 ledger.db "{changed}"')
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(changed)
        db.commit()


def _masked(line: str) -> str:
    """Return a line of output with what only a pipe should get masked."""
    import json

    try:
        found = json.loads(line)
    except ValueError:
        return line
    for name in ("SecretAccessKey", "SessionToken"):
        if name in found:
            found[name] = "…"
    for name in found.get("credentials", {}):
        if name not in {"aws_access_key_id", "region_name"}:
            found["credentials"][name] = "…"
    return json.dumps(found, ensure_ascii=False)


def _play(stage: Stage) -> None:
    """Say how to go on in the folder; on a terminal the cloud runs until Ctrl-C."""
    screen.out("")
    screen.out(f"# The folder is kept: {stage.folder}")
    for name, value in stage.environ.items():
        if name.startswith(("AGENTAUTH_", "AWS_")):
            screen.out(f"export {name}={shlex.quote(value)}")
    if screen.can_ask():
        screen.out(f"# The cloud runs at {stage.cloud.url} until Ctrl-C.")
        signal.pause()
