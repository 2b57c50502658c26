"""The OS account as an identity."""

from __future__ import annotations

import os
import pwd

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.os_account import OsAccount, authenticate


def named(monkeypatch: pytest.MonkeyPatch, name: str, uid: int = 4711) -> None:
    """Make this process run as an account of this name."""
    entry = pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh"))
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setattr(pwd, "getpwuid", {uid: entry}.__getitem__)


def test_a_user_without_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """`os/USERNAME`, kind user, no groups, no claims, nothing known of when."""
    named(monkeypatch, "alice")
    found = authenticate({"bob": OsAccount("agent", ("team-a",))})
    assert (found.id, found.name, found.kind, found.auth) == ("os/alice", "alice", "user", "os")
    assert (found.groups, dict(found.claims)) == ((), {})
    assert (found.authenticated_at, found.expires_at, found.actor) == (None, None, None)


def test_an_account_that_is_more_than_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kind and groups are what `[inbound.os.NAME]` says; a group becomes os/GROUP."""
    named(monkeypatch, "agent-07")
    found = authenticate({"agent-07": OsAccount("agent", ("team-a", "team-b"))})
    assert (found.kind, found.groups) == ("agent", ("os/team-a", "os/team-b"))


def test_the_environment_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """By real uid, not by `$USER`."""
    named(monkeypatch, "alice")
    for variable in ("USER", "LOGNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(variable, "root")
    assert authenticate({}).id == "os/alice"


def test_this_very_process() -> None:
    """Nothing made up: the account that runs the tests."""
    assert authenticate({}).name == pwd.getpwuid(os.getuid()).pw_name


def test_a_uid_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A uid that the user database does not know is nobody."""
    named(monkeypatch, "alice")
    monkeypatch.setattr(os, "getuid", lambda: 4712)
    with pytest.raises(AuthenticationError, match="uid 4712 has no OS account") as caught:
        authenticate({})
    assert caught.value.reason == "os_account_unknown"


@pytest.mark.parametrize("name", ["", "DOMAIN\\alice", "a*", "${x}", "a\nb", " a"])
def test_a_name_that_means_something_else(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A user name has the same rules as a subject."""
    named(monkeypatch, name)
    with pytest.raises(AuthenticationError) as caught:
        authenticate({})
    assert caught.value.reason == "os_account_refused"
