"""`lease show` and `lease revoke`, lease by lease as it stands."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.cli import lease_revoke, lease_show
from agentauth_cli.cli.leases import say_living
from agentauth_cli.cli.login import leave
from agentauth_cli.errors import ConfigError, ProviderRefusedError, UnknownNameError
from agentauth_cli.model import ProviderType, Revocation
from agentauth_cli.testing import FakeBroker
from agentauth_cli.wiring import Wiring
from support.clock import FakeClock
from support.ledgers import charge, lease, rate, reserve, sound, states

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.model import Lease, ProviderCredential
    from agentauth_cli.ports import Revoker

ENDS = "2026-11-23T10:15:00Z"


class Broker(FakeBroker):
    """A broker that answers a revocation as it is told."""

    answer: Any = "cannot be revoked alone"

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        """Answer; what is not at hand any more is not expected to be."""
        super().revoke(lease)
        assert credential is None
        if isinstance(self.answer, Exception):
            raise self.answer
        return Revocation(self.answer)


@pytest.fixture
def broker() -> Broker:
    """Return the broker of every provider."""
    return Broker()


@pytest.fixture
def wiring(tmp_path: Path, broker: Broker) -> Wiring:
    """Return the parts of an empty configuration."""
    folders = {f"AGENTAUTH_{one}_DIR": str(tmp_path / one) for one in ("CONFIG", "STATE", "DATA")}
    return Wiring(folders, FakeClock(), brokers=lambda _provider, _environment: broker)


@pytest.mark.parametrize("state", ["active", "undelivered", "settled"])
def test_what_dies_alone_is_over(
    wiring: Wiring, broker: Broker, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`revoked`: the lease is settled, and ends now."""
    broker.answer = "revoked"
    issue(wiring, "L1", provider="openai")
    if state == "undelivered":
        wiring.ledger.undelivered("L1", {"event": "vend.failed", "lease": "L1"})
    if state == "settled":
        wiring.ledger.settle("L1", {"event": "lease.settled", "lease": "L1"})
    assert revoke(wiring, "L1") == 0
    assert capsys.readouterr().out == "L1: revoked\n"
    assert wiring.ledger.leases(wiring.clock()) == []
    assert broker.revoked == ["L1"]
    assert revoke(wiring, "L1") == 0
    assert capsys.readouterr().out == "L1: over already: settled\n"
    assert broker.revoked == ["L1"]


def issue(wiring: Wiring, name: str, **fields: Any) -> None:
    """Reserve and issue a lease of a quarter of an hour."""
    reserve(wiring.ledger, name, charge(3, 99), rate(9), **fields)
    active = replace(lease(name, wiring.clock(), 900, **fields), state="active")
    wiring.ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _: None)


def revoke(wiring: Wiring, *names: str, with_others: bool = False) -> int:
    """Revoke leases; the ledger stays sound."""
    code = lease_revoke.work(wiring, names, "leak", with_others=with_others, as_json=False)
    assert sound(wiring.ledger)
    return code


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("cannot be revoked alone", "cannot be revoked alone"),
        ("requested", "requested"),
        ("unconfirmed", "unconfirmed"),
        (ProviderRefusedError("not yours"), "failed: not yours"),
        (ConfigError("no such environment"), "failed: no such environment"),
    ],
)
@pytest.mark.parametrize("state", ["active", "undelivered", "settled"])
def test_what_cannot_be_revoked_stays_listed(
    wiring: Wiring,
    broker: Broker,
    answer: Any,
    outcome: str,
    state: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`cannot be revoked alone, ends at T`, or `failed: WHY` (and the lease stays listed)."""
    broker.answer = answer
    issue(wiring, "L1", provider="aws")
    if state == "undelivered":
        wiring.ledger.undelivered("L1", {"event": "vend.failed", "lease": "L1"})
    if state == "settled":
        wiring.ledger.settle("L1", {"event": "lease.settled", "lease": "L1"})
    assert revoke(wiring, "L1") == 1
    assert capsys.readouterr().out == f"L1: {outcome}, ends at {ENDS}\n"
    assert [one.state for one in wiring.ledger.leases(wiring.clock())] == [state]
    newest = json.loads(list(wiring.ledger.records())[-1].record)
    said = {key: newest[key] for key in ("event", "lease", "outcome", "user_reason", "principal")}
    assert said == {
        "event": "lease.revoked",
        "lease": "L1",
        "outcome": outcome,
        "user_reason": "leak",
        "principal": "okta/alice",
    }
    assert newest["by"].startswith(("os/", "uid "))


@pytest.mark.parametrize("process", ["1 2", None])
def test_a_pending_lease_is_released(
    wiring: Wiring, process: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it holds is given back, and it can no longer be issued."""
    named: dict[str, Any] = {} if process is None else {"process": process}
    reserve(wiring.ledger, "L1", charge(3, 99), **named)
    assert revoke(wiring, "L1") == 0
    said = "; a mint that is under way is not delivered"
    if process is not None:
        said = ": nothing was vended for it"
    assert capsys.readouterr().out == f"L1: released{said}\n"
    assert states(wiring.ledger) == {"L1": "released"}
    assert list(wiring.ledger.counters().values()) == [(0, 0)]
    assert json.loads(list(wiring.ledger.records())[-1].record)["event"] == "lease.revoked"


def test_a_lease_that_is_issued_meanwhile_lives_on(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came of it is what the ledger says, not what was hoped for."""
    reserve(wiring.ledger, "L1", charge(3, 99))
    release = wiring.ledger.release

    def late(lease_id: str, record: Any) -> None:
        active = replace(lease("L1", wiring.clock(), 900), state="active")
        wiring.ledger.issue(active, {"event": "vend.issued", "lease": "L1"}, lambda _: None)
        release(lease_id, record)

    monkeypatch.setattr(wiring.ledger, "release", late)
    assert revoke(wiring, "L1") == 1
    assert capsys.readouterr().out == f"L1: cannot be revoked alone, ends at {ENDS}\n"


@pytest.mark.parametrize("state", ["settled", "released", "expired", "undelivered"])
def test_one_that_is_over_says_so(
    wiring: Wiring, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written, and nothing lives on."""
    if state == "released":
        reserve(wiring.ledger, "L1")
        wiring.ledger.release("L1", {"event": "vend.failed", "lease": "L1"})
    else:
        issue(wiring, "L1")
    if state == "settled":
        wiring.ledger.settle("L1", {"event": "lease.settled", "lease": "L1"})
    if state == "undelivered":
        wiring.ledger.undelivered("L1", {"event": "vend.failed", "lease": "L1"})
    assert isinstance(wiring.clock, FakeClock)
    wiring.clock.advance(seconds=900)
    say_living(wiring, "okta/alice")
    before = wiring.ledger.head()
    assert revoke(wiring, "L1") == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (f"L1: over already: {state}\n", "")
    assert wiring.ledger.head() == before


def test_what_lives_on_is_said_whatever_became_of_its_lease(
    wiring: Wiring, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which leases live on, and until when."""
    issue(wiring, "L1")
    issue(wiring, "L2")
    wiring.ledger.settle("L1", {"event": "lease.settled", "lease": "L1"})
    say_living(wiring, "okta/alice")
    lines = [f"lives on: {name} for s3_upload, until {ENDS}" for name in ("L1", "L2")]
    assert capsys.readouterr().err.splitlines() == lines


def test_what_is_no_name_is_unknown(wiring: Wiring) -> None:
    """A name that is not UTF-8: exit 2, not a failure of the ledger."""
    with pytest.raises(UnknownNameError, match=r"there is no lease '\\udcff'"):
        revoke(wiring, "\udcff")


def test_several_each_once_or_none(wiring: Wiring, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a lease; an unknown name is refused before anything is done."""
    issue(wiring, "L1")
    reserve(wiring.ledger, "L2")
    with pytest.raises(UnknownNameError):
        revoke(wiring, "L2", "L3")
    assert states(wiring.ledger)["L2"] == "pending"
    assert lease_revoke.work(wiring, ["L2", "L1", "L2"], None, as_json=True) == 1
    shown = json.loads(capsys.readouterr().out)["leases"]
    assert [(one["lease"], one["lives_on"]) for one in shown] == [("L2", False), ("L1", True)]
    assert shown[1] == {
        "lease": "L1",
        "outcome": "cannot be revoked alone",
        "lives_on": True,
        "ends_at": ENDS,
        "reach": None,
    }


@dataclass(frozen=True)
class Together(Wiring):
    """Parts that can end what only ends with others. `sought` are those that were asked for."""

    sought: list[tuple[str, str]] = field(default_factory=list)

    def revoker_of(self, provider: ProviderType, environment: str) -> Revoker:
        """Return one that ends whatever it is asked to, and says what else."""
        self.sought.append((provider, environment))

        class Ends:
            def revoke(self, lease: Lease, credential: object = None) -> Revocation:
                assert credential is None
                if environment == "gone":
                    raise UnknownNameError(f"there is no tool {lease.tool!r}")
                return Revocation("requested", f"all of {lease.tool}")

        return Ends()


def test_with_others_it_ends_what_ends_only_with_them(
    wiring: Wiring, capsys: pytest.CaptureFixture[str]
) -> None:
    """AWS can only end all sessions of a role: that needs `--with-others`; one line a lease."""
    together = Together(wiring.environ, wiring.clock, brokers=wiring.brokers)
    for name in ("L1", "L2"):
        issue(together, name, provider="aws")
    issue(together, "L3", provider="aws", environment="gone")
    assert revoke(together, "L1", "L2", "L3", with_others=True) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"L1: requested, ends at {ENDS}; all of s3_upload",
        f"L2: requested, ends at {ENDS}; all of s3_upload",
        f"L3: failed: there is no tool 's3_upload', ends at {ENDS}",
    ]
    assert together.sought == [("aws", "dev"), ("aws", "gone")]
    records = [json.loads(one.record) for one in together.ledger.records()]
    reach = [one.get("reach") for one in records if one["event"] == "lease.revoked"]
    assert reach == ["all of s3_upload", "all of s3_upload", None]
    assert lease_revoke.work(together, ["L1"], None, with_others=True, as_json=True) == 1
    (shown,) = json.loads(capsys.readouterr().out)["leases"]
    assert shown["reach"] == "all of s3_upload"


def test_without_it_nothing_of_others_is_touched(wiring: Wiring) -> None:
    """Alone by default."""
    together = Together(wiring.environ, wiring.clock, brokers=wiring.brokers)
    issue(together, "L1", provider="aws")
    assert revoke(together, "L1") == 1
    assert together.sought == []


def test_a_logout_ends_what_dies_alone(
    wiring: Wiring, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """`exec` and `logout` revoke only what dies alone, and say what lives on."""
    broker.answer = "revoked"
    issue(wiring, "L1", provider="openai")
    assert leave(wiring, "default", "okta/alice") == ["L1"]
    assert broker.revoked == ["L1"]
    assert capsys.readouterr().err == ""
    broker.answer = ProviderRefusedError("not yours")
    issue(wiring, "L2", provider="openai")
    assert leave(wiring, "default", "okta/alice") == ["L2"]
    assert capsys.readouterr().err.splitlines() == [
        "L2 was not revoked: not yours",
        f"lives on: L2 for s3_upload, until {ENDS}",
    ]
    broker.answer = "cannot be revoked alone"
    issue(wiring, "L3", provider="aws")
    reserve(wiring.ledger, "L4", charge(3, 99))
    before, _ = wiring.ledger.head()
    assert leave(wiring, "default", "okta/alice") == ["L3"]
    assert broker.revoked == ["L1", "L2", "L2", "L3"]
    newest = [json.loads(one.record) for one in wiring.ledger.records()][before:]
    assert [(one["event"], one.get("lease")) for one in newest] == [
        ("logout", None),
        ("lease.settled", "L3"),
    ]


def test_a_damaged_record_hides_no_other(
    wiring: Wiring, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lease show` names the damage, and shows what is whole."""
    issue(wiring, "L1")
    wiring.ledger.append({"event": "check", "lease": "L1"})
    wiring.ledger.append({"event": "app.record", "note": "L1"})
    with contextlib.closing(sqlite3.connect(wiring.ledger.path)) as db:
        db.execute('UPDATE records SET record = \'{"lease": "L1"}\' WHERE seq = 2')
        db.commit()
    lease_show.work(wiring, "L1", as_json=True)
    shown = capsys.readouterr()
    assert shown.err == "record 2 is damaged: see `agentauth audit verify`\n"
    found = json.loads(shown.out)
    assert [one["event"] for one in found["records"]] == ["vend.intent", "check"]
    assert found["usage"]["tokens"] == {"amount": 3, "mark": "allowance"}


def test_a_released_lease_is_charged_nothing(
    wiring: Wiring, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is left of what it held."""
    reserve(wiring.ledger, "L1", charge(3, 99))
    wiring.ledger.release("L1", {"event": "vend.failed", "lease": "L1", "reason": "no"})
    lease_show.work(wiring, "L1", as_json=False)
    out = capsys.readouterr().out
    assert "state         released\n" in out
    assert "usage" not in out
    assert out.splitlines()[-1].endswith("failed L1 because no")
