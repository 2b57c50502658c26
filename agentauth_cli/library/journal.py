"""A program's own records, in the same chain as ours."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, overload

from agentauth_cli.errors import UsageError
from agentauth_cli.ledger.rows import stamp
from agentauth_cli.model import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from agentauth_cli.model import Action, Resource
    from agentauth_cli.wiring import Wiring

MAX_BYTES = 64 * 1024


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
    try:
        text = json.dumps(dict(fields), default=_known, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"this cannot be recorded: {error}", hint="") from None
    if len(text) > MAX_BYTES:
        raise UsageError(f"a record holds {MAX_BYTES} bytes at most, not {len(text)}", hint="")
    return json.loads(text)


def _known(value: object) -> Any:
    match value:
        case Decimal():
            return str(value)
        case datetime() if value.tzinfo is not None:
            return stamp(value)
        case Enum():
            return value.value
    raise TypeError(f"{type(value).__name__} has no form in JSON")
