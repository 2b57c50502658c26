"""`budget record`: what a lease really used. It raises what was reserved."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.leases import named
from agentauth_cli.cli.options import Identity, Json, Model
from agentauth_cli.cli.vend_work import parsed
from agentauth_cli.errors import (
    PermissionDeniedError,
    StateError,
    UnpricedModelError,
    UsageError,
)
from agentauth_cli.model import Charged, Usage
from agentauth_cli.policy import usage as usages
from agentauth_cli.policy.prices import usage_cost
from agentauth_cli.strict_json import parse, parse_object
from agentauth_cli.tables import values
from agentauth_cli.tables.values import dollars
from agentauth_cli.vending import identify
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from typing import BinaryIO

    from agentauth_cli.model import Lease, Principal
    from agentauth_cli.policy.usage import Used

MAX_BYTES = 1024 * 1024
_NOT_ISSUED = ("pending", "orphaned", "released")


def declare(group: typer.Typer) -> None:
    """Add the command."""

    @group.command()
    def record(
        lease: Annotated[str, typer.Argument(metavar="LEASE", help="A lease of one's own.")],
        *,
        tokens: Annotated[
            int | None, typer.Option("--tokens", metavar="N", min=0, help="Tokens in all.")
        ] = None,
        cost: Annotated[
            str | None,
            typer.Option("--cost", metavar="C", help="USD: 0.50; else by the price table."),
        ] = None,
        model: Model = None,
        usage_json: Annotated[
            str | None,
            typer.Option(
                "--usage-json",
                metavar="FILE",
                help="The provider's usage objects, or responses with one, of all calls: one, "
                "an array, or one a line; - is standard input.",
            ),
        ] = None,
        identity: Identity = None,
        as_json: Json = False,
    ) -> None:
        """Raise what a lease is charged to what it really used in all.

        What is reported is the lease's total: the same twice counts once, and of several reports
        the largest. The usage of several calls goes into one report, which sums them.
        """
        used = None if usage_json is None else _read(usage_json)
        wiring = Wiring(say=screen.say, chosen=identity)
        work(wiring, _given(lease, tokens, cost, model, used), as_json=as_json)


@dataclass(frozen=True)
class RecordInput:
    """What is reported of a lease: cost in micro-dollars, tokens as a sum or by kind and call."""

    lease: str
    tokens: int | None
    cost: int | None
    model: str | None
    used: tuple[Used, ...] = ()


def _given(
    lease: str,
    tokens: int | None,
    cost: str | None,
    model: str | None,
    used: tuple[Used, ...] | None,
) -> RecordInput:
    if used is not None and tokens is not None:
        raise UsageError("give --tokens or --usage-json, not both")
    if used is None and tokens is None and cost is None:
        raise UsageError("give --tokens, --cost or --usage-json")
    return RecordInput(
        lease,
        parsed("--tokens", values.tokens, tokens),
        parsed("--cost", values.cost, cost),
        model,
        used or (),
    )


def _read(name: str) -> tuple[Used, ...]:
    """Read usage objects. Raises UsageError; what else stands in the file is not repeated."""
    try:
        with _opened(name) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"--usage-json: {name} cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise UsageError(f"--usage-json: larger than {MAX_BYTES} bytes")
    try:
        found = tuple(usages.read(one) for one in _objects(content))
    except ValueError as error:
        raise UsageError(f"--usage-json: {error}") from None
    if not found:
        raise UsageError("--usage-json: holds no usage object")
    return found


def _objects(content: bytes) -> list[Any]:
    """Return the usage objects of a file: one, an array of them, or one a line."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    if len(lines) > 1 and _is_whole(lines[0]):
        return [parse_object(line) for line in lines]
    found = parse(content)
    return found if isinstance(found, list) else [found]


def _is_whole(line: bytes) -> bool:
    try:
        parse_object(line)
    except ValueError:
        return False
    return True


def _opened(name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if name != "-":
        return Path(name).open("rb")
    if sys.stdin is None:
        raise UsageError("--usage-json: standard input is closed")
    return contextlib.nullcontext(sys.stdin.buffer)


def work(wiring: Wiring, given: RecordInput, *, as_json: bool) -> None:
    """Record it, and show what the lease is charged then.

    Raises UnknownNameError, UsageError for a lease that was never delivered, PermissionDeniedError
    for one of somebody else, UnpricedModelError where the cost is limited and nothing says it.
    """
    try:
        lease = named(wiring, given.lease)
    except StateError:
        identify(wiring.parts())  # what else stops it comes before the ledger
        raise
    who = identify(wiring.parts())
    _check_own(lease, who)
    if lease.state in _NOT_ISSUED:
        raise UsageError(
            f"lease {lease.id} is {lease.state}: nothing was vended for it, and nothing used",
            hint="See `agentauth lease list`",
        )
    ledger, usage = wiring.ledger, measured(wiring, lease, given)
    before = ledger.charged(lease.id)
    models = dict.fromkeys(one.model for one in given.used if one.model)
    lower = wiring.settings.trusts_usage(lease.tool, lease.environment)
    said = {
        "model": given.model or " ".join(models),
        "auth": who.auth,
        "by": who.id if who.id != lease.principal else None,
    }
    ledger.record_usage(lease.id, usage, said, lower=lower)
    after = ledger.charged(lease.id)
    _show(lease, usage, before, after, as_json=as_json)


def _check_own(lease: Lease, who: Principal) -> None:
    if who.id not in (lease.principal, lease.actor):
        raise PermissionDeniedError(
            f"lease {lease.id} is of {lease.principal}, not of {who.id}",
            hint="Record it as who it was vended to",
        )


def measured(wiring: Wiring, lease: Lease, given: RecordInput) -> Usage:
    """Return tokens and cost; what is not said of the cost is what the price table says.

    Raises UnpricedModelError where it says nothing, and the cost of the lease is limited.
    """
    tokens = given.tokens
    if given.used:
        total = sum(one.tokens.total for one in given.used)
        tokens = parsed("--usage-json", values.tokens, total)
    if given.cost is not None:
        return Usage(tokens, given.cost)
    try:
        return Usage(tokens, _priced(wiring, lease.provider, given))
    except UnpricedModelError as error:
        if _cost_limited(wiring, lease.id):
            raise
        screen.say(f"{error.message}: no cost is recorded. {error.hint}")
        return Usage(tokens)


def _priced(wiring: Wiring, provider: str, given: RecordInput) -> int | None:
    """Return the cost by the price table, call by call: a price may go by the length of one."""
    if given.used:
        table = wiring.prices
        cost = sum(usage_cost(table, one, provider, given.model) for one in given.used)
        return parsed("--usage-json", values.affordable, cost)
    if given.tokens is None or given.model is None:
        return None
    return wiring.prices.cost_of(given.tokens, provider, given.model)


def _cost_limited(wiring: Wiring, lease_id: str) -> bool:
    """Say whether a budget or the policy limits what the lease costs, as it was vended."""
    for row in wiring.ledger.records_of(lease_id):
        record = json.loads(row.record)
        if record.get("event") == "vend.intent":
            metrics = {charge.get("metric") for charge in record.get("charges", ())}
            return "cost" in metrics or "max_cost" in record.get("obligations", ())
    return True


def _show(
    lease: Lease, usage: Usage, before: Charged | None, after: Charged | None, *, as_json: bool
) -> None:
    charged = after or Charged(0, "allowance", 0, "allowance")
    changed = before is None or (before.tokens, before.cost) != (charged.tokens, charged.cost)
    if as_json:
        screen.out_json(
            {
                "lease": lease.id,
                "tokens": usage.tokens,
                "cost": None if usage.cost is None else dollars(usage.cost),
                "charged": {"tokens": charged.tokens, "cost": dollars(charged.cost)},
                "changed": changed,
            }
        )
        return
    said = [] if usage.tokens is None else [f"{usage.tokens} tokens"]
    said += [] if usage.cost is None else [f"${dollars(usage.cost)}"]
    screen.out(f"{lease.id}: recorded {', '.join(said)}")
    total = f"{charged.tokens} tokens, ${dollars(charged.cost)}"
    if changed:
        screen.out(f"{lease.id}: is charged {total}")
    else:
        screen.say(f"{lease.id} was charged {total} already: this changes nothing")
