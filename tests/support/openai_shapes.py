"""The shapes of OpenAI's requests and answers, after the typed models of the `openai` package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.openai_org import LONGEST, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.openai_org import Account, Key, Project

Type = type | tuple[type, ...]
OPTIONAL_INT = (int, type(None))
KEY_OPTIONS: dict[str, Type] = {"name": str, "expires_in_seconds": OPTIONAL_INT, "scopes": list}
ACCOUNT_OPTIONS: dict[str, Type] = {
    "create_service_account_only": (bool, type(None)),
    "expires_in_seconds": OPTIONAL_INT,
}


@dataclass(frozen=True)
class Asked:
    """A request as it came; header names in lower case, `json` None without a body."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    json: Any


def bearer(asked: Asked) -> str:
    """Return what stands in the Authorization header."""
    scheme, _, value = asked.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not value:
        raise RefusedError(401, None, "You didn't provide an API key.")
    return value


def body(asked: Asked, needed: Mapping[str, Type], optional: Mapping[str, Type]) -> dict[str, Any]:
    """Return the JSON object that was sent, of these members and no others."""
    if asked.headers.get("content-type") != "application/json" or asked.query:
        raise RefusedError(400, "invalid_request", "not JSON alone")
    if not isinstance(asked.json, dict):
        raise RefusedError(400, "invalid_request", "no JSON object")
    shape = {**needed, **optional}
    for name, value in asked.json.items():
        if name not in shape:
            raise RefusedError(400, "unknown_parameter", f"Unknown parameter: '{name}'.")
        if not isinstance(value, shape[name]) or (
            isinstance(value, bool) and shape[name] in (int, OPTIONAL_INT)
        ):
            raise RefusedError(400, "invalid_type", f"Invalid type for '{name}'.")
    for name in needed:
        if not asked.json.get(name):
            raise RefusedError(400, "missing_required_parameter", f"Missing: '{name}'.")
    return asked.json


def seconds(sent: Mapping[str, Any]) -> int | None:
    """Return how long a key is to live; None: for ever."""
    found: int | None = sent.get("expires_in_seconds")
    if found is not None and not 1 <= found <= LONGEST:
        raise RefusedError(400, "invalid_value", "expires_in_seconds is out of range")
    return found


def query(asked: Asked, *known: str) -> dict[str, str]:
    """Return what was asked for in the query; there is no body."""
    if asked.json is not None or not set(asked.query) <= set(known):
        raise RefusedError(400, "unknown_parameter", "Unknown parameter.")
    return {name: value[0] for name, value in asked.query.items()}


def page(asked: Asked, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a page of a list by cursor."""
    sought = query(asked, "after", "limit")
    limit = int(sought.get("limit", "20"))
    if not 1 <= limit <= 100:
        raise RefusedError(400, "invalid_value", "limit is not between 1 and 100")
    ids = [one["id"] for one in items]
    begin = ids.index(sought["after"]) + 1 if sought.get("after") in ids else 0
    data = items[begin : begin + limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": begin + limit < len(items),
    }


def project(one: Project) -> dict[str, Any]:
    """Return a project."""
    kind = "organization.project"
    return {"id": one.id, "object": kind, "name": one.id, "created_at": 0, "status": "active"}


def account(one: Account) -> dict[str, Any]:
    """Return a service account."""
    return {
        "id": one.id,
        "object": "organization.project.service_account",
        "name": one.name,
        "role": one.role,
        "created_at": one.created,
    }


def made_key(one: Key) -> dict[str, Any]:
    """Return a key as it is created: with its value."""
    return {
        "id": one.id,
        "object": "organization.project.service_account.api_key",
        "name": one.name,
        "value": one.value,
        "created_at": one.created,
        "expires_at": one.expires,
    }


def key(one: Key) -> dict[str, Any]:
    """Return a key as it is listed."""
    owner = account(one.account)
    owner.pop("object")
    return {
        "id": one.id,
        "object": "organization.project.api_key",
        "name": one.name,
        "redacted_value": f"{one.value[:4]}...{one.value[-4:]}",
        "created_at": one.created,
        "expires_at": one.expires,
        "last_used_at": None,
        "owner": {"type": "service_account", "service_account": owner},
        "owner_project_access": "active",
    }


def completion(model: str, now: int, tokens: tuple[int, int]) -> dict[str, Any]:
    """Return a chat completion that cost so many tokens, in and out."""
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "logprobs": None,
        "message": {"role": "assistant", "content": "yes", "refusal": None},
    }
    into, out = tokens
    usage = {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": now,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }
