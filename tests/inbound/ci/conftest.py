"""What the tests of platforms share."""

from __future__ import annotations

import pytest

from agentauth_cli.inbound.ci import asking


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no longer than is needed between two tries."""
    monkeypatch.setattr(asking, "PAUSES", (0.0, 0.0))
