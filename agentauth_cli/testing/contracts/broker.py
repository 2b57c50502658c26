"""What every `ports.CredentialBroker` has to pass."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.errors import UsageError
from agentauth_cli.model import Principal, ProviderType, ToolRequest

if TYPE_CHECKING:
    from agentauth_cli.ports import Clock, CredentialBroker

_LATEST = timedelta(minutes=1)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a broker of one's own may know no other clock


class CredentialBrokerContract:
    """Fixtures: `broker`; `tool_request`, which it can mint for; `principal`, `clock`."""

    @pytest.fixture
    def broker(self) -> CredentialBroker:
        """Return the broker to be tested."""
        pytest.fail("give the fixture `broker`")

    @pytest.fixture
    def tool_request(self) -> ToolRequest:
        """Return a request that it can mint for."""
        pytest.fail("give the fixture `tool_request`")

    @pytest.fixture
    def principal(self) -> Principal:
        """Return who it mints for."""
        return Principal("os/contract", "contract")

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the clock that the broker goes by."""
        return _now

    def test_it_mints_for_the_provider_that_was_asked(
        self, broker: CredentialBroker, tool_request: ToolRequest, principal: Principal
    ) -> None:
        """A credential of that provider, with something in it and a type."""
        made = broker.vend_credential(principal, tool_request)
        assert made.provider is tool_request.provider
        assert made.credential_type
        assert made.credentials
        assert all(made.credentials.values())

    def test_it_takes_its_arguments_by_name(
        self, broker: CredentialBroker, tool_request: ToolRequest, principal: Principal
    ) -> None:
        """``broker.vend_credential(principal=agent, tool_request=tool_request)``."""
        made = broker.vend_credential(principal=principal, tool_request=tool_request)
        assert made.provider is tool_request.provider

    def test_it_ends_in_time(
        self,
        broker: CredentialBroker,
        tool_request: ToolRequest,
        principal: Principal,
        clock: Clock,
    ) -> None:
        """Its end lies in the future, and no more than a minute later than asked."""
        asked = clock()
        made = broker.vend_credential(principal, tool_request)
        assert made.expires_at > asked
        assert made.expires_at <= clock() + timedelta(seconds=tool_request.max_duration) + _LATEST

    def test_it_hides_its_secrets(
        self, broker: CredentialBroker, tool_request: ToolRequest, principal: Principal
    ) -> None:
        """No secret in repr; pickling the credentials, or handing them to json, raises."""
        made = broker.vend_credential(principal, tool_request)
        public = {made.credential_id, *_public(made.credentials)}
        for secret in set(made.credentials.values()) - public:
            assert secret not in repr(made)
        with pytest.raises(TypeError):
            pickle.dumps(made.credentials)
        with pytest.raises(TypeError):
            json.dumps(made.credentials)

    def test_it_previews_what_it_would_ask(
        self, broker: CredentialBroker, tool_request: ToolRequest, principal: Principal
    ) -> None:
        """The same request has the same preview: an operation at an endpoint, from a source."""
        shown = broker.preview(principal, tool_request)
        assert shown == broker.preview(principal=principal, tool_request=tool_request)
        assert shown.operation
        assert shown.endpoint
        assert shown.source
        json.dumps(dict(shown.parameters))

    def test_it_mints_for_no_other_provider(
        self, broker: CredentialBroker, tool_request: ToolRequest, principal: Principal
    ) -> None:
        """A request for another provider is a UsageError, and nothing is minted."""
        for other in set(ProviderType) - {tool_request.provider}:
            for ask in (broker.vend_credential, broker.preview):
                with pytest.raises(UsageError):
                    ask(principal, replace(tool_request, provider=other))

    def test_it_mints_for_no_other_time(
        self, broker: CredentialBroker, tool_request: ToolRequest, principal: Principal
    ) -> None:
        """Below `min_duration` or above `max_duration` it is a UsageError."""
        assert 0 < broker.min_duration <= broker.max_duration
        for seconds in (broker.min_duration - 1, broker.max_duration + 1):
            for ask in (broker.vend_credential, broker.preview):
                with pytest.raises(UsageError):
                    ask(principal, replace(tool_request, max_duration=seconds))


def _public(credentials: object) -> set[str]:
    """Return the values that are no secret: what is configured, and public ids."""
    named = ("aws_access_key_id", "region_name", "project")
    return {credentials[name] for name in named if name in credentials}  # type: ignore[index,operator]
