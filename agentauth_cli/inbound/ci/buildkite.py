"""Buildkite, whose agent fetches the token. Source: its documentation, "buildkite-agent oidc"."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from agentauth_cli.inbound.ci.asking import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.inbound.ci.asking import Ask
    from agentauth_cli.secret import Secret

NAME = "Buildkite"
# What the agent asks with, and what it hides the token in the job's log with.
_KEPT = re.compile(
    r"PATH|HOME|TMPDIR|BUILDKITE_(?:AGENT_(?:ACCESS_TOKEN|ENDPOINT|JOB_API_SOCKET|JOB_API_TOKEN)"
    r"|JOB_ID|NO_HTTP2|OIDC_TOKEN_CLAIMS)"
)


def detect(environ: Mapping[str, str]) -> Ask | None:
    """Return how this job asks for its token. None: it is none of this platform."""
    return partial(_token, environ) if "BUILDKITE" in environ else None


def _token(environ: Mapping[str, str], audience: str) -> Secret:
    command = ("buildkite-agent", "oidc", "request-token", "--audience", audience)
    return run(NAME, command, environ, _KEPT)
