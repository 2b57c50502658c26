"""CircleCI: a variable for its own audience, the organization's id; its program for any other.

Source: its documentation, "Using OpenID Connect tokens in jobs" and "OIDC tokens with custom
claims".
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.ci.asking import run, variable
from agentauth_cli.inbound.claims import check_audience
from agentauth_cli.inbound.jwt import opened
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.inbound.ci.asking import Ask

NAME = "CircleCI"
OWN = "CIRCLE_OIDC_TOKEN_V2"
_FORKS = "A fork's job has one where the project passes secrets to builds of forks"
_KEPT = re.compile(r"PATH|HOME|TMPDIR|CIRCLECI|CIRCLE_(?!OIDC_TOKEN).*")


def detect(environ: Mapping[str, str]) -> Ask | None:
    """Return how this job gets its token. None: it is none of this platform."""
    return partial(_token, environ) if "CIRCLECI" in environ else None


def _token(environ: Mapping[str, str], audience: str) -> Secret:
    if OWN in environ:
        own = variable(environ, OWN, NAME, _FORKS)
        if _is_for(own, audience):
            return Secret(own)
    command = ("circleci", "run", "oidc", "get", "--claims", json.dumps({"aud": audience}))
    return run(NAME, command, environ, _KEPT)


def _is_for(token: str, audience: str) -> bool:
    """Say whether a token says that it is for this audience; it is verified later."""
    try:
        _, claims = opened(token)
        check_audience(claims.get("aud"), audience)
    except AuthenticationError:
        return False
    return True
