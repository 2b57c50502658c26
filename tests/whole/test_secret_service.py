"""The real Secret Service: gnome-keyring on a D-Bus of its own, as on a desktop."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support import absent, browser
from support.openid import CLIENT, OpenIdServer
from support.station import PROGRAM

if TYPE_CHECKING:
    from support.station import Station

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(sys.platform != "linux", reason="it is what Linux has"),
]

ISSUER = """
[inbound.issuers.corp]
issuer = "{url}"
audience = "agentauth"
client_id = "{client}"
"""
UNLOCK = 'printf made-up | "$DAEMON" --unlock --components=secrets >/dev/null'
LOCK = (
    "dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets"
    " org.freedesktop.Secret.Service.Lock"
    " array:objpath:/org/freedesktop/secrets/collection/login >/dev/null"
)


def on_a_desktop(here: Station, url: str) -> Station:
    """Return a station whose programs have the keyring that the system has."""
    config = (here.folder / "config" / "config.toml").read_text()
    here.write("config.toml", config + ISSUER.format(url=url, client=CLIENT))
    environ = {name: one for name, one in here.environ.items() if name != "PYTHON_KEYRING_BACKEND"}
    return replace(
        here,
        environ={
            **environ,
            "DAEMON": absent.program("gnome-keyring-daemon"),
            "BROWSER": f"{sys.executable} {browser.__file__} %s",
            "XDG_RUNTIME_DIR": str(here.folder),
            "XDG_DATA_HOME": str(here.folder / "share"),
        },
    )


def desktop(here: Station, *lines: str) -> tuple[int, list[str], str]:
    """Run these lines in one session of a desktop; return code, output by line, errors."""
    session = absent.program("dbus-run-session")
    program = shlex.quote(str(PROGRAM))
    script = "\n".join(["set -e", UNLOCK, *(line.replace("agentauth", program) for line in lines)])
    done = here.shell([session, "--", "sh", "-c", script])
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_a_login_in_the_keyring_of_the_desktop(near: Station) -> None:
    """Sessions, also of several parts, are kept, renewed and forgotten there."""
    with OpenIdServer() as provider:
        provider.claims = {"groups": ["x" * 4000]}
        here = on_a_desktop(near, provider.url)
        code, lines, err = desktop(
            here,
            "agentauth login --json",
            "agentauth whoami",
            "agentauth logout",
            "agentauth whoami",
        )
    assert code == 0, err
    assert json.loads(lines[0])["principal"] == "corp/alice"
    assert lines[1] == "corp/alice (user)"
    assert "logged out: corp/alice, identity default" in lines
    assert any(line.startswith("os/") for line in lines[2:])
    for path in here.folder.rglob("*"):
        if path.is_file():
            assert b"x" * 100 not in path.read_bytes(), path


def test_a_locked_keyring_of_the_desktop(near: Station) -> None:
    """One that nobody can unlock is a plain message within its time, and nothing weaker instead."""
    absent.program("dbus-send")
    with OpenIdServer() as provider:
        here = on_a_desktop(near, provider.url)
        code, _, err = desktop(here, "agentauth login --json", LOCK, "agentauth whoami")
    assert code == 4
    *_, last = err.splitlines()
    assert last.startswith(
        "agentauth: not authenticated: identity default is in the keyring, and the keyring "
    )
    assert "AGENTAUTH_TOKEN" in last
