"""One OpenAI credential, as plain values: what is asked for, and the check of the answer.

Nothing here goes out. Sources: OpenAI's API reference, "Create an API key for a service account",
"Delete project API key" and "Workload identity token exchange"; RFC 8693, section 2.2.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ConfigError, ProviderAnswerError
from agentauth_cli.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.model import Principal, ToolRequest

EXCHANGED = 3_600
"""The seconds that an exchanged token may live: OpenAI is not asked how long."""

_KEY = "organization.project.service_account.api_key"
_ISSUED = "urn:ietf:params:oauth:token-type:access_token"
_DELETED = "organization.project.api_key.deleted"
_NAME_LIMIT = 100
_LATEST = 60  # seconds
_CLOCK = "Check this machine's clock, and the endpoint of the environment"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SCOPE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+")
_VALUE = re.compile(r"[!-~]{1,16384}")
_OUTSIDE_NAME = re.compile(r"[^!-~]")
_CALLS = {"chat.completions.create": "model.request"}
"""The SDK's name of a call, where that is given for a permission: the scope that it needs."""


@dataclass(frozen=True, slots=True)
class Made:
    """What OpenAI has made: `id` is empty for a token, which has none."""

    id: str
    value: Secret
    end: datetime


def identifier(value: str, key: str) -> str:
    """Return what can stand in a path of OpenAI's. Raises ConfigError, naming the key, else."""
    if not _ID.fullmatch(value):
        raise ConfigError(f"{key} {value!r} is no id of OpenAI", hint=f"Correct {key}")
    return value


def check_project(request: ToolRequest, project: str) -> None:
    """Raise ConfigError for another project than this one; for a part of it unless that is meant.

    Environments are walls: what a tool is for has to be the project of its environment.
    """
    for grant in request.narrowed:
        if grant.resource.startswith(f"{project}/"):
            check_unnarrowed(request, f"a credential to {grant.resource}")
        elif grant.resource != project:
            raise ConfigError(
                f"{grant.resource!r} is not {project}, the project of the environment",
                hint='Set the resource of the tool to "${project_id}"',
            )


def check_unnarrowed(request: ToolRequest, what: str) -> None:
    """Raise ConfigError unless the tool says that it means what cannot be narrowed."""
    if not request.unnarrowed:
        raise ConfigError(
            f"tool {request.tool_name}: OpenAI cannot narrow {what}",
            hint="Say `unnarrowed = true` in the tool to mean it",
        )


def scopes(request: ToolRequest) -> list[str]:
    """Return the scopes of a key: one for each permission, and at least one.

    Raises ConfigError where there is none, since a key without scopes may do everything, and where
    a permission is no scope.
    """
    wanted = [one for grant in request.narrowed for one in grant.permissions]
    found = list(dict.fromkeys(_CALLS.get(one, one) for one in wanted))
    if not found:
        raise ConfigError("a tool without permissions", hint="Give it `permissions`")
    for one in found:
        if not _SCOPE.fullmatch(one):
            raise ConfigError(
                f"{one!r} is no scope of an OpenAI key",
                hint="`permissions` are scopes such as model.request or api.responses.write",
            )
    return found


def name(principal: Principal, request: ToolRequest) -> str:
    """Return the name of a key: its lease, then tool and principal as far as there is room."""
    facts = [one for one in (request.lease, request.tool_name, principal.id) if one]
    return " ".join(_OUTSIDE_NAME.sub("-", fact) for fact in facts)[:_NAME_LIMIT]


def key(answer: Mapping[str, Any], asked: Mapping[str, Any], now: datetime) -> Made:
    """Return the key of an answer that is in order.

    `asked` is the body of the request, `now` when it was sent. Raises ProviderAnswerError, which
    never quotes the answer, for anything else.
    """
    if answer.get("object") != _KEY or answer.get("name") != asked["name"]:
        raise ProviderAnswerError("OpenAI answered with another key than asked for")
    found = answer.get("id")
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise ProviderAnswerError("OpenAI answered with no usable id")
    ends = answer.get("expires_at")
    if type(ends) is not int:  # null is one that never ends
        raise ProviderAnswerError("OpenAI answered with no usable expires_at")
    _check_life(ends - int(now.timestamp()), asked["expires_in_seconds"], _CLOCK)
    return Made(found, _value(answer, "value"), datetime.fromtimestamp(ends, UTC))


def token(answer: Mapping[str, Any], asked: int, now: datetime) -> Made:
    """Return the token of an answer that is in order. `asked` in seconds; raises as `key`."""
    kind = answer.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ProviderAnswerError("OpenAI answered with no usable token_type")
    if answer.get("issued_token_type", _ISSUED) != _ISSUED:
        raise ProviderAnswerError("OpenAI answered with another token than asked for")
    seconds = answer.get("expires_in")
    if type(seconds) is not int:
        raise ProviderAnswerError("OpenAI answered with no usable expires_in")
    _check_life(seconds, asked, "Raise the `duration` of the tool, if that is meant")
    return Made(
        "", _value(answer, "access_token"), now.astimezone(UTC) + timedelta(seconds=seconds)
    )


def is_gone(answer: Mapping[str, Any], key_id: str) -> bool:
    """Say whether an answer confirms that this key is deleted."""
    return (answer.get("object"), answer.get("id")) == (_DELETED, key_id) and answer.get(
        "deleted"
    ) is True


def _value(answer: Mapping[str, Any], member: str) -> Secret:
    value = answer.get(member)
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ProviderAnswerError(f"OpenAI answered with no usable {member}")
    return Secret(value)


def _check_life(seconds: int, asked: int, too_long: str) -> None:
    """Refuse what has expired, or lives longer than asked and a minute."""
    if seconds <= 0:
        raise ProviderAnswerError("OpenAI answered with a credential that has expired", hint=_CLOCK)
    if seconds > asked + _LATEST:
        why = "OpenAI answered with a credential that lives longer than asked"
        raise ProviderAnswerError(why, hint=too_long)
