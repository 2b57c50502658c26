"""The file of the ledger: begun whole, opened with care, written in locked transactions.

Read first; then a lock on a file beside it is held around ``BEGIN IMMEDIATE … COMMIT`` alone.
SQLite's own waiting starves some of many writers; behind the lock nobody fails.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agentauth_cli import files
from agentauth_cli.errors import LedgerMissingError, LedgerVersionError, StateError
from agentauth_cli.ledger.chain import FIRST, Row, encode, link
from agentauth_cli.ledger.rows import stamp
from agentauth_cli.ledger.schema import APPLICATION_ID, TABLES, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from agentauth_cli.ports import Clock, Record

BUSY_SECONDS = 10.0


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


def begin(path: Path) -> str:
    """Write an empty ledger at `path`, where there is none, and return its id.

    It is made under another name and renamed: a ledger is there whole or not at all.
    """
    ledger_id = secrets.token_hex(13)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        temporary.chmod(0o600)  # a umask may have closed it to us
        with told(path), contextlib.closing(sqlite3.connect(temporary)) as db:
            db.executescript(TABLES)
            meta = [("id", ledger_id), ("node", secrets.token_hex(4))]
            db.executemany("INSERT INTO meta VALUES (?, ?)", meta)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.commit()
            db.execute("PRAGMA journal_mode = WAL")
        temporary.rename(path)
        files.sync_folder(path.parent)
    except OSError as error:
        raise StateError(f"the ledger {path} cannot be made: {error.strerror}") from None
    finally:
        for left in path.parent.glob(f"{temporary.name}*"):
            with contextlib.suppress(OSError):
                left.unlink()
    return ledger_id


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
        self._inode = self._look()
        self._safe(say)
        with told(path):
            self.db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=BUSY_SECONDS,
            )
        try:
            self._meta = self._read_meta()
        except BaseException:
            self.close()
            raise

    def _safe(self, say: Callable[[str], None]) -> None:
        """Refuse a ledger that others could have written; close it to their reading."""
        for path in (self.path, *(Path(f"{self.path}-{part}") for part in ("wal", "shm"))):
            files.check_private(path, say)

    def _read_meta(self) -> dict[str, str]:
        with told(self.path):
            self._check_version()
            self.db.execute("PRAGMA synchronous = FULL")
            found: dict[str, str] = dict(self.db.execute("SELECT key, value FROM meta"))
        if not {"id", "node"} <= found.keys():
            raise StateError(f"{self.path} has lost its id")
        return found

    @property
    def id(self) -> str:
        """The random id of this ledger."""
        return self._meta["id"]

    def _check_version(self) -> None:
        (application,) = self.db.execute("PRAGMA application_id").fetchone()
        (version,) = self.db.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise StateError(f"{self.path} is not a ledger of agentauth")
        if version != VERSION:
            raise LedgerVersionError(f"{self.path} has schema {version}, this program {VERSION}")

    def _look(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except OSError:
            raise LedgerMissingError(f"{self.path} is gone") from None
        return found.st_dev, found.st_ino

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
        with files.lock(gate(self.path)), told(self.path):
            if self._look() != self._inode:
                raise LedgerMissingError(f"{self.path} was replaced while it was in use")
            try:
                self.db.execute("BEGIN IMMEDIATE")
                yield self._clock()
                self.db.execute("COMMIT")
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")

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
        self.db.execute("INSERT INTO records VALUES (?, ?, ?)", row)

    def head(self) -> tuple[int, str]:
        """Return sequence number and hash of the newest record; (0, zeros) before the first."""
        with told(self.path):
            query = "SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1"
            row: tuple[int, str] = self.db.execute(query).fetchone() or (0, FIRST)
            return row

    @contextlib.contextmanager
    def unchanging(self) -> Iterator[None]:
        """All that is read in here is of one moment, whatever others write meanwhile."""
        with told(self.path):
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
        with told(self.path):
            first = max(0, self.head()[0] - last) if last is not None else 0
            query = (
                "SELECT seq, CAST(record AS BLOB), CAST(hash AS BLOB) FROM records "
                "WHERE seq > ? ORDER BY seq"
            )
            for seq, record, hashed in self.db.execute(query, (first,)):
                yield Row(seq, record.decode(errors="replace"), hashed.decode(errors="replace"))

    def remembers(self, what: str) -> bool:
        """Say whether this ledger was told to remember something."""
        return what in self._meta

    def remember(self, what: str) -> None:
        """Remember something for as long as the ledger lives."""
        if what not in self._meta:
            with self.step():
                self.db.execute("INSERT OR IGNORE INTO meta VALUES (?, '')", (what,))
            self._meta[what] = ""
