"""How a platform is asked: one HTTP request, or its own program. Bounded in time and size.

Nothing of what authorizes the question, and nothing of an answer, stands in an error. Reasons:

ambient_variable     a variable that the platform should have set is not there, or empty
ambient_unreachable  nothing answered in time
ambient_refused      it answered with an error
ambient_answer       it answered, with what is no token
ambient_program      the platform's program is not there, failed, or did not end in time
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentauth_cli.errors import (
    AuthenticationError,
    ProviderAnswerError,
    ProviderUnreachableError,
)
from agentauth_cli.inbound.jwt import MAX_TOKEN
from agentauth_cli.secret import Secret
from agentauth_cli.transport import Deadline, send

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence
    from subprocess import Popen

    from agentauth_cli.transport import Response

Ask = Callable[[str], Secret]
"""Asks for a token with this audience: it is not looked at yet. Raises AuthenticationError."""

SECONDS = 10.0
PAUSES = (0.3, 0.7)
"""Seconds before a question is asked again."""

LIMIT = 4 * MAX_TOKEN
_OK = 200
_BUSY = frozenset({429, 500, 502, 503, 504})


def variable(environ: Mapping[str, str], name: str, platform: str, hint: str) -> str:
    """Return what a platform has set. Raises AuthenticationError where it has not, or empty."""
    value = environ.get(name)
    if not value:
        state = "not set" if value is None else "empty"
        raise AuthenticationError(
            f"{platform}: {name} is {state} in this job", reason="ambient_variable", hint=hint
        )
    return value


def get(
    platform: str,
    url: str,
    headers: Mapping[str, str],
    *,
    refused: str,
    metadata: bool = False,
) -> Response:
    """Return the answer to a question, whose status is 200. Raises AuthenticationError.

    `refused` is the hint where it is another. `metadata` is the transport's.
    """
    deadline = Deadline(SECONDS)

    def ask() -> Response:
        return send("GET", url, deadline=deadline, headers=headers, limit=LIMIT, metadata=metadata)

    try:
        answer = _patient(ask)
    except ProviderUnreachableError as error:
        raise failed(platform, error.message, "ambient_unreachable") from None
    except ProviderAnswerError as error:
        raise failed(platform, error.message, "ambient_answer") from None
    if answer.status != _OK:
        why = f"it refused to give a token, with status {answer.status}"
        raise failed(platform, why, "ambient_refused", refused)
    return answer


def _patient(ask: Callable[[], Response]) -> Response:
    """Return the answer; where nothing answers, or with a fault that passes, that of a later try.

    The time is bounded by whoever asks.
    """
    for pause in PAUSES:
        with contextlib.suppress(ProviderUnreachableError):
            answer = ask()
            if answer.status not in _BUSY:
                return answer
        time.sleep(pause)
    return ask()


def failed(platform: str, why: str, reason: str, hint: str | None = None) -> AuthenticationError:
    """Return that a platform gives this job no token."""
    return AuthenticationError(
        f"the job's own token of {platform}: {why}",
        reason=reason,
        hint=hint or "Try again, or present a token in AGENTAUTH_TOKEN",
    )


def run(
    platform: str,
    command: Sequence[str],
    environ: Mapping[str, str],
    kept: re.Pattern[str],
) -> Secret:
    """Return what the platform's own program writes, without the newline at its end.

    It gets the variables that `kept` matches whole and no others, no input, and a place where
    nothing of the job's files is found by chance; what it says on standard error is dropped, since
    nobody knows what that holds. Raises AuthenticationError.
    """
    import subprocess

    name, *arguments = command
    # What a relative entry of PATH finds would be the job's own files.
    program = shutil.which(name, path=environ.get("PATH", os.defpath))
    if program is None or not program.startswith("/"):
        hint = "Let the job have it, or present a token in AGENTAUTH_TOKEN"
        raise failed(platform, f"there is no `{name}` on PATH", "ambient_program", hint)
    try:
        process = subprocess.Popen(  # noqa: S603 - the platform's program, and no shell
            [program, *arguments],
            env={one: value for one, value in environ.items() if kept.fullmatch(one)},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that what it started can be ended with it
        )
    except OSError as error:
        why = f"`{name}` cannot be run: {error.strerror}"
        raise failed(platform, why, "ambient_program") from None
    try:
        output, code = _ended(process, Deadline(SECONDS))
    except ProviderUnreachableError:
        why = f"`{name}` did not end within {SECONDS:g} s"
        raise failed(platform, why, "ambient_program") from None
    except ProviderAnswerError:
        raise failed(platform, f"`{name}` wrote too much", "ambient_answer") from None
    if code != 0:
        hint = f"Run `{' '.join(command[:3])}` in the job to see why"
        raise failed(platform, f"`{name}` ended with code {code}", "ambient_program", hint)
    return token_of(platform, output)


def token_of(platform: str, content: bytes) -> Secret:
    """Return the token that stands by itself in what came. Raises AuthenticationError."""
    text = content.decode("latin-1").strip()
    if not text:
        raise failed(platform, "what came is empty", "ambient_answer")
    return Secret(text)


def _ended(process: Popen[bytes], deadline: Deadline) -> tuple[bytes, int]:
    """Return what a process wrote, and its exit code.

    It is killed with all that it started where it has not ended in time, wrote too much, or we are
    stopped.
    """
    try:
        output = _written(process, deadline)
        return output, _code(process, deadline)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _written(process: Popen[bytes], deadline: Deadline) -> bytes:
    import select

    pipe = -1 if process.stdout is None else process.stdout.fileno()
    output = b""
    while len(output) <= LIMIT:
        if select.select([pipe], [], [], deadline.remaining())[0]:
            more = os.read(pipe, LIMIT)
            if not more:
                return output
            output += more
    raise ProviderAnswerError


def _code(process: Popen[bytes], deadline: Deadline) -> int:
    import subprocess

    try:
        return process.wait(deadline.remaining())
    except subprocess.TimeoutExpired:
        raise ProviderUnreachableError from None
