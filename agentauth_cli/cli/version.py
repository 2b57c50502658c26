"""`version`, also `--version`."""

from __future__ import annotations

import typer

from agentauth_cli import __version__
from agentauth_cli.cli import screen


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def version() -> None:
        """Show the version."""
        show(asked=True)


def show(asked: bool) -> None:
    """Show the version and end, where it was asked for."""
    if asked:
        screen.out(f"{screen.NAME} {__version__}")
        raise typer.Exit
