"""Buildkite and CircleCI, whose own programs fetch the token: really run here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.errors import AuthenticationError, Stopped
from agentauth_cli.inbound.ci import asking, buildkite, circleci
from agentauth_cli.secret import Secret
from support.jobs import BEARER, program, token

if TYPE_CHECKING:
    from agentauth_cli.inbound.ci.asking import Ask

SYSTEM = "/usr/bin:/bin"
AGENT = "buildkite-agent"
SHOW = 'printf "%s|" "$@"; env | sort | tr "\\n" "|"; pwd'


def ask(environ: dict[str, str]) -> Ask:
    """Return how this job asks."""
    found = buildkite.detect(environ) or circleci.detect(environ)
    assert found is not None
    return found


def agent(folder: Path, body: str, **more: str) -> dict[str, str]:
    """Return a job of Buildkite whose agent does this."""
    path = f"{program(folder / 'bin', AGENT, body)}:{SYSTEM}"
    return {"BUILDKITE": "true", "PATH": path, "BUILDKITE_AGENT_ACCESS_TOKEN": BEARER} | more


def refusal(environ: dict[str, str]) -> AuthenticationError:
    """Return why this job gets none."""
    with pytest.raises(AuthenticationError) as caught:
        ask(environ)("agentauth")
    assert BEARER not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


def test_elsewhere_there_is_no_token() -> None:
    """None = not here."""
    other = {"CI": "true", "GITHUB_ACTIONS": "true"}
    assert buildkite.detect(other) is None
    assert circleci.detect(other) is None


def test_the_agent_gets_what_it_needs_and_no_more(tmp_path: Path) -> None:
    """No shell, no inherited secret, and none of the job's files in reach by chance."""
    environ = agent(
        tmp_path,
        SHOW,
        HOME="/h",
        BUILDKITE_JOB_ID="j",
        BUILDKITE_AGENT_ENDPOINT="https://agent.example/v3",
        BUILDKITE_AGENT_JOB_API_TOKEN="t",
        BUILDKITE_AGENT_DEBUG="true",
        BUILDKITE_PLUGINS="x",
        AWS_SECRET_ACCESS_KEY="x",
        DEPLOY_TOKEN="x",
        LD_PRELOAD="/x",
    )
    *shown, folder = ask(environ)("a; $(id) 'b'").reveal().split("|")
    assert shown[:4] == ["oidc", "request-token", "--audience", "a; $(id) 'b'"]
    assert folder == "/"
    names = {one.partition("=")[0] for one in shown[4:] if one} - {"PWD", "OLDPWD", "SHLVL", "_"}
    assert names == {
        *("PATH", "HOME", "BUILDKITE_JOB_ID", "BUILDKITE_AGENT_ENDPOINT"),
        *("BUILDKITE_AGENT_ACCESS_TOKEN", "BUILDKITE_AGENT_JOB_API_TOKEN"),
    }


def test_circleci_is_asked_by_its_program(tmp_path: Path) -> None:
    """Any audience but its own is asked for with claims, as JSON."""
    folder = program(tmp_path / "bin", "circleci", SHOW)
    environ = {
        "CIRCLECI": "true",
        "PATH": f"{folder}:{SYSTEM}",
        "CIRCLE_JOB": "j",
        "CIRCLE_OIDC_TOKEN": token("org"),
        "CIRCLE_OIDC_TOKEN_V2": token("org"),
        "MY_SECRET": "x",
    }
    shown = ask(environ)('a"b').reveal().split("|")
    without = {key: one for key, one in environ.items() if "OIDC" not in key}
    assert ask(without)('a"b').reveal().split("|") == shown
    assert shown[:5] == ["run", "oidc", "get", "--claims", '{"aud": "a\\"b"}']
    assert "CIRCLE_JOB=j" in shown
    assert not any(one.startswith(("CIRCLE_OIDC_TOKEN", "MY_SECRET")) for one in shown)


def test_circlecis_own_audience_is_in_its_variable() -> None:
    """The variable of the second form has the token for the organization's id."""
    own = token("org")
    environ = {"CIRCLECI": "true", "PATH": "/nowhere", "CIRCLE_OIDC_TOKEN_V2": own}
    assert ask(environ)("org") == Secret(own)
    assert refusal(environ).reason == "ambient_program"
    for text, reason in (("", "ambient_variable"), ("x.y", "ambient_program")):
        assert refusal(environ | {"CIRCLE_OIDC_TOKEN_V2": text}).reason == reason


@pytest.mark.parametrize("path", ["", "/nowhere", ".", "bin"])
def test_a_program_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """What a relative entry of PATH finds is the job's own file, and is not run."""
    agent(tmp_path, "echo a.b.c")
    program(tmp_path, AGENT, "echo a.b.c")
    monkeypatch.chdir(tmp_path)
    error = refusal({"BUILDKITE": "true", "PATH": path})
    assert error.reason == "ambient_program"
    assert "there is no `buildkite-agent` on PATH" in error.message
    assert error.hint == "Let the job have it, or present a token in AGENTAUTH_TOKEN"


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    """A script of an interpreter that there is not, in plain words."""
    environ = agent(tmp_path, "")
    (tmp_path / "bin" / AGENT).write_text("#!/does/not/exist\n")
    error = refusal(environ)
    assert error.reason == "ambient_program"
    assert "cannot be run: No such file or directory" in error.message


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (f"echo {BEARER} >&2; echo {BEARER}; exit 3", "ambient_program", "ended with code 3"),
        ("kill -9 $$", "ambient_program", "ended with code -9"),
        ("true", "ambient_answer", "what came is empty"),
        ("echo", "ambient_answer", "what came is empty"),
        ("yes", "ambient_answer", "wrote too much"),
        (
            "head -c 1000000 /dev/zero >&2; echo a.b.c; exit 7",
            "ambient_program",
            "ended with code 7",
        ),
    ],
)
def test_a_program_that_fails(tmp_path: Path, body: str, reason: str, words: str) -> None:
    """What it said is not shown, since nobody knows what that holds."""
    error = refusal(agent(tmp_path, body))
    assert error.reason == reason
    assert words in error.message
    assert reason == "ambient_answer" or error.hint == (
        "Run `buildkite-agent oidc request-token` in the job to see why"
    )


@pytest.mark.parametrize("body", ["sleep 60 & echo $! > {pid}; wait", "exec >&-; sleep 60"])
def test_a_program_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """A bounded time, and nothing of it goes on: neither what it has started."""
    monkeypatch.setattr(asking, "SECONDS", 1.0)
    file = tmp_path / "pid"
    error = refusal(agent(tmp_path, body.format(pid=file)))
    assert error.reason == "ambient_program"
    assert "did not end within 1 s" in error.message
    if file.exists():
        assert _ended(int(file.read_text()))


def _ended(pid: int) -> bool:
    """Say whether a process has ended, which takes a moment to be seen; a zombie has."""
    for _ in range(200):
        try:
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_a_signal_ends_the_program_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops us leaves no program of the platform behind."""
    file = tmp_path / "pid"

    def stop(number: int, _frame: object) -> None:
        raise Stopped(number)

    monkeypatch.setattr(asking, "SECONDS", 60)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(Stopped):
            ask(agent(tmp_path, f"echo $$ > {file}; exec sleep 60"))("a")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert _ended(int(file.read_text()))
