"""The command line of a plain `vend` as it is read without Typer, held against Typer."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from agentauth_cli.cli import quick, vend_work
from agentauth_cli.cli.app import build
from agentauth_cli.cli.quick import Words

if TYPE_CHECKING:
    from collections.abc import Sequence

VALUES = ["x", "dev", "1h", "15", "0", "0.50", "okta/x", "s3://b/*", "a b", "é", "-", "-x", "", "٣"]
PLAIN = [*quick.OPTIONS, *quick.FLAGS, "--dry-run", "--help", "-h", "--", "--no-color", "--en"]
WORD = st.one_of(
    st.sampled_from(PLAIN),
    st.sampled_from(VALUES),
    st.builds("{}={}".format, st.sampled_from([*PLAIN, ""]), st.sampled_from(VALUES)),
)
OPTION = st.one_of(
    st.sampled_from([[one] for one in quick.FLAGS]),
    st.tuples(st.sampled_from(sorted(quick.OPTIONS)), st.sampled_from(VALUES)).map(list),
    st.builds("{}={}".format, st.sampled_from(sorted(quick.OPTIONS)), st.sampled_from(VALUES)).map(
        lambda one: [one]
    ),
    st.sampled_from(VALUES).map(lambda one: [one]),
)
ARGUMENTS = st.one_of(
    st.lists(WORD, max_size=6),
    st.lists(OPTION, max_size=4).map(
        lambda parts: ["put", *[one for part in parts for one in part]]
    ),
)

GROUP = get_command(build("vend"))


def by_typer(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> Words | None:
    """Return what Typer reads there; None where it calls nothing."""
    found: list[Words] = []
    monkeypatch.setattr(vend_work, "vend", found.append)
    try:
        GROUP(["vend", *arguments], standalone_mode=False, prog_name="agentauth", obj=(0, 0))
    except Exception:  # noqa: BLE001 - a wrong use of any kind
        return None
    return found[0] if found else None


@given(ARGUMENTS)
def test_what_is_read_is_what_typer_reads(arguments: list[str]) -> None:
    """One command line means one thing: what is not certain is left to Typer."""
    words = quick.vend(["vend", *arguments])
    if words is not None:
        with pytest.MonkeyPatch.context() as patch:
            assert words == by_typer(arguments, patch)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("put", {}),
        ("put --json", {"as_json": True}),
        ("--reveal put --env prod", {"reveal": True, "env": "prod"}),
        ("put --resource=s3://b/a=b", {"resource": "s3://b/a=b"}),
        ("put --identity ci --model gpt-4o", {"identity": "ci", "model": "gpt-4o"}),
        ("put --format aws --duration 1h", {"format": "aws", "duration": "1h"}),
        (
            "put --estimate-tokens 10 --estimate-cost 0.50 --reason why",
            {"estimate_tokens": 10, "estimate_cost": "0.50", "reason": "why"},
        ),
    ],
)
def test_what_is_read(arguments: str, words: dict[str, Any]) -> None:
    """A tool, and options that each stand there once."""
    assert quick.vend(["vend", *arguments.split()]) == Words("put")._replace(**words)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--json"],
        ["put", "more"],
        ["put", "--unknown"],
        ["put", "--help"],
        ["put", "--dry-run"],
        ["--", "put"],
        ["put", "--env"],
        ["put", "--env", "--json"],
        ["put", "--env="],
        ["put", "--env", "a", "--env", "b"],
        ["put", "--json=1"],
        ["put", "--identity", "no name"],
        ["put", "--model", "no name"],
        ["put", "--estimate-tokens", "1e3"],
        ["put", "--estimate-tokens", "٣"],
        ["put", "--estimate-tokens", "1" * 16],
    ],
)
def test_what_is_left_to_typer(arguments: list[str]) -> None:
    """Whatever is not certain."""
    assert quick.vend(["vend", *arguments]) is None


@pytest.mark.parametrize("arguments", [[], ["whoami"], ["--debug", "vend", "put"]])
def test_other_commands_are_left_to_typer(arguments: list[str]) -> None:
    """It reads `vend` alone."""
    assert quick.vend(arguments) is None


def test_a_plain_vend_does_not_load_typer() -> None:
    """What every program waits for is not read by what takes longer to load than it takes."""
    script = (
        "import sys\n"
        "from agentauth_cli.cli.run import run\n"
        "code = run(['vend', 'put', '--env', 'dev'])\n"
        "print(code, sorted({'typer', 'rich', 'pydantic', 'boto3'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"AGENTAUTH_CONFIG_DIR": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "3 []\n"
