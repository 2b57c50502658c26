"""The process itself: no core dumps, and nobody of the same account attaches to it."""

from __future__ import annotations

import resource
import sys

_PR_SET_DUMPABLE = 4  # prctl(2)


def harden() -> None:
    """Call before the first secret exists. Where the system has no such thing, nothing happens."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
