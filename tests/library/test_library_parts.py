"""The parts of `AgentAuth`: policy alone, rates, spend, a program's own records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli import (
    Action,
    AgentAuth,
    BudgetExceededError,
    BudgetTracker,
    Decision,
    Money,
    Obligation,
    PolicyContext,
    Principal,
    ProviderType,
    Rate,
    RateLimitExceededError,
    Resource,
    UsageError,
)
from agentauth_cli.errors import UnknownNameError

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.testing import FakeClock

WHO = Principal("okta/alice", "alice", kind="agent", groups=("okta/eng",))
CHAT = Action(verb="generate", provider="openai", resource_type="chat")
PROJECT = Resource(provider="openai", resource_type="project", identifier="proj-test")
RULE = 'version = 1\n[[rule]]\nid = "one"\neffect = "allow"\nprincipals = ["okta/*"]\n'


def write(folder: Path, name: str, text: str) -> None:
    """Write a file of the configuration."""
    (folder / name).write_text(text)
    (folder / name).chmod(0o600)


def records(auth: AgentAuth) -> list[dict[str, Any]]:
    """Return all records."""
    with auth.wiring() as wiring:
        return [json.loads(row.record) for row in wiring.ledger.records()]


def known(auth: AgentAuth, principal: Principal) -> None:
    """Let the ledger see a principal."""
    auth.check(principal, "openai_chat")


# -- the policy alone --------------------------------------------------------------------------


def test_the_policy_alone(agentauth: AgentAuth, agentauth_folder: Path) -> None:
    """`evaluate(principal, action, resource, context)`: rules and obligations; nothing counted."""
    write(agentauth_folder, "policy.toml", RULE + "obligations = { max_tokens = 5 }\n")
    answer = agentauth.pdp.evaluate(WHO, CHAT, PROJECT)
    assert answer.decision is Decision.ALLOW
    assert answer.max_tokens == 5
    assert records(agentauth) == []


def test_the_context_of_a_question(agentauth: AgentAuth, agentauth_folder: Path) -> None:
    """The library's `evaluate(principal, action, resource, context)` takes `tool`, ….

    Left out, the tool is ``-``, the environment the default one, the time now.
    """
    more = 'tools = ["chat"]\nenvironments = ["test"]\n'
    write(agentauth_folder, "policy.toml", RULE + more)
    pdp = agentauth.pdp
    nearest = pdp.evaluate(WHO, CHAT, PROJECT).nearest
    assert nearest is not None
    assert nearest.parts == ("tools",)
    assert pdp.evaluate(WHO, CHAT, PROJECT).decision is Decision.DENY
    inside = PolicyContext(tool="chat", token_estimate=10**9, cost_estimate=0.02)
    assert pdp.evaluate(WHO, CHAT, PROJECT, inside).decision is Decision.ALLOW
    naive = PolicyContext(tool="chat", time=datetime(2026, 1, 1, tzinfo=UTC))
    assert pdp.evaluate(WHO, CHAT, PROJECT, naive).decision is Decision.ALLOW
    with pytest.raises(UnknownNameError):
        pdp.evaluate(WHO, CHAT, PROJECT, PolicyContext(environment="prod"))
    write(agentauth_folder, "policy.toml", RULE + 'tools = ["-"]\n')
    assert pdp.evaluate(WHO, CHAT, PROJECT).decision is Decision.ALLOW


def test_an_s3_name_is_its_arn(agentauth: AgentAuth, agentauth_folder: Path) -> None:
    """`s3://` becomes the ARN before the policy is asked."""
    write(agentauth_folder, "policy.toml", RULE + 'resources = ["arn:aws:s3:::b/*"]\n')
    put = Action(verb="put", provider="aws", resource_type="s3")
    answer = agentauth.pdp.evaluate(WHO, put, Resource("aws", "s3", "s3://b/x"))
    assert answer.decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("text", "reason"), [("version = 2\n", "policy invalid"), (None, "no policy")]
)
def test_no_policy_denies(
    agentauth: AgentAuth, agentauth_folder: Path, text: str | None, reason: str
) -> None:
    """No policy, or one that does not load: denied."""
    if text is None:
        (agentauth_folder / "policy.toml").unlink()
    else:
        write(agentauth_folder, "policy.toml", text)
    answer = agentauth.pdp.evaluate(WHO, CHAT, PROJECT)
    assert (answer.decision, answer.reason) == (Decision.DENY, reason)
    nobody = agentauth.pdp.evaluate(Principal("alice", "alice"), CHAT, PROJECT)
    assert nobody.decision is Decision.DENY
    assert nobody.reason == "malformed request: principal is not issuer/subject"


# -- rates -------------------------------------------------------------------------------------


def test_the_policys_rates(
    agentauth: AgentAuth, agentauth_folder: Path, agentauth_clock: FakeClock
) -> None:
    """`rate_limiter.check(agent.user_id, decision.rate_limit)`: counted with the vends."""
    write(agentauth_folder, "policy.toml", RULE + 'obligations = { rate_limit = "2/minute" }\n')
    decision = agentauth.pdp.evaluate(WHO, CHAT, PROJECT)
    agentauth.vend(WHO, "openai_chat")
    agentauth.rate_limiter.check(WHO.user_id, decision.rate_limit)
    with pytest.raises(RateLimitExceededError, match="rule one permits 2/minute") as caught:
        agentauth.rate_limiter.check(WHO.user_id, decision.rate_limit)
    assert caught.value.retry_after == 30
    with pytest.raises(RateLimitExceededError):
        agentauth.vend(WHO, "openai_chat")
    agentauth_clock.advance(seconds=30)
    agentauth.rate_limiter.check(WHO.id, decision.rate_limit)


@pytest.mark.parametrize("limit", ["1/hour", Rate(1, 3600), Obligation(Rate(1, 3600), "mine")])
def test_a_rate_of_the_programs_own(agentauth: AgentAuth, limit: str | Rate | Obligation) -> None:
    """A rate in words, as a value, or with a rule; each principal has its own."""
    agentauth.rate_limiter.check("os/one", limit)
    agentauth.rate_limiter.check("os/two", [limit])
    with pytest.raises(RateLimitExceededError, match=r"(the program|rule mine) permits 1/hour"):
        agentauth.rate_limiter.check("os/one", limit)
    assert [one["event"] for one in records(agentauth)] == ["usage.recorded"] * 2


@pytest.mark.parametrize(
    "limit", [Rate(10, 300), Obligation("often", "r"), Obligation(None, "r"), Rate(-1, 60)]
)
def test_what_is_no_rate(agentauth: AgentAuth, limit: Rate | Obligation) -> None:
    """A rate that has no form in a policy has none here."""
    with pytest.raises(UsageError, match="is no rate such as"):
        agentauth.rate_limiter.check("os/one", limit)


def test_a_rate_in_words_with_a_rule(agentauth: AgentAuth) -> None:
    """The rule of an obligation is told."""
    for _ in range(2):
        agentauth.rate_limiter.check("os/one", Obligation("2/day", "mine"))
    with pytest.raises(RateLimitExceededError, match="rule mine permits 2/day"):
        agentauth.rate_limiter.check("os/one", Obligation("2/day", "mine"))


def test_all_rates_or_none(agentauth: AgentAuth) -> None:
    """One that is exhausted takes nothing from the others; none at all takes nothing."""
    limiter = agentauth.rate_limiter
    limiter.check("os/one", "1/hour")
    with pytest.raises(RateLimitExceededError):
        limiter.check("os/one", ["2/day", "1/hour"])
    limiter.check("os/one", "2/day")
    limiter.check("os/one", "2/day")
    limiter.check("os/one", ())
    with pytest.raises(RateLimitExceededError, match="permits 0/day"):
        limiter.check("os/one", "0/day")
    with pytest.raises(UsageError):
        limiter.check("os/one", "often")


# -- who is meant ------------------------------------------------------------------------------


def test_who_is_meant(agentauth: AgentAuth) -> None:
    """An exact id, else the subject of exactly one principal that the ledger has seen."""
    check = agentauth.rate_limiter.check
    with pytest.raises(UnknownNameError, match="seen no principal with the subject 'alice'"):
        check("alice", "9/day")
    known(agentauth, WHO)
    check("alice", "9/day")
    known(agentauth, Principal("gh/alice", "alice"))
    with pytest.raises(UnknownNameError, match="the subject of gh/alice, okta/alice"):
        check("alice", "9/day")
    check("os/alice", "9/day")
    named = [one["principal"] for one in records(agentauth) if one["event"] == "usage.recorded"]
    assert named == ["okta/alice", "os/alice"]


@pytest.mark.parametrize("name", ["os/x\n\x1b[31m", "os/", "os/" + "x" * 1_000_000, "os/*", ""])
def test_who_is_nobody(agentauth: AgentAuth, name: str) -> None:
    """What no principal can be called is not taken for one, nor repeated whole."""
    with pytest.raises(UnknownNameError) as caught:
        agentauth.rate_limiter.check(name, "9/day")
    assert len(caught.value.message) < 400
    assert records(agentauth) == []


def test_nobodys_subject_passes_for_anothers_id(agentauth: AgentAuth) -> None:
    """A subject that looks like an id of ours does not take that one's place."""
    known(agentauth, Principal("gh/os/root", "root"))
    agentauth.rate_limiter.check("os/root", "1/day")
    assert records(agentauth)[-1]["principal"] == "os/root"


# -- spend -------------------------------------------------------------------------------------


def test_spend_in_a_period(agentauth: AgentAuth, agentauth_clock: FakeClock) -> None:
    """`get_spend` with minute, hourly, daily: what was recorded, and what leases reserved."""
    tracker = BudgetTracker(agentauth)
    known(agentauth, WHO)

    def spent(period: str) -> Money:
        return tracker.get_spend(
            principal_id=WHO.user_id, provider=ProviderType.OPENAI, period=period
        )

    assert spent("daily") == 0
    tracker.record(principal_id=WHO.user_id, provider=ProviderType.OPENAI, cost=0.1)
    agentauth_clock.advance(seconds=60)
    tracker.record(principal_id=WHO.id, provider="openai", cost=Decimal("0.2"), tokens=7)
    tracker.record(principal_id=WHO.id, provider="aws", cost=5)
    assert [spent(one) for one in ("minute", "hourly", "daily")] == [0.2, 0.3, 0.3]
    agentauth_clock.advance(seconds=3600)
    credential = agentauth.vend(WHO, "openai_chat", estimate_cost="1.00", estimate_tokens=1)
    assert [spent(one) for one in ("minute", "hourly", "daily")] == [1, 1, 1.3]
    agentauth.record_usage(credential, cost=2)
    assert spent("hourly") == 2
    assert isinstance(spent("hourly"), Money)
    assert spent("hourly") + 0.5 > 2.4


def test_recorded_spend_counts_on_budgets(
    agentauth: AgentAuth, agentauth_folder: Path, agentauth_clock: FakeClock
) -> None:
    """It counts on each budget that it meets, by what is known of the principal, past the limit."""
    write(
        agentauth_folder,
        "budgets.toml",
        'version = 1\n[[budget]]\nid = "eng"\nproviders = ["openai"]\n'
        'principals = ["group:okta/eng"]\nper = ["principal"]\n'
        'limits.day = { cost = "1.00" }\n',
    )
    write(
        agentauth_folder,
        "config.toml",
        (agentauth_folder / "config.toml")
        .read_text()
        .replace(
            'resource = "${project_id}"', 'resource = "${project_id}"\nallowance = { cost = "0" }'
        ),
    )
    known(agentauth, WHO)
    BudgetTracker(agentauth).record(principal_id=WHO.id, provider="openai", cost="1.50")
    with agentauth.wiring() as wiring:
        assert [one for one in wiring.ledger.counters().values() if one[0]] == [(1_500_000, 0)]
    with pytest.raises(Exception, match=r"budget eng for okta/alice: \$1\.50 of \$1\.00"):
        agentauth.vend(WHO, "openai_chat")
    agentauth_clock.advance(seconds=86400)
    agentauth.vend(WHO, "openai_chat")


@pytest.mark.parametrize("again", [False, True])
def test_every_report_counts_on_a_budget_by_group_or_kind(
    agentauth: AgentAuth, agentauth_folder: Path, again: bool
) -> None:
    """What is recorded does not make the ledger forget what a principal is."""
    write(
        agentauth_folder,
        "budgets.toml",
        "".join(
            f'[[budget]]\nid = "{name}"\nproviders = ["aws"]\nprincipals = ["{who}"]\nper = []\n'
            'limits.day = { cost = "5.00" }\n'
            for name, who in (("a", "kind:agent"), ("b", "group:okta/eng"))
        ).join(("version = 1\n", "")),
    )
    config = agentauth_folder / "config.toml"
    s3 = 'resource = "s3://test/*"'
    config.write_text(config.read_text().replace(s3, f'{s3}\nallowance = {{ cost = "0" }}'))
    known(agentauth, WHO)
    tracker = BudgetTracker(agentauth)
    for _ in range(3):
        if again:
            agentauth.rate_limiter.check(WHO.id, "100/day")
        tracker.record(principal_id=WHO.id, provider="aws", cost="2.00")
    with agentauth.wiring() as wiring:
        assert list(wiring.ledger.counters().values()) == [(6_000_000, 0)] * 2
    with pytest.raises(BudgetExceededError):
        agentauth.vend(WHO, "s3_upload")


def test_many_large_reports(agentauth: AgentAuth) -> None:
    """A sum that SQLite's own would not hold is summed all the same."""
    tracker = BudgetTracker(agentauth)
    for _ in range(12):
        tracker.record(principal_id="os/one", provider="aws", cost=999_999_999)
    spent = tracker.get_spend(principal_id="os/one", provider="aws")
    assert spent == 12 * 999_999_999


@pytest.mark.parametrize(
    "fields", [{"tokens": -400}, {"tokens": 1.5}, {"tokens": True}, {"tool": "a b"}]
)
def test_what_is_no_report(agentauth: AgentAuth, fields: dict[str, Any]) -> None:
    """Bad input is a UsageError, and nothing is recorded."""
    given: dict[str, Any] = {"principal_id": "os/one", "provider": "aws", "cost": 1, **fields}
    with pytest.raises(UsageError):
        BudgetTracker(agentauth).record(**given)
    assert records(agentauth) == []


@pytest.mark.parametrize("cost", [float("nan"), -1, "-1", float("inf"), "1e400", True, 1e12])
def test_what_is_no_cost(agentauth: AgentAuth, cost: Any) -> None:
    """NaN, infinite, negative: refused, and nothing is recorded."""
    with pytest.raises(UsageError):
        BudgetTracker(agentauth).record(principal_id="os/one", provider="aws", cost=cost)
    assert records(agentauth) == []


def test_what_is_no_provider_or_period(agentauth: AgentAuth) -> None:
    """Named with those that there are."""
    tracker = BudgetTracker(agentauth)
    with pytest.raises(UsageError, match="'azure' is none of aws, gcp, openai, huggingface"):
        tracker.record(principal_id="os/one", provider="azure", cost=1)
    with pytest.raises(UsageError, match="'yearly' is none of minute, hourly, daily"):
        tracker.get_spend(principal_id="os/one", provider="aws", period="yearly")


# -- a program's own records -------------------------------------------------------------------


def test_records_of_the_programs_own(agentauth: AgentAuth) -> None:
    """With three arguments and with a dict: ``app.record``, the fields under ``data``."""
    agentauth.audit_log.record(WHO, CHAT, PROJECT)
    agentauth.audit_log.record(
        {
            "event": "vend.issued",
            "cost": Money("0.50"),
            "at": datetime(2026, 1, 1, tzinfo=UTC),
            "provider": ProviderType.AWS,
            "tokens": 7,
            "list": [1, None, 0.5],
        }
    )
    first, second = records(agentauth)
    assert {first["event"], second["event"]} == {"app.record"}
    assert first["data"] == {
        "principal_id": "okta/alice",
        "action": "openai.chat.generate",
        "resource": "proj-test",
    }
    assert second["data"] == {
        "event": "vend.issued",
        "cost": "0.50",
        "at": "2026-01-01T00:00:00.000000Z",
        "provider": "aws",
        "tokens": 7,
        "list": [1, None, 0.5],
    }


def test_secrets_in_records_are_masked(agentauth: AgentAuth) -> None:
    """Redaction runs on every value before it is hashed."""
    agentauth.audit_log.record({"key": "sk-proj-" + "a" * 24, "deep": [{"x": "hf_" + "b" * 30}]})
    assert records(agentauth)[0]["data"] == {"key": "••••", "deep": [{"x": "••••"}]}


def test_how_deep_a_record_may_be(agentauth: AgentAuth) -> None:
    """Thirty-two levels are enough for anybody, and lists count."""
    found: Any = 1
    for _ in range(31):
        found = [found]
    agentauth.audit_log.record({"x": found})
    with pytest.raises(UsageError, match="nested deeper than 32"):
        agentauth.audit_log.record({"x": [[found]]})


def test_a_broker_that_there_is_not(agentauth: AgentAuth) -> None:
    """Named with those that there are."""
    with pytest.raises(UsageError, match="'azure' is none of aws"):
        agentauth.broker("azure")


def _deep() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(100_000):
        found = {"x": found}
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {"x": object()},
        {"x": float("nan")},
        {"x": datetime(2026, 1, 1)},  # noqa: DTZ001 - naive on purpose
        {"x": timedelta(1)},
        {"x": b"bytes"},
        {"x": "y" * 70_000},
        {("a",): 1},
        {1: "a", "1": "b"},
        {"x": {True: 1}},
        {"x": Decimal("NaN")},
        {"x": {1, 2}},
        _deep(),
    ],
)
def test_what_cannot_be_recorded(agentauth: AgentAuth, fields: dict[str, Any]) -> None:
    """What JSON cannot hold, and what would fill the disk, is refused; nothing is written."""
    with pytest.raises(UsageError):
        agentauth.audit_log.record(fields)
    assert records(agentauth) == []
