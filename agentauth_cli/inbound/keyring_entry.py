"""One entry of ours in a keyring, however long it is: Windows takes 2,560 bytes for one.

What is longer stands in numbered parts, and the entry itself says where: in which of two places,
how many, and the digest of the whole. The parts are written to the place that is not in use, then
the entry, in one step; then the place before is emptied. So whoever is stopped on the way leaves
the old value or the new one, and what lies about is overwritten by the next write, or removed with
the entry.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "agentauth"
MOST = 2560
"""Bytes of one value in Windows' store (CRED_MAX_CREDENTIAL_BLOB_SIZE), which keeps UTF-16."""

_HEAD = "parts:"
_FORM = re.compile(r"parts:(?P<place>[ab]):(?P<count>[1-9][0-9]{0,3}):(?P<digest>[0-9a-f]{64})")
_PLACES = ("a", "b")


def read(backend: KeyringBackend, entry: str) -> str | None:
    """Return the value, None where there is none; an empty one where its parts are not one whole.

    Raises what the backend does.
    """
    value = backend.get_password(SERVICE, entry)
    head = _FORM.fullmatch(value or "")
    if head is None:
        return value
    found = [
        backend.get_password(SERVICE, _part(entry, head["place"], number))
        for number in range(1, int(head["count"]) + 1)
    ]
    whole = "".join(part or "" for part in found)
    return whole if _digest(whole) == head["digest"] else ""


def write(backend: KeyringBackend, entry: str, value: str) -> None:
    """Keep the value, in place of what was there. Raises what the backend does."""
    before = _FORM.fullmatch(backend.get_password(SERVICE, entry) or "")
    used = before["place"] if before else None
    pieces = _pieces(value)
    if len(pieces) == 1 and not value.startswith(_HEAD):
        backend.set_password(SERVICE, entry, value)
    else:
        place = "b" if used == "a" else "a"
        for number, piece in enumerate(pieces, 1):
            backend.set_password(SERVICE, _part(entry, place, number), piece)
        head = f"{_HEAD}{place}:{len(pieces)}:{_digest(value)}"
        backend.set_password(SERVICE, entry, head)
    if used is not None:
        _empty(backend, entry, used)


def remove(backend: KeyringBackend, entry: str) -> None:
    """Forget the entry and all of its parts. Raises what the backend does."""
    if backend.get_password(SERVICE, entry) is not None:
        backend.delete_password(SERVICE, entry)
    for place in _PLACES:
        _empty(backend, entry, place)


def _empty(backend: KeyringBackend, entry: str, place: str) -> None:
    """Remove the parts of a place, the last one first: what is left is found by its first."""
    count = 0
    while backend.get_password(SERVICE, _part(entry, place, count + 1)) is not None:
        count += 1
    for number in range(count, 0, -1):
        backend.delete_password(SERVICE, _part(entry, place, number))


def _part(entry: str, place: str, number: int) -> str:
    return f"{entry}#{place}{number}"


def _pieces(value: str) -> list[str]:
    """Return the value in pieces that fit: a character of UTF-16 takes two bytes, or four."""
    most = MOST // 2 if value.isascii() else MOST // 4
    return [value[at : at + most] for at in range(0, len(value), most)] or [""]


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
