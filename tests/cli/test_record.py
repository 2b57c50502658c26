"""`budget record`: what a lease really used, reported by who it was vended to."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.cli import record
from agentauth_cli.cli.record import RecordInput
from agentauth_cli.cli.run import run
from agentauth_cli.errors import (
    AuthenticationError,
    ConfigError,
    PermissionDeniedError,
    StateError,
    UnknownNameError,
    UnpricedModelError,
    UsageError,
)
from agentauth_cli.model import Charged, Principal, Usage
from agentauth_cli.policy.usage import Tokens, Used
from agentauth_cli.wiring import Wiring
from support.clock import FakeClock
from support.ledgers import charge, lease, reserve, sound

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
version = 1
default_environment = "dev"

[environments.dev.aws]
account_id = "111111111111"
role_arn_template = "arn:aws:iam::{account_id}:role/{tool_name}"
region = "eu-west-1"

[environments.prod.aws]
account_id = "222222222222"
role_arn_template = "arn:aws:iam::{account_id}:role/{tool_name}"
region = "eu-west-1"

[tools.s3_upload]
provider = "aws"
actions = ["aws.s3.put"]
permissions = ["s3:PutObject"]
resource = "s3://acme/*"
TRUST

[tools.s3_upload.environments.prod]
trust_reported_usage = true
"""
BUDGETS = """\
version = 1
[prices]
"aws/model" = { input = "1", output = "4", cached_input = "0.1" }
"""
COSTS = '["budget","b1","day","cost","costs"]'


@dataclass(frozen=True)
class Desk(Wiring):
    """The parts of a configuration, asked by whoever is set."""

    who: str = "okta/alice"

    def authenticate(self) -> Principal:
        """Return who was set."""
        return Principal(self.who, self.who)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return the parts; the ledger has an issued lease L1 of 1,000 tokens and a cent."""
    names = ("CONFIG", "STATE", "DATA")
    made = Desk({f"AGENTAUTH_{name}_DIR": str(tmp_path / name) for name in names}, FakeClock())
    made.places.config.mkdir(mode=0o700)
    write(made, "config.toml", CONFIG.replace("TRUST", ""))
    write(made, "budgets.toml", BUDGETS)
    issue(made, "L1")
    return made


def write(desk: Desk, name: str, text: str) -> None:
    """Write a file of the configuration."""
    path = desk.places.config / name
    path.write_text(text)
    path.chmod(0o600)


def issue(desk: Desk, name: str, **fields: Any) -> None:
    """Reserve and issue a lease of a quarter of an hour, under narrow limits."""
    taken = (charge(1000, 2000), replace(charge(10_000, 20_000, metric="cost"), counter=COSTS))
    pending = lease(name, desk.clock(), 80, **fields)
    record = {"event": "vend.intent", "lease": name}
    desk.ledger.reserve(pending, lambda _: taken, record, Usage(1000, 10_000))
    active = replace(lease(name, desk.clock(), 900, **fields), state="active")
    desk.ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _: None)


def report(
    desk: Desk,
    name: str = "L1",
    tokens: int | None = None,
    cost: int | None = None,
    model: str | None = None,
    used: Used | None = None,
) -> Charged:
    """Record what a lease used; return what it is charged then. The ledger stays sound."""
    record.work(
        desk, RecordInput(name, tokens, cost, model, (used,) if used else ()), as_json=False
    )
    assert sound(desk.ledger)
    found = desk.ledger.charged(name)
    assert found is not None
    return found


def counted(desk: Desk) -> dict[str, tuple[int, int]]:
    """Return what is spent and reserved of each counter, by its metric and values."""
    return {
        " ".join(json.loads(counter)[4:]): used
        for (counter, _), used in desk.ledger.counters().items()
    }


def test_it_raises_what_the_lease_is_charged(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """`budget record` may only raise it; recording the same twice counts once."""
    assert report(desk, tokens=1200) == Charged(1200, "declared", 10_000, "allowance")
    assert capsys.readouterr().out == (
        "L1: recorded 1200 tokens\nL1: is charged 1200 tokens, $0.01\n"
    )
    assert counted(desk)["sums"] == (0, 1200)
    report(desk, tokens=1200)
    shown = capsys.readouterr()
    assert shown.out == "L1: recorded 1200 tokens\n"
    assert shown.err == "L1 was charged 1200 tokens, $0.01 already: this changes nothing\n"
    report(desk, tokens=3)
    assert counted(desk)["sums"] == (0, 1200)
    events = [json.loads(row.record)["event"] for row in desk.ledger.records()]
    assert events[-3:] == ["usage.recorded"] * 3


def test_what_was_really_used_counts_also_over_the_limit(desk: Desk) -> None:
    """What was really used always counts, even when it goes over."""
    report(desk, tokens=99_999, cost=5_000_000)
    assert counted(desk) == {"sums": (0, 99_999), "costs": (0, 5_000_000)}


def test_a_settled_lease_raises_its_own_window(desk: Desk) -> None:
    """A charge belongs to the window of its reservation, also when it is reported later."""
    assert isinstance(desk.clock, FakeClock)
    desk.clock.advance(seconds=86_400)
    desk.ledger.settle_ended()
    report(desk, tokens=1200)
    assert counted(desk) == {"sums": (1200, 0), "costs": (10_000, 0)}


@pytest.mark.parametrize(
    ("actor", "who", "own"),
    [
        (None, "okta/alice", True),
        ("okta/robot", "okta/alice", True),
        ("okta/robot", "okta/robot", True),
        (None, "okta/bob", False),
        (None, "okta/alice2", False),
        ("okta/robot", "okta/bob", False),
    ],
)
def test_only_for_ones_own_leases(desk: Desk, actor: str | None, who: str, *, own: bool) -> None:
    """The principal that whoami gives must be the lease's principal or its actor."""
    issue(desk, "L2", actor=actor)
    before = desk.ledger.head()
    as_who = replace(desk, who=who)
    if own:
        assert report(as_who, "L2", tokens=2000).tokens == 2000
        return
    with pytest.raises(PermissionDeniedError) as raised:
        report(as_who, "L2", tokens=2000)
    assert raised.value.message == f"lease L2 is of okta/alice, not of {who}"
    assert raised.value.exit_code == 5
    assert desk.ledger.head() == before


@pytest.mark.parametrize("state", ["pending", "orphaned", "released"])
def test_a_lease_that_was_never_delivered_used_nothing(desk: Desk, state: str) -> None:
    """Released leases: nothing was delivered: refused clearly."""
    fields: dict[str, Any] = {"process": "1 2"} if state == "orphaned" else {}
    reserve(desk.ledger, "L2", charge(1, 5000), **fields)
    if state == "released":
        desk.ledger.release("L2", {"event": "vend.failed", "lease": "L2"})
    with pytest.raises(UsageError, match=f"^lease L2 is {state}: nothing was vended"):
        report(desk, "L2", tokens=1)
    assert sound(desk.ledger)


def test_an_unknown_lease_is_named_with_the_nearest(desk: Desk) -> None:
    """Unknown lease: exit 2 with the nearest."""
    issue(desk, "Lf00dfeed")
    with pytest.raises(UnknownNameError, match="no lease 'Lf00dfeec': did you mean `Lf00dfeed`"):
        report(desk, "Lf00dfeec", tokens=1)


def test_the_price_table_says_what_it_cost(desk: Desk) -> None:
    """Tokens without a split at the dearer side, a usage object by its kinds, rounded up."""
    assert report(desk, tokens=10_001, model="model").cost == 40_004
    used = Used(Tokens(input=1, cached_input=200_001, output=10_000), "openai", "model")
    assert report(desk, used=used) == Charged(210_002, "declared", 60_002, "declared")
    assert report(desk, used=replace(used, model="other"), model="MODEL").cost == 60_002
    assert report(desk, used=replace(used, model="other"), cost=70_000).cost == 70_000
    with pytest.raises(UnpricedModelError, match="no price for aws/unheard-of"):
        report(desk, tokens=1, model="unheard-of")
    with pytest.raises(
        UsageError, match=r"the cost of the tokens: expected \$1000000000.00 at most"
    ):
        report(desk, tokens=10**15, model="model")
    dearest = report(desk, used=replace(used, model=None)).cost
    assert dearest > 70_000


def test_a_model_without_a_price(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused only where a limit on cost can be meant; the tokens count all the same."""
    for name, parts in (("L2", {}), ("L3", {"obligations": {"max_cost": {"value": "1.00"}}})):
        record_ = {"event": "vend.intent", "lease": name, **parts}
        desk.ledger.reserve(lease(name, desk.clock()), lambda _: [charge(10, 9999)], record_)
        active = replace(lease(name, desk.clock(), 900), state="active")
        desk.ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _: None)
    found = report(desk, "L2", tokens=50, model="unheard-of")
    assert found == Charged(50, "declared", 0, "allowance")
    assert "no price for aws/unheard-of: no cost is recorded. Add to" in capsys.readouterr().err
    for name in ("L1", "L3"):
        with pytest.raises(UnpricedModelError):
            report(desk, name, tokens=50, model="unheard-of")


def test_the_usage_of_several_calls_is_summed(desk: Desk) -> None:
    """A lease's total: each call at its own price, all of them in one report."""
    calls = (
        Used(Tokens(input=10_000), "openai", "model"),
        Used(Tokens(output=5000), "openai", "o"),
    )
    record.work(desk, RecordInput("L1", None, None, "model", calls), as_json=False)
    assert desk.ledger.charged("L1") == Charged(15_000, "declared", 30_000, "declared")
    most = (Used(Tokens(input=10**15), "openai"),) * 2
    with pytest.raises(UsageError, match="--usage-json: expected an integer from 0 to"):
        record.work(desk, RecordInput("L1", None, 1, None, most), as_json=False)
    record.work(desk, RecordInput("L1", None, 1, None, calls), as_json=False)
    assert sound(desk.ledger)
    models = [json.loads(row.record).get("model") for row in desk.ledger.records_of("L1")]
    assert models == [None, None, "model", "model o"]


def test_who_reported_is_written_down_where_it_is_another(desk: Desk) -> None:
    """A principal and its actor are told apart in the trail."""
    issue(desk, "L2", actor="okta/robot")
    for who in ("okta/alice", "okta/robot"):
        report(replace(desk, who=who), "L2", tokens=2000)
    said = [json.loads(row.record).get("by") for row in desk.ledger.records_of("L2")]
    assert said == [None, None, None, "okta/robot"]


def test_what_else_stops_it_comes_before_the_ledger(desk: Desk) -> None:
    """Where several hold, the first of 2, 3, 4, 9 is given."""
    anew = Wiring(desk.environ, desk.clock)
    given = RecordInput("L1", 1, None, None)
    desk.ledger.path.unlink()
    with pytest.raises(AuthenticationError):
        record.work(anew, given, as_json=False)
    with pytest.raises(StateError):
        record.work(replace(desk), given, as_json=False)
    write(desk, "config.toml", "nonsense = 1")
    with pytest.raises(ConfigError):
        record.work(replace(anew), given, as_json=False)
    with pytest.raises(UnknownNameError):
        record.work(replace(anew), replace(given, lease="\udcff"), as_json=False)


def test_a_tool_whose_reports_are_trusted_may_lower_it(desk: Desk) -> None:
    """Tools with `trust_reported_usage` may lower it."""
    write(desk, "config.toml", CONFIG.replace("TRUST", "trust_reported_usage = true"))
    desk = replace(desk)  # which has not read its files yet
    assert report(desk, tokens=300, cost=100) == Charged(300, "declared", 100, "declared")
    assert counted(desk) == {"sums": (0, 300), "costs": (0, 100)}
    issue(desk, "L2", environment="prod")
    assert report(desk, "L2", tokens=1).tokens == 1


def test_trust_ends_with_the_tool(desk: Desk) -> None:
    """Nothing says any more that its reports are trusted: raise only."""
    issue(desk, "L2", tool="gone")
    report(desk, "L2", tokens=1)
    assert counted(desk)["sums"] == (0, 2000)


def test_the_result_as_json(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Amounts as decimal strings."""
    given = RecordInput("L1", 1200, 20_000, None)
    record.work(desk, given, as_json=True)
    record.work(desk, given, as_json=True)
    first, again = map(json.loads, capsys.readouterr().out.splitlines())
    charged = {"tokens": 1200, "cost": "0.02"}
    said = {"lease": "L1", "tokens": 1200, "cost": "0.02", "charged": charged}
    assert (first, again) == ({**said, "changed": True}, {**said, "changed": False})
    (found,) = [json.loads(row.record) for row in desk.ledger.records() if '"seq":3' in row.record]
    assert (found["usage"], found["tokens"], found["cost"]) == ("declared", 1200, "0.02")


# What can be given

Stdin = Callable[[bytes], None]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Stdin:
    """Return what sets standard input."""

    def put(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return put


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --tokens, --cost or --usage-json"),
        (("--model", "gpt"), "give --tokens, --cost or --usage-json"),
        (("--tokens", "1", "--usage-json", "-"), "give --tokens or --usage-json, not both"),
        (("--tokens", str(10**15 + 1)), "--tokens: expected an integer from 0 to 1000000000000000"),
        (("--cost", "1000000000.01"), "--cost: expected $1000000000.00 at most"),
        (("--tokens", "-1"), "--tokens"),
        (("--tokens", "1", "--model", ""), "model: is no name of 1 to 256 printable characters"),
        (("--tokens", "1", "--model", "m\udcff"), "model: is no name of 1 to 256 printable"),
        (("--cost", "1e3"), "--cost: expected an amount in USD"),
        (("--cost", "-1"), "--cost: expected an amount in USD"),
        (("--usage-json", "absent"), "--usage-json: absent cannot be read: No such file"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...], message: str, stdin: Stdin, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing given, or what contradicts itself: exit 2."""
    stdin(b'{"prompt_tokens": 1, "completion_tokens": 1}')
    assert run(["budget", "record", "L1", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"[]", "holds no usage object"),
        (b"[1]", "usage: is no usage object"),
        (b"5", "usage: is no usage object"),
        (b'{"prompt_tokens": 1, "completion_tokens": 1}\n[]', "is not a JSON object"),
        (b'{"prompt_tokens": 1, "prompt_tokens": 2}', "has a duplicate key"),
        (b'{"prompt_tokens": NaN}', "holds NaN"),
        (b'{"prompt_tokens": 1e3, "completion_tokens": 1}', "prompt_tokens: is no integer"),
        (b"\xff", "is not UTF-8"),
        (b'{"x": "' + b" " * 1024 * 1024 + b'"}', "larger than 1048576 bytes"),
    ],
)
def test_only_strict_json_is_believed(
    content: bytes, message: str, stdin: Stdin, capsys: pytest.CaptureFixture[str]
) -> None:
    """Duplicate keys, NaN, floats: exit 2, and nothing is recorded."""
    stdin(content)
    assert run(["budget", "record", "L1", "--usage-json", "-"]) == 2
    assert message in capsys.readouterr().err


def test_a_closed_standard_input_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can be read from it."""
    monkeypatch.setattr("sys.stdin", None)
    assert run(["budget", "record", "L1", "--usage-json", "-"]) == 2
    assert "standard input is closed" in capsys.readouterr().err


def test_nothing_is_recorded_where_the_ledger_refuses(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a record cannot be written nothing changes."""

    def refuse(*_: object) -> None:
        raise StateError("full")

    monkeypatch.setattr(desk.ledger, "write", refuse)
    with pytest.raises(StateError):
        record.work(desk, RecordInput("L1", 2000, None, None), as_json=False)
    assert counted(desk)["sums"] == (0, 1000)
