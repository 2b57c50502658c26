"""GitHub Actions, and what speaks as it does (Forgejo, Gitea).

Source: GitHub's documentation, "OpenID Connect reference", on ACTIONS_ID_TOKEN_REQUEST_URL.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from agentauth_cli.inbound.ci.asking import failed, get, variable
from agentauth_cli.secret import Secret
from agentauth_cli.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.inbound.ci.asking import Ask

NAME = "GitHub Actions"
_HERE = ("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL")
_PERMIT = (
    "Give the job `permissions: {id-token: write}`; a fork's pull request, and a command under "
    "`agentauth exec`, cannot have it"
)


def detect(environ: Mapping[str, str]) -> Ask | None:
    """Return how this job asks for its token. None: it is none of this platform."""
    if not any(name in environ for name in _HERE):
        return None
    return partial(_token, environ)


def _token(environ: Mapping[str, str], audience: str) -> Secret:
    url = variable(environ, "ACTIONS_ID_TOKEN_REQUEST_URL", NAME, _PERMIT)
    bearer = variable(environ, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", NAME, _PERMIT)
    answer = get(
        NAME,
        f"{url}{'&' if '?' in url else '?'}{urlencode({'audience': audience})}",
        {"accept": "application/json", "authorization": f"bearer {bearer}"},
        refused=_PERMIT,
    )
    try:
        value = parse_object(answer.body).get("value")
    except ValueError as error:
        raise failed(NAME, f"the answer {error}", "ambient_answer") from None
    if not isinstance(value, str) or not value:
        raise failed(NAME, "the answer has no `value`", "ambient_answer")
    return Secret(value)
