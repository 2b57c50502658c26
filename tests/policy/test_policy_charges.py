"""How long a credential may live, and what it takes from which counter."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.errors import (
    AgentAuthError,
    BudgetExceededError,
    PermissionDeniedError,
    RateLimitExceededError,
    StateError,
    TooManyTokensError,
    UnpricedModelError,
)
from agentauth_cli.model import (
    Charge,
    PolicyDecision,
    Principal,
    ProviderType,
    Rate,
    Usage,
    Window,
)
from agentauth_cli.policy.budgets import Budget, load
from agentauth_cli.policy.charges import Stated, charges, counted, duration, exceeded, spent
from agentauth_cli.policy.charges import taken as reserved
from agentauth_cli.policy.decide import evaluate
from agentauth_cli.policy.narrow import Allowance, Tool
from agentauth_cli.policy.prices import ALWAYS, PriceTable, priced
from agentauth_cli.secret import MASK
from support.policy_worlds import ALICE, NOW, QUESTION, policy_of, property_of, rule

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = Window("hour", NOW, NOW + timedelta(hours=1))
WHO = replace(ALICE, groups=("okta/eng", "okta/ops", "github/x"), actor="okta/robot")


def tool(tokens: int | None = None, cost: int | None = None, seconds: int = 3600) -> Tool:
    """Return a tool of OpenAI with this allowance and duration."""
    return Tool("chat", "dev", ProviderType.OPENAI, (), seconds, allowance=Allowance(tokens, cost))


def obliged(**obligations: Any) -> PolicyDecision:
    """Return the answer of a policy with these obligations in its rule `r`."""
    parts = {"obligations": obligations} if obligations else {}
    return evaluate(policy_of([{**rule("r"), **parts}]), QUESTION)


def budget(text: str) -> Budget:
    """Return the budget of these lines."""
    (one,), problems = load(f'version = 1\n[[budget]]\nid = "b"\n{text}'.encode(), ())
    assert problems == []
    return one


TABLE = PriceTable(
    {
        "openai/gpt": priced([(ALWAYS, {"input": 150_000, "output": 600_000})]),
        "anthropic/claude": priced([(ALWAYS, {"input": 3_000_000, "output": 15_000_000})]),
    }
)


def unasked() -> PriceTable:
    """Fail: nothing here needs a price."""
    raise AssertionError


def taken(
    stated: Stated,
    decision: PolicyDecision,
    *budgets: Budget,
    of: Tool,
    prices: Callable[[], PriceTable] = unasked,
) -> list[Charge]:
    """Return what a request takes."""
    return charges(budgets, of, ALICE, stated, decision, NOW, prices)


# How long it may live


@pytest.mark.parametrize(
    ("asked", "obligation", "login_left", "seconds"),
    [
        (None, None, None, 3600),
        (1200, None, None, 1200),
        (7200, None, None, 3600),
        (None, "20m", None, 1200),
        (1800, "20m", None, 1200),
        (1000, "20m", None, 1000),
        (None, "15m", None, 900),
        (None, "30d", None, 3600),
        (None, None, 1000, 1000),
        (None, None, 10, 900),
        (None, None, -10, 900),
        (None, None, 99999, 3600),
        (None, "20m", 1000, 1000),
    ],
)
def test_duration_is_the_least_of_all_that_limit_it(
    asked: int | None, obligation: str | None, login_left: int | None, seconds: int
) -> None:
    """What is left of the login cuts the duration, never below the provider's minimum."""
    decision = obliged(max_duration=obligation) if obligation else obliged()
    stated = Stated(duration=asked)
    assert duration(tool(), stated, decision, (900, 43_200), login_left) == seconds
    assert duration(tool(), stated, decision, (900, 950), login_left) == min(seconds, 950)


def test_an_obligation_below_what_can_be_minted_refuses() -> None:
    """An obligation of less is a refusal naming the rule (exit 5)."""
    with pytest.raises(PermissionDeniedError) as raised:
        duration(tool(), Stated(), obliged(max_duration="899s"), (900, 43_200), None)
    assert raised.value.message == (
        "max_duration of rule r is 899 s, and openai mints nothing shorter than 900 s"
    )
    assert raised.value.hint == "Raise max_duration of r"
    assert raised.value.exit_code == 5
    assert raised.value.decision is not None


# What an obligation needs to be told


@pytest.mark.parametrize(
    ("obligations", "stated", "message", "hint"),
    [
        ({"require_reason": True}, Stated(), "rule r requires a reason", "Give --reason TEXT"),
        ({"require_reason": True}, Stated(reason=""), "rule r requires", "Give --reason TEXT"),
        ({"models": ["gpt-*"]}, Stated(), "rule r limits the models", "Give --model NAME"),
        (
            {"models": ["gpt-*", "o1"]},
            Stated(model="o3"),
            "rule r permits the models gpt-*, o1, not o3",
            "Ask for one of these",
        ),
        ({"models": ["gpt-*"]}, Stated(model=""), "rule r permits", "Ask for one of these"),
        (
            {"max_tokens": 5},
            Stated(cost=1),
            "rule r caps one lease, and nothing says what this one takes",
            "Give --estimate-tokens, or set the tool's allowance",
        ),
        (
            {"max_cost": "1"},
            Stated(tokens=1),
            "rule r caps one lease",
            "Give --estimate-cost, or set the tool's allowance",
        ),
    ],
)
def test_what_is_not_stated(
    obligations: dict[str, Any], stated: Stated, message: str, hint: str
) -> None:
    """With neither allowance nor statement: exit 5 naming the option."""
    with pytest.raises(PermissionDeniedError) as raised:
        taken(stated, obliged(**obligations), of=tool())
    assert raised.value.message.startswith(message)
    assert raised.value.hint == hint
    assert raised.value.decision is not None


def test_a_model_must_match_every_list() -> None:
    """`models`: a model must match every list."""
    files = [rule("a", obligations={"models": ["gpt-*"]})]
    files += [rule("b", obligations={"models": ["*-mini"]})]
    decision = evaluate(policy_of(files), QUESTION)
    assert taken(Stated(model="gpt-4-mini"), decision, of=tool()) == []
    for model, refusing in (("gpt-4", "b"), ("o3-mini", "a")):
        with pytest.raises(PermissionDeniedError, match=f"rule {refusing} permits"):
            taken(Stated(model=model), decision, of=tool())


@pytest.mark.parametrize(
    ("obligations", "of", "stated", "error"),
    [
        ({"max_tokens": 5}, tool(tokens=5), Stated(), None),
        ({"max_tokens": 5}, tool(tokens=6), Stated(), TooManyTokensError),
        ({"max_tokens": 5}, tool(tokens=6), Stated(tokens=1), TooManyTokensError),
        ({"max_tokens": 5}, tool(tokens=1), Stated(tokens=6), TooManyTokensError),
        ({"max_tokens": 5}, tool(), Stated(tokens=5), None),
        ({"max_tokens": 0}, tool(tokens=0), Stated(), None),
        ({"max_tokens": 0}, tool(tokens=0), Stated(tokens=1), TooManyTokensError),
        ({"max_cost": "0.50"}, tool(cost=500_000), Stated(), None),
        ({"max_cost": "0.50"}, tool(cost=500_001), Stated(), BudgetExceededError),
        ({"max_cost": "0.50"}, tool(cost=1), Stated(cost=500_001), BudgetExceededError),
        ({"max_cost": "0"}, tool(), Stated(cost=0), None),
    ],
)
def test_caps_on_what_one_lease_may_be_charged(
    obligations: dict[str, Any], of: Tool, stated: Stated, error: type[AgentAuthError] | None
) -> None:
    """`max_tokens` and `max_cost` of a policy are caps on what one lease may be charged."""
    if error is None:
        assert taken(stated, obliged(**obligations), of=of) == []
        return
    with pytest.raises(error, match=r"rule r permits .* for one lease") as raised:
        taken(stated, obliged(**obligations), of=of)
    assert raised.value.exit_code == 7


COSTS = budget("per = []\nlimits.day = { cost = '1' }")


@pytest.mark.parametrize(
    ("model", "allowance", "cost"),
    [
        ("gpt", None, 3),  # five tokens at 0.60 a million, rounded up
        ("openai/gpt", 1, 3),
        ("GPT", 4, 4),
        ("anthropic/claude", None, 75),
    ],
)
def test_the_price_table_tells_the_cost_of_tokens(
    model: str, allowance: int | None, cost: int
) -> None:
    """Tokens stated with a model and no cost: the cost by the price table."""
    stated, of = Stated(tokens=5, model=model), tool(cost=allowance)
    (charge,) = taken(stated, obliged(), COSTS, of=of, prices=lambda: TABLE)
    assert charge.amount == cost
    cap = obliged(max_cost=f"0.{cost - 1:06}")
    with pytest.raises(BudgetExceededError):
        taken(stated, cap, of=of, prices=lambda: TABLE)
    assert taken(stated, obliged(max_cost=f"0.{cost:06}"), of=of, prices=lambda: TABLE) == []


@pytest.mark.parametrize(
    ("decision", "budgets"), [(obliged(max_cost="1"), ()), (obliged(), (COSTS, COSTS))]
)
@pytest.mark.parametrize("model", ["o9", ""])
def test_a_model_without_a_price_is_refused(
    decision: PolicyDecision, budgets: tuple[Budget, ...], model: str
) -> None:
    """Unknown model with a cost limit in force: refused, naming the `[prices]` line to add."""
    stated = Stated(tokens=5, model=model)
    with pytest.raises(UnpricedModelError) as raised:
        taken(stated, decision, *budgets, of=tool(cost=1), prices=lambda: TABLE)
    assert raised.value.exit_code == 5
    assert raised.value.decision is decision
    line = f'"openai/{model}" = {{ input = "…", output = "…" }}'
    assert raised.value.hint == f"Add to [prices] of budgets.toml: {line}"
    known = replace(stated, cost=1)
    assert len(taken(known, decision, *budgets, of=tool())) == len(budgets)


def test_an_unknown_model_is_refused_also_where_nothing_else_is_stated() -> None:
    """Unknown model with a cost limit in force: refused."""
    limited = budget("per = []\nlimits.day = { cost = '9' }")

    def asked(**stated: Any) -> list[Charge]:
        return taken(Stated(**stated), obliged(), limited, of=tool(cost=5), prices=lambda: TABLE)

    with pytest.raises(UnpricedModelError, match="no price for openai/unheard-of"):
        asked(model="unheard-of")
    assert [one.amount for one in asked(model="gpt")] == [5]
    assert [one.amount for one in asked(model="unheard-of", cost=7)] == [7]


def test_what_the_policy_refuses_comes_before_a_damaged_table() -> None:
    """Where several hold, the first of 5, 7, 9 is given."""

    def damaged() -> PriceTable:
        raise StateError("no price table")

    decision = obliged(max_tokens=9, max_cost="1")
    for tokens, error in ((10, TooManyTokensError), (9, StateError)):
        with pytest.raises(error):
            taken(Stated(tokens=tokens, model="gpt"), decision, of=tool(), prices=damaged)
        with pytest.raises(error):
            taken(Stated(tokens=1, model="gpt"), decision, of=tool(tokens), prices=damaged)


def test_a_model_alone_tells_no_cost() -> None:
    """With neither allowance nor statement of tokens nothing says what a lease takes."""
    decision = obliged(max_cost="0")
    with pytest.raises(PermissionDeniedError, match="nothing says what this one takes"):
        taken(Stated(model="gpt"), decision, of=tool(), prices=lambda: TABLE)
    none = Stated(model="gpt", tokens=0)
    assert taken(none, decision, of=tool(), prices=lambda: TABLE) == []


def test_a_cost_that_nothing_limits_need_not_be_known() -> None:
    """Without a limit on cost, tokens alone can be stated."""
    other = budget("per = []\ntools = ['other']\nlimits.day = { cost = '1' }")
    tokens = budget("per = []\nlimits.day = { tokens = 9 }")
    (charge,) = taken(Stated(tokens=5, model="gpt"), obliged(), other, tokens, of=tool())
    assert (charge.metric, charge.amount) == ("tokens", 5)


# What is charged


@pytest.mark.parametrize(
    ("allowance", "stated", "tokens", "cost"),
    [
        ((7, 5), Stated(), 7, 5),
        ((7, 5), Stated(tokens=9, cost=1), 9, 5),
        ((7, 5), Stated(tokens=1, cost=9), 7, 9),
        ((None, None), Stated(tokens=1, cost=2), 1, 2),
        ((0, 0), Stated(), 0, 0),
        ((None, None), Stated(), 0, 0),
        ((None, None), Stated(tokens=-1, cost=-(10**9)), 0, 0),
    ],
)
def test_a_lease_reserves_the_larger(
    allowance: tuple[int | None, int | None], stated: Stated, tokens: int, cost: int
) -> None:
    """A new lease reserves the larger of the tool's `allowance` and what the caller states."""
    one = budget("per = []\nlimits.day = { tokens = 9, cost = '1', requests = 8, leases = 7 }")
    found = taken(stated, obliged(), one, of=tool(*allowance))
    amounts = {charge.metric: (charge.amount, charge.limit) for charge in found}
    assert amounts == {
        "tokens": (tokens, 9),
        "cost": (cost, 1_000_000),
        "requests": (1, 8),
        "leases": (1, 7),
    }


def test_rates_come_first_each_per_principal_and_rule() -> None:
    """`rate_limit`: all of them, each counted per principal and rule."""
    one = budget("per = ['tool']\nlimits.month = { requests = 8 }")
    decision = obliged(rate_limit=["30/minute", "0/day"])
    found = taken(Stated(), decision, one, of=tool())
    assert found[:2] == [
        Charge(json_of("rate", "r", "30/minute", "okta/alice"), "rate", Rate(30, 60), 1, 30, "r"),
        Charge(json_of("rate", "r", "0/day", "okta/alice"), "rate", Rate(0, 86400), 1, 0, "r"),
    ]
    month = Window("month", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    counter = json_of("budget", "b", "month", "requests", "chat")
    assert found[2:] == [Charge(counter, "requests", month, 1, 8, "b")]


def test_what_a_request_reserves() -> None:
    """The tokens and the cost that the request reserves: the larger of allowance and statement."""
    stated, of = Stated(tokens=5, model="gpt"), tool(tokens=2, cost=1)
    limited = reserved([COSTS], of, stated, obliged(), lambda: TABLE)
    assert limited == Usage(5, 3)
    assert reserved([], of, stated, obliged(max_cost="1"), lambda: TABLE) == limited
    assert reserved([], of, stated, obliged(), unasked) == Usage(5, 1)
    assert reserved([], tool(), Stated(), obliged(), unasked) == Usage(None, None)


def test_what_was_used_is_taken_of_tokens_and_cost_alone() -> None:
    """Of each budget that it meets: tokens and cost, in the windows of the time given."""
    one = budget(
        "per = ['tool']\nlimits.day = { tokens = 9, cost = '1', requests = 8, leases = 7 }"
    )
    other = budget("per = []\ntools = ['other']\nlimits.day = { tokens = 9 }")
    day = Window("day", datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC))
    tokens = Charge(json_of("budget", "b", "day", "tokens", "chat"), "tokens", day, 4, 9, "b")
    cost = Charge(json_of("budget", "b", "day", "cost", "chat"), "cost", day, 3, 1_000_000, "b")
    for usage, found in (
        (Usage(4, 3), [tokens, cost]),
        (Usage(None, 3), [cost]),
        (Usage(4, 0), [tokens]),
        (Usage(None, None), []),
    ):
        assert spent([one, other], tool(), ALICE, usage, NOW) == found


def test_a_counter_is_written_as_a_record_can_hold_it() -> None:
    """In ASCII, and a part that has the form of a secret is masked."""
    one = budget("per = ['principal']\nlimits.day = { requests = 8 }")

    def counter(who: str) -> str:
        (charge,) = charges(
            [one], tool(), replace(ALICE, id=who), Stated(), obliged(), NOW, unasked
        )
        return charge.counter

    assert counter("okta/é") == '["budget","b","day","requests","okta/\\u00e9"]'
    hidden = json.loads(counter("ci/ghp_" + "aB3" * 12))
    assert hidden == ["budget", "b", "day", "requests", MASK]


def json_of(*parts: str) -> str:
    """Return the name of a counter."""
    return json.dumps(parts, separators=(",", ":"))


def test_windows_follow_the_zone_of_the_budget() -> None:
    """`tz`: whose clock the windows follow."""
    one = budget("per = []\ntz = 'Europe/Paris'\nlimits.day = { requests = 8 }")
    (charge,) = taken(Stated(), obliged(), one, of=tool())
    assert isinstance(charge.window, Window)
    assert charge.window.start == datetime(2026, 11, 22, 23, tzinfo=UTC)


DAY = "limits.day = { requests = 1 }\n"


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        ("per = []", [()]),
        ("per = ['principal']", [("okta/alice",), ("okta/robot",)]),
        (
            "per = ['environment', 'principal', 'provider', 'tool']",
            [("dev", "okta/alice", "openai", "chat"), ("dev", "okta/robot", "openai", "chat")],
        ),
        ("per = ['group:okta/*']", [("okta/eng",), ("okta/ops",), ("",)]),
        ("per = ['group:okta/e*', 'tool']", [("okta/eng", "chat"), ("", "chat")]),
        ("per = ['group:none/*']", [("",)]),
        ("per = ['group:*/x', 'group:okta/ops']", [("github/x", "okta/ops"), ("", "")]),
        ("per = ['principal']\nprincipals = ['okta/alice']", [("okta/alice",)]),
        ("per = ['principal']\nprincipals = ['group:okta/eng']", [("okta/alice",)]),
        ("per = ['principal']\nprincipals = ['kind:user']", [("okta/alice",)]),
        ("per = ['principal']\nprincipals = ['okta/robot']", [("okta/robot",)]),
        ("per = ['principal']\nprincipals = ['x/y']", []),
        ("per = ['principal']\nexcept = ['okta/alice']", [("okta/robot",)]),
        ("per = ['principal']\nexcept = ['okta/*']", []),
        ("per = ['principal']\nprincipals = ['okta/*']\nexcept = ['*/robot']", [("okta/alice",)]),
        ("per = []\ntools = ['other']", []),
        ("per = []\nproviders = ['aws']", []),
        ("per = []\nenvironments = ['prod']", []),
    ],
)
def test_counters(lines: str, rows: list[tuple[str, ...]]) -> None:
    """A request is counted on its principal and on its actor; one counter for each of `per`."""
    assert counted(budget(f"{lines}\n{DAY}"), tool(), WHO) == rows


def test_a_principal_that_acts_for_itself_is_counted_once() -> None:
    """A request is counted on its principal and on its actor: on one counter only once."""
    who = replace(WHO, actor=WHO.id)
    assert counted(budget(f"per = ['principal']\n{DAY}"), tool(), who) == [("okta/alice",)]
    alone = replace(WHO, actor=None)
    assert counted(budget(f"per = ['principal']\n{DAY}"), tool(), alone) == [("okta/alice",)]


NAMES = st.text('ab/",[]\\é', min_size=1, max_size=4).map(lambda tail: "okta/" + tail)


@property_of(300)
@given(NAMES, NAMES)
def test_no_two_principals_share_a_counter(one: str, other: str) -> None:
    """One counter for each: no name can be made to look like another's."""
    budgets = (budget(f"per = ['principal', 'tool']\n{DAY}"), budget(f"per = ['principal']\n{DAY}"))
    decision = obliged(rate_limit="1/day")
    counters = [
        {found.counter for found in charges(budgets, tool(), who, Stated(), decision, NOW, unasked)}
        for who in (Principal(one, "x"), Principal(other, "x"))
    ]
    assert all(len(each) == 3 for each in counters)
    assert counters[0].isdisjoint(counters[1]) is (one != other)


# Over the limit


@pytest.mark.parametrize(
    ("values", "shown"), [((), "all"), (("okta/alice", "chat"), "okta/alice, chat")]
)
def test_over_a_budget(values: tuple[str, ...], shown: str) -> None:
    """The refusal names budget, counter, used, limit and when the window ends, in local time."""
    charge = Charge(json_of("budget", "b", "hour", "tokens", *values), "tokens", HOUR, 5, 9, "b")
    error = exceeded(charge, 7, NOW + timedelta(minutes=30, microseconds=1))
    assert isinstance(error, BudgetExceededError)
    assert error.message == (
        f"budget b for {shown}: 7 of 9 tokens used this hour, 5 more asked for"
    )
    assert error.hint.startswith("It begins anew at ")
    local = HOUR.end.astimezone()
    assert f"{local:%Y-%m-%d %H:%M:%S}" in error.hint
    assert (error.retry_after, error.exit_code) == (1800, 7)


def test_over_a_cost_budget() -> None:
    """Amounts are shown in dollars."""
    charge = Charge(json_of("budget", "b", "hour", "cost"), "cost", HOUR, 500_000, 1_250_000, "b")
    error = exceeded(charge, 1_000_001, NOW)
    assert "$1.000001 of $1.25 cost used this hour, $0.50 more" in error.message


@pytest.mark.parametrize(
    ("count", "wait", "after", "hint"),
    [(30, 1.2, 2, "Try again in 2 s"), (0, 5.0, None, "Its rate is 0: never")],
)
def test_over_a_rate(count: int, wait: float, after: int | None, hint: str) -> None:
    """0 means zero: waiting does not help."""
    charge = Charge("[]", "rate", Rate(count, 60), 1, count, "r")
    error = exceeded(charge, 0, NOW, wait)
    assert isinstance(error, RateLimitExceededError)
    assert (error.retry_after, error.hint) == (after, hint)
    assert error.message == f"rule r permits {count}/minute"
