"""action.yml: its steps are run by bash as a runner does, with a token endpoint on loopback."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from support import sts
from support.account import open_folder
from support.action import ACTION, TOKEN, Runner, interpreter, yaml
from support.cloud import ROLE
from support.jobs import BEARER, HEADER, Place, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.whole

SECRETS = (sts.KEYS["SecretAccessKey"], sts.KEYS["SessionToken"])
NAMES = {
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"),
    *("AWS_DEFAULT_REGION", "AWS_CREDENTIAL_EXPIRATION"),
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Run GitHub's endpoint and STS; the configuration takes jobs of GitHub."""
    with running(tmp_path) as made:
        made.configure("github-actions")
        yield made


def runner(place: Place, folder: Path, user: int | None = None, **variables: str) -> Runner:
    """Return a runner whose workspace has the configuration of the place, in `.agentauth`."""
    folder.mkdir(exist_ok=True)
    made = Runner(folder, place.github(**variables), user)
    there = folder / "workspace" / ".agentauth"
    there.mkdir()
    for file in (place.here.folder / "config").iterdir():
        (there / file.name).write_bytes(file.read_bytes())
    return made


def committed(made: Runner) -> dict[str, str]:
    """Keep the workspace as the branch `main` of a server, and return where that is."""
    workspace = made.folder / "workspace"
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "."),
        ("-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "-m", "x"),
        ("clone", "--quiet", "--bare", ".", str(made.folder / "acme" / "site")),
    ):
        subprocess.run(["git", *command], cwd=workspace, check=True)
    return {"GITHUB_SERVER_URL": f"file://{made.folder}", "GITHUB_REPOSITORY": "acme/site"}


def masked_before_shown(log: str) -> None:
    """Hold that each secret stands in the log as a mask, and nowhere before it."""
    for secret in SECRETS:
        assert log.index(f"::add-mask::{secret}\n") == log.index(secret) - len("::add-mask::")


def test_the_steps_that_follow_get_the_credential(place: Place, tmp_path: Path) -> None:
    """Exports a tool's credential, masked, by GITHUB_ENV."""
    made = runner(place, tmp_path / "runner")
    # What a step before has written, without a newline at its end.
    (made.folder / "env").write_text("BEFORE=1")
    assert made.run(tool=ROLE) == 0, made.log
    assert made.exported.keys() == NAMES | {"BEFORE"}
    assert made.exported["AWS_SESSION_TOKEN"] == sts.KEYS["SessionToken"]
    masked_before_shown(made.log)
    for secret in SECRETS:
        assert made.log.count(secret) == 1
    for secret in (BEARER, HEADER):
        assert secret not in made.log
    # A second use finds the program installed.
    assert made.run(tool=ROLE, duration="15m", env="dev") == 0, made.log
    installed = (made.folder / "temp" / "uv.log").read_text().splitlines()
    assert [line.split()[1:2] for line in installed] == [["venv"], ["pip"], ["pip"]]
    assert "--require-hashes" in installed[1]
    assert "--no-deps" in installed[2]


def test_a_command_gets_the_credential_alone(place: Place, tmp_path: Path) -> None:
    """Runs `exec`: the credential is in the command's environment and nowhere else."""
    made = runner(place, tmp_path / "runner", MY_TOKEN="t")
    command = 'env | sort\necho "$AWS_SESSION_TOKEN" | cat\nfalse\necho never'
    assert made.run(tool=ROLE, command=command) == 1
    assert made.exported == {}
    masked_before_shown(made.log)
    names = {line.partition("=")[0] for line in made.log.splitlines()}
    assert NAMES - {"AWS_CREDENTIAL_EXPIRATION"} <= names
    assert "never" not in names
    assert not [one for one in names if one.startswith("AGENTAUTH_INPUT")]
    assert not names & {"MY_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GIT_CONFIG_VALUE_0"}


@pytest.mark.parametrize(
    "text",
    [
        "$(touch {file})",
        "`touch {file}`",
        "x; touch {file}",
        'x"; touch {file} #',
        "x\ntouch {file}",
    ],
)
@pytest.mark.parametrize(
    "name", ["tool", "env", "resource", "duration", "config_dir", "config_ref"]
)
def test_an_input_is_never_a_script(place: Place, tmp_path: Path, name: str, text: str) -> None:
    """No injection through inputs."""
    made = runner(place, tmp_path / "runner")
    file = made.folder / "temp" / "injected"
    assert made.run(**({"tool": ROLE} | {name: text.format(file=file)})) != 0
    assert not file.exists()
    assert made.exported == {}


@pytest.mark.parametrize(
    "inputs",
    [
        *({"tool": one} for one in ("", "--help", "-h")),
        *({"config_dir": one} for one in ("", "/etc", "..", "a/../../b", "-x", "a b", "a:b", "*")),
        *({one: ""} for one in ("env", "resource", "duration", "command", "config_ref")),
        *({"config_ref": one} for one in ("-x", "--upload-pack=x", "+main", "a:b", "main^", "a b")),
    ],
)
def test_an_input_that_would_mean_something_else(
    place: Place, tmp_path: Path, inputs: dict[str, str]
) -> None:
    """An option, a path that leads out, a refspec, or nothing: refused before anything is asked."""
    made = runner(place, tmp_path / "runner")
    assert made.run(**({"tool": ROLE} | inputs)) == 2
    assert "::error::agentauth: " in made.log
    assert not place.platform.requests


def test_a_pinned_configuration_is_not_that_of_the_branch(place: Place, tmp_path: Path) -> None:
    """A pull request's branch can edit the policy that is read from it; `config-ref` pins it."""
    made = runner(place, tmp_path / "runner")
    made.environ = {**made.environ, **committed(made)}
    place.here.write("policy.toml", "version = 1\n")
    edited = made.folder / "workspace" / ".agentauth" / "policy.toml"
    edited.write_text("version = 1\n")
    assert made.run(tool=ROLE) == 5
    assert made.exported == {}
    made.log = ""
    assert made.run(tool=ROLE, config_ref="main") == 0, made.log
    assert made.exported.keys() == NAMES
    assert TOKEN not in made.log
    assert made.run(tool=ROLE, config_ref="gone") != 0
    assert made.run(tool=ROLE, config_ref="main", config_dir="elsewhere") != 0


def test_what_is_kept_is_for_nobody_else(place: Place, tmp_path: Path) -> None:
    """Files and folders are the account's own, whatever the umask and those of the repository."""
    made = runner(place, tmp_path / "runner")
    made.environ = {**made.environ, **committed(made)}
    (made.folder / "workspace" / ".agentauth" / "policy.toml").chmod(0o666)
    for inputs in ({}, {"config_ref": "main"}):
        assert made.run(tool=ROLE, **inputs) == 0, made.log
    folders = list((made.folder / "temp").glob("agentauth-*"))
    assert len(folders) == 2
    for path in (one for folder in folders for one in (folder, *folder.rglob("*"))):
        assert path.stat().st_mode & 0o077 == 0, path
        assert path.name != "git"


def test_an_ephemeral_ledger_tells_the_log(place: Place, tmp_path: Path) -> None:
    """With `ledger = "ephemeral"` the audit records are in the job's log, and no file is left."""
    made = runner(place, tmp_path / "runner", AGENTAUTH_LEDGER="ephemeral")
    assert made.run(tool=ROLE) == 0, made.log
    assert '"event":"vend.issued"' in made.log
    assert not list((made.folder / "temp").rglob("*.db*"))


@pytest.mark.skipif(os.getuid() != 0, reason="running as another account needs root")
@pytest.mark.parametrize("inputs", [{}, {"config_ref": "main"}, {"command": "id -u"}])
def test_files_of_root_serve_another_account(place: Place, inputs: dict[str, str]) -> None:
    """As uid 1001 over files owned by root."""
    if interpreter() is None:
        pytest.skip("this machine has no Python that uid 1001 can run")
    with open_folder() as folder:
        made = runner(place, folder / "runner", 1001)
        made.environ = {**made.environ, **committed(made)}
        # The server that is played here is a folder of root.
        (made.folder / "temp" / ".gitconfig").write_text("[safe]\ndirectory = *\n")
        assert made.run(tool=ROLE, **inputs) == 0, made.log
        assert (made.exported.keys() == NAMES) == ("command" not in inputs)
        assert "command" not in inputs or "\n1001\n" in made.log
        masked_before_shown(made.log)


@pytest.mark.parametrize("file", ["", "absent", "folder", "link"])
def test_a_file_of_variables_that_is_none(place: Place, tmp_path: Path, file: str) -> None:
    """Nothing is exported to what is no file of the runner's, and the lease says so."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(place.here.folder / "config" / "policy.toml")
    path = str(tmp_path / file) if file else ""
    done = place.here.run("vend", ROLE, "--format", "github", **place.github(GITHUB_ENV=path))
    assert done.returncode == (9 if file else 2)
    assert len(done.stderr.splitlines()) == 1
    assert bool(place.sts.requests) == bool(file)
    if file:
        assert place.here.events()[-1] != "vend.issued"
    place.here.everything_holds()


def test_what_configure_prints_is_what_the_action_takes(place: Place, tmp_path: Path) -> None:
    """`configure github --print` prints the steps of a workflow."""
    done = place.here.run("configure", "github", ROLE, "--env", "dev", "--print")
    assert (done.returncode, done.stderr) == (0, "")
    job = yaml.safe_load(done.stdout)
    assert job["permissions"]["id-token"] == "write"
    (step,) = job["steps"]
    given: dict[str, Any] = step["with"]
    assert given.keys() <= ACTION["inputs"].keys()
    made = runner(place, tmp_path / "runner")
    made.environ = {**made.environ, **committed(made)}
    assert made.run(**{name.replace("-", "_"): text for name, text in given.items()}) == 0
    assert " ends at 20" in made.log
