"""How often a provider is asked again, and how long we wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.outbound import attempts
from agentauth_cli.transport import Deadline, Response

if TYPE_CHECKING:
    import pytest


def asked(statuses: list[int], seconds: float = 20.0) -> tuple[int, int, list[float]]:
    """Return the status that stands, how many answers came, and what was waited."""
    waited: list[float] = []
    left = list(statuses)
    stands = attempts.standing(
        lambda: Response(left.pop(0), {}, b""),
        Deadline(seconds),
        waited.append,
    )
    return stands.status, len(statuses) - len(left), waited


def test_the_first_answer_that_is_no_passing_fault_stands() -> None:
    """A good answer and a refusal both end it; a fault that passes does not."""
    assert asked([200, 1]) == (200, 1, [])
    assert asked([403, 1]) == (403, 1, [])
    assert asked([503, 200, 1]) == (200, 2, [1.0])
    assert asked([429, 500, 404, 1]) == (404, 3, [1.0, 2.0])


def test_three_answers_at_most() -> None:
    """Bounded, each wait longer than the one before; the last answer stands."""
    assert asked([503, 503, 503, 1]) == (503, 3, [1.0, 2.0])


def test_no_wait_begins_that_would_end_after_the_deadline() -> None:
    """One deadline for all attempts together."""
    assert asked([503, 1], seconds=0.9) == (503, 1, [])


def test_waits_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jitter: some part of the seconds, another one each time."""
    waited: list[float] = []
    monkeypatch.setattr("agentauth_cli.outbound.attempts.time.sleep", waited.append)
    for _ in range(50):
        attempts.jittered(2.0)
    assert all(0 <= one <= 2 for one in waited)
    assert len(set(waited)) > 10
