"""apikeys.toml: what it may hold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentauth_cli.errors import ConfigError
from agentauth_cli.inbound.apikey import ApiKey
from agentauth_cli.inbound.apikeys import load, problems, subject
from agentauth_cli.policy.wellformed import malformed_id

HASH = "sha256:" + "0123456789abcdef" * 4
GOOD = f"""\
version = 1

[[key]]
id = "k3v9x2ab"
name = "build-7"                 # the principal is key/build-7
kind = "agent"
groups = ["builders"]            # key/builders
hash = "{HASH}"
created = 2026-11-23T10:00:00Z
expires = 2027-02-21T10:00:00Z
"""


def refused(old: str, new: str) -> list[str]:
    """Return what is wrong with the file once this is changed in it."""
    assert old in GOOD
    content = GOOD.replace(old, new).encode()
    found = problems(content)
    with pytest.raises(ConfigError, match=r"apikeys\.toml:\d"):
        load(content)
    return [f"{one.line} {one.key}: {one.message}" for one in found]


def test_the_file_of_the_specification() -> None:
    """Id, name, kind, groups, SHA-256 of the secret, created, expires."""
    created, expires = (datetime(*day, 10, tzinfo=UTC) for day in ((2026, 11, 23), (2027, 2, 21)))
    key = ApiKey("k3v9x2ab", "build-7", "agent", HASH, created, expires, ("builders",))
    assert load(GOOD.encode()) == (key,)
    assert problems(GOOD.encode()) == []


def test_no_file_is_no_key() -> None:
    """A configuration without keys is one that no key opens."""
    assert load(None) == ()
    assert load(b"version = 1\n") == ()


def test_groups_may_be_left_out_and_a_key_may_be_revoked() -> None:
    """`groups` and `revoked` are the ones that need not be there."""
    content = GOOD.replace('groups = ["builders"]', "revoked = 2026-12-01T00:00:00Z")
    (key,) = load(content.encode())
    assert key.groups == ()
    assert key.revoked == datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize("key", ["id", "name", "kind", "hash", "created", "expires"])
def test_what_has_to_be_there(key: str) -> None:
    """A key without one of these is an error: above all, one that never ends."""
    (line,) = (one for one in GOOD.splitlines() if one.startswith(f"{key} "))
    assert f"3 key: missing key {key!r}" in refused(line, "")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version = 1", "version = 2", "1 version: expected the integer 1"),
        ('"k3v9x2ab"', '"k3v9x2a"', "4 key.id: expected 8 characters 0-9 A-Z a-z"),
        ('"k3v9x2ab"', '"k3v9x2a-"', "4 key.id: expected 8 characters 0-9 A-Z a-z"),
        ('"k3v9x2ab"', "12345678", "4 key.id: expected 8 characters 0-9 A-Z a-z"),
        (
            '"build-7"',
            '"okta/build-7"',
            "5 key.name: expected a name of A-Z a-z 0-9 . _ -, 1 to 64 long",
        ),
        ('"agent"', '"robot"', "6 key.kind: expected one of user, agent, service"),
        (
            '["builders"]',
            '["b*"]',
            "7 key.groups: a group that holds *, ?, \\ or ${",
        ),
        (
            HASH,
            HASH.upper(),
            '8 key.hash: expected "sha256:" and 64 hexadecimal digits',
        ),
        (HASH, HASH[:-1], '8 key.hash: expected "sha256:" and 64 hexadecimal digits'),
        (
            "2027-02-21T10:00:00Z",
            "2027-02-21T10:00:00",
            "10 key.expires: a local date-time: add Z or an offset",
        ),
        (
            "2027-02-21T10:00:00Z",
            "2026-11-23T10:00:00Z",
            "10 key.expires: is not after `created`",
        ),
        ("groups", "group", "7 key.group: unknown key 'group': did you mean `groups`?"),
    ],
)
def test_what_is_refused(old: str, new: str, expected: str) -> None:
    """An unknown key or a wrong type is an error with file, line, key and the nearest right one."""
    assert refused(old, new) == [expected]


def test_an_id_that_two_keys_have() -> None:
    """Which of them decides would be chance: the second is named, with its line."""
    twice = GOOD + GOOD.removeprefix("version = 1\n")
    (problem,) = problems(twice.encode())
    assert problem.message == "duplicate id 'k3v9x2ab'"
    line = twice.splitlines()[problem.line - 1]
    assert line.startswith("id = ")
    assert problem.line > len(GOOD.splitlines())


@given(st.text(max_size=70))
@example("..")
@example(".")
@example("a/b")
@example("x" * 65)
@example("b\u00fcild")
def test_no_name_gives_a_principal_that_is_none(name: str) -> None:
    """A name is of A-Z a-z 0-9 . _ -, so that key/NAME is always a well-formed id."""
    try:
        kept = subject(name)
    except ValueError:
        return
    assert kept == name
    assert malformed_id(f"key/{name}") == ""
    assert "/" not in name
    assert name.isascii()
