"""Runs one command line, and turns what went wrong into a line and an exit code.

What every program waits for, a plain `vend`, goes without Typer: that alone takes longer to load
than all that is done.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from agentauth_cli.cli import quick, screen
from agentauth_cli.errors import AgentAuthError, RecursionRefusedError, Stopped
from agentauth_cli.hardening import harden

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

BUG = 70
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_ANYWHERE = ("--debug", "--no-color")


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code. Everything that goes wrong ends here.

    It is -N where signal N killed the command of `exec`.
    """
    given = _in_front(arguments)
    front = _front(given)
    as_json = "--json" in front
    core = harden()  # whoever is asking, a secret may say so
    try:
        with _signals():
            _refuse_recursion()
            return _called(given, front, core)
    except AgentAuthError as failure:
        _trace("--debug" in front)
        screen.error(failure, as_json=as_json)
        return failure.exit_code
    except Stopped as stopped:
        return stopped.exit_code
    except SystemExit:  # Typer's own end where nobody reads its help any more
        return 128 + signal.SIGPIPE
    except Exception as bug:  # noqa: BLE001 - the one place where a bug of ours ends
        _trace("--debug" in front)
        screen.error(_BugError(f"{type(bug).__name__}: {bug}"), as_json=as_json)
        return BUG


def _called(given: Sequence[str], front: Sequence[str], core: tuple[int, int]) -> int:
    words = quick.vend(given)
    if words is not None:
        from agentauth_cli.cli import vend_work

        vend_work.vend(words)
        return 0
    from agentauth_cli.cli import app

    return app.call(given, front, core)


class _BugError(AgentAuthError):
    """Something that this program does not foresee."""

    what = "a bug in agentauth"
    advice = "Run it again with --debug and report what it shows"


def _front(arguments: Sequence[str]) -> Sequence[str]:
    """Return the arguments before ``--``: what stands behind is no option of ours."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _in_front(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the options that may stand anywhere put first."""
    front = _front(arguments)
    first = [one for one in front if one in _ANYWHERE]
    rest = [one for one in front if one not in _ANYWHERE]
    if os.environ.get("AGENTAUTH_DEBUG") and "--debug" not in first:
        first.append("--debug")
    return [*first, *rest, *arguments[len(front) :]]


def _refuse_recursion() -> None:
    if "AGENTAUTH_INSIDE" in os.environ:
        profile = os.environ.get("AWS_PROFILE", "default")
        raise RecursionRefusedError(f"profile {profile} asks agentauth for agentauth's own source")


def _trace(debug: bool) -> None:
    """Show the traceback, in which text that looks like a secret is masked."""
    if debug:
        import traceback

        screen.say_lines(traceback.format_exc())


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Turn signals into `Stopped`, once: what is given back then must not be cut short.

    One that the parent ignores (nohup) stays ignored.
    """
    taken = [one for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]

    def stop(signum: int, _frame: FrameType | None) -> None:
        for one in taken:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped(signum)

    before = {one: signal.signal(one, stop) for one in taken}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
