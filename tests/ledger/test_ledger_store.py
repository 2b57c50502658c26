"""The file of the ledger: made whole, opened with care, written in locked transactions."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import sqlite3
import stat
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentauth_cli import files
from agentauth_cli.errors import (
    LedgerMissingError,
    LedgerVersionError,
    StateError,
    UnsafeFileError,
)
from agentauth_cli.ledger import store
from agentauth_cli.ledger.chain import FIRST, encode, link, verify
from agentauth_cli.ledger.schema import APPLICATION_ID, VERSION
from agentauth_cli.ledger.store import Store
from support.account import give_away, open_folder, without_root
from support.clock import FakeClock
from support.ledgers import opened, python, sound, without_indexes

if TYPE_CHECKING:
    from collections.abc import Iterator

RESET = re.escape("agentauth ledger reset --reason")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Store]:
    """Return a ledger with a context."""
    with opened(tmp_path, FakeClock(), client="bash", config=None) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a ledger of ten records, to be damaged and put right again."""
    with opened(tmp_path_factory.mktemp("written"), FakeClock()) as ledger:
        for number in range(10):
            append(ledger, reason=f"number {number}")
        yield ledger


def append(ledger: Store, **fields: object) -> None:
    """Write a record in a step of its own."""
    with ledger.step() as now:
        ledger.write({"event": "check", **fields}, now)


def reopened(path: Path) -> Store:
    """Open what lies there."""
    return Store(path, clock=FakeClock(), context={})


def use(path: Path) -> None:
    """Write to a ledger and read all of it."""
    with reopened(path) as ledger:
        append(ledger)
        list(ledger.records())


def descriptors() -> int:
    """Return how many files this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def names(folder: Path) -> set[str]:
    """Return what lies in the folder."""
    return {one.name for one in folder.iterdir()}


# -- begun -------------------------------------------------------------------------------------


def test_begun_whole(tmp_path: Path) -> None:
    """A ledger is there whole or not at all, and nothing else is left."""
    ledger_id = store.begin(tmp_path / "ledger.db")
    assert names(tmp_path) == {"ledger.db"}
    with reopened(tmp_path / "ledger.db") as ledger:
        assert ledger.id == ledger_id
        assert ledger.head() == (0, FIRST)
        (mode,) = ledger.db.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = ledger.db.execute("PRAGMA synchronous").fetchone()
    assert (mode, synchronous) == ("wal", 2)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_the_mode(tmp_path: Path, umask: int) -> None:
    """Files 0600, whatever the umask."""
    before = os.umask(umask)
    try:
        store.begin(tmp_path / "ledger.db")
        with reopened(tmp_path / "ledger.db") as ledger:
            append(ledger)
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(
        ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"], 0o600
    )


def test_each_has_its_own_id(tmp_path: Path) -> None:
    """The id and the node are random."""
    assert len({store.begin(tmp_path / f"{number}.db") for number in range(5)}) == 5


def test_it_cannot_be_made() -> None:
    """A folder that takes nothing is a StateError, and nothing is left in it."""
    with open_folder() as folder:
        folder.chmod(0o555)
        with without_root(), pytest.raises(StateError, match="cannot be made: Permission denied"):
            store.begin(folder / "ledger.db")
        assert names(folder) == set()


def test_it_cannot_be_made_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure half-way leaves no ledger and no temporary file."""
    monkeypatch.setattr(store, "ADDED", {1: "CREATE TABLE meta (key, value); nonsense;"})
    with pytest.raises(StateError, match='near "nonsense"'):
        store.begin(tmp_path / "ledger.db")
    assert names(tmp_path) == set()


# -- opened ------------------------------------------------------------------------------------


def test_a_ledger_that_is_gone(tmp_path: Path) -> None:
    """A ledger that vanished is not a fresh budget."""
    with pytest.raises(LedgerMissingError, match="is gone") as raised:
        reopened(tmp_path / "ledger.db")
    assert re.search(RESET, raised.value.hint)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("version", [0, VERSION + 1, 999, -1])
def test_another_version(tmp_path: Path, version: int) -> None:
    """A future schema version: refuse, name versions."""
    path = tmp_path / "ledger.db"
    store.begin(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    before = descriptors()
    with pytest.raises(
        LedgerVersionError, match=f"has schema {version}, this program {VERSION}"
    ) as raised:
        reopened(path)
    assert descriptors() == before
    assert (raised.value.exit_code, raised.value.hint) == (
        9,
        "Use the version of agentauth that wrote it",
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not a ledger of agentauth"),
        (b"{}", "file is not a database"),
        (b"x" * 8192, "file is not a database"),
        (b"SQLite format 3\x00", "file is not a database"),
    ],
)
def test_no_database(tmp_path: Path, content: bytes, why: str) -> None:
    """What is no ledger is a StateError, and stays as it is."""
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StateError, match=why):
        reopened(path)
    assert path.read_bytes() == content


def test_a_database_of_somebody_else(tmp_path: Path) -> None:
    """The application id tells whose file it is."""
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes (text)")
    path.chmod(0o600)
    with pytest.raises(StateError, match="is not a ledger of agentauth"):
        reopened(path)


@pytest.mark.parametrize("part", ["meta", "records"])
def test_a_ledger_without_a_table(tmp_path: Path, part: str) -> None:
    """A table that is gone is a StateError at opening, with its name."""
    path = tmp_path / "ledger.db"
    store.begin(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"DROP TABLE {part}")
    with pytest.raises(StateError, match=f"by hand: it has lost (index .*, )?table {part}$"):
        reopened(path)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (
            "CREATE TRIGGER quiet BEFORE INSERT ON records BEGIN SELECT RAISE(IGNORE); END",
            "quiet",
        ),
        ("CREATE VIEW other AS SELECT 1", "other"),
        ("CREATE TABLE more (x)", "more"),
        ("CREATE INDEX more ON records (hash)", "more"),
        ("ALTER TABLE records ADD COLUMN more TEXT", "records"),
        ("DROP TABLE records; CREATE TABLE records (seq, record, hash)", "records"),
    ],
)
def test_a_ledger_with_something_added(tmp_path: Path, change: str, name: str) -> None:
    """What this program did not make could switch audit and budgets off: refused by name."""
    path = tmp_path / "ledger.db"
    store.begin(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(change)
    with pytest.raises(StateError, match=f"by hand: {name} is none of agentauth"):
        reopened(path)


def test_a_record_that_was_not_taken(ledger: Store) -> None:
    """A trigger that was added while the ledger was open keeps no record from being missed."""
    with contextlib.closing(sqlite3.connect(ledger.path)) as db:
        db.execute("CREATE TRIGGER t BEFORE INSERT ON records BEGIN SELECT RAISE(IGNORE); END")
    with pytest.raises(StateError, match="did not take record 1"):
        append(ledger)


def test_a_folder_that_cannot_be_looked_into() -> None:
    """A ledger that one cannot look at is no ledger that is gone: exit 9, and why."""
    with open_folder() as folder:
        path = folder / "state" / "ledger.db"
        path.parent.mkdir(mode=0o000)
        with without_root(), pytest.raises(StateError, match="Permission denied") as raised:
            reopened(path)
        path.parent.chmod(0o700)
    assert raised.value.exit_code == 9


@pytest.mark.parametrize("key", ["id", "node"])
def test_a_ledger_without_its_id(tmp_path: Path, key: str) -> None:
    """A ledger has an id and a node."""
    path = tmp_path / "ledger.db"
    store.begin(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM meta WHERE key = ?", (key,))
        db.commit()
    with pytest.raises(StateError, match="has lost its id"):
        reopened(path)


def test_cut_off(tmp_path: Path) -> None:
    """A truncated ledger is a StateError, at its opening or at the first step."""
    with opened(tmp_path, FakeClock()) as ledger:
        for number in range(50):
            append(ledger, reason="x" * 500, number=number)
    whole = (tmp_path / "ledger.db").read_bytes()
    for size in (100, 4096, 4097, len(whole) // 2, len(whole) - 4096):
        (tmp_path / "ledger.db").write_bytes(whole[:size])
        with pytest.raises(StateError, match="the ledger"):
            use(tmp_path / "ledger.db")


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    """A folder is no ledger."""
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(UnsafeFileError, match="is not a regular file"):
        reopened(tmp_path / "ledger.db")


@pytest.mark.parametrize("part", ["", "-wal", "-shm"])
def test_a_link_in_its_place(tmp_path: Path, part: str) -> None:
    """Anything that is a symlink in state or runtime is refused with the command that mends it."""
    store.begin(tmp_path / "elsewhere.db")
    store.begin(tmp_path / "ledger.db")
    path = tmp_path / f"ledger.db{part}"
    path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(UnsafeFileError, match="is a symbolic link") as raised:
        reopened(tmp_path / "ledger.db")
    assert raised.value.hint == f"rm {path}"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_others_may_write_it(tmp_path: Path, mode: int) -> None:
    """Anything that group or others may write is refused with the command that mends it."""
    path = tmp_path / "ledger.db"
    store.begin(path)
    path.chmod(mode)
    with pytest.raises(UnsafeFileError, match="can be written by others") as raised:
        reopened(path)
    assert raised.value.hint == f"chmod go-w {path}"


def test_it_belongs_to_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else than us or root owns is refused with the command that mends it."""
    path = tmp_path / "ledger.db"
    store.begin(path)
    give_away(path, monkeypatch)
    with pytest.raises(UnsafeFileError, match="belongs to uid") as raised:
        reopened(path)
    assert raised.value.hint == f"chown {os.getuid()} {path}"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_others_may_read_it(tmp_path: Path, mode: int) -> None:
    """A file of ours in state or data that others may read is set to 0600 and said."""
    path, said = tmp_path / "ledger.db", list[str]()
    store.begin(path)
    path.chmod(mode)
    Store(path, clock=FakeClock(), context={}, say=said.append).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert said == [f"{path} could be read by others; its mode is now 0600"]


def test_a_path_that_looks_like_a_uri(tmp_path: Path) -> None:
    """No character of the path has a meaning to SQLite."""
    folder = tmp_path / "a ?mode=memory&x=%20#é"
    folder.mkdir()
    with opened(folder, FakeClock()) as ledger:
        append(ledger)
    assert "ledger.db" in names(folder)


# -- steps -------------------------------------------------------------------------------------


def test_a_record(ledger: Store) -> None:
    """The ledger adds seq, at, node and pid; the context is in every record."""
    append(ledger, reason="r", seq=99, at="never", node="x", pid=1)
    (row,) = ledger.records()
    record = json.loads(row.record)
    node = record.pop("node")
    assert re.fullmatch("[0-9a-f]{8}", node)
    assert record == {
        "seq": 1,
        "at": "2026-11-23T10:00:00.000000Z",
        "event": "check",
        "reason": "r",
        "client": "bash",
        "pid": os.getpid(),
    }
    assert row.record == encode({**record, "node": node})
    assert (row.seq, row.hash) == (1, link(FIRST, row.record)) == ledger.head()


def test_the_last_ones(written: Store) -> None:
    """All records in order, or the `last` ones."""
    everything = list(written.records())
    assert [row.seq for row in everything] == list(range(1, 11))
    for last in (0, 1, 3, 10, 11):
        assert list(written.records(last)) == everything[10 - min(last, 10) :]


def test_all_or_nothing(ledger: Store) -> None:
    """What fails in a step leaves nothing of it, and the next one works."""

    def stopped() -> None:
        with ledger.step() as now:
            ledger.write({"event": "check"}, now)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(ledger.records()) == []
    append(ledger)
    assert verify(ledger.records()) is None
    assert ledger.head()[0] == 1


def test_a_clock_that_fails(ledger: Store) -> None:
    """A step that cannot begin holds nothing."""

    def broken() -> NoReturn:
        raise StateError("no time")

    ledger._clock = broken
    with pytest.raises(StateError, match="no time"), ledger.step():
        pass
    ledger._clock = FakeClock()
    append(ledger)


def test_two_at_once(tmp_path: Path) -> None:
    """Two writers: one chain, no fork."""
    with opened(tmp_path, FakeClock()) as one, opened(tmp_path, FakeClock()) as other:
        for _ in range(3):
            append(one)
            append(other)
        assert one.head() == other.head()
        assert one.head()[0] == 6
        assert verify(one.records()) is None


def test_a_moment_of_its_own(tmp_path: Path) -> None:
    """What is read in `unchanging` is of one moment, whatever others write meanwhile."""
    with opened(tmp_path, FakeClock()) as one, opened(tmp_path, FakeClock()) as other:
        append(one)
        with one.unchanging():
            before = one.head()
            append(other)
            assert one.head() == before
            assert len(list(one.records())) == 1
        assert one.head()[0] == 2
        append(one)
        with pytest.raises(ZeroDivisionError), one.unchanging():
            raise ZeroDivisionError
        one.close()
        with pytest.raises(StateError, match="closed database"), one.unchanging():
            pass


@pytest.mark.parametrize("replaced", [False, True])
def test_deleted_during_a_run(ledger: Store, replaced: bool) -> None:
    """ledger.db deleted during a run: exit 9 naming `ledger reset`, never a second chain."""
    append(ledger)
    ledger.path.unlink()
    if replaced:
        store.begin(ledger.path)
    with pytest.raises(LedgerMissingError) as raised:
        append(ledger)
    assert raised.value.exit_code == 9
    assert re.search(RESET, raised.value.hint)
    assert ledger.path.exists() == replaced


def test_behind_a_fork(ledger: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process forked mid-vend: no shared SQLite handle."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(StateError, match="fork"):
        append(ledger)


def test_another_thread(ledger: Store) -> None:
    """A handle belongs to its thread: in another it is a StateError, not a mixed transaction."""
    found: list[str] = []

    def other() -> None:
        with contextlib.suppress(StateError):
            append(ledger)
            found.append("written")

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == []
    append(ledger)
    assert ledger.head()[0] == 1


def test_held_by_another_process(ledger: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is held longer than patience lasts is a StateError, and the next run works."""
    patient = files.lock
    monkeypatch.setattr(files, "lock", partial(files.lock, seconds=0.05))
    with patient(store.gate(ledger.path)), pytest.raises(StateError, match=r"held .* for 0 s"):
        append(ledger)
    append(ledger)
    assert ledger.head()[0] == 1


def test_held_by_another_program(ledger: Store) -> None:
    """Somebody who writes without our lock is waited for, not for ever."""
    ledger.db.execute("PRAGMA busy_timeout = 20")
    with contextlib.closing(sqlite3.connect(ledger.path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="database is locked"):
            append(ledger)
        shell.execute("ROLLBACK")
    append(ledger)


def test_a_full_disk(ledger: Store) -> None:
    """If a record cannot be written nothing is: StateError, and the next run works."""
    append(ledger)
    (pages,) = ledger.db.execute("PRAGMA page_count").fetchone()
    ledger.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match="full"):
        append(ledger, reason="x" * 100_000)
    ledger.db.execute("PRAGMA max_page_count = 1000000")
    append(ledger)
    assert verify(ledger.records()) is None
    assert ledger.head()[0] == 2


def test_a_file_that_cannot_grow(tmp_path: Path) -> None:
    """A file cannot grow (prlimit --fsize=4096): exit 9, the next run works."""
    script = """
import resource, sys
from pathlib import Path
from support.clock import FakeClock
from support.ledgers import opened, reserve
from agentauth_cli.errors import StateError
with opened(Path(sys.argv[1]), FakeClock()) as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, -1))
    try:
        reserve(ledger, "L1")
    except StateError as error:
        print(error.exit_code, ledger.head()[0])
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    reserve(ledger, "L2")
"""
    store.begin(tmp_path / "ledger.db")
    out, complaint = python(script, str(tmp_path)).communicate()
    assert (out, complaint) == ("9 0\n", "")
    with opened(tmp_path, FakeClock()) as ledger:
        assert ledger.head()[0] == 1
        assert sound(ledger)


def test_text_that_is_not_utf_8(ledger: Store) -> None:
    """Non-UTF-8 argv bytes: a StateError, no UnicodeEncodeError."""
    with pytest.raises(StateError, match="not UTF-8"), ledger.step():
        ledger.db.execute("INSERT INTO meta VALUES (?, '')", ("\udcff",))
    append(ledger, reason="\udcff")
    assert verify(ledger.records()) is None


def test_it_remembers(tmp_path: Path) -> None:
    """Once the ledger has seen a budgets.toml, its absence is exit 3: it has to remember."""
    with opened(tmp_path, FakeClock()) as ledger:
        assert not ledger.remembers("budgets.toml")
        ledger.remember("budgets.toml")
        ledger.remember("budgets.toml")
        assert ledger.remembers("budgets.toml")
    with opened(tmp_path, FakeClock()) as ledger:
        assert ledger.remembers("budgets.toml")


# -- killed ------------------------------------------------------------------------------------

ENDLESS = """
import sys
from pathlib import Path
from support.clock import FakeClock
from support.ledgers import charge, opened, reserve
with opened(Path(sys.argv[1]), FakeClock()) as ledger:
    for number in range(1_000_000):
        reserve(ledger, f"L{number}", charge(limit=2**63 - 1))
        print(number, flush=True)
"""


def test_killed_while_it_writes(tmp_path: Path) -> None:
    """After kill -9 the chain verifies, the counters agree, no lock is held and nothing is left."""
    store.begin(tmp_path / "ledger.db")
    with python(ENDLESS, str(tmp_path)) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if int(line) == 20:
                break
        running.kill()
    with opened(tmp_path, FakeClock()) as ledger:
        assert ledger.head()[0] > 20
        assert sound(ledger)
        append(ledger)
    assert names(tmp_path) == {"ledger.db", "ledger.db.lock"}


# -- damaged -----------------------------------------------------------------------------------


@contextlib.contextmanager
def damaged(ledger: Store, change: str, *values: object) -> Iterator[None]:
    """Change something by hand, for a while."""
    ledger.db.execute("BEGIN")
    try:
        assert ledger.db.execute(change, values).rowcount >= 1
        yield
    finally:
        ledger.db.execute("ROLLBACK")


@settings(deadline=None)
@given(st.integers(1, 10), st.sampled_from(["record", "hash"]), st.data())
def test_any_changed_byte(written: Store, seq: int, column: str, data: st.DataObject) -> None:
    """The chain verifies or the damage is named: any byte of any record or hash."""
    query = f"SELECT CAST({column} AS BLOB) FROM records WHERE seq = ?"
    (old,) = written.db.execute(query, (seq,)).fetchone()
    at = data.draw(st.integers(0, len(old) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != old[at]))
    new = old[:at] + bytes([byte]) + old[at + 1 :]
    change = f"UPDATE records SET {column} = CAST(? AS TEXT) WHERE seq = ?"
    if column == "record":
        # SQLite reads the JSON of a record for its index, and takes none that is no JSON
        without_indexes(written.db)
    with damaged(written, change, new, seq):
        damage = verify(written.records())
        assert damage is not None
        assert damage.seq == seq
        assert f"record {seq} " in damage.what
    assert verify(written.records()) is None


@pytest.mark.parametrize("column", ["record", "hash"])
@pytest.mark.parametrize("byte", [0, 32, 255])
def test_an_added_byte(written: Store, column: str, byte: int) -> None:
    """A byte more is found too, also one that is no character."""
    without_indexes(written.db)
    change = f"UPDATE records SET {column} = CAST(CAST({column} AS BLOB) || ? AS TEXT)"
    with damaged(written, f"{change} WHERE seq = 4", bytes([byte])):
        damage = verify(written.records())
        assert damage is not None
        assert damage.seq == 4


@given(st.integers(1, 9))
@settings(deadline=None)
def test_any_deleted_record(written: Store, seq: int) -> None:
    """A record that was deleted in the middle is named."""
    with damaged(written, "DELETE FROM records WHERE seq = ?", seq):
        damage = verify(written.records())
        assert damage is not None
        assert damage.what == f"record {seq} is missing"


@given(st.integers(1, 10), st.integers(1, 10), st.sampled_from(["seq", "record, hash", "record"]))
@settings(deadline=None)
def test_any_swapped_records(written: Store, one: int, other: int, columns: str) -> None:
    """Two records that changed places, by their numbers or by what stands there, are found."""
    both, total = f"({one}, {other})", one + other
    there = f"FROM records AS o WHERE o.seq = {total} - records.seq) WHERE seq IN {both}"
    swaps = {
        "seq": f"UPDATE records SET seq = -seq WHERE seq IN {both}",
        "record, hash": f"UPDATE records SET (record, hash) = (SELECT record, hash {there}",
        "record": f"UPDATE records SET record = (SELECT record {there}",
    }
    with damaged(written, swaps[columns]):
        if columns == "seq":
            written.db.execute(f"UPDATE records SET seq = {total} + seq WHERE seq < 0")
        damage = verify(written.records())
        assert (damage is None) == (one == other)
        assert damage is None or damage.seq == min(one, other)


@pytest.mark.parametrize("kept", range(10))
def test_cut_at_its_end(written: Store, kept: int) -> None:
    """`audit verify --head SEQ:HASH` holds the chain against a head that was kept elsewhere."""
    head = written.head()
    with damaged(written, "DELETE FROM records WHERE seq > ?", kept):
        assert verify(written.records()) is None
        assert written.head()[0] == kept
        assert head not in [(row.seq, row.hash) for row in written.records()]


def test_pages_overwritten(tmp_path: Path) -> None:
    """A damaged file is a StateError, or a named damage, never a traceback."""
    with opened(tmp_path, FakeClock()) as ledger:
        for number in range(40):
            append(ledger, reason="x" * 300, number=number)
    path = tmp_path / "ledger.db"
    whole = path.read_bytes()
    for page in range(1, len(whole) // 4096):
        at = page * 4096
        path.write_bytes(whole[:at] + b"\xa5" * 4096 + whole[at + 4096 :])
        with contextlib.suppress(StateError), reopened(path) as broken:
            verify(broken.records())
            append(broken)


def test_a_failure_of_the_file_system(ledger: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that the file system does not do is a StateError."""

    def no_locks(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(StateError, match="cannot be locked: No locks available"):
        append(ledger)


def test_the_application_id(tmp_path: Path) -> None:
    """So that file(1) and we can tell whose file it is."""
    store.begin(tmp_path / "ledger.db")
    head = (tmp_path / "ledger.db").read_bytes()[:100]
    assert int.from_bytes(head[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(head[60:64], "big") == VERSION
