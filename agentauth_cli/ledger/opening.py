"""Which ledger is opened, and how one is begun: at first use, or anew on purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.errors import AgentAuthError, LedgerMissingError, StateError
from agentauth_cli.ledger import note, store
from agentauth_cli.ledger.remembering import Memory
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
    name: str = FILE

    @property
    def path(self) -> Path:
        """The ledger itself."""
        return self.state / self.name


def open_ledger(place: Place, clock: Clock) -> SQLiteLedger:
    """Open the ledger that this configuration has; begin one where it never had one.

    Raises LedgerMissingError where it had one and that is gone or is another now.
    """
    files.private_folder(place.state)
    files.private_folder(place.data)
    known = note.find(place.data, place.config, place.say)
    if known is None:
        known = _begin(place, clock)
    if not store.found(place.path):
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
        if not store.found(place.path):
            # SQLite would write an old -wal over the new ledger.
            _put_aside(place.path, _aside(place.path, now))
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

    It goes on remembering what the old one was told to. The old files are kept beside it: returns
    where, None where there were none. If anything fails, the old ledger is as it was. The note
    comes last: until it is written the new ledger is nobody's.
    """
    files.private_folder(place.state)
    files.private_folder(place.data)
    with files.lock(place.data / f"{note.FILE}.lock"):
        known = note.find(place.data, place.config, place.say)  # before anything: it has to load
        now = clock()
        with files.lock(store.gate(place.path)):  # a step that is under way is finished first
            there = store.found(place.path) is not None
            kept = _aside(place.path, now)
            record = {"event": "ledger.reset", "principal": by, "user_reason": reason}
            record["kept"] = kept.name if there else ""
            head, memory = _left(place, clock)
            if memory is None and (there or known):
                place.say(
                    "what the old ledger remembered cannot be read: its switches"
                    " and revoked API keys are lost"
                )
            with store.fresh(place.path) as (new, ledger_id):
                with _opened(replace(place, name=new.name), clock) as ledger:
                    ledger.take_over(memory or Memory(), {**record, "previous": head})
                _exchange(place, new, kept, partial(_noted, place, ledger_id, now))
    return kept if there else None


def _exchange(place: Place, new: Path, kept: Path, noted: Callable[[], object]) -> None:
    """Put the old ledger aside, the new one in its place, and the note; or all as it was."""
    try:
        _put_aside(place.path, kept)
        store.put(new, place.path)
        noted()
    except AgentAuthError:
        _put_back(place.path, kept)
        raise


def _opened(place: Place, clock: Clock) -> SQLiteLedger:
    return SQLiteLedger(place.path, clock=clock, context=place.context, say=place.say)


def _left(place: Place, clock: Clock) -> tuple[dict[str, str | int], Memory | None]:
    """Return id and head of the ledger that is being left, and what it remembers, if readable."""
    head: dict[str, str | int] = {}
    try:
        with _opened(place, clock) as ledger:
            seq, hashed = ledger.head()
            head = {"id": ledger.id, "seq": seq, "hash": hashed}
            return head, ledger.memory()
    except StateError as error:
        return head or {"unreadable": str(error)}, None


def _aside(path: Path, now: datetime) -> Path:
    """Return a name beside the ledger that nothing has yet."""
    first = kept = path.with_name(f"{path.name}.until-{now:%Y%m%dT%H%M%SZ}")
    again = 1
    while any(store.found(Path(f"{kept}{end}")) for end in _ENDS):
        again += 1
        kept = first.with_name(f"{first.name}-{again}")
    return kept


def _put_aside(path: Path, kept: Path) -> None:
    """Rename the files of a ledger, itself first: without its -wal it would be short of records."""
    for end in _ENDS:
        old = Path(f"{path}{end}")
        try:
            if store.found(old):
                old.rename(Path(f"{kept}{end}"))
        except OSError as error:
            raise StateError(f"{old} cannot be put aside: {error.strerror}") from None


def _put_back(path: Path, kept: Path) -> None:
    """Undo `_put_aside`, itself last. Where there was nothing nothing happens."""
    for end in reversed(_ENDS):
        old = Path(f"{kept}{end}")
        try:
            if store.found(old):
                old.rename(Path(f"{path}{end}"))
        except OSError as error:
            raise StateError(f"{old} cannot be put back: {error.strerror}") from None
