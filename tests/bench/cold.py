"""A new process that opens the compiled policy and decides once, beside one that does nothing."""

from __future__ import annotations

import statistics
import subprocess
import time
from typing import TYPE_CHECKING

from agentauth_cli.config import compiled
from agentauth_cli.policy import rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Files = Sequence[tuple[str, bytes]]

ROUNDS = 21
SETTLED = 2.5
"""A policy is kept once its sources are unchanged for so many seconds."""

PASS = "pass"
DECIDE = """
import sys
from datetime import datetime, timezone
from agentauth_cli.config import compiled
from agentauth_cli.policy import engine
config, state = sys.argv[1:]
class Asked: pass
who, asked = Asked(), Asked()
who.id, who.name, who.kind, who.auth = "key/team-0-1", "", "agent", "api_key"
who.groups, who.claims, who.authenticated_at, who.actor = (), {}, None, None
asked.principal, asked.action = who, "aws.s3.get"
asked.resource, asked.tool, asked.environment = "arn:aws:s3:::acme-shared/x", "shell", "dev"
asked.time = datetime(2026, 11, 23, 10, tzinfo=timezone.utc)
policy = compiled.find(state, compiled.sources(config), None)
sys.exit(engine.decide(policy, asked).effect != "allow")
"""


def report(python: Path, folder: Path, policies: Mapping[int, Files]) -> Iterator[str]:
    """Give the lines of a table: for each number of rules the median, and the ratio.

    `policies` are policy files, name and content, by the number of their rules.
    """
    commands: dict[int, list[str | Path]] = {0: [python, "-I", "-c", PASS]}
    places = {
        size: (folder / f"{size}" / "config", folder / f"{size}" / "state") for size in policies
    }
    for size, (config, state) in places.items():
        config.mkdir(parents=True, mode=0o700)
        state.mkdir(mode=0o700)
        for name, content in policies[size]:
            (config / name).parent.mkdir(mode=0o700, exist_ok=True)
            (config / name).write_bytes(content)
        commands[size] = [python, "-I", "-c", DECIDE, config, state]
    time.sleep(SETTLED)
    for size, (config, state) in places.items():
        known = compiled.sources(str(config))
        packed, _, problems = rules.read(policies[size], known or ())
        if packed is None or known is None:
            raise SystemExit(f"{size} rules are not compiled: {problems[:1]}")
        compiled.keep(str(state), packed, known)
    times: dict[int, list[float]] = {size: [] for size in commands}
    for warm in (True, *[False] * ROUNDS):
        for size, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True)
            if not warm:
                times[size].append(time.perf_counter() - began)
    bare = statistics.median(times.pop(0))
    yield "| rules | cold process | x `python -c pass` |"
    yield "|--:|--:|--:|"
    for size, taken in times.items():
        median = statistics.median(taken)
        yield f"| {size:,} | {median * 1000:.1f} ms | {median / bare:.2f} |"
