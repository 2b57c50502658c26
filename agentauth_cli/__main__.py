"""The front door: descriptors first, then the command line."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line of this process and exit with its code, or die by its signal."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until run() has its own: no traceback
    _plug()
    from agentauth_cli.cli.run import run

    code = run(sys.argv[1:])
    _drop()
    if code < 0:
        from agentauth_cli.deliver.child import die

        die(-code)
        code = 128 - code
    sys.exit(code)


def _plug() -> None:
    """Open what the caller closed: a ledger must never become descriptor 1.

    Writing to a standard output that was closed still fails, since its place is read-only; Python
    would drop what is written to it.
    """
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - no path
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _drop() -> None:
    """Drop what nobody reads any more: Python would try it once more, and exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
