"""`policy test --junit`: what is not XML is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from agentauth_cli.cli.policy_test import FAILED, Input, work
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

POLICY = r"""version = 1
[[test]]
name = "<a & \u0001\u001b>"
principal = "okta/alice"
action = "aws.s3.put"
resource = "x"
expect = "allow"
"""


def test_control_characters_of_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are shown as escapes: XML cannot hold them."""
    (tmp_path / "p.toml").write_text(POLICY)
    report = tmp_path / "report.xml"
    wiring = Wiring({"AGENTAUTH_CONFIG_DIR": str(tmp_path / "config")})
    assert work(wiring, Input((tmp_path / "p.toml",), junit=report)) == FAILED
    suite = ET.fromstring(report.read_bytes())  # noqa: S314 - what this program wrote itself
    assert [one.get("name") for one in suite] == [r"<a & \x01\x1b>"]
    assert "p.toml:2:1: <a & \\x01\\x1b>: expected allow, got deny" in capsys.readouterr().out
