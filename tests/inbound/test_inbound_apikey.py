"""The form of an API key, and who presents one."""

from __future__ import annotations

import hashlib
import hmac
import random
import secrets
import string
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.apikey import ALPHABET, ApiKey, checksum, find, make, parse, principal
from agentauth_cli.secret import MASK, Secret, redact
from support.clock import START

if TYPE_CHECKING:
    from datetime import datetime

DAY = timedelta(days=1)


def drawn(seed: int) -> Secret:
    """Return a key; the same one for the same seed."""
    return make(random.Random(seed).choice)  # noqa: S311 - to be the same again


def entry(key: Secret, **changes: Any) -> ApiKey:
    """Return what apikeys.toml has of this key."""
    shown = parse(key)
    made = ApiKey(shown.id, "build-7", "agent", shown.hash, START, START + 90 * DAY, ("builders",))
    return replace(made, **changes)


def reason(key: str) -> str:
    """Return why this is no key."""
    with pytest.raises(AuthenticationError) as caught:
        parse(Secret(key))
    assert key not in caught.value.message or not key
    return caught.value.reason


def test_the_form() -> None:
    """`aak_`, 8 characters of public id, `_`, 32 of secret, 6 of checksum (CRC32, base62)."""
    key = make(secrets.choice).reveal()
    prefix, public, rest = key.split("_")
    assert (prefix, len(public), len(rest)) == ("aak", 8, 38)
    assert set(public + rest) <= set(string.digits + string.ascii_letters)
    assert rest[32:] == checksum(key[:-6])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "000000"),
        ("aak_00000000_" + "0" * 32, "2LLSiM"),
        ("123456789", "3jZRME"),  # whose CRC32 is 0xCBF43926, as in every table of CRCs
    ],
)
def test_the_checksum_by_example(text: str, expected: str) -> None:
    """The checksum is the CRC32 as six digits of base62, the highest first."""
    assert checksum(text) == expected


@given(st.text(max_size=80))
def test_a_checksum_is_the_number_in_base_62(text: str) -> None:
    """Six digits of 0-9 A-Z a-z give back the number."""
    import zlib

    number = 0
    for digit in checksum(text):
        number = number * 62 + ALPHABET.index(digit)
    assert number == zlib.crc32(text.encode())


@given(st.integers(0))
def test_a_made_key_parses(seed: int) -> None:
    """Every key that is made has the form of one, and is one that `redact` takes out of text."""
    key = drawn(seed)
    shown = parse(key)
    text = key.reveal()
    assert shown.id == text[4:12]
    assert shown.hash == "sha256:" + hashlib.sha256(text[13:45].encode()).hexdigest()
    assert redact(f"key={text}") == f"key={MASK}"


@given(st.integers(0), st.integers(0, 50), st.sampled_from(ALPHABET + "_-+ é\n"))
def test_one_changed_character_is_noticed(seed: int, place: int, other: str) -> None:
    """A typing error is named as such."""
    key = drawn(seed).reveal()
    typed = key[:place] + other + key[place + 1 :]
    if typed == key:
        assert parse(Secret(typed)).id == key[4:12]
    else:
        assert reason(typed) in ("api_key_form", "api_key_checksum")


@given(st.integers(0), st.integers(4, 49))
def test_two_characters_that_changed_places_are_noticed(seed: int, place: int) -> None:
    """The commonest typing error but one."""
    key = drawn(seed).reveal()
    typed = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    if typed != key:
        assert reason(typed) in ("api_key_form", "api_key_checksum")


@pytest.mark.parametrize(
    "text",
    ["", "aak_", "x", drawn(1).reveal() + "\n", " " + drawn(1).reveal(), drawn(1).reveal()[:-1]],
)
def test_what_is_no_key(text: str) -> None:
    """A key has exactly its form, with nothing around it."""
    assert reason(text) == "api_key_form"


def test_the_principal_is_always_key_name() -> None:
    """The principal is always key/NAME, its groups key/…, and it ends when the key does."""
    key = entry(drawn(1))
    who = principal(find(parse(drawn(1)), [entry(drawn(2), name="other"), key]), None, START)
    assert (who.id, who.name, who.kind, who.auth) == ("key/build-7", "build-7", "agent", "api_key")
    assert who.groups == ("key/builders",)
    assert who.expires_at == key.expires
    assert who.authenticated_at is None
    assert who.actor is None


def test_an_unknown_id_and_a_wrong_secret_are_both_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Compared in constant time, and an unknown id as a known one."""
    compared = []
    same = hmac.compare_digest

    def compare(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return same(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    right, wrong = parse(drawn(1)), parse(drawn(2))
    told = set()
    for keys in ([], [entry(drawn(1), hash=wrong.hash)]):
        compared.clear()
        with pytest.raises(AuthenticationError) as caught:
            find(right, keys)
        told.add((caught.value.reason, caught.value.message, caught.value.hint))
        assert compared == [(71, 71)]
    ((reason, message, _),) = told  # nobody learns which of the two it was
    assert (reason, message) == (
        "api_key_refused",
        f"there is no API key {right.id} with that secret",
    )


def test_an_expired_key() -> None:
    """A key is good up to the second before it expires."""
    key = entry(drawn(1))
    assert principal(key, None, key.expires - timedelta(seconds=1)).name == "build-7"
    with pytest.raises(AuthenticationError, match="expired at 2027-02-21T10:00:00Z") as caught:
        principal(key, None, key.expires)
    assert caught.value.reason == "api_key_expired"


@pytest.mark.parametrize(("file", "ledger"), [(START, None), (None, START), (START, START + DAY)])
def test_a_revoked_key(file: datetime | None, ledger: datetime | None) -> None:
    """A revocation in the ledger wins over the file, and one in the file counts as well."""
    with pytest.raises(AuthenticationError, match="is revoked since") as caught:
        principal(entry(drawn(1), revoked=file), ledger, START)
    assert caught.value.reason == "api_key_revoked"
