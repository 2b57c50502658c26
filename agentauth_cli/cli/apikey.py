"""`apikey create`, `list`, `revoke`: keys of ours, for programs that have no issuer."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.identity import by
from agentauth_cli.cli.leases import say_living
from agentauth_cli.cli.login import keep
from agentauth_cli.cli.options import Json, Reason, identity_name
from agentauth_cli.config import apikeys_file
from agentauth_cli.deliver import stdout
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.errors import AgentAuthError, StateError, UnknownNameError, UsageError
from agentauth_cli.inbound import apikey, apikeys
from agentauth_cli.inbound.apikey import ApiKey
from agentauth_cli.secret import printable
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import did_you_mean
from agentauth_cli.terms import KINDS
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from agentauth_cli.inbound.apikey import Presented
    from agentauth_cli.model import Kind
    from agentauth_cli.secret import Secret

EXPIRES = "90d"


def declare(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="API keys.", no_args_is_help=True)
    app.add_typer(group, name="apikey")

    @group.command()
    def create(
        name: Annotated[
            str, typer.Argument(metavar="NAME", help="Whom it stands for: the principal key/NAME.")
        ],
        *,
        kind: Annotated[str, typer.Option("--kind", metavar="K", help=" · ".join(KINDS))],
        groups: Annotated[
            list[str] | None,
            typer.Option("--group", metavar="G", help="A group: key/G. May be given again."),
        ] = None,
        expires: Annotated[
            str, typer.Option("--expires", metavar="D", help="After how long it ends: 12h, 90d.")
        ] = EXPIRES,
        store: Annotated[
            str | None,
            typer.Option(
                "--store",
                metavar="ID",
                callback=identity_name,
                help="Keep it in the keyring for this identity; it is not shown then.",
            ),
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Make a key, and show it once."""
        wiring = Wiring(say=screen.say)
        given = CreateInput(
            name=_parsed("NAME", apikeys.subject, name),
            kind=_parsed("--kind", values.Choice(*KINDS), kind),
            groups=tuple(_parsed("--group", apikeys.group, one) for one in groups or ()),
            seconds=_parsed("--expires", values.duration, expires),
            store=store,
        )
        make(wiring, given, as_json=as_json)

    @group.command("list")
    def list_(*, as_json: Json = False) -> None:
        """Show the keys, and when each was used last."""
        show(Wiring(say=screen.say), as_json=as_json)

    @group.command()
    def revoke(
        key: Annotated[str, typer.Argument(metavar="ID", help="Its id or its name.")],
        *,
        reason: Reason = None,
        as_json: Json = False,
    ) -> None:
        """End a key at once and for good, whatever file comes back."""
        end(Wiring(say=screen.say), key, printable(reason or ""), as_json=as_json)


@dataclass(frozen=True)
class CreateInput:
    """A key to make. `store` is the identity that keeps it, None where it is shown."""

    name: str
    kind: Kind
    groups: tuple[str, ...]
    seconds: int
    store: str | None


def _parsed(option: str, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


# -- create ----------------------------------------------------------------------------------


def make(wiring: Wiring, given: CreateInput, *, as_json: bool) -> None:
    """Make a key; file and ledger know of it before anybody has it."""
    secret = apikey.make(secrets.choice)
    key = _key(wiring, given, apikey.parse(secret))
    record = _record(wiring, "apikey.created", _fields(key), "")

    def agreed(keys: Sequence[ApiKey]) -> None:
        _refuse_double(wiring, given.name, keys)
        wiring.ledger.append(record)

    apikeys_file.add(wiring.places.config, key, agreed)
    handed_over = False
    try:
        _hand_over(wiring, given, key, secret, as_json=as_json)
        handed_over = True
    finally:
        if not handed_over:  # nobody is known to have it
            _revoke(wiring, [_fields(key)], "it could not be handed over")


def _hand_over(
    wiring: Wiring, given: CreateInput, key: ApiKey, secret: Secret, *, as_json: bool
) -> None:
    told = f"API key {key.id} of key/{key.name}, until {rfc3339(key.expires)}"
    if given.store is not None:
        keep(wiring, given.store, *wiring.logins.begin("api_key", secret))
        if as_json:
            screen.out_json({**_fields(key), "identity": given.store})
        else:
            screen.out(f"{told}, in the keyring as identity {given.store}")
    elif as_json:
        stdout.write(json.dumps({**_fields(key), "api_key": secret.reveal()}) + "\n")
    else:
        screen.say(f"{told}; it is shown this once")
        stdout.write(secret.reveal() + "\n")


def _key(wiring: Wiring, given: CreateInput, made: Presented) -> ApiKey:
    now = wiring.clock().replace(microsecond=0)
    try:
        expires = now + timedelta(seconds=given.seconds)
    except OverflowError:
        raise UsageError("--expires: too far away") from None
    return ApiKey(made.id, given.name, given.kind, made.hash, now, expires, given.groups)


def _refuse_double(wiring: Wiring, name: str, keys: Sequence[ApiKey]) -> None:
    for key in keys:
        if key.name == name and _state(wiring, key)[0] == "active":
            raise UsageError(
                f"there is an API key {name} already: {key.id}",
                hint=f"Take another name, or `agentauth apikey revoke {key.id}`",
            )


# -- list and revoke -------------------------------------------------------------------------


def show(wiring: Wiring, *, as_json: bool) -> None:
    """Show the keys, also those that are over."""
    found = [(key, *_state(wiring, key)) for key in wiring.configuration.api_keys()]
    if as_json:
        shapes = [
            {
                **_fields(key),
                "created": rfc3339(key.created),
                "used_at": rfc3339(used) if used else None,
                "state": state,
            }
            for key, state, used in found
        ]
        screen.out_json({"api_keys": shapes})
    elif not found:
        screen.say("there are no API keys")
    else:
        head = ["ID", "NAME", "KIND", "GROUPS", "CREATED", "EXPIRES", "LAST USED", "STATE"]
        rows = [
            [
                *(key.id, key.name, key.kind, ", ".join(key.groups)),
                *(_local(moment) for moment in (key.created, key.expires, used)),
                state,
            ]
            for key, state, used in found
        ]
        screen.columns([head, *rows])


def end(wiring: Wiring, wanted: str, reason: str, *, as_json: bool) -> None:
    """Revoke the key of this id, else all keys of this name.

    An id needs no file: the ledger keeps it, for the file that comes back. Raises UnknownNameError
    where there is no such key, UsageError where the word is one key's id and another's name.
    """
    found = _meant(wiring, wanted)
    _revoke(wiring, found, reason)
    names = {key["id"]: key["name"] for key in found if "name" in key}
    if as_json:
        screen.out_json({"revoked": [key["id"] for key in found]})
    else:
        for key in found:
            whose = f" of key/{key['name']}" if "name" in key else ""
            screen.out(f"API key {key['id']}{whose} is revoked")
    for name in set(names.values()):
        say_living(wiring, f"key/{name}")


def _meant(wiring: Wiring, wanted: str) -> list[dict[str, Any]]:
    """Return what is known of the keys that are meant, their ids at least."""
    lasts = apikey.ID.fullmatch(wanted) is not None and wiring.store != "ephemeral"
    try:
        keys = wiring.configuration.api_keys()
    except AgentAuthError as error:
        if not lasts:
            raise
        screen.say(f"the file could not be read: {error.message}")
        keys = ()
    same = [one for one in keys if one.id == wanted]
    named = [one for one in keys if one.name == wanted and _state(wiring, one)[0] != "revoked"]
    if same and any(one not in same for one in named):
        raise UsageError(
            f"{wanted} is the id of one API key and the name of another",
            hint="`agentauth apikey list` shows what else each is called",
        )
    if not same and not named:
        known = [name for key in keys for name in (key.name, key.id)]
        near = did_you_mean(wanted, known)
        if not lasts:
            raise UnknownNameError(
                f"there is no API key {wanted!r} to revoke{near}",
                hint="`agentauth apikey list` shows those that there are",
            )
        screen.say(f"apikeys.toml has no API key {wanted}{near}; it is revoked in the ledger alone")
        return [{"id": wanted}]
    return [_fields(key) for key in same or named]


def _revoke(wiring: Wiring, keys: Sequence[Mapping[str, Any]], reason: str) -> None:
    """Revoke in the file at once, then in the ledger, which counts whatever file comes back.

    Raises StateError where the ledger could not take it, or would forget it.
    """
    try:
        ids = [key["id"] for key in keys]
        apikeys_file.revoke(wiring.places.config, ids, wiring.clock())
    except AgentAuthError as error:
        if wiring.store == "ephemeral":
            why = f"the ledger is ephemeral, and the file could not be changed: {error.message}"
            raise StateError(why, hint=error.hint) from None
        screen.say(f"the file could not be changed: {error.message}")
    for key in keys:
        record = _record(wiring, "apikey.revoked", key, reason)
        wiring.ledger.revoke_api_key(key["id"], record)


def _state(wiring: Wiring, key: ApiKey) -> tuple[str, datetime | None]:
    """Return how a key stands, and when it was used last."""
    known = wiring.ledger.api_key(key.id)
    if known.revoked_at or key.revoked:
        return "revoked", known.used_at
    return "active" if wiring.clock() < key.expires else "expired", known.used_at


def _record(wiring: Wiring, event: str, key: Mapping[str, Any], reason: str) -> dict[str, Any]:
    return {
        "event": event,
        "principal": by(wiring),
        "api_key": key,
        "user_reason": reason or None,
    }


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "kind": key.kind,
        "groups": list(key.groups),
        "expires": rfc3339(key.expires),
    }


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else ""
