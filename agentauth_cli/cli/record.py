"""`budget record`: what a lease really used. It raises what was reserved."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.leases import named
from agentauth_cli.cli.options import Identity, Json, Model
from agentauth_cli.cli.vend import parsed
from agentauth_cli.errors import PermissionDeniedError, UsageError
from agentauth_cli.inbound.strict_json import parse_object
from agentauth_cli.model import Charged, Usage
from agentauth_cli.policy import usage as usages
from agentauth_cli.policy.prices import usage_cost
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
                help="The provider's usage object, or a response with one; - is standard input.",
            ),
        ] = None,
        identity: Identity = None,
        as_json: Json = False,
    ) -> None:
        """Raise what a lease is charged to what it really used."""
        used = None if usage_json is None else _read(usage_json)
        wiring = Wiring(say=screen.say, chosen=identity)
        work(wiring, _given(lease, tokens, cost, model, used), as_json=as_json)


@dataclass(frozen=True)
class RecordInput:
    """What is reported of a lease: cost in micro-dollars, tokens as a sum or by kind."""

    lease: str
    tokens: int | None
    cost: int | None
    model: str | None
    used: Used | None


def _given(
    lease: str, tokens: int | None, cost: str | None, model: str | None, used: Used | None
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
        used,
    )


def _read(name: str) -> Used:
    """Read a usage object. Raises UsageError; what else stands in the file is not repeated."""
    try:
        with _opened(name) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"--usage-json: {name} cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise UsageError(f"--usage-json: larger than {MAX_BYTES} bytes")
    try:
        return usages.read(parse_object(content))
    except ValueError as error:
        raise UsageError(f"--usage-json: {error}") from None


def _opened(name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if name != "-":
        return Path(name).open("rb")
    if sys.stdin is None:
        raise UsageError("--usage-json: standard input is closed")
    return contextlib.nullcontext(sys.stdin.buffer)


def work(wiring: Wiring, given: RecordInput, *, as_json: bool) -> None:
    """Record it, and show what the lease is charged then.

    Raises UnknownNameError, UsageError for a lease that was never delivered, PermissionDeniedError
    for one of somebody else, UnpricedModelError where nothing says what the model costs.
    """
    lease = named(wiring, given.lease)
    who = identify(wiring.parts())
    _check_own(lease, who)
    if lease.state in _NOT_ISSUED:
        raise UsageError(
            f"lease {lease.id} is {lease.state}: nothing was vended for it, and nothing used",
            hint="See `agentauth lease list`",
        )
    ledger, usage = wiring.ledger, measured(wiring, lease, given)
    before = ledger.charged(lease.id)
    model = given.model or (given.used.model if given.used else None)
    lower = wiring.settings.trusts_usage(lease.tool, lease.environment)
    ledger.record_usage(lease.id, usage, {"model": model, "auth": who.auth}, lower=lower)
    after = ledger.charged(lease.id)
    _show(lease, usage, before, after, as_json=as_json)


def _check_own(lease: Lease, who: Principal) -> None:
    if who.id not in (lease.principal, lease.actor):
        raise PermissionDeniedError(
            f"lease {lease.id} is of {lease.principal}, not of {who.id}",
            hint="Record it as who it was vended to",
        )


def measured(wiring: Wiring, lease: Lease, given: RecordInput) -> Usage:
    """Return tokens and cost; what is not said of the cost is what the price table says."""
    tokens, cost = given.tokens, given.cost
    if given.used is not None:
        tokens = given.used.tokens.total
        if cost is None:
            cost = usage_cost(wiring.prices, given.used, lease.provider, given.model)
    elif cost is None and tokens is not None and given.model is not None:
        cost = wiring.prices.cost_of(tokens, lease.provider, given.model)
    return Usage(tokens, cost)


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
