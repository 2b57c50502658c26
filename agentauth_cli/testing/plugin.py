"""The pytest plugin: `agentauth`, the whole way without a cloud, and the fixtures it is made of.

Override `agentauth_folder` to test with a configuration of your own; the rest stays in memory or
in the test's temporary folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.library.door import AgentAuth
    from agentauth_cli.testing.broker import FakeBroker
    from agentauth_cli.testing.clock import FakeClock

_CONFIG = """\
version = 1
default_environment = "test"

[inbound]
os_login = true

[environments.test.aws]
account_id = "111111111111"
role_arn_template = "arn:aws:iam::{account_id}:role/{tool_name}"
region = "eu-west-1"

[environments.test.gcp]
project = "test"

[environments.test.openai]
project_id = "proj-test"

[environments.test.huggingface]
namespace = "test"

[tools.s3_upload]
provider = "aws"
actions = ["aws.s3.put"]
permissions = ["s3:PutObject"]
resource = "s3://test/*"

[tools.gcs_read]
provider = "gcp"
actions = ["gcp.storage.read"]
permissions = ["inRole:roles/storage.objectViewer"]
resource = "gs://test/*"

[tools.openai_chat]
provider = "openai"
actions = ["openai.chat.generate"]
permissions = ["model.request"]
resource = "${project_id}"

[tools.hf_pull]
provider = "huggingface"
actions = ["huggingface.repo.read"]
permissions = ["repo.content.read"]
resource = "models/test/*"
"""

_POLICY = """\
version = 1

[[rule]]
id = "everything"
effect = "allow"
principals = ["*"]
"""


@pytest.fixture
def agentauth_clock() -> FakeClock:
    """Return the clock that `agentauth` goes by: it stands still until it is told to go on."""
    from agentauth_cli.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def agentauth_broker(agentauth_clock: FakeClock) -> FakeBroker:
    """Return the broker that mints for `agentauth`, whatever the provider."""
    from agentauth_cli.testing.broker import FakeBroker

    return FakeBroker(clock=agentauth_clock)


@pytest.fixture
def agentauth_folder(tmp_path: Path) -> Path:
    """Return the configuration folder: one tool a provider, and a policy that allows everything."""
    folder = tmp_path / "agentauth"
    folder.mkdir(mode=0o700)
    for name, text in (("config.toml", _CONFIG), ("policy.toml", _POLICY)):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o600)
    return folder


@pytest.fixture
def agentauth(
    tmp_path: Path,
    agentauth_folder: Path,
    agentauth_clock: FakeClock,
    agentauth_broker: FakeBroker,
) -> AgentAuth:
    """Return an `AgentAuth` with a fake broker, a fake clock and a ledger in memory."""
    from agentauth_cli.library.door import AgentAuth

    environ = {
        "AGENTAUTH_CONFIG_DIR": str(agentauth_folder),
        "AGENTAUTH_STATE_DIR": str(tmp_path / "agentauth-state"),
        "AGENTAUTH_DATA_DIR": str(tmp_path / "agentauth-data"),
        "AGENTAUTH_LEDGER": "ephemeral",
    }
    return AgentAuth(
        environ=lambda: environ,
        clock=agentauth_clock,
        brokers=lambda _provider, _environment: agentauth_broker,
    )
