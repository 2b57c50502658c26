"""A call of a provider that is tried again: bounded, within one deadline, spread in time."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentauth_cli.transport import Deadline, Response

ATTEMPTS = 3
_TOO_MANY, _SERVERS_FAULT = 429, 500


def jittered(most: float) -> None:
    """Wait for some part of these seconds, another one each time."""
    time.sleep(random.uniform(0, most))  # noqa: S311 - spreads attempts, keeps no secret


def busy(response: Response) -> bool:
    """Say whether it may be another answer later, by its status alone."""
    return response.status >= _SERVERS_FAULT or response.status == _TOO_MANY


def standing(
    call: Callable[[], Response],
    deadline: Deadline,
    pause: Callable[[float], None],
    passes: Callable[[Response], bool] = busy,
) -> Response:
    """Return the answer that stands: the first that is no passing fault, or the last attempt's.

    `passes` says of an answer that it may be another one later. How long to wait is never the
    provider's word; a wait that would end after the deadline is not begun.
    """
    response = call()
    for attempt in range(ATTEMPTS - 1):
        most = 2.0**attempt
        if not passes(response) or most >= deadline.remaining():
            break
        pause(most)
        response = call()
    return response
