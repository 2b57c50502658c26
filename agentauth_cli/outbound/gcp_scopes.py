"""The OAuth scopes of a token, and how they go together with an access boundary.

Pure. Sources: Google's "OAuth 2.0 scopes for Google APIs" and "Cloud Storage authentication"; "IAM
roles for Cloud Storage". The exchange that narrows a token takes one of cloud-platform alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentauth_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.model import Grant, ToolRequest

_AUTH = "https://www.googleapis.com/auth/"
CLOUD_PLATFORM = f"{_AUTH}cloud-platform"
IAM_SCOPE = f"{_AUTH}iam"
"""All that a token needs which only mints another one."""

_SCOPE = re.compile(r"[!#-\[\]-~]{1,256}")  # RFC 6749, section 3.3
_READ_ONLY, _READ_WRITE = f"{_AUTH}devstorage.read_only", f"{_AUTH}devstorage.read_write"
_STORAGE = "inRole:roles/storage."
_READ = frozenset(
    _STORAGE + name for name in ("objectViewer", "legacyObjectReader", "legacyBucketReader")
)
_WITHIN = {
    _READ_ONLY: _READ,
    _READ_WRITE: _READ | {_STORAGE + name for name in ("objectCreator", "objectUser")},
}
"""Roles that can do no more than a scope lets be done."""


def scopes(request: ToolRequest, *, bounded: bool) -> tuple[str, ...]:
    """Return what is asked for: the tool's own scopes, or cloud-platform.

    With a boundary it is cloud-platform in any case: then the tool's own scopes have to let be done
    all that its roles can, so that it gets no more than both say. Raises ConfigError otherwise.
    """
    own = request.oauth_scopes
    for scope in own:
        if not _SCOPE.fullmatch(scope):
            raise ConfigError(f"{scope!r} is no OAuth scope", hint="See the tool's `oauth_scopes`")
    if own and bounded and CLOUD_PLATFORM not in own:
        _check(own, request.narrowed)
    return (CLOUD_PLATFORM,) if bounded or not own else own


def _check(own: Sequence[str], grants: Sequence[Grant]) -> None:
    """Refuse scopes that would be passed over: the roles alone hold a narrowed token."""
    within = frozenset[str]().union(*(_WITHIN.get(scope, frozenset()) for scope in own))
    for role in (role for grant in grants for role in grant.permissions):
        if role not in within:
            raise ConfigError(
                f"{role} may do more than the tool's `oauth_scopes`, and Google narrows tokens of "
                "cloud-platform alone",
                hint="Give the tool a smaller role, or take `oauth_scopes` away",
            )
