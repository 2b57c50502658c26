"""The broker of AWS passes the contract, with a source credential and with a web identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.model import ProviderType, ToolRequest
from agentauth_cli.outbound.aws import AWSCredentialBroker
from agentauth_cli.secret import Secret
from agentauth_cli.testing.contracts import CredentialBrokerContract
from support.sts import ACCOUNT
from support.sts_server import StsServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.ports import CredentialBroker


@pytest.mark.parametrize("source", ["ambient", "web_identity"])
class TestAwsBroker(CredentialBrokerContract):
    """Against an STS on loopback that grants what it is asked."""

    @pytest.fixture
    def broker(self, source: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CredentialBroker]:
        """Return it."""
        with StsServer() as server:
            for name, value in server.source.items():
                monkeypatch.setenv(name, value)
            yield AWSCredentialBroker(
                role_arn_template="arn:aws:iam::{account_id}:role/{tool_name}",
                account_id=ACCOUNT,
                region="eu-west-1",
                source=source,
                token=lambda _principal: Secret("made-up-token"),
                sts_endpoint=server.url,
            )

    @pytest.fixture
    def tool_request(self) -> ToolRequest:
        """Return a request for an object in a bucket."""
        return ToolRequest("put_file", ProviderType.AWS, "s3:PutObject", "arn:aws:s3:::acme/x")
