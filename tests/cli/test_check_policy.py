"""`check --request`: what is too large is not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.cli.check_policy import LARGEST, asking_request
from agentauth_cli.errors import UsageError
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from pathlib import Path


def test_a_request_of_more_than_a_mebibyte(tmp_path: Path) -> None:
    """Input that no request can have is refused before it is parsed."""
    (tmp_path / "large.json").write_bytes(b" " * LARGEST + b"{}")
    with pytest.raises(UsageError, match=f"^--request: larger than {LARGEST} bytes"):
        asking_request(Wiring({}), tmp_path / "large.json")
