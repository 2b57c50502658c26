"""The file of the ledger: begun whole, opened with care, written in locked transactions.

Read first; then a lock on a file beside it is held around ``BEGIN IMMEDIATE … COMMIT`` alone.
SQLite's own waiting starves some of many writers; behind the lock nobody fails.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agentauth_cli import files
from agentauth_cli.errors import LedgerMissingError, LedgerVersionError, StateError
from agentauth_cli.ledger import migrations
from agentauth_cli.ledger.chain import FIRST, Row, encode, link
from agentauth_cli.ledger.rows import stamp
from agentauth_cli.ledger.schema import ADDED, APPLICATION_ID, VERSION, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from agentauth_cli.ports import Clock, Record

BUSY_SECONDS = 10.0
OWN = frozenset({"id", "node"})
"""What a ledger knows of itself; the rest of `meta` is what it was told to remember."""


def _silent(_notice: str) -> None:
    """Say nothing."""


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Translate what SQLite says. Raises StateError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(f"the ledger {path} failed: {error}") from error
    except OverflowError as error:
        raise StateError(f"a sum in the ledger {path} is too large") from error
    except UnicodeEncodeError as error:
        raise StateError(f"the ledger {path} cannot hold text that is not UTF-8") from error


def gate(path: Path) -> Path:
    """Return the file whose lock is held around every transaction of the ledger."""
    return path.with_name(f"{path.name}.lock")


def found(path: Path) -> os.stat_result | None:
    """Return what lies there, None for nothing. Raises StateError where one cannot look."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from None


def begin(path: Path) -> str:
    """Write an empty ledger at `path`, where there is none, and return its id.

    It is made under another name and renamed: a ledger is there whole or not at all.
    """
    with fresh(path) as (temporary, ledger_id):
        put(temporary, path)
    return ledger_id


@contextlib.contextmanager
def fresh(path: Path) -> Iterator[tuple[Path, str]]:
    """Make an empty ledger beside `path`; yields where, and its id. Gone at the end if not put."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        yield temporary, _made(temporary, path)
    finally:
        for left in path.parent.glob(f"{temporary.name}*"):
            with contextlib.suppress(OSError):
                left.unlink()


def _made(temporary: Path, path: Path) -> str:
    ledger_id = secrets.token_hex(13)
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        temporary.chmod(0o600)  # a umask may have closed it to us
    except OSError as error:
        raise StateError(f"the ledger {path} cannot be made: {error.strerror}") from None
    with told(path), contextlib.closing(sqlite3.connect(temporary)) as db:
        furnish(db, ledger_id)
        db.execute("PRAGMA journal_mode = WAL")
    return ledger_id


def furnish(db: sqlite3.Connection, ledger_id: str) -> None:
    """Make the tables of an empty ledger. Raises sqlite3.Error."""
    for added in ADDED.values():
        db.executescript(added)
    meta = [("id", ledger_id), ("node", secrets.token_hex(4))]
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.commit()


def put(temporary: Path, path: Path) -> None:
    """Give a ledger that was made, and is closed, its name. Raises StateError."""
    # SQLite leaves it where not all of it went into the file itself.
    if found(Path(f"{temporary}-wal")):
        raise StateError(f"the ledger {path} cannot be made: the disk did not take all of it")
    try:
        temporary.rename(path)
        files.sync_folder(path.parent)
    except OSError as error:
        raise StateError(f"the ledger {path} cannot be made: {error.strerror}") from None


def _close(db: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.ProgrammingError):  # another thread's, which alone may
        db.close()


class Store:
    """An open ledger. `context` are fields that every record carries; `say` gets what is mended.

    Raises LedgerMissingError where the file is gone, LedgerVersionError where another version
    wrote it, UnsafeFileError where others could have, StateError where it cannot be read.
    """

    def __init__(
        self, path: Path, *, clock: Clock, context: Record, say: Callable[[str], None] = _silent
    ) -> None:
        self.path = path
        self._clock = clock
        self._context = context
        self._process = os.getpid()
        self.db = self._connected(say)
        weakref.finalize(self, _close, self.db)  # a command ends without saying so
        try:
            self._meta = self._read_meta()
        except BaseException:
            self.close()
            raise

    def _connected(self, say: Callable[[str], None]) -> sqlite3.Connection:
        self._inode = self._look()
        self._safe(say)
        with told(self.path):
            return sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=BUSY_SECONDS,
            )

    def _safe(self, say: Callable[[str], None]) -> None:
        """Refuse a ledger that others could have written; close it to their reading."""
        for path in (self.path, *(Path(f"{self.path}-{part}") for part in ("wal", "shm"))):
            files.check_private(path, say)

    def _read_meta(self) -> dict[str, str]:
        with told(self.path):
            with self.unchanging():  # another process may be bringing it up to date
                version = self._version()
                self._check_schema(version)
            if version < VERSION:
                with self._alone():
                    migrations.migrate(self.db)
            self.db.execute("PRAGMA synchronous = FULL")
            meta: dict[str, str] = dict(self.db.execute("SELECT key, value FROM meta"))
        if not meta.keys() >= OWN:
            raise StateError(f"{self.path} has lost its id")
        return meta

    @property
    def id(self) -> str:
        """The random id of this ledger."""
        return self._meta["id"]

    def _version(self) -> int:
        (application,) = self.db.execute("PRAGMA application_id").fetchone()
        version = migrations.version_of(self.db)
        if application != APPLICATION_ID:
            raise StateError(f"{self.path} is not a ledger of agentauth")
        if version not in ADDED:
            raise LedgerVersionError(f"{self.path} has schema {version}, this program {VERSION}")
        return version

    def _check_schema(self, version: int) -> None:
        """Refuse what this program did not make: a trigger could keep records from being kept."""
        named = dict(self.db.execute("SELECT sql, name FROM sqlite_master WHERE sql IS NOT NULL"))
        expected = whole(version)
        for sql, name in named.items():
            if sql not in expected:
                raise StateError(f"{self.path} was changed by hand: {name} is none of agentauth")
        if missing := sorted(expected - named.keys()):
            lost = ", ".join(" ".join(one.split()[1:3]).lower() for one in missing)
            raise StateError(f"{self.path} was changed by hand: it has lost {lost}")

    def _look(self) -> tuple[int, int]:
        there = found(self.path)
        if there is None:
            raise LedgerMissingError(f"{self.path} is gone")
        return there.st_dev, there.st_ino

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.db.close()

    # -- transactions ------------------------------------------------------------------------

    @contextlib.contextmanager
    def step(self) -> Iterator[datetime]:
        """One transaction: all of it or nothing. Yields the time of all that happens in it."""
        if os.getpid() != self._process:
            raise StateError("a ledger that was opened before a fork cannot be used behind it")
        with self._alone():
            try:
                self.db.execute("BEGIN IMMEDIATE")
                yield self._clock()
                self.db.execute("COMMIT")
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep everybody else from writing."""
        with files.lock(gate(self.path)), told(self.path):
            if self._look() != self._inode:
                raise LedgerMissingError(f"{self.path} was replaced while it was in use")
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read: what is done in here changes nothing."""
        with told(self.path):
            yield

    def write(self, record: Record, now: datetime) -> None:
        """Append a record to the chain, inside a step."""
        seq, previous = self.head()
        fields = {
            **self._context,
            **record,
            "seq": seq + 1,
            "at": stamp(now),
            "node": self._meta["node"],
            "pid": os.getpid(),
        }
        text = encode(fields)
        row = (seq + 1, text, link(previous, text))
        if self.db.execute("INSERT INTO records VALUES (?, ?, ?)", row).rowcount != 1:
            raise StateError(f"{self.path} did not take record {seq + 1}: it was changed by hand")

    def head(self) -> tuple[int, str]:
        """Return sequence number and hash of the newest record; (0, zeros) before the first."""
        with self.reading():
            query = "SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1"
            row: tuple[int, str] = self.db.execute(query).fetchone() or (0, FIRST)
            return row

    @contextlib.contextmanager
    def unchanging(self) -> Iterator[None]:
        """All that is read in here is of one moment, whatever others write meanwhile."""
        with self.reading():
            try:
                self.db.execute("BEGIN")
                yield
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")

    def records(self, last: int | None = None) -> Iterator[Row]:
        """Yield all records in order, or the `last` ones.

        What is no UTF-8 any more comes as U+FFFD, which no record of ours has: its hash tells.
        """
        with self.reading():
            first = max(0, self.head()[0] - last) if last is not None else 0
            yield from self._rows("seq > ?", first)

    def records_of(self, lease: str) -> Iterator[Row]:
        """Yield the records of a lease in order."""
        with self.reading():
            yield from self._rows("json_extract(record, '$.lease') = ?", lease)

    def _rows(self, where: str, value: int | str) -> Iterator[Row]:
        query = (
            "SELECT seq, CAST(record AS BLOB), CAST(hash AS BLOB) FROM records "  # noqa: S608 - our own words
            f"WHERE {where} ORDER BY seq"
        )
        for seq, record, hashed in self.db.execute(query, (value,)):
            yield Row(seq, record.decode(errors="replace"), hashed.decode(errors="replace"))

    def remembers(self, what: str) -> bool:
        """Say whether this ledger was told to remember something."""
        return what in self._meta

    def remember(self, what: str) -> None:
        """Remember something for as long as the ledger lives."""
        if what not in self._meta:
            with self.step():
                self._note(what)
            self._meta[what] = ""

    def _note(self, what: str) -> None:
        self.db.execute("INSERT OR IGNORE INTO meta VALUES (?, '')", (what,))
