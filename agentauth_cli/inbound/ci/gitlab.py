"""GitLab, whose jobs get the tokens that `.gitlab-ci.yml` names, each in a variable of its own.

There is no endpoint to ask: each audience needs a line of ``id_tokens``. What the variable is
called follows from the audience, in the manner of Sigstore: AGENTAUTH_ID_TOKEN for ``agentauth``.
Source: GitLab's documentation, "OpenID Connect (OIDC) authentication using ID tokens".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.inbound.ci.asking import Ask

NAME = "GitLab"


def detect(environ: Mapping[str, str]) -> Ask | None:
    """Return how this job finds its token. None: it is none of this platform."""
    return partial(_token, environ) if "GITLAB_CI" in environ else None


def variable_for(audience: str) -> str:
    """Return the variable that holds the token for an audience (which is not empty)."""
    chars = [char if char.isascii() and char.isalnum() else "_" for char in audience.upper()]
    if chars[0].isdigit():
        chars[0] = "_"
    return f"{''.join(chars)}_ID_TOKEN"


def _token(environ: Mapping[str, str], audience: str) -> Secret:
    name = variable_for(audience)
    value = environ.get(name)
    if not value:
        state = "is empty" if value == "" else "is not there"
        raise AuthenticationError(
            f"the job's own token of {NAME}: the variable of the one for {audience} {state}",
            reason="ambient_variable",
            hint=f"Let its `id_tokens` have {name}",
        )
    return Secret(value)
