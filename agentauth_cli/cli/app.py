"""Declares the command line to Typer, and calls it."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from agentauth_cli.cli import screen
from agentauth_cli.cli import version as version_
from agentauth_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    "source": "source",
    "policy": "policy",
    "configure": "configure",
    "bootstrap": "bootstrap",
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


def call(given: Sequence[str], front: Sequence[str], core: tuple[int, int]) -> int:
    """Call the command that these arguments name; return its exit code.

    `front` are those that can be options of ours; `core` are the limits of core dumps from before.
    Raises what the command raises.
    """
    app = build(next((one for one in front if not one.startswith("-")), None))
    try:
        code = app(given, standalone_mode=False, prog_name=screen.NAME, obj=core)
    except TyperException as failure:
        _misused(failure, as_json="--json" in front)
        return UsageError.exit_code
    except OSError as error:
        if _HELP.isdisjoint(front):
            raise
        raise screen.unwritable(error) from None  # Typer writes its help by itself
    return code if isinstance(code, int) else 0


def _misused(failure: TyperException, *, as_json: bool) -> None:
    """Show what Typer found wrong; a group without a command gets its help."""
    message = failure.format_message()
    if message.startswith("Usage:") and not as_json:
        screen.say_lines(message)
        return
    context = getattr(failure, "ctx", None)  # of the command that was misused
    hint = f"See `{context.command_path} --help`" if context else None
    error = UsageError(" ".join(message.split()).rstrip("."), hint=hint)
    screen.error(error, as_json=as_json)
