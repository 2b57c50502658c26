"""`disable` and `enable`: the kill switches.

They need no login, no network, no valid configuration and no free ledger: the file first, then the
ledger as it can be had, saying what could not be reached.
"""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.identity import account, by, via
from agentauth_cli.cli.lease_revoke import LIVES_ON, Outcome, Revoking, code
from agentauth_cli.cli.options import Json, Reason, WithOthers
from agentauth_cli.config import switch_file
from agentauth_cli.deliver.formats import rfc3339
from agentauth_cli.errors import AgentAuthError, StateError, UnknownNameError, UsageError
from agentauth_cli.model import Lease, Principal, ProviderType
from agentauth_cli.policy import pattern, switches
from agentauth_cli.policy.switches import Reach, Switch, Target
from agentauth_cli.secret import printable
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import did_you_mean
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FILE = "the file"
_LEDGER = "the ledger"
Failed: TypeAlias = dict[str, AgentAuthError]
"""Which of the two places could not be changed, and why."""

_Tool = Annotated[str | None, typer.Option(metavar="N", help="A tool; * for any text.")]
_Provider = Annotated[str | None, typer.Option(metavar="N", help="A provider, such as aws.")]
_Who = Annotated[
    str | None,
    typer.Option(metavar="N", help="okta/alice; alice of any issuer; group:okta/eng; kind:agent."),
]
_Where = Annotated[str | None, typer.Option(metavar="N", help="An environment.")]
_All = Annotated[bool, typer.Option("--all", help="Everything.")]


def declare(app: typer.Typer) -> None:
    """Add both commands."""

    @app.command()
    def disable(
        *,
        tool: _Tool = None,
        provider: _Provider = None,
        principal: _Who = None,
        environment: _Where = None,
        everything: _All = False,
        reason: Reason = None,
        until: Annotated[
            str | None,
            typer.Option(metavar="T", help="Lifts itself then: 2h, or 2026-11-23T18:00:00Z."),
        ] = None,
        revoke: Annotated[
            bool, typer.Option("--revoke", help="Also end the credentials that it reaches.")
        ] = False,
        with_others: WithOthers = False,
        force: Annotated[bool, typer.Option("--force", help="Also an unknown name.")] = False,
        as_json: Json = False,
    ) -> None:
        """Stop new credentials at once: of a tool, a principal, or all."""
        if with_others and not revoke:
            raise UsageError("--with-others is for --revoke", hint="Give both")
        wiring = Wiring(say=screen.say)
        target, name = _target(tool, provider, principal, environment, everything)
        given = DisableInput(
            target=target,
            name=name,
            reason=printable(reason or ""),
            until=_until(until, wiring.clock()),
            force=force,
            revoke=revoke,
            with_others=with_others,
        )
        raise typer.Exit(turn_on(wiring, given, as_json=as_json))

    @app.command()
    def enable(
        *,
        tool: _Tool = None,
        provider: _Provider = None,
        principal: _Who = None,
        environment: _Where = None,
        everything: _All = False,
        reason: Reason = None,
        as_json: Json = False,
    ) -> None:
        """Lift a switch, in the file and in the ledger."""
        target, name = _target(tool, provider, principal, environment, everything)
        given = EnableInput(target, name, printable(reason or ""))
        turn_off(Wiring(say=screen.say), given, as_json=as_json)


@dataclass(frozen=True)
class DisableInput:
    """A switch to turn on. `revoke`: also end what it reaches, `with_others` if need be."""

    target: Target
    name: str
    reason: str
    until: datetime | None
    force: bool
    revoke: bool = False
    with_others: bool = False


@dataclass(frozen=True)
class EnableInput:
    """A switch to lift."""

    target: Target
    name: str
    reason: str


def _target(
    tool: str | None,
    provider: str | None,
    principal: str | None,
    environment: str | None,
    everything: bool,
) -> tuple[Target, str]:
    given: list[tuple[Target, str | None]] = [
        ("tool", tool),
        ("provider", provider),
        ("principal", principal),
        ("environment", environment),
        ("all", "" if everything else None),
    ]
    found = [(target, name) for target, name in given if name is not None]
    if len(found) != 1:
        raise UsageError("give one of --tool, --provider, --principal, --environment, --all")
    ((target, name),) = found
    if target != "all":
        try:
            switches.validate(target, name)
        except ValueError as error:
            raise UsageError(f"--{target}: {error}") from None
    return target, name


def _until(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        ends = now + timedelta(seconds=values.duration(text))
    except ValueError:
        try:
            ends = values.moment(datetime.fromisoformat(text))
        except ValueError:
            raise UsageError(
                "--until: expected 2h, or a date-time such as 2026-11-23T18:00:00Z"
            ) from None
    except OverflowError:
        raise UsageError("--until: too far away") from None
    if ends <= now:
        raise UsageError("--until: is in the past")
    return ends.replace(microsecond=0)


# -- the work --------------------------------------------------------------------------------


def turn_on(wiring: Wiring, given: DisableInput, *, as_json: bool) -> int:
    """Turn a switch on, in the file and in the ledger. Raises StateError where neither took it.

    Returns the exit code: 1 where something was to be revoked that lives on.

    The file comes before everything that can take its time: it is written as the OS account, and
    again once whoami has said who that is.
    """
    if not given.force:
        _check_known(wiring, given)
    now = wiring.clock()
    since = now.replace(microsecond=0)
    switch = Switch(given.target, given.name, given.reason, account(), since, given.until)
    failed: Failed = {}
    with _trying(_FILE, failed):
        switch_file.turn_on(wiring.places.config, switch, now, screen.say)
    named = replace(switch, by=by(wiring))
    if named != switch and not failed:
        with contextlib.suppress(AgentAuthError):  # it is on already, by the account
            switch_file.turn_on(wiring.places.config, named, now, screen.say)
    with _trying(_LEDGER, failed):
        if not given.force and given.target == "principal":
            _warn_unseen(wiring, given.name)
        wiring.ledger.switch_on(named, _record("switch.on", named))
    _refuse_both(wiring, failed)
    alive = [] if _LEDGER in failed else _living(wiring, named)
    if not given.revoke:
        _show(wiring, named, alive, None, as_json=as_json)
        return 0
    revoked = _revoke(wiring, given, alive)
    _show(wiring, named, [], revoked, as_json=as_json)
    if _LEDGER not in failed:
        return code(revoked)
    screen.say("nothing was revoked: the ledger does not say what lives on")
    return LIVES_ON


def _revoke(wiring: Wiring, given: DisableInput, alive: list[Lease]) -> list[Outcome]:
    """End the credentials; what cannot be written down is said, and ends no other."""
    revoking = Revoking(wiring, given.reason, with_others=given.with_others)
    found = []
    for lease in alive:
        try:
            found.append(revoking.one(lease))
        except StateError as error:
            found.append(Outcome(lease, f"failed: {error.message}", lives_on=True))
    return found


def turn_off(wiring: Wiring, given: EnableInput, *, as_json: bool) -> None:
    """Lift a switch everywhere. Raises StateError where neither place took it."""
    now = wiring.clock()
    target, name = given.target, given.name
    found: list[bool] = []
    failed: Failed = {}
    with _trying(_FILE, failed):
        found.append(switch_file.turn_off(wiring.places.config, target, name, now, screen.say))
    switch = Switch(target, name, given.reason, by(wiring))
    with _trying(_LEDGER, failed):
        record = _record("switch.off", switch)
        remembered = [
            one for one in wiring.ledger.switches() if switch_file.same(target, name, one)
        ]
        found.extend(wiring.ledger.switch_off(one.target, one.name, record) for one in remembered)
        if any(found) and not remembered:
            wiring.ledger.append(record)
    _refuse_both(wiring, failed)
    if as_json:
        lifted = any(found) and not failed
        screen.out_json({"target": target, "name": name, "lifted": lifted})
    elif failed:
        (where,) = failed
        screen.out(f"{switch} is not on again: {where} may still hold a switch on it")
    elif any(found):
        screen.out(f"{switch} is on again")
    else:
        screen.out(f"there was no switch on {switch}")


@contextlib.contextmanager
def _trying(where: str, failed: Failed) -> Iterator[None]:
    """Go on where a place cannot be changed: say it, and note it in `failed`."""
    try:
        yield
    except AgentAuthError as error:
        screen.say(f"{where} could not be changed: {error.message}")
        failed[where] = error


def _refuse_both(wiring: Wiring, failed: Failed) -> None:
    """Raise StateError where nothing holds the change: an ephemeral ledger does not."""
    if _FILE in failed and (_LEDGER in failed or wiring.store == "ephemeral"):
        raise StateError("neither file nor ledger could be changed", hint=failed[_FILE].hint)


def _record(event: str, switch: Switch) -> Mapping[str, object]:
    what = {"target": switch.target, "name": switch.name}
    until = rfc3339(switch.until) if switch.until else None
    return {
        "event": event,
        "principal": switch.by,
        "switch": what,
        "until": until,
        "user_reason": switch.reason,
    }


def _check_known(wiring: Wiring, given: DisableInput) -> None:
    """Refuse a name that nothing has. What cannot be looked up is let through, and said."""
    if given.target in ("all", "principal"):
        return
    try:
        known = _known(wiring, given.target)
    except AgentAuthError as error:
        screen.say(f"the name was not checked: {error.message}")
        return
    wanted = pattern.short(given.name)
    if not any(wanted.matches(one) for one in known):
        raise UnknownNameError(
            f"there is no {given.target} {given.name!r}{did_you_mean(given.name, known)}",
            hint="--force sets it anyway",
        )


def _known(wiring: Wiring, target: str) -> list[str]:
    if target == "provider":
        return [*ProviderType]
    return list(wiring.settings.tools if target == "tool" else wiring.settings.environments)


def _warn_unseen(wiring: Wiring, name: str) -> None:
    whole = "/" in name and "*" not in name and ":" not in name
    if whole and not (wiring.ledger.knows(name) or wiring.ledger.acted(name)):
        screen.say(f"{name} has not been seen here yet")


def _show(
    wiring: Wiring,
    switch: Switch,
    alive: list[Lease],
    revoked: list[Outcome] | None,
    *,
    as_json: bool,
) -> None:
    """Show what is off, what lives on or was revoked, and how to undo it."""
    undo = _undo(switch)
    if as_json:
        screen.out_json(
            {
                "target": switch.target,
                "name": switch.name,
                "until": rfc3339(switch.until) if switch.until else None,
                "leases": [{"lease": one.id, "ends_at": rfc3339(one.ends_at)} for one in alive]
                if revoked is None
                else [one.shape() for one in revoked],
                "undo": undo,
            }
        )
        return
    until = f" until {rfc3339(switch.until)}" if switch.until else ""
    screen.out(f"{switch} is off{until}: no new credential from now on")
    screen.out(f"reaches: {_reaches(wiring, switch)}")
    for one in alive:
        ends = rfc3339(one.ends_at)
        holder = via(one.principal, one.actor)
        screen.out(f"lives on: {one.id} of {holder} for {one.tool}, until {ends}")
    for outcome in revoked or ():
        screen.out(str(outcome))
    screen.out(f"undo: {undo}")


def _undo(switch: Switch) -> str:
    name = f" {shlex.quote(switch.name)}" if switch.name else ""
    return f"agentauth enable --{switch.target}{name}"


def _reaches(wiring: Wiring, switch: Switch) -> str:
    if switch.target in ("principal", "all"):
        return "every tool" + (f", for {switch.name}" if switch.name else "")
    try:
        tools = list(wiring.settings.every_tool())
    except AgentAuthError:
        return "unknown: the configuration does not load"
    nobody = Principal("os/nobody", "nobody")
    hit = [
        f"{tool.name} in {tool.environment}"
        for tool in tools
        if Reach(tool.name, tool.provider, tool.environment, nobody).hit_by(switch)
    ]
    return ", ".join(hit) or "no tool of the configuration"


def _living(wiring: Wiring, switch: Switch) -> list[Lease]:
    now = wiring.clock()
    try:
        leases = wiring.ledger.leases(now)
    except AgentAuthError:
        return []
    return [one for one in leases if one.lives(now) and _reach(one).hit_by(switch)]


def _reach(lease: Lease) -> Reach:
    who = Principal(lease.principal, lease.principal, actor=lease.actor)
    return Reach(lease.tool, lease.provider, lease.environment, who)
