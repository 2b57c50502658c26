"""killswitch.toml, rewritten: nothing that a person wrote is lost, and no other's change."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.config import switch_file
from agentauth_cli.config.switch_file import turn_off, turn_on
from agentauth_cli.errors import StateError
from agentauth_cli.policy import switches
from agentauth_cli.policy.switches import NAME, Switch
from support.account import open_folder, without_root

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
OPENAI = Switch("provider", "openai", "leaked key, INC-42", "okta/alice@acme.com", NOW, LATER)

BY_HAND = """\
# The emergency numbers are in the wiki.
version = 1   # the only one there is

# Billing asked for this.
[[switch]]
target = "provider"       # all of it
name = "openai"
reason = "costs"

# Keep these until the audit is over.
[[switch]]
name = "okta/bob"
target = "principal"

[[switch]]
target = "environment"
name = "prod"
# the end
"""


def _silent(_: str) -> None:
    pass


def _written(folder: Path) -> str:
    return (folder / NAME).read_text(encoding="utf-8")


def _found(folder: Path) -> list[Switch]:
    return list(switches.load((folder / NAME).read_bytes()))


def test_a_switch_is_written_as_the_specification_shows_it(tmp_path: Path) -> None:
    """A switch has target, name, reason, by, at and, where it ends by itself, until."""
    turn_on(tmp_path, OPENAI, NOW, _silent)
    assert _written(tmp_path) == (
        "version = 1\n\n[[switch]]\n"
        'target = "provider"\nname = "openai"\nreason = "leaked key, INC-42"\n'
        'by = "okta/alice@acme.com"\nat = 2026-11-23T10:00:00Z\nuntil = 2026-11-23T18:00:00Z\n'
    )
    assert _found(tmp_path) == [OPENAI]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_the_folder_is_made_where_there_is_none(tmp_path: Path) -> None:
    """`disable` needs no configuration at all."""
    turn_on(tmp_path / "a" / "config", OPENAI, NOW, _silent)
    assert _found(tmp_path / "a" / "config") == [OPENAI]
    assert (tmp_path / "a" / "config").stat().st_mode & 0o777 == 0o700


def test_comments_and_order_are_kept(tmp_path: Path) -> None:
    """A command that writes a config file keeps comments and order."""
    (tmp_path / NAME).write_text(BY_HAND)
    turn_on(tmp_path, Switch("tool", "deploy"), NOW, _silent)
    assert _written(tmp_path).startswith(BY_HAND)
    assert [one.name for one in _found(tmp_path)] == ["openai", "okta/bob", "prod", "deploy"]
    assert turn_off(tmp_path, "principal", "okta/bob", NOW, _silent)
    lines = set(_written(tmp_path).splitlines())
    assert {
        "# The emergency numbers are in the wiki.",
        "version = 1   # the only one there is",
        "# Billing asked for this.",
        'target = "provider"       # all of it',
        "# the end",
    } <= lines
    assert [one.name for one in _found(tmp_path)] == ["openai", "prod", "deploy"]


def test_on_and_off_again_leave_the_file_as_it_was(tmp_path: Path) -> None:
    """What `disable` adds `enable` takes out, and nothing else."""
    (tmp_path / NAME).write_text(BY_HAND)
    turn_on(tmp_path, Switch("tool", "deploy"), NOW, _silent)
    assert turn_off(tmp_path, "tool", "deploy", NOW, _silent)
    assert _written(tmp_path).rstrip("\n") == BY_HAND.rstrip("\n")
    assert not turn_off(tmp_path, "tool", "deploy", NOW, _silent)


def test_the_last_switch_that_goes_leaves_a_file_that_loads(tmp_path: Path) -> None:
    """A file without switches is one that stops nothing."""
    turn_on(tmp_path, OPENAI, NOW, _silent)
    assert turn_off(tmp_path, "provider", "openai", NOW, _silent)
    assert _found(tmp_path) == []
    turn_on(tmp_path, OPENAI, NOW, _silent)
    assert _found(tmp_path) == [OPENAI]


def test_a_switch_on_the_same_name_replaces_the_one_that_is_there(tmp_path: Path) -> None:
    """One name, one switch: the newest reason and end hold; doubles of a person's hand go too."""
    twice = '[[switch]]\ntarget = "provider"\nname = "openai"\n'
    (tmp_path / NAME).write_text(f"version = 1\n{twice}{twice}")
    turn_on(tmp_path, OPENAI, NOW, _silent)
    assert _found(tmp_path) == [OPENAI]
    (tmp_path / NAME).write_text(f"version = 1\n{twice}{twice}")
    assert turn_off(tmp_path, "provider", "openai", NOW, _silent)
    assert _found(tmp_path) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("tool", "a"), Switch("tool", "a"), True),
        (("tool", "a"), Switch("provider", "a"), False),
        (("tool", "a"), Switch("tool", "a*"), False),
        (("all", ""), Switch("all"), True),
        (("principal", "alice"), Switch("principal", "*/alice"), True),
        (("principal", "okta/alice"), Switch("principal", "alice"), False),
        (("principal", "kind:agent"), Switch("principal", "kind:agent"), True),
        (("principal", "group:okta/x"), Switch("principal", "group:okta/x"), True),
    ],
)
def test_which_switches_are_the_same(one: tuple[str, str], other: Switch, *, same: bool) -> None:
    """A principal without a slash means */NAME, of any issuer."""
    assert switch_file.same(*one, other) == same


def test_switches_in_one_array_are_changed_in_it(tmp_path: Path) -> None:
    """A person may write them in one line: `switch = [{…}, {…}]`."""
    (tmp_path / NAME).write_text(
        'version = 1\nswitch = [{ target = "tool", name = "a" }, { target = "all" }] # mine\n'
    )
    turn_on(tmp_path, OPENAI, NOW, _silent)
    assert [one.target for one in _found(tmp_path)] == ["tool", "all", "provider"]
    assert turn_off(tmp_path, "tool", "a", NOW, _silent)
    assert [one.target for one in _found(tmp_path)] == ["all", "provider"]
    assert "# mine" in _written(tmp_path)
    assert turn_off(tmp_path, "all", "", NOW, _silent)
    assert turn_off(tmp_path, "provider", "openai", NOW, _silent)
    assert _found(tmp_path) == []


@pytest.mark.parametrize(
    "reason", ['"', "'''", '"""', "a\nb", "\x1b[31m", "\\", "# no comment", "é ✓ 𝄞", "]]", "\x7f"]
)
def test_whatever_the_reason_the_file_loads(tmp_path: Path, reason: str) -> None:
    """A reason is text: nothing in it can end the string that it stands in."""
    switch = Switch("tool", "a", reason, reason)
    turn_on(tmp_path, switch, NOW, _silent)
    assert _found(tmp_path) == [switch]


@pytest.mark.parametrize("content", [b"", b"[[", b"\xff", b"version = 2\n", bytes(10_000_000)])
def test_a_broken_file_is_kept_beside_the_new_one(tmp_path: Path, content: bytes) -> None:
    """A broken file is kept beside the new one, and that it is not in force is said."""
    (tmp_path / NAME).write_bytes(content)
    said: list[str] = []
    turn_on(tmp_path, OPENAI, NOW, said.append)
    kept = tmp_path / f"{NAME}.broken-20261123T100000Z"
    assert kept.read_bytes() == content
    assert _found(tmp_path) == [OPENAI]
    assert kept.name in said[-1]
    assert "are not in force" in said[-1]


def test_a_second_broken_file_does_not_take_the_place_of_the_first(tmp_path: Path) -> None:
    """What was kept stays kept, also within the same second."""
    for content in (b"[[1", b"[[2", b"[[3"):
        (tmp_path / NAME).write_bytes(content)
        turn_on(tmp_path, OPENAI, NOW, _silent)
    kept = sorted(path.read_bytes() for path in tmp_path.glob("*.broken-*"))
    assert kept == [b"[[1", b"[[2", b"[[3"]


def test_a_folder_in_its_place_is_put_aside_too(tmp_path: Path) -> None:
    """What stands where the file should is moved away, since it stops everything."""
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "x").touch()
    said: list[str] = []
    turn_on(tmp_path, OPENAI, NOW, said.append)
    assert _found(tmp_path) == [OPENAI]
    assert "is not a regular file" in said[0]
    assert [path.is_dir() for path in tmp_path.glob("*.broken-*")] == [True]


def test_a_file_that_others_may_write_is_put_aside(tmp_path: Path) -> None:
    """What somebody else may have written is not taken over."""
    (tmp_path / NAME).write_text(BY_HAND)
    (tmp_path / NAME).chmod(0o666)
    turn_on(tmp_path, OPENAI, NOW, _silent)
    assert _found(tmp_path) == [OPENAI]


def test_a_folder_that_cannot_be_written_is_said_and_changes_nothing() -> None:
    """In a read-only folder the file cannot take it: StateError, and all is as it was."""
    with open_folder() as folder:
        (folder / NAME).write_text(BY_HAND)
        turn_on(folder, Switch("tool", "b"), NOW, _silent)
        before = _written(folder)
        (folder / NAME).chmod(0o644)
        folder.chmod(0o555)
        with without_root(), pytest.raises(StateError) as caught:
            turn_on(folder, OPENAI, NOW, _silent)
        folder.chmod(0o755)
        assert str(folder) in caught.value.message
        assert _written(folder) == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """A file that is linked from elsewhere is changed there."""
    real = tmp_path / "elsewhere.toml"
    real.write_text(BY_HAND)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / NAME).symlink_to(real)
    turn_on(tmp_path / "config", Switch("tool", "deploy"), NOW, _silent)
    assert (tmp_path / "config" / NAME).is_symlink()
    assert len(switches.load(real.read_bytes())) == 4


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from agentauth_cli.config.switch_file import turn_off, turn_on
from agentauth_cli.policy.switches import Switch

folder, who = Path(sys.argv[1]), sys.argv[2]
for i in range(8):
    turn_on(folder, Switch("tool", f"w{who}-{i}"), datetime.now(UTC), print)
    turn_on(folder, Switch("tool", f"gone{who}-{i}"), datetime.now(UTC), print)
    turn_off(folder, "tool", f"gone{who}-{i}", datetime.now(UTC), print)
"""


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    """Two writers never lose each other's change; a reader sees the old file or the new."""
    (tmp_path / NAME).write_text(BY_HAND)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, str(i)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for i in range(4)
    ]
    while any(writer.poll() is None for writer in writers):
        _found(tmp_path)
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    added = {f"w{i}-{j}" for i in range(4) for j in range(8)}
    assert {one.name for one in _found(tmp_path)} == added | {"openai", "okta/bob", "prod"}
    assert not list(tmp_path.glob(f".{NAME}.[0-9a-f]*"))


@pytest.mark.parametrize("end", ["", "  # mine", "\n", "\n\n"])
def test_a_last_line_without_an_end_gets_one(tmp_path: Path, end: str) -> None:
    """What is added begins on a line of its own, after one blank line."""
    (tmp_path / NAME).write_text(BY_HAND.removesuffix("# the end\n").rstrip("\n") + end)
    turn_on(tmp_path, Switch("tool", "deploy"), NOW, _silent)
    turn_on(tmp_path, Switch("tool", "other"), NOW, _silent)
    names = [one.name for one in _found(tmp_path)]
    assert names == ["openai", "okta/bob", "prod", "deploy", "other"]
    assert _written(tmp_path).endswith(
        '\n\n[[switch]]\ntarget = "tool"\nname = "deploy"\n'
        '\n[[switch]]\ntarget = "tool"\nname = "other"\n'
    )
    assert "\n\n\n" not in _written(tmp_path)
    assert not list(tmp_path.glob("*.broken-*"))


def test_on_and_off_many_times_does_not_make_the_file_grow(tmp_path: Path) -> None:
    """A blank line that is there already serves the next switch."""
    for _ in range(3):
        turn_on(tmp_path, OPENAI, NOW, _silent)
        turn_off(tmp_path, "provider", "openai", NOW, _silent)
    assert _written(tmp_path).strip() == "version = 1"
    assert len(_written(tmp_path)) <= len("version = 1\n\n")


def test_nothing_is_written_that_would_not_load(tmp_path: Path) -> None:
    """A file that does not load stops everything: what would make one is refused before."""
    (tmp_path / NAME).write_text(BY_HAND)
    with pytest.raises(StateError, match="would not load"):
        turn_on(tmp_path, Switch("tool", "not a name"), NOW, _silent)
    assert _written(tmp_path) == BY_HAND
