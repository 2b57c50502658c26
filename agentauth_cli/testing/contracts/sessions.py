"""What every `ports.SessionPort` has to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from agentauth_cli.model import Principal
    from agentauth_cli.ports import SessionPort


class SessionPortContract:
    """Fixtures: `sessions`; `principal`, whom it knows; `audience`, `others`."""

    @pytest.fixture
    def sessions(self) -> SessionPort:
        """Return the implementation to be tested."""
        pytest.fail("give the fixture `sessions`")

    @pytest.fixture
    def principal(self) -> Principal:
        """Return a principal that it has a token of."""
        pytest.fail("give the fixture `principal`")

    @pytest.fixture
    def audience(self) -> str:
        """Return the audience that its tokens can be for."""
        pytest.fail("give the fixture `audience`")

    @pytest.fixture
    def others(self) -> list[str]:
        """Return audiences that it has no token for."""
        return ["", "https://elsewhere.example"]

    def test_it_has_a_token(
        self, sessions: SessionPort, principal: Principal, audience: str
    ) -> None:
        """A token of the principal's for this audience, behind a type that does not show it."""
        token = sessions.token_for(principal, audience)
        assert isinstance(token, Secret)
        assert token.reveal().count(".") == 2
        assert token.reveal() not in repr(token)

    def test_it_has_none_for_another_audience(
        self, sessions: SessionPort, principal: Principal, audience: str, others: list[str]
    ) -> None:
        """A token for one provider never goes to another; the refusal quotes none."""
        secret = sessions.token_for(principal, audience).reveal()
        for other in others:
            with pytest.raises(AuthenticationError) as caught:
                sessions.token_for(principal, other)
            assert secret not in f"{caught.value} {caught.value.hint}"
