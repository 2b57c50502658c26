"""A program's own records, in the same chain as ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any, overload

from agentauth_cli.errors import UsageError
from agentauth_cli.ledger.rows import stamp
from agentauth_cli.model import Principal

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agentauth_cli.model import Action, Resource
    from agentauth_cli.wiring import Wiring

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32


class AuditLog:
    """Writes ``app.record``, with the program's fields under ``data``; no other event."""

    def __init__(self, wiring: Callable[[], AbstractContextManager[Wiring]]) -> None:
        self._wiring = wiring

    @overload
    def record(self, what: Mapping[str, Any], /) -> None: ...

    @overload
    def record(self, what: Principal, action: Action, resource: Resource, /) -> None: ...

    def record(
        self,
        what: Mapping[str, Any] | Principal,
        action: Action | None = None,
        resource: Resource | None = None,
        /,
    ) -> None:
        """Record fields of the program's own, or that a principal does something to a resource.

        Texts that look like secrets are masked. Raises UsageError for what JSON cannot hold or is
        over 64 KiB, StateError where it could not be written.
        """
        if isinstance(what, Principal):
            fields: Mapping[str, Any] = {
                "principal_id": what.id,
                "action": str(action),
                "resource": resource.identifier if resource is not None else None,
            }
        else:
            fields = what
        data = _plain(fields)
        with self._wiring() as wiring:
            wiring.ledger.append({"event": "app.record", "data": data})


def _plain(fields: Mapping[str, Any]) -> Any:
    """Return the fields as JSON has them."""
    found = _value(fields, 0)
    size = len(json.dumps(found))
    if size > MAX_BYTES:
        raise UsageError(f"a record holds {MAX_BYTES} bytes at most, not {size}", hint="")
    return found


def _value(value: Any, depth: int) -> Any:
    """Return a value as JSON has it. Raises UsageError for what it cannot hold, or is too deep."""
    if depth > MAX_DEPTH:
        raise UsageError(f"this cannot be recorded: nested deeper than {MAX_DEPTH}", hint="")
    match value:
        case Enum():
            return _value(value.value, depth)
        case None | str() | bool() | int():
            return value
        case float() if isfinite(value):
            return value
        case Decimal() if value.is_finite():
            return str(value)
        case datetime() if value.tzinfo is not None:
            return stamp(value)
        case list() | tuple():
            return [_value(one, depth + 1) for one in value]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: _value(one, depth + 1) for key, one in value.items()}
    why = f"this cannot be recorded: a {type(value).__name__}"
    raise UsageError(why, hint="JSON has no form for it: keys are strings, times aware")
