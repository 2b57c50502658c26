"""What a login stands for, how long, and with which configuration."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.errors import AuthenticationError, OriginError
from agentauth_cli.inbound import apikey
from agentauth_cli.inbound.apikey import ApiKey
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import Key, parse
from agentauth_cli.inbound.keyring import Keyring
from agentauth_cli.inbound.logins import Logins
from agentauth_cli.inbound.session import Sessions
from agentauth_cli.inbound.verifier import Verifier
from agentauth_cli.model import KeyState
from agentauth_cli.secret import Secret
from support.clock import START, FakeClock
from support.issuer import signer
from support.keyrings import untold, use, variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.inbound.login import Kept

CONFIG = Path("/configuration")
OKTA = Issuer(
    "okta",
    "https://login.example.test",
    "agentauth",
    jwks_url="https://login.example.test/keys",
    client_id="0oa1",
    token_endpoint="https://login.example.test/token",
)
MADE = signer("ES256")
HOUR = timedelta(hours=1)
KEY = apikey.make(random.Random(1).choice)  # noqa: S311 - to be the same again


def issuer_keys(_issuer: Issuer, _kid: str | None) -> list[Key]:
    """Return the one key of the issuer."""
    key = parse(MADE.jwk())
    assert key is not None
    return [key]


@dataclass
class World:
    """A machine: its clock, its configuration, its keyring."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    issuers: Sequence[Issuer] = (OKTA,)
    config: Path = CONFIG
    revoked: datetime | None = None
    expires: datetime = START + timedelta(days=90)

    def api_key(self, _key_id: str) -> KeyState:
        """Return how a key stands."""
        return KeyState(revoked_at=self.revoked)

    def api_key_used(self, _key_id: str) -> None:
        """Note a use."""

    def keys(self) -> list[ApiKey]:
        """Return the keys of the configuration."""
        shown = apikey.parse(KEY)
        return [ApiKey(shown.id, "build-7", "agent", shown.hash, START, self.expires)]

    @property
    def logins(self) -> Logins:
        """The logins of the machine, judged by its configuration."""
        verifier = Verifier(self.issuers, issuer_keys, self.keys, lambda: self, self.clock)
        sessions = Sessions(self.folder, Keyring(self.folder))
        return Logins(sessions, self.issuers, verifier, self.config, self.clock)

    def log_in(self, kind: Kept, secret: Secret, name: str = "x") -> Any:
        """Log in; return who that is."""
        login, who = self.logins.begin(kind, secret)
        self.logins.sessions.keep(name, login, who.id, untold)
        return who

    def refusal(self) -> AuthenticationError:
        """Return why the identity is nobody."""
        with pytest.raises(AuthenticationError) as caught:
            self.logins.authenticate("x")
        return caught.value


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a machine with a keyring."""
    use(monkeypatch, variables(tmp_path))
    return World(tmp_path / "state")


def token(life: timedelta = 12 * HOUR, **claims: object) -> Secret:
    """Return a token of now."""
    usual = {
        "iss": OKTA.issuer,
        "aud": "agentauth",
        "sub": "alice",
        "iat": START.timestamp(),
        "exp": (START + life).timestamp(),
    }
    return Secret(MADE.token({**usual, **claims}))


def test_a_login_stands_for_its_principal(world: World) -> None:
    """A verified principal until it expires; known since the moment of our own login."""
    who = world.log_in("jwt", token())
    assert (who.id, who.auth) == ("okta/alice", "jwt")
    assert who.authenticated_at == START
    assert who.expires_at == START + 8 * HOUR
    world.clock.advance(seconds=3600)
    assert world.logins.authenticate("x") == who


def test_somebody_elses_entry_stands_for_nobody(world: World) -> None:
    """What the keyring holds has to be of whom the note says, however it came there."""
    world.log_in("jwt", token(), "x")
    world.log_in("jwt", token(sub="bob"), "y")
    file = world.folder.parent / "keyring.json"
    found = json.loads(file.read_text())
    found["agentauth identity:x"] = found["agentauth identity:y"]
    file.write_text(json.dumps(found))
    error = world.refusal()
    assert error.reason == "session_other"
    assert error.message == (
        "identity x was kept for okta/alice, and what the keyring holds for it is that of okta/bob"
    )
    assert world.logins.authenticate("y").id == "okta/bob"


def test_the_auth_time_of_the_token_comes_first(world: World) -> None:
    """`authenticated_at` is the token's auth_time; else the moment of our own login."""
    since = START - 3 * HOUR
    who = world.log_in("jwt", token(auth_time=since.timestamp()))
    assert who.authenticated_at == since
    assert world.logins.authenticate("x").authenticated_at == since


@pytest.mark.parametrize(
    ("life", "session", "ends"),
    [(12 * HOUR, 8 * 3600, 8 * HOUR), (2 * HOUR, 8 * 3600, 2 * HOUR), (12 * HOUR, 60, HOUR / 60)],
)
def test_it_ends_at_session_or_with_its_token(
    world: World, life: timedelta, session: int, ends: timedelta
) -> None:
    """It ends at `session` (default 8 h) or at the token's expiry, whichever is first."""
    world.issuers = [replace(OKTA, session=session)]
    assert world.log_in("jwt", token(life)).expires_at == START + ends
    world.clock.now = START + ends - timedelta(seconds=1)
    assert world.logins.authenticate("x").expires_at == START + ends
    world.clock.now = START + ends + timedelta(seconds=30)  # the leeway of a token
    error = world.refusal()
    assert error.reason == "session_ended"
    assert error.hint == "Log in again: `agentauth login --identity x`"


def test_a_session_that_is_cut_ends_the_logins_that_there_are(world: World) -> None:
    """`session` is enforced at use, as the configuration says it then."""
    world.log_in("jwt", token())
    world.clock.advance(seconds=3600)
    world.issuers = [replace(OKTA, session=3600)]
    assert world.refusal().reason == "session_ended"


@pytest.mark.parametrize(("back", "ended"), [(30, False), (31, True)])
def test_a_clock_that_was_set_back_ends_a_login(world: World, back: int, ended: bool) -> None:
    """A login of the future would never end."""
    world.log_in("jwt", token(iat=START.timestamp() - 3600))
    world.clock.advance(seconds=-back)
    if ended:
        assert world.refusal().reason == "session_ended"
    else:
        assert world.logins.authenticate("x").id == "okta/alice"


def test_a_login_is_judged_anew(world: World) -> None:
    """A token that the issuer's settings refuse by now is refused, not remembered as good."""
    world.log_in("jwt", token())
    world.issuers = [replace(OKTA, require={"tenant": "acme"})]
    assert world.refusal().reason == "requirement_unmet"


@pytest.mark.parametrize(
    ("origin", "change"),
    [
        ("issuer", {"name": "other"}),
        ("issuer", {"issuer": "https://evil.test"}),
        ("audience", {"audience": "other"}),
        ("client_id", {"client_id": None}),
        ("jwks_url", {"jwks_url": "https://evil.test/keys"}),
        ("jwks_file", {"jwks_file": Path("/configuration/keys.json")}),
        ("token_endpoint", {"token_endpoint": "https://evil.test/token"}),
    ],
)
def test_a_login_is_used_with_its_origins_alone(
    world: World, origin: str, change: dict[str, Any]
) -> None:
    """A configuration that names other endpoints gets exit 3, for its token too."""
    world.log_in("jwt", token())
    world.issuers = [replace(OKTA, **change)]
    for use_it in (world.logins.authenticate, world.logins.token):
        with pytest.raises(OriginError, match=f"for another `{origin}`") as caught:
            use_it("x")
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("kind", ["jwt", "api_key"])
def test_a_login_is_used_with_its_configuration_alone(world: World, kind: Kept) -> None:
    """Whoever can set AGENTAUTH_CONFIG_DIR would collect sessions otherwise."""
    world.log_in(kind, token() if kind == "jwt" else KEY)
    world.config = Path("/tmp/evil")
    with pytest.raises(OriginError, match="for another `config`"):
        world.logins.authenticate("x")


def test_what_is_not_verified_is_not_kept(world: World) -> None:
    """Verified first, kept only if good."""
    tries: list[tuple[Kept, Secret]] = [
        *(("jwt", KEY), ("api_key", token()), ("jwt", token(-HOUR))),
    ]
    for kind, bad in tries:
        with pytest.raises(AuthenticationError):
            world.log_in(kind, bad)
    assert world.logins.sessions.principals() == {}


def test_a_stored_key_is_judged_anew_at_each_use(world: World) -> None:
    """An identity whose API key is stored is refused once the key is revoked or has expired."""
    who = world.log_in("api_key", KEY)
    assert (who.id, who.authenticated_at, who.expires_at) == ("key/build-7", START, world.expires)
    assert world.logins.authenticate("x") == who
    world.revoked = START
    assert world.refusal().reason == "api_key_revoked"
    world.revoked, world.expires = None, START
    assert world.refusal().reason == "api_key_expired"


def test_the_token_of_a_login(world: World) -> None:
    """What can be exchanged at the issuer is the JWT; an API key is nothing to an issuer."""
    made = token()
    world.log_in("jwt", made)
    world.log_in("api_key", KEY, "k")
    assert world.logins.token("x") == made
    assert world.logins.token("k") is None
