"""An API key, from its creation to after its end, with the real program."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.cloud import ROLE
from support.keyrings import entries, with_keyring

if TYPE_CHECKING:
    from support.station import Station

pytestmark = pytest.mark.whole

RULE = """\
version = 1

[[rule]]
id = "keys"
effect = "allow"
principals = ["key/*"]
"""


def create(here: Station, *options: str) -> str:
    """Create a key; return it."""
    done = here.run("apikey", "create", "build-7", "--kind", "agent", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def nowhere(here: Station, secret: str) -> None:
    """Assert that no file of the station but the keyring holds this."""
    for path in here.folder.rglob("*"):
        if path.is_file() and path.name != "keyring.json":
            assert secret.encode() not in path.read_bytes(), path


def test_a_key_vends_until_it_is_revoked_whatever_file_comes_back(here: Station) -> None:
    """A revocation in the ledger wins over a file that came back from git."""
    here.write("policy.toml", RULE)
    key = create(here)
    vended = here.json("vend", ROLE, AGENTAUTH_API_KEY=key)
    assert vended["Version"] == 1
    keys = here.folder / "config" / "apikeys.toml"
    before = here.folder / "before.toml"
    shutil.copy(keys, before)
    assert here.run("apikey", "revoke", "build-7", "--reason", "leaked").returncode == 0
    done = here.run("vend", ROLE, AGENTAUTH_API_KEY=key)
    assert (done.returncode, done.stdout) == (4, "")
    assert "is revoked since" in done.stderr
    shutil.copy(before, keys)
    done = here.run("vend", ROLE, AGENTAUTH_API_KEY=key)
    assert (done.returncode, done.stdout) == (4, "")
    assert "is revoked since" in done.stderr
    assert here.events() == [
        *("apikey.created", "vend.intent", "vend.issued", "apikey.revoked", "login.failed"),
    ]
    issued = here.records()[2]
    assert (issued["principal"], issued["auth"], issued["kind"]) == (
        *("key/build-7", "api_key", "agent"),
    )
    nowhere(here, key[13:])
    here.everything_holds()


def test_a_stored_key_is_never_shown(here: Station) -> None:
    """`--store` puts it into the keyring for an identity and never shows it."""
    here = with_keyring(here)
    here.write("policy.toml", RULE)
    done = here.run("apikey", "create", "build-7", "--kind", "agent", "--store", "ci")
    assert done.returncode == 0, done.stderr
    (entry,) = entries(here.folder).values()
    secret = entry[entry.index("aak_") : entry.index("aak_") + 51]
    assert secret not in done.stdout + done.stderr
    assert here.json("vend", ROLE, "--identity", "ci")["Version"] == 1
    nowhere(here, secret[13:])
    assert here.events()[:2] == ["apikey.created", "login"]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_key_that_could_not_be_shown_is_over(here: Station, as_json: bool) -> None:
    """If the output cannot be written, nobody has the key, and it opens nothing."""
    create_it = ["apikey", "create", "build-7", "--kind", "agent", *(["--json"] * as_json)]
    with Path("/dev/full").open("wb") as full:
        started = here.start(*create_it, stdout=full)
        _, said = started.communicate(timeout=60)
    assert started.returncode == 9
    assert b"No space left on device" in said
    assert b"aak_" not in said
    (key,) = here.json("apikey", "list", "--json")["api_keys"]
    assert key["state"] == "revoked"
    assert here.events() == ["apikey.created", "apikey.revoked"]
