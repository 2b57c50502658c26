"""Where logins are kept: the note, the keyring, and what holds between the two."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli import files
from agentauth_cli.errors import (
    AuthenticationError,
    KeyringError,
    KeyringSilentError,
    StateError,
    UnsafeFileError,
)
from agentauth_cli.inbound import session
from agentauth_cli.inbound.keyring import LOCK, Keyring
from agentauth_cli.inbound.login import Login, read, written
from agentauth_cli.inbound.session import NOTE, Sessions
from agentauth_cli.secret import Secret
from support.clock import START
from support.keyrings import RELEASE, entries, unended, untold, use, variables

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.inbound.login import Kept

LOGIN = Login("jwt", Secret("made-up-secret"), START, {"name": "okta", "jwks_url": None})


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sessions:
    """Return sessions over a keyring in a file."""
    use(monkeypatch, variables(tmp_path))
    return stored(tmp_path)


def stored(folder: Path) -> Sessions:
    """Return the sessions of a folder."""
    return Sessions(folder / "state", Keyring(folder / "state"))


def refusal(sessions: Sessions, name: str = "x") -> AuthenticationError:
    """Return why this identity is nobody."""
    with pytest.raises(AuthenticationError) as caught:
        sessions.get(name)
    assert caught.value.hint
    assert "made-up-secret" not in caught.value.message
    return caught.value


def test_what_is_kept_is_there(sessions: Sessions, tmp_path: Path) -> None:
    """One keyring entry for each identity, and a note without anything secret."""
    assert sessions.principals() == {}
    sessions.keep("x", LOGIN, "okta/alice", untold)
    sessions.keep("ci", LOGIN, "key/build-7", untold)
    assert sessions.get("x") == (LOGIN, "okta/alice")
    assert sessions.principals() == {"x": "okta/alice", "ci": "key/build-7"}
    assert list(entries(tmp_path)) == ["agentauth identity:x", "agentauth identity:ci"]
    note = tmp_path / "state" / NOTE
    assert json.loads(note.read_text()) == {
        "identities": sessions.principals(),
        "unfinished": [],
    }
    assert note.stat().st_mode & 0o777 == 0o600


def test_what_is_forgotten_is_gone(sessions: Sessions, tmp_path: Path) -> None:
    """`logout` forgets the entry and the note, and nothing else."""
    sessions.keep("x", LOGIN, "okta/alice", untold)
    sessions.keep("y", LOGIN, "okta/bob", untold)
    sessions.forget("x", untold, unended)
    assert sessions.principals() == {"y": "okta/bob"}
    assert list(entries(tmp_path)) == ["agentauth identity:y"]
    assert refusal(sessions).reason == "identity_unknown"
    assert refusal(sessions).hint == "Stored: y"
    sessions.forget("y", untold, unended)
    assert "agentauth login" in refusal(sessions).hint


def test_nothing_noted_touches_no_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any stored identity never touches the keyring."""
    use(monkeypatch, variables(tmp_path, "BrokenKeyring"))
    assert stored(tmp_path).principals() == {}
    assert refusal(stored(tmp_path)).reason == "identity_unknown"
    assert not (tmp_path / "state").exists()


def test_an_entry_that_is_gone_is_a_failure(sessions: Sessions, tmp_path: Path) -> None:
    """If the note says there is an entry and the keyring does not have it: fail."""
    sessions.keep("x", LOGIN, "okta/alice", untold)
    (tmp_path / "keyring.json").unlink()
    assert refusal(sessions).reason == "session_missing"
    assert refusal(sessions).hint == "Log in again: `agentauth login --identity x`"


@pytest.mark.parametrize("backend", ["LockedKeyring", "BrokenKeyring", "RudeKeyring"])
def test_a_keyring_that_cannot_be_read_is_a_failure(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """If the keyring cannot be read: fail with exit 4, naming the ways that need none."""
    sessions.keep("x", LOGIN, "okta/alice", untold)
    use(monkeypatch, variables(tmp_path, backend))
    error = refusal(sessions)
    assert (error.reason, error.exit_code) == ("keyring_unavailable", 4)
    assert "AGENTAUTH_TOKEN" in error.hint
    with pytest.raises(KeyringError):
        sessions.forget("x", untold, unended)
    assert sessions.principals() == {"x": "okta/alice"}


@pytest.mark.parametrize("backend", ["LockedKeyring", "BrokenKeyring"])
def test_what_cannot_be_kept_is_not_noted(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """Nothing is kept in plain text instead, and the login before stays what it was."""
    sessions.keep("y", LOGIN, "okta/bob", untold)
    use(monkeypatch, variables(tmp_path, backend))
    with pytest.raises(KeyringError):
        sessions.keep("x", LOGIN, "okta/alice", untold)
    assert sessions.principals() == {"y": "okta/bob"}
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or path.name == "keyring.json" or b"made-up" not in path.read_bytes()


def test_a_login_that_is_cut_short_is_no_os_account(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noted first: a process that dies on the way leaves a failure, not nobody."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Keyring, "set", die)
        with pytest.raises(KeyboardInterrupt):
            sessions.keep("x", LOGIN, "okta/alice", untold)
    assert refusal(sessions).reason == "session_unfinished"


def test_a_keyring_that_answers_too_late_logs_nobody_in(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not kept in time is noted, stands for nobody, and can be forgotten."""
    sessions.keep("x", LOGIN, "okta/alice", untold)
    use(monkeypatch, variables(tmp_path, "SilentKeyring"))
    hurried = Sessions(tmp_path / "state", Keyring(tmp_path / "state", 0.05))
    gone: list[str] = []
    RELEASE.clear()
    try:
        for name in ("x", "y"):
            with pytest.raises(KeyringSilentError):
                hurried.keep(name, LOGIN, "okta/bob", gone.append)
    finally:
        RELEASE.set()
    assert gone == ["okta/alice"]
    assert sessions.principals() == {"x": "okta/bob", "y": "okta/bob"}
    assert len(entries(tmp_path)) == 2
    for name in ("x", "y"):
        assert refusal(sessions, name).reason == "session_unfinished"
        sessions.forget(name, gone.append, unended)
    assert gone == ["okta/alice", "okta/bob", "okta/bob"]
    assert (entries(tmp_path), sessions.principals()) == ({}, {})


def test_whoever_was_logged_in_before_leaves(sessions: Sessions, tmp_path: Path) -> None:
    """A login in place of another principal's is that one's logout; its own again is none."""
    gone: list[tuple[str, list[str]]] = []

    def left(principal: str) -> None:
        gone.append((principal, list(entries(tmp_path))))

    sessions.keep("x", LOGIN, "okta/alice", left)
    sessions.keep("x", LOGIN, "okta/alice", left)
    assert gone == []
    sessions.keep("x", LOGIN, "okta/bob", left)
    assert gone == [("okta/alice", [])]
    assert sessions.get("x") == (LOGIN, "okta/bob")


def test_a_logout_that_is_not_written_down_can_be_made_up_for(
    sessions: Sessions, tmp_path: Path
) -> None:
    """The secret is forgotten at once, the note once its end is written down."""

    def broken(_: str) -> None:
        raise StateError("the disk is full")

    gone: list[str] = []
    sessions.keep("x", LOGIN, "okta/alice", untold)
    with pytest.raises(StateError):
        sessions.forget("x", broken, unended)
    assert entries(tmp_path) == {}
    assert refusal(sessions).reason == "session_missing"
    for _ in range(2):
        sessions.forget("x", gone.append, unended)
    assert gone == ["okta/alice"]
    assert sessions.principals() == {}


def test_what_the_keyring_was_not_asked_for_changes_nothing(
    sessions: Sessions, tmp_path: Path
) -> None:
    """Where somebody else holds the keyring's lock, the login before stays what it was."""
    sessions.keep("x", LOGIN, "okta/alice", untold)
    hurried = Sessions(tmp_path / "state", Keyring(tmp_path / "state", 0.05))
    other = replace(LOGIN, secret=Secret("another"))
    with (
        files.lock(tmp_path / "state" / LOCK),
        pytest.raises(StateError, match="held by another process"),
    ):
        hurried.keep("x", other, "okta/alice", untold)
    assert sessions.get("x") == (LOGIN, "okta/alice")


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", '{"identities": 7}', '{"identities": {"x": 7}}', "\xff"),
        *('{"identities": {}, "unfinished": {}}', '{"identities": {}, "unfinished": [7]}'),
    ],
)
def test_a_damaged_note_is_not_an_empty_one(sessions: Sessions, tmp_path: Path, text: str) -> None:
    """State that cannot be read is exit 9: a login must not turn into nobody."""
    sessions.keep("x", LOGIN, "okta/alice", untold)
    (tmp_path / "state" / NOTE).write_text(text, encoding="latin-1")
    for call in (
        sessions.principals,
        lambda: sessions.get("x"),
        lambda: sessions.keep("y", LOGIN, "okta/bob", untold),
    ):
        with pytest.raises(StateError, match="does not tell who is logged in"):
            call()


def test_a_note_that_others_could_have_written(sessions: Sessions, tmp_path: Path) -> None:
    """A file of the state directory that others may write is refused."""
    sessions.keep("x", LOGIN, "okta/alice", untold)
    (tmp_path / "state" / NOTE).chmod(0o666)
    with pytest.raises(UnsafeFileError):
        sessions.principals()


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "made-up-secret",
        "{}",
        '{"kind": "password", "secret": "a", "stored_at": "2026-11-23T10:00:00Z", "origins": {}}',
        '{"kind": "jwt", "secret": 7, "stored_at": "2026-11-23T10:00:00Z", "origins": {}}',
        '{"kind": "jwt", "secret": "a", "stored_at": "yesterday", "origins": {}}',
        '{"kind": "jwt", "secret": "a", "stored_at": "2026-11-23T10:00:00", "origins": {}}',
        '{"kind": "jwt", "secret": "a", "stored_at": "2026-11-23T10:00:00Z", "origins": []}',
        '{"kind": "jwt", "secret": "\\ud800", "stored_at": "2026-11-23", "origins": {}}',
        "\ud800",
    ],
)
def test_an_entry_that_is_no_login(sessions: Sessions, tmp_path: Path, entry: str) -> None:
    """Whatever else lies in the keyring is nobody."""
    sessions.keep("x", LOGIN, "okta/alice", untold)
    (tmp_path / "keyring.json").write_text(json.dumps({"agentauth identity:x": entry}))
    assert refusal(sessions).reason == "session_damaged"


@given(
    st.sampled_from(["jwt", "api_key"]),
    st.text(st.characters(codec="utf-8")),
    st.datetimes(timezones=st.just(UTC)),
    st.dictionaries(st.text(st.characters(codec="utf-8")), st.none() | st.just("x")),
)
def test_a_login_is_read_as_it_was_written(
    kind: Kept, secret: str, since: datetime, origins: dict[str, str | None]
) -> None:
    """Kind, secret, time and origins come back as they were."""
    login = Login(kind, Secret(secret), since, origins)
    assert read(written(login)) == login


KEEP = """
import sys
from pathlib import Path
from datetime import datetime, UTC
from agentauth_cli.inbound.keyring import Keyring
from agentauth_cli.inbound.login import Login
from agentauth_cli.inbound.session import Sessions
from agentauth_cli.secret import Secret
state = Path(sys.argv[1])
login = Login("jwt", Secret("made-up"), datetime.now(UTC), {})
Sessions(state, Keyring(state)).keep(sys.argv[2], login, f"okta/{sys.argv[2]}", print)
"""


def test_logins_at_once_lose_nothing(sessions: Sessions, tmp_path: Path) -> None:
    """Two logins at once lose nothing: neither a note nor an entry."""
    names = [f"n{i}" for i in range(6)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", KEEP, str(tmp_path / "state"), name], env=variables(tmp_path)
        )
        for name in names
    ]
    assert [one.wait(60) for one in started] == [0] * 6
    assert sessions.principals() == {name: f"okta/{name}" for name in names}
    assert len(entries(tmp_path)) == 6


@pytest.mark.parametrize("name", ["default", "ci", "a.b-c_D9", "x" * 64])
def test_names_of_identities(name: str) -> None:
    """Names are `[A-Za-z0-9._-]{1,64}`."""
    assert session.name(name) == name


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65, "a b", "é", "a\n"])
def test_what_is_no_name_of_an_identity(name: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="expected a name"):
        session.name(name)
