"""Runs the steps of action.yml as a runner of GitHub does, as far as they ask for it."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.station import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Mapping

yaml: Any = importlib.import_module("yaml")  # which has no types

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
TOKEN = "made-up-github-token"
_EXPRESSION = re.compile(r"\$\{\{ *([A-Za-z0-9_.-]+) *\}\}")

# What .ci/environment asks of uv: here it installs the program that is tested. It has no business
# with the job's identity.
_UV = """\
#!/bin/sh
[ -z "${{ACTIONS_ID_TOKEN_REQUEST_TOKEN-}}" ] || exit 99
echo "uv $*" >> "{log}"
case $1 in
    venv) for folder; do :; done; mkdir -p "$folder/bin" ;;
    pip) cp "{program}" agentauth/bin/agentauth ;;
esac
"""


@dataclass
class Runner:
    """A machine with the workspace of a job: `folder` holds all that the job sees.

    `inputs` are those that the workflow gives, `user` the account that the steps run as.
    """

    folder: Path
    environ: Mapping[str, str]
    user: int | None = None
    log: str = ""

    def __post_init__(self) -> None:
        for name in ("temp", "workspace", "tools"):
            (self.folder / name).mkdir()
        for name in ("env", "output"):
            (self.folder / name).touch()
        program = self.folder / "tools" / "agentauth"
        program.write_text(f"#!/bin/sh\n{_command(self.user)}")
        uv = self.folder / "tools" / "uv"
        uv.write_text(_UV.format(log=self.folder / "temp" / "uv.log", program=program))
        for path in (program, uv):
            path.chmod(0o755)
        if self.user is not None:
            for name in ("temp", "env", "output"):
                os.chown(self.folder / name, self.user, self.user)

    @property
    def exported(self) -> dict[str, str]:
        """What the steps that follow have in their environment, read as the runner does."""
        lines = (self.folder / "env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if line)

    def run(self, **inputs: str) -> int:
        """Run the steps one after another, until one fails; return the code of the last."""
        given = {name.replace("_", "-"): text for name, text in inputs.items()}
        assert given.keys() <= ACTION["inputs"].keys()
        values = {"github.action_path": str(ROOT), "github.token": TOKEN}
        for name, one in ACTION["inputs"].items():
            default = _filled(one.get("default", ""), values)
            values[f"inputs.{name}"] = given.get(name, default)
        for step in ACTION["runs"]["steps"]:
            code = self._step(step, values)
            if code != 0:
                return code
            for line in (self.folder / "output").read_text(encoding="utf-8").splitlines():
                name, _, text = line.partition("=")
                values[f"steps.{step.get('id')}.outputs.{name}"] = text
        return 0

    def _step(self, step: Mapping[str, Any], values: Mapping[str, str]) -> int:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        script = self.folder / "temp" / "script.sh"
        script.write_text(step["run"], encoding="utf-8")
        script.chmod(0o644)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            env={
                **{name: _filled(text, values) for name, text in step.get("env", {}).items()},
                "PATH": f"{self.folder / 'tools'}:{Path(sys.executable).parent}:{os.defpath}",
                "HOME": str(self.folder / "temp"),
                "RUNNER_TEMP": str(self.folder / "temp"),
                "GITHUB_WORKSPACE": str(self.folder / "workspace"),
                "GITHUB_ENV": str(self.folder / "env"),
                "GITHUB_OUTPUT": str(self.folder / "output"),
                **self.environ,
            },
            cwd=self.folder / "workspace",
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
        )
        self.log += done.stdout + done.stderr
        return done.returncode


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its expressions evaluated, once: what a value holds is no expression."""
    return _EXPRESSION.sub(lambda match: values[match[1]], text)


def interpreter() -> str | None:
    """Return a Python of this version that any account can run; None where there is none."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (Path(sys.executable).resolve(), Path("/usr/bin") / name):
        try:
            subprocess.run(
                [path, "-c", "import ssl, sqlite3"],
                user=1001,
                group=1001,
                extra_groups=[],
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return str(path)
    return None


def _command(user: int | None) -> str:
    """Return the shell command that is the program, for an account that may not reach our own."""
    if user is None:
        return f'exec "{PROGRAM}" "$@"\n'
    packages = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    path = f"{ROOT}:{packages}"
    clean = f'PYTHONPATH="{path}" PYTHONDONTWRITEBYTECODE=1'
    return f'{clean} exec "{interpreter()}" -P -m agentauth_cli "$@"\n'
