"""Policies and names that are written to be slow, at doubling sizes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentauth_cli.model import Principal, Question
from agentauth_cli.policy import rules
from agentauth_cli.policy.decide import evaluate
from bench.teams import NOW, S3_READ, BenchRule, files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agentauth_cli.policy.packed import Policy

ROUNDS = 25
NAME = 2048
"""The longest name that is well formed, in bytes."""

Case = tuple[list[BenchRule], str]
"""A policy, and the resource that is asked for."""


def _allow(number: int, resource: str, principal: str = "*", action: str = S3_READ) -> BenchRule:
    limit = {"max_duration": "15m", "rate_limit": "30/minute"}
    return BenchRule(f"r{number}", "allow", (principal,), (action,), (resource,), obligations=limit)


def _stars(size: int) -> Case:
    """Every run is found, but for the last."""
    return [_allow(0, "*" + "a*" * (size - 2) + "b*")], "a" * NAME


def _long(size: int) -> Case:
    """Try the same with a thousand stars, of names that are longer each time."""
    return [_allow(0, "*" + "a*" * 998 + "b*")], "a" * size


def _almost(size: int) -> Case:
    """Half of the name almost stands at each place of it."""
    half = "a" * (size // 4)
    return [_allow(0, f"*{half}b{half}*")], "a" * size


def _nested(size: int) -> Case:
    """Prefixes `a`, `aa`, `aaa`, …, which all match."""
    return [_allow(i, "a" * (i + 1) + "*") for i in range(size)], "a" * NAME


def _nested_missed(size: int) -> Case:
    """Prefixes `a`, `aa`, `aaa`, … of rules for somebody else."""
    return [_allow(i, "a" * (i + 1) + "*", f"key/other-{i}") for i in range(size)], "a" * NAME


def _all(size: int) -> Case:
    """Rules that all match; each has obligations."""
    return [_allow(i, "*") for i in range(size)], "name"


def _missed_once(size: int) -> Case:
    """Rules that all fail in one part: somebody else's."""
    return [_allow(i, "*", f"key/other-{i}") for i in range(size)], "name"


def _missed_twice(size: int) -> Case:
    """Rules that all fail in two parts: the nearest miss is looked for among all."""
    return [_allow(i, "*", f"key/other-{i}", f"aws.s3.v{i}") for i in range(size)], "name"


TABLE: tuple[tuple[str, Callable[[int], Case], int], ...] = (
    ("stars in a pattern, name of 2 KB", _stars, 125),
    ("bytes of a name, pattern of 1,000 stars", _long, 256),
    ("bytes of a name that almost holds half of itself", _almost, 256),
    ("rules with prefixes `a`, `aa`, …, all match", _nested, 125),
    ("the same, for somebody else", _nested_missed, 125),
    ("rules that all match", _all, 1000),
    ("rules that all fail in one part", _missed_once, 1000),
    ("rules that all fail in two parts", _missed_twice, 1000),
)
"""What doubles, the policies, and the size to begin with."""


def report() -> Iterator[str]:
    """Give the lines of a table: sizes, their times, and how these grow when sizes do eightfold."""
    yield "| what grows | size: time | | | | growth over 8 x |"
    yield "|---|--:|--:|--:|--:|--:|"
    for what, make, first in TABLE:
        sizes = [first << doubled for doubled in range(4)]
        times = [_measured(*make(size)) for size in sizes]
        cells = [f"{size:,}: {took:,.0f} µs" for size, took in zip(sizes, times, strict=True)]
        yield f"| {what} | {' | '.join(cells)} | {times[-1] / times[0]:.1f} x |"


def _measured(written: Sequence[BenchRule], resource: str) -> float:
    """Return the best time in µs: what else the machine does is no growth."""
    policy, problems = rules.load(files(written))
    if policy is None:
        raise SystemExit(f"a hostile policy does not load: {problems[0]}")
    question = Question(Principal("key/me", "me"), S3_READ, resource, "-", "dev", NOW)
    return min(_times(policy, question)) / 1000


def _times(policy: Policy, question: Question) -> Iterator[int]:
    evaluate(policy, question)
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        evaluate(policy, question)
        yield time.perf_counter_ns() - began
