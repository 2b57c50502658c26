"""Logging in with an issuer: the real program, a real provider where there is one, a browser."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support import browser
from support.keyrings import entries, with_keyring
from support.oidc_provider import OidcProvider
from support.openid import CLIENT, OpenIdServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.station import Station

pytestmark = pytest.mark.whole

ISSUER = """
[inbound.issuers.corp]
issuer = "{url}"
audience = "agentauth"
client_id = "{client}"
{more}
"""
RULE = """\
version = 1

[[rule]]
id = "corp"
effect = "allow"
principals = ["corp/*"]
"""
BROWSER = f"{sys.executable} {browser.__file__} %s"
Provider = OpenIdServer | OidcProvider


@pytest.fixture(params=["own", "real"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """Run a provider: the suite's own, and the real one where it is there."""
    with OpenIdServer() if request.param == "own" else OidcProvider() as running:
        yield running


def configured(here: Station, url: str, more: str = "") -> Station:
    """Return a station with a keyring, a browser, and an issuer whose principals may do all."""
    config = (here.folder / "config" / "config.toml").read_text()
    here.write("config.toml", config + ISSUER.format(url=url, client=CLIENT, more=more))
    here.write("policy.toml", RULE)
    made = with_keyring(here)
    environ = {**made.environ, "BROWSER": BROWSER, "OPENED": str(here.folder / "opened")}
    return replace(made, environ=environ)


def test_a_login_in_the_browser(near: Station, provider: Provider) -> None:
    """Authorization code with PKCE and a loopback redirect; it stands until the logout."""
    here = configured(near, provider.url)
    done = here.run("login", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["identity"], shown["principal"]) == ("default", "corp/alice")
    assert provider.url in done.stderr
    assert "code_challenge_method=S256" in done.stderr
    assert "the terminal says who is logged in" in (here.folder / "opened").read_text()
    who = here.json("whoami", "--json")
    assert (who["id"], who["auth"]) == ("corp/alice", "jwt")
    done = here.run("logout")
    assert done.returncode == 0
    assert done.stderr == ""
    assert entries(here.folder) == {}
    assert here.events() == ["login", "logout"]
