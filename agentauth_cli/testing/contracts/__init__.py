"""What every implementation of a port has to pass, ours included; for pytest.

Subclass a suite under a name that begins with ``Test``, and give the fixtures that it names::

    from agentauth_cli.testing.contracts import CredentialBrokerContract

    class TestOurBroker(CredentialBrokerContract):
        @pytest.fixture
        def broker(self):
            return OurBroker(...)

        @pytest.fixture
        def tool_request(self):
            return ToolRequest("read", ProviderType.AWS, "s3:GetObject", "arn:aws:s3:::b/*")
"""

from agentauth_cli.testing.contracts.broker import CredentialBrokerContract
from agentauth_cli.testing.contracts.clock import ClockContract
from agentauth_cli.testing.contracts.decisions import PolicyDecisionPointContract
from agentauth_cli.testing.contracts.ledger import LedgerContract
from agentauth_cli.testing.contracts.sessions import SessionPortContract
from agentauth_cli.testing.contracts.verifier import IdentityVerifierContract

__all__ = [
    "ClockContract",
    "CredentialBrokerContract",
    "IdentityVerifierContract",
    "LedgerContract",
    "PolicyDecisionPointContract",
    "SessionPortContract",
]
