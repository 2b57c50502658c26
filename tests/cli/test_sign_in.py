"""Whom `login` logs in with, and where: what is decided before anybody is asked."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from agentauth_cli.cli import qr, sign_in
from agentauth_cli.errors import ConfigError, UnknownNameError, UsageError
from agentauth_cli.wiring import Wiring
from support.configs import config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

URL = "https://id.test/device?user_code=WDJB-MJHT"
WHERE = {"issuer": "https://id.test", "audience": "agentauth"}


def wiring(folder: Path, **issuers: Any) -> Wiring:
    """Return a configuration with these issuers."""
    (folder / "config").mkdir(mode=0o700)
    file = folder / "config" / "config.toml"
    file.write_text(tomlkit.dumps(config(inbound={"issuers": issuers})))
    file.chmod(0o600)
    names = ("CONFIG", "STATE", "DATA")
    return Wiring({f"AGENTAUTH_{name}_DIR": str(folder / name.lower()) for name in names})


def test_the_only_issuer_that_can_be_logged_in_with(tmp_path: Path) -> None:
    """Without --issuer it is the only one that has a client id."""
    here = wiring(tmp_path, corp={**WHERE, "client_id": "me"}, ci=WHERE)
    assert sign_in.issuer_of(here, None).name == "corp"
    assert sign_in.client_of(sign_in.issuer_of(here, "corp")) == "me"
    with pytest.raises(ConfigError, match="issuer ci has no `client_id`"):
        sign_in.client_of(sign_in.issuer_of(here, "ci"))
    with pytest.raises(UnknownNameError, match="there is no issuer 'cor': did you mean `corp`"):
        sign_in.issuer_of(here, "cor")


def test_several_issuers_are_named(tmp_path: Path) -> None:
    """Which of several is not guessed."""
    ours = {**WHERE, "client_id": "me"}
    here = wiring(tmp_path, corp=ours, acme={**ours, "issuer": "https://acme.test"})
    with pytest.raises(UsageError, match="there are several issuers: corp, acme") as caught:
        sign_in.issuer_of(here, None)
    assert caught.value.hint == "Give --issuer NAME"


@pytest.mark.parametrize(
    ("environ", "platform", "container", "expected"),
    [
        ({"DISPLAY": ":0"}, "linux", False, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", False, True),
        ({}, "linux", False, False),
        ({"DISPLAY": ""}, "linux", False, False),
        ({}, "darwin", False, True),
        ({"SSH_CONNECTION": "x"}, "darwin", False, False),
        ({"SSH_TTY": "/dev/pts/0", "BROWSER": "firefox", "DISPLAY": ":0"}, "linux", False, False),
        ({"DISPLAY": ":0"}, "linux", True, False),
        ({"DISPLAY": ":0", "container": "podman"}, "linux", False, False),
        ({"BROWSER": "code --open"}, "linux", True, True),
        ({"BROWSER": ""}, "linux", True, False),
    ],
)
def test_where_a_browser_can_be_opened(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environ: Mapping[str, str],
    platform: str,
    container: bool,
    expected: bool,
) -> None:
    """Device grant where none can: SSH, container, no display."""
    mark = tmp_path / ".dockerenv"
    if container:
        mark.touch()
    monkeypatch.setattr(sign_in, "_CONTAINER", (mark,))
    monkeypatch.setattr(sys, "platform", platform)
    assert sign_in.has_browser(environ) is expected


class _Screen(io.StringIO):
    """Standard error, on a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "terminal", "drawn"),
    [
        ({"TERM": "xterm", "COLUMNS": "80"}, True, True),
        ({"TERM": "xterm", "COLUMNS": "20"}, True, False),
        ({"TERM": "dumb", "COLUMNS": "80"}, True, False),
        ({"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "COLUMNS": "80"}, False, False),
    ],
)
def test_a_qr_code_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], terminal: bool, drawn: bool
) -> None:
    """With a QR code on a terminal that can show it and is wide enough."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    screen = _Screen() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    qr.show(URL)
    assert bool(screen.getvalue()) is drawn
    assert screen.getvalue().count("\x1b[30;107m") == (17 if drawn else 0)


def test_the_qr_code_is_that_of_the_page() -> None:
    """Half blocks, two rows a line, as the standard has the code."""
    import segno

    lines = qr.drawn(URL)
    dots = [
        [int(one) for one in row] for row in segno.make_qr(URL, error="l").matrix_iter(border=2)
    ]
    upper = [[int(char in "▀█") for char in line] for line in lines]
    lower = [[int(char in "▄█") for char in line] for line in lines]
    drawn = [row for pair in zip(upper, lower, strict=True) for row in pair]
    assert drawn[: len(dots)] == dots
    assert len(drawn) - len(dots) in {0, 1}


def test_nobody_pays_for_what_only_a_device_needs() -> None:
    """The library that draws is loaded where something is drawn."""
    import subprocess

    code = "import sys, agentauth_cli.cli.login; sys.exit('segno' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": os.defpath}, check=False)
    assert done.returncode == 0
