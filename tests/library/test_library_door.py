"""`AgentAuth`: the whole way in one call, by many threads, behind a fork, from asyncio."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli import (
    AgentAuth,
    AuthenticationError,
    BudgetExceededError,
    Decision,
    Money,
    PermissionDeniedError,
    Principal,
    ProviderCredential,
    ProviderType,
    StateError,
    ToolDisabledError,
    ToolRequest,
    UsageError,
)
from agentauth_cli.errors import (
    ConfigError,
    NotConfiguredError,
    ProviderUnreachableError,
    UnknownNameError,
)
from agentauth_cli.inbound import apikey
from agentauth_cli.ledger.chain import verify
from agentauth_cli.ledger.recount import differences, recount
from agentauth_cli.model import Charged
from agentauth_cli.testing import FakeBroker, FakeClock
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli import Secret

ISSUER = "https://issuer.example"
WHO = Principal("okta/alice", "alice", kind="agent")
RULE = 'version = 1\n[[rule]]\nid = "one"\neffect = "allow"\nprincipals = ["okta/*"]\n'
TEN = 'version = 1\n[[budget]]\nid = "ten"\nper = ["principal"]\nlimits.day = { requests = 10 }\n'


@pytest.fixture
def on_disk(agentauth_folder: Path, tmp_path: Path) -> AgentAuth:
    """Return a door to the same configuration, with a ledger in a file and a clock that goes."""
    environ = {
        "AGENTAUTH_CONFIG_DIR": str(agentauth_folder),
        "AGENTAUTH_STATE_DIR": str(tmp_path / "state"),
        "AGENTAUTH_DATA_DIR": str(tmp_path / "data"),
    }
    broker = FakeBroker()
    return AgentAuth(environ=lambda: environ, brokers=lambda _provider, _environment: broker)


def events(auth: AgentAuth) -> list[dict[str, Any]]:
    """Return all records; chain and counters have to hold."""
    with auth.wiring() as wiring:
        ledger = wiring.ledger
        rows = list(ledger.records())
        assert verify(rows) is None
        sums = (ledger.counters(), ledger.arrivals(), ledger.usages())
        assert differences(recount(rows), *sums) == []
        return [json.loads(row.record) for row in rows]


def state(auth: AgentAuth, credential: ProviderCredential) -> str:
    """Return how its lease stands."""
    with auth.wiring() as wiring:
        return wiring.ledger.lease_state(credential.lease)


# -- authenticate ------------------------------------------------------------------------------


@pytest.fixture
def believing(agentauth: AgentAuth, agentauth_folder: Path) -> AgentAuth:
    """Return a door that believes an issuer."""
    config = agentauth_folder / "config.toml"
    config.write_text(
        config.read_text() + f'[inbound.issuers.okta]\nissuer = "{ISSUER}"\n'
        'audience = "agentauth"\njwks_file = "keys.json"\n'
    )
    keys = agentauth_folder / "keys.json"
    keys.write_text(json.dumps({"keys": [signer("ES256").jwk()]}))
    keys.chmod(0o600)
    return agentauth


def token(clock: FakeClock, **others: object) -> str:
    """Return a token of alice's."""
    ends = int(clock().timestamp()) + 600
    claims = {"iss": ISSUER, "aud": "agentauth", "sub": "alice", "exp": ends, **others}
    return signer("ES256").token(claims)


def test_who_presents_a_token(believing: AgentAuth, agentauth_clock: FakeClock) -> None:
    """An Authorization header, or the bare token; the ledger has then seen the principal, once."""
    shown = token(agentauth_clock)
    for presented in (f"Bearer {shown}", f"bearer {shown}", shown):
        assert believing.authenticate(presented).id == "okta/alice"
    (record,) = events(believing)
    assert (record["event"], record["principal"]) == ("login", "okta/alice")
    believing.rate_limiter.check("alice", "1/day")


@pytest.mark.parametrize(
    ("presented", "reason"),
    [
        (None, "no_identity"),
        ("", "no_identity"),
        ("Basic eDp5", "presented_form"),
        ("Bearer x.y.z", "token_encoding"),
        ("aak_x", "api_key_form"),
        (b"Bearer x", "presented_form"),
    ],
)
def test_who_presents_something_else(believing: AgentAuth, presented: Any, reason: str) -> None:
    """Anything less is an AuthenticationError with a reason, and one record a minute."""
    for _ in range(3):
        with pytest.raises(AuthenticationError) as caught:
            believing.authenticate(presented)
        assert caught.value.reason == reason
    (record,) = events(believing)
    assert record["event"] == "login.failed"
    assert record["reason"].startswith(f"{reason}: ")


def an_api_key(folder: Path) -> Secret:
    """Write apikeys.toml with one new key of build-7; return it."""
    key = apikey.make(secrets.choice)
    known = apikey.parse(key)
    file = folder / "apikeys.toml"
    file.write_text(
        f'version = 1\n[[key]]\nid = "{known.id}"\nname = "build-7"\nkind = "agent"\n'
        f'hash = "{known.hash}"\ncreated = 2026-11-23T00:00:00Z\nexpires = 2027-01-01T00:00:00Z\n'
    )
    file.chmod(0o600)
    return key


def test_who_presents_an_api_key(believing: AgentAuth, agentauth_folder: Path) -> None:
    """A key of ours stands for ``key/NAME``."""
    key = an_api_key(agentauth_folder)
    file = agentauth_folder / "apikeys.toml"
    for presented in (key.reveal(), f"Bearer {key.reveal()}"):
        assert believing.authenticate(presented).id == "key/build-7"
    file.unlink()
    with pytest.raises(AuthenticationError) as caught:
        believing.authenticate(key.reveal())
    assert caught.value.reason == "api_key_refused"


# -- vend --------------------------------------------------------------------------------------


def test_the_whole_way_in_one_call(agentauth: AgentAuth, agentauth_broker: FakeBroker) -> None:
    """`vend(principal, "s3_upload")` is the whole way: decided, minted, recorded."""
    credential = agentauth.vend(
        WHO, "s3_upload", resource="s3://test/a/*", duration=900, reason="a test"
    )
    assert credential.provider is ProviderType.AWS
    assert credential.credentials["aws_access_key_id"].startswith("fake-")
    ((who, asked),) = agentauth_broker.requests
    assert who == WHO
    assert asked.max_duration == 900
    assert [grant.resource for grant in asked.grants] == ["arn:aws:s3:::test/a/*"]
    intent, issued = events(agentauth)
    assert (intent["event"], issued["event"]) == ("vend.intent", "vend.issued")
    assert issued["lease"] == credential.lease
    assert issued["principal"] == "okta/alice"
    assert issued["user_reason"] == "a test"
    assert state(agentauth, credential) == "active"


def test_in_any_environment(agentauth: AgentAuth) -> None:
    """Else the default one; an unknown one is named with those that there are."""
    assert agentauth.vend(WHO, "s3_upload", environment="test").lease
    with pytest.raises(UnknownNameError, match="'prod'") as caught:
        agentauth.vend(WHO, "s3_upload", environment="prod")
    assert caught.value.hint == "Known: test"
    with pytest.raises(UnknownNameError, match="s3_upload"):
        agentauth.vend(WHO, "s3_uplaod")


@pytest.mark.parametrize(
    "asking",
    [
        {"duration": 0},
        {"estimate_tokens": -1},
        {"estimate_tokens": 10**15 + 1},
        {"estimate_cost": "1000000000.0000001"},
        {"estimate_tokens": 1.5},
        {"estimate_cost": float("nan")},
        {"estimate_cost": -1},
        {"estimate_cost": "much"},
        {"estimate_cost": "1e-999999999"},
        {"duration": 900.5},
        {"duration": True},
        {"duration": "1h"},
        {"duration": float("nan")},
        {"reason": object()},
        {"reason": "x" * 4097},
        {"resource": 7},
        {"resource": "x" * 3_000_000},
        {"model": "m" * 5_000_000},
        {"environment": ["test"]},
        {"model": ""},
        {"model": "gpt 4o"},
    ],
)
def test_what_cannot_be_asked(agentauth: AgentAuth, asking: dict[str, Any]) -> None:
    """Bad input is a UsageError before anything is done."""
    with pytest.raises(UsageError):
        agentauth.vend(WHO, "s3_upload", **asking)
    assert events(agentauth) == []


def test_a_slip_does_not_widen(agentauth: AgentAuth) -> None:
    """What narrows must not be lost: a name that there is not is a TypeError."""
    for call in (agentauth.vend, agentauth.check):
        with pytest.raises(TypeError, match="unexpected keyword argument 'resorce'"):
            call(WHO, "s3_upload", resorce="s3://test/a")  # type: ignore[call-arg] # the slip
    assert events(agentauth) == []


def test_a_principal_of_a_revoked_key(believing: AgentAuth, agentauth_folder: Path) -> None:
    """A service that keeps the principal of an API key gets nothing once the key is revoked."""
    key = an_api_key(agentauth_folder)
    who = believing.authenticate(key.reveal())
    believing.vend(who, "s3_upload")
    with believing.wiring() as wiring:
        known = apikey.parse(key)
        wiring.ledger.revoke_api_key(known.id, {"event": "apikey.revoked"})
    with pytest.raises(AuthenticationError) as caught:
        believing.vend(who, "s3_upload")
    assert caught.value.reason == "api_key_revoked"
    an_api_key(agentauth_folder)
    believing.vend(who, "s3_upload")
    (agentauth_folder / "apikeys.toml").unlink()
    with pytest.raises(AuthenticationError, match="no API key of the name build-7"):
        believing.vend(who, "s3_upload")


def test_a_principal_of_an_expired_key(
    believing: AgentAuth, agentauth_folder: Path, agentauth_clock: FakeClock
) -> None:
    """The leeway is for the clocks of issuers: a key of ours ends when it ends."""
    who = believing.authenticate(an_api_key(agentauth_folder).reveal())
    assert who.expires_at is not None
    agentauth_clock.now = who.expires_at
    with pytest.raises(AuthenticationError) as caught:
        believing.vend(who, "s3_upload")
    assert caught.value.reason == "expired"


def test_refused_by_the_policy(agentauth: AgentAuth, agentauth_folder: Path) -> None:
    """PermissionDeniedError, with the decision; nothing is minted."""
    (agentauth_folder / "policy.toml").write_text(RULE)
    with pytest.raises(PermissionDeniedError) as caught:
        agentauth.vend(Principal("os/bob", "bob"), "s3_upload")
    assert caught.value.decision is not None
    assert caught.value.decision.decision is Decision.DENY
    assert [one["event"] for one in events(agentauth)] == ["vend.denied"]


def test_an_edit_counts_at_once(agentauth: AgentAuth, agentauth_folder: Path) -> None:
    """Switches and policy are in force for the next request of every process."""
    agentauth.vend(WHO, "s3_upload")
    switches = agentauth_folder / "killswitch.toml"
    switches.write_text('version = 1\n[[switch]]\ntarget = "tool"\nname = "s3_upload"\n')
    switches.chmod(0o600)
    with pytest.raises(ToolDisabledError):
        agentauth.vend(WHO, "s3_upload")
    with pytest.raises(ToolDisabledError):
        agentauth.check(WHO, "s3_upload")
    switches.unlink()
    agentauth.vend(WHO, "s3_upload")
    (agentauth_folder / "policy.toml").write_text("version = 1\n")
    assert agentauth.check(WHO, "s3_upload").decision is Decision.DENY
    (agentauth_folder / "config.toml").write_text("version = 2\n")
    with pytest.raises(ConfigError):
        agentauth.vend(WHO, "s3_upload")


def test_a_mint_that_fails(agentauth: AgentAuth, agentauth_broker: FakeBroker) -> None:
    """What the broker raises is raised, and what was reserved is given back."""
    agentauth_broker.set_error(ProviderUnreachableError("away"))
    with pytest.raises(ProviderUnreachableError):
        agentauth.vend(WHO, "s3_upload")
    assert [one["event"] for one in events(agentauth)] == ["vend.intent", "vend.failed"]


def test_a_principal_that_has_expired(agentauth: AgentAuth, agentauth_clock: FakeClock) -> None:
    """A service that keeps a principal longer than what vouched for it gets nothing for it."""
    ends = agentauth_clock() + timedelta(seconds=60)
    who = replace(WHO, expires_at=ends)
    agentauth.vend(who, "s3_upload")
    agentauth_clock.advance(seconds=89)
    agentauth.vend(who, "s3_upload")
    agentauth_clock.advance(seconds=1)
    with pytest.raises(AuthenticationError) as caught:
        agentauth.vend(who, "s3_upload")
    assert caught.value.reason == "expired"


# -- check -------------------------------------------------------------------------------------


def test_check_answers(agentauth: AgentAuth, agentauth_folder: Path) -> None:
    """The decision, with what would hold; nothing is reserved or minted."""
    (agentauth_folder / "policy.toml").write_text(
        RULE + 'obligations = { max_tokens = 10, max_cost = "0.50", rate_limit = "1/day" }\n'
    )
    found = agentauth.check(WHO, "openai_chat", estimate_tokens=5, estimate_cost=0.02)
    assert found.decision is Decision.ALLOW
    assert (found.max_tokens, found.max_cost) == (10, Money("0.5"))
    assert str(found.rate_limit[0].value) == "1/day"
    assert [one["event"] for one in events(agentauth)] == ["check"]


def test_a_refusal_is_an_answer(agentauth: AgentAuth, agentauth_folder: Path) -> None:
    """Denied by a rule, by the want of one, or by an obligation: an answer, not an exception."""
    (agentauth_folder / "policy.toml").write_text(
        RULE + "obligations = { require_reason = true }\n"
    )
    stranger = agentauth.check(Principal("os/bob", "bob"), "s3_upload")
    assert (stranger.decision, stranger.reason) == (Decision.DENY, "no rule allows this")
    assert stranger.nearest is not None
    assert stranger.nearest.rule == "one"
    silent = agentauth.check(WHO, "s3_upload")
    assert (silent.decision, silent.reason) == (Decision.DENY, "rule one requires a reason")
    assert agentauth.check(WHO, "s3_upload", reason="a test").decision is Decision.ALLOW


def test_over_a_budget(agentauth: AgentAuth, agentauth_folder: Path) -> None:
    """A ledger in memory counts over all calls of one door."""
    budgets = agentauth_folder / "budgets.toml"
    budgets.write_text(TEN)
    budgets.chmod(0o600)
    for _ in range(10):
        agentauth.vend(WHO, "s3_upload")
    for call in (agentauth.vend, agentauth.check):
        with pytest.raises(BudgetExceededError) as caught:
            call(WHO, "s3_upload")
        assert caught.value.retry_after is not None


# -- leases ------------------------------------------------------------------------------------


def test_a_lease_for_as_long_as_the_block(agentauth: AgentAuth) -> None:
    """`with auth.lease(...) as cred:` settles at the end, also when the block fails."""
    with agentauth.lease(WHO, "s3_upload") as credential:
        assert state(agentauth, credential) == "active"
    assert state(agentauth, credential) == "settled"
    with (
        pytest.raises(ZeroDivisionError),
        agentauth.lease(WHO, "s3_upload", resource="s3://test/x") as other,
    ):
        raise ZeroDivisionError
    assert state(agentauth, other) == "settled"
    settled = [one for one in events(agentauth) if one["event"] == "lease.settled"]
    assert [one["lease"] for one in settled] == [credential.lease, other.lease]
    assert settled[0]["tool"] == "s3_upload"


def test_settled_once(agentauth: AgentAuth) -> None:
    """Settling twice counts once; what a broker minted by hand has no lease."""
    credential = agentauth.vend(WHO, "s3_upload")
    assert agentauth.settle(credential) is True
    assert agentauth.settle(credential) is False
    request = ToolRequest("x", ProviderType.AWS, "s3:GetObject", "arn:aws:s3:::b/x")
    by_hand = agentauth.broker("aws").vend_credential(WHO, request)
    assert agentauth.settle(by_hand) is False


def test_what_its_use_took(agentauth: AgentAuth) -> None:
    """More than was reserved counts, less changes nothing."""
    credential = agentauth.vend(WHO, "openai_chat", estimate_tokens=100, estimate_cost="0.10")
    agentauth.record_usage(credential, tokens=50, cost=0.3)
    with agentauth.wiring() as wiring:
        charged = wiring.ledger.charged(credential.lease)
    assert charged == Charged(100, "declared", 300_000, "declared")
    with pytest.raises(UsageError):
        agentauth.record_usage(credential, cost=-1)
    with pytest.raises(StateError, match="never issued"):
        agentauth.record_usage(replace(credential, lease="L0"), tokens=1)


# -- asyncio -----------------------------------------------------------------------------------


def test_from_asyncio(agentauth: AgentAuth) -> None:
    """`await avend`: many at once, each with a credential of its own."""

    async def several() -> list[ProviderCredential]:
        return await asyncio.gather(*(agentauth.avend(WHO, "s3_upload") for _ in range(8)))

    assert len({one.lease for one in asyncio.run(several())}) == 8


def test_cancelled(agentauth: AgentAuth, agentauth_broker: FakeBroker) -> None:
    """What nobody waits for any more is not handed over: the lease says ``undelivered``."""
    minting, go_on = threading.Event(), threading.Event()
    made_up = agentauth_broker.vend_credential

    def slow(principal: Principal, tool_request: ToolRequest) -> ProviderCredential:
        minting.set()
        assert go_on.wait(30)
        return made_up(principal, tool_request)

    agentauth_broker.vend_credential = slow  # type: ignore[method-assign]

    async def give_up() -> None:
        task = asyncio.create_task(agentauth.avend(WHO, "s3_upload"))
        await asyncio.to_thread(minting.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(give_up())  # waits for the thread, as every event loop does at its end
    failed = events(agentauth)[-1]
    assert failed["event"] == "vend.failed"
    assert failed["reason"] == "undelivered: nobody waits for it any more"
    assert failed["tool"] == "s3_upload"


def test_cancelled_at_any_moment(agentauth: AgentAuth) -> None:
    """Either the caller has the credential, or the lease says that nobody has."""
    moments = random.Random(1)  # noqa: S311 - any moments will do, the same ones each time
    had: list[str] = []

    async def one() -> None:
        had.append((await agentauth.avend(WHO, "s3_upload")).lease)

    async def many() -> None:
        tasks = [asyncio.create_task(one()) for _ in range(40)]
        for task in tasks:
            await asyncio.sleep(moments.uniform(0, 0.01))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(many())
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    issued = [record["lease"] for record in events(agentauth) if record["event"] == "vend.issued"]
    with agentauth.wiring() as wiring:
        states = {lease: wiring.ledger.lease_state(lease) for lease in issued}
    assert {lease for lease, how in states.items() if how == "active"} == set(had)
    assert {how for lease, how in states.items() if lease not in had} <= {"undelivered"}


# -- threads, processes ------------------------------------------------------------------------


def test_threads(on_disk: AgentAuth, agentauth_folder: Path) -> None:
    """Thread-safe: 32 threads on a budget of ten get ten."""
    (agentauth_folder / "budgets.toml").write_text(TEN)
    (agentauth_folder / "budgets.toml").chmod(0o600)

    def one(_: int) -> str:
        try:
            return on_disk.vend(WHO, "s3_upload").lease
        except BudgetExceededError:
            return ""

    with ThreadPoolExecutor(32) as pool:
        leases = list(pool.map(one, range(32)))
    assert len({lease for lease in leases if lease}) == 10
    assert leases.count("") == 22
    issued = [record for record in events(on_disk) if record["event"] == "vend.issued"]
    assert len(issued) == 10


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_behind_a_fork(on_disk: AgentAuth) -> None:
    """Process forked mid-vend: no shared SQLite handle, no duplicate lease."""
    first = on_disk.vend(WHO, "s3_upload")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with on_disk.lease(WHO, "s3_upload"):
                    code = 0
            finally:
                os._exit(code)
        children.append(child)
    last = on_disk.vend(WHO, "s3_upload")
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * 4
    issued = [one["lease"] for one in events(on_disk) if one["event"] == "vend.issued"]
    assert len(set(issued)) == 6
    assert {first.lease, last.lease} < set(issued)


def test_nothing_stays_open(on_disk: AgentAuth) -> None:
    """A call that is over holds no descriptor."""
    on_disk.vend(WHO, "s3_upload")
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        on_disk.vend(WHO, "s3_upload")
    assert len(list(Path("/dev/fd").iterdir())) == before


# -- the door itself ---------------------------------------------------------------------------


@contextmanager
def variables(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    """Let the environment lead to folders of this test."""
    with monkeypatch.context() as patch:
        for name in ("CONFIG", "STATE", "DATA"):
            patch.setenv(f"AGENTAUTH_{name}_DIR", str(folder / name.lower()))
        yield


def test_the_configuration_in_force(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, agentauth_folder: Path
) -> None:
    """`from_config()` is the configuration in force; none is an error at once."""
    with variables(monkeypatch, tmp_path):
        with pytest.raises(NotConfiguredError):
            AgentAuth.from_config()
        auth = AgentAuth.from_config(agentauth_folder)
        assert auth.check(WHO, "s3_upload").decision is Decision.ALLOW
        monkeypatch.setenv("AGENTAUTH_CONFIG_DIR", str(agentauth_folder))
        assert AgentAuth.from_config().check(WHO, "s3_upload").decision is Decision.ALLOW


def test_a_clock_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, agentauth_folder: Path
) -> None:
    """A clock is a callable that returns an aware datetime; a naive one is refused."""
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    with variables(monkeypatch, tmp_path):
        auth = AgentAuth.from_config(agentauth_folder, clock=lambda: noon)
        auth.check(WHO, "s3_upload")
        assert events(auth)[0]["at"] == "2030-01-01T12:00:00.000000Z"
        naive = AgentAuth.from_config(agentauth_folder, clock=lambda: noon.replace(tzinfo=None))
        with pytest.raises(ValueError, match="aware"):
            naive.check(WHO, "s3_upload")
