"""Which ledger is opened, and how one is begun: at first use, or anew on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.errors import LedgerMissingError, StateError
from agentauth_cli.ledger import note, store
from agentauth_cli.ledger.sqlite import SQLiteLedger

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agentauth_cli.ports import Clock, Record

FILE = "ledger.db"
_ENDS = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the ledger of a configuration is: the folders, and what its records carry."""

    config: Path
    state: Path
    data: Path
    context: Record
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        """The ledger itself."""
        return self.state / FILE


def open_ledger(place: Place, clock: Clock) -> SQLiteLedger:
    """Open the ledger that this configuration has; begin one where it never had one.

    Raises LedgerMissingError where it had one and that is gone or is another now.
    """
    files.private_folder(place.state)
    files.private_folder(place.data)
    known = note.find(place.data, place.config, place.say)
    if known is None:
        known = _begin(place, clock)
    if not place.path.exists():
        raise LedgerMissingError(f"{place.path} is gone, and belongs to {place.config}")
    ledger = _opened(place, clock)
    if ledger.id != known.id:
        ledger.close()
        raise LedgerMissingError(f"{place.path} is not the ledger of {place.config}")
    return ledger


def _begin(place: Place, clock: Clock) -> note.Note:
    """Note the ledger, making it first: a note without a ledger would stop everything."""
    with files.lock(place.data / f"{note.FILE}.lock"):
        known = note.find(place.data, place.config, place.say)
        if known is not None:
            return known
        now = clock()
        if not place.path.exists():
            _put_aside(place.path, now)  # SQLite would write an old -wal over the new ledger
            ledger_id = store.begin(place.path)
        else:
            with _opened(place, clock) as ledger:
                ledger_id = ledger.id
        return _noted(place, ledger_id, now)


def _noted(place: Place, ledger_id: str, now: datetime) -> note.Note:
    made = note.Note(str(place.config), ledger_id, "sqlite", now.replace(microsecond=0))
    note.remember(place.data, made)
    return made


def reset(place: Place, clock: Clock, reason: str, by: str) -> Path | None:
    """Begin a new ledger on purpose; its first record says so, with the head of the old one.

    The old files are kept beside it: returns where, None where there were none. The note comes
    last: until it is written the new ledger is nobody's, so that none is used without its record.
    """
    files.private_folder(place.state)
    files.private_folder(place.data)
    with files.lock(place.data / f"{note.FILE}.lock"):
        note.find(place.data, place.config, place.say)  # before anything: it has to load
        now = clock()
        with files.lock(store.gate(place.path)):  # a step that is under way is finished first
            previous = _head(place, clock)
            kept = _put_aside(place.path, now)
            ledger_id = store.begin(place.path)
        with _opened(place, clock) as ledger:
            record = {"event": "ledger.reset", "principal": by, "user_reason": reason}
            ledger.append({**record, "previous": previous, "kept": kept.name if kept else ""})
        _noted(place, ledger_id, now)
    return kept


def _opened(place: Place, clock: Clock) -> SQLiteLedger:
    return SQLiteLedger(place.path, clock=clock, context=place.context, say=place.say)


def _head(place: Place, clock: Clock) -> dict[str, str | int]:
    """Return id and head of the ledger that is being left, as far as it can be read."""
    try:
        with _opened(place, clock) as ledger:
            seq, hashed = ledger.head()
            return {"id": ledger.id, "seq": seq, "hash": hashed}
    except StateError as error:
        return {"unreadable": str(error)}


def _put_aside(path: Path, now: datetime) -> Path | None:
    """Rename the files of a ledger, itself first: without its -wal it would be short of records."""
    first = kept = path.with_name(f"{path.name}.until-{now:%Y%m%dT%H%M%SZ}")
    again = 1
    while any(Path(f"{kept}{end}").exists() for end in _ENDS):
        again += 1
        kept = first.with_name(f"{first.name}-{again}")
    for end in _ENDS:
        old = Path(f"{path}{end}")
        try:
            if old.exists():
                old.rename(Path(f"{kept}{end}"))
        except OSError as error:
            raise StateError(f"{old} cannot be put aside: {error.strerror}") from None
    return kept if kept.exists() else None
