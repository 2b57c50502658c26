"""Picks the concrete parts that a configuration asks for; the only place that knows them all."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from agentauth_cli.brokers import Brokers
from agentauth_cli.config.places import Places
from agentauth_cli.config.reading import BUDGETS, Configuration
from agentauth_cli.config.settings import KEYLESS
from agentauth_cli.errors import (
    ConfigError,
    LedgerMissingError,
    StateError,
    UnavailableError,
    UsageError,
)
from agentauth_cli.inbound import source
from agentauth_cli.inbound.jwks import KeySource
from agentauth_cli.inbound.keyring import Keyring
from agentauth_cli.inbound.logins import Logins
from agentauth_cli.inbound.provider_token import ProviderTokens
from agentauth_cli.inbound.session import Sessions
from agentauth_cli.inbound.stored import StoredSources
from agentauth_cli.inbound.verifier import Verifier
from agentauth_cli.ledger import note, opening, process
from agentauth_cli.ledger.memory import MemoryLedger
from agentauth_cli.ledger.opening import Place
from agentauth_cli.vending import Asked, Parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.logins import Renew
    from agentauth_cli.inbound.source import Source, Standing
    from agentauth_cli.ledger.sqlite import SQLiteLedger
    from agentauth_cli.model import Principal, ProviderType
    from agentauth_cli.policy.budgets import Budget
    from agentauth_cli.policy.charges import Stated
    from agentauth_cli.policy.narrow import Tool
    from agentauth_cli.policy.prices import PriceTable
    from agentauth_cli.ports import Clock, CredentialBroker, Record, Revoker
    from agentauth_cli.secret import Secret

KEYS = "jwks"
STORES = ("sqlite", "ephemeral")
STANDARD_ERROR = 2


def utc_now() -> datetime:
    """Return the time: the Clock of everything that is not a test."""
    return datetime.now(UTC)  # noqa: TID251 - this is the Clock


def _to_standard_error(record: str) -> None:
    """Write a record of an ephemeral ledger. Raises StateError: what is not told is not vended."""
    try:
        os.write(STANDARD_ERROR, f"{record}\n".encode())
    except OSError as error:
        raise StateError(f"standard error takes no audit record: {error.strerror}") from None


def _silent(_notice: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Wiring:
    """The parts of one process, each made when it is first asked for.

    `environ` are the variables that lead to the files and to the caller's identity; `say` gets
    what a person should know. `chosen` is the identity that was named on the command line.
    `ephemeral` makes the ledger in memory, and `brokers` take the place of those that the
    configuration asks for: in tests. `shown` returns the token of a caller who is not that of this
    process.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = utc_now
    say: Callable[[str], None] = _silent
    ephemeral: Callable[..., SQLiteLedger] = MemoryLedger
    brokers: Callable[[ProviderType, str], CredentialBroker] | None = None
    shown: Callable[[], Secret | None] | None = None
    chosen: str | None = None

    @cached_property
    def places(self) -> Places:
        """The folders; each raises ConfigError where it cannot be found."""
        return Places(self.environ)

    @cached_property
    def configuration(self) -> Configuration:
        """The configuration folder."""
        state = None
        with contextlib.suppress(ConfigError):  # said by what needs it
            state = self.places.state
        return Configuration(self.places.config, state)

    @cached_property
    def settings(self) -> Settings:
        """config.toml. Raises ConfigError."""
        return self.configuration.settings()

    def tool(self, name: str, environment: str | None) -> Tool:
        """Return a configured tool; without an environment, in AGENTAUTH_ENV or the default one.

        Raises UnknownNameError, ConfigError; UnavailableError where it needs a later version.
        """
        tool = self.settings.tool(name, self.environment(environment))
        if self.brokers is None:
            self.settings.needs_later()
        return tool

    def environment(self, name: str | None) -> str:
        """Return the environment of this name, else AGENTAUTH_ENV's, else the default one."""
        wanted = name if name is not None else self.environ.get("AGENTAUTH_ENV")
        return self.settings.environment(wanted)

    def asked(
        self,
        tool: str,
        environment: str | None,
        stated: Stated,
        resource: str | None = None,
        delivery: str = "stdout",
    ) -> Asked:
        """Return what is asked for. Raises as `tool`; UsageError for too short a life."""
        found = self.tool(tool, environment)
        shortest = self.broker(found).min_duration
        if stated.duration is not None and stated.duration < shortest:
            raise UsageError(
                f"a duration of {stated.duration} s: {found.provider} mints nothing shorter than "
                f"{shortest} s",
                hint=f"Ask for {shortest}s or more",
            )
        return Asked(found, stated, resource, delivery)

    @cached_property
    def verifier(self) -> Verifier:
        """What tells from a token or an API key who presents it."""
        return Verifier(
            issuers=self.settings.inbound.issuers,
            keys=KeySource(self.places.state / KEYS, self.clock),
            api_keys=self.configuration.api_keys,
            ledger=lambda: self.ledger,
            clock=self.clock,
        )

    @cached_property
    def sessions(self) -> Sessions:
        """Where logins are kept."""
        return Sessions(self.places.state, self.keyring)

    @cached_property
    def keyring(self) -> Keyring:
        """The keyring of the system; it is touched only where something is stored."""
        return Keyring(self.places.state)

    @cached_property
    def sources(self) -> StoredSources:
        """The source credentials that lie in the keyring."""
        return StoredSources(self.keyring)

    @cached_property
    def logins(self) -> Logins:
        """What logins mean to this configuration."""
        issuers = self.settings.inbound.issuers
        return Logins(self.sessions, issuers, self.verifier, self.places.config, self.clock)

    @cached_property
    def identity(self) -> Source:
        """Where the caller's identity comes from. Raises AuthenticationError, UsageError."""
        return source.find(
            self.environ, self.settings.inbound, self.verifier, self.logins, self.chosen
        )

    def standings(self) -> Iterator[Standing]:
        """Yield how each source of identity stands, where `identity` is one of them."""
        return source.standings(
            self.environ, self.settings.inbound, self.verifier, self.logins, self.chosen
        )

    def authenticate(self) -> Principal:
        """Return who is asking. Raises AuthenticationError."""
        return self.identity.authenticate()

    @cached_property
    def store(self) -> str:
        """Which ledger is used: ``sqlite`` or ``ephemeral``.

        Raises UnavailableError where another is named, LedgerMissingError where AGENTAUTH_LEDGER
        leads away from the one that is noted. A configuration that does not load names none: the
        audit trail can be read all the same.
        """
        named = "sqlite"
        with contextlib.suppress(ConfigError):
            named = self.settings.ledger
        if named not in STORES:
            raise UnavailableError(f"ledger = {named.partition(':')[0]!r}")
        asked = self.environ.get("AGENTAUTH_LEDGER", named)
        if asked != named and note.find(self.places.data, self.places.config, self.say):
            raise LedgerMissingError(
                f"AGENTAUTH_LEDGER leads away from the ledger of {self.places.config}",
                hint="Unset AGENTAUTH_LEDGER",
            )
        if asked not in STORES:
            raise UnavailableError(f"AGENTAUTH_LEDGER = {asked.partition(':')[0]!r}")
        return asked

    @cached_property
    def place(self) -> Place:
        """Where the ledger of this configuration is, unless it is ephemeral. Raises as `store`."""
        return Place(
            config=self.places.config,
            state=self.places.state,
            data=self.places.data,
            context=self._context,
            say=self.say,
        )

    @property
    def _context(self) -> Record:
        moved = None if self.places.default else str(self.places.config)
        return {"client": process.parent_name(), "config": moved}

    @cached_property
    def ledger(self) -> SQLiteLedger:
        """The ledger, begun where this configuration never had one. Raises StateError."""
        if self.store == "ephemeral":
            return self.ephemeral(clock=self.clock, context=self._context, tell=_to_standard_error)
        return opening.open_ledger(self.place, self.clock)

    def budgets(self) -> Sequence[Budget]:
        """Return the budgets. Raises ConfigError, also where the file was there once and is gone.

        A ledger that cannot be read is not the concern of this step.
        """
        found = self.configuration.budgets(self.settings)
        with contextlib.suppress(StateError):
            if found is not None:
                self.ledger.remember(BUDGETS)
            elif self.ledger.remembers(BUDGETS):
                gone = self.places.config / BUDGETS
                raise ConfigError(f"{gone} is gone", hint="Bring it back; an empty one will do")
        return found or ()

    @cached_property
    def prices(self) -> PriceTable:
        """The price table in force: one's own prices over those of the newest table.

        Raises ConfigError, StateError.
        """
        from agentauth_cli.config import pricing

        table = pricing.table(self.places.state, self.say)
        return table.over(self.configuration.own_prices())

    def broker(self, tool: Tool) -> CredentialBroker:
        """Return the broker of the tool's provider and environment."""
        return self.broker_of(tool.provider, tool.environment)

    def broker_of(self, provider: ProviderType, environment: str) -> CredentialBroker:
        """Return the broker of a provider in an environment.

        Raises ConfigError where the environment has nothing of that provider.
        """
        if self.brokers is not None:
            return self.brokers(provider, environment)
        return self.made.broker(provider, environment)

    def revoker_of(self, provider: ProviderType, environment: str) -> Revoker:
        """Return what ends credentials also where others end with them. Raises ConfigError."""
        if self.brokers is not None:
            return self.brokers(provider, environment)
        return self.made.revoker(provider, environment)

    @cached_property
    def made(self) -> Brokers:
        """What makes the brokers that the configuration asks for."""
        return Brokers(self.settings, self.places.config, self.clock, self.tokens, self.sources)

    def tokens(self, environment: str, provider: str) -> ProviderTokens | None:
        """Return where an environment's provider gets its tokens; None where it needs none."""
        found = self.settings.environments[environment][provider]
        if found["source"] not in KEYLESS:
            return None
        file = found["token_file"]
        return ProviderTokens(
            issuers=self.settings.inbound.issuers,
            presented=self.presented,
            clock=self.clock,
            job=lambda: None if self.shown else self.identity.job,
            token_file=self.places.config / file if file else None,
            reuse_inbound=found["reuse_inbound"],
            renewal=self.renewal,
        )

    def presented(self) -> Secret | None:
        """Return the token that the caller has shown, if it was one. Raises AuthenticationError."""
        return (self.shown or self.identity.token)()

    def renewal(self) -> Renew | None:
        """Return what refreshes the caller's login, if it is of that kind."""
        return None if self.shown else self.identity.renewal()

    def close(self) -> None:
        """Let go of the ledger, if it was opened."""
        if "ledger" in self.__dict__:
            self.ledger.close()

    def parts(self) -> Parts:
        """Return what the eight steps need."""
        return Parts(
            authenticate=self.authenticate,
            policy=self.configuration.policy,
            budgets=self.budgets,
            prices=lambda: self.prices,
            switches=self.configuration.switches,
            ledger=lambda: self.ledger,
            broker=self.broker,
            clock=self.clock,
            lease_id=lambda: f"L{secrets.token_hex(8)}",
            process=process.this_process(),
            peer=f"uid {os.getuid()}",
        )
