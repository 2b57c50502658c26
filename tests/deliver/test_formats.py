"""The formats of a credential: exact shapes, and nothing that a shell could take for more."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.credentials import ProcessProvider
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.deliver import formats
from agentauth_cli.errors import ProviderAnswerError, UsageError
from agentauth_cli.model import (
    Decision,
    Grant,
    Lease,
    Obligation,
    PolicyDecision,
    Principal,
    ProviderCredential,
    ProviderType,
    Usage,
)
from agentauth_cli.policy.narrow import Narrowed, Tool
from agentauth_cli.secret import MASK, SecretMapping
from agentauth_cli.vending import Bounded, Vended

END = datetime(2026, 11, 23, 10, 15, 0, 999_999, tzinfo=UTC)
KEYS = {
    "aws_access_key_id": "MADE-UP-KEY-ID",
    "aws_secret_access_key": "made-up/secret+value=",
    "aws_session_token": "made-up-session-token",
    "region_name": "eu-west-1",
}
PROCESS = {
    "Version": 1,
    "AccessKeyId": "MADE-UP-KEY-ID",
    "SecretAccessKey": "made-up/secret+value=",
    "SessionToken": "made-up-session-token",
    "Expiration": "2026-11-23T10:15:00Z",
}


def _vended(expires_at: datetime = END, resources: tuple[str, ...] = ("a",), **keys: str) -> Vended:
    """Return a credential of AWS on its way out; `keys` are over the ordinary ones."""
    tool = Tool("s3_upload", "dev", ProviderType.AWS, ())
    grants = tuple(Grant(("aws.s3.put",), ("s3:PutObject",), one) for one in resources)
    decision = PolicyDecision(
        Decision.ALLOW,
        "allowed by rule",
        "r1",
        ("r1",),
        {"max_duration": (Obligation(900, "r1"),), "max_cost": (Obligation(500_000, "r1"),)},
    )
    credential = ProviderCredential(
        ProviderType.AWS, "aws_sts_session", SecretMapping({**KEYS, **keys}), expires_at
    )
    lease = Lease("L1", "os/x", "s3_upload", "aws", "dev", "a", END, expires_at)
    narrowed = Narrowed(tool, Principal("os/x", "x"), grants)
    return Vended(credential, lease, Bounded(narrowed, decision, 900, Usage(), lambda _now: ()))


def test_json_is_the_shape_of_the_specification() -> None:
    """`json`: version, provider, tool, environment, credential_type, credentials and the rest."""
    text = formats.as_json(_vended())
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert json.loads(text) == {
        "version": 1,
        "provider": "aws",
        "tool": "s3_upload",
        "environment": "dev",
        "credential_type": "aws_sts_session",
        "credentials": KEYS,
        "expires_at": "2026-11-23T10:15:00Z",
        "lease": "L1",
        "resource": "a",
        "obligations": {
            "max_duration": {"value": 900, "rule": "r1"},
            "max_cost": {"value": "0.50", "rule": "r1"},
        },
        **PROCESS,
    }


def test_what_the_provider_does_not_end_is_said() -> None:
    """A stored token has no expiry of its own: `"expires_at_provider": null`, and in no other."""
    vended = _vended()
    assert "expires_at_provider" not in json.loads(formats.as_json(vended))
    lasting = replace(vended, credential=replace(vended.credential, lives_on=True))
    found = json.loads(formats.as_json(lasting))
    assert (found["expires_at"], found["expires_at_provider"]) == ("2026-11-23T10:15:00Z", None)


def test_several_resources_are_a_list() -> None:
    """In output `resource` is a string for one, a list for several."""
    assert json.loads(formats.as_json(_vended(resources=("a", "b", "a"))))["resource"] == ["a", "b"]


def test_aws_is_exactly_the_five_keys() -> None:
    """`aws` (alias `process`): exactly the five keys; Version the integer 1."""
    found = json.loads(formats.as_aws(_vended()))
    assert found == PROCESS
    assert type(found["Version"]) is int
    assert list(found) == list(PROCESS)
    assert formats.FORMATS["process"] is formats.FORMATS["aws"]


@pytest.mark.parametrize("render", [formats.as_json, formats.as_aws])
def test_the_aws_sdks_read_it(render: Any) -> None:
    """`credential_process = agentauth vend s3_upload` works as it stands."""
    vended = _vended(datetime.now(UTC) + timedelta(minutes=15))

    class Answered:
        returncode = 0

        def communicate(self) -> tuple[bytes, bytes]:
            return render(vended).encode(), b""

    provider = ProcessProvider(
        "agent",
        lambda: {"profiles": {"agent": {"credential_process": "agentauth"}}},
        popen=lambda *_, **__: Answered(),
    )
    found = provider.load()
    assert found is not None
    frozen = found.get_frozen_credentials()
    assert frozen.access_key == KEYS["aws_access_key_id"]
    assert frozen.secret_key == KEYS["aws_secret_access_key"]
    assert frozen.token == KEYS["aws_session_token"]


def test_a_credential_too_long_for_the_sdks_is_refused() -> None:
    """`aws` is under 64,000 bytes."""
    formats.as_aws(_vended(aws_session_token="x" * 63_000))
    with pytest.raises(ProviderAnswerError, match="too long"):
        formats.as_aws(_vended(aws_session_token="x" * 64_000))


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=5))]
)
def test_a_time_is_rfc_3339_with_its_zone(zone: timezone) -> None:
    """`Expiration` RFC 3339 with zone; times in UTC, and never later than they are."""
    shown = formats.rfc3339(END.astimezone(zone))
    assert shown == "2026-11-23T10:15:00Z"
    assert datetime.fromisoformat(shown) <= END


def test_json_stays_ascii() -> None:
    """JSON stays ASCII, whatever a provider answers."""
    assert formats.as_json(_vended(aws_session_token="é𝄞\udcff")).isascii()


def test_env_names_the_variables_that_the_aws_programs_read() -> None:
    """`env`: the variables each provider's own tools read; boto3 reads AWS_DEFAULT_REGION."""
    assert formats.as_env(_vended()) == (
        "export AWS_ACCESS_KEY_ID=MADE-UP-KEY-ID\n"
        "export AWS_SECRET_ACCESS_KEY=made-up/secret+value=\n"
        "export AWS_SESSION_TOKEN=made-up-session-token\n"
        "export AWS_REGION=eu-west-1\n"
        "export AWS_DEFAULT_REGION=eu-west-1\n"
        "export AWS_CREDENTIAL_EXPIRATION=2026-11-23T10:15:00Z\n"
    )


def test_env_leaves_out_what_there_is_not() -> None:
    """A credential without a region sets none."""
    vended = _vended()
    bare = SecretMapping({name: value for name, value in KEYS.items() if name != "region_name"})
    text = formats.as_env(replace(vended, credential=replace(vended.credential, credentials=bare)))
    assert "REGION" not in text


HOSTILE = [
    "'; touch /tmp/hostile; '",
    "$(touch x)",
    "`touch x`",
    '"; exit 1; "',
    "a b  c",
    "-n",
    "\\",
    "\\'",
    "!!",
    "*",
    "~root",
    "#x",
    "a=b",
    "é ✓ 𝄞",
    "'\"'\"'",
    "|&;<>(){}[]?",
    " ",
    "",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_shell_gets_the_very_value(value: str) -> None:
    """Quoted safely: what `eval` of it sets is the value, byte for byte, and nothing runs."""
    assert _evaluated(value) == value


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"]), max_size=40))
def test_a_shell_gets_any_value(value: str) -> None:
    """Quoting holds for any text that is one line."""
    assert _evaluated(value) == value


def _evaluated(value: str) -> str:
    """Return what a real shell sets AWS_SESSION_TOKEN to."""
    text = formats.as_env(_vended(aws_session_token=value))
    script = 'eval "$1"; printf %s "$AWS_SESSION_TOKEN"'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", text],
        env={"PATH": "/nowhere"},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("char", ["\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u202e"])
def test_a_value_with_control_characters_is_an_error(char: str) -> None:
    """A value with control characters is an error, which names the variable and not the value."""
    with pytest.raises(ProviderAnswerError, match="AWS_SESSION_TOKEN holds control") as caught:
        formats.as_env(_vended(aws_session_token=f"made-up{char}token"))
    assert "made-up" not in str(caught.value)


def test_a_format_is_known_by_its_name() -> None:
    """An unknown format is a wrong use, and the known ones are named."""
    for name, render in formats.FORMATS.items():
        assert formats.named(name, ProviderType.AWS) is render
    for name in ("", "JSON", "yaml", "gcp", "Github"):
        with pytest.raises(UsageError) as caught:
            formats.named(name, ProviderType.AWS)
        assert caught.value.hint == "One of json, aws, process, env, github"


def test_a_format_of_one_provider_is_not_anothers() -> None:
    """The formats of AWS are for AWS; json is for all."""
    for provider in (ProviderType.GCP, ProviderType.OPENAI, ProviderType.HUGGINGFACE):
        assert formats.named("json", provider) is formats.as_json
        for name in ("aws", "process"):
            with pytest.raises(UsageError, match=f"not for {provider}"):
                formats.named(name, provider)


@pytest.mark.parametrize("render", [formats.as_json, formats.as_aws, formats.as_env])
def test_a_masked_credential_shows_no_secret_in_any_format(render: Any) -> None:
    """On a terminal, secret values are shown as dots; what is public stays."""
    vended = _vended()
    hidden = replace(vended.credential, credentials=formats.masked(vended.credential))
    text = render(replace(vended, credential=hidden))
    assert KEYS["aws_secret_access_key"] not in text
    assert KEYS["aws_session_token"] not in text
    assert KEYS["aws_access_key_id"] in text
    assert MASK in text or json.dumps(MASK)[1:-1] in text


def test_what_is_not_known_to_be_public_is_masked() -> None:
    """A part that nobody thought of is a secret."""
    credential = replace(_vended().credential, credentials=SecretMapping({"new_part": "x"}))
    assert dict(formats.masked(credential)) == {"new_part": MASK}


def test_github_hides_the_secrets_first() -> None:
    """`github`: masks first; a percent sign is written as the runner reads it."""
    vended = _vended(aws_session_token="a%0Ab%")
    assert formats.as_github(vended) == (
        f"::add-mask::{KEYS['aws_secret_access_key']}\n::add-mask::a%250Ab%25\n"
    )


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\x85b", "a\u2028b", "\0"])
def test_github_writes_no_value_of_several_lines(value: str) -> None:
    """A value with control characters is an error: no line of it becomes a variable."""
    with pytest.raises(ProviderAnswerError):
        formats.as_github(_vended(aws_session_token=value))
