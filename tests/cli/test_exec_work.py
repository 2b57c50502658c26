"""`exec` without a command line: several tools, one inside the other, and how they end."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.cli import exec as exec_
from agentauth_cli.errors import (
    CommandMissingError,
    PermissionDeniedError,
    StateError,
    Stopped,
    UndeliveredError,
    UsageError,
)
from agentauth_cli.ledger import opening
from agentauth_cli.ledger.process import this_process
from agentauth_cli.model import (
    Preview,
    Principal,
    ProviderCredential,
    ProviderType,
    Revocation,
    ToolRequest,
)
from agentauth_cli.policy import rules
from agentauth_cli.policy.narrow import Tool, ToolGrant
from agentauth_cli.policy.pattern import template
from agentauth_cli.policy.prices import PriceTable
from agentauth_cli.secret import SecretMapping
from agentauth_cli.vending import Asked, Parts, Vended

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentauth_cli.model import Lease

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
PROVIDERS = (ProviderType.AWS, ProviderType.OPENAI, ProviderType.HUGGINGFACE)
POLICY = """
version = 1
[[rule]]
id = "one"
effect = "allow"
principals = ["corp/*"]
tools = ["aws", "openai"]
"""


def asked(provider: ProviderType, name: str = "") -> Asked:
    """Return a request for a tool of a provider, called like it."""
    grant = ToolGrant((f"{provider}.x.do",), ("x:Do",), template("r"))
    tool = Tool(name or str(provider), "dev", provider, (grant,), duration=900, role="role")
    return Asked(tool, delivery="exec")


class _Broker:
    min_duration = 900
    max_duration = 3600

    def vend_credential(
        self, principal: Principal, tool_request: ToolRequest
    ) -> ProviderCredential:
        del principal
        values = SecretMapping({"api_key": "made-up"})
        ends = NOW + timedelta(hours=1)
        return ProviderCredential(tool_request.provider, "made_up", values, ends)

    def preview(self, principal: Principal, tool_request: ToolRequest) -> Preview:
        parameters = {"principal": principal, "request": tool_request}
        return Preview("Mint", "https://sts.example", parameters, "made_up")

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        del lease, credential
        return Revocation("cannot be revoked alone")


class World:
    """The parts of a process with a ledger of its own, and what it was told to start."""

    def __init__(self, folder: Path) -> None:
        place = opening.Place(folder / "config", folder / "state", folder / "data", {}, print)
        self.ledger = opening.open_ledger(place, lambda: NOW)
        loaded, problems = rules.load([("policy.toml", POLICY.encode())])
        assert loaded is not None, problems
        ids = count(1)
        self.started: list[list[str]] = []
        self.parts = Parts(
            authenticate=lambda: Principal("corp/alice", "alice"),
            policy=lambda: loaded,
            budgets=tuple,
            prices=lambda: PriceTable({}),
            switches=tuple,
            ledger=lambda: self.ledger,
            broker=lambda _tool: _Broker(),
            clock=lambda: NOW,
            lease_id=lambda: f"L{next(ids)}",
            process=this_process(),
            peer="uid 1000",
        )

    def start(self, vended: Sequence[Vended]) -> None:
        """Note what was vended for a command."""
        self.started.append([one.lease.id for one in vended])

    def happened(self) -> list[tuple[str, str]]:
        """Return event and lease of each record."""
        found = [json.loads(row.record) for row in self.ledger.records()]
        return [(one["event"], one.get("lease", "")) for one in found]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return fresh parts."""
    return World(tmp_path)


def test_each_tool_goes_the_whole_way_and_the_command_starts_once(world: World) -> None:
    """Two tools at once: every step holds for each."""
    exec_.through(world.parts, [asked(one) for one in PROVIDERS[:2]], world.start)
    assert world.started == [["L1", "L2"]]
    assert world.happened() == [
        *(("vend.intent", "L1"), ("vend.issued", "L1")),
        *(("vend.intent", "L2"), ("vend.issued", "L2")),
    ]


def test_where_one_is_refused_nothing_starts_and_the_others_are_undelivered(world: World) -> None:
    """A failure of the second leaves the first lease undelivered."""
    with pytest.raises(PermissionDeniedError):
        exec_.through(world.parts, [asked(one) for one in PROVIDERS], world.start)
    assert world.started == []
    assert [world.ledger.lease_state(one) for one in ("L1", "L2")] == ["undelivered"] * 2
    assert [event for event, _ in world.happened()][-3:] == [
        *("vend.denied", "vend.failed", "vend.failed")
    ]


def test_a_credential_that_expired_while_the_next_was_minted(world: World) -> None:
    """SIGSTOP in between: every credential is judged once more before the command starts."""
    now = [NOW]

    class _Slow(_Broker):
        def vend_credential(
            self, principal: Principal, tool_request: ToolRequest
        ) -> ProviderCredential:
            made = super().vend_credential(principal, tool_request)
            if tool_request.provider is PROVIDERS[0]:
                return replace(made, expires_at=NOW + timedelta(seconds=30))
            now[0] += timedelta(seconds=31)
            return made

    parts = replace(world.parts, clock=lambda: now[0], broker=lambda _tool: _Slow())
    with pytest.raises(UndeliveredError, match="expired before it could be handed over"):
        exec_.through(parts, [asked(one) for one in PROVIDERS[:2]], world.start)
    assert world.started == []
    assert [world.ledger.lease_state(one) for one in ("L1", "L2")] == ["undelivered"] * 2


@pytest.mark.parametrize("failure", [CommandMissingError("x"), Stopped(15)])
def test_a_command_that_does_not_start_leaves_all_undelivered(
    world: World, failure: BaseException
) -> None:
    """A command that cannot be started leaves all undelivered, as a signal before it does."""

    def start(_vended: Sequence[Vended]) -> None:
        raise failure

    with pytest.raises(type(failure)):
        exec_.through(world.parts, [asked(one) for one in PROVIDERS[:2]], start)
    assert [world.ledger.lease_state(one) for one in ("L1", "L2")] == ["undelivered"] * 2


@pytest.mark.parametrize("second", ["aws", "again"])
def test_two_tools_of_one_provider_are_refused(second: str) -> None:
    """Two tools of one provider that set the same variables: exit 2, naming both."""
    with pytest.raises(UsageError, match=f"aws and {second} set the same variables") as caught:
        exec_.check(
            [asked(ProviderType.AWS), asked(ProviderType.OPENAI), asked(ProviderType.AWS, second)]
        )
    assert caught.value.exit_code == 2
    exec_.check([asked(one) for one in PROVIDERS])


def test_every_lease_is_settled_once(world: World) -> None:
    """At the end it settles the leases, also one that is over already."""
    vended: list[Vended] = []
    exec_.through(world.parts, [asked(one) for one in PROVIDERS[:2]], vended.extend)
    for _ in range(2):
        exec_.settle_all(world.parts, vended, as_json=False)
    assert [world.ledger.lease_state(one) for one in ("L1", "L2")] == ["settled"] * 2
    assert world.happened()[-2:] == [("lease.settled", "L1"), ("lease.settled", "L2")]


def test_what_dies_alone_ends_with_the_command(world: World) -> None:
    """It revokes what dies alone (an OpenAI key), nothing that others hold too."""

    class _Ends(_Broker):
        def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
            assert credential is not None
            return super().revoke(lease) if lease.id == "L1" else Revocation("revoked")

    vended: list[Vended] = []
    parts = replace(world.parts, broker=lambda _tool: _Ends())
    exec_.through(parts, [asked(one) for one in PROVIDERS[:2]], vended.extend)
    exec_.settle_all(parts, vended, as_json=False)
    ended = [("lease.settled", "L1"), ("lease.settled", "L2"), ("lease.revoked", "L2")]
    assert world.happened()[-3:] == ended
    (session,) = world.ledger.leases(NOW)  # an AWS session lives on
    assert session.id == "L1"


def test_a_ledger_that_fails_at_the_end_is_said_for_each(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ledger that cannot be written at the end is said on standard error."""
    vended: list[Vended] = []
    exec_.through(world.parts, [asked(one) for one in PROVIDERS[:2]], vended.extend)

    class _Full:
        def lease(self, lease_id: str) -> Any:
            return world.ledger.lease(lease_id)

        def settle(self, lease_id: str, record: Any) -> bool:
            del record
            raise StateError(f"no room for {lease_id}")

    parts = replace(world.parts, ledger=_Full)  # type: ignore[arg-type] # as much of one as is used
    exec_.settle_all(parts, vended, as_json=False)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(". ")[0] for line in said] == [
        f"agentauth: state: no room for {one}" for one in ("L1", "L2")
    ]
    exec_.settle_all(parts, vended[:1], as_json=True)
    assert json.loads(capsys.readouterr().err)["error"]["code"] == 9


def test_without_a_temporary_folder_nothing_is_vended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be made is exit 9, and nothing was vended."""
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    with (
        pytest.raises(StateError, match="no temporary folder can be made: "),
        exec_._empty_folder(),
    ):
        pass
