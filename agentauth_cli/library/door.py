"""`AgentAuth`: who is asking, may they, and the credential, in a program of your own.

Every call reads the files anew and opens the ledger for itself: a switch, an edit of the policy and
another process count at once, threads share nothing, and a process that forks has nothing open.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import replace
from datetime import UTC, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from agentauth_cli import ending, vending
from agentauth_cli.errors import (
    AgentAuthError,
    AuthenticationError,
    PermissionDeniedError,
)
from agentauth_cli.inbound.claims import LEEWAY
from agentauth_cli.inbound.verifier import bare
from agentauth_cli.ledger import records
from agentauth_cli.ledger.memory import MemoryLedger
from agentauth_cli.library import amounts
from agentauth_cli.library import asking as asking_
from agentauth_cli.library.decisions import DecisionPoint
from agentauth_cli.library.handover import Handover
from agentauth_cli.library.journal import AuditLog
from agentauth_cli.library.pace import RateLimiter
from agentauth_cli.model import ProviderType, Usage
from agentauth_cli.wiring import Wiring, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from decimal import Decimal
    from typing import Any, Self, Unpack

    from agentauth_cli.library.asking import Asking
    from agentauth_cli.model import PolicyDecision, Principal, ProviderCredential
    from agentauth_cli.ports import Clock, CredentialBroker
    from agentauth_cli.vending import Parts

_LEEWAY = timedelta(seconds=LEEWAY)
_NONE = timedelta(0)


class AgentAuth:
    """One configuration, for as many threads as there are. See `from_config`."""

    def __init__(
        self,
        *,
        environ: Callable[[], dict[str, str]],
        clock: Clock = utc_now,
        brokers: Callable[[ProviderType, str], CredentialBroker] | None = None,
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._brokers = brokers
        self._lock = threading.Lock()
        self._memory: MemoryLedger | None = None

    @classmethod
    def from_config(
        cls, directory: str | os.PathLike[str] | None = None, clock: Clock | None = None
    ) -> Self:
        """Return the door to the configuration in force, or to the one in `directory`.

        `clock` is a callable that returns an aware datetime. Raises ConfigError where config.toml
        is missing or does not load.
        """

        def environ() -> dict[str, str]:
            moved = {} if directory is None else {"AGENTAUTH_CONFIG_DIR": str(Path(directory))}
            return {**os.environ, **moved}

        made = cls(environ=environ, clock=utc_now if clock is None else partial(_utc, clock))
        with made.wiring() as wiring:
            _ = wiring.settings
        return made

    @contextlib.contextmanager
    def wiring(self, presented: str | None = None) -> Iterator[Wiring]:
        """Wire the parts for one call; what it opened is closed at its end.

        `presented` is what its caller has shown: this process's own token is nobody else's.
        """
        wired = Wiring(
            environ=self._environ(),
            clock=self._clock,
            ephemeral=self._ephemeral,
            brokers=self._brokers,
            shown=lambda: bare(presented) if presented is not None else None,
        )
        with contextlib.closing(wired):
            yield wired

    def _ephemeral(self, **made: Any) -> MemoryLedger:
        """Return the one ledger that all calls share where it is in memory."""
        with self._lock:
            if self._memory is None:
                self._memory = MemoryLedger(**made)
            return self._memory

    # -- the steps ---------------------------------------------------------------------------

    def authenticate(self, presented: str | None) -> Principal:
        """Return who presents this: the value of an Authorization header, a JWT or an API key.

        Raises AuthenticationError, with a `reason`, for anything less than a good one.
        """
        with self.wiring() as wiring:
            principal = vending.identify(
                replace(
                    wiring.parts(),
                    authenticate=lambda: wiring.verifier.authenticate(_text(presented)),
                )
            )
            if not wiring.ledger.knows(principal.id):
                known = records.principal(principal, (), wiring.clock())
                wiring.ledger.append({"event": "login", **known})
            return principal

    def check(self, principal: Principal, tool: str, **asking: Unpack[Asking]) -> PolicyDecision:
        """Return whether `vend` would be allowed, and what would hold; nothing is reserved.

        A refusal of the policy is an answer; what stops a request otherwise is raised as by `vend`.
        """
        with self.wiring() as wiring:
            asked = asking_.asked(wiring, tool, asking)
            try:
                return vending.check(_parts(wiring, principal), asked).decision
            except PermissionDeniedError as refusal:
                if refusal.decision is None:
                    raise
                return refusal.decision.refused(refusal.message)

    def vend(self, principal: Principal, tool: str, **asking: Unpack[Asking]) -> ProviderCredential:
        """Go the whole way: decide, reserve, mint, record; return the credential.

        Raises the AgentAuthError of the step that refused.
        """
        with self.wiring(asking.get("presented")) as wiring:
            asked = asking_.asked(wiring, tool, asking)
            return vending.vend(_parts(wiring, principal), asked, lambda _: None).credential

    async def avend(
        self, principal: Principal, tool: str, **asking: Unpack[Asking]
    ) -> ProviderCredential:
        """Do the same in a thread. The lease of a cancelled one says ``undelivered``."""
        import asyncio

        handover = Handover(self._undelivered)
        try:
            return await asyncio.to_thread(
                lambda: handover.give(self.vend(principal, tool, **asking))
            )
        except asyncio.CancelledError:
            handover.give_up()
            raise

    def _undelivered(self, credential: ProviderCredential) -> None:
        # Where that cannot be written it is held until its end, as any lease.
        with contextlib.suppress(AgentAuthError), self.wiring() as wiring:
            ending.undelivered(wiring.ledger, credential.lease, "nobody waits for it any more")

    @contextlib.contextmanager
    def lease(
        self, principal: Principal, tool: str, **asking: Unpack[Asking]
    ) -> Iterator[ProviderCredential]:
        """Vend for as long as the block lasts, then settle, and end what dies alone."""
        credential = self.vend(principal, tool, **asking)
        try:
            yield credential
        finally:
            self.settle(credential)
            self._take_back(credential)

    def settle(self, credential: ProviderCredential) -> bool:
        """End the lease of a credential early. False where it is over already. Raises StateError.

        The credential itself lives as long as its provider says.
        """
        with self.wiring() as wiring:
            return ending.settle(wiring.ledger, credential.lease)

    def _take_back(self, credential: ProviderCredential) -> None:
        # What came of it is in the audit trail, and the credential ends by its own time anyhow.
        with contextlib.suppress(AgentAuthError), self.wiring() as wiring:
            lease = wiring.ledger.lease(credential.lease)
            if lease is not None:
                broker = partial(wiring.broker_of, credential.provider, lease.environment)
                ending.revoke(wiring.ledger, broker, lease, credential)

    def record_usage(
        self,
        credential: ProviderCredential,
        *,
        tokens: int | None = None,
        cost: float | str | Decimal | None = None,
    ) -> None:
        """Record what a credential's use took: more than was reserved counts, less changes nothing.

        `cost` in USD. Raises UsageError for what is no amount, StateError where there is no lease.
        """
        usage = Usage(amounts.tokens(tokens), amounts.micro(cost))
        with self.wiring() as wiring:
            wiring.ledger.record_usage(credential.lease, usage, {})

    # -- the parts ---------------------------------------------------------------------------

    def broker(
        self, provider: ProviderType | str, environment: str | None = None
    ) -> CredentialBroker:
        """Return the broker of a provider in an environment: it mints, and does nothing else."""
        with self.wiring() as wiring:
            return wiring.broker_of(amounts.provider_of(provider), wiring.environment(environment))

    @cached_property
    def pdp(self) -> DecisionPoint:
        """The policy alone."""
        return DecisionPoint(self.wiring)

    @cached_property
    def audit_log(self) -> AuditLog:
        """The program's own records, in the same chain."""
        return AuditLog(self.wiring)

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        """The policy's rates, for what the program does without a lease."""
        return RateLimiter(self.wiring)


def _utc(clock: Clock) -> datetime:
    now = clock()
    if now.tzinfo is None:
        raise ValueError("a clock returns aware datetimes: datetime.now(UTC)")
    return now.astimezone(UTC)


def _text(presented: object) -> str:
    """Return what is presented; nothing of another type is good."""
    if presented is None:
        return ""
    return presented if isinstance(presented, str) else " "


def _parts(wiring: Wiring, principal: Principal) -> Parts:
    def authenticate() -> Principal:
        """Return the principal, if what vouched for it still does."""
        ends = principal.expires_at
        leeway = _LEEWAY if principal.auth == "jwt" else _NONE
        if ends is not None and wiring.clock() >= ends + leeway:
            raise AuthenticationError(
                "what vouched for the principal has expired",
                reason="expired",
                hint="Authenticate the caller anew",
            )
        if principal.auth == "api_key":
            wiring.verifier.check_name(principal.user_id)
        return principal

    return replace(wiring.parts(), authenticate=authenticate)
