"""What a ledger was told to remember: switches, notes, and how API keys stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import StateError
from agentauth_cli.ledger.rows import MICRO, micros, optional_micros, optional_moment
from agentauth_cli.ledger.store import OWN, Store
from agentauth_cli.model import KeyState
from agentauth_cli.policy.switches import Switch, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.ports import Record

_MINUTE = timedelta(minutes=1) // MICRO


@dataclass(frozen=True, slots=True)
class Memory:
    """What a ledger was told to remember: switches, what was noted by `remember`, revoked keys.

    `revoked` are ids of API keys, and since when, in microseconds.
    """

    switches: Sequence[Switch] = ()
    noted: Sequence[str] = ()
    revoked: Sequence[tuple[str, int]] = ()


class Remembering(Store):
    """The part of a ledger that holds for as long as it lives, whatever the files say."""

    # -- switches ----------------------------------------------------------------------------

    def switches(self) -> Sequence[Switch]:
        """Return the switches that it remembers."""
        with self.reading():
            return self._switches()

    def _switches(self) -> list[Switch]:
        rows = self.db.execute("SELECT target, name, reason, by, at, until FROM switches")
        return [
            Switch(target, name, reason, by, optional_moment(at), optional_moment(until))
            for target, name, reason, by, at, until in map(self._checked_switch, rows)
        ]

    def _checked_switch(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        target, name = row[:2]
        try:
            if target != "all":
                validate(target, name)
        except (KeyError, ValueError):
            what = f"a switch on {target!r}, name {name!r}"
            raise StateError(f"{self.path} was changed by hand: it holds {what}") from None
        return row

    def memory(self) -> Memory:
        """Return what it was told to remember, for the ledger that comes after it."""
        with self.reading():
            noted = [one for one in self._meta if one not in OWN]
            query = "SELECT id, revoked_at FROM api_keys WHERE revoked_at IS NOT NULL"
            return Memory(self._switches(), noted, self.db.execute(query).fetchall())

    def take_over(self, memory: Memory, record: Record) -> None:
        """Remember what the ledger before remembered, and write the record."""
        with self.step() as now:
            for switch in memory.switches:
                self._keep(switch)
            for one in memory.noted:
                self._note(one)
            query = "INSERT INTO api_keys (id, revoked_at) VALUES (?, ?)"
            self.db.executemany(query, memory.revoked)
            self.write(record, now)

    def switch_on(self, switch: Switch, record: Record) -> None:
        """Remember a switch, and write the record."""
        with self.step() as now:
            self._keep(switch)
            self.write(record, now)

    def _keep(self, switch: Switch) -> None:
        self.db.execute(
            "INSERT OR REPLACE INTO switches VALUES (?, ?, ?, ?, ?, ?)",
            (
                switch.target,
                switch.name,
                switch.reason,
                switch.by,
                optional_micros(switch.at),
                optional_micros(switch.until),
            ),
        )

    def switch_off(self, target: str, name: str, record: Record) -> bool:
        """Forget a switch, and write the record; say whether there was one."""
        with self.step() as now:
            gone = self.db.execute(
                "DELETE FROM switches WHERE target = ? AND name = ?", (target, name)
            )
            self.write(record, now)
            return gone.rowcount > 0

    # -- API keys ----------------------------------------------------------------------------

    def api_key(self, key_id: str) -> KeyState:
        """Return how a key stands; one that was never used or revoked has no row."""
        query = "SELECT used_at, revoked_at FROM api_keys WHERE id = ?"
        with self.reading():
            used, revoked = self.db.execute(query, (key_id,)).fetchone() or (None, None)
        return KeyState(optional_moment(used), optional_moment(revoked))

    def api_key_used(self, key_id: str) -> None:
        """Note when a key was used last, to the minute: not every use is worth a transaction."""
        used = self.api_key(key_id).used_at
        if used is not None and 0 <= micros(self._clock()) - micros(used) < _MINUTE:
            return
        with self.step() as now:
            self.db.execute(
                "INSERT INTO api_keys (id, used_at) VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET used_at = excluded.used_at",
                (key_id, micros(now)),
            )

    def revoke_api_key(self, key_id: str, record: Record) -> None:
        """End a key for good, whatever file comes back, and write the record."""
        with self.step() as now:
            self.db.execute(
                "INSERT INTO api_keys (id, revoked_at) VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET revoked_at = coalesce(revoked_at, excluded.revoked_at)",
                (key_id, micros(now)),
            )
            self.write(record, now)
