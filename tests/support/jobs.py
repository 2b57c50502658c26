"""Jobs of CI platforms: their tokens, and programs that stand for those of the platforms."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from support.faulty import answer
from support.issuer import signer

if TYPE_CHECKING:
    from pathlib import Path

    from support.faulty import Part

KEY = signer("RS256")
GITHUB = "https://token.actions.githubusercontent.com"
SUBJECT = "repo:acme/site:ref:refs/heads/main"
BEARER = "made-up-request-token"
"""What authorizes a job to ask, and must be found nowhere."""


def token(aud: object = "agentauth", **changed: object) -> str:
    """Return a token of now, as a platform gives them to jobs."""
    now = int(time.time())
    usual = {
        "iss": GITHUB,
        "sub": SUBJECT,
        "aud": aud,
        "iat": now - 1,
        "nbf": now - 300,
        "exp": now + 3600,
        "repository_id": "42",
        "repository_owner_id": "7",
    }
    return KEY.token(usual | changed)


def value(text: object) -> list[Part]:
    """Return the answer of GitHub's endpoint with this token."""
    content = {"count": 1, "value": text}
    return answer(json.dumps(content).encode(), headers={"Content-Type": "application/json"})


def program(folder: Path, name: str, body: str) -> Path:
    """Make a program of a platform in a folder, which is returned."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return folder
