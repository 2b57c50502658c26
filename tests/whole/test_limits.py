"""Little memory, few descriptors, a standard error that takes nothing: a clean answer, always."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import typer

from agentauth_cli.cli.app import build
from support.cloud import ROLE
from support.station import PROGRAM, station
from support.sts_server import StsServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.station import Station

pytestmark = pytest.mark.whole

DENIED = (3, 4, 6, 8, 9)
"""What a request that could not be judged may end with: nothing vended, and never a bug."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Station]:
    """Return a station whose STS answers at once."""
    with StsServer() as server:
        yield station(tmp_path / "small", server.url, server.source, "111111111111")


@pytest.mark.parametrize("command", [["vend", ROLE], ["exec", ROLE, "--", "/bin/echo", "done"]])
@pytest.mark.parametrize("limit", ["-v 200000", "-n 16", "-n 10", "-n 8", "-n 7", "-n 6", "-n 5"])
def test_under_limits(small: Station, limit: str, command: list[str]) -> None:
    """`ulimit -n 16`, RLIMIT_AS 200 MB: it works, or it is a clean failure and denies."""
    done = small.shell(["sh", "-c", f'ulimit {limit}; exec "$0" "$@"', str(PROGRAM), *command])
    if done.returncode == 0:
        assert "AccessKeyId" in done.stdout or done.stdout == "done\n"
    else:
        assert done.returncode in DENIED, done.stderr
        assert limit in {"-n 8", "-n 7", "-n 6", "-n 5"}
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
    small.everything_holds()
    assert small.run("vend", ROLE).returncode == 0


def test_an_audit_trail_that_nobody_takes(small: Station) -> None:
    """If a record cannot be written nothing is delivered: standard error is full, exit 9."""
    vend = f'exec "$0" vend {ROLE} 2>/dev/full'
    done = small.shell(["sh", "-c", vend, str(PROGRAM)], AGENTAUTH_LEDGER="ephemeral")
    assert (done.returncode, done.stdout) == (9, "")
    told = small.shell(
        ["sh", "-c", f'exec "$0" vend {ROLE}', str(PROGRAM)], AGENTAUTH_LEDGER="ephemeral"
    )
    assert told.returncode == 0
    events = [json.loads(line)["event"] for line in told.stderr.splitlines()]
    assert events == ["vend.intent", "vend.issued"]


def options() -> Iterator[tuple[str, Any]]:
    """Yield every option of every command."""

    def under(node: Any, words: str) -> Iterator[tuple[str, Any]]:
        for parameter in node.params:
            if parameter.param_type_name == "option":
                yield f"{words} {max(parameter.opts, key=len)}", parameter
        for name, member in getattr(node, "commands", {}).items():
            yield from under(member, f"{words} {name}")

    yield from under(typer.main.get_command(build()), "agentauth")


def test_no_secret_is_taken_from_argv() -> None:
    """Argv: `--api-key` on the command line is not offered, nor any other secret."""
    found = dict(options())
    assert len(found) > 50
    for name, parameter in found.items():
        told = name.rpartition("--")[2]
        if any(word in told for word in ("key", "token", "secret", "password", "credential")):
            counted = told in {"estimate-tokens", "tokens"}
            assert parameter.is_flag or counted, name


@pytest.mark.parametrize("option", ["--api-key", "--token", "--password", "--secret"])
@pytest.mark.parametrize("command", ["login", "vend", "whoami"])
def test_a_secret_in_argv_is_not_repeated(small: Station, command: str, option: str) -> None:
    """Who gives one all the same gets exit 2, and not the secret back."""
    secret = "made-up-secret-of-somebody"
    for argument in ([option, secret], [f"{option}={secret}"]):
        done = small.run(command, *argument)
        assert done.returncode == 2
        assert secret not in done.stdout + done.stderr
