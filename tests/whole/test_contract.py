"""`make contract`, as far as it can be tried here: against the clouds of the tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.cloud import BUCKET, ROLE

if TYPE_CHECKING:
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
