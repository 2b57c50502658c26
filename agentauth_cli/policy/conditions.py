"""`when` and `unless`: what has to hold of the principal and the time, besides the names.

Each key is one condition. It holds, it does not hold, or it cannot be judged: then `holds` raises
ValueError with the reason. Every one of a part is asked, whatever the others say.
"""

from __future__ import annotations

from agentauth_cli.policy.plain import Plain

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from typing import Any, Protocol

    from agentauth_cli.model import Question
    from agentauth_cli.policy.matching import Pattern

    class Condition(Protocol):
        """One key of `when` or `unless`."""

        __slots__: Sequence[str]

        @property
        def subject(self) -> str:
            """What is looked at: ``the claim ref``."""

        @property
        def wanted(self) -> str:
            """What it has to be: ``refs/heads/*``."""

        def holds(self, question: Question) -> bool:
            """Say whether it holds. Raises ValueError where that cannot be judged."""

        def actual(self, question: Question) -> str:
            """Return what it is instead, for a person. Raises ValueError as `holds`."""


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
UTC = "UTC"

_LONGEST_SHOWN = 64


class Claim(Plain):
    """A top-level claim of the verified token matches one of these patterns."""

    __slots__ = ("name", "patterns")

    def __init__(self, name: str, patterns: tuple[Pattern, ...]) -> None:
        self.name = name
        self.patterns = patterns

    @property
    def subject(self) -> str:
        """The claim."""
        return f"the claim {self.name}"

    @property
    def wanted(self) -> str:
        """The patterns."""
        return _either(self.patterns)

    def holds(self, question: Question) -> bool:
        """Match a string, any of a list of strings, or an integer or boolean as its JSON text."""
        if self.name not in question.principal.claims:
            return False
        texts = self._texts(question.principal.claims[self.name])
        return any(one.matches(text) for one in self.patterns for text in texts)

    def _texts(self, value: Any) -> Sequence[str]:
        if isinstance(value, bool):
            return ("true" if value else "false",)
        if isinstance(value, int):
            return (str(value),)  # ValueError where it has too many digits
        texts = value if isinstance(value, list | tuple) else [value]
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"{self.subject} is no string, integer, boolean or list of them")
            if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
                raise ValueError(f"{self.subject} holds a lone surrogate")
        return texts

    def actual(self, question: Question) -> str:
        """Return the claim as JSON writes it, cut where it is long."""
        import json

        if self.name not in question.principal.claims:
            return "missing"
        value = question.principal.claims[self.name]
        text = value if isinstance(value, str) else json.dumps(value)
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


class Auth(Plain):
    """The principal was authenticated in one of these ways."""

    __slots__ = ("ways",)
    subject = "the authentication"

    def __init__(self, ways: tuple[str, ...]) -> None:
        self.ways = ways

    @property
    def wanted(self) -> str:
        """The ways."""
        return " or ".join(self.ways)

    def holds(self, question: Question) -> bool:
        """Look the way up."""
        return question.principal.auth in self.ways

    def actual(self, question: Question) -> str:
        """Return the way that it was."""
        return question.principal.auth


class After(Plain):
    """The request's time is at or after this one."""

    __slots__ = ("time",)
    subject = "the time"

    def __init__(self, time: datetime) -> None:
        self.time = time

    @property
    def wanted(self) -> str:
        """The time."""
        return f"{_written(self.time)} or later"

    def holds(self, question: Question) -> bool:
        """Compare."""
        return question.time >= self.time

    def actual(self, question: Question) -> str:
        """Return the request's time."""
        return _written(question.time)


class Before(Plain):
    """The request's time is strictly before this one."""

    __slots__ = ("time",)
    subject = "the time"

    def __init__(self, time: datetime) -> None:
        self.time = time

    @property
    def wanted(self) -> str:
        """The time."""
        return f"before {_written(self.time)}"

    def holds(self, question: Question) -> bool:
        """Compare."""
        return question.time < self.time

    def actual(self, question: Question) -> str:
        """Return the request's time."""
        return _written(question.time)


class Calendar(Plain):
    """The local day and time fall inside.

    `days` are numbers from Monday, 0. `hours` are minutes of the day: the start is inside, the end
    is not. A span that ends before it starts runs over midnight and belongs to the day it started.
    `zone` is a name of the `tzdata` package.
    """

    __slots__ = ("days", "hours", "zone")
    subject = "the local time"

    def __init__(
        self, days: tuple[int, ...] | None, hours: tuple[int, int] | None, zone: str
    ) -> None:
        self.days = days
        self.hours = hours
        self.zone = zone

    @property
    def wanted(self) -> str:
        """The days, the hours and the zone."""
        days = [", ".join(DAYS[one] for one in self.days)] if self.days else []
        hours = [f"{_clock(self.hours[0])}-{_clock(self.hours[1])}"] if self.hours else []
        return " ".join([*days, *hours, f"in {self.zone}"])

    def holds(self, question: Question) -> bool:
        """Look at the clock of the zone."""
        local = self._local(question)
        day, minute = local.weekday(), local.hour * 60 + local.minute
        if self.hours is not None:
            start, end = self.hours
            if start < end:
                inside = start <= minute < end
            else:
                inside = minute >= start or minute < end
                if minute < end:
                    day = (day - 1) % len(DAYS)
            if not inside:
                return False
        return self.days is None or day in self.days

    def _local(self, question: Question) -> datetime:
        from agentauth_cli.tables.zones import zone

        try:
            return question.time.astimezone(zone(self.zone))
        except OverflowError:
            raise ValueError(f"the time cannot be expressed in {self.zone}") from None

    def actual(self, question: Question) -> str:
        """Return the local day and time."""
        local = self._local(question)
        return f"{DAYS[local.weekday()]} {local:%H:%M}"


class Actor(Plain):
    """The principal is acted for by one whose id matches."""

    __slots__ = ("patterns",)
    subject = "the actor"

    def __init__(self, patterns: tuple[Pattern, ...]) -> None:
        self.patterns = patterns

    @property
    def wanted(self) -> str:
        """The patterns."""
        return _either(self.patterns)

    def holds(self, question: Question) -> bool:
        """Match the actor's id; without an actor it does not hold."""
        actor = question.principal.actor
        return actor is not None and any(one.matches(actor) for one in self.patterns)

    def actual(self, question: Question) -> str:
        """Return the actor."""
        return question.principal.actor or "nobody"


class SessionAge(Plain):
    """The login is not older than this, in seconds."""

    __slots__ = ("longest",)
    subject = "the login"

    def __init__(self, longest: int) -> None:
        self.longest = longest

    @property
    def wanted(self) -> str:
        """The age."""
        return f"{self.longest} s old at most"

    def holds(self, question: Question) -> bool:
        """Compare. Unknown age cannot be judged."""
        return self._age(question) <= self.longest

    def _age(self, question: Question) -> float:
        since = question.principal.authenticated_at
        if since is None or since.utcoffset() is None:
            raise ValueError("the age of the login is not known")
        return (question.time - since).total_seconds()

    def actual(self, question: Question) -> str:
        """Return the age."""
        return f"{int(self._age(question))} s old"


class Outcome:
    """What a `when` or `unless` came to: the conditions that failed, and why some have no answer.

    One error makes the whole part an error.
    """

    __slots__ = ("errors", "failed")

    def __init__(self, failed: tuple[Condition, ...], errors: tuple[str, ...]) -> None:
        self.failed = failed
        self.errors = errors

    @property
    def holds(self) -> bool:
        """Whether each key holds."""
        return not self.failed and not self.errors


def outcome(conditions: Iterable[Condition] | None, question: Question) -> Outcome:
    """Ask every condition; where there is none, nothing fails."""
    failed, errors = [], []
    for one in conditions or ():
        try:
            if not one.holds(question):
                failed.append(one)
        except ValueError as error:
            errors.append(str(error))
    return Outcome(tuple(failed), tuple(errors))


def _either(patterns: Sequence[Pattern]) -> str:
    return " or ".join(one.text for one in patterns)


def _written(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
