"""The environment of a command: what it keeps, what it loses, what it gets."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.deliver.environment import credentials, environment
from agentauth_cli.errors import ProviderAnswerError
from agentauth_cli.model import (
    Decision,
    Lease,
    PolicyDecision,
    Principal,
    ProviderCredential,
    ProviderType,
    Usage,
)
from agentauth_cli.policy.narrow import Narrowed, Tool
from agentauth_cli.secret import SecretMapping
from agentauth_cli.vending import Bounded, Vended
from support.leading import FILES, LEADING

EMPTY = "/run/empty"
END = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
POINTED = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "BOTO_CONFIG": os.devnull,
    "CLOUDSDK_CONFIG": EMPTY,
    "GOOGLE_APPLICATION_CREDENTIALS": os.devnull,
    "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
    "NO_GCE_CHECK": "true",
    "METADATA_SERVER_DETECTION": "none",
    "GCE_METADATA_HOST": "127.0.0.1:1",
    "GCE_METADATA_IP": "127.0.0.1:1",
    "GCE_METADATA_ROOT": "127.0.0.1:1",
    "HF_TOKEN_PATH": os.devnull,
    "HF_STORED_TOKENS_PATH": os.devnull,
}


FOLDERS = ("AGENTAUTH_CONFIG_DIR", "AGENTAUTH_STATE_DIR", "AGENTAUTH_DATA_DIR")


def left(parent: dict[str, str], *inherit: str, clean: bool = False) -> dict[str, str]:
    """Return what a command gets of these variables, without those that point elsewhere."""
    found = environment(parent, inherit, clean=clean, empty=EMPTY)
    return {name: value for name, value in found.items() if POINTED.get(name) != value}


@pytest.mark.parametrize("name", LEADING)
def test_every_variable_that_leads_to_a_credential_is_taken_away(name: str) -> None:
    """Variables by name: each provider's, `*_TOKEN` …, ours, those that fetch CI tokens."""
    assert left({name: "x", "EDITOR": "vi"}) == {"EDITOR": "vi"}
    assert left({name.lower(): "x"}) == {}


@pytest.mark.parametrize("name", LEADING)
def test_a_name_that_is_let_through_passes(name: str) -> None:
    """`--inherit NAME` and `[exec] inherit` for exceptions."""
    assert left({name: "x"}, name) == {name: "x"}


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_PAGER", "GOOGLE_CLOUD_PROJECT"),
        *("OPENAI_BASE_URL", "HF_HOME", "CI", "CI_JOB_ID", "GITHUB_ACTIONS", "TOKENIZERS", "KEY"),
        *FOLDERS,
        *("MONKEYS", "TOKENS", "API_KEYS", "CLOUDSDK_CORE_PROJECT", "ANTHROPIC_MODEL", "SSH_TTY"),
    ],
)
def test_what_leads_to_no_credential_stays(name: str) -> None:
    """Takes away whatever credentials the child could find otherwise, and nothing else."""
    assert left({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "value",
    [
        "AgE eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtYWRlLXVwIn0.bWFkZS11cA",
        "hf_" + "MadeUpMadeUpMadeUpMadeUp",
        "postgres://u:sk-" + "made-up-made-up-made-up@host/db",
        "-----BEGIN PRIVATE KEY-----\nbWFkZS11cA==\n-----END PRIVATE KEY-----",
    ],
)
def test_a_variable_that_holds_what_looks_like_a_secret_is_taken_away(value: str) -> None:
    """And by value (the redaction patterns)."""
    assert left({"INNOCENT": value}) == {}
    assert left({"INNOCENT": value}, "INNOCENT") == {"INNOCENT": value}


@pytest.mark.parametrize("name", FILES)
def test_shared_files_are_pointed_at_empty_ones_unless_let_through(name: str) -> None:
    """Shared AWS and Google files pointed at empty ones."""
    for parent in ({}, {name: "/home/x/file"}):
        found = environment(parent, (), clean=False, empty=EMPTY)
        assert found == POINTED
        assert environment(parent, (name,), clean=False, empty=EMPTY).get(name) == parent.get(name)


def test_clean_leaves_few() -> None:
    """`--clean` for an environment with only PATH, HOME, … PWD."""
    names = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM", "TMPDIR", "PWD")
    few = dict.fromkeys((*names, "LC_ALL", "LC_TIME", *FOLDERS), "x")
    more = {"EDITOR": "vi", "PATHS": "x", "MYPATH": "x", "LANGUAGE": "x", "lang": "x"}
    assert left(few | more, clean=True) == few
    assert left(few | more, "EDITOR", clean=True) == few | {"EDITOR": "vi"}


def test_what_begins_like_a_folder_of_ours_is_no_folder() -> None:
    """Ours are taken away: the three folders alone are no secret."""
    assert left(dict.fromkeys((f"{FOLDERS[0]}_X", f"{FOLDERS[0]}\n", f"X_{FOLDERS[0]}"), "x")) == {
        f"X_{FOLDERS[0]}": "x"
    }


@pytest.mark.parametrize("name", ["", "=odd", "a=b", "a\0b"])
@pytest.mark.parametrize("clean", [True, False])
def test_a_name_that_no_program_can_be_given_is_dropped(name: str, *, clean: bool) -> None:
    """execve(2): a string NAME=VALUE."""
    assert left({name: "x", "PATH": "y"}, name, clean=clean) == {"PATH": "y"}


@given(st.dictionaries(st.text(st.characters(exclude_characters="=\0"), min_size=1), st.text()))
def test_what_is_kept_is_kept_as_it_was(parent: dict[str, str]) -> None:
    """Nothing is changed on its way."""
    found = environment(parent, parent, clean=True, empty=EMPTY)
    assert {**POINTED, **parent}.items() >= found.items() >= parent.items()


def test_a_name_with_a_line_break_is_judged_as_any() -> None:
    """A pattern holds for the whole name."""
    assert left({"A\nB_TOKEN": "x"}) == {}


def vended(provider: ProviderType, lease: str, ends: datetime = END, **values: str) -> Vended:
    """Return a credential on its way to a command."""
    tool = Tool("tool", "dev", provider, ())
    who = Principal("corp/alice", "alice")
    bounded = Bounded(
        Narrowed(tool, who, ()), PolicyDecision(Decision.ALLOW, ""), 900, Usage(), lambda _at: ()
    )
    return Vended(
        ProviderCredential(provider, "made_up", SecretMapping(values), ends),
        Lease(lease, who.id, "tool", provider, "dev", "", END, END),
        bounded,
    )


def test_it_gets_what_each_providers_own_programs_read() -> None:
    """The variables each provider's own tools read; sets AGENTAUTH_LEASE, AGENTAUTH_EXPIRATION."""
    found = credentials(
        [
            vended(
                ProviderType.AWS,
                "L1",
                aws_access_key_id="id",
                aws_secret_access_key="key",
                aws_session_token="token",
                region_name="eu-west-1",
            ),
            vended(
                ProviderType.GCP, "L2", END - timedelta(minutes=5), access_token="at", project="p"
            ),
            vended(ProviderType.OPENAI, "L3", api_key="ak"),
            vended(ProviderType.HUGGINGFACE, "L4", token="t"),
        ]
    )
    assert found == {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CREDENTIAL_EXPIRATION": "2026-11-23T10:15:00Z",
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "at",
        "GOOGLE_OAUTH_ACCESS_TOKEN": "at",
        "GOOGLE_CLOUD_PROJECT": "p",
        "OPENAI_API_KEY": "ak",
        "HF_TOKEN": "t",
        "AGENTAUTH_LEASE": "L1 L2 L3 L4",
        "AGENTAUTH_EXPIRATION": "2026-11-23T10:10:00Z",
    }


@pytest.mark.parametrize("value", ["a\nb", "a\x00b", "a\x1bb", "\ud800"])
def test_a_value_with_control_characters_is_an_error(value: str) -> None:
    """A value with control characters is an error."""
    with pytest.raises(ProviderAnswerError, match="OPENAI_API_KEY holds control characters") as at:
        credentials([vended(ProviderType.OPENAI, "L1", api_key=value)])
    assert value not in str(at.value)
