"""`check --action`, `--principal`, `--request`: the policy alone is asked, for anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentauth_cli.errors import NotConfiguredError, UsageError
from agentauth_cli.model import Decision, PolicyDecision, Principal, Question
from agentauth_cli.policy.cases import NO_TOOL, with_name
from agentauth_cli.policy.decide import decide, evaluate
from agentauth_cli.policy.narrow import canonical, narrow, questions
from agentauth_cli.policy.request import moment, question
from agentauth_cli.strict_json import parse_object
from agentauth_cli.tables.values import Choice
from agentauth_cli.terms import AUTHS, KINDS
from agentauth_cli.vending import identify

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.wiring import Wiring

Answered = tuple[PolicyDecision, Sequence[Question]]
"""An answer, and the questions that it is to; none where there was nothing to ask."""

LARGEST = 1024 * 1024
"""So many bytes a request may have."""

Who = Annotated[
    str | None, typer.Option("--principal", metavar="P", help="Ask the policy alone, for another.")
]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="G", help="A group of that principal.")
]
Claims = Annotated[
    list[str] | None, typer.Option("--claim", metavar="K=V", help="A claim of that principal.")
]
KindOf = Annotated[str | None, typer.Option("--kind", metavar="K", help="Its kind; else user.")]
AuthOf = Annotated[str | None, typer.Option("--auth", metavar="M", help="How; else jwt.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="T", help="Ask the policy alone, for another time.")
]
Request = Annotated[
    Path | None, typer.Option("--request", metavar="FILE", help="A whole request as JSON.")
]


@dataclass(frozen=True)
class Other:
    """Who asks, and when, as options say it: None and empty where they do not."""

    principal: str | None = None
    groups: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    kind: str | None = None
    auth: str | None = None
    at: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for facts about nobody."""
        if self.principal is None and (self.groups or self.claims or self.kind or self.auth):
            raise UsageError("--group, --claim, --kind and --auth need --principal")

    def who(self, wiring: Wiring) -> Principal | None:
        """Return the principal, None for whoever calls. Raises UsageError."""
        if self.principal is None:
            return None
        kind: Any = _parsed("--kind", Choice(*KINDS), self.kind) or "user"
        auth: Any = _parsed("--auth", Choice(*AUTHS), self.auth) or "jwt"
        principal = Principal(
            self.principal, "", kind=kind, auth=auth, groups=self.groups, claims=self._claims()
        )
        return with_name(principal, wiring.settings.name_claims)

    def _claims(self) -> dict[str, str]:
        pairs = [one.partition("=") for one in self.claims]
        if not all(name and equals for name, equals, _ in pairs):
            raise UsageError("--claim: expected NAME=VALUE")
        found = {name: value for name, _, value in pairs}
        if len(found) != len(pairs):
            raise UsageError("--claim: a name is given twice", hint="Use --request for a list")
        return found

    def time(self) -> datetime | None:
        """Return the time, None for now. Raises UsageError."""
        time: datetime | None = _parsed("--at", moment, self.at)
        return time


@dataclass(frozen=True)
class Input:
    """A question to the policy alone: a tool of the configuration, or an action."""

    tool: str | None
    action: str
    resource: str | None
    environment: str | None
    other: Other


def asking(wiring: Wiring, given: Input) -> Callable[[Policy], Answered]:
    """Return how the policy is asked. Raises UsageError, UnknownNameError, ConfigError.

    What is returned raises AuthenticationError where the caller is not known.
    """
    environment = wiring.environment(given.environment)
    tool = wiring.tool(given.tool, environment) if given.tool is not None else None
    other, time = given.other.who(wiring), given.other.time()

    def ask(policy: Policy) -> Answered:
        who = other or identify(wiring.parts())
        name = tool.name if tool else NO_TOOL
        resource = canonical(given.resource or "", given.action.partition(".")[0])
        whole = Question(who, given.action, resource, name, environment, time or wiring.clock())
        if tool is None:
            return evaluate(policy, whole), [whole]
        narrowed = narrow(tool, who, given.resource)
        if narrowed.refusal:
            return PolicyDecision(Decision.DENY, narrowed.refusal, policy=policy.digest), []
        asked = questions(narrowed, whole)
        return decide(policy, asked), asked

    return ask


def asking_request(wiring: Wiring, path: Path) -> Callable[[Policy], Answered]:
    """Return how the policy is asked what the file says. Raises UsageError, ConfigError."""
    data = _read(path)
    try:
        name_claims = wiring.settings.name_claims
    except NotConfiguredError:
        name_claims = {}

    def ask(policy: Policy) -> Answered:
        try:
            asked = question(data, name_claims)
        except ValueError as error:
            reason = f"malformed request: {error}"
            return PolicyDecision(Decision.DENY, reason, policy=policy.digest), []
        return evaluate(policy, asked), [asked]

    return ask


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"--request: {path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise UsageError(f"--request: larger than {LARGEST} bytes")
    try:
        return parse_object(content)
    except ValueError as error:
        raise UsageError(f"--request: {path} {error}") from None


def _parsed(option: str, parse: Callable[[str], Any], text: str | None) -> Any:
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
