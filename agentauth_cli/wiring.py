"""Picks the concrete parts that a configuration asks for; the only place that knows them all."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from agentauth_cli.config.places import Places
from agentauth_cli.config.reading import BUDGETS, Configuration
from agentauth_cli.errors import (
    AuthenticationError,
    ConfigError,
    LedgerMissingError,
    StateError,
    UnavailableError,
)
from agentauth_cli.inbound import source
from agentauth_cli.inbound.jwks import KeySource
from agentauth_cli.ledger import note, opening, process
from agentauth_cli.ledger.memory import MemoryLedger
from agentauth_cli.ledger.opening import Place
from agentauth_cli.vending import Parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.source import Source
    from agentauth_cli.ledger.sqlite import SQLiteLedger
    from agentauth_cli.model import Principal
    from agentauth_cli.outbound.aws import AWSCredentialBroker
    from agentauth_cli.policy.budgets import Budget
    from agentauth_cli.policy.narrow import Tool
    from agentauth_cli.ports import Clock, Record

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
    what a person should know.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = utc_now
    say: Callable[[str], None] = _silent
    ephemeral: Callable[..., SQLiteLedger] = MemoryLedger

    @cached_property
    def places(self) -> Places:
        """The folders; each raises ConfigError where it cannot be found."""
        return Places(self.environ)

    @cached_property
    def configuration(self) -> Configuration:
        """The configuration folder."""
        return Configuration(self.places.config)

    @cached_property
    def settings(self) -> Settings:
        """config.toml. Raises ConfigError."""
        return self.configuration.settings()

    def tool(self, name: str, environment: str | None) -> Tool:
        """Return a configured tool; without an environment, in AGENTAUTH_ENV or the default one.

        Raises UnknownNameError, ConfigError; UnavailableError where it needs a later version.
        """
        wanted = environment if environment is not None else self.environ.get("AGENTAUTH_ENV")
        tool = self.settings.tool(name, self.settings.environment(wanted))
        self.settings.needs_later(tool)
        return tool

    @cached_property
    def identity(self) -> Source:
        """Where the caller's identity comes from. Raises AuthenticationError."""
        keys = KeySource(self.places.state / KEYS, self.clock)
        return source.find(self.environ, self.settings.inbound, keys, self.clock)

    def authenticate(self) -> Principal:
        """Return who is asking. Raises AuthenticationError."""
        try:
            return self.identity.authenticate()
        except AuthenticationError as error:
            later = self.settings.inbound.later
            if error.reason == "issuer_unknown" and later:
                name = next(iter(later))
                raise UnavailableError(f"inbound.issuers.{name}.preset") from None
            raise

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

    def broker(self, tool: Tool) -> AWSCredentialBroker:
        """Return the broker of the tool's provider and environment."""
        from agentauth_cli.outbound.aws import AWSCredentialBroker

        aws = self.settings.environments[tool.environment][tool.provider]
        bundle = aws["ca_bundle"]
        return AWSCredentialBroker(
            role_arn_template=aws["role_arn_template"],
            account_id=aws["account_id"],
            region=aws["region"],
            source=aws["source"],
            session_tags=aws["session_tags"],
            sts_endpoint=aws["sts_endpoint"],
            ca_bundle=self.places.config / bundle if bundle else None,
            clock=self.clock,
        )

    def parts(self) -> Parts:
        """Return what the eight steps need."""
        return Parts(
            authenticate=self.authenticate,
            policy=self.configuration.policy,
            budgets=self.budgets,
            switches=self.configuration.switches,
            ledger=lambda: self.ledger,
            broker=self.broker,
            clock=self.clock,
            lease_id=lambda: f"L{secrets.token_hex(8)}",
            process=process.this_process(),
            peer=f"uid {os.getuid()}",
        )
