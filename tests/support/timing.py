"""What the scripts that time whole programs share."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.station import Station

ROUNDS = 15
INSIDE = Path(__file__).parents[1] / "bench" / "inside.py"


def federate(here: Station) -> None:
    """Let a station mint with a token from a file instead of a key."""
    ends = int(time.time()) + 3600
    token = signer("ES256").token({"aud": "sts.amazonaws.com", "exp": ends})
    (here.folder / "token").write_text(token)
    config = (here.folder / "config" / "config.toml").read_text()
    keyless = f'source = "web_identity"\ntoken_file = "{here.folder / "token"}"'
    here.write("config.toml", config.replace('source = "profile:source"', keyless))


def once(command: list[str], environ: Mapping[str, str]) -> float:
    """Return the seconds that a command takes; it has to succeed."""
    began = time.perf_counter()
    subprocess.run(command, env=environ, check=True, capture_output=True)
    return time.perf_counter() - began


def parts(folder: Path, here: Station, *arguments: str) -> dict[str, float]:
    """Return the seconds of each part of a command, the median of some runs.

    `start` is all up to the command's first step, `imports` what is loaded of others, `network`
    what its calls wait for, `rest` what is decided and written. `folder` has the programs.
    """
    runs = []
    for _ in range(5):
        done = subprocess.run(
            [folder / "python", INSIDE, *arguments],
            env=here.environ,
            check=True,
            capture_output=True,
            text=True,
        )
        runs.append(json.loads(done.stderr.splitlines()[-1]))
    return {name: statistics.median(one[name] for one in runs) for name in runs[0]}
