"""The service account that a tool acts as, and what Google's audit log is told of a lease.

Pure. Sources: Google's IAM documentation, "Create service accounts" (ids) and "Service account
types"; the API platform's "System parameters" for the reason.
"""

from __future__ import annotations

import re
from hashlib import sha256
from string import Formatter
from typing import TYPE_CHECKING
from urllib.parse import quote

from agentauth_cli.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from agentauth_cli.model import Principal, ToolRequest

SHORTEST, LONGEST = 1, 3600
"""What generateAccessToken mints, in seconds; more needs a policy of the organisation."""

_MARK = 8
_MOST = 30
_LONG = 256
ID = re.compile(r"[a-z](?:[a-z0-9-]{4,28})[a-z0-9]")
_EMAIL = re.compile(r"[a-z0-9][a-z0-9-]{0,62}@(?:[a-z0-9-]{1,63}\.){1,4}gserviceaccount\.com")
_FIELDS = frozenset({("tool_id", "", None), ("project", "", None)})


def tool_id(name: str) -> str:
    """Return the tool's name as the id of a service account: `-` for `_`, 6 to 30 characters.

    Where that alone is no id, the name is cut and a hash of it stands at the end, so that the ids
    of two such names differ.
    """
    plain = name.replace("_", "-")
    if ID.fullmatch(plain):
        return plain
    mark = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-0123456789") or "tool"
    return f"{kept[: _MOST - _MARK - 1].rstrip('-')}-{mark}"


def checked_template(template: str | None) -> str | None:
    """Return the template; raise ConfigError where it has other names than the two known."""
    if template is None:
        return None
    try:
        fields = {field[1:] for field in Formatter().parse(template) if field[1] is not None}
    except ValueError as error:
        raise ConfigError(f"service_account_template {template!r}: {error}") from error
    if fields - _FIELDS:
        raise ConfigError(
            f"service_account_template {template!r} has an unknown placeholder",
            hint="It may hold {tool_id} and {project}",
        )
    return template


def filled(template: str, project: str, tool: str) -> str:
    """Return the service account of a tool by an environment's template."""
    return template.replace("{project}", project).replace("{tool_id}", tool_id(tool))


def service_account(request: ToolRequest, template: str | None, project: str) -> str:
    """Return the address of the request's own account, or the template's. Raises ConfigError."""
    return address(request.service_account, request.tool_name, template, project)


def address(own: str | None, tool: str, template: str | None, project: str) -> str:
    """Return the e-mail address of a tool's own account, or the template's.

    Raises ConfigError where there is none, and where it is no address of a service account.
    """
    found = own
    if found is None and template is not None:
        found = filled(template, project, tool)
    if found is None:
        raise ConfigError(
            "no service account to act as",
            hint="Set service_account_template, or the tool's service_account",
        )
    if not _EMAIL.fullmatch(found):
        raise ConfigError(
            f"{found!r} is no service account's e-mail address",
            hint="See service_account_template and project",
        )
    return found


def duration(request: ToolRequest) -> int:
    """Return the seconds asked for; raise UsageError where Google cannot mint that."""
    if not SHORTEST <= request.max_duration <= LONGEST:
        raise UsageError(
            f"Google mints for {SHORTEST} to {LONGEST} s, not {request.max_duration}",
            hint="Choose another duration",
        )
    return request.max_duration


def reason(principal: Principal, request: ToolRequest) -> str:
    """Return who wants a token, for which tool and lease, in the characters of a header."""
    facts = {
        "principal": principal.id,
        "actor": principal.actor,
        "tool": request.tool_name,
        "lease": request.lease,
    }
    return " ".join(
        ["agentauth", *(f"{key}={_told(value)}" for key, value in facts.items() if value)]
    )


def _told(value: str) -> str:
    """Return a value percent-encoded; a hash stands for the end of a long one."""
    whole = quote(value, safe="/@:+,.", errors="replace")
    if len(whole) <= _LONG:
        return whole
    mark = sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    return f"{whole[: _LONG - _MARK - 1]}-{mark}"
