"""The way of one request: eight steps, each one call into the place that owns it.

Nothing before the last has put a secret anywhere. A failure at any step ends the request with one
error, gives back what was reserved, and leaves a record.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from agentauth_cli.ending import revoke
from agentauth_cli.errors import (
    AgentAuthError,
    AuthenticationError,
    PermissionDeniedError,
    StateError,
    Stopped,
    UndeliveredError,
)
from agentauth_cli.ledger import records
from agentauth_cli.model import (
    Charge,
    Decision,
    Lease,
    PolicyDecision,
    Principal,
    ProviderCredential,
    Question,
    ToolRequest,
    Usage,
)
from agentauth_cli.policy import charges as limits
from agentauth_cli.policy import decide as rules
from agentauth_cli.policy import switches as kill
from agentauth_cli.policy.charges import Stated
from agentauth_cli.policy.narrow import Narrowed, Tool, narrow, questions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from agentauth_cli.model import Preview
    from agentauth_cli.policy.budgets import Budget
    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.policy.prices import PriceTable
    from agentauth_cli.policy.switches import Switch
    from agentauth_cli.ports import Clock, CredentialBroker, Ledger

TIME_TO_LIVE = timedelta(seconds=80)
"""How long a lease may be pending: the transport's deadline of 20 s, and a minute."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. `delivery` is the way the credential would take: stdout, exec …."""

    tool: Tool
    stated: Stated = field(default_factory=Stated)
    resource: str | None = None
    delivery: str = "stdout"


@dataclass(frozen=True, slots=True)
class Parts:
    """Who does the steps. Files are read, and the ledger opened, by the call that needs them."""

    authenticate: Callable[[], Principal]
    policy: Callable[[], Policy]
    budgets: Callable[[], Sequence[Budget]]
    prices: Callable[[], PriceTable]
    switches: Callable[[], Sequence[Switch]]
    ledger: Callable[[], Ledger]
    broker: Callable[[Tool], CredentialBroker]
    clock: Clock
    lease_id: Callable[[], str]
    process: str
    peer: str


@dataclass(frozen=True, slots=True)
class Bounded:
    """What was decided, and its bounds: a duration in seconds, and what is taken from where."""

    narrowed: Narrowed
    decision: PolicyDecision
    duration: int
    usage: Usage
    charges: Callable[[datetime], Sequence[Charge]]
    """What is taken at a time: the ledger asks at the moment of the reservation."""


@dataclass(frozen=True, slots=True)
class Vended:
    """What a deliverer gets."""

    credential: ProviderCredential
    lease: Lease
    bounded: Bounded


def vend(parts: Parts, asked: Asked, deliver: Callable[[Vended], None]) -> Vended:
    """Go the whole way once. Raises the AgentAuthError of the step that failed."""
    with Trail(parts, "vend.denied", asked) as trail:
        bounded = _ask(parts, asked, trail)
        lease = reserve(parts, asked, bounded, trail)
        credential = mint(parts, bounded, lease)
        trail.minted = lease, credential
        vended = issue(parts, bounded, lease, credential, trail)
        hand_over(parts, vended, deliver)
    return vended


def identify(parts: Parts) -> Principal:
    """Step 1 by itself. Raises AuthenticationError, which is recorded as in every request."""
    try:
        return parts.authenticate()
    except AuthenticationError as error:
        with contextlib.suppress(AgentAuthError):
            _record_refusal(parts, error)
        raise


def check(parts: Parts, asked: Asked) -> Bounded:
    """Go steps 1 to 4 and look at the counters: nothing is reserved. Raises as `vend` would."""
    with Trail(parts, "check", asked) as trail:
        bounded = _ask(parts, asked, trail)
        now = parts.clock()
        parts.ledger().peek(bounded.charges(now), now)
        parts.ledger().append({"event": "check", **trail.known})
    return bounded


def preview(parts: Parts, asked: Asked) -> tuple[Bounded, Preview]:
    """Go as far as `check`, and say what the provider would then be asked. Raises as it does.

    Nothing is reserved and nothing minted: the lease is called `LEASE`.
    """
    bounded = check(parts, asked)
    broker = parts.broker(asked.tool)
    return bounded, broker.preview(bounded.narrowed.principal, _requested(bounded, "LEASE"))


def _ask(parts: Parts, asked: Asked, trail: Trail) -> Bounded:
    policy, budgets = parts.policy(), parts.budgets()
    principal = authenticate(parts, policy, trail)
    narrowed = narrow(asked.tool, principal, asked.resource)
    decision, unreadable = decide(parts, asked, policy, narrowed, trail)
    bounded = bound(parts, asked, budgets, narrowed, decision)
    if unreadable is not None:
        raise unreadable
    return bounded


def authenticate(parts: Parts, policy: Policy, trail: Trail) -> Principal:
    """Step 1: who is asking. Raises AuthenticationError."""
    principal = parts.authenticate()
    trail.authenticated = True
    trail.known.update(records.principal(principal, policy.claims, parts.clock()))
    return principal


def decide(
    parts: Parts, asked: Asked, policy: Policy, narrowed: Narrowed, trail: Trail
) -> tuple[PolicyDecision, StateError | None]:
    """Step 3: switches, then rules. Raises SwitchedOffError, PermissionDeniedError.

    A ledger whose switches cannot be read stops the request, but only once nothing else does: its
    error is handed on.
    """
    now = parts.clock()
    tool, principal = asked.tool, narrowed.principal
    trail.known.update(records.request(narrowed))
    reach = kill.Reach(tool.name, tool.provider, tool.environment, principal)
    kill.check(parts.switches(), reach, now)
    unreadable = _remembered_switches(parts, reach)
    if narrowed.refusal:
        raise PermissionDeniedError(narrowed.refusal, decision=_refused(policy, narrowed.refusal))
    question = Question(principal, "", "", tool.name, tool.environment, now)
    decision = rules.decide(policy, questions(narrowed, question))
    trail.known.update(records.decision(decision))
    if decision.decision is Decision.DENY:
        rule = f": {', '.join(decision.rules)}" if decision.rules else ""
        raise PermissionDeniedError(f"{decision.reason}{rule}", decision=decision)
    _check_delivery(asked, decision)
    return decision, unreadable


def _remembered_switches(parts: Parts, reach: kill.Reach) -> StateError | None:
    try:
        kill.check(parts.ledger().switches(), reach, parts.clock())
    except StateError as error:
        return error
    return None


def _refused(policy: Policy, reason: str) -> PolicyDecision:
    return PolicyDecision(Decision.DENY, reason, policy=policy.digest)


def _check_delivery(asked: Asked, decision: PolicyDecision) -> None:
    allowed = rules.permitted(decision)
    if asked.delivery not in allowed:
        rule = next(
            one.rule for one in decision.obligations["delivery"] if asked.delivery not in one.value
        )
        raise PermissionDeniedError(
            f"delivery not permitted: rule {rule} leaves {', '.join(allowed)}, "
            f"not {asked.delivery}",
            decision=decision,
        )


def bound(
    parts: Parts,
    asked: Asked,
    budgets: Sequence[Budget],
    narrowed: Narrowed,
    decision: PolicyDecision,
) -> Bounded:
    """Step 4: for how long, and what it takes. Raises PermissionDeniedError, LimitError."""
    now, principal = parts.clock(), narrowed.principal
    broker = parts.broker(asked.tool)
    ends = principal.expires_at
    duration = limits.duration(
        asked.tool,
        asked.stated,
        decision,
        (broker.min_duration, broker.max_duration),
        int((ends - now).total_seconds()) if ends else None,
    )

    def charges(at: datetime) -> Sequence[Charge]:
        return limits.charges(
            budgets, asked.tool, principal, asked.stated, decision, at, parts.prices
        )

    charges(now)  # what the obligations refuse is refused before anything is reserved
    usage = limits.taken(budgets, asked.tool, asked.stated, decision, parts.prices)
    return Bounded(narrowed, decision, duration, usage, charges)


def reserve(parts: Parts, asked: Asked, bounded: Bounded, trail: Trail) -> Lease:
    """Step 5: all charges or none, and the lease. Raises LimitError, StateError."""
    now, principal = parts.clock(), bounded.narrowed.principal
    resource = bounded.narrowed.resource
    lease = Lease(
        id=parts.lease_id(),
        principal=principal.id,
        tool=asked.tool.name,
        provider=asked.tool.provider,
        environment=asked.tool.environment,
        resource=resource if isinstance(resource, str) else " ".join(resource),
        reserved_at=now,
        ends_at=now + TIME_TO_LIVE,
        actor=principal.actor,
        process=parts.process,
    )
    trail.lease = lease.id
    record = {"event": "vend.intent", **trail.known, "lease": lease.id}
    parts.ledger().reserve(lease, bounded.charges, record, bounded.usage)
    return lease


def mint(parts: Parts, bounded: Bounded, lease: Lease) -> ProviderCredential:
    """Step 6: the credential. Raises ProviderError, SourceCredentialError."""
    narrowed = bounded.narrowed
    broker = parts.broker(narrowed.tool)
    return broker.vend_credential(narrowed.principal, _requested(bounded, lease.id))


def _requested(bounded: Bounded, lease: str) -> ToolRequest:
    tool = bounded.narrowed.tool
    return ToolRequest(
        tool_name=tool.name,
        provider=tool.provider,
        max_duration=bounded.duration,
        grants=bounded.narrowed.grants,
        role=tool.role,
        service_account=tool.service_account,
        policy_arns=tool.policy_arns,
        oauth_scopes=tool.oauth_scopes,
        unnarrowed=tool.unnarrowed,
        lease=lease,
    )


def issue(
    parts: Parts, bounded: Bounded, lease: Lease, credential: ProviderCredential, trail: Trail
) -> Vended:
    """Step 7: the switches once more, then the lease is active.

    Raises SwitchedOffError; RevokedError where the lease was released meanwhile; StateError where
    the process was stopped for longer than a lease may be pending, since what was decided then
    need not hold any more.
    """
    trail.known.update(records.credential(credential))
    if parts.clock() >= lease.ends_at:
        raise StateError(f"lease {lease.id} was not issued in its time", hint="Try again")
    tool, principal = bounded.narrowed.tool, bounded.narrowed.principal
    reach = kill.Reach(tool.name, tool.provider, tool.environment, principal)

    def recheck(remembered: Sequence[Switch]) -> None:
        kill.check([*parts.switches(), *remembered], reach, parts.clock())

    active = replace(
        lease,
        state="active",
        ends_at=credential.expires_at,
        credential_id=credential.credential_id,
    )
    record = {"event": "vend.issued", **trail.known, "lease": lease.id}
    parts.ledger().issue(active, record, recheck)
    return Vended(replace(credential, lease=lease.id), active, bounded)


def hand_over(parts: Parts, vended: Vended, deliver: Callable[[Vended], None]) -> None:
    """Step 8: the bytes. Raises UndeliveredError, also where the process was stopped for long."""
    check_alive(parts, vended)
    deliver(vended)


def check_alive(parts: Parts, vended: Vended) -> None:
    """Raise UndeliveredError for a credential that has expired on its way."""
    if parts.clock() >= vended.credential.expires_at:
        raise UndeliveredError("the credential expired before it could be handed over")


class Trail:
    """What is known of a request so far, and what its failure leaves behind.

    `denied` is the event of a failure before anything was reserved. What is `minted` then reaches
    nobody, and is ended where it can be ended alone.
    """

    def __init__(self, parts: Parts, denied: str, asked: Asked) -> None:
        self.known: dict[str, Any] = {
            **records.tool(asked.tool),
            "user_reason": asked.stated.reason,
        }
        self.lease = ""
        self.minted: tuple[Lease, ProviderCredential] | None = None
        self.authenticated = False
        self._asked = asked
        self._parts = parts
        self._denied = denied

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            return
        try:
            self._leave(error)
        except Stopped:  # while it waited for the ledger; there is no second one
            self._leave(error)
            raise
        if self.minted is not None:
            self._take_back(*self.minted)

    def _take_back(self, lease: Lease, credential: ProviderCredential) -> None:
        """End it. What comes of that is in the audit trail, and hides no more than `_leave`."""
        with contextlib.suppress(AgentAuthError):
            broker = partial(self._parts.broker, self._asked.tool)
            revoke(self._parts.ledger(), broker, lease, credential)

    def _leave(self, error: BaseException) -> None:
        """Give back and write down. What cannot be must not hide why the request failed."""
        with contextlib.suppress(AgentAuthError):
            if isinstance(error, AuthenticationError) and not self.authenticated:
                _record_refusal(self._parts, error)
            else:
                self._record(self._parts.ledger(), error)

    def _record(self, ledger: Ledger, error: BaseException) -> None:
        """Act on how far the lease came by the ledger's word: a signal may have come behind it."""
        why = {"lease": self.lease, "reason": _reason(error), "decision": Decision.DENY}
        match ledger.lease_state(self.lease):
            case "":
                ledger.append({"event": self._denied, **self.known, **why})
            case "pending" | "released":  # by whoever revoked it: what was minted is known here
                ledger.release(self.lease, {"event": "vend.failed", **self.known, **why})
            case "active":
                why["reason"] = f"undelivered: {why['reason']}"
                ledger.undelivered(self.lease, {"event": "vend.failed", **self.known, **why})


def _record_refusal(parts: Parts, error: AuthenticationError) -> None:
    """Write a refusal down, thinned by peer and reason: a service is one peer for all its callers.

    The reasons are so many and no more, so that a flood stays as thin.
    """
    record = {"event": "login.failed", "reason": f"{error.reason}: {error.message}"}
    parts.ledger().append_thinned(f"{parts.peer}: {error.reason}", {**record, "peer": parts.peer})


def _reason(error: BaseException) -> str:
    if isinstance(error, Stopped):
        return f"stopped by signal {error.signum}"
    if isinstance(error, AgentAuthError):
        return f"{type(error).__name__}: {error.message}"
    return type(error).__name__
