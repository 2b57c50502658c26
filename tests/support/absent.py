"""Programs that tests drive and a machine may lack: the last lines of the run name them."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_REASON = "this machine has no program"


def program(*names: str) -> str:
    """Return the path of the first of these programs that there is; without any, skip the test."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        missing(" or ".join(names))
    return found


def missing(name: str) -> NoReturn:
    """Skip the test for want of this program."""
    pytest.skip(f"{_REASON} {name}")


def lines(skipped: Sequence[Any]) -> Iterator[str]:
    """Yield a line for each absent program: how many tests were not run for want of it.

    Made from the reports of the run, since workers (xdist) hand on nothing else.
    """
    counts: dict[str, int] = {}
    for report in skipped:
        if match := re.search(rf"{_REASON} (.+?)['\")]*$", str(report.longrepr)):
            counts[match[1]] = counts.get(match[1], 0) + 1
    for name, count in sorted(counts.items()):
        yield f"absent: {name} ({count} not run)"
