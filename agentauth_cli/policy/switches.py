"""Kill switches: what stands in killswitch.toml, and what a switch reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agentauth_cli.errors import (
    EnvironmentDisabledError,
    PrincipalBlockedError,
    ProviderDisabledError,
    SwitchedOffError,
    SwitchFileError,
    ToolDisabledError,
)
from agentauth_cli.policy import pattern
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Document, Key, ListOf, Problem, Table, Value, first_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from agentauth_cli.model import Principal
    from agentauth_cli.policy.matching import PrincipalPattern

NAME = "killswitch.toml"
Target = Literal["tool", "provider", "principal", "environment", "all"]
TARGETS: tuple[Target, ...] = ("tool", "provider", "principal", "environment", "all")

_ERRORS: dict[str, type[SwitchedOffError]] = {
    "tool": ToolDisabledError,
    "provider": ProviderDisabledError,
    "principal": PrincipalBlockedError,
    "environment": EnvironmentDisabledError,
    "all": SwitchedOffError,
}


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch. `name` is a pattern, empty for all; `until` is when it lifts itself."""

    target: Target
    name: str = ""
    reason: str = ""
    by: str = ""
    at: datetime | None = None
    until: datetime | None = None

    def on(self, now: datetime) -> bool:
        """Say whether it is still in force."""
        return self.until is None or now < self.until

    def __str__(self) -> str:
        return f"{self.target} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Reach:
    """What a request touches, and a switch can stop."""

    tool: str
    provider: str
    environment: str
    principal: Principal

    def hit_by(self, switch: Switch) -> bool:
        """Say whether the switch stops this. A principal's also stops whoever acts through it."""
        if switch.target == "all":
            return True
        if switch.target == "principal":
            return self._principal_hit_by(principal_pattern(switch.name))
        name: str = getattr(self, switch.target)
        return pattern.name(switch.name).matches(name)

    def _principal_hit_by(self, wanted: PrincipalPattern) -> bool:
        actor = self.principal.actor
        return wanted.matches(self.principal) or (actor is not None and wanted.matches_id(actor))


def principal_pattern(name: str) -> PrincipalPattern:
    """Return the pattern on principals; without a slash a name is meant of any issuer.

    Raises ValueError.
    """
    if "/" not in name and not name.startswith(("group:", "kind:")) and name != "*":
        name = f"*/{name}"
    return pattern.principal(name)


def check(switches: Iterable[Switch], reach: Reach, now: datetime) -> None:
    """Raise the SwitchedOffError of the first switch in force that stops this."""
    for switch in switches:
        if switch.on(now) and reach.hit_by(switch):
            raise _ERRORS[switch.target](_told(switch))


def _told(switch: Switch) -> str:
    who = f" by {switch.by}" if switch.by else ""
    since = f" since {switch.at:%Y-%m-%dT%H:%M:%SZ}" if switch.at else ""
    until = f" until {switch.until:%Y-%m-%dT%H:%M:%SZ}" if switch.until else ""
    reason = f" ({switch.reason})" if switch.reason else ""
    return f"{switch} is off{who}{since}{until}{reason}"


def load(content: bytes | None) -> tuple[Switch, ...]:
    """Read killswitch.toml; no file is no switch. Raises SwitchFileError: everything stops."""
    if content is None:
        return ()
    document = Document(NAME, content)
    entries = document.read(FILE).get("switch") or ()
    if found := document.problems():
        raise SwitchFileError(first_of(found))
    return tuple(Switch(**entry) for entry in entries)


def problems(content: bytes) -> list[Problem]:
    """Return all that is wrong with the file."""
    document = Document(NAME, content)
    document.read(FILE)
    return document.problems()


def validate(target: str, name: str) -> None:
    """Raise ValueError where `name` is not one that a switch on `target` can have."""
    _NAMES[target](name)


def _anything(value: Any) -> Any:
    return pattern.name(value)


def _principal(value: Any) -> Any:
    return principal_pattern(values.text(value))


_NAMES: Mapping[str, Any] = {
    "tool": pattern.short,
    "environment": pattern.short,
    "provider": pattern.short,
    "principal": _principal,
    "all": _anything,
}


def _named(switch: dict[str, Any]) -> Sequence[tuple[str, str]]:
    target, name = switch["target"], switch["name"]
    if target == "all":
        return [("name", "a switch on all has no name")] if name else []
    try:
        validate(target, name)
    except ValueError as error:
        return [("name", str(error) if name else f"a switch on a {target} needs a name")]
    return []


FILE = Table(
    {
        "version": Key(Value(values.version), required=True),
        "switch": Key(
            ListOf(
                Table(
                    {
                        "target": Key(Value(values.Choice(*TARGETS)), required=True),
                        "name": Key(Value(values.text), default=""),
                        "reason": Key(Value(values.text), default=""),
                        "by": Key(Value(values.text), default=""),
                        "at": Key(Value(values.moment)),
                        "until": Key(Value(values.moment)),
                    },
                    check=_named,
                )
            ),
            default=(),
        ),
    }
)
