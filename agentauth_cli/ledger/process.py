"""Which process holds a lease: its number and when it started, since numbers come again."""

from __future__ import annotations

import os
from pathlib import Path

_START_TIME = 19  # fields of /proc/PID/stat behind the name: starttime is the 22nd in all (proc(5))

_OVER = ("Z", "X")  # killed, and its parent has not asked yet


def this_process() -> str:
    """Return ``pid:start`` of this process."""
    return f"{os.getpid()}:{_started(os.getpid())}"


def alive(process: str) -> bool:
    """Say whether the process of ``pid:start`` still runs."""
    pid, _, start = process.partition(":")
    return bool(start) and pid.isdecimal() and _started(int(pid)) == start


def parent_name() -> str:
    """Return the name of the program that started this one, empty where it cannot be told."""
    return _ps(os.getppid(), "comm") if _proc() is None else _read(os.getppid(), "comm").strip()


def _proc() -> Path | None:
    proc = Path("/proc")
    return proc if (proc / "self" / "stat").exists() else None


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _started(pid: int) -> str:
    if _proc() is None:
        return _ps(pid, "lstart")
    behind_name = _read(pid, "stat").rpartition(")")[2].split()
    if len(behind_name) <= _START_TIME or behind_name[0] in _OVER:
        return ""
    return behind_name[_START_TIME]


def _ps(pid: int, column: str) -> str:
    """Ask ps, where there is no /proc (macOS)."""
    import subprocess

    command = ["/bin/ps", "-o", f"{column}=", "-p", str(pid)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, env={})  # noqa: S603 - a fixed command
    except OSError:
        return ""
    return found.stdout.strip()
