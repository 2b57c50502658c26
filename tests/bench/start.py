"""What a call costs, as a ratio to `python -c pass` in the same run: `make bench`.

The program runs in an environment without development tools; STS is a server of this script on
loopback that answers at once.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.cloud import ROLE
from support.station import station
from support.sts_server import StsServer

ROUNDS = 15
BIN = Path(sys.argv[1])


def once(command: list[str], environ: dict[str, str]) -> float:
    """Return the seconds that a command takes; it has to succeed."""
    began = time.perf_counter()
    subprocess.run(command, env=environ, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Time each command in turn, round by round, and print medians and ratios."""
    with tempfile.TemporaryDirectory() as folder, StsServer() as sts:
        environ = dict(station(Path(folder), sts.url, sts.source).environ)
        program = str(BIN / "agentauth")
        commands = {
            "python -c pass": [str(BIN / "python"), "-c", "pass"],
            "agentauth version": [program, "version"],
            "agentauth whoami": [program, "whoami"],
            "agentauth check": [program, "check", ROLE],
            "agentauth vend": [program, "vend", ROLE],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for warm in (True, *[False] * ROUNDS):
            for name, command in commands.items():
                took = once(command, environ)
                if not warm:
                    times[name].append(took)
    bare = statistics.median(times["python -c pass"])
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:20} {median * 1000:7.1f} ms {median / bare:6.1f} x")  # noqa: T201


if __name__ == "__main__":
    main()
