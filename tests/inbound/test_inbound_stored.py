"""Source credentials in the keyring: kept for one configuration, and given to no other."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agentauth_cli.errors import (
    KeyringError,
    OriginError,
    SourceCredentialError,
    UsageError,
)
from agentauth_cli.inbound.keyring import Keyring
from agentauth_cli.inbound.stored import Slot, StoredSources, formed
from agentauth_cli.secret import Secret
from support import keyrings

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ORIGINS = {"config": "/home/a/.config/agentauth", "endpoint": None}
SLOT = Slot("huggingface", "dev", ORIGINS)
TOKEN = Secret("made-up-stored-token-" + "x" * 20)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredSources:
    """Return the sources of a machine with a keyring in a file."""
    keyrings.use(monkeypatch, keyrings.variables(tmp_path))
    return StoredSources(Keyring(tmp_path))


def test_what_is_kept_is_given_back(sources: StoredSources, tmp_path: Path) -> None:
    """One entry for each environment's provider, with what it was stored for."""
    sources.keep(SLOT, TOKEN, NOW)
    other = Slot("openai", "dev", {"config": "c", "base_url": "http://127.0.0.1:9/v1"})
    sources.keep(other, Secret("made-up-admin-key"), NOW)
    assert sources.get(SLOT) == TOKEN
    assert sources.get(other) == Secret("made-up-admin-key")
    assert sorted(keyrings.entries(tmp_path)) == [
        "agentauth source:huggingface:dev",
        "agentauth source:openai:dev",
    ]
    kept = sources.kept(SLOT)
    assert kept is not None
    assert (kept.stored_at, kept.origins) == (NOW, ORIGINS)
    assert TOKEN.reveal() not in repr(kept)


@pytest.mark.parametrize(
    ("origins", "named"),
    [
        ({**ORIGINS, "endpoint": "https://evil.example"}, "endpoint"),
        ({**ORIGINS, "config": "/tmp/evil"}, "config"),
        ({"config": ORIGINS["config"]}, None),
        ({**ORIGINS, "more": "x"}, "more"),
    ],
)
def test_another_configuration_does_not_get_it(
    sources: StoredSources, origins: dict[str, str | None], named: str | None
) -> None:
    """A configuration that names other endpoints gets exit 3; it says which is another."""
    sources.keep(SLOT, TOKEN, NOW)
    slot = Slot("huggingface", "dev", origins)
    if named is None:
        assert sources.get(slot) == TOKEN
        return
    with pytest.raises(OriginError, match=f"for another `{named}`") as refused:
        sources.get(slot)
    assert refused.value.exit_code == 3
    assert "agentauth source add huggingface --env dev" in refused.value.hint


def test_what_is_not_there_is_no_source(sources: StoredSources) -> None:
    """Not stored is exit 4, with the command that stores it."""
    assert sources.kept(SLOT) is None
    with pytest.raises(SourceCredentialError, match="of environment dev is not stored") as refused:
        sources.get(SLOT)
    assert refused.value.exit_code == 4
    assert refused.value.hint == "Store it: `agentauth source add huggingface --env dev`"
    sources.forget(SLOT)
    sources.keep(SLOT, TOKEN, NOW)
    sources.forget(SLOT)
    assert sources.kept(SLOT) is None


def test_one_takes_the_place_of_another(sources: StoredSources) -> None:
    """Storing again replaces what was there."""
    sources.keep(SLOT, TOKEN, NOW)
    sources.keep(Slot("huggingface", "dev", {"config": "b"}), Secret("another"), NOW)
    with pytest.raises(OriginError):
        sources.get(SLOT)


@pytest.mark.parametrize(
    "value",
    [
        "no JSON",
        "[]",
        "{}",
        '{"secret": 5, "stored_at": "2026-11-23T10:00:00+00:00", "origins": {}}',
        '{"secret": "made-up-x", "stored_at": "now", "origins": {}}',
        '{"secret": "made-up-x", "stored_at": "2026-11-23T10:00:00+00:00", "origins": []}',
    ],
)
def test_a_damaged_entry_is_no_source(sources: StoredSources, value: str) -> None:
    """What is none of ours is exit 4, and nothing of it is told."""
    sources.keyring.set(SLOT.entry, Secret(value))
    with pytest.raises(SourceCredentialError, match="is no huggingface token") as refused:
        sources.get(SLOT)
    assert refused.value.__suppress_context__
    assert "made-up" not in str(refused.value)


def test_a_keyring_that_cannot_be_had_is_a_failure(
    sources: StoredSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked: no source credential while vending, the keyring's own error while storing."""
    keyrings.use(monkeypatch, keyrings.variables(tmp_path, "LockedKeyring"))
    with pytest.raises(SourceCredentialError, match="and the keyring is locked"):
        sources.get(SLOT)
    with pytest.raises(KeyringError, match="is locked"):
        sources.keep(SLOT, TOKEN, NOW)
    with pytest.raises(KeyringError, match="is locked"):
        sources.kept(SLOT)


def test_a_long_one_is_kept_whole(
    sources: StoredSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an entry is small, as on Windows."""
    keyrings.use(monkeypatch, keyrings.variables(tmp_path, "SmallKeyring"))
    long = Secret("k" * 1024)
    deep = Slot("openai", "dev", {"config": "/c/" + "x" * 3000})
    sources.keep(deep, long, NOW)
    assert sources.get(deep) == long
    assert len(json.loads(json.dumps(keyrings.entries(tmp_path)))) > 1


@pytest.mark.parametrize("value", ["", "short", "x" * 1025, "x" * 20 + "\n", "a b" * 9, "é" * 20])
def test_only_one_line_of_visible_characters_is_stored(value: str) -> None:
    """What cannot be a credential is exit 2, and is not told."""
    with pytest.raises(UsageError, match="what was given is no token") as refused:
        formed(Secret(value), SLOT)
    assert not value.strip() or value.strip() not in str(refused.value)
    assert formed(TOKEN, SLOT) is TOKEN
