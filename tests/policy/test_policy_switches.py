"""Kill switches: the file, and what a switch reaches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agentauth_cli.errors import (
    EnvironmentDisabledError,
    PrincipalBlockedError,
    ProviderDisabledError,
    SwitchedOffError,
    SwitchFileError,
    ToolDisabledError,
)
from agentauth_cli.policy.switches import Reach, Switch, check, load, problems, validate
from support.policy_worlds import ALICE, NOW

WHO = replace(ALICE, groups=("okta/eng",), kind="agent", actor="github/robot")
REACH = Reach("s3_upload", "aws", "dev", WHO)


def hits(target: str, name: str = "", reach: Reach = REACH) -> bool:
    """Say whether a switch, as it would be read from the file, stops the request."""
    named = f'name = "{name}"\n' if name else ""
    switches = load(f'version = 1\n[[switch]]\ntarget = "{target}"\n{named}'.encode())
    try:
        check(switches, reach, NOW)
    except SwitchedOffError:
        return True
    return False


@pytest.mark.parametrize(
    ("target", "name", "stops"),
    [
        ("all", "", True),
        ("tool", "s3_upload", True),
        ("tool", "s3_*", True),
        ("tool", "*", True),
        ("tool", "s3", False),
        ("tool", "S3_UPLOAD", False),
        ("provider", "aws", True),
        ("provider", "openai", False),
        ("environment", "dev", True),
        ("environment", "de", False),
        ("principal", "okta/alice", True),
        ("principal", "okta/*", True),
        ("principal", "*", True),
        ("principal", "alice", True),
        ("principal", "ali*", True),
        ("principal", "lice", False),
        ("principal", "okta", False),
        ("principal", "okta/bob", False),
        ("principal", "group:okta/eng", True),
        ("principal", "group:okta/ops", False),
        ("principal", "kind:agent", True),
        ("principal", "kind:user", False),
        ("principal", "github/robot", True),
        ("principal", "robot", True),
        ("principal", "github/*", True),
    ],
)
def test_what_a_switch_stops(target: str, name: str, stops: bool) -> None:
    """A principal's switch also stops whoever acts through it (`actor`)."""
    assert hits(target, name) is stops


def test_a_subject_with_a_colon_needs_no_issuer() -> None:
    """A principal without a slash means */NAME, of any issuer: colons in it are its own."""
    name = "system:serviceaccount:ns:build"
    account = replace(ALICE, id=f"k8s/{name}")
    assert hits("principal", name, replace(REACH, principal=account))
    assert not hits("principal", name)


def test_without_an_actor_only_the_principal_counts() -> None:
    """Who is not acted for is not stopped by the switch of another."""
    alone = replace(REACH, principal=replace(WHO, actor=None))
    assert not hits("principal", "github/robot", alone)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("tool", ToolDisabledError),
        ("provider", ProviderDisabledError),
        ("principal", PrincipalBlockedError),
        ("environment", EnvironmentDisabledError),
        ("all", SwitchedOffError),
    ],
)
def test_each_target_has_its_error(target: str, error: type[SwitchedOffError]) -> None:
    """A kill switch is on: exit 6."""
    name = "" if target == "all" else "*"
    text = f'version = 1\n[[switch]]\ntarget = "{target}"\n' + (f'name = "{name}"' if name else "")
    with pytest.raises(SwitchedOffError) as raised:
        check(load(text.encode()), REACH, NOW)
    assert type(raised.value) is error
    assert raised.value.exit_code == 6
    assert raised.value.message == f"{target} {name}".rstrip() + " is off"


@pytest.mark.parametrize(
    ("until", "on"), [(None, True), (NOW, False), (NOW + timedelta(microseconds=1), True)]
)
def test_a_switch_lifts_itself(until: datetime | None, on: bool) -> None:
    """`until` is when it lifts itself."""
    assert Switch("all", until=until).on(NOW) is on


def test_the_first_switch_in_force_is_told() -> None:
    """What is said: who, since when, until when, why."""
    text = b"""version = 1
        [[switch]]
        target = "provider"
        name = "aws"
        until = 2026-11-23T09:00:00Z
        [[switch]]
        target = "tool"
        name = "s3_*"
        reason = "leaked key"
        by = "okta/bob"
        at = 2026-11-23T10:00:00+02:00
        until = 2026-11-23T18:00:00Z
    """
    switches = load(text)
    assert switches[1].at == datetime(2026, 11, 23, 8, tzinfo=UTC)
    with pytest.raises(ToolDisabledError) as raised:
        check(switches, REACH, NOW)
    assert raised.value.message == (
        "tool s3_* is off by okta/bob since 2026-11-23T08:00:00Z "
        "until 2026-11-23T18:00:00Z (leaked key)"
    )


def test_no_file_is_no_switch() -> None:
    """No file, or one without switches, stops nothing."""
    assert load(None) == load(b"version = 1\n") == ()


SWITCH = 'version = 1\n[[switch]]\ntarget = "{}"\n{}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing key 'version'"),
        ("version = 2", "expected the integer 1"),
        ("version = 1\n[[switches]]", "unknown key 'switches': did you mean `switch`?"),
        ("version = 1\nswitch = []", "an empty array"),
        ("version = 1\n[[switch]]\nname = 'x'", "missing key 'target'"),
        (SWITCH.format("tol", ""), "expected one of tool, provider, principal"),
        (SWITCH.format("all", "name = 'x'"), "a switch on all has no name"),
        (SWITCH.format("tool", ""), "a switch on a tool needs a name"),
        (SWITCH.format("principal", ""), "a switch on a principal needs a name"),
        (SWITCH.format("tool", "name = ''"), "an empty string"),
        (SWITCH.format("tool", "name = 'a/b'"), "no name can match"),
        (SWITCH.format("tool", "name = 'a?'"), "`?` is no wildcard"),
        (SWITCH.format("tool", "name = 'a**'"), "`**` is not known"),
        (SWITCH.format("environment", "name = '..'"), "no name can match"),
        (SWITCH.format("provider", "name = 'a b'"), "no name can match"),
        (SWITCH.format("principal", "name = 'group:eng'"), "no id can match"),
        (SWITCH.format("principal", "name = 'kind:robot'"), "unknown kind"),
        (SWITCH.format("principal", "name = 'Okta/x'"), "no id can match"),
        (SWITCH.format("principal", "name = '..'"), "is a whole segment"),
        (SWITCH.format("all", "at = 2026-11-23"), "expected a date-time"),
        (SWITCH.format("all", "until = 2026-11-23T10:00:00"), "a local date-time"),
        (SWITCH.format("all", "until = 'x'"), "expected a date-time"),
        (SWITCH.format("all", "untill = 2026-11-23T10:00:00Z"), "did you mean `until`?"),
        (SWITCH.format("all", "reason = 1"), "expected a string"),
        ("version = ", "not TOML"),
        ("version = 1\n[[switch", "not TOML"),
    ],
)
def test_a_file_that_cannot_be_parsed_stops_everything(text: str, said: str) -> None:
    """A file that cannot be read or parsed stops everything (exit 6)."""
    with pytest.raises(SwitchFileError) as raised:
        load(text.encode())
    assert said in raised.value.message
    assert raised.value.message.startswith("killswitch.toml:")
    assert raised.value.exit_code == 6
    assert said in str(problems(text.encode())[0])


def test_all_problems_of_the_file_are_known() -> None:
    """All errors are listed at once."""
    found = problems(b"version = 2\n[[switch]]\ntarget = 'x'\nname = 1\n")
    assert [one.line for one in found] == [1, 3, 4]
    assert str(found[0]).startswith("killswitch.toml:1:")
    assert problems(b"version = 1") == []


@pytest.mark.parametrize(
    ("target", "name", "valid"),
    [
        ("tool", "a", True),
        ("tool", "a/b", False),
        ("principal", "alice", True),
        ("principal", "", False),
        ("all", "x", True),
        ("all", "", False),
    ],
)
def test_names_are_validated(target: str, name: str, valid: bool) -> None:
    """Patterns in killswitch.toml follow the same rules: a dead switch would be silently off."""
    if valid:
        validate(target, name)
    else:
        with pytest.raises(ValueError, match=r"no name|empty"):
            validate(target, name)
