"""What `whoami` says of a principal's end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agentauth_cli.cli.identity import ends_with
from agentauth_cli.model import Principal

END = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize("exp", [END.timestamp(), int(END.timestamp())])
def test_what_ends_a_principal(exp: float) -> None:
    """What ends it and when: the token by itself, the session that it is kept in, the API key."""
    token = Principal("okta/a", "a", claims={"exp": exp}, expires_at=END)
    assert ends_with(token) == "token"
    sooner = END - timedelta(seconds=1)
    kept = Principal("okta/a", "a", claims={"exp": exp}, expires_at=sooner)
    assert ends_with(kept) == "session"
    assert ends_with(Principal("key/a", "a", auth="api_key", expires_at=END)) == "api_key"
