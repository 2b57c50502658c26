"""What the scripts that time whole programs share."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.station import Station

ROUNDS = 15


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
