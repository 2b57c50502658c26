"""Programs that a machine lacks are named at the end of the run."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from support import absent


def test_the_first_program_that_there_is_is_taken() -> None:
    """What is there is used."""
    assert absent.program("no-such-program", sys.executable) == sys.executable


def test_what_is_absent_is_named_and_counted() -> None:
    """What is absent is named in the run's last lines, never silent."""
    reports = []
    for names in [("no-vi", "no-vim"), ("no-aws",), ("no-aws",)]:
        with pytest.raises(pytest.skip.Exception) as caught:
            absent.program(*names)
        reports.append(SimpleNamespace(longrepr=("file", 1, f"Skipped: {caught.value.msg}")))
    reports.append(SimpleNamespace(longrepr=("file", 1, "Skipped: Linux has it")))
    assert list(absent.lines(reports)) == [
        "absent: no-aws (2 not run)",
        "absent: no-vi or no-vim (1 not run)",
    ]
