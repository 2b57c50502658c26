"""The chain: bytes, hashes, and what is found of those who change them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.ledger.chain import FIRST, Damage, Row, encode, link, verify
from agentauth_cli.secret import MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "sk-proj-aaaaaaaaaaaaaaaaaaaaaaaa"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def chain(count: int) -> list[Row]:
    """Return a whole chain of this many records."""
    rows, previous = [], FIRST
    for seq in range(1, count + 1):
        record = encode({"seq": seq, "event": "check", "reason": "né" * seq})
        previous = link(previous, record)
        rows.append(Row(seq, record, previous))
    return rows


def rehashed(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with hashes that hold, as somebody who rewrites everything would."""
    made, previous = [], FIRST
    for row in rows:
        previous = link(previous, row.record)
        made.append(replace(row, hash=previous))
    return made


def test_the_form_of_a_record() -> None:
    """Stored as the very bytes that were hashed, keys sorted, ASCII, no spaces."""
    assert encode({"seq": 1, "event": "check", "reason": "né\n", "rules": ["b", "a"]}) == (
        r'{"event":"check","reason":"n\u00e9\n","rules":["b","a"],"seq":1}'
    )


@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=5))
def test_any_record_is_ascii_in_one_line(fields: dict[str, Any]) -> None:
    """One JSON object a record, keys sorted, ASCII, no spaces."""
    text = encode(fields)
    assert text.isascii()
    assert "\n" not in text
    value = json.loads(text)
    assert text == json.dumps(value, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("nothing", [None, "", [], (), {}])
def test_fields_that_hold_nothing(nothing: object) -> None:
    """Fields that hold nothing are left out; 0 and false say something."""
    assert encode({"a": nothing, "b": 0, "c": False}) == '{"b":0,"c":false}'


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": f"because {KEY}"},
        {"claims": {"note": KEY}},
        {"claims": {KEY: 1}},
        {"groups": ["x", [KEY]]},
        {"resource": ("a", {"b": (KEY,)})},
    ],
)
def test_redaction(fields: dict[str, Any]) -> None:
    """Redaction runs on every value before it is hashed."""
    text = encode(fields)
    assert KEY not in text
    assert json.dumps(MASK)[1:-1] in text


def test_no_number_that_json_has_not() -> None:
    """NaN is no JSON, and no record holds it."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"cost": float("nan")})


def test_the_hash() -> None:
    """SHA-256 over the 64 hexadecimal characters of the hash before it and the record's bytes."""
    assert FIRST == "0" * 64
    one = link(FIRST, "{}")
    assert one == hashlib.sha256(b"0" * 64 + b"{}").hexdigest()
    assert link(one, '{"seq":2}') == hashlib.sha256(f'{one}{{"seq":2}}'.encode()).hexdigest()


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_a_whole_chain(count: int) -> None:
    """A chain that nobody touched has no damage."""
    assert verify(chain(count)) is None


@given(st.integers(0, 9), st.booleans(), st.data())
def test_a_changed_character(index: int, in_hash: bool, data: st.DataObject) -> None:
    """Any character of any record or hash that is another now is found, and the record named."""
    rows = chain(10)
    text = rows[index].hash if in_hash else rows[index].record
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(exclude_characters=text[at], exclude_categories=["Cs"]))
    changed = text[:at] + other + text[at + 1 :]
    row = rows[index]
    rows[index] = replace(row, hash=changed) if in_hash else replace(row, record=changed)
    assert verify(rows) == Damage(index + 1, f"record {index + 1} or its hash was changed")


@given(st.integers(1, 9))
def test_a_record_that_is_gone(seq: int) -> None:
    """A deleted record in the middle is found and named."""
    rows = [row for row in chain(10) if row.seq != seq]
    assert verify(rows) == Damage(seq, f"record {seq} is missing")


@given(st.integers(0, 9), st.integers(0, 9))
def test_swapped_records(one: int, other: int) -> None:
    """Records that changed places, with or without their numbers, are found."""
    rows = chain(10)
    rows[one], rows[other] = rows[other], rows[one]
    renumbered = [replace(row, seq=seq) for seq, row in enumerate(rows, 1)]
    for found in (verify(rows), verify(renumbered)):
        assert (found is None) == (one == other)
        assert found is None or found.seq == min(one, other) + 1


def test_hashes_made_anew_over_other_numbers() -> None:
    """Whoever makes the hashes anew must carry on the numbers too."""
    rows = chain(5)
    del rows[2]
    forged = rehashed([replace(row, seq=seq) for seq, row in enumerate(rows, 1)])
    assert verify(forged) == Damage(3, "record 3 carries another number")


@pytest.mark.parametrize("record", ["", "no json", "[]", "[1]", "7", "null", "[" * 100_000, "{}"])
def test_hashes_made_anew_over_no_records(record: str) -> None:
    """What is no record is named, not stumbled over."""
    rows = chain(3)
    rows[1] = replace(rows[1], record=record)
    assert verify(rehashed(rows)) == Damage(2, "record 2 carries another number")


@given(st.integers(0, 9))
def test_a_chain_cut_at_its_end(kept: int) -> None:
    """`audit head` prints the newest sequence number and hash for keeping elsewhere."""
    rows = chain(10)
    head = (rows[-1].seq, rows[-1].hash)
    cut = rows[:kept]
    assert verify(cut) is None
    assert head not in [(row.seq, row.hash) for row in cut]


def test_a_chain_rewritten_whole() -> None:
    """Whoever can rewrite the whole file can rewrite the chain: only the kept head tells."""
    rows = chain(5)
    other = [replace(row, record=row.record.replace("check", "login")) for row in rows]
    assert verify(rehashed(other)) is None
    assert rehashed(other)[-1].hash != rows[-1].hash
