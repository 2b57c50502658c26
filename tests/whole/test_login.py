"""Logging in and out with the real program: a token, a keyring, a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support import absent
from support.cloud import ROLE
from support.issuer import IssuerServer, signer
from support.keyrings import entries, variables, with_keyring
from support.person import BASH, Person
from support.station import PROGRAM

if TYPE_CHECKING:
    from support.station import Station

pytestmark = pytest.mark.whole

ISSUER = """
[inbound.issuers.corp]
issuer = "{url}"
audience = "agentauth"
client_id = "0oa1"
kind = "agent"
{more}
"""

RULE = """\
version = 1

[[rule]]
id = "corp"
effect = "allow"
principals = ["corp/*"]
"""
KEY = signer("ES256")


def configured(here: Station, url: str, more: str = "") -> Station:
    """Return a station with a keyring and an issuer, whose principals may do everything."""
    config = (here.folder / "config" / "config.toml").read_text()
    here.write("config.toml", config + ISSUER.format(url=url, more=more))
    here.write("policy.toml", RULE)
    return with_keyring(here)


def token(url: str, **others: object) -> str:
    """Return a good token of now."""
    now = int(time.time())
    claims = {"iss": url, "aud": "agentauth", "sub": "build-7", "iat": now, "exp": now + 36_000}
    return KEY.token({**claims, **others})


def test_a_token_is_verified_kept_used_and_forgotten(here: Station) -> None:
    """Verified first, kept only if good; it stands for its principal until the logout."""
    with IssuerServer(KEY.jwk()) as issuer:
        here = configured(here, issuer.url)
        made = token(issuer.url)
        shown = here.json("login", "--token-stdin", "--json", stdin=f"{made}\n")
        assert (shown["identity"], shown["principal"]) == ("default", "corp/build-7")
        who = here.json("whoami", "--json")
        assert (who["id"], who["auth"]) == ("corp/build-7", "jwt")
        assert who["source"] == "identity default (keyring)"
        assert who["authenticated_at"] is not None
        session = time.mktime(time.strptime(who["expires_at"], "%Y-%m-%dT%H:%M:%SZ"))
        assert abs(session - time.timezone - time.time() - 8 * 3600) < 300
        assert here.json("vend", ROLE)["Version"] == 1
        bad = here.run(
            "login", "--token-stdin", "--identity", "x", stdin=token("https://evil.test")
        )
        assert bad.returncode == 4
        assert list(entries(here.folder)) == ["agentauth identity:default"]
        for path in here.folder.rglob("*"):
            if path.is_file() and path.name != "keyring.json":
                assert made.encode() not in path.read_bytes(), path
        done = here.run("logout")
        assert done.stdout == "logged out: corp/build-7, identity default\n"
        assert "lives on: L" in done.stderr
        assert entries(here.folder) == {}
        (lease,) = here.json("lease", "list", "--json")["leases"]
        assert lease["state"] == "settled"
        assert here.run("whoami").stdout.startswith("os/")
    assert here.events() == [
        *("login", "vend.intent", "vend.issued", "login.failed", "logout", "lease.settled"),
    ]
    here.everything_holds()


def test_a_session_ends(here: Station) -> None:
    """A session that has ended is exit 4 and never the OS account; the hint says what to do."""
    with IssuerServer(KEY.jwk()) as issuer:
        here = configured(here, issuer.url, 'session = "1s"')
        here.json("login", "--token-stdin", "--json", stdin=token(issuer.url))
        time.sleep(1)
        done = here.run("whoami")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "agentauth: not authenticated: the session of identity default has ended. "
        "Log in again: `agentauth login`\n"
    )


def test_whoever_moves_the_endpoints_gets_no_session(here: Station) -> None:
    """A configuration that names other endpoints gets exit 3."""
    with IssuerServer(KEY.jwk()) as issuer, IssuerServer(KEY.jwk()) as evil:
        here = configured(here, issuer.url)
        here.json("login", "--token-stdin", "--json", stdin=token(issuer.url))
        config = (here.folder / "config" / "config.toml").read_text()
        here.write("config.toml", f'{config}jwks_url = "{evil.keys_url}"\n')
        done = here.run("vend", ROLE)
        assert (done.returncode, done.stdout) == (3, "")
        assert "another `jwks_url`" in done.stderr
        assert not evil.requests


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has its keychain without D-Bus")
def test_a_system_without_d_bus(here: Station) -> None:
    """Headless without a keyring: a clear error that names the ways that need none."""
    with IssuerServer(KEY.jwk()) as issuer:
        configured(here, issuer.url)
        kept = {k: v for k, v in here.environ.items() if k != "PYTHON_KEYRING_BACKEND"}
        bare = replace(here, environ=kept)
        nowhere = f"unix:path={here.folder}/no-bus"
        done = bare.run(
            "login",
            "--token-stdin",
            stdin=token(issuer.url),
            DBUS_SESSION_BUS_ADDRESS=nowhere,
        )
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == (
            "agentauth: keyring: there is no keyring on this system. Without one that is unlocked, "
            "use AGENTAUTH_TOKEN, AGENTAUTH_API_KEY or the identity of your CI\n"
        )
        assert bare.run("whoami").stdout.startswith("os/")


def test_logins_at_once_lose_nothing(here: Station) -> None:
    """Two logins at once lose nothing."""
    with IssuerServer(KEY.jwk()) as issuer:
        here = configured(here, issuer.url)
        started = [
            subprocess.Popen(
                [PROGRAM, "login", "--token-stdin", "--identity", f"n{i}"],
                env=dict(here.environ),
                cwd=here.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
            for i in range(4)
        ]
        for i, one in enumerate(started):
            one.communicate(token(issuer.url, sub=f"n{i}").encode(), timeout=100)
        assert [one.returncode for one in started] == [0] * 4
        for i in range(4):
            who = here.json("whoami", "--identity", f"n{i}", "--json")
            assert who["id"] == f"corp/n{i}"


def typed(
    here: Station, *arguments: str, text: bytes = b"", signum: int | None = None
) -> tuple[int, bytes, bytes]:
    """Run the program and type this, or stop it, once it asks.

    Return its exit code, what the terminal and standard output got, and standard error.
    """
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with subprocess.Popen(
        [PROGRAM, *arguments],
        env=dict(here.environ),
        cwd=here.folder,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        assert started.stderr is not None
        said = started.stderr.readline()
        while termios.tcgetattr(theirs)[3] & termios.ECHO:
            time.sleep(0.01)
        os.write(ours, text)
        if signum is not None:
            started.send_signal(signum)
        out, more = started.communicate(timeout=60)
    assert termios.tcgetattr(theirs) == before
    os.set_blocking(ours, False)
    try:
        echoed = os.read(ours, 65536)
    except BlockingIOError:
        echoed = b""
    os.close(ours)
    os.close(theirs)
    assert b"build-7" not in said
    return started.returncode, echoed + out, said + more


def test_a_token_is_pasted_into_a_terminal_unseen(here: Station) -> None:
    """On a terminal it says that it waits, shows nothing, and takes a long token whole."""
    with IssuerServer(KEY.jwk()) as issuer:
        here = configured(here, issuer.url)
        made = token(issuer.url, padding="x" * 6000)
        code, shown, said = typed(here, "login", "--token-stdin", text=made.encode() + b"\n")
    assert code == 0, said
    assert said == b"paste the token and press Enter; it is not shown\n"
    assert shown.startswith(b"logged in as corp/build-7 (agent), identity default\n")
    assert b"eyJ" not in shown


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_a_login_that_is_stopped_while_the_keyring_writes(
    here: Station, signum: signal.Signals
) -> None:
    """It is recorded, stands for nobody, neither for the OS account, and can be logged out."""
    with IssuerServer(KEY.jwk()) as issuer:
        here = configured(here, issuer.url)
        silent = {**here.environ, **variables(here.folder, "SilentKeyring")}
        with subprocess.Popen(
            [PROGRAM, "login", "--token-stdin"],
            env=silent,
            cwd=here.folder,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as started:
            assert started.stdin is not None
            started.stdin.write(token(issuer.url).encode())
            started.stdin.close()
            while not entries(here.folder):
                time.sleep(0.01)
            started.send_signal(signum)
            assert started.wait(60) != 0
        assert here.events() == ["login"]
        done = here.run("whoami")
        assert (done.returncode, done.stdout) == (4, "")
        assert "the login of identity default was not finished" in done.stderr
    assert here.run("logout").stdout == "logged out: corp/build-7, identity default\n"
    assert entries(here.folder) == {}
    assert here.events() == ["login", "login.failed", "logout"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (b"eyJ" + b"S" * 40_000, b"longer than 16384 bytes"),
        (b"eyJSSSS\n" + b"SSSS" * 5_000, b"not authenticated"),
        (b"eyJSSSS\x1aSSSS", b"not authenticated"),
    ],
)
def test_nothing_of_a_paste_is_left_to_the_shell(here: Station, keys: bytes, said: bytes) -> None:
    """However long, of however many lines, with Ctrl-Z in it: no shell shows or runs any of it."""
    absent.program("bash")
    here = configured(here, "https://issuer.example")
    with Person(BASH, here.environ, here.folder) as person:
        person.sees("READY> ")
        person.type(f"{PROGRAM} login --token-stdin\n")
        person.sees("it is not shown")
        while person.settings()[3] & termios.ECHO:
            time.sleep(0.01)
        threading.Thread(target=person.type, args=(keys + b"\n",), daemon=True).start()
        person.sees("READY> ")
        person.type("exit\n")
        person.ends()
    assert said in person.seen
    assert b"SSSS" not in person.seen


def test_whoever_does_not_want_to_ends_it(here: Station) -> None:
    """Ctrl-D and Ctrl-C end it as anywhere else, and the terminal shows again what is typed."""
    here = configured(here, "https://issuer.example")
    code, shown, said = typed(here, "login", "--token-stdin", text=b"\x04")
    assert (code, shown) == (2, b"")
    assert b"there is no token on standard input" in said
    code, shown, _ = typed(here, "login", "--token-stdin", signum=signal.SIGINT)
    assert (code, shown) == (130, b"")
    assert here.run("whoami").stdout.startswith("os/")
