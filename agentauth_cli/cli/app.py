"""Declares the command line, runs it, and turns what went wrong into a line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import traceback
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from agentauth_cli.cli import screen
from agentauth_cli.cli import version as version_
from agentauth_cli.errors import AgentAuthError, RecursionRefusedError, Stopped, UsageError
from agentauth_cli.hardening import harden

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

BUG = 70
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_ANYWHERE = ("--debug", "--no-color")
_HELP = frozenset({"-h", "--help"})

MODULES = {
    "version": "version",
    "init": "init",
    "login": "login",
    "logout": "logout",
    "whoami": "identity",
    "vend": "vend",
    "exec": "exec",
    "check": "check",
    "explain": "check",
    "status": "status",
    "doctor": "doctor",
    "demo": "demo",
    "disable": "switch",
    "enable": "switch",
    "budget": "budget",
    "lease": "lease",
    "audit": "audit",
    "apikey": "apikey",
    "policy": "policy",
    "configure": "configure",
    "ledger": "ledger",
}
"""Which module of this folder declares which command; only those needed are loaded."""


def build(wanted: str | None = None) -> typer.Typer:
    """Return the command line: with one command where `wanted` is its name, else with all.

    Typer builds a validator for each option of each command, which nobody should wait for.
    """
    app = typer.Typer(
        name=screen.NAME,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": sorted(_HELP)},
    )
    app.callback()(_root)
    names = [MODULES[wanted]] if wanted in MODULES else dict.fromkeys(MODULES.values())
    for name in names:
        importlib.import_module(f"agentauth_cli.cli.{name}").declare(app)
    return app


def _root(
    *,
    debug: Annotated[  # noqa: ARG001 - declared for --help, read by run()
        bool, typer.Option("--debug", help="Show where a failure comes from.")
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=version_.show),
    ] = False,
) -> None:
    """Short-lived, narrowed, audited credentials for AI agents."""
    if no_color:
        os.environ["NO_COLOR"] = "1"


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
            app = build(next((one for one in front if not one.startswith("-")), None))
            return _called(app, given, core)
    except AgentAuthError as failure:
        _trace("--debug" in front)
        screen.error(failure, as_json=as_json)
        return failure.exit_code
    except TyperException as failure:
        _misused(failure.format_message(), as_json=as_json)
        return UsageError.exit_code
    except Stopped as stopped:
        return stopped.exit_code
    except SystemExit:  # Typer's own end where nobody reads its help any more
        return 128 + signal.SIGPIPE
    except Exception as bug:  # noqa: BLE001 - the one place where a bug of ours ends
        _trace("--debug" in front)
        screen.error(_BugError(f"{type(bug).__name__}: {bug}"), as_json=as_json)
        return BUG


def _called(app: typer.Typer, given: Sequence[str], core: tuple[int, int]) -> int:
    try:
        code = app(given, standalone_mode=False, prog_name=screen.NAME, obj=core)
    except OSError as error:
        if _HELP.isdisjoint(_front(given)):
            raise
        raise screen.unwritable(error) from None  # Typer writes its help by itself
    return code if isinstance(code, int) else 0


def _misused(message: str, *, as_json: bool) -> None:
    """Show what Typer found wrong; a group without a command gets its help."""
    if message.startswith("Usage:") and not as_json:
        screen.say_lines(message)
    else:
        screen.error(UsageError(" ".join(message.split()).rstrip(".")), as_json=as_json)


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
