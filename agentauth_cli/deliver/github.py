"""The variables of a credential for the steps that follow in a job of GitHub Actions.

They go to the file that GITHUB_ENV names, a line each: nothing that needs more than a line is ever
written. Source: GitHub's documentation, "Workflow commands", on environment files.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agentauth_cli.deliver.formats import variables
from agentauth_cli.errors import UndeliveredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.model import ProviderCredential

_FILE = "GITHUB_ENV"


def file(environ: Mapping[str, str]) -> str:
    """Return the path of the file. Raises UsageError where this is no job of GitHub Actions."""
    path = environ.get(_FILE)
    if not path:
        raise UsageError(
            f"format github: {_FILE} is not set", hint="It is for a job of GitHub Actions"
        )
    return path


def append(path: str, credential: ProviderCredential) -> None:
    """Append the variables. Raises UndeliveredError where the file does not take them all.

    The file is the runner's, and there already. Raises ProviderAnswerError as `variables` does.
    """
    found = variables(credential)
    # An empty line is skipped, and what came before may lack its newline.
    lines = "\n" + "".join(f"{name}={value}\n" for name, value in found.items())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            _write(descriptor, lines.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UndeliveredError(f"{_FILE} cannot be written: {error.strerror}") from None


def _write(descriptor: int, left: bytes) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise UndeliveredError(f"{_FILE} is no file")
    while left:
        left = left[os.write(descriptor, left) :]
