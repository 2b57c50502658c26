"""The process itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import ctypes, resource
from agentauth_cli.hardening import harden
before = resource.getrlimit(resource.RLIMIT_CORE)
told = harden() == before
print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), told)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_GET_DUMPABLE is Linux's")
def test_no_core_is_dumped_and_nobody_attaches() -> None:
    """RLIMIT_CORE 0 before the first secret exists, PR_SET_DUMPABLE 0 where there is one."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "True"]
