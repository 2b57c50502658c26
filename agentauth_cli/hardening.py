"""The process itself: no core dumps, and nobody of the same account attaches to it."""

from __future__ import annotations

import resource
import sys

_PR_SET_DUMPABLE = 4  # prctl(2)


def harden() -> tuple[int, int]:
    """Call before the first secret exists; return the limits of core dumps as they were.

    Where the system has no such thing, nothing happens.
    """
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return before
