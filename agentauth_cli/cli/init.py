"""`init`: commented files with one working tool, rule and budget; never over what is there."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentauth_cli import files
from agentauth_cli.cli import examples, init_files, screen
from agentauth_cli.cli.configure import config_file
from agentauth_cli.cli.options import Json
from agentauth_cli.config import settings
from agentauth_cli.config.reading import BUDGETS, POLICY
from agentauth_cli.errors import ConfigError, UsageError
from agentauth_cli.inbound import os_account
from agentauth_cli.outbound.aws_session import session_policy
from agentauth_cli.policy.narrow import canonical
from agentauth_cli.policy.pattern import template
from agentauth_cli.policy.variables import values
from agentauth_cli.tables.shape import MAX_BYTES
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.model import Principal

_ACCOUNT = re.compile(r"\b[0-9]{12}\b")


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def init(
        context: typer.Context,
        *,
        tool: Annotated[
            str, typer.Option("--tool", metavar="NAME", help="What the tool is called.")
        ] = "s3_upload",
        resource: Annotated[
            str | None,
            typer.Option("--resource", metavar="R", help="Where it may write: s3://BUCKET/x/*."),
        ] = None,
        account: Annotated[
            str | None, typer.Option("--account", metavar="ID", help="The AWS account, 12 digits.")
        ] = None,
        region: Annotated[
            str | None, typer.Option("--region", metavar="R", help="The AWS region.")
        ] = None,
        source: Annotated[
            str | None,
            typer.Option("--source", metavar="S", help="What mints: ambient, or profile:NAME."),
        ] = None,
        env: Annotated[
            str, typer.Option("--env", metavar="NAME", help="What the environment is called.")
        ] = "dev",
        example: Annotated[
            str | None,
            typer.Option("--example", metavar="NAME", help="Write an example; `list` shows them."),
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Write a configuration that works, or one of the examples."""
        wiring = Wiring(say=screen.say)
        if example is not None:
            _alone(context)
            examples.work(wiring, example, as_json=as_json)
            return
        around = look_around(config_file(wiring), wiring.environ)
        given = InitInput(
            tool=tool,
            environment=env,
            resource=_given("--resource", resource, "s3://BUCKET/PREFIX/* it may write", ""),
            account=_given("--account", account, "AWS account", around.account),
            region=_given("--region", region, "AWS region", around.region),
            source=source or "ambient",
        )
        work(wiring, given, around, as_json=as_json)


def _alone(context: typer.Context) -> None:
    """Raise UsageError for an option beside --example that would do nothing."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in {"example", "as_json"} and source and source.name == "COMMANDLINE":
            raise UsageError(f"--{name} does nothing beside --example", hint="Give one of the two")


@dataclass(frozen=True)
class InitInput:
    """What the files are to say."""

    tool: str
    environment: str
    resource: str
    account: str
    region: str
    source: str


@dataclass(frozen=True)
class Around:
    """What was found on this machine."""

    region: str = ""
    account: str = ""
    profiles: tuple[str, ...] = ()


def look_around(config: Path, environ: Mapping[str, str]) -> Around:
    """Return what the AWS files and variables of this machine propose."""
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    parsed = configparser.RawConfigParser(strict=False)
    try:
        parsed.read_string((files.read(config, limit=MAX_BYTES) or b"").decode())
    except (ConfigError, UnicodeDecodeError, configparser.Error):
        return Around(region)
    profiles = tuple(name.removeprefix("profile ") for name in parsed.sections())
    default = parsed["default"] if parsed.has_section("default") else {}
    found = _ACCOUNT.search(f"{default.get('role_arn', '')} {default.get('sso_account_id', '')}")
    return Around(region or default.get("region", ""), found[0] if found else "", profiles)


def _given(option: str, value: str | None, question: str, proposal: str) -> str:
    """Return the option, or what was found, or what a person says. Raises UsageError."""
    if value is not None:
        return value
    answer = screen.ask(question, proposal) if screen.can_ask() else proposal
    if not answer:
        raise UsageError(f"{option} is missing", hint=f"Give {option}: the {question}")
    return answer


def work(wiring: Wiring, given: InitInput, around: Around, *, as_json: bool) -> None:
    """Write the files, all that are judged good or none; then say what is still to be run."""
    who = os_account.authenticate({})
    texts = {
        settings.NAME: _config(given),
        POLICY: _policy(given, who),
        BUDGETS: _budgets(),
    }
    folder = wiring.places.config
    init_files.judge(texts, folder)
    commands = _commands(given)
    init_files.put(texts, folder)
    if as_json:
        screen.out_json({"folder": str(folder), "principal": who.id, "commands": commands})
        return
    screen.out(f"written to {folder}: {', '.join(texts)}")
    if around.profiles and given.source == "ambient":
        screen.say(f'AWS profiles here: {", ".join(around.profiles)}; `source = "profile:NAME"`')
    screen.out("")
    screen.out("# still to be run, by somebody who may change the account's roles:")
    for command in commands:
        screen.out(command)
    screen.out("")
    screen.out(f"# then: agentauth check {given.tool} && agentauth vend {given.tool}")


def _config(given: InitInput) -> str:
    return f"""\
# What agentauth vends, and with what. Never a secret in here: keep it in git.
version = 1
default_environment = {_toml(given.environment)}

[inbound]
os_login = true                       # the OS account stands for a principal: os/USERNAME

[environments.{_toml(given.environment)}.aws]
account_id = {_toml(given.account)}
role_arn_template = "arn:aws:iam::{{account_id}}:role/{{tool_name}}"
region = {_toml(given.region)}
source = {_toml(given.source)}        # what mints: ambient (boto3's chain), or profile:NAME

[tools.{_toml(given.tool)}]
description = "Write objects under one prefix"
provider = "aws"
actions = ["aws.s3.put"]              # what the policy is asked
permissions = ["s3:PutObject"]        # what AWS is told to allow
resource = {_toml(given.resource)}
duration = "1h"                       # the AWS SDKs ask anew in the last 15 minutes
"""


def _policy(given: InitInput, who: Principal) -> str:
    return f"""\
# Who may do what. Everything that no rule allows is denied; `agentauth check` says why.
version = 1

[[rule]]
id = "first"
effect = "allow"
description = "One tool, in one environment, under one prefix"
principals = [{_toml(who.id)}]
tools = [{_toml(given.tool)}]
actions = ["aws.s3.put"]
resources = [{_toml(canonical(given.resource, "aws"))}]
environments = [{_toml(given.environment)}]
obligations = {{ max_duration = "1h" }}
{_test(given, who)}"""


def _test(given: InitInput, who: Principal) -> str:
    """Return a test that the rule passes; none where no one request stands for what it allows."""
    try:
        resource = template(canonical(given.resource, "aws"))
        runs = resource.fill(values(who, given.tool, given.environment)).runs
    except ValueError:
        return ""
    if any(runs[1:]):
        return ""
    return f"""
# `agentauth policy test` asks this.
[[test]]
name = "whoever ran init may use the tool"
principal = {{ id = {_toml(who.id)}, kind = {_toml(who.kind)}, auth = {_toml(who.auth)} }}
tool = {_toml(given.tool)}
action = "aws.s3.put"
resource = {_toml("*".join(runs))}
environment = {_toml(given.environment)}
expect = "allow"
"""


def _budgets() -> str:
    return """\
# How much, at the most. A request that would go over is refused, with the time to try again.
version = 1

[[budget]]
id = "requests"
per = ["principal", "tool"]           # a counter for each
limits.hour = { requests = 200 }
limits.day = { requests = 1000 }
"""


def _toml(text: str) -> str:
    """Return a TOML basic string; its escapes are those of JSON. Raises UsageError."""
    if not text.isprintable():
        raise UsageError(f"{text!r} holds characters that are not printable")
    return json.dumps(text, ensure_ascii=False)


def _commands(given: InitInput) -> list[str]:
    """Return the provider's own commands that make the role."""
    from agentauth_cli.model import Grant

    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{given.account}:root"},
                "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            }
        ],
    }
    whole = re.sub(r"\$\{.*", "*", canonical(given.resource, "aws"))
    allowed = session_policy([Grant((), ("s3:PutObject",), whole)])
    role = shlex.quote(given.tool)
    trusted = shlex.quote(json.dumps(trust))
    inline = f"--policy-name agentauth --policy-document {shlex.quote(allowed)}"
    return [
        f"aws iam create-role --role-name {role} --assume-role-policy-document {trusted}",
        f"aws iam put-role-policy --role-name {role} {inline}",
    ]
