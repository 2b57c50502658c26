"""GCRA: bursts, waits, and what it lets through over any time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.ledger import rates
from agentauth_cli.model import Rate

NOW = 1_795_000_000 * rates.SECOND
RATES = st.builds(Rate, st.integers(1, 200), st.sampled_from([1, 60, 3600, 86400]))


def allowed(rate: Rate, moments: list[int]) -> list[int]:
    """Return those of the moments at which a request is let through."""
    arrival, through = 0, []
    for now in moments:
        if not rates.wait(rate, arrival, now):
            arrival = rates.after(rate, arrival, now)
            through.append(now)
    return through


@pytest.mark.parametrize(
    ("rate", "nanoseconds"),
    [
        (Rate(1, 1), 1_000_000_000),
        (Rate(3, 1), 333_333_334),
        (Rate(30, 60), 2_000_000_000),
        (Rate(7, 86400), 12_342_857_142_858),
        (Rate(999_999_999, 1), 2),
    ],
)
def test_the_interval(rate: Rate, nanoseconds: int) -> None:
    """Whole nanoseconds, rounded up: never too fast."""
    assert rates.interval(rate) == nanoseconds
    assert nanoseconds * rate.count >= rate.period * rates.SECOND


@given(RATES)
def test_a_burst(rate: Rate) -> None:
    """A burst of N is N."""
    assert len(allowed(rate, [NOW] * (rate.count + 5))) == rate.count


@given(RATES, st.integers(0, 300), st.integers(0, 10**15))
def test_the_wait_is_exact(rate: Rate, used: int, later: int) -> None:
    """A nanosecond before the wait is over the answer is no, then yes."""
    arrival, used = 0, min(used, rate.count)
    for _ in range(used):
        arrival = rates.after(rate, arrival, NOW)
    wait = rates.wait(rate, arrival, NOW)
    assert (wait == 0) == (used < rate.count)
    if wait:
        assert rates.wait(rate, arrival, NOW + wait - 1) == 1
    assert rates.wait(rate, arrival, NOW + wait) == 0
    assert rates.wait(rate, arrival, NOW + wait + later) == 0


@given(RATES, st.lists(st.integers(0, 10**11), max_size=150))
def test_never_above_n_in_a_period(rate: Rate, gaps: list[int]) -> None:
    """In any span of time: the burst of N, and one for each interval that went by."""
    moments = [NOW]
    for gap in gaps:
        moments.append(moments[-1] + gap)
    through = allowed(rate, moments)
    for first, start in enumerate(through):
        for last in range(first, len(through)):
            passed = (through[last] - start) // rates.interval(rate)
            assert last - first + 1 <= rate.count + passed


@given(RATES, st.integers(1, 100))
def test_the_patient_get_their_rate(rate: Rate, more: int) -> None:
    """Who waits as long as told is let through each time, an interval apart."""
    arrival, now = 0, NOW
    for _ in range(rate.count + more):
        now += rates.wait(rate, arrival, now)
        assert rates.wait(rate, arrival, now) == 0
        arrival = rates.after(rate, arrival, now)
    assert now == NOW + more * rates.interval(rate)


@given(RATES, st.integers(1, 10**15))
def test_a_clock_that_went_back(rate: Rate, back: int) -> None:
    """A clock that is set back lets one request more through, however far back."""
    through = allowed(rate, [NOW] * rate.count + [NOW - back] * 5 + [NOW - back])
    assert len(through) == rate.count + 1


@given(RATES, st.integers(1, 200), st.integers(10**17, 10**18))
def test_a_clock_that_was_years_ahead(rate: Rate, ahead: int, far: int) -> None:
    """What was let through under a clock far ahead closes nothing under the right one."""
    gaps = [NOW + number * rates.interval(rate) for number in range(5)]
    through = allowed(rate, [NOW + far] * min(ahead, rate.count) + gaps)
    assert through[-5:] == gaps
