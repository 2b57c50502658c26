"""`configure aws`: the profile with which the AWS programs ask agentauth for their credentials."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from agentauth_cli import files
from agentauth_cli.cli import configure_github, screen
from agentauth_cli.cli.options import Environment, Json, Tool
from agentauth_cli.config import places
from agentauth_cli.errors import ConfigError, RecursionRefusedError, UsageError
from agentauth_cli.tables.shape import MAX_BYTES
from agentauth_cli.wiring import Wiring

REFRESH = 900
"""Seconds before its end from which botocore asks a credential_process at every call."""

_PLAIN = re.compile(r"[A-Za-z0-9._@+=:/,-]+")
_PROFILE = re.compile(r"[A-Za-z0-9._@+=:/-]{1,128}")
_MOVED = {
    "AGENTAUTH_CONFIG_DIR": "config",
    "AGENTAUTH_STATE_DIR": "state",
    "AGENTAUTH_DATA_DIR": "data",
}


def declare(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Make other programs ask agentauth.", no_args_is_help=True)
    app.add_typer(group, name="configure")

    @group.callback()
    def root() -> None:
        """Make other programs ask agentauth."""

    @group.command()
    def aws(
        tool: Tool,
        *,
        env: Environment = None,
        profile: Annotated[
            str | None,
            typer.Option("--profile", metavar="NAME", help="The profile; else the tool's name."),
        ] = None,
        show: Annotated[
            bool, typer.Option("--print", help="Show the entry; write nothing.")
        ] = False,
        remove: Annotated[
            bool, typer.Option("--remove", help="Take the entry out, to the byte.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Write a profile that asks agentauth for a tool's credentials.

        It goes to the AWS config file: AWS_CONFIG_FILE, or ~/.aws/config.
        """
        wiring = Wiring(say=screen.say)
        given = AwsInput(tool, env, profile or tool, config_file(wiring))
        if remove:
            take_out(wiring, given, as_json=as_json)
        else:
            put_in(wiring, given, show=show, as_json=as_json)

    configure_github.declare(group)


@dataclass(frozen=True)
class AwsInput:
    """An entry of the AWS config file."""

    tool: str
    environment: str | None
    profile: str
    file: Path


def config_file(wiring: Wiring) -> Path:
    """Return where the AWS programs read their profiles, found as botocore does.

    Raises ConfigError where that is in a home folder that nobody knows.
    """
    named = os.path.expandvars(wiring.environ.get("AWS_CONFIG_FILE") or "~/.aws/config")
    try:
        return Path(named).expanduser()
    except RuntimeError:
        why = f"the home folder of {named} is not known"
        raise ConfigError(why, hint="Set HOME, or AWS_CONFIG_FILE") from None


def put_in(wiring: Wiring, given: AwsInput, *, show: bool, as_json: bool) -> None:
    """Write the entry; twice changes nothing. Raises UsageError for somebody else's entry."""
    entry = _entry(wiring, given)
    if show:
        if as_json:
            screen.out_json({"profile": given.profile, "file": str(given.file), "entry": entry})
        else:
            for line in entry.splitlines():
                screen.out(line)
        return
    with files.lock(files.private_folder(wiring.places.state) / "configure.lock"):
        found = _read(given.file)
        text = found or ""
        own = _own(given.profile).search(text)
        if own:
            head = own[1]
            changed = text[: own.start()] + _marked(given.profile, entry, head) + text[own.end() :]
        else:
            _refuse_foreign(given, text)
            head = "" if not text or text.endswith("\n") else " newline"
            head = " file" if found is None else head
            gap = "\n" if head == " newline" else ""
            changed = text + gap + _marked(given.profile, entry, head)
        if changed != text:
            places.make(given.file.parent)
            files.write(given.file, changed.encode())
    _tell(given, "written" if changed != text else "unchanged", as_json=as_json)


def take_out(wiring: Wiring, given: AwsInput, *, as_json: bool) -> None:
    """Take the entry out: the file is as it was before, to the byte."""
    with files.lock(files.private_folder(wiring.places.state) / "configure.lock"):
        text = _read(given.file) or ""
        own = _own(given.profile).search(text)
        if not own:
            raise UsageError(f"there is no entry of ours for {given.profile} in {given.file}")
        before = text[: own.start()].removesuffix("\n" if own[1] == " newline" else "")
        left = before + text[own.end() :]
        if own[1] == " file" and not left:
            given.file.unlink()
        else:
            files.write(given.file, left.encode())
    _tell(given, "removed", as_json=as_json)


def _tell(given: AwsInput, what: str, *, as_json: bool) -> None:
    if as_json:
        screen.out_json({"profile": given.profile, "file": str(given.file), "done": what})
    else:
        screen.out(f"profile {given.profile}: {what} in {given.file}")
        if what != "removed":
            screen.out(f"try: aws --profile {given.profile} sts get-caller-identity")


def _entry(wiring: Wiring, given: AwsInput) -> str:
    """Return the lines of the profile. Raises where it would make a circle."""
    if not _PROFILE.fullmatch(given.profile):
        raise UsageError(f"--profile {given.profile!r} cannot stand in an AWS config file")
    tool = wiring.tool(given.tool, given.environment)
    aws = wiring.settings.environments[tool.environment][tool.provider]
    source = aws["source"]
    if source == f"profile:{given.profile}" or (given.profile == "default" and source == "ambient"):
        raise RecursionRefusedError(
            f"agentauth takes its own source from profile {given.profile}",
            hint="Name another --profile, or give `source` of the environment one",
        )
    if tool.duration <= REFRESH:
        screen.say(
            f"{given.tool} lives {tool.duration} s, and the AWS SDKs ask anew at every call in the "
            f'last {REFRESH} s: duration = "1h" serves them better'
        )
    head = "default" if given.profile == "default" else f"profile {given.profile}"
    environment = f" --env {given.environment}" if given.environment else ""
    command = f"{_program(wiring)} vend {given.tool}{environment} --format aws"
    return f"[{head}]\ncredential_process = {command}\nregion = {aws['region']}\n"


def _program(wiring: Wiring) -> str:
    """Return the absolute path of this program, with the folders where they were moved."""
    called, beside = Path(sys.argv[0]).absolute(), Path(sys.executable).with_name(screen.NAME)
    places = [str(one) for one in (called, beside) if one.name == screen.NAME]
    found = next(filter(shutil.which, places), None) or shutil.which(screen.NAME)
    if not found:
        raise ConfigError("agentauth is not on PATH", hint="Install it, or call it by its path")
    moved = [
        f"{name}={getattr(wiring.places, folder)}"  # absolute: they run it in any folder
        for name, folder in _MOVED.items()
        if name in wiring.environ
    ]
    words = ["/usr/bin/env", *moved, found] if moved else [found]
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """Return a word as both boto3's splitting and a shell, which other SDKs use, read it."""
    if any(char in word for char in '"\\$`') or not word.isprintable():
        raise ConfigError(
            f"{word!r} cannot stand in an AWS config file", hint='Use a path without " \\ $ `'
        )
    return word if _PLAIN.fullmatch(word) else f'"{word}"'


def _marked(profile: str, entry: str, head: str) -> str:
    return f"# agentauth {profile}: begin{head}\n{entry}# agentauth {profile}: end\n"


def _own(profile: str) -> re.Pattern[str]:
    name = re.escape(profile)
    return re.compile(
        rf"^# agentauth {name}: begin( newline| file|)\n.*?^# agentauth {name}: end\n",
        re.MULTILINE | re.DOTALL,
    )


def _refuse_foreign(given: AwsInput, text: str) -> None:
    name = re.escape(given.profile)
    head = "default" if given.profile == "default" else rf"profile\s+[\"']?{name}[\"']?"
    if re.search(rf"^\s*\[\s*{head}\s*\]", text, re.MULTILINE):
        raise UsageError(
            f"{given.file} has a profile {given.profile} already, and it is not ours",
            hint="Name another one: --profile NAME",
        )


def _read(path: Path) -> str | None:
    content = files.read(path, limit=MAX_BYTES)
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8", hint="Mend it by hand") from None
