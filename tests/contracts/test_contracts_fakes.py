"""The fakes that ship pass the contracts, and so do our clock and our policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.model import (
    Action,
    PolicyContext,
    Principal,
    ProviderType,
    Resource,
    ToolRequest,
)
from agentauth_cli.testing import FakeBroker, FakeClock
from agentauth_cli.testing.contracts import (
    ClockContract,
    CredentialBrokerContract,
    PolicyDecisionPointContract,
)
from agentauth_cli.wiring import utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli import AgentAuth
    from agentauth_cli.ports import Clock, CredentialBroker, PolicyDecisionPoint
    from agentauth_cli.testing.contracts.decisions import Allowed


class TestFakeClock(ClockContract):
    """The clock for tests."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return it."""
        return FakeClock()


class TestClock(ClockContract):
    """The clock of everything that is not a test."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return it."""
        return utc_now


@pytest.mark.parametrize("provider", ProviderType)
class TestFakeBroker(CredentialBrokerContract):
    """The broker without a cloud, for each provider."""

    @pytest.fixture
    def broker(self, provider: ProviderType) -> CredentialBroker:
        """Return it."""
        return FakeBroker(provider=provider)

    @pytest.fixture
    def tool_request(self, provider: ProviderType) -> ToolRequest:
        """Return a request for this provider."""
        return ToolRequest("tool", provider, "permission", "resource")


class TestDecisionPoint(PolicyDecisionPointContract):
    """The policy of a configuration."""

    @pytest.fixture
    def pdp(self, agentauth: AgentAuth, agentauth_folder: Path) -> PolicyDecisionPoint:
        """Return it, with one rule."""
        (agentauth_folder / "policy.toml").write_text(
            'version = 1\n[[rule]]\nid = "one"\neffect = "allow"\nprincipals = ["okta/*"]\n'
        )
        return agentauth.pdp

    @pytest.fixture
    def allowed(self) -> Allowed:
        """Return what the rule allows."""
        return (
            Principal("okta/alice", "alice"),
            Action("put", "aws", "s3"),
            Resource("aws", "s3", "arn:aws:s3:::acme/x"),
            PolicyContext(tool="s3_upload"),
        )
