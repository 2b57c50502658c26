"""What a decision costs, beside Cedar on the same rules in the same run: `make bench`.

Both engines hold what they have parsed. First they have to agree on every request of the mix, in
the answer and in the rules that it names; then each is timed, call by call.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cedarpy import Entities, PolicySet, is_authorized

from agentauth_cli.policy import rules
from agentauth_cli.policy.decide import evaluate
from bench import cold, hostile, teams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentauth_cli.model import Question
    from agentauth_cli.policy.packed import Policy
    from bench.teams import BenchRule

    Files = Sequence[tuple[str, bytes]]

T = TypeVar("T")

SIZES = (10, 100, 1_000, 10_000, 100_000)
MIX = 120


OURS = 20_000
THEIRS = 3_000
"""So many calls are timed at least, if the seconds are enough for them."""

SECONDS = 3.0
"""No new round begins once so many seconds went into rounds; the first is always whole."""


@dataclass(frozen=True, slots=True)
class Cedar:
    """Cedar, with policies and entities parsed, and the rules' annotations by their ids."""

    policies: PolicySet
    entities: Entities
    annotations: Mapping[str, Mapping[str, Any]]

    def ask(self, request: dict[str, Any]) -> tuple[str, set[str], list[Mapping[str, Any]]]:
        """Return the answer, the rules that it names, and the obligations of these."""
        found = is_authorized(request, self.policies, self.entities)
        named = found.diagnostics.id_annotations_by_reason.values()
        held = [self.annotations[rule] for rule in named]
        return "allow" if found.allowed else "deny", set(named), held


def cedar(written: Sequence[BenchRule], mix: Sequence[Question]) -> Cedar:
    """Return Cedar with these rules and those who ask."""
    return Cedar(
        PolicySet.from_str(teams.cedar(written)),
        Entities.from_json_str(teams.cedar_entities(mix)),
        {one.id: one.obligations for one in written},
    )


def agreed(policy: Policy, other: Cedar, mix: Sequence[Question]) -> tuple[list[float], str]:
    """Return the µs of each request in Cedar, and the first that the two do not answer alike."""
    taken = []
    for question in mix:
        request = teams.cedar_request(question)
        began = time.perf_counter_ns()
        effect, named, _ = other.ask(request)
        taken.append((time.perf_counter_ns() - began) / 1000)
        ours = evaluate(policy, question)
        if (ours.decision.value, set(ours.rules)) != (effect, named):
            told = f"{ours.decision.value} by {ours.rules} here, {effect} by {named} in Cedar"
            return taken, f"{question}: {told}"
    return taken, ""


def check_the_check(written: Sequence[BenchRule], policy: Policy, mix: Sequence[Question]) -> None:
    """See that engines with other rules do disagree: here Cedar gets no deny rules."""
    permits = [one for one in written if one.effect == "allow"]
    if not agreed(policy, cedar(permits, mix), mix)[1]:
        raise SystemExit("whether the engines agree is not checked: they did with other rules")


def timed(
    ask: Callable[[T], object], asked: Sequence[T], calls: int, taken: Sequence[float] = ()
) -> list[float]:
    """Return the µs of each call, in whole rounds; `taken` are those of rounds before."""
    taken = list(taken)
    while len(taken) < calls and sum(taken) < SECONDS * 1e6:
        for one in asked:
            began = time.perf_counter_ns()
            ask(one)
            taken.append((time.perf_counter_ns() - began) / 1000)
    return taken


def side_by_side(size: int, written: Sequence[BenchRule], files: Files) -> str:
    """Return the line of the table for so many rules; `files` are the policy files of these."""
    mix = teams.requests(written, MIX)
    policy, problems = rules.load(files)
    if policy is None:
        raise SystemExit(f"{size} rules do not load: {problems[0]}")
    other = cedar(written, mix)
    theirs, wrong = agreed(policy, other, mix)
    if wrong:
        raise SystemExit(f"at {size} rules the engines disagree: {wrong}")
    if size == SIZES[0]:
        check_the_check(written, policy, mix)
    theirs = timed(other.ask, [teams.cedar_request(one) for one in mix], THEIRS, theirs)
    ask = partial(evaluate, policy)
    ours = timed(ask, mix, OURS)
    missed = timed(ask, [one for one in mix if ask(one).reason == "no rule allows this"], OURS)
    beside = statistics.median(theirs)
    cells = [
        *(f"{size:,}", *_percentiles(ours), *_percentiles(missed)),
        *(f"{beside:,.1f}", f"{len(theirs):,}", f"{beside / statistics.median(ours):,.0f} x"),
    ]
    return f"| {' | '.join(cells)} |"


def _percentiles(taken: Sequence[float]) -> tuple[str, str]:
    """Return p50 and p99."""
    return f"{statistics.median(taken):,.1f}", f"{statistics.quantiles(taken, n=100)[-1]:,.1f}"


def main() -> None:
    """Print three tables."""
    python, sizes = Path(sys.argv[1]) / "python", [int(one) for one in sys.argv[2:]] or SIZES
    policies = {}
    say("\n| rules | p50 | p99 | no rule allows: p50 | p99 | cedarpy p50 | its calls | factor |")
    say("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for size in sizes:
        written = teams.organisation(size)
        policies[size] = teams.files(written)
        say(side_by_side(size, written, policies[size]))
    say(f"\nIn µs, of {MIX} requests; both gave each the same answer, by the same rules.\n")
    with tempfile.TemporaryDirectory() as folder:
        for line in cold.report(python, Path(folder), policies):
            say(line)
    say("")
    for line in hostile.report():
        say(line)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
