"""The one writer of credentials: bytes to standard output, all of them or an error."""

from __future__ import annotations

import os

from agentauth_cli.errors import UndeliveredError

STDOUT = 1


def write(text: str) -> None:
    """Write to descriptor 1, past every buffer. Raises UndeliveredError where it cannot take it."""
    left = text.encode()
    try:
        while left:
            left = left[os.write(STDOUT, left) :]
    except OSError as error:
        raise UndeliveredError(f"standard output: {error.strerror}") from None
