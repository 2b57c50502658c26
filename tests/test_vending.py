"""The eight steps: what each failure leaves behind, and that nothing goes around one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.errors import (
    AgentAuthError,
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    PermissionDeniedError,
    PrincipalBlockedError,
    ProviderRefusedError,
    RateLimitExceededError,
    RevokedError,
    StateError,
    Stopped,
    SwitchFileError,
    ToolDisabledError,
    TooManyTokensError,
    UndeliveredError,
)
from agentauth_cli.ledger import opening
from agentauth_cli.ledger.chain import verify
from agentauth_cli.ledger.process import this_process
from agentauth_cli.ledger.recount import differences, recount
from agentauth_cli.model import (
    NOT_ALONE,
    Preview,
    Principal,
    ProviderCredential,
    ProviderType,
    Revocation,
    ToolRequest,
)
from agentauth_cli.policy import budgets, rules
from agentauth_cli.policy.charges import Stated
from agentauth_cli.policy.narrow import Allowance, Tool, ToolGrant
from agentauth_cli.policy.pattern import template
from agentauth_cli.policy.prices import PriceTable
from agentauth_cli.policy.switches import Switch
from agentauth_cli.secret import SecretMapping
from agentauth_cli.vending import TIME_TO_LIVE, Asked, Parts, Vended, check, identify, preview, vend

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agentauth_cli.ledger.sqlite import SQLiteLedger
    from agentauth_cli.model import Lease
    from agentauth_cli.policy.budgets import Budget
    from agentauth_cli.policy.packed import Policy

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
SECRET = "made-up-secret-of-the-credential"
WHO = Principal("corp/alice", "alice", expires_at=START + timedelta(hours=8))
RESOURCE = "arn:aws:s3:::b/${principal.name}/*"
TOOL = Tool(
    "s3_upload",
    "dev",
    ProviderType.AWS,
    (
        ToolGrant(
            ("aws.s3.put",), ("s3:PutObject",), template("arn:aws:s3:::b/${principal.name}/*")
        ),
    ),
    duration=3600,
    role="arn:aws:iam::111111111111:role/s3_upload",
)
RULE = """
[[rule]]
id = "{id}"
effect = "{effect}"
principals = ["corp/*"]
{more}
"""


def policy(*texts: str) -> Policy:
    """Return the policy of these rules."""
    content = "version = 1\n" + "".join(texts)
    loaded, problems = rules.load([("policy.toml", content.encode())])
    assert loaded, problems
    return loaded


def rule(name: str = "one", effect: str = "allow", more: str = "") -> str:
    """Return the text of a rule."""
    return RULE.format(id=name, effect=effect, more=more)


def budget(limits: str) -> tuple[Budget, ...]:
    """Return one budget of these limits, counted by principal."""
    text = f'version = 1\n[[budget]]\nid = "b"\nper = ["principal"]\n{limits}\n'
    loaded, problems = budgets.load(text.encode(), ())
    assert not problems
    return loaded


@dataclass
class Broker:
    """A broker that remembers what it was asked, and does what it is told."""

    act: Callable[[], None] = lambda: None
    lives: timedelta = timedelta(hours=1)
    asked: list[ToolRequest] = field(default_factory=list)
    clock: Callable[[], datetime] = lambda: START
    takes_back: Callable[[], Revocation] = lambda: Revocation(NOT_ALONE)
    ended: list[tuple[str, ProviderCredential | None]] = field(default_factory=list)
    min_duration: int = 900
    max_duration: int = 43_200

    def vend_credential(
        self, principal: Principal, tool_request: ToolRequest
    ) -> ProviderCredential:
        """Return a credential, after acting."""
        del principal
        self.asked.append(tool_request)
        self.act()
        values = SecretMapping({"aws_secret_access_key": SECRET})
        ends = self.clock() + self.lives
        return ProviderCredential(ProviderType.AWS, "made_up", values, ends, "public-id", "{}")

    def preview(self, principal: Principal, tool_request: ToolRequest) -> Preview:
        """Return what would be asked: the request itself."""
        parameters = {"principal": principal, "request": tool_request}
        return Preview("Mint", "https://sts.example", parameters, "made_up")

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        """Do as `takes_back` says; keep what it was asked to end."""
        self.ended.append((lease.id, credential))
        return self.takes_back()


class World:
    """The parts of one process, each of which a test can replace, and what they left behind."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        place = opening.Place(folder / "config", folder / "state", folder / "data", {}, print)
        self.place = place
        self.ledger = opening.open_ledger(place, lambda: self.now)
        self.broker = Broker(clock=lambda: self.now)
        self.delivered: list[Vended] = []
        ids = count(1)
        self.parts = Parts(
            authenticate=lambda: WHO,
            policy=lambda: policy(rule()),
            budgets=tuple,
            prices=lambda: PriceTable({}),
            switches=tuple,
            ledger=lambda: self.ledger,
            broker=lambda _tool: self.broker,
            clock=lambda: self.now,
            lease_id=lambda: f"L{next(ids)}",
            process=this_process(),
            peer="uid 1000",
        )

    def change(self, **parts: Any) -> None:
        """Replace some parts."""
        self.parts = replace(self.parts, **parts)

    def vend(self, asked: Asked | None = None) -> Vended:
        """Go the whole way."""
        return vend(self.parts, asked or Asked(TOOL), self.delivered.append)

    def refused(self, error: type[AgentAuthError], asked: Asked | None = None) -> AgentAuthError:
        """Go the way, which has to end in this error with nothing delivered."""
        before = len(self.delivered)
        with pytest.raises(error) as caught:
            self.vend(asked)
        assert len(self.delivered) == before
        return caught.value

    def records(self) -> list[dict[str, Any]]:
        """Return all audit records."""
        return [json.loads(row.record) for row in self.ledger.records()]

    def events(self) -> list[str]:
        """Return the events of all records."""
        return [record["event"] for record in self.records()]

    def used(self) -> set[tuple[int, int]]:
        """Return what is spent and reserved of the counters."""
        return set(self.ledger.counters().values())

    def holds(self) -> None:
        """Assert that the chain is whole, counters recount, and no secret is written."""
        rows = list(self.ledger.records())
        assert verify(rows) is None
        found = differences(
            recount(rows), self.ledger.counters(), self.ledger.arrivals(), self.ledger.usages()
        )
        assert found == []
        assert all(SECRET not in row.record for row in rows)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world in which everything is allowed and works."""
    return World(tmp_path)


def test_the_whole_way_delivers_once_with_intent_and_issue_on_record(world: World) -> None:
    """Reserve writes `vend.intent`, issue `vend.issued`; then the bytes."""
    vended = world.vend()
    assert world.delivered == [vended]
    assert world.events() == ["vend.intent", "vend.issued"]
    issued = world.records()[1]
    assert issued["principal"] == "corp/alice"
    assert issued["resource"] == "arn:aws:s3:::b/alice/*"
    assert issued["actions"] == ["aws.s3.put"]
    assert issued["rules"] == ["one"]
    assert issued["credential_id"] == "public-id"
    (lease,) = world.ledger.leases(world.now)
    assert (lease.state, lease.ends_at) == ("active", START + timedelta(hours=1))
    world.holds()


def test_the_broker_is_asked_for_exactly_what_was_narrowed(world: World) -> None:
    """The exact request: the tool as configured, its variables filled in, the resource within."""
    world.vend(Asked(TOOL, Stated(duration=1800), resource="s3://b/alice/one"))
    (request,) = world.broker.asked
    assert request.max_duration == 1800
    assert [grant.resource for grant in request.grants] == ["arn:aws:s3:::b/alice/one"]
    assert request.role == TOOL.role
    assert request.lease == "L1"


def test_a_failed_login_is_recorded_once_a_minute(world: World) -> None:
    """Step 1 `login.failed`, thinned."""

    def refuse() -> Principal:
        raise AuthenticationError("no", reason="token_expired")

    world.change(authenticate=refuse)
    world.refused(AuthenticationError)
    world.refused(AuthenticationError)
    with pytest.raises(AuthenticationError):
        identify(world.parts)
    world.now += timedelta(minutes=1)
    world.refused(AuthenticationError)
    failed = world.records()
    assert [one["event"] for one in failed] == ["login.failed", "login.failed"]
    assert [one["count"] for one in failed] == [1, 3]
    assert failed[0]["reason"] == "token_expired: no"
    assert failed[0]["peer"] == "uid 1000"


def test_one_noisy_caller_hides_no_other_reason(world: World) -> None:
    """Refusals are thinned by peer and reason: all callers of a service are one peer."""
    for reason in ("expired", "signature", "expired", "signature"):

        def refuse(reason: str = reason) -> Principal:
            raise AuthenticationError("no", reason=reason)

        world.change(authenticate=refuse)
        world.refused(AuthenticationError)
    failed = world.records()
    assert [one["reason"] for one in failed] == ["expired: no", "signature: no"]
    assert {one["peer"] for one in failed} == {"uid 1000"}


def test_a_policy_that_does_not_load_is_told_before_anybody_is_asked(world: World) -> None:
    """Where several hold, the first of 2, 3, 4, … is given."""

    def broken() -> Policy:
        raise ConfigError("policy.toml:1:1: not TOML")

    def refuse() -> Principal:
        raise AuthenticationError("no")

    world.change(policy=broken, authenticate=refuse)
    world.refused(ConfigError)
    assert world.events() == ["vend.denied"]


def test_a_denial_is_recorded_with_its_nearest_miss_and_not_told(world: World) -> None:
    """The nearest miss goes to `check` and the audit trail, not into the refusal."""
    world.change(policy=lambda: policy(rule(more='environments = ["prod"]')))
    error = world.refused(PermissionDeniedError)
    assert "prod" not in str(error)
    assert "one" not in str(error)
    (record,) = world.records()
    assert record["event"] == "vend.denied"
    assert record["nearest"] == {"parts": ["environments"], "rule": "one"}
    assert record["decision"] == "deny"


def test_a_resource_outside_is_refused_saying_which(world: World) -> None:
    """A resource outside the tool's: exit 5 saying which."""
    error = world.refused(PermissionDeniedError, Asked(TOOL, resource="s3://other/x"))
    assert "arn:aws:s3:::other/x" in str(error)
    assert "arn:aws:s3:::b/alice/*" in str(error)
    assert world.events() == ["vend.denied"]


def test_a_switch_in_the_file_stops_before_the_policy_is_asked(world: World) -> None:
    """Switches, then rules: 6 comes before 5."""
    world.change(policy=lambda: policy(rule(effect="deny")))
    world.change(switches=lambda: [Switch("tool", "s3_*", reason="INC-42")])
    error = world.refused(ToolDisabledError, Asked(TOOL, resource="s3://other/x"))
    assert "INC-42" in str(error)


def test_a_switch_in_the_ledger_alone_stops_too(world: World) -> None:
    """In force is what stands in the file or in the ledger."""
    world.ledger.switch_on(Switch("principal", "alice"), {"event": "switch.on"})
    world.refused(PrincipalBlockedError)


def test_a_switch_stops_whoever_acts_through_it(world: World) -> None:
    """A principal's switch also stops whoever acts through it (`actor`)."""
    world.change(authenticate=lambda: replace(WHO, actor="key/bot"))
    world.change(switches=lambda: [Switch("principal", "key/bot")])
    world.refused(PrincipalBlockedError)


def test_a_switch_whose_time_is_over_stops_nothing(world: World) -> None:
    """`until` lifts it."""
    world.change(switches=lambda: [Switch("all", until=START)])
    world.vend()


def test_a_switch_file_that_cannot_be_read_stops_everything(world: World) -> None:
    """A file that cannot be read or parsed stops everything (exit 6)."""

    def broken() -> Sequence[Switch]:
        raise SwitchFileError("killswitch.toml:1:1: not TOML")

    world.change(switches=broken)
    assert world.refused(SwitchFileError).exit_code == 6


def test_an_unreadable_ledger_stops_only_what_nothing_else_stops(world: World) -> None:
    """5 comes before 9: a ledger that cannot be read does not hide a denial."""

    def gone() -> SQLiteLedger:
        raise StateError("gone")

    world.change(ledger=gone)
    world.refused(StateError)
    world.change(policy=lambda: policy(rule(effect="deny")))
    world.refused(PermissionDeniedError)


def test_delivery_that_no_rule_leaves_is_refused_naming_the_rule(world: World) -> None:
    """Compared after the decision: exit 5, `delivery not permitted`, naming the rule."""
    more = 'obligations = { delivery = ["exec", "gateway"] }'
    world.change(policy=lambda: policy(rule(more=more)))
    error = world.refused(PermissionDeniedError)
    assert str(error).startswith("delivery not permitted: rule one")
    world.vend(Asked(TOOL, delivery="exec"))


@pytest.mark.parametrize(
    ("stated", "obliged", "left", "expected"),
    [
        (None, "12h", timedelta(hours=8), 3600),
        (1800, "12h", timedelta(hours=8), 1800),
        (7200, "12h", timedelta(hours=8), 3600),
        (None, "20m", timedelta(hours=8), 1200),
        (None, "12h", timedelta(minutes=30), 1800),
        (None, "12h", timedelta(minutes=5), 900),
    ],
)
def test_the_duration_is_the_least_of_all_within_what_can_be_minted(
    world: World, stated: int | None, obliged: str, left: timedelta, expected: int
) -> None:
    """Duration: the least of asked, tool, obligation and login, never below what can be minted."""
    more = f'obligations = {{ max_duration = "{obliged}" }}'
    world.change(policy=lambda: policy(rule(more=more)))
    world.change(authenticate=lambda: replace(WHO, expires_at=START + left))
    assert world.vend(Asked(TOOL, Stated(duration=stated))).bounded.duration == expected


def test_an_obligation_shorter_than_can_be_minted_is_a_refusal_naming_the_rule(
    world: World,
) -> None:
    """A duration below 900 s cannot be minted: an obligation of less is exit 5."""
    world.change(policy=lambda: policy(rule(more='obligations = { max_duration = "10m" }')))
    assert "rule one" in str(world.refused(PermissionDeniedError))
    assert world.broker.asked == []


def test_over_budget_nothing_is_reserved_and_the_counters_stay(world: World) -> None:
    """All charges or none; the refusal names budget, used and limit."""
    world.change(budgets=lambda: budget("limits.day = { requests = 1, leases = 5 }"))
    world.vend()
    error = world.refused(BudgetExceededError)
    assert "budget b for corp/alice: 1 of 1 requests" in str(error)
    assert error.retry_after == 14 * 3600
    assert world.used() == {(0, 1)}
    assert len(world.broker.asked) == 1
    assert world.events() == ["vend.intent", "vend.issued", "vend.denied"]
    world.holds()


def test_an_allowance_is_reserved_and_settled_at_the_end(world: World) -> None:
    """*Settled*: the reservation turns into spend; so it does when the lease ends."""
    world.change(budgets=lambda: budget('limits.month = { cost = "1.00" }'))
    tool = replace(TOOL, allowance=Allowance(cost=400_000))
    world.vend(Asked(tool))
    assert world.used() == {(0, 400_000)}
    world.vend(Asked(tool, Stated(cost=500_000)))
    world.refused(BudgetExceededError, Asked(tool))
    world.now += timedelta(hours=1)
    world.refused(BudgetExceededError, Asked(tool))
    assert world.used() == {(900_000, 0)}  # what has ended is settled, refused or not
    world.vend(Asked(replace(tool, allowance=Allowance(cost=100_000))))
    assert world.used() == {(900_000, 100_000)}
    assert world.events().count("lease.settled") == 2
    world.holds()


def test_a_rate_limit_counts_and_says_when(world: World) -> None:
    """A rule's rate counts once a request; the refusal says when the next one is allowed."""
    world.change(policy=lambda: policy(rule(more='obligations = { rate_limit = "2/minute" }')))
    world.vend()
    world.vend()
    assert world.refused(RateLimitExceededError).retry_after == 30
    world.now += timedelta(seconds=30)
    world.vend()
    world.holds()


@pytest.mark.parametrize(
    "name",
    [
        "repo:acme/x:ref:refs/heads/sk-" + "made-up-branch-name-of-somebody",
        "<SecretAccessKey>",
        "<SecretAccessKey>x",
        'session_token="',
        "session_token:",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_a_principal_named_like_a_secret_is_counted_and_recounted(world: World, name: str) -> None:
    """Every counter can be recounted, whatever redaction makes of its name."""
    world.change(authenticate=lambda: replace(WHO, id=f"corp/{name}"))
    world.change(budgets=lambda: budget("limits.day = { requests = 1 }"))
    world.change(policy=lambda: policy(rule(more='obligations = { rate_limit = "9/day" }')))
    world.vend()
    world.refused(BudgetExceededError)
    world.holds()


def test_a_cap_needs_something_said_and_holds(world: World) -> None:
    """`max_tokens` with neither allowance nor statement: exit 5 naming the option."""
    world.change(policy=lambda: policy(rule(more="obligations = { max_tokens = 100 }")))
    assert "--estimate-tokens" in world.refused(PermissionDeniedError).hint
    world.refused(TooManyTokensError, Asked(TOOL, Stated(tokens=101)))
    world.vend(Asked(TOOL, Stated(tokens=100)))


def test_what_the_provider_refuses_is_given_back(world: World) -> None:
    """A mint that fails releases."""

    def refuse() -> None:
        raise ProviderRefusedError("AccessDenied", code="AccessDenied")

    world.broker.act = refuse
    world.change(budgets=lambda: budget("limits.day = { requests = 1 }"))
    world.refused(ProviderRefusedError)
    assert world.used() == {(0, 0)}
    assert world.events() == ["vend.intent", "vend.failed"]
    assert world.ledger.leases(world.now) == []
    world.broker.act = lambda: None
    world.vend()
    world.holds()


def test_a_switch_that_goes_on_during_the_call_stops_the_delivery(world: World) -> None:
    """The switches once more, then lease active: one transaction."""
    switches: list[Switch] = []
    world.broker.act = lambda: switches.append(Switch("provider", "aws"))
    world.change(switches=lambda: switches)
    assert world.refused(AgentAuthError).exit_code == 6
    assert world.events() == ["vend.intent", "vend.failed"]
    assert world.ledger.leases(world.now) == []


def test_a_switch_that_another_process_remembers_meanwhile_stops_it_too(world: World) -> None:
    """Effective for the next step of every process at once."""
    other = opening.open_ledger(world.place, lambda: world.now)
    world.broker.act = lambda: other.switch_on(Switch("all"), {"event": "switch.on"})
    assert world.refused(AgentAuthError).exit_code == 6
    assert world.events() == ["vend.intent", "switch.on", "vend.failed"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_lease_that_is_revoked_while_it_is_minted(world: World, *, fails: bool) -> None:
    """Nothing is delivered, and what was minted is written down all the same."""

    def revoke() -> None:
        world.ledger.release("L1", {"event": "lease.revoked", "lease": "L1"})
        if fails:
            raise ProviderRefusedError("AccessDenied")

    world.broker.act = revoke
    refused = world.refused(ProviderRefusedError if fails else RevokedError)
    assert world.events() == ["vend.intent", "lease.revoked", "vend.failed"]
    failed = world.records()[-1]
    assert failed["lease"] == "L1"
    if not fails:
        assert refused.message == "lease L1 was revoked, or given up, while its credential was made"
        assert refused.exit_code == 9
        assert failed["credential_id"] == "public-id"
    world.holds()


@pytest.mark.parametrize("error", [UndeliveredError("closed"), Stopped(15)])
def test_what_was_minted_and_not_handed_over_is_undelivered(
    world: World, error: BaseException
) -> None:
    """After *issue* the lease is `undelivered`; its charges stay until its end."""

    def fail(_vended: Vended) -> None:
        raise error

    world.change(budgets=lambda: budget("limits.day = { requests = 5 }"))
    with pytest.raises(type(error)):
        vend(world.parts, Asked(TOOL), fail)
    (lease,) = world.ledger.leases(world.now)
    assert lease.state == "undelivered"
    assert world.events() == ["vend.intent", "vend.issued", "vend.failed"]
    assert world.records()[2]["reason"].startswith("undelivered: ")
    assert world.used() == {(0, 1)}
    world.holds()
    world.now += timedelta(hours=2)
    world.vend()
    assert world.used() == {(1, 1)}
    world.holds()


def test_what_dies_alone_and_reaches_nobody_is_ended(world: World) -> None:
    """A key that was minted and not handed over is deleted; so is one that was not issued."""

    def fail(_vended: Vended) -> None:
        raise Stopped(15)

    world.broker.takes_back = lambda: Revocation("revoked")
    world.change(budgets=lambda: budget("limits.day = { requests = 5 }"))
    with pytest.raises(Stopped):
        vend(world.parts, Asked(TOOL), fail)
    assert world.events()[1:] == ["vend.issued", "vend.failed", "lease.settled", "lease.revoked"]
    assert world.records()[-1]["outcome"] == "revoked"
    assert world.ledger.leases(world.now) == []
    assert world.used() == {(1, 0)}
    world.holds()
    switches: list[Switch] = []
    world.broker.act = lambda: switches.append(Switch("tool", "s3_upload"))
    world.change(switches=lambda: switches)
    world.refused(ToolDisabledError)
    assert world.events()[5:] == ["vend.intent", "vend.failed", "lease.revoked"]
    assert world.used() == {(1, 0)}
    world.holds()
    (first, made), (second, other) = world.broker.ended
    assert first != second
    assert made is not None
    assert other is not None
    assert made.credentials["aws_secret_access_key"] == SECRET


def test_a_provider_that_does_not_end_it_hides_nothing(world: World) -> None:
    """What went wrong first is what is raised; that the credential lives on is in the trail."""

    def refuse() -> Revocation:
        raise ProviderRefusedError("not today")

    def fail(_vended: Vended) -> None:
        raise UndeliveredError("closed")

    world.broker.takes_back = refuse
    with pytest.raises(UndeliveredError, match="closed"):
        vend(world.parts, Asked(TOOL), fail)
    assert world.records()[-1]["outcome"] == "failed: not today"
    assert [one.state for one in world.ledger.leases(world.now)] == ["undelivered"]


@pytest.mark.parametrize("error", [Stopped(2), KeyboardInterrupt(), MemoryError()])
def test_whatever_ends_the_call_the_reservation_is_released(
    world: World, error: BaseException
) -> None:
    """A failure at any step releases the reservation and leaves an audit record."""

    def end() -> None:
        raise error

    world.broker.act = end
    with pytest.raises(type(error)):
        world.vend()
    assert world.events() == ["vend.intent", "vend.failed"]
    assert world.ledger.leases(world.now) == []


def test_a_process_that_slept_past_the_end_delivers_nothing(world: World) -> None:
    """SIGSTOP 10 min then CONT: token age rechecked before print."""
    world.broker.lives = timedelta(0)
    world.refused(UndeliveredError)


def test_a_lease_that_was_never_issued_is_released_when_its_time_is_over(world: World) -> None:
    """It is released when its time to live ends (the transport's deadline and 60 s)."""
    reachable = [True]

    def ledger() -> SQLiteLedger:
        if reachable[0]:
            return world.ledger
        raise StateError("the process is gone")

    def vanish() -> None:
        reachable[0] = False
        raise ProviderRefusedError("nobody hears this")

    world.broker.act = vanish
    world.change(ledger=ledger, budgets=lambda: budget("limits.day = { requests = 1 }"))
    world.refused(ProviderRefusedError)
    reachable[0], world.broker.act = True, lambda: None
    world.refused(BudgetExceededError)
    world.now += TIME_TO_LIVE
    world.vend()
    assert "orphaned" in str([one.get("reason") for one in world.records()])
    world.holds()


def test_a_preview_goes_as_far_as_check_and_asks_nothing(world: World) -> None:
    """`vend --dry-run` goes steps 1 to 4: nothing is reserved, nothing minted."""
    bounded, shown = preview(world.parts, Asked(TOOL, Stated(duration=1800)))
    assert shown.parameters["principal"] == WHO
    asked = shown.parameters["request"]
    assert (asked.lease, asked.max_duration, asked.role) == ("LEASE", 1800, TOOL.role)
    assert asked.grants == bounded.narrowed.grants
    assert not world.broker.asked
    assert not world.ledger.leases(START)
    assert world.events() == ["check"]
    vend(world.parts, Asked(TOOL, Stated(duration=1800)), world.delivered.append)
    assert world.broker.asked == [replace(asked, lease="L1")]


def test_a_preview_is_refused_as_vend_would_be(world: World) -> None:
    """Its exits are those of `vend`."""
    world.change(policy=lambda: policy(rule(effect="deny")))
    with pytest.raises(PermissionDeniedError):
        preview(world.parts, Asked(TOOL))


def test_check_reserves_nothing_and_meets_what_vend_would(world: World) -> None:
    """`check TOOL` is steps 1 to 4 and a read of the counters, nothing reserved."""
    world.change(budgets=lambda: budget("limits.day = { requests = 1 }"))
    assert check(world.parts, Asked(TOOL)).duration == 3600
    assert world.ledger.counters() == {}
    world.vend()
    with pytest.raises(BudgetExceededError):
        check(world.parts, Asked(TOOL))
    assert world.events() == ["check", "vend.intent", "vend.issued", "check"]
    assert world.records()[3]["decision"] == "deny"
    assert len(world.broker.asked) == 1
    world.holds()


def test_a_charge_belongs_to_the_window_of_its_reservation(world: World) -> None:
    """A charge belongs to the window of its reservation, however long the ledger was waited for."""
    world.change(budgets=lambda: budget("limits.minute = { leases = 1 }"))
    names = iter(("L1", "L2"))

    def slow() -> str:
        world.now += timedelta(minutes=1)
        return next(names)

    world.change(lease_id=slow)
    world.vend()
    assert {start for _, start in world.ledger.counters()} == {"2026-11-23T10:01:00.000000Z"}
    world.change(lease_id=lambda: "L3")
    world.refused(BudgetExceededError)


def test_a_process_that_slept_over_its_time_issues_nothing(world: World) -> None:
    """What was decided before a stop of minutes need not hold behind it."""

    def sleep() -> None:
        world.now += TIME_TO_LIVE

    world.broker.act = sleep
    assert "not issued in its time" in str(world.refused(StateError))
    assert world.ledger.leases(world.now) == []
    world.holds()


@pytest.mark.parametrize(
    ("step", "state", "events"),
    [
        ("reserve", [], ["vend.intent", "vend.failed"]),
        ("issue", ["undelivered"], ["vend.intent", "vend.issued", "vend.failed"]),
    ],
)
def test_a_signal_just_behind_a_commit_is_judged_by_the_ledger(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, state: list[str], events: list[str]
) -> None:
    """The reservation released, or after *issue* the lease `undelivered`."""
    whole = getattr(world.ledger, step)

    def stopped(*arguments: Any) -> None:
        whole(*arguments)
        raise Stopped(15)

    monkeypatch.setattr(world.ledger, step, stopped)
    with pytest.raises(Stopped):
        world.vend()
    assert [lease.state for lease in world.ledger.leases(world.now)] == state
    assert world.events() == events
    world.holds()


def test_a_signal_while_a_failure_waits_for_the_ledger_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """128+N: the reservation released, also where it was being released already."""
    whole = world.ledger.release
    stops = [Stopped(15)]

    def interrupted(*arguments: Any) -> None:
        if stops:
            raise stops.pop()
        whole(*arguments)

    def refuse() -> None:
        raise ProviderRefusedError("AccessDenied")

    world.broker.act = refuse
    monkeypatch.setattr(world.ledger, "release", interrupted)
    with pytest.raises(Stopped):
        world.vend()
    assert world.ledger.leases(world.now) == []
    assert world.events() == ["vend.intent", "vend.failed"]
    assert "AccessDenied" in world.records()[1]["reason"]
