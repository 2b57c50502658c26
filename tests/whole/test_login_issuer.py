"""Logging in with an issuer: the real program, a real provider where there is one, a browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from support import absent, browser
from support.browser import opened
from support.cloud import ROLE
from support.keyrings import FILE, entries, with_keyring
from support.oidc_provider import RESOURCE, OidcProvider
from support.openid import CLIENT, OpenIdServer
from support.station import PROGRAM

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
CHROMIUM = (
    "{program} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
    " --disable-background-networking --user-data-dir={folder} --dump-dom %s"
)
Provider = OpenIdServer | OidcProvider


@pytest.fixture
def own() -> Iterator[OpenIdServer]:
    """Run the suite's own provider."""
    with OpenIdServer() as running:
        yield running


@pytest.fixture
def real() -> Iterator[OidcProvider]:
    """Run the real provider, where it is there."""
    with OidcProvider() as running:
        yield running


@pytest.fixture(params=["own", "real"])
def provider(request: pytest.FixtureRequest) -> Provider:
    """Run either: what the real one does the suite's own does too, where the real one is not."""
    found: Provider = request.getfixturevalue(request.param)
    return found


def configured(here: Station, url: str, more: str = "") -> Station:
    """Return a station with a keyring, a browser, and an issuer whose principals may do all."""
    config = (here.folder / "config" / "config.toml").read_text()
    here.write("config.toml", config + ISSUER.format(url=url, client=CLIENT, more=more))
    here.write("policy.toml", RULE)
    made = with_keyring(here)
    environ = {**made.environ, "BROWSER": BROWSER, "OPENED": str(here.folder / "opened")}
    return replace(made, environ=environ)


def kept(here: Station) -> dict[str, Any]:
    """Return the one login that the keyring holds."""
    ((_, entry),) = entries(here.folder).items()
    found: dict[str, Any] = json.loads(entry)
    return found


def make_due(here: Station, **changed: Any) -> None:
    """Let the login that is kept be due, as if its time had passed."""
    login = kept(here)
    login["renewal"] |= {"due": login["renewal"]["verified_at"], **changed}
    Path(here.environ[FILE]).write_text(
        json.dumps({"agentauth identity:default": json.dumps(login)})
    )


def nothing_tells(here: Station, *secrets: str) -> None:
    """Assert that no file but the keyring holds any of these."""
    for path in here.folder.rglob("*"):
        if path.is_file() and path.name != "keyring.json":
            content = path.read_bytes()
            assert not any(one.encode() in content for one in secrets), path


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
    assert who["source"] == "identity default (keyring)"
    assert here.json("vend", ROLE)["Version"] == 1
    token = kept(here)["renewal"]["token"]
    nothing_tells(here, token)
    done = here.run("logout")
    assert done.returncode == 0
    assert done.stdout == "logged out: corp/alice, identity default\n"
    assert entries(here.folder) == {}
    assert here.events()[::2] == ["login", "vend.issued", "lease.settled"]
    answer = opened_form(f"{kept_endpoint(provider)}", token)
    assert answer == "invalid_grant"


def kept_endpoint(provider: Provider) -> str:
    """Return the provider's token endpoint."""
    document = json.loads(opened(f"{provider.url}/.well-known/openid-configuration"))
    return str(document["token_endpoint"])


def opened_form(endpoint: str, token: str) -> str:
    """Refresh by hand; return the error."""
    form = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": token}
    return str(json.loads(opened(endpoint, urlencode(form).encode())).get("error"))


def test_the_session_goes_on_by_refreshing(near: Station, provider: Provider) -> None:
    """Refresh with rotation, whatever key signs then; a token used twice ends it: log in again."""
    here = configured(near, provider.url)
    here.json("login", "--json")
    first = kept(here)["renewal"]["token"]
    make_due(here)
    if isinstance(provider, OidcProvider):
        provider.rotate()
        # Another key id is asked for once a minute at most.
        for one in (here.folder / "state" / "jwks").glob("*.json"):
            one.unlink()
    who = here.json("whoami", "--json")
    assert who["id"] == "corp/alice"
    second = kept(here)["renewal"]["token"]
    assert second != first
    nothing_tells(here, first, second)
    make_due(here, token=first)
    done = here.run("whoami")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "agentauth: not authenticated: the session of identity default has ended: issuer corp"
        " renews it no more. Log in again: `agentauth login`\n"
    )
    assert kept(here)["renewal"]["token"] is None
    assert here.run("login").returncode == 0
    assert here.json("whoami", "--json")["id"] == "corp/alice"


def device(here: Station, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Begin a login by device, which says where to go."""
    return subprocess.Popen(
        [PROGRAM, "login", *arguments],
        env={**here.environ, **variables},
        cwd=here.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(started: subprocess.Popen[str]) -> tuple[str, str]:
    """Return where to go, and the code to type in there."""
    assert started.stderr is not None
    found = re.fullmatch(
        r"open (\S+) on any device, and type in the code (\S+)\n", started.stderr.readline()
    )
    assert found is not None
    return found[1], found[2]


@pytest.mark.parametrize("arguments", [("--device",), ()])
def test_a_login_by_device(near: Station, provider: Provider, arguments: tuple[str, ...]) -> None:
    """Device grant with --device, and over SSH: code and URL on standard error."""
    here = configured(near, provider.url)
    variables = {} if arguments else {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}
    if isinstance(provider, OpenIdServer):
        provider.polls = ["authorization_pending"]
    with device(here, *arguments, **variables) as started:
        url, code = told(started)
        assert url.startswith(provider.url)
        if isinstance(provider, OidcProvider):
            browser.typed_in(url, code)
        out, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (0, "")
    assert out.startswith("logged in as corp/alice (user), identity default\nuntil: ")
    assert not (here.folder / "opened").exists()
    assert here.json("whoami", "--json")["id"] == "corp/alice"


def test_a_token_for_a_provider_from_the_real_one(near: Station, real: OidcProvider) -> None:
    """What a login was not given for, a refresh with `resource` is refused; nothing is lost."""
    config = (near.folder / "config" / "config.toml").read_text()
    near.write(
        "config.toml",
        config.replace(
            'source = "profile:source"', f'source = "web_identity"\naudience = "{RESOURCE}"'
        ),
    )
    here = configured(near, real.url)
    here.json("login", "--json")
    done = here.run("vend", ROLE)
    assert (done.returncode, done.stdout) == (4, "")
    assert "invalid_target" in done.stderr
    assert here.json("whoami", "--json")["id"] == "corp/alice"


def test_a_token_for_a_provider(near: Station, own: OpenIdServer) -> None:
    """Keyless: by a refresh with `audience`, without a token of ours that the caller could show."""
    config = (near.folder / "config" / "config.toml").read_text()
    near.write("config.toml", config.replace('"profile:source"', '"web_identity"'))
    here = configured(near, own.url)
    here.json("login", "--json")
    assert here.json("vend", ROLE)["Version"] == 1
    (form,) = own.forms("refresh_token")
    assert form["audience"] == "sts.amazonaws.com"
    assert kept(here)["renewal"]["token"] in own.refresh_tokens()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"state": "another"}, "what the browser brought is not the answer to this login"),
        ({"iss": "https://evil.test"}, "the answer is of another issuer than was asked (`iss`)"),
        ({"error": "access_denied"}, "issuer corp refused it: access_denied"),
        ({"code": ""}, "the answer holds no code"),
        ({"code": "of-somebody-else"}, "issuer corp refused it: invalid_grant"),
    ],
)
def test_an_answer_that_does_not_count(
    near: Station, own: OpenIdServer, changed: dict[str, str], said: str
) -> None:
    """Wrong state, another issuer, error answers: clear errors, nothing kept."""
    here = configured(near, own.url)
    own.redirect = lambda good: good | changed
    done = here.run("login")
    assert (done.returncode, done.stdout) == (4, "")
    *_, last = done.stderr.splitlines()
    assert last == f"agentauth: not authenticated: {said}. Nothing was kept: log in again"
    assert entries(here.folder) == {}
    assert here.run("whoami").stdout.startswith("os/")
    assert here.events() == ["login.failed"]


def test_an_id_token_that_is_not_the_answer(near: Station, own: OpenIdServer) -> None:
    """A `nonce` of another login: refused; the session before stays what it was."""
    here = configured(near, own.url)
    here.json("login", "--json")
    before = kept(here)
    own.claims = {"nonce": "another"}
    done = here.run("login")
    assert done.returncode == 4
    assert "is not the answer to this login (`nonce`)" in done.stderr
    assert kept(here) == before


def test_whoever_does_not_want_to_ends_it(near: Station, own: OpenIdServer) -> None:
    """Ctrl-C while the browser is open, or while a code is waited for: exit 130, nothing kept."""
    here = configured(near, own.url)
    own.instead["/authorize"] = (200, b"<html>Who are you?</html>")
    own.polls = ["authorization_pending"] * 100
    for arguments in ((), ("--device",)):
        with device(here, *arguments) as started:
            assert started.stderr is not None
            said = started.stderr.readline()
            assert said.startswith(("log in with corp", "open http"))
            time.sleep(0.2)
            started.send_signal(signal.SIGINT)
            out, err = started.communicate(timeout=60)
        assert (started.returncode, out) == (130, "")
        assert "Traceback" not in err
    assert entries(here.folder) == {}
    assert here.run("whoami").stdout.startswith("os/")


def test_a_second_answer_changes_nothing(near: Station, own: OpenIdServer) -> None:
    """The first answer decides; who comes later finds nobody."""
    here = configured(near, own.url)
    back: list[str] = []

    def late(good: dict[str, str]) -> dict[str, str]:
        back.append(good["code"])
        return good

    own.redirect = late
    done = here.run("login")
    assert done.returncode == 0
    url = next(one for one in done.stderr.splitlines() if one.startswith(own.url))
    redirect = dict(parse_qsl(urlsplit(url).query))["redirect_uri"]
    with pytest.raises(OSError, match="refused"):
        opened(f"{redirect}?{urlencode({'code': back[0], 'state': 'x'})}")
    assert here.json("whoami", "--json")["id"] == "corp/alice"


def test_processes_that_refresh_at_once(near: Station, own: OpenIdServer) -> None:
    """One refresh at a time over all processes; others take its result, and no session is lost."""
    here = configured(near, own.url)
    here.json("login", "--json")
    make_due(here)
    started = [here.start("whoami") for _ in range(5)]
    for one in started:
        out, err = one.communicate(timeout=100)
        assert (one.returncode, out.startswith(b"corp/alice")) == (0, True), err
    assert len(own.forms("refresh_token")) == 1


def test_logins_at_once(near: Station, own: OpenIdServer) -> None:
    """Two logins of one identity at once: one of them stays, whole."""
    here = configured(near, own.url)
    started = [here.start("login") for _ in range(3)]
    for one in started:
        _, err = one.communicate(timeout=100)
        assert one.returncode == 0, err
    assert kept(here)["renewal"]["token"] in own.refresh_tokens()
    make_due(here)
    assert here.json("whoami", "--json")["id"] == "corp/alice"


def test_a_refresh_that_is_killed(near: Station, own: OpenIdServer) -> None:
    """Killed half-way: the next run works, or says to log in again."""
    here = configured(near, own.url)
    here.json("login", "--json")
    make_due(here)
    asked = len(own.asked)

    def never(_form: dict[str, str]) -> Any:
        time.sleep(3)
        return 503, {}

    own.instead["/token"] = never
    started = here.start("whoami")
    while len(own.asked) == asked:
        time.sleep(0.01)
    started.kill()
    started.communicate(timeout=60)
    del own.instead["/token"]
    assert here.json("whoami", "--json")["id"] == "corp/alice"


def test_an_issuer_that_is_down_keeps_nobody_logged_in(near: Station, own: OpenIdServer) -> None:
    """`logout` forgets here all the same, and says what lives on there."""
    here = configured(near, own.url)
    here.json("login", "--json")
    own.die()
    done = here.run("logout")
    assert (done.returncode, done.stdout) == (0, "logged out: corp/alice, identity default\n")
    assert done.stderr.startswith(
        "identity default is forgotten here, and lives on there: issuer corp cannot be asked: "
    )
    assert entries(here.folder) == {}
    done = here.run("login")
    assert done.returncode == 4
    assert "issuer corp cannot be asked" in done.stderr


def test_a_keyring_that_takes_nothing_is_said_before_anybody_logs_in(
    near: Station, own: OpenIdServer
) -> None:
    """Headless without a keyring: a clear error, before the person is asked for anything."""
    here = configured(near, own.url)
    done = here.run("login", PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring")
    assert (done.returncode, done.stdout) == (3, "")
    assert "there is no keyring on this system" in done.stderr
    assert own.asked == []


def test_a_real_browser(near: Station, provider: Provider, tmp_path: Path) -> None:
    """The code flow through a browser as people have it."""
    program = absent.program("chromium", "chromium-browser", "google-chrome")
    here = configured(near, provider.url)
    chromium = CHROMIUM.format(program=program, folder=tmp_path / "profile")
    done = here.run("login", BROWSER=chromium)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("logged in as corp/alice (user), identity default\n")
