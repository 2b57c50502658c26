"""`source add`, `list`, `remove`: the source credentials that lie in the keyring."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.identity import by
from agentauth_cli.cli.login import presented
from agentauth_cli.cli.options import Environment, Json
from agentauth_cli.config.settings import STORED
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.errors import ConfigError, SourceCredentialError, UsageError
from agentauth_cli.inbound.stored import WHAT, Slot, formed
from agentauth_cli.model import ProviderType
from agentauth_cli.tables.values import Choice
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.secret import Secret


def provider(value: str) -> str:
    """Return the name of a provider. Raises UsageError for one without a stored source."""
    try:
        return Choice(*WHAT)(value)
    except ValueError as error:
        raise UsageError(f"PROVIDER: {error}") from None


Provider = Annotated[
    str, typer.Argument(metavar="PROVIDER", callback=provider, help=" · ".join(WHAT))
]


def declare(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Source credentials in the keyring.", no_args_is_help=True)
    app.add_typer(group, name="source")

    @group.command()
    def add(provider: Provider, *, environment: Environment = None, as_json: Json = False) -> None:
        """Keep what standard input has: an admin key, or a token. It is not shown."""
        store(Wiring(say=screen.say), provider, environment, as_json=as_json)

    @group.command("list")
    def list_(*, as_json: Json = False) -> None:
        """Show which environments have theirs, and since when."""
        show(Wiring(say=screen.say), as_json=as_json)

    @group.command()
    def remove(
        provider: Provider, *, environment: Environment = None, as_json: Json = False
    ) -> None:
        """Forget one. It is not revoked: that is done at the provider."""
        drop(Wiring(say=screen.say), provider, environment, as_json=as_json)


def store(wiring: Wiring, provider: str, environment: str | None, *, as_json: bool) -> None:
    """Keep what standard input has, once it is sure that it could be kept and was written down.

    Raises UsageError where the environment has no such source, or what is there cannot be one.
    """
    slot = wiring.made.slot(wiring.environment(environment), provider)
    wiring.sources.has(slot)  # so that a keyring that is locked asks beforehand
    secret = formed(presented(slot.what), slot)
    _check_walls(wiring, slot, secret)
    _write_down(wiring, slot, "stored")
    wiring.sources.keep(slot, secret, wiring.clock())
    _tell(slot, "stored", as_json=as_json)


def drop(wiring: Wiring, provider: str, environment: str | None, *, as_json: bool) -> None:
    """Forget what is stored for an environment's provider; nothing is asked of the provider."""
    name = wiring.environment(None) if environment is None else environment
    slot = Slot(provider, name, {})  # also of a source that is configured no more
    there = wiring.sources.has(slot)
    if there:
        _write_down(wiring, slot, "removed")
    wiring.sources.forget(slot)
    _tell(slot, "removed" if there else "absent", as_json=as_json)


def show(wiring: Wiring, *, as_json: bool) -> None:
    """Show how each source that is to be stored stands. Raises KeyringError."""
    found = [(slot, *_state(wiring, slot)) for slot in _slots(wiring)]
    if as_json:
        shapes = [
            {**_shape(slot, state), "stored_at": rfc3339(since) if since else None}
            for slot, state, since in found
        ]
        screen.out_json({"sources": shapes})
    elif not found:
        screen.say(f"no environment has a source that is stored: {', '.join(sorted(STORED))}")
    else:
        rows = [
            [slot.environment, slot.provider, slot.what, state, _local(since)]
            for slot, state, since in found
        ]
        screen.columns([["ENVIRONMENT", "PROVIDER", "WHAT", "STATE", "STORED"], *rows])


def _slots(wiring: Wiring) -> Iterator[Slot]:
    for environment, providers in wiring.settings.environments.items():
        for provider, entry in providers.items():
            if entry["source"] in STORED:
                yield wiring.made.slot(environment, provider)


def _state(wiring: Wiring, slot: Slot) -> tuple[str, datetime | None]:
    try:
        kept = wiring.sources.kept(slot)
    except SourceCredentialError:
        return "damaged", None
    if kept is None:
        return "absent", None
    origin = kept.elsewhere(slot)
    return f"for another {origin}" if origin else "stored", kept.stored_at


def _check_walls(wiring: Wiring, slot: Slot, secret: Secret) -> None:
    """Refuse a token that another environment has: one credential would be both.

    An admin key is the organisation's: what separates environments there is the project.
    """
    if slot.provider != ProviderType.HUGGINGFACE:
        return
    for other in _slots(wiring):
        if other.provider != slot.provider or other.environment == slot.environment:
            continue
        kept = None
        with contextlib.suppress(SourceCredentialError):  # one that is damaged is no other
            kept = wiring.sources.kept(other)
        if kept is not None and kept.secret == secret:
            both = f"{other.environment} and {slot.environment}"
            why = f"the same token in {both}: environments are walls"
            raise ConfigError(why, hint="Make one for each")


def _write_down(wiring: Wiring, slot: Slot, change: str) -> None:
    source = _shape(slot, change)
    wiring.ledger.append({"event": "config.changed", "principal": by(wiring), "source": source})


def _tell(slot: Slot, state: str, *, as_json: bool) -> None:
    if as_json:
        screen.out_json(_shape(slot, state))
    else:
        screen.out(f"{slot}: {state}")


def _shape(slot: Slot, state: str) -> dict[str, Any]:
    return {
        "environment": slot.environment,
        "provider": slot.provider,
        "what": slot.what,
        "state": state,
    }


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else ""
