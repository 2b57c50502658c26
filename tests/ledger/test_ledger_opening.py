"""Which ledger is opened, and how one is begun: at first use, or anew on purpose."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentauth_cli import files
from agentauth_cli.errors import (
    BudgetExceededError,
    ConfigError,
    LedgerMissingError,
    StateError,
    UnsafeFileError,
)
from agentauth_cli.ledger import note, opening, store
from agentauth_cli.ledger.chain import FIRST
from agentauth_cli.ledger.opening import Place, open_ledger, reset
from agentauth_cli.policy.switches import Switch
from support.account import open_folder, without_root
from support.clock import START, FakeClock
from support.ledgers import DAY, charge, named, place, python, reserve, sound

if TYPE_CHECKING:
    from agentauth_cli.ledger.sqlite import SQLiteLedger

RESET = re.escape("`agentauth ledger reset --reason TEXT`")


def tree(folder: Path) -> set[str]:
    """Return the files below the folder."""
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


def records(ledger: SQLiteLedger) -> list[dict[str, object]]:
    """Return the records as they read."""
    return [json.loads(row.record) for row in ledger.records()]


def missing(where: Place, why: str) -> None:
    """Hold that this is exit 9 with the command that begins a new one."""
    with pytest.raises(LedgerMissingError, match=why) as raised:
        open_ledger(where, FakeClock())
    assert raised.value.exit_code == 9
    assert re.search(RESET, raised.value.hint)


# -- first use ---------------------------------------------------------------------------------


def test_first_use(tmp_path: Path) -> None:
    """First use makes ledger and note; folders 0700, files 0600."""
    where = place(tmp_path)
    with open_ledger(where, FakeClock()) as ledger:
        made = note.Note(str(where.config), ledger.id, "sqlite", START)
        assert note.find(where.data, where.config, where.say) == made
        ledger.append({"event": "check"})
        assert records(ledger)[0]["client"] == "test"
    assert tree(tmp_path) == {
        "data/ledgers.toml",
        "data/ledgers.toml.lock",
        "state/ledger.db",
        "state/ledger.db.lock",
    }
    for one in tmp_path.rglob("*"):
        assert stat.S_IMODE(one.stat().st_mode) == (0o700 if one.is_dir() else 0o600), one


def test_the_second_use(tmp_path: Path) -> None:
    """The same ledger again, also for whoever comes while it is open."""
    where = place(tmp_path)
    with open_ledger(where, FakeClock()) as one, open_ledger(where, FakeClock()) as other:
        assert one.id == other.id
    with open_ledger(where, FakeClock()) as again:
        assert again.id == one.id


def test_threads_at_first_use(tmp_path: Path) -> None:
    """Two at first use make one ledger."""
    found: list[str] = []

    def work() -> None:
        with open_ledger(place(tmp_path), FakeClock()) as ledger:
            ledger.append({"event": "check"})
            found.append(ledger.id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_processes_at_first_use(tmp_path: Path) -> None:
    """Two processes at first use make one."""
    script = """
import sys
from pathlib import Path
from support.clock import FakeClock
from support.ledgers import place
from agentauth_cli.ledger.opening import open_ledger
print("ready", flush=True)
input()
with open_ledger(place(Path(sys.argv[1])), FakeClock()) as ledger:
    ledger.append({"event": "check"})
    print(ledger.id)
"""
    running = [python(script, str(tmp_path)) for _ in range(4)]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    told = [one.communicate() for one in running]
    assert [complaint for _, complaint in told] == [""] * 4
    assert len({out for out, _ in told}) == 1
    with open_ledger(place(tmp_path), FakeClock()) as ledger:
        assert ledger.head()[0] == 4
        assert sound(ledger)


def test_killed_between_ledger_and_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger without a note is taken up by the next run: the note of it was never written."""
    where = place(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(note, "remember", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_ledger(where, FakeClock())
    (begun,) = where.state.glob("ledger.db")
    inode = begun.stat().st_ino
    open_ledger(where, FakeClock()).close()
    assert begun.stat().st_ino == inode


def test_two_configurations(tmp_path: Path) -> None:
    """A configuration has its own note, and one ledger can be that of two."""
    where = place(tmp_path)
    other = Place(tmp_path / "other", where.state, where.data, {}, where.say)
    with open_ledger(where, FakeClock()) as one, open_ledger(other, FakeClock()) as two:
        assert one.id == two.id
    assert (where.data / "ledgers.toml").read_text().count("[[ledger]]") == 2


def test_an_old_wal_and_no_ledger(tmp_path: Path) -> None:
    """What is left of a ledger that was deleted by hand is no part of the next."""
    where = place(tmp_path)
    with open_ledger(where, FakeClock()) as ledger:
        reserve(ledger, "L1", charge(10))
        for end in ("-wal", "-shm"):
            shutil.copy(f"{where.path}{end}", tmp_path)
    where.path.unlink()
    (where.data / "ledgers.toml").unlink()
    for end in ("-wal", "-shm"):
        shutil.copy(tmp_path / f"ledger.db{end}", where.state)
    with open_ledger(where, FakeClock()) as ledger:
        assert ledger.head() == (0, FIRST)
        ledger.append({"event": "check"})
    with open_ledger(where, FakeClock()) as ledger:
        assert ledger.head()[0] == 1
    assert "state/ledger.db.until-20261123T100000Z-wal" in tree(tmp_path)


# -- gone, or another --------------------------------------------------------------------------


def test_deleted(tmp_path: Path) -> None:
    """A note whose ledger is missing is exit 9 with the command that begins a new one."""
    where = place(tmp_path)
    open_ledger(where, FakeClock()).close()
    where.path.unlink()
    missing(where, "is gone, and belongs to")
    assert not where.path.exists()


def test_replaced(tmp_path: Path) -> None:
    """A note whose ledger has another id is exit 9 with the same command."""
    where = place(tmp_path)
    open_ledger(where, FakeClock()).close()
    where.path.unlink()
    store.begin(where.path)
    missing(where, "is not the ledger of")


def test_led_elsewhere(tmp_path: Path) -> None:
    """With a note, no AGENTAUTH_STATE_DIR may lead to another ledger: no fresh budget."""
    where = place(tmp_path)
    open_ledger(where, FakeClock()).close()
    elsewhere = Place(where.config, tmp_path / "fresh", where.data, {}, where.say)
    missing(elsewhere, "is gone")
    assert not elsewhere.path.exists()


def test_a_dangling_link(tmp_path: Path) -> None:
    """A link that leads nowhere is no ledger."""
    where = place(tmp_path)
    open_ledger(where, FakeClock()).close()
    where.path.unlink()
    where.path.symlink_to(tmp_path / "nowhere")
    missing(where, "is gone")


def test_deleted_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gone at any moment is gone."""
    where = place(tmp_path)
    open_ledger(where, FakeClock()).close()
    where.path.unlink()
    real, calls = store.found, list[Path]()

    def at_first(path: Path) -> object:
        calls.append(path)
        return True if len(calls) == 1 else real(path)

    monkeypatch.setattr(store, "found", at_first)
    missing(where, "is gone$")


@pytest.mark.parametrize("what", ["state", "data"])
def test_a_folder_that_others_may_write(tmp_path: Path, what: str) -> None:
    """A folder that others may write keeps nothing: refused with the command that mends it."""
    where = place(tmp_path)
    folder: Path = getattr(where, what)
    folder.mkdir()
    folder.chmod(0o770)
    with pytest.raises(UnsafeFileError, match="can be written by others") as raised:
        open_ledger(where, FakeClock())
    assert raised.value.hint == f"chmod go-w {folder}"
    assert tree(tmp_path) == set()


def test_what_others_could_read(tmp_path: Path) -> None:
    """A file of ours in state or data that others may read is set to 0600 and said."""
    said: list[str] = []
    where = place(tmp_path, said.append)
    open_ledger(where, FakeClock()).close()
    for path in (where.path, where.data / "ledgers.toml"):
        path.chmod(0o644)
    open_ledger(where, FakeClock()).close()
    assert sorted(said) == sorted(
        f"{path} could be read by others; its mode is now 0600"
        for path in (where.path, where.data / "ledgers.toml")
    )


@pytest.mark.parametrize("begin", [open_ledger, partial(reset, reason="why", by="os/root")])
def test_a_note_that_does_not_load(tmp_path: Path, begin: object) -> None:
    """A broken note stops everything, before anything is put aside."""
    where = place(tmp_path)
    open_ledger(where, FakeClock()).close()
    (where.data / "ledgers.toml").write_text("version = 1\nledger = 7\n")
    before = tree(tmp_path)
    assert callable(begin)
    with pytest.raises(ConfigError, match=r"ledgers\.toml:2:1"):
        begin(where, FakeClock())
    assert tree(tmp_path) == before


def test_a_note_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A note that cannot be written: exit 9; the next run that can write it goes on."""
    with open_folder() as folder:
        where = place(folder)
        where.data.mkdir(mode=0o755)
        where.state.mkdir()
        (where.data / "ledgers.toml.lock").touch()
        (where.data / "ledgers.toml.lock").chmod(0o666)
        monkeypatch.setattr(files, "private_folder", lambda path: path)
        with monkeypatch.context() as patch:
            patch.setattr(store, "begin", lambda _: "01JD")
            patch.setattr(opening, "_put_aside", lambda *_: None)
            where.data.chmod(0o555)
            with without_root(), pytest.raises(StateError, match=r"ledgers\.toml cannot be writ"):
                open_ledger(where, FakeClock())
        where.data.chmod(0o755)
        open_ledger(where, FakeClock()).close()


def test_a_state_folder_that_cannot_be_made() -> None:
    """State that cannot be had is exit 9."""
    with open_folder() as folder:
        folder.chmod(0o555)
        with without_root(), pytest.raises(StateError, match="cannot be made") as raised:
            open_ledger(place(folder), FakeClock())
    assert raised.value.exit_code == 9


# -- reset -------------------------------------------------------------------------------------


def test_reset(tmp_path: Path) -> None:
    """A new one on purpose, audited as the first record, with the old head; old files are kept."""
    where, clock = place(tmp_path), FakeClock()
    with open_ledger(where, clock) as old:
        reserve(old, "L1", charge(10))
        head = old.head()
    clock.now += timedelta(days=1, seconds=7)
    kept = reset(where, clock, "moved house", "os/alice")
    assert kept == where.state / "ledger.db.until-20261124T100007Z"
    with open_ledger(where, clock) as new:
        assert new.id != old.id
        (record,) = records(new)
        assert new.used(named("sums"), DAY) == (0, 0)
        assert sound(new)
    expected = {
        "event": "ledger.reset",
        "principal": "os/alice",
        "user_reason": "moved house",
        "previous": {"id": old.id, "seq": head[0], "hash": head[1]},
        "kept": kept.name,
        "seq": 1,
    }
    assert {key: record[key] for key in expected} == expected
    with store.Store(kept, clock=clock, context={}) as was:
        assert (was.id, was.head()) == (old.id, head)


def test_a_reset_brings_no_revoked_key_back(tmp_path: Path) -> None:
    """A revocation holds whatever file comes back, also in the ledger that comes next."""
    where, clock = place(tmp_path), FakeClock()
    with open_ledger(where, clock) as old:
        old.api_key_used("aaaaaaaa")
        old.revoke_api_key("bbbbbbbb", {"event": "apikey.revoked"})
    clock.advance(seconds=60)
    reset(where, clock, "moved house", "os/alice")
    with open_ledger(where, clock) as new:
        assert new.api_key("bbbbbbbb").revoked_at == START
        assert new.api_key("aaaaaaaa").revoked_at is None
        assert sound(new)


def test_reset_where_there_was_none(tmp_path: Path) -> None:
    """There may be nothing to keep, with a note or without."""
    where = place(tmp_path)
    assert reset(where, FakeClock(), "why", "") is None
    open_ledger(where, FakeClock()).close()
    where.path.unlink()
    assert reset(where, FakeClock(), "deleted", "") is None
    with open_ledger(where, FakeClock()) as ledger:
        (record,) = records(ledger)
    assert record["previous"] == {"unreadable": f"{where.path} is gone"}
    assert "kept" not in record


def test_reset_of_what_is_no_ledger(tmp_path: Path) -> None:
    """What cannot be read is kept too, and the record says so."""
    where = place(tmp_path)
    open_ledger(where, FakeClock()).close()
    where.path.write_bytes(b"garbage" * 1000)
    garbage = where.path.read_bytes()
    with pytest.raises(StateError, match="not a database"):
        open_ledger(where, FakeClock())
    kept = reset(where, FakeClock(), "broken", "")
    assert kept is not None
    assert kept.read_bytes() == garbage
    with open_ledger(where, FakeClock()) as ledger:
        assert "file is not a database" in str(records(ledger)[0]["previous"])


def test_resets_in_one_second(tmp_path: Path) -> None:
    """No reset writes over what another one kept."""
    where = place(tmp_path)
    ids = []
    for _ in range(3):
        with open_ledger(where, FakeClock()) as ledger:
            ledger.append({"event": "check"})
            ids.append(ledger.id)
        reset(where, FakeClock(), "again", "")
    kept = sorted(where.state.glob("ledger.db.until-*"))
    assert [one.name.partition("Z")[2] for one in kept] == ["", "-2", "-3"]
    found = []
    for one in kept:
        with store.Store(one, clock=FakeClock(), context={}) as was:
            found.append(was.id)
    assert found == ids


def test_reset_while_it_is_used(tmp_path: Path) -> None:
    """Whoever has the old one open cannot go on with it, and loses nothing of what was written."""
    where = place(tmp_path)
    with open_ledger(where, FakeClock()) as old:
        reserve(old, "L1", charge(10))
        kept = reset(where, FakeClock(), "why", "")
        with pytest.raises(LedgerMissingError, match="was replaced while it was in use"):
            reserve(old, "L2", charge(1, counter="other"))
        with open_ledger(where, FakeClock()) as new:
            reserve(new, "L3", charge(10))
            old.close()
            reserve(new, "L4")
    assert kept is not None
    with store.Store(kept, clock=FakeClock(), context={}) as was:
        assert was.head()[0] == 1
    with open_ledger(where, FakeClock()) as new:
        assert new.head()[0] == 3
        assert sound(new)


def test_reset_waits_for_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being written is finished first, so that the kept head is the last one."""
    where = place(tmp_path)
    open_ledger(where, FakeClock()).close()
    before = tree(tmp_path)
    patient = files.lock
    monkeypatch.setattr(files, "lock", partial(files.lock, seconds=0.05))
    with patient(store.gate(where.path)), pytest.raises(StateError, match="held by another"):
        reset(where, FakeClock(), "why", "")
    assert tree(tmp_path) == before | {"state/ledger.db.lock"}
    open_ledger(where, FakeClock()).close()


@pytest.mark.parametrize("step", ["fresh", "_opened", "_put_aside", "put", "_noted"])
def test_reset_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Killed at any step a reset gives no fresh budget without its record: it is to be repeated."""
    where = place(tmp_path)
    with open_ledger(where, FakeClock()) as ledger:
        reserve(ledger, "L1", charge(10))
    killed_at(monkeypatch, where, step, KeyboardInterrupt())
    if step in ("put", "_noted"):
        missing(where, "is gone" if step == "put" else "is not the ledger of")
    else:
        still(where)
    reset(where, FakeClock(), "why", "os/alice")
    with open_ledger(where, FakeClock()) as ledger:
        assert records(ledger)[0]["event"] == "ledger.reset"
    (kept, *_) = sorted(where.state.glob("ledger.db.until-*"))
    with store.Store(kept, clock=FakeClock(), context={}) as was:
        assert was.head()[0] == 1


@pytest.mark.parametrize("step", ["fresh", "_opened", "_put_aside", "put", "_noted"])
def test_reset_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """After a reset that failed at any step the old ledger goes on, and nothing else is left."""
    where = place(tmp_path)
    with open_ledger(where, FakeClock()) as ledger:
        reserve(ledger, "L1", charge(10))
    before = tree(tmp_path)
    killed_at(monkeypatch, where, step, StateError("full"))
    assert tree(tmp_path) == before
    still(where)


def killed_at(
    monkeypatch: pytest.MonkeyPatch, where: Place, step: str, error: BaseException
) -> None:
    """Reset, which ends at this step."""
    owner = store if step in ("fresh", "put") else opening
    real, calls = getattr(owner, step), list[int]()

    def killed(*arguments: object) -> object:
        calls.append(1)
        if step == "_opened" and len(calls) == 1:  # the first reads the old head
            return real(*arguments)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(type(error)):
            reset(where, FakeClock(), "why", "")


def still(where: Place) -> None:
    """Hold that the ledger is the one whose budget is used up."""
    with open_ledger(where, FakeClock()) as ledger:
        with pytest.raises(BudgetExceededError):
            reserve(ledger, "L2", charge(1))
        assert sound(ledger)


def test_reset_on_a_full_disk(tmp_path: Path) -> None:
    """Where the new ledger cannot be written, the old one is still there."""
    where = place(tmp_path)
    with open_ledger(where, FakeClock()) as ledger:
        reserve(ledger, "L1", charge(10))
    before = tree(tmp_path)
    script = """
import resource, sys
from pathlib import Path
from support.clock import FakeClock
from support.ledgers import place
from agentauth_cli.errors import StateError
from agentauth_cli.ledger.opening import reset
for size in range(0, 40 * 1024, 8 * 1024):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        reset(place(Path(sys.argv[1])), FakeClock(), "why", "")
    except StateError:
        print("failed")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
    running = python(script, str(tmp_path))
    out, complaint = running.communicate()
    assert (out.splitlines(), complaint) == (["failed"] * 5, "")
    assert tree(tmp_path) == before
    still(where)


def test_reset_keeps_what_was_remembered(tmp_path: Path) -> None:
    """Counters begin at 0; switches, and that there were budgets, are remembered."""
    where, clock = place(tmp_path), FakeClock()
    switches = [
        Switch("tool", "s3_*", "leak", "os/alice", START, START + timedelta(days=1)),
        Switch("all"),
    ]
    with open_ledger(where, clock) as old:
        old.remember("budgets.toml")
        for one in switches:
            old.switch_on(one, {"event": "switch.on"})
    reset(where, clock, "why", "")
    with open_ledger(where, clock) as new:
        assert new.id != old.id
        assert sorted(new.switches(), key=str) == sorted(switches, key=str)
        assert new.remembers("budgets.toml")
        assert [one["event"] for one in records(new)] == ["ledger.reset"]


@pytest.mark.parametrize("damage", ["garbage", "gone", "switch"])
def test_reset_says_what_is_lost(tmp_path: Path, damage: str) -> None:
    """Where the old ledger cannot be read, it is said that its switches are lost."""
    said: list[str] = []
    where = place(tmp_path, said.append)
    with open_ledger(where, FakeClock()) as ledger:
        if damage == "switch":
            ledger.db.execute("INSERT INTO switches VALUES ('x', '', '', '', NULL, NULL)")
    if damage == "garbage":
        where.path.write_bytes(b"garbage" * 1000)
    if damage == "gone":
        where.path.unlink()
    reset(where, FakeClock(), "why", "")
    lost = "its switches and revoked API keys are lost"
    assert said == [f"what the old ledger remembered cannot be read: {lost}"]
    with open_ledger(where, FakeClock()) as ledger:
        assert ledger.switches() == []


def test_a_state_folder_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder that one cannot look into is exit 9."""
    monkeypatch.setattr(os, "getuid", os.geteuid)
    with open_folder() as folder:
        folder.chmod(0o777)
        where = place(folder)
        with without_root():
            open_ledger(where, FakeClock()).close()
            where.state.chmod(0o000)
            for begin in (open_ledger, partial(reset, reason="why", by="")):
                with pytest.raises(StateError) as raised:
                    begin(where, FakeClock())
                assert raised.value.exit_code == 9
                assert not isinstance(raised.value, LedgerMissingError)
            where.state.chmod(0o700)


def test_old_files_that_cannot_be_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the old one cannot be kept, there is no new one."""
    where = place(tmp_path)
    with open_ledger(where, FakeClock()) as ledger:
        reserve(ledger, "L1", charge(10))

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refused)
        with pytest.raises(StateError, match="cannot be put aside: Permission denied"):
            reset(where, FakeClock(), "why", "")
    with open_ledger(where, FakeClock()) as ledger, pytest.raises(BudgetExceededError):
        reserve(ledger, "L2", charge(1))
