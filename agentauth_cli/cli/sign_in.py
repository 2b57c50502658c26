"""Logging in with an issuer: in the browser, or with a code that is typed elsewhere."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agentauth_cli.cli import qr, screen
from agentauth_cli.errors import ConfigError, UnknownNameError, UsageError
from agentauth_cli.inbound import oidc, oidc_code, oidc_device
from agentauth_cli.inbound.oidc_redirect import Redirect
from agentauth_cli.tables.shape import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.login import Login
    from agentauth_cli.model import Principal
    from agentauth_cli.wiring import Wiring

_ELSEWHERE = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
_CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"))
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def issuer_of(wiring: Wiring, name: str | None) -> Issuer:
    """Return the issuer to log in with: the one that is named, else the only one that can be.

    Raises UnknownNameError, UsageError; ConfigError where that one has no client id.
    """
    inbound = wiring.settings.inbound
    if name is None:
        able = [one for one in inbound.issuers if one.client_id]
        if len(able) == 1:
            return able[0]
        if able:
            names = ", ".join(one.name for one in able)
            raise UsageError(f"there are several issuers: {names}", hint="Give --issuer NAME")
        raise UsageError(
            "no issuer of config.toml has a `client_id` to log in with",
            hint="Set it, or `agentauth login --token-stdin < FILE`",
        )
    for issuer in inbound.issuers:
        if issuer.name == name:
            return issuer
    near = did_you_mean(name, [one.name for one in inbound.issuers])
    raise UnknownNameError(
        f"there is no issuer {name!r}{near}", hint="See [inbound.issuers] of config.toml"
    )


def client_of(issuer: Issuer) -> str:
    """Return as whom an issuer is asked. Raises ConfigError where it does not know us."""
    if issuer.client_id is None:
        raise ConfigError(
            f"issuer {issuer.name} has no `client_id` to log in with",
            hint=f"Set it in [inbound.issuers.{issuer.name}]",
        )
    return issuer.client_id


def sign_in(wiring: Wiring, issuer: Issuer, *, device: bool) -> tuple[Login, Principal]:
    """Have a person log in; return what is to be kept, and who that is.

    Raises AuthenticationError; then nothing has changed.
    """
    client_id = client_of(issuer)
    if device or not has_browser(wiring.environ):
        return _elsewhere(wiring, issuer, client_id)
    return _in_the_browser(wiring, issuer, client_id)


def has_browser(environ: Mapping[str, str]) -> bool:
    """Say whether a browser can be opened where the person is: not over SSH, nor in a container.

    BROWSER names one, also in a container: there it is what leads to the person's own.
    """
    if any(name in environ for name in _ELSEWHERE):
        return False
    if environ.get("BROWSER"):
        return True
    if "container" in environ or any(one.exists() for one in _CONTAINER):
        return False
    return sys.platform == "darwin" or any(environ.get(name) for name in _DISPLAYS)


def _in_the_browser(wiring: Wiring, issuer: Issuer, client_id: str) -> tuple[Login, Principal]:
    provider = oidc.provider(issuer, client_id, "code")
    made = oidc_code.attempt(secrets.token_urlsafe)
    with Redirect() as redirect:
        url = oidc_code.page(provider, made, redirect.uri)
        screen.say(f"log in with {issuer.name} in the browser; if none opens, open this page here:")
        screen.say(url)
        _open(url)
        query = redirect.wait()
    code = oidc_code.code(provider, made, query)
    tokens = oidc_code.tokens(provider, made, code, redirect.uri)
    return wiring.logins.sign_in(provider, tokens, made.nonce)


def _open(url: str) -> None:
    """Have the browser open a page; what it says is nobody's, and Ctrl-C is not for it."""
    command = [sys.executable, "-I", "-m", "webbrowser", url]
    null = subprocess.DEVNULL
    run = partial(
        subprocess.run,
        command,
        stdin=null,
        stdout=null,
        stderr=null,
        start_new_session=True,
        check=False,
    )
    threading.Thread(target=run, daemon=True).start()  # some stay until they are closed


def _elsewhere(wiring: Wiring, issuer: Issuer, client_id: str) -> tuple[Login, Principal]:
    provider = oidc.provider(issuer, client_id, "device")
    given = oidc_device.begin(provider)
    screen.say(f"open {given.url} on any device, and type in the code {given.user_code}")
    qr.show(given.whole or given.url)
    tokens = oidc_device.tokens(provider, given, wiring.clock, time.sleep)
    return wiring.logins.sign_in(provider, tokens, None)
