"""`login`, `logout` and `apikey` where a part of what they touch fails."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from agentauth_cli.cli import apikey, login, logout
from agentauth_cli.cli.apikey import CreateInput
from agentauth_cli.cli.audit import line as tail
from agentauth_cli.config import apikeys_file
from agentauth_cli.config.reading import Configuration
from agentauth_cli.deliver import stdout
from agentauth_cli.errors import (
    ConfigError,
    KeyringError,
    StateError,
    Stopped,
    UndeliveredError,
    UnknownNameError,
    UsageError,
)
from agentauth_cli.inbound import apikeys
from agentauth_cli.inbound.keyring import Keyring
from agentauth_cli.inbound.login import Login, Renewal
from agentauth_cli.model import Principal
from agentauth_cli.secret import Secret
from agentauth_cli.wiring import Wiring, utc_now
from support.clock import START
from support.configs import config
from support.keyrings import entries, untold, use, variables
from support.ledgers import lease, sound
from support.openid import CLIENT, OpenIdServer

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.ledger.sqlite import SQLiteLedger

LOGIN = Login("jwt", Secret("made-up-secret"), START, {"name": "okta"})
BUILD = CreateInput("build-7", "agent", ("builders",), 3600, None)


@dataclass(frozen=True)
class _Parts(Wiring):
    """A configuration whose ledger fails from when it is told to."""

    broken: list[str] = field(default_factory=list)

    @cached_property
    def _opened(self) -> SQLiteLedger:
        return Wiring(environ=self.environ).ledger

    @property
    def ledger(self) -> SQLiteLedger:
        """Return the ledger. Raises StateError once it is broken."""
        if self.broken:
            raise StateError("the disk is full")
        return self._opened


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Parts:
    """Return a configuration of its own, with a keyring."""
    use(monkeypatch, variables(tmp_path))
    (tmp_path / "config").mkdir(mode=0o700)
    (tmp_path / "config" / "config.toml").write_text(tomlkit.dumps(config()))
    names = ("CONFIG", "STATE", "DATA")
    return _Parts({f"AGENTAUTH_{name}_DIR": str(tmp_path / name.lower()) for name in names})


def lend(wiring: Wiring, name: str, principal: str, *, issued: bool = True) -> None:
    """Give a principal a lease of an hour."""
    made = lease(name, utc_now(), principal=principal)
    wiring.ledger.reserve(made, lambda _: [], {"event": "vend.intent", "lease": name})
    if issued:
        active = replace(made, ends_at=utc_now() + timedelta(hours=1))
        wiring.ledger.issue(active, {"event": "vend.issued", "lease": name}, lambda _: None)


def told(capfd: pytest.CaptureFixture[str]) -> str:
    """Return what was printed, which holds no secret."""
    out, err = capfd.readouterr()
    assert "made-up-secret" not in out + err
    return out + err


def keys(wiring: Wiring) -> list[Any]:
    """Return the keys of the file."""
    return list(Configuration(wiring.places.config).api_keys())


def test_what_cannot_be_written_down_is_not_kept(wiring: _Parts, tmp_path: Path) -> None:
    """A login without its audit record is none, and the one before stays what it was."""
    wiring.sessions.keep("x", LOGIN, "okta/alice", untold)
    before = entries(tmp_path)
    wiring.broken.append("now")
    for name, who in (("x", "bob"), ("x", "alice"), ("y", "bob")):
        with pytest.raises(StateError, match="the disk is full"):
            login.keep(wiring, name, LOGIN, Principal(f"okta/{who}", who))
    assert wiring.sessions.get("x") == (LOGIN, "okta/alice")
    assert wiring.sessions.principals() == {"x": "okta/alice"}
    assert entries(tmp_path) == before


def test_a_login_is_written_down_before_anybody_can_use_it(
    wiring: _Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that is stopped has its record: there is none that can be used without."""
    found: list[str] = []

    def stopped(*_: object) -> None:
        found.extend(json.loads(row.record)["event"] for row in wiring.ledger.records())
        raise Stopped(2)

    monkeypatch.setattr(wiring.sessions, "keep", stopped)
    with pytest.raises(Stopped):
        login.keep(wiring, "x", LOGIN, Principal("okta/alice", "alice"))
    assert found == ["login"]


def test_a_login_over_somebody_elses_is_that_ones_logout(
    wiring: _Parts, capfd: pytest.CaptureFixture[str]
) -> None:
    """Who was logged in before is logged out: recorded, and its leases settled."""
    lend(wiring, "L1", "okta/alice")
    lend(wiring, "L2", "okta/bob")
    login.keep(wiring, "x", LOGIN, Principal("okta/alice", "alice"))
    login.keep(wiring, "x", LOGIN, Principal("okta/bob", "bob"))
    records = [json.loads(row.record) for row in wiring.ledger.records()][4:]
    assert [(one["event"], one["principal"]) for one in records] == [
        ("login", "okta/alice"),
        ("login", "okta/bob"),
        ("logout", "okta/alice"),
        ("lease.settled", "okta/alice"),
    ]
    found = {one.id: one.state for one in wiring.ledger.leases(utc_now())}
    assert found["L1"] == "settled"
    assert found["L2"] != "settled"
    assert "lives on: L1 for " in told(capfd)


def test_a_login_without_an_end_is_shown_and_recorded_without_one(
    wiring: _Parts, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is not known is not said."""
    alice = Principal("okta/alice", "alice")
    login.keep(wiring, "x", LOGIN, alice)
    login.show("x", alice, as_json=False)
    assert told(capfd) == "logged in as okta/alice (user), identity x\n"
    (row,) = wiring.ledger.records()
    assert "expires_at" not in json.loads(row.record)


def test_a_logout_settles_the_leases_of_its_principal_alone(
    wiring: _Parts, capfd: pytest.CaptureFixture[str]
) -> None:
    """`logout` settles its leases, and says which credentials live on; those of others stay."""
    lend(wiring, "L1", "okta/alice")
    lend(wiring, "L2", "okta/bob")
    lend(wiring, "L3", "okta/alice", issued=False)
    wiring.sessions.keep("x", LOGIN, "okta/alice", untold)
    logout.log_out(wiring, wiring.sessions.principals(), as_json=True)
    out, err = capfd.readouterr()
    assert json.loads(out) == {"identities": ["x"], "settled": ["L1"]}
    assert [line.partition(" for ")[0] for line in err.splitlines()] == ["lives on: L1"]
    found = {one.id: one.state for one in wiring.ledger.leases(utc_now())}
    assert found["L1"] == "settled"
    assert "settled" not in (found["L2"], found["L3"])
    assert sound(wiring.ledger)


def test_a_logout_goes_on_where_the_ledger_cannot_be_written(
    wiring: _Parts, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It forgets what it can, says what it could not do, and the next one makes up for it."""
    lend(wiring, "L1", "okta/alice")
    for name in ("x", "y"):
        wiring.sessions.keep(name, LOGIN, "okta/alice", untold)
    wiring.broken.append("now")
    with pytest.raises(StateError, match="the disk is full"):
        logout.log_out(wiring, wiring.sessions.principals(), as_json=False)
    again = "identity {} is forgotten; log it out again, to have that written down\n"
    assert told(capfd) == again.format("x") + again.format("y")
    assert entries(tmp_path) == {}
    wiring.broken.clear()
    logout.log_out(wiring, wiring.sessions.principals(), as_json=True)
    assert told(capfd).startswith('{"identities": ["x", "y"], "settled": ["L1"]}\n')
    assert wiring.sessions.principals() == {}
    (*_, first, settled, second) = [json.loads(row.record) for row in wiring.ledger.records()]
    events = [one["event"] for one in (first, settled, second)]
    assert events == ["logout", "lease.settled", "logout"]


def test_a_logout_goes_on_where_one_cannot_be_forgotten(
    wiring: _Parts, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that may still be in the keyring stays noted, the others are forgotten."""
    for name in ("x", "y", "z"):
        wiring.sessions.keep(name, LOGIN, f"okta/{name}", untold)
    forget = wiring.sessions.forget

    def but_y(name: str, left: Any, gone: Any) -> None:
        if name == "y":
            raise KeyringError("the keyring is locked")
        forget(name, left, gone)

    monkeypatch.setattr(wiring.sessions, "forget", but_y)
    with pytest.raises(KeyringError):
        logout.log_out(wiring, wiring.sessions.principals(), as_json=True)
    assert told(capfd) == '{"identities": ["x", "z"], "settled": []}\n'
    assert wiring.sessions.principals() == {"y": "okta/y"}


def renewing(server: OpenIdServer, token: str) -> Login:
    """Return a login that goes on by this refresh token."""
    renewal = Renewal(
        Secret(token), START, START, CLIENT, f"{server.url}/token", f"{server.url}/revoke"
    )
    return replace(LOGIN, kind="oidc", secret=Secret("{}"), renewal=renewal)


def test_what_cannot_be_written_down_is_revoked_all_the_same(
    wiring: _Parts, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody else has the refresh token once it is forgotten here: the next logout has none."""
    with OpenIdServer() as server:
        wiring.sessions.keep("x", renewing(server, "made-up-secret"), "okta/alice", untold)
        wiring.broken.append("now")
        with pytest.raises(StateError, match="the disk is full"):
            logout.log_out(wiring, wiring.sessions.principals(), as_json=False)
        assert [form["token"] for _, form in server.asked] == ["made-up-secret"]
    assert told(capfd).startswith("identity x is forgotten; log it out again")


def test_a_logout_ends_what_was_kept_last(wiring: _Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process renews the login while it is forgotten: no token of it lives on."""
    with OpenIdServer() as server:
        before, after = renewing(server, "made-up-old"), renewing(server, "made-up-new")
        wiring.sessions.keep("x", before, "okta/alice", untold)
        swapped: list[bool] = []
        another = Wiring(environ=wiring.environ).sessions
        renewal = threading.Thread(target=lambda: swapped.append(another.swap("x", before, after)))
        monkeypatch.setattr(wiring.sessions, "_keyring", _Read(wiring.places.state, renewal))
        logout.log_out(wiring, wiring.sessions.principals(), as_json=True)
        renewal.join()
        revoked = [form["token"] for _, form in server.asked]
    assert revoked == ["made-up-new" if swapped[0] else "made-up-old"]


class _Read(Keyring):
    """A keyring during whose first answer another process does something."""

    def __init__(self, folder: Path, then: threading.Thread) -> None:
        super().__init__(folder)
        self._then = then

    def get(self, entry: str) -> Secret | None:
        """Return an entry, which may be another by then."""
        found = super().get(entry)
        self._then.start()
        self._then.join(0.2)  # it has to wait where the identity is being forgotten
        return found


def test_a_key_that_cannot_be_written_down_is_not_made(
    wiring: _Parts, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without its audit record no key is shown, and none is in the file."""
    wiring.broken.append("now")
    with pytest.raises(StateError, match="the disk is full"):
        apikey.make(wiring, BUILD, as_json=False)
    assert told(capfd) == ""
    assert keys(wiring) == []


@pytest.mark.parametrize("why", [UndeliveredError("No space left on device"), Stopped(15)])
def test_a_key_that_cannot_be_handed_over_is_over(
    wiring: _Parts, monkeypatch: pytest.MonkeyPatch, why: BaseException
) -> None:
    """Nobody is known to have it: it is revoked in file and ledger."""

    def full(_: str) -> None:
        raise why

    monkeypatch.setattr(stdout, "write", full)
    with pytest.raises(type(why)):
        apikey.make(wiring, BUILD, as_json=False)
    (key,) = keys(wiring)
    assert key.revoked is not None
    assert wiring.ledger.api_key(key.id).revoked_at is not None


def test_a_key_is_revoked_in_the_file_where_the_ledger_fails(wiring: _Parts) -> None:
    """As far as it can, and exit 9: the file may come back."""
    apikey.make(wiring, BUILD, as_json=False)
    (key,) = keys(wiring)
    wiring.broken.append("now")
    with pytest.raises(StateError, match="the disk is full"):
        apikey.end(wiring, key.id, "leaked", as_json=False)
    assert keys(wiring)[0].revoked is not None


def test_a_key_is_revoked_in_the_ledger_where_the_file_cannot_be_written(
    wiring: _Parts, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The ledger's revocation counts, whatever the file says."""
    apikey.make(wiring, BUILD, as_json=False)
    (key,) = keys(wiring)

    def closed(*_: object) -> None:
        raise StateError("the folder is closed")

    monkeypatch.setattr(apikeys_file, "revoke", closed)
    apikey.end(wiring, "build-7", "leaked", as_json=False)
    assert "the file could not be changed: the folder is closed" in told(capfd)
    assert keys(wiring)[0].revoked is None
    assert wiring.ledger.api_key(key.id).revoked_at is not None
    apikey.show(wiring, as_json=False)
    assert " revoked\n" in told(capfd)


def test_a_name_revokes_all_that_have_it(wiring: _Parts) -> None:
    """A file written by hand may have two live keys of one name; an id is one key's alone."""
    apikey.make(wiring, BUILD, as_json=False)
    (first,) = keys(wiring)
    for key_id in ("00000000", "00000001"):
        double = replace(first, id=key_id)
        apikeys_file.add(wiring.places.config, double, lambda _: None)
    apikey.end(wiring, "00000000", "", as_json=False)
    assert [bool(key.revoked) for key in keys(wiring)] == [False, True, False]
    apikey.end(wiring, "build-7", "", as_json=False)
    assert all(key.revoked for key in keys(wiring))
    ids = [json.loads(row.record)["api_key"]["id"] for row in wiring.ledger.records()]
    assert sorted(ids) == sorted([first.id, "00000000", first.id, "00000001"])


def test_where_the_ledger_forgets_only_the_file_revokes(
    wiring: _Parts, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With an ephemeral ledger a key whose file cannot be changed is not revoked: exit 9."""
    brief = _Parts({**wiring.environ, "AGENTAUTH_LEDGER": "ephemeral"})
    apikey.make(brief, BUILD, as_json=False)
    (key,) = keys(brief)
    with pytest.raises(UnknownNameError, match="no API key '00000000'"):
        apikey.end(brief, "00000000", "", as_json=False)
    capfd.readouterr()

    def closed(*_: object) -> None:
        raise StateError("the folder is closed", hint="Open it")

    with monkeypatch.context() as patched:
        patched.setattr(apikeys_file, "revoke", closed)
        with pytest.raises(StateError, match=r"ephemeral, and .*: the folder is closed") as caught:
            apikey.end(brief, key.id, "leaked", as_json=False)
    assert caught.value.hint == "Open it"
    assert told(capfd) == ""
    apikey.end(brief, key.id, "leaked", as_json=False)
    assert keys(brief)[0].revoked is not None


@pytest.mark.parametrize("damage", [None, "no TOML"])
def test_an_id_is_revoked_without_its_file(
    wiring: _Parts, capfd: pytest.CaptureFixture[str], damage: str | None
) -> None:
    """The file may come back, or be mended: the ledger has the key revoked then."""
    apikey.make(wiring, BUILD, as_json=False)
    (key,) = keys(wiring)
    file = wiring.places.config / apikeys.NAME
    before = file.read_bytes()
    file.unlink()
    if damage:
        file.write_text(damage)
    with pytest.raises((UnknownNameError, ConfigError)):
        apikey.end(wiring, "build-7", "", as_json=False)
    capfd.readouterr()
    apikey.end(wiring, key.id, "leaked", as_json=False)
    said = told(capfd)
    assert f"API key {key.id} is revoked\n" in said
    assert f"apikeys.toml has no API key {key.id}; it is revoked in the ledger alone\n" in said
    assert ("the file could not be read: " in said) == bool(damage)
    (*_, record) = [json.loads(row.record) for row in wiring.ledger.records()]
    assert (record["event"], record["api_key"]) == ("apikey.revoked", {"id": key.id})
    assert key.id in tail(record)
    file.write_bytes(before)
    apikey.show(wiring, as_json=False)
    assert " revoked\n" in told(capfd)


def test_a_word_that_may_mean_two_keys_revokes_neither(wiring: _Parts) -> None:
    """What is the id of one key and the name of another is exit 2; the rest tells them apart."""
    apikey.make(wiring, BUILD, as_json=False)
    (first,) = keys(wiring)
    apikey.make(wiring, replace(BUILD, name=first.id), as_json=False)
    with pytest.raises(UsageError, match="is the id of one API key and the name of another"):
        apikey.end(wiring, first.id, "", as_json=False)
    assert not any(key.revoked for key in keys(wiring))
    apikey.end(wiring, keys(wiring)[1].id, "", as_json=False)
    apikey.end(wiring, first.id, "", as_json=False)
    assert all(key.revoked for key in keys(wiring))


def test_standard_input_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder on standard input is a clear error."""

    def folder(*_: object) -> bytes:
        raise IsADirectoryError(21, "Is a directory")

    monkeypatch.setattr(os, "read", folder)
    with pytest.raises(UsageError, match="standard input cannot be read: Is a directory"):
        login.presented("token")


def test_of_an_endless_input_no_more_is_read_than_a_token_can_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At most 16 KiB, and what is longer is seen to be."""
    monkeypatch.setattr(os, "read", lambda _, size: b"x" * min(size, 4096))
    assert len(login.presented("token").reveal()) == 16 * 1024 + 3


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_newline_is_taken_off(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """Read from standard input, one newline stripped."""
    chunks = [b"a.b", b".c\n" + end.encode(), b""]
    monkeypatch.setattr(os, "read", lambda *_: chunks.pop(0))
    wanted = "a.b.c" if not end else "a.b.c\n"
    assert login.presented("token").reveal() == wanted
