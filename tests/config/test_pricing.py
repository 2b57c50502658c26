"""Which file of prices is in force."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.config import pricing
from agentauth_cli.config.genai import compiled
from agentauth_cli.errors import AgentAuthError, StateError, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).parent.parent.parent
TODAY = date(2026, 11, 26)
OTHER = {
    "version": 1,
    "source": "mine",
    "as_of": "2027-01-01",
    "left_out": 0,
    "models": [{"names": ["openai/gpt"], "input": 1}],
}


def said(_notice: str) -> None:
    """Say nothing."""


def test_the_shipped_table_is_what_the_locked_package_says() -> None:
    """It has not drifted: `make prices` would write the same bytes."""
    content = (TOP / "agentauth_cli" / "policy" / "prices.json").read_bytes()
    table = pricing.shipped()
    assert content == compiled(date.fromisoformat(table.as_of))
    assert content.isascii()
    assert len(content) < 100_000
    names = [entry["names"] for entry in json.loads(content)["models"]]
    assert names == sorted(names)
    assert table.find("openai", "gpt-4o-mini") is not None
    providers = {name.partition("/")[0] for name in table.prices}
    assert providers == {"anthropic", "aws", "gcp", "huggingface", "openai"}


def test_the_wheel_has_the_table(tmp_path: Path) -> None:
    """What is shipped is shipped."""
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        assert "agentauth_cli/policy/prices.json" in wheel.namelist()


def test_the_table_made_since_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    """`budget prices --update` compiles it anew into the state directory; private."""
    state = tmp_path / "state"
    assert pricing.table(state, said) == pricing.shipped()
    pricing.update(state, TODAY)
    path = state / "prices.json"
    assert (path.stat().st_mode & 0o777, state.stat().st_mode & 0o777) == (0o600, 0o700)
    assert pricing.table(state, said).as_of == "2026-11-26"
    assert pricing.table(state, said).source.endswith(f", {path}")
    assert pricing.shipped().source.endswith(", shipped")
    path.write_text(json.dumps(OTHER))
    assert pricing.table(state, said).source == f"mine, {path}"
    pricing.update(state, TODAY)
    assert pricing.table(state, said).as_of == "2026-11-26"


def test_the_newer_of_two_tables_is_in_force(tmp_path: Path) -> None:
    """One that was made long ago does not stand before what a new version ships, for ever."""
    path = tmp_path / "prices.json"
    shipped = pricing.shipped()
    for as_of, ours in ((shipped.as_of, False), ("2026-01-01", True), ("9999-12-31", False)):
        path.write_text(json.dumps({**OTHER, "as_of": as_of}))
        path.chmod(0o600)
        assert (pricing.table(tmp_path, said) == shipped) is ours
    path.write_text(json.dumps({**OTHER, "as_of": "zzz"}))
    with pytest.raises(StateError, match="is no price table"):
        pricing.table(tmp_path, said)


@pytest.mark.parametrize(
    ("spoil", "error", "why"),
    [
        (lambda path: path.write_text("{"), StateError, "is no price table: is not JSON"),
        (lambda path: path.write_text("{}"), StateError, "its version is not 1"),
        (lambda path: path.write_text('{"a": 1, "a": 2}'), StateError, "has a duplicate key"),
        (lambda path: path.write_text("[]"), StateError, "is not a JSON object"),
        (lambda path: path.chmod(0o666), UnsafeFileError, "can be written by others"),
        (lambda path: path.rename(path.parent / "x") and path.symlink_to("x"), UnsafeFileError, ""),
    ],
)
def test_a_damaged_or_foreign_table_is_an_error_naming_it(
    spoil: Callable[[Path], object], error: type[AgentAuthError], why: str, tmp_path: Path
) -> None:
    """Not silently the shipped one, which may ask for less."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(OTHER))
    path.chmod(0o600)
    spoil(path)
    with pytest.raises(error, match=str(path)) as raised:
        pricing.table(tmp_path, said)
    assert why in raised.value.message
