"""Whole runs as scripts, in the manner of Go's testscript: each file in scenarios/ is one.

A line is a command, `#` begins a comment, quotes are those of a shell::

    agentauth ARGS              run the command line; it has to end with 0
    ! CODE agentauth ARGS       the same; it has to end with CODE
    stdout PATTERN              the last run's standard output has this regular expression
    ! stdout PATTERN            it does not; the same for stderr
    exists FILE                 there is such a file; `! exists FILE`: there is none
    cmp FILE FILE               both hold the same bytes; FILE may be `stdout` or `stderr`
    env NAME=VALUE              set a variable; `unset NAME` takes it away
    chmod MODE FILE, rm FILE, cp FILE FILE, mkdir FOLDER
    use NAME                    lay out the files of scenarios/shared/NAME.txt
    terminal                    standard output is a terminal from now on
    keep NAME PATTERN           $NAME is what the pattern's group found on the last standard output
    stdin TEXT                  what the next command line has on standard input
    keyring NAME                have this one of support/keyrings.py from now on

Files of the scenario stand behind lines ``-- name --``. Each runs in a folder of its own, $WORK;
$USER is the OS account's name, $STS a loopback STS that answers good credentials, $TOKEN a JWT for
the audience sts.amazonaws.com that lives for an hour. $HUB is a Hugging Face Hub that has a private
model acme/private-llm, $PROOF a JWT that its publisher trusts, $FINE a stored token that reads just
that model, $CLASSIC one that reads everything. $OPENAI is the base URL of an OpenAI that has
projects proj_dev and proj_keys with service accounts user-sa1 and user-sa2, $EXCHANGE its token
endpoint, $SUBJECT a JWT that it maps to user-sa1, $ADMIN the admin key.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from agentauth_cli.cli import screen
from agentauth_cli.cli.run import run
from support import keyrings
from support.faulty import Faulty
from support.hub import Hub
from support.hub_publishers import AUDIENCE, Publisher
from support.hub_tokens import READ, Scope
from support.issuer import signer
from support.openai_api import OpenAIServer
from support.openai_org import Project
from support.sts import credential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.faulty import Part, Request

FOLDER = Path(__file__).with_name("scenarios")
SCENARIOS = sorted(FOLDER.glob("*.txt"))
_FILE = re.compile(r"^-- (\S+) --\n", re.MULTILINE)
_VARIABLE = re.compile(r"\$([A-Z]+)\b")
_KEY = "[source]\naws_access_key_id = made-up\naws_secret_access_key = made-up\n"


def _answer(request: Request) -> list[Part]:
    """Return the credential that the request asks for."""
    asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    account, role = asked["RoleArn"].split(":")[4:]
    ends = datetime.now(UTC) + timedelta(seconds=int(asked["DurationSeconds"]))
    return credential(
        asked["RoleSessionName"],
        operation=asked["Action"],
        role=role.rpartition("/")[2],
        account=account,
        expires=f"{ends:%Y-%m-%dT%H:%M:%SZ}",
    )


@pytest.fixture(scope="module")
def sts() -> Iterator[str]:
    """Run an STS that answers good credentials, as long as the scenarios last."""
    server = Faulty([])
    server.script = [lambda: iter(_answer(server.requests[-1]))]
    with server:
        yield server.url


@pytest.fixture(scope="module")
def hub() -> Iterator[dict[str, str]]:
    """Run a Hub as long as the scenarios last; return the names of what it has."""
    publisher = Publisher("acme/private-llm", "https://idp.acme.test")
    with Hub(publisher, keys={publisher.issuer: [signer("ES256").jwk()]}) as server:
        server.silo.put("model", "acme/private-llm", {"config.json": b"{}"})
        yield {
            "HUB": server.url,
            "PROOF": signer("ES256").token(
                {"iss": publisher.issuer, "sub": "ci", "aud": AUDIENCE, "exp": 4_000_000_000}
            ),
            "FINE": server.fine_grained(Scope("model", "acme/private-llm", (READ,))),
            "CLASSIC": server.classic(),
        }


@pytest.fixture(scope="module")
def openai() -> Iterator[dict[str, str]]:
    """Run an OpenAI as long as the scenarios last; return the names of what it has."""
    with OpenAIServer() as server:
        server.org.projects["proj_keys"] = Project("proj_keys")
        server.org.add_account("proj_keys", "agentauth").id = "user-sa2"
        yield {
            "OPENAI": server.base_url,
            "EXCHANGE": server.token_url,
            "SUBJECT": server.subject_token(exp=4_000_000_000),
            "ADMIN": server.admin_key,
        }


@pytest.fixture
def stage(
    tmp_path: Path,
    sts: str,
    hub: dict[str, str],
    openai: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Stage:
    """Return a folder and an environment in which nothing of this machine is found."""
    for name in list(os.environ):
        if name.startswith(("AGENTAUTH_", "AWS_")):
            monkeypatch.delenv(name)
    for name, value in {
        "HOME": "home",
        "AGENTAUTH_CONFIG_DIR": "config",
        "AGENTAUTH_STATE_DIR": "state",
        "AGENTAUTH_DATA_DIR": "data",
        "AWS_CONFIG_FILE": "aws-config",
        "AWS_SHARED_CREDENTIALS_FILE": "aws-credentials",
    }.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    keyrings.use(monkeypatch, {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_COLOR", "1")  # --no-color sets it too, and it must not stay
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aws-credentials").write_text(_KEY)
    user = pwd.getpwuid(os.getuid()).pw_name
    ends = int(datetime.now(UTC).timestamp()) + 3600
    token = signer("ES256").token({"sub": user, "aud": "sts.amazonaws.com", "exp": ends})
    names = {"WORK": str(tmp_path), "USER": user, "STS": sts, "TOKEN": token, **hub, **openai}
    return Stage(tmp_path, names, monkeypatch, capfd)


@dataclass
class Stage:
    """Where a scenario plays, and what its last command left on `out` and `err`."""

    folder: Path
    names: dict[str, str]
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""
    where: str = ""
    commands: dict[str, Callable[..., None]] = field(init=False)

    def __post_init__(self) -> None:
        self.commands = {
            "agentauth": self.agentauth,
            "stdout": lambda *words, wanted="": self.shown(self.out, *words, wanted=wanted),
            "stderr": lambda *words, wanted="": self.shown(self.err, *words, wanted=wanted),
            "exists": self.exists,
            "cmp": self.compare,
            "env": self.set,
            "unset": self.monkeypatch.delenv,
            "chmod": lambda mode, name: self.path(name).chmod(int(mode, 8)),
            "rm": lambda name: self.path(name).unlink(),
            "cp": self.copy,
            "mkdir": lambda name: self.path(name).mkdir(mode=0o700, parents=True),
            "use": self.use,
            "terminal": self.terminal,
            "keep": self.keep,
            "stdin": self.read,
            "keyring": self.keyring,
        }

    def play(self, script: Path) -> None:
        """Lay out the files of a scenario, then do what its lines say."""
        for number, line in enumerate(self.lay_out(script).splitlines(), 1):
            self.where = f"{script.name}:{number}: {line}"
            words = [self.filled(word) for word in shlex.split(line, comments=True)]
            if not words:
                continue
            if words[0] != "!":
                self.commands[words[0]](*words[1:])
            elif words[1].isdigit():
                self.commands[words[2]](*words[3:], wanted=words[1])
            else:
                self.commands[words[1]](*words[2:], wanted="!")

    def lay_out(self, archive: Path) -> str:
        """Write the files of an archive; return what stands before the first."""
        script, *rest = _FILE.split(archive.read_text(encoding="utf-8"))
        for name, text in zip(rest[::2], rest[1::2], strict=True):
            path = self.folder / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(self.filled(text), encoding="utf-8")
            path.chmod(0o600)
        return script

    def filled(self, text: str) -> str:
        """Return the text with the scenario's variables filled in."""
        return _VARIABLE.sub(lambda match: self.names.get(match[1], match[0]), text)

    def path(self, name: str) -> Path:
        """Return a path of the scenario."""
        return self.folder / name

    def agentauth(self, *arguments: str, wanted: str = "0") -> None:
        """Run the command line, and hold its exit code against the one wanted."""
        code = run(arguments)
        self.read()
        self.out, self.err = self.capfd.readouterr()
        told = f"{self.where}\nexit code {code}\n{self.out}{self.err}"
        assert code == int(wanted), told
        assert "Traceback" not in self.err, told
        assert "made-up-secret" not in self.err, told
        assert self.names["TOKEN"] not in self.out + self.err, told
        assert self.names["FINE"] not in self.err, told

    def shown(self, text: str, pattern: str, *, wanted: str) -> None:
        """Look for a pattern in what was printed."""
        found = re.search(pattern, text, re.MULTILINE) is not None
        assert found != bool(wanted), f"{self.where}\n{self.out}{self.err}"

    def exists(self, name: str, *, wanted: str = "") -> None:
        """Look whether a file is there."""
        assert self.path(name).exists() != bool(wanted), self.where

    def compare(self, one: str, other: str, *, wanted: str = "") -> None:
        """Compare two files, or what was printed with one."""
        printed = {"stdout": self.out.encode(), "stderr": self.err.encode()}
        first, second = (
            printed[name] if name in printed else self.path(name).read_bytes()
            for name in (one, other)
        )
        assert (first == second) != bool(wanted), f"{self.where}\n{first!r}\n{second!r}"

    def copy(self, old: str, new: str) -> None:
        """Copy a file."""
        shutil.copy(self.path(old), self.path(new))

    def set(self, assignment: str) -> None:
        """Set a variable of the environment."""
        name, _, value = assignment.partition("=")
        self.monkeypatch.setenv(name, value)

    def terminal(self) -> None:
        """Let standard output be a terminal."""
        self.monkeypatch.setattr(screen, "is_terminal", lambda stream: stream is sys.stdout)

    def keep(self, name: str, pattern: str) -> None:
        """Give a name to something that was printed."""
        found = re.search(pattern, self.out, re.MULTILINE)
        assert found, f"{self.where}\n{self.out}"
        self.names[name] = found[1]

    def read(self, text: str = "") -> None:
        """Let standard input be this."""
        reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)
        os.dup2(reading, 0)
        os.close(reading)

    def keyring(self, backend: str) -> None:
        """Let the system have a keyring."""
        keyrings.use(self.monkeypatch, keyrings.variables(self.folder, backend))

    def use(self, name: str) -> None:
        """Lay out the files of a shared archive, but for those that the scenario has itself."""
        own = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        self.lay_out(FOLDER / "shared" / f"{name}.txt")
        for path, content in own.items():
            path.write_bytes(content)


@pytest.mark.parametrize("script", SCENARIOS, ids=lambda script: script.stem)
def test_scenario(script: Path, stage: Stage) -> None:
    """A whole run prints what it should and ends as it should."""
    stage.play(script)


def test_there_are_scenarios() -> None:
    """An empty folder would pass without having tested anything."""
    assert len(SCENARIOS) >= 20
