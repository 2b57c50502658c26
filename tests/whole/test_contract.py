"""`make contract`, as far as it can be tried here: against the clouds of the tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import clouds
from support.cloud import BUCKET, ROLE

if TYPE_CHECKING:
    import subprocess

    from support.cloud import Cloud
    from support.station import Station

pytestmark = pytest.mark.whole

SCRIPT = Path(__file__).parents[2] / ".ci" / "contract.py"


def test_without_accounts_it_runs_nothing_and_says_so(near: Station) -> None:
    """It runs nothing without settings from the environment, and says so."""
    done = near.shell([sys.executable, str(SCRIPT)])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{name.lower()}: not run, there is no AGENTAUTH_CONTRACT_{name}"
        for name in ("AWS", "GCP", "OPENAI", "HUGGINGFACE")
    ]


@pytest.mark.parametrize(("outside", "code"), [("agents/y/1", 0), ("agents/x/2", 1)])
def test_aws(here: Station, emulator: Cloud, outside: str, code: int) -> None:
    """Inside its prefix it writes, outside it is refused; another finding fails."""
    done = here.shell(
        [sys.executable, str(SCRIPT)],
        AGENTAUTH_CONTRACT_AWS=f"{ROLE} s3://{BUCKET}/agents/x/1 s3://{BUCKET}/{outside}",
        AWS_ENDPOINT_URL_S3=emulator.url,
    )
    assert done.returncode == code, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first == f"aws: ok   put s3://{BUCKET}/agents/x/1: done"
    assert second.startswith("aws: ok   " if code == 0 else "aws: BAD  ")


def told(done: subprocess.CompletedProcess[str], provider: str) -> list[str]:
    """Return what was found of a provider, where all of it was as it should be."""
    assert done.returncode == 0, done.stdout + done.stderr
    start = f"{provider}: ok   "
    return [line.removeprefix(start) for line in done.stdout.splitlines() if line.startswith(start)]


def test_google(tmp_path: Path) -> None:
    """An object inside is read with the vended token, one outside is refused."""
    with clouds.google(tmp_path / "here") as (here, server):
        done = here.shell(
            [sys.executable, str(SCRIPT)],
            AGENTAUTH_CONTRACT_GCP="tool_one gs://acme-data/in/a gs://acme-data/out/a",
            STORAGE_EMULATOR_HOST=server.url,
        )
    assert told(done, "gcp") == [
        "get gs://acme-data/in/a: done",
        "get gs://acme-data/out/a: refused (403)",
    ]


def test_openai(tmp_path: Path) -> None:
    """The models are listed; a token that was exchanged cannot be revoked alone."""
    with clouds.openai(tmp_path / "here") as (here, server):
        done = here.shell(
            [sys.executable, str(SCRIPT)],
            AGENTAUTH_CONTRACT_OPENAI="tool_one",
            OPENAI_BASE_URL=server.base_url,
        )
    assert told(done, "openai") == ["list models: 2", "revoke: cannot be revoked alone"]


def test_hugging_face(tmp_path: Path) -> None:
    """The repository is looked at, another of the namespace is refused."""
    with clouds.hub(tmp_path / "here") as (here, server):
        done = here.shell(
            [sys.executable, str(SCRIPT)],
            AGENTAUTH_CONTRACT_HUGGINGFACE="tool_one models/acme/in models/acme/out",
            HF_ENDPOINT=server.url,
        )
    assert told(done, "huggingface") == [
        "info models/acme/in: done",
        "info models/acme/out: refused (403)",
    ]
