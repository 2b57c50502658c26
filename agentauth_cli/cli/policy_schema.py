"""`policy schema`: what a file may hold, as a JSON Schema."""

from __future__ import annotations

from agentauth_cli.cli import screen
from agentauth_cli.config.schemas import shipped


def work(file: str) -> None:
    """Show the schema, to the byte as it is shipped. Raises UnknownNameError."""
    for line in shipped(file).splitlines():
        screen.out(line)
