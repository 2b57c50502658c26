"""What the README shows, run as a newcomer would: each command, in order, in one shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.config import settings
from agentauth_cli.inbound.ci.gitlab import variable_for
from agentauth_cli.model import ProviderType
from agentauth_cli.policy import rules
from support.action import ACTION, yaml
from support.cloud import ACCOUNT, ROOT, Cloud
from support.station import PROGRAM, Station, station

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.whole

HEAD = """\
version = 1
default_environment = "prod"
tools.put = { provider = "aws", actions = ["aws.s3.put"], permissions = ["s3:PutObject"], \
resource = "s3://acme-agents/x/*" }
"""
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> Iterator[str]:
    """Yield the blocks of the README in this language."""
    yield from re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> Iterator[tuple[str, int]]:
    """Yield each command that the README shows, and the exit code that it says."""
    for block in blocks("console"):
        for line in block.splitlines():
            command, _, code = line.removeprefix("$ ").partition("  # exit ")
            yield command, int(code or 0)


def test_every_command_of_the_readme_does_what_it_says(tmp_path: Path, emulator: Cloud) -> None:
    """What the README says, a test runs."""
    here = newcomer(tmp_path, emulator)
    for command, expected in commands():
        done = here.shell(["sh", "-c", filled(here, command)])
        assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
        if command.startswith("agentauth init"):
            run_what_init_printed(here, done.stdout, emulator)
            mint_at_the_emulator(here, emulator)
        if "agents/y" in command:
            assert "AccessDenied" in done.stderr
    here.everything_holds()


def filled(here: Station, command: str) -> str:
    """Return a command with what a reader would put in: the account, a lease."""
    if " LEASE" in command:
        newest = here.json("lease", "list", "--json")["leases"][-1]["lease"]
        command = command.replace(" LEASE", f" {newest}")
    return command.replace("111111111111", ACCOUNT)


def newcomer(folder: Path, emulator: Cloud) -> Station:
    """Return a shell of somebody who has installed agentauth and the AWS CLI, no more."""
    made = station(folder / "home", emulator.url, emulator.source)
    for file in (made.folder / "config").iterdir():
        file.unlink()
    programs = [str(PROGRAM.parent), str(Path(os.environ["AGENTAUTH_TEST_AWS"]).parent)]
    path = os.pathsep.join([*programs, os.defpath])
    endpoint = {"AWS_ENDPOINT_URL": emulator.url}  # for `aws` itself: agentauth does not look at it
    return Station(made.folder, {**made.environ, "PATH": path, **endpoint})


def run_what_init_printed(here: Station, printed: str, emulator: Cloud) -> None:
    """Run the commands of AWS that are still to be run, as the account's owner."""
    found = [line for line in printed.splitlines() if line.startswith("aws ")]
    assert len(found) == 2
    owner = {name.upper(): value for name, value in ROOT.items()}
    iam = emulator.client("iam", ROOT)
    for role in [one["RoleName"] for one in iam.list_roles()["Roles"]]:
        if role == "s3_upload":
            iam.delete_role_policy(RoleName=role, PolicyName="agentauth")
            iam.delete_role(RoleName=role)
    for command in found:
        done = here.shell(["sh", "-c", f"{command} --region us-east-1"], **owner)
        assert done.returncode == 0, done.stderr


def mint_at_the_emulator(here: Station, emulator: Cloud) -> None:
    """Point the environment at the emulator, and at the key of one who may assume roles there."""
    config = here.folder / "config" / "config.toml"
    text = config.read_text().replace(
        'source = "ambient"', f'sts_endpoint = "{emulator.url}"\nsource = "profile:source"'
    )
    config.write_text(text)
    emulator.client("iam", ROOT).put_user_policy(
        UserName="agentauth",
        PolicyName="assume-uploads",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
        '"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"}]}',
    )


def test_every_policy_of_the_readme_loads() -> None:
    """What the README shows of policy.toml is a policy."""
    found = [block for block in blocks("toml") if "[[rule]]" in block]
    assert found
    for block in found:
        assert rules.load([("policy.toml", b"version = 1\n" + block.encode())])[1] == []


def test_every_configuration_of_the_readme_loads() -> None:
    """What the README shows of config.toml loads, all of it together."""
    shown = [
        block for block in blocks("toml") if "[inbound.issuers" in block or "[environments" in block
    ]
    assert len(shown) == 6
    found, problems = settings.load("\n".join([HEAD, *shown]).encode(), Path())
    assert problems == []
    assert found is not None
    assert {tool.provider for tool in found.every_tool()} == set(ProviderType)


def test_the_jobs_of_the_readme_say_what_is_there() -> None:
    """The action has those inputs; a token of GitLab is called after its audience."""
    github, gitlab = map(yaml.safe_load, blocks("yaml"))
    assert github["steps"][0]["with"].keys() <= ACTION["inputs"].keys()
    tokens = gitlab["deploy"]["id_tokens"]
    assert len(tokens) == 2
    for name, token in tokens.items():
        assert name == variable_for(token["aud"])


def test_the_service_of_the_readme_is_the_one_that_is_tested() -> None:
    """The twenty lines of the README are those that test_service.py runs."""
    (shown,) = [block for block in blocks("python") if "FastAPI()" in block]
    run = (Path(__file__).parents[1] / "support" / "service.py").read_text(encoding="utf-8")
    assert run.partition("\n\n")[2] == shown
    assert len([line for line in shown.splitlines() if line.strip()]) <= 20


def test_the_test_of_the_readme_passes(tmp_path: Path) -> None:
    """What the README shows of a test passes as it stands."""
    (shown,) = [block for block in blocks("python") if "def test_" in block]
    (tmp_path / "test_shown.py").write_text(shown)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:randomly", "test_shown.py"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout


def test_every_link_of_the_readme_leads_somewhere() -> None:
    """The documents that it names are there."""
    for name in re.findall(r"\]\(([A-Z]+\.md)\)", README):
        assert (Path(__file__).parents[2] / name).exists(), name
