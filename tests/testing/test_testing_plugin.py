"""The pytest plugin, as the tests of another project find it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentauth_cli import ProviderCredential, ProviderType, ToolRequest
from agentauth_cli.errors import ProviderUnreachableError, UsageError
from agentauth_cli.model import Principal
from agentauth_cli.testing import FakeBroker, FakeClock

if TYPE_CHECKING:
    from pathlib import Path

WHO = Principal("okta/alice", "alice")
SUITE = """
import pytest
from agentauth_cli import BudgetExceededError, Principal, ToolRequest
from agentauth_cli.testing import FakeBroker
from agentauth_cli.testing.contracts import CredentialBrokerContract

WHO = Principal("okta/alice", "alice")


@pytest.mark.parametrize("tool", ["s3_upload", "gcs_read", "openai_chat", "hf_pull"])
def test_a_tool_of_each_provider(agentauth, agentauth_broker, tool):
    assert agentauth.vend(WHO, tool).credentials
    assert len(agentauth_broker.requests) == 1


def test_time(agentauth, agentauth_clock, agentauth_folder):
    (agentauth_folder / "budgets.toml").write_text(
        'version = 1\\n[[budget]]\\nid = "one"\\nper = []\\nlimits.hour = { requests = 1 }\\n'
    )
    agentauth.vend(WHO, "s3_upload")
    with pytest.raises(BudgetExceededError):
        agentauth.vend(WHO, "s3_upload")
    agentauth_clock.advance(seconds=3600)
    agentauth.vend(WHO, "s3_upload")


class TestTheirs(CredentialBrokerContract):
    @pytest.fixture
    def broker(self):
        return FakeBroker(provider="aws")

    @pytest.fixture
    def tool_request(self):
        return ToolRequest("x", "aws", "s3:PutObject", "arn:aws:s3:::b/x")


class TestForgotten(CredentialBrokerContract):
    pass
"""


def test_it_comes_with_the_package(tmp_path: Path) -> None:
    """The fixture `agentauth` is there without a line of set-up; a contract asks for its parts."""
    (tmp_path / "test_theirs.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:randomly", "test_theirs.py"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "12 passed, 7 errors" in done.stdout, done.stdout
    assert "give the fixture `broker`" in done.stdout
    assert {one.name for one in tmp_path.iterdir()} <= {
        *("test_theirs.py", ".pytest_cache", "__pycache__", ".cache")
    }


def test_a_fake_broker_hands_out_what_was_set(agentauth_clock: FakeClock) -> None:
    """Whatever is asked, until something else is set."""
    broker = FakeBroker(clock=agentauth_clock)
    request = ToolRequest("x", ProviderType.AWS, "s3:PutObject", "arn:aws:s3:::b/x")
    made_up = broker.vend_credential(WHO, request)
    assert made_up.credentials["aws_access_key_id"] == "fake-aws_access_key_id-1"
    broker.set_error(ProviderUnreachableError("away"))
    with pytest.raises(ProviderUnreachableError):
        broker.vend_credential(WHO, request)
    given = ProviderCredential(ProviderType.AWS, "x", {"a": "b"}, agentauth_clock())
    broker.set_credential(given)
    assert broker.vend_credential(WHO, request) is given
    assert broker.requests == [(WHO, request)] * 3


def test_a_fake_broker_for_one_provider() -> None:
    """It mints for that one alone, and within its bounds."""
    broker = FakeBroker(provider=ProviderType.AWS, min_duration=900)
    with pytest.raises(UsageError, match="for aws, not gcp"):
        broker.vend_credential(WHO, ToolRequest("x", ProviderType.GCP))
    with pytest.raises(UsageError, match="900 to 43200 s, not 60"):
        broker.vend_credential(WHO, ToolRequest("x", ProviderType.AWS, max_duration=60))
