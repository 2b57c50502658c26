"""The whole way to OpenAI through the library's door, at the server on loopback."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import openai
import pytest

from agentauth_cli import (
    AgentAuth,
    ConfigError,
    OpenAICredentialBroker,
    Principal,
    ProviderType,
    Secret,
    ToolRequest,
)
from agentauth_cli.cli import sync
from agentauth_cli.cli.preview import shape
from agentauth_cli.errors import SourceCredentialError
from agentauth_cli.policy.charges import Stated
from agentauth_cli.vending import Asked, preview
from agentauth_cli.wiring import utc_now
from support import keyrings
from support.clock import FakeClock
from support.faulty import Faulty, answer
from support.ledgers import sound
from support.openai_api import ACCOUNT, AUDIENCE, PROJECT, PROVIDER, OpenAIServer
from support.openai_vend import chat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentauth_cli.ports import Clock

WHO = Principal("os/alice", "alice", auth="os")
CONFIG = """\
version = 1
default_environment = "dev"

[environments.dev.openai]
project_id = "{project}"
service_account_id = "{account}"
{way}

[tools.openai_chat]
provider = "openai"
actions = ["openai.chat.generate"]
permissions = ["model.request"]
resource = "${{project_id}}"
duration = "1h"
unnarrowed = {unnarrowed}
"""
POLICY = """\
version = 1

[[rule]]
id = "chat"
effect = "allow"
principals = ["os/*"]
actions = ["openai.chat.generate"]
resources = ["proj_dev"]
"""


@pytest.fixture
def api() -> Iterator[OpenAIServer]:
    """Yield the server."""
    with OpenAIServer() as server:
        yield server


class Door:
    """A configuration on disk, and the door to it."""

    def __init__(
        self,
        folder: Path,
        api: OpenAIServer,
        way: str,
        *,
        unnarrowed: bool,
        clock: Clock = utc_now,
    ) -> None:
        self.environ = {
            f"AGENTAUTH_{name}_DIR": str(folder / name.lower())
            for name in ("CONFIG", "STATE", "DATA")
        }
        config = folder / "config"
        config.mkdir(mode=0o700)
        said = str(unnarrowed).lower()
        text = CONFIG.format(project=PROJECT, account=ACCOUNT, way=way, unnarrowed=said)
        for name, content in {
            "config.toml": text,
            "policy.toml": POLICY,
            "token": api.subject_token(),
        }.items():
            (config / name).write_text(content)
            (config / name).chmod(0o600)
        self.auth = AgentAuth(environ=lambda: self.environ, clock=clock)

    def store(self, admin_key: str) -> None:
        """Store the admin key as `source add` does."""
        with self.auth.wiring() as wiring:
            slot = wiring.made.slot("dev", "openai")
            wiring.sources.keep(slot, Secret(admin_key), wiring.clock())

    def records(self, event: str) -> list[dict[str, Any]]:
        """Return the audit records of an event."""
        with self.auth.wiring() as wiring:
            found = [json.loads(row.record) for row in wiring.ledger.records()]
        return [one for one in found if one["event"] == event]


def test_a_key_for_as_long_as_the_lease(
    tmp_path: Path, api: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vended with the admin key of the keyring, used, deleted at the end of the block, refused."""
    way = f'source = "admin_key"\nsame_account = true\nbase_url = "{api.base_url}"'
    door = Door(tmp_path, api, way, unnarrowed=False)
    keyrings.use(monkeypatch, keyrings.variables(tmp_path))
    door.store(api.admin_key)
    with door.auth.lease(WHO, "openai_chat") as credential:
        assert chat(api, credential.credentials) == "yes"
        [kept] = api.org.keys
        assert kept.name == f"{credential.lease} openai_chat os/alice"
        assert kept.scopes == ("model.request",)
    assert kept.deleted
    with pytest.raises(openai.AuthenticationError):
        chat(api, credential.credentials)
    [issued], [revoked] = door.records("vend.issued"), door.records("lease.revoked")
    assert (issued["credential_type"], issued["credential_id"]) == ("openai_project_key", kept.id)
    assert json.loads(issued["narrowed"])["scopes"] == ["model.request"]
    assert (revoked["outcome"], revoked["lease"]) == ("revoked", credential.lease)
    assert kept.value not in json.dumps([issued, revoked])


def test_a_stored_key_goes_to_no_other_server(
    tmp_path: Path, api: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each entry is bound to the origins it was stored for, also where a broker is made by hand."""
    way = f'source = "admin_key"\nsame_account = true\nbase_url = "{api.base_url}"'
    door = Door(tmp_path, api, way, unnarrowed=False)
    keyrings.use(monkeypatch, keyrings.variables(tmp_path))
    door.store(api.admin_key)
    for name, value in door.environ.items():
        monkeypatch.setenv(name, value)
    request = ToolRequest("chat", ProviderType.OPENAI, "model.request", PROJECT)
    with Faulty([answer(status=401)]) as other:
        elsewhere = OpenAICredentialBroker(project_id=PROJECT, base_url=f"{other.url}/v1")
        with pytest.raises(SourceCredentialError, match="nothing to ask with"):
            elsewhere.vend_credential(WHO, request)
        assert not other.requests
    same = OpenAICredentialBroker(project_id=PROJECT, base_url=api.base_url)
    assert chat(api, same.vend_credential(WHO, request).credentials) == "yes"


def test_a_token_for_a_token_file(tmp_path: Path, api: OpenAIServer) -> None:
    """Web identity by the configuration alone: the token file's JWT becomes an access token."""
    way = (
        f'identity_provider_id = "{PROVIDER}"\naudience = "{AUDIENCE}"\ntoken_file = "token"\n'
        f'token_endpoint = "{api.token_url}"'
    )
    door = Door(tmp_path, api, way, unnarrowed=True)
    with door.auth.lease(WHO, "openai_chat") as credential:
        assert chat(api, credential.credentials) == "yes"
    assert chat(api, credential.credentials) == "yes"  # which cannot be ended alone
    [issued] = door.records("vend.issued")
    assert issued["credential_type"] == "openai_access_token"
    assert json.loads(issued["narrowed"])["unnarrowed"] is True


def test_a_token_that_nobody_means(tmp_path: Path, api: OpenAIServer) -> None:
    """Without `unnarrowed` nothing is exchanged, and what was reserved is given back."""
    way = (
        f'identity_provider_id = "{PROVIDER}"\naudience = "{AUDIENCE}"\ntoken_file = "token"\n'
        f'token_endpoint = "{api.token_url}"'
    )
    door = Door(tmp_path, api, way, unnarrowed=False)
    with pytest.raises(ConfigError, match="cannot narrow a token"):
        door.auth.vend(WHO, "openai_chat")
    assert not api.asked
    [failed] = door.records("vend.failed")
    with door.auth.wiring() as wiring:
        assert wiring.ledger.lease_state(failed["lease"]) == "released"


def test_a_dry_run(tmp_path: Path, api: OpenAIServer) -> None:
    """`vend --dry-run`: the request to the letter, with a lease that there is not."""
    way = f'source = "admin_key"\nsame_account = true\nbase_url = "{api.base_url}"'
    door = Door(tmp_path, api, way, unnarrowed=False)
    with door.auth.wiring() as wiring:
        tool = wiring.settings.tool("openai_chat", "dev")
        parts = replace(wiring.parts(), authenticate=lambda: WHO)
        _, found = preview(parts, Asked(tool, Stated()))
    told = shape(tool, found, None, [])
    assert told["operation"] == (
        f"POST /organization/projects/{PROJECT}/service_accounts/{ACCOUNT}/api_keys"
    )
    assert told["endpoint"] == api.base_url
    assert told["parameters"] == {
        "name": "LEASE openai_chat os/alice",
        "expires_in_seconds": 3_600,
        "scopes": ["model.request"],
    }
    assert not api.asked


def test_what_was_billed_is_what_a_lease_is_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`budget sync` from OpenAI's usage and cost endpoints by key: `billed`."""
    clock = FakeClock()
    with OpenAIServer(clock) as api:
        way = f'source = "admin_key"\nsame_account = true\nbase_url = "{api.base_url}"'
        door = Door(tmp_path, api, way, unnarrowed=False, clock=clock)
        keyrings.use(monkeypatch, keyrings.variables(tmp_path))
        door.store(api.admin_key)
        used, idle = (
            door.auth.vend(WHO, "openai_chat", estimate_tokens=15, estimate_cost="0.50")
            for _ in range(2)
        )
        assert chat(api, used.credentials) == "yes"

        def run() -> list[dict[str, Any]]:
            with door.auth.wiring() as wiring:
                sync.work(wiring, None, as_json=True)
                assert sound(wiring.ledger)
            return list(json.loads(capsys.readouterr().out)["leases"])

        # More than was reserved counts at once, and less not yet.
        (one,) = run()
        assert one["lease"] == used.lease
        assert one["tokens"] == {"before": 15, "after": 20}
        assert one["cost"] == {"before": "0.50", "after": "0.50"}
        assert run() == []
        clock.advance(seconds=3_600 + 86_400)
        changed = {each["lease"]: (each["tokens"], each["cost"]) for each in run()}
        assert changed[used.lease] == (
            {"before": 20, "after": 20},
            {"before": "0.50", "after": "0.00002"},
        )
        assert changed[idle.lease][0] == {"before": 15, "after": 0}
        assert run() == []
        marks = {one["usage"] for one in door.records("usage.recorded")}
        assert marks == {"billed"}


def test_nothing_else_than_an_admin_key_reads_it(tmp_path: Path, api: OpenAIServer) -> None:
    """An environment without one is named, and nobody is asked."""
    way = f'identity_provider_id = "{PROVIDER}"\naudience = "{AUDIENCE}"\ntoken_file = "token"'
    door = Door(tmp_path, api, way, unnarrowed=True)
    with door.auth.wiring() as wiring, pytest.raises(ConfigError, match="no admin key of OpenAI"):
        sync.work(wiring, "dev", as_json=False)
    assert not api.asked
