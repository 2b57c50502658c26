"""The mask: no secret comes through, nothing else is changed, nothing waits."""

from __future__ import annotations

import base64
import json
import re
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.deliver.mask import HEAD, Mask, forms

KEY = "made-up/secret+value=of-a-key"
TOKEN = "made-up-session-token/" + "x+Y=" * 40
HIDDEN = "••••".encode()

secrets = st.text('ab/+=%"\\é', min_size=HEAD, max_size=40)
cuts = st.lists(st.integers(0, 60), max_size=12)


def through(mask: Mask, text: bytes, lengths: list[int]) -> list[bytes]:
    """Feed a text in pieces of these lengths, the rest at once; return what came of each."""
    pieces, at = [], 0
    for length in lengths:
        pieces.append(mask.feed(text[at : at + length]))
        at += length
    return [*pieces, mask.feed(text[at:])]


def flat(text: bytes) -> bytes:
    """Return a text without its line breaks."""
    return text.translate(None, b"\r\n")


@given(secrets, st.binary(max_size=40), st.binary(max_size=40), cuts)
def test_a_secret_never_comes_through_however_the_text_is_cut(
    secret: str, before: bytes, behind: bytes, lengths: list[int]
) -> None:
    """Masking of the vended secrets in its output across chunk borders."""
    text = before + secret.encode() + behind
    shown = b"".join(through(Mask([secret]), text, lengths))
    assert secret.encode()[:HEAD] not in flat(shown)
    assert HIDDEN in shown


@given(secrets, st.integers(0, 60), cuts)
def test_a_part_of_a_secret_is_hidden_from_its_beginning(
    secret: str, length: int, lengths: list[int]
) -> None:
    """Any eight characters at its beginning never appear; what is shorter is no secret yet."""
    part = secret.encode()[:length]
    shown = b"".join(through(Mask([secret]), part, lengths))
    assert shown.replace(HIDDEN, b"") == part[: len(shown.replace(HIDDEN, b""))]
    assert len(shown.replace(HIDDEN, b"")) < HEAD
    assert (HIDDEN in shown) == (len(part) >= HEAD)


@given(st.lists(secrets, max_size=3), st.binary(max_size=400), cuts)
def test_other_text_comes_out_byte_for_byte_and_no_later_than_it_came_in(
    found: list[str], text: bytes, lengths: list[int]
) -> None:
    """Without delaying interactive programs: text without a secret is passed on at once."""
    heads = {form[:HEAD] for one in found for form in forms(one)}
    if any(head in flat(text) for head in heads):
        return
    pieces = through(Mask(found), text, lengths)
    at = 0
    for piece, length in zip(pieces, [*lengths, len(text)], strict=True):
        assert piece == text[at : at + length]
        at += length


@given(secrets, st.binary(max_size=8), st.binary(max_size=8), st.integers(1, 76), cuts)
def test_its_base64_is_hidden_in_other_text_and_wrapped(
    secret: str, before: bytes, behind: bytes, width: int, lengths: list[int]
) -> None:
    """Also Base64, at any offset, broken into lines: what is left of it does not decode to it."""
    whole = base64.b64encode(before + secret.encode() + behind)
    wrapped = b"\r\n".join(whole[at : at + width] for at in range(0, len(whole), width))
    for text in (wrapped, wrapped.translate(bytes.maketrans(b"+/", b"-_"))):
        shown = b"".join(through(Mask([secret]), text, lengths))
        left = sum(map(len, shown.split(HIDDEN))) - shown.count(b"\r") - shown.count(b"\n")
        surroundings = len(base64.b64encode(before)) + len(base64.b64encode(behind))
        assert HIDDEN in shown
        assert left <= surroundings + HEAD + 4


@pytest.mark.parametrize("secret", [KEY, TOKEN, 'quo"ted\\and/slashed'])
@pytest.mark.parametrize(
    "form",
    [
        lambda one: one,
        lambda one: quote(one, safe=""),
        quote,
        quote_plus,
        lambda one: re.sub("%..", lambda hex_: hex_[0].lower(), quote(one, safe="")),
        lambda one: json.dumps(one)[1:-1],
        lambda one: json.dumps(one)[1:-1].replace("/", "\\/"),
        lambda one: base64.b64encode(one.encode()).decode().rstrip("="),
        lambda one: base64.urlsafe_b64encode(one.encode()).decode().rstrip("="),
    ],
)
def test_every_form_is_hidden_whole(secret: str, form: object) -> None:
    """Also Base64 and URL-encoded, and as JSON writes it."""
    assert callable(form)
    shown = Mask([secret]).feed(f"[{form(secret)}]".encode())
    assert shown.startswith(b"[" + HIDDEN)
    assert len(shown) - len(HIDDEN) <= len("[]") + 1  # the last sixth of a Base64 depends on more
    assert shown.endswith(b"]")


def test_what_follows_a_secret_is_shown_and_two_beside_each_other_are_one() -> None:
    """A mask is ••••, whatever it hides."""
    mask = Mask([KEY, TOKEN])
    assert (
        mask.feed(f"a {KEY} b {KEY}{TOKEN} c".encode()) == b"a " + HIDDEN + b" b " + HIDDEN + b" c"
    )


def test_a_secret_that_arrives_in_two_pieces_is_masked_once() -> None:
    """What comes behind a mask and belongs to it is swallowed."""
    mask = Mask([KEY])
    assert mask.feed(b"key: " + KEY.encode()[:10]) == b"key: " + HIDDEN
    assert mask.feed(KEY.encode()[10:]) == b""
    assert mask.feed(b"\nnext") == b"\nnext"


def test_up_to_seven_bytes_pass_at_once() -> None:
    """So that no prompt is delayed."""
    mask = Mask([KEY])
    assert mask.feed(KEY.encode()[:7]) == KEY.encode()[:7]
    assert mask.feed(KEY.encode()[7:]) == HIDDEN


def test_a_secret_that_begins_within_the_beginning_of_another_is_hidden() -> None:
    """What looked like one secret and then was another is no way through."""
    one, other = "abcdefgh" + "ijklmnop", "efghijkl" + "rstuvwxyz"
    assert Mask([one, other]).feed(b"abcd" + other.encode() + b"!") == HIDDEN + b"!"


def test_line_breaks_within_a_secret_stay() -> None:
    """A mask does not move the lines of what is around it, and stands on each that it hides."""
    shown = Mask([KEY]).feed(f"{KEY[:9]}\r\n{KEY[9:]}\r\n.".encode())
    assert shown == HIDDEN + b"\r\n" + HIDDEN + b"\r\n."
    assert Mask([KEY]).feed(b"\n") == b"\n"


def test_what_is_too_short_to_be_known_is_not_looked_for() -> None:
    """A secret is known by eight bytes."""
    assert Mask(["short", ""]).feed(b"short") == b"short"


@given(st.text(string.printable, min_size=HEAD))
def test_every_form_holds_what_a_program_would_print(secret: str) -> None:
    """The forms are those that the standard library writes."""
    found = set(forms(secret))
    assert {secret.encode(), quote(secret).encode(), json.dumps(secret)[1:-1].encode()} <= found
