"""Where identity comes from: the first source that is present decides."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from agentauth_cli.errors import AuthenticationError, UsageError
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import Key, parse
from agentauth_cli.inbound.keyring import Keyring
from agentauth_cli.inbound.logins import Logins
from agentauth_cli.inbound.os_account import OsAccount
from agentauth_cli.inbound.session import Sessions
from agentauth_cli.inbound.source import Inbound, Source, Standing, find, standings
from agentauth_cli.inbound.verifier import Verifier
from agentauth_cli.secret import Secret
from support.issuer import signer
from support.keyrings import untold, use, variables

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MADE = signer("ES256")
OKTA = Issuer("okta", "https://login.example.test", "agentauth")
OPEN = Inbound(os_login=True, issuers=(OKTA,))


@cache
def token(subject: str = "alice") -> str:
    """Return a good token for this subject."""
    claims = {"iss": OKTA.issuer, "aud": "agentauth", "exp": NOW.timestamp() + 60}
    return MADE.token(claims | {"sub": subject})


def keys(_issuer: Issuer, _kid: str | None) -> list[Key]:
    """Return the one key."""
    key = parse(MADE.jwk())
    assert key is not None
    return [key]


def no_ledger() -> NoReturn:
    """Be asked for by nobody: no key in these tests is known."""
    raise AssertionError


VERIFIER = Verifier((OKTA,), keys, list, no_ledger, lambda: NOW)


def logins(folder: Path) -> Logins:
    """Return the logins of a machine with this state directory."""
    sessions = Sessions(folder, Keyring(folder))
    return Logins(sessions, (OKTA,), VERIFIER, Path("/configuration"), lambda: NOW)


NOWHERE = Path("/does/not/exist")


def look(
    inbound: Inbound = OPEN, folder: Path = NOWHERE, chosen: str | None = None, /, **environ: str
) -> Source:
    """Find the source in this environment, and on the machine with this state directory."""
    return find(environ, inbound, VERIFIER, logins(folder), chosen)


def refusal(
    inbound: Inbound = OPEN, folder: Path = NOWHERE, chosen: str | None = None, /, **environ: str
) -> str:
    """Return the reason for which this environment gives nobody."""
    with pytest.raises(AuthenticationError) as caught:
        look(inbound, folder, chosen, **environ).authenticate()
    return caught.value.reason


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return how to store logins with a token; it gives the state directory."""
    use(monkeypatch, variables(tmp_path))

    def log_in(*names: str) -> Path:
        machine = logins(tmp_path / "state")
        for name in names:
            login, who = machine.begin("jwt", Secret(token(name)))
            machine.sessions.keep(name, login, who.id, untold)
        return tmp_path / "state"

    return log_in


def test_a_token_decides() -> None:
    """A token comes first, whatever else is there, and is not shown."""
    inbound = Inbound(os_login=True, issuers=(OKTA,), ambient=(("github", "github-actions"),))
    found = look(
        inbound,
        AGENTAUTH_TOKEN=token(),
        AGENTAUTH_API_KEY="x",
        GITHUB_ACTIONS="true",
        AGENTAUTH_IDENTITY="other",
    )
    assert found.found == "AGENTAUTH_TOKEN"
    assert found.authenticate().id == "okta/alice"
    assert "eyJ" not in repr(found)


def test_the_token_that_was_presented_can_be_asked_for(tmp_path: Path) -> None:
    """What an issuer may exchange: the token of AGENTAUTH_TOKEN or AGENTAUTH_TOKEN_FILE alone."""
    shown = look(AGENTAUTH_TOKEN=token()).token()
    assert shown is not None
    assert shown.reveal().startswith("eyJ")
    file = tmp_path / "token"
    for subject in ("alice", "bob"):  # read at each use
        file.write_text(token(subject))
        assert look(AGENTAUTH_TOKEN_FILE=str(file)).token() == Secret(file.read_text())
    assert look().token() is None


def test_a_bad_token_is_not_replaced_by_the_os_account() -> None:
    """A weaker source never stands in for a stronger one that failed."""
    assert refusal(AGENTAUTH_TOKEN="x.y.z") == "token_encoding"
    assert refusal(AGENTAUTH_TOKEN_FILE="/does/not/exist") == "token_file_unreadable"


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("AGENTAUTH_TOKEN", "token_form"),
        ("AGENTAUTH_TOKEN_FILE", "token_file_unreadable"),
        ("AGENTAUTH_API_KEY", "api_key_form"),
        ("AGENTAUTH_IDENTITY", "identity_unknown"),
    ],
)
def test_an_empty_variable_is_present(variable: str, reason: str) -> None:
    """A variable that is set but empty is present."""
    assert refusal(**{variable: ""}) == reason


def test_two_tokens_are_refused() -> None:
    """AGENTAUTH_TOKEN and AGENTAUTH_TOKEN_FILE together are refused, also where one is empty."""
    assert refusal(AGENTAUTH_TOKEN=token(), AGENTAUTH_TOKEN_FILE="/t") == "token_twice"
    assert refusal(AGENTAUTH_TOKEN=token(), AGENTAUTH_TOKEN_FILE="") == "token_twice"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_token_file_is_read_at_each_use(tmp_path: Path, end: str) -> None:
    """The file is read at each use, without the newline at its end."""
    path = tmp_path / "token"
    path.write_text(token("alice") + end, newline="")
    found = look(AGENTAUTH_TOKEN_FILE=str(path))
    assert found.found == "AGENTAUTH_TOKEN_FILE"
    assert found.authenticate().id == "okta/alice"
    path.write_text(token("bob") + end, newline="")
    assert found.authenticate().id == "okta/bob"


def test_a_projected_token_file(tmp_path: Path) -> None:
    """A token file may be a symbolic link and readable by all, as Kubernetes projects it."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "token").write_text(token())
    (tmp_path / "..data" / "token").chmod(0o644)
    (tmp_path / "token").symlink_to("..data/token")
    assert look(AGENTAUTH_TOKEN_FILE=str(tmp_path / "token")).authenticate().id == "okta/alice"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_token_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """A token file may not be written by group or others."""
    path = tmp_path / "token"
    path.write_text(token())
    path.chmod(mode)
    assert refusal(AGENTAUTH_TOKEN_FILE=str(path)) == "token_file_unsafe"


def test_a_token_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, a pipe (which nobody may ever write to) or a device is no token file."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe", "/dev/null"):
        assert refusal(AGENTAUTH_TOKEN_FILE=str(path)) == "token_file_unsafe"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "token_form"),
        (b"\n", "token_form"),
        (b"\xff\xfe.\x00.\x80", "token_encoding"),
        (b"." * 16_386, "token_too_large"),
        (b"." * 16_387, "token_file_unreadable"),
        (token().encode() + b"\n\n", "token_encoding"),
        (b" " + token().encode(), "token_encoding"),
    ],
)
def test_the_content_of_a_token_file(tmp_path: Path, content: bytes, reason: str) -> None:
    """At most 16 KiB and one newline; anything else is refused."""
    path = tmp_path / "token"
    path.write_bytes(content)
    assert refusal(AGENTAUTH_TOKEN_FILE=str(path)) == reason


def test_an_api_key_is_not_passed_over() -> None:
    """AGENTAUTH_API_KEY is refused, not ignored, and comes before the platform."""
    inbound = Inbound(os_login=True, ambient=(("github", "github-actions"),))
    assert refusal(inbound, AGENTAUTH_API_KEY="aak_x", GITHUB_ACTIONS="1") == "api_key_form"
    assert look(AGENTAUTH_API_KEY="x").found == "AGENTAUTH_API_KEY"
    assert look(AGENTAUTH_API_KEY="x").token() is None


GITHUB = Issuer("github", "https://token.actions.githubusercontent.com", "agentauth")
AMBIENT = Inbound(os_login=True, issuers=(OKTA, GITHUB), ambient=(("github", "github-actions"),))


@pytest.mark.parametrize("value", ["true", ""])
def test_a_platforms_job_is_not_its_os_account(value: str) -> None:
    """Where the platform's own variables are there, its own token decides or nothing does."""
    for more in ({}, {"AGENTAUTH_IDENTITY": "x"}):
        found = look(AMBIENT, GITHUB_ACTIONS=value, **more)
        assert found.found == "the job's own token (GitHub Actions, issuer github)"
        assert found.job is not None
        assert found.token() is None
        assert refusal(AMBIENT, GITHUB_ACTIONS=value, **more) == "ambient_variable"
    assert look(AMBIENT).found.startswith("OS account")
    assert look(OPEN, GITHUB_ACTIONS=value).found.startswith("OS account")


def states(
    inbound: Inbound, folder: Path = NOWHERE, chosen: str | None = None, /, **environ: str
) -> list[str]:
    """Return how the sources stand: the state of each, or why it is absent."""
    found = list(standings(environ, inbound, VERIFIER, logins(folder), chosen))
    assert [one.name for one in found] == ["token", "api_key", "job", "login", "os_account"]
    return [one.why if one.state == "absent" else one.state for one in found]


def test_why_each_other_source_was_not_used(stored: Callable[..., Path]) -> None:
    """Each source in order: used, there but after the deciding one, or not there, and why."""
    no_login = "no identity default is stored"
    assert states(OPEN) == [
        *("not set", "not set", "no issuer has `ambient = true`", no_login),
        "used",
    ]
    no_job = "this is no job of GitHub Actions"
    assert states(AMBIENT, stored("default")) == ["not set", "not set", no_job, "used", "later"]
    every = {"AGENTAUTH_API_KEY": "x", "GITHUB_ACTIONS": "true", "AGENTAUTH_IDENTITY": "none"}
    folder = stored("ci")
    assert states(AMBIENT, folder, AGENTAUTH_TOKEN="x", **every) == ["used", *["later"] * 4]
    assert states(OPEN, folder, "ci") == [*states(OPEN)[:3], "used", "later"]
    shut = Inbound(issuers=(OKTA,))
    assert states(shut, AGENTAUTH_TOKEN="x")[-1] == "`os_login` is not true"
    (later,) = {
        one.why
        for one in standings({"AGENTAUTH_TOKEN": "x"}, OPEN, VERIFIER, logins(NOWHERE))
        if one.state == "later"
    }
    assert later == "there, but comes later"
    assert Standing("token", "used").why == ""


@pytest.mark.parametrize("name", ["work", "Default", "default ", "os"])
def test_another_identity_is_not_stored(name: str) -> None:
    """An identity that is chosen by name and not stored is refused."""
    assert refusal(AGENTAUTH_IDENTITY=name) == "identity_unknown"


def test_the_token_that_was_presented() -> None:
    """What is exchanged for a provider's token is the one that the caller presented."""
    assert look(AGENTAUTH_TOKEN=token()).token() == Secret(token())
    assert look().token() is None


def test_a_login_comes_before_the_os_account(stored: Callable[..., Path]) -> None:
    """The identity `default`, or the one that was chosen, on the command line first."""
    folder = stored("default", "ci", "cd")
    for chosen, environ, name in (
        (None, {}, "default"),
        (None, {"AGENTAUTH_IDENTITY": "ci"}, "ci"),
        ("cd", {"AGENTAUTH_IDENTITY": "ci"}, "cd"),
        ("default", {"AGENTAUTH_IDENTITY": "ci"}, "default"),
    ):
        found = look(OPEN, folder, chosen, **environ)
        assert found.found == f"identity {name} (keyring)"
        assert found.authenticate().id == f"okta/{name}"
        assert found.token() == Secret(token(name))


def test_another_login_is_no_default_one(stored: Callable[..., Path]) -> None:
    """A login under a name is used where it is named."""
    assert look(OPEN, stored("ci")).found.startswith("OS account")


def test_an_identity_that_is_named_but_not_stored(stored: Callable[..., Path]) -> None:
    """An identity that is named but not stored: exit 4 with the stored names as hint."""
    folder = stored("ci", "alice")
    for chosen, environ in (
        ("default", {}),
        ("x", {}),
        (None, {"AGENTAUTH_IDENTITY": "x"}),
        (None, {"AGENTAUTH_IDENTITY": ""}),
        (None, {"AGENTAUTH_IDENTITY": token()}),
    ):
        with pytest.raises(AuthenticationError) as caught:
            look(OPEN, folder, chosen, **environ)
        assert caught.value.reason == "identity_unknown"
        assert caught.value.hint == "Stored: alice, ci"
        assert "eyJ" not in caught.value.message


def test_a_login_that_failed_is_not_replaced_by_the_os_account(
    stored: Callable[..., Path], tmp_path: Path
) -> None:
    """A weaker source never stands in for a stronger one that failed."""
    folder = stored("default")
    (tmp_path / "keyring.json").unlink()
    assert refusal(OPEN, folder) == "session_missing"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"AGENTAUTH_TOKEN": token()}, "AGENTAUTH_TOKEN"),
        ({"AGENTAUTH_TOKEN": ""}, "AGENTAUTH_TOKEN"),
        ({"AGENTAUTH_TOKEN_FILE": "/t"}, "AGENTAUTH_TOKEN_FILE"),
        ({"AGENTAUTH_API_KEY": "x"}, "AGENTAUTH_API_KEY"),
        ({"GITHUB_ACTIONS": "true"}, "the job's own token (GitHub Actions, issuer github)"),
    ],
)
def test_an_identity_that_would_not_be_used(
    stored: Callable[..., Path], environ: dict[str, str], named: str
) -> None:
    """On the command line while one of 1 to 3 is present: exit 2 naming it."""
    folder = stored("ci")
    with pytest.raises(UsageError, match=f"--identity ci: {re.escape(named)}") as caught:
        look(AMBIENT, folder, "ci", **environ)
    assert caught.value.hint in {f"Unset {named}", "Leave --identity out"}
    assert look(AMBIENT, folder, **environ, AGENTAUTH_IDENTITY="ci").found == named


@pytest.mark.parametrize("environ", [{}, {"USER": "root"}])
def test_the_os_account_comes_last(environ: dict[str, str]) -> None:
    """The OS account stands where nothing else is present and os_login is true."""
    found = look(**environ)
    assert found.found == f"OS account (uid {os.getuid()})"
    assert found.authenticate().id.startswith("os/")


def test_the_settings_of_the_os_account_count() -> None:
    """What an OS account is, is what its settings say."""
    name = look().authenticate().name
    inbound = Inbound(os_login=True, os_accounts={name: OsAccount("agent", ("a",))})
    assert look(inbound).authenticate().groups == ("os/a",)


def test_nobody_is_logged_in() -> None:
    """Without os_login there is nobody, and the hint names the ways."""
    with pytest.raises(AuthenticationError, match="nobody is logged in") as caught:
        look(Inbound(issuers=(OKTA,)), USER="root")
    assert caught.value.reason == "no_identity"
    ways = "agentauth login.*AGENTAUTH_TOKEN,.*AGENTAUTH_TOKEN_FILE.*AGENTAUTH_API_KEY.*os_login"
    assert re.search(ways, caught.value.hint)
