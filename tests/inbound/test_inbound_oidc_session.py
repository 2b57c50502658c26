"""A login in the browser or by device, as it goes on: due, renewed, ended, and by whom."""

from __future__ import annotations

import json
import signal
import threading
import traceback
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.errors import AuthenticationError, OriginError, SourceCredentialError, Stopped
from agentauth_cli.inbound import oidc, oidc_session
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import Key, parse
from agentauth_cli.inbound.keyring import Keyring
from agentauth_cli.inbound.login import read, written
from agentauth_cli.inbound.logins import Logins
from agentauth_cli.inbound.oidc_token import Tokens
from agentauth_cli.inbound.provider_token import ProviderTokens
from agentauth_cli.inbound.session import Sessions
from agentauth_cli.inbound.verifier import Verifier
from agentauth_cli.secret import Secret
from support.faulty import Faulty, redirect
from support.keyrings import entries, unended, untold, use, variables
from support.openid import CLIENT, OpenIdServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.model import Principal

HOUR = timedelta(hours=1)


@dataclass
class World:
    """A machine whose person has logged in at a provider; its clock runs with that one's."""

    folder: Path
    server: OpenIdServer
    ahead: timedelta = timedelta()
    changed: dict[str, Any] = field(default_factory=dict)
    keys_away: bool = False

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self.ahead

    def keys(self, _issuer: Issuer, _kid: str | None) -> list[Key]:
        """Return the provider's key."""
        if self.keys_away:
            raise AuthenticationError("the keys cannot be had", reason="keys_unavailable")
        found = parse(self.server.key.jwk())
        assert found is not None
        return [found]

    @property
    def issuer(self) -> Issuer:
        """The provider, as it is configured."""
        made = Issuer("corp", self.server.url, "agentauth", client_id=CLIENT)
        return replace(made, **self.changed)

    @property
    def sessions(self) -> Sessions:
        """Where logins are kept."""
        return Sessions(self.folder, Keyring(self.folder))

    @property
    def logins(self) -> Logins:
        """The logins of the machine."""
        verifier = Verifier([self.issuer], self.keys, list, lambda: None, self.now)  # type: ignore[arg-type, return-value]
        return Logins(self.sessions, [self.issuer], verifier, Path("/config"), self.now)

    def log_in(self, name: str = "x") -> Principal:
        """Log in as the provider's person."""
        found = oidc.provider(self.issuer, CLIENT, "device")
        given = self.server._POST_device({"client_id": CLIENT})[1]
        answer = self.server._by_device({"device_code": given["device_code"]})[1]
        names = ("access_token", "id_token", "refresh_token")
        access, id_token, refresh = (answer.get(one) for one in names)
        tokens = Tokens(
            Secret(access),
            answer["expires_in"],
            Secret(id_token) if id_token else None,
            Secret(refresh) if refresh else None,
        )
        login, who = self.logins.sign_in(found, tokens, None)
        self.sessions.keep(name, login, who.id, untold)
        return who

    def who(self, name: str = "x") -> Principal:
        """Return who that is now."""
        return self.logins.authenticate(name)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead += timedelta(seconds=seconds)

    def refused(self, name: str = "x") -> AuthenticationError:
        """Return why that is nobody now; no token is told."""
        secrets = [one for grant in self.server.grants for one in (grant.refresh, *grant.spent)]
        with pytest.raises(AuthenticationError) as caught:
            self.who(name)
        told = "".join(traceback.format_exception(caught.value))
        assert not any(one and one in told for one in secrets)
        return caught.value

    @property
    def refreshed(self) -> int:
        """How often a refresh was asked for."""
        return len(self.server.forms("refresh_token"))

    def kept(self, name: str = "x") -> str:
        """Return the refresh token that is kept."""
        login, _ = self.sessions.get(name)
        assert login.renewal is not None
        assert login.renewal.token is not None
        return login.renewal.token.reveal()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a machine with a keyring, and a provider."""
    use(monkeypatch, variables(tmp_path))
    with OpenIdServer() as server:
        made = World(tmp_path / "state", server)
        server.clock = lambda: made.now().timestamp()
        yield made


def test_it_stands_until_it_is_due_without_asking_anybody(world: World) -> None:
    """Claims are judged by signature when they come, and by the configuration at each use."""
    who = world.log_in()
    since = datetime.now(UTC)
    assert (who.id, who.auth) == ("corp/alice", "jwt")
    assert who.authenticated_at is not None
    assert abs(who.authenticated_at - since) < timedelta(seconds=5)
    assert who.expires_at == who.authenticated_at + 8 * HOUR
    asked = len(world.server.asked)
    world.keys_away = True
    world.later(290)
    assert world.who() == who
    assert len(world.server.asked) == asked
    world.changed = {"require": {"tenant": "acme"}}
    assert world.refused().reason == "requirement_unmet"
    assert "access" not in written(world.sessions.get("x")[0]).reveal()


def test_what_is_kept_is_no_token_but_the_refresh_token(world: World) -> None:
    """Of the ID token the claims are kept: what is stolen from a keyring is not one to show."""
    world.log_in()
    (entry,) = entries(world.folder.parent).values()
    assert "eyJ" not in entry
    assert world.kept() in entry
    login, _ = world.sessions.get("x")
    assert read(written(login)) == login
    assert world.kept() not in repr(login)


@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_it_goes_on_by_refreshing(world: World, rotates: bool, again: bool) -> None:
    """Refresh tokens are rotated; a refresh may bring no ID token, or new claims."""
    world.server.rotates, world.server.id_token_again = rotates, again
    who = world.log_in()
    first = world.kept()
    world.server.claims = {"email": "new@example.test"}
    for _ in range(3):
        world.later(400)
        now = world.who()
        assert (now.id, now.expires_at) == (who.id, who.expires_at)
        assert now.claims.get("email") == ("new@example.test" if again else None)
    assert world.refreshed == 3
    assert (world.kept() != first) is rotates
    assert world.server.refresh_tokens() == [world.kept()]


def test_the_shorter_life_decides_when_it_is_due(world: World) -> None:
    """Due when the access token or the ID token ends, whichever is first."""
    world.server.id_life, world.server.life = 4000, 60
    world.log_in()
    world.later(61)
    world.who()
    assert world.refreshed == 1
    world.later(61)
    world.who()
    assert world.refreshed == 2


def test_it_ends_at_session(world: World) -> None:
    """It ends at `session`, however willing the provider is; then nothing is sent to it."""
    world.changed = {"session": 1000}
    world.log_in()
    world.later(999)
    world.who()
    world.later(2)
    assert world.refused().reason == "session_ended"
    assert world.refreshed == 1


def test_it_ends_when_the_provider_stops_refreshing_it(world: World) -> None:
    """Or when the provider stops refreshing it: said, and never asked again."""
    world.log_in()
    world.server.grants[0].over = True
    world.later(400)
    error = world.refused()
    assert (error.reason, error.exit_code) == ("session_ended", 4)
    assert error.message == ("the session of identity x has ended: issuer corp renews it no more")
    assert error.hint == "Log in again: `agentauth login --identity x`"
    assert world.refused().reason == "session_ended"
    assert world.refreshed == 1
    world.log_in()
    assert world.who().id == "corp/alice"


def test_a_provider_that_gives_no_refresh_token(world: World) -> None:
    """Then it ends with its ID token."""
    world.server.refreshes = False
    world.server.life = 10
    who = world.log_in()
    assert who.expires_at is not None
    assert who.expires_at - world.now() < timedelta(seconds=301)
    world.later(290)
    assert world.who().id == "corp/alice"
    world.later(20)
    assert world.refused().reason == "session_ended"
    assert world.refreshed == 0


def test_no_id_token_is_no_login(world: World) -> None:
    """Without an ID token nobody knows who has logged in."""
    world.server.tokens = {"id_token": None}
    with pytest.raises(AuthenticationError) as caught:
        world.log_in()
    assert caught.value.reason == "id_token_missing"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((500, {}), "renewal_refused"),
        ((400, {"error": "invalid_client"}), "renewal_refused"),
        ((200, b"{}"), "answer_refused"),
    ],
)
def test_a_provider_that_fails_ends_nothing(world: World, said: Any, reason: str) -> None:
    """An issuer that is down is exit 4 for now; the session is there when it is back."""
    world.log_in()
    world.later(400)
    world.server.instead["/token"] = said
    error = world.refused()
    assert (error.reason, error.exit_code) == (reason, 4)
    del world.server.instead["/token"]
    assert world.who().id == "corp/alice"


def test_an_issuer_that_is_gone(world: World) -> None:
    """The same where nobody answers."""
    world.log_in()
    world.later(400)
    world.server.die()
    assert world.refused().reason == "issuer_unreachable"
    assert world.sessions.principals() == {"x": "corp/alice"}


def test_a_refresh_token_goes_where_it_came_from_alone(world: World) -> None:
    """No redirect is followed, and a configuration that names other endpoints gets exit 3."""
    world.log_in()
    world.later(400)
    with Faulty([lambda: iter(redirect(f"{world.server.url}/token"))]) as evil:
        before = len(world.server.asked)
        for changed in (
            {"issuer": evil.url},
            {"client_id": "other"},
            {"token_endpoint": f"{evil.url}/token"},
            {"revocation_endpoint": f"{evil.url}/revoke"},
            {"authorization_endpoint": f"{evil.url}/authorize"},
            {"device_authorization_endpoint": f"{evil.url}/device"},
        ):
            world.changed = changed
            with pytest.raises(OriginError):
                world.who()
        assert not evil.requests
        assert len(world.server.asked) == before


@pytest.mark.parametrize("claims", [{"sub": "bob"}, {"aud": "other"}, {"azp": "other"}])
def test_a_refresh_that_brings_somebody_else(world: World, claims: dict[str, str]) -> None:
    """The subject of a refresh is that of the login, or it is refused; nothing is lost by it."""
    world.log_in()
    world.later(400)
    world.server.claims = claims
    world.refused()
    world.server.claims = {}
    assert world.who().id == "corp/alice"


def test_the_new_token_is_kept_before_anything_else_may_fail(world: World) -> None:
    """The keys cannot be had while the ID token is judged: the old refresh token is spent."""
    world.log_in()
    first = world.kept()
    world.later(400)
    world.keys_away = True
    assert world.refused().reason == "keys_unavailable"
    assert world.kept() != first
    world.keys_away = False
    assert world.who().id == "corp/alice"


def test_what_cannot_be_kept_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring that takes nothing any more: exit 4, and the next run says to log in again."""
    world.log_in()
    world.later(400)
    use(monkeypatch, variables(world.folder.parent, "TellingKeyring"))
    assert world.refused().reason == "keyring_unavailable"
    use(monkeypatch, variables(world.folder.parent))
    assert world.refused().reason == "session_ended"  # the old token is used twice


def test_one_refresh_at_a_time(world: World) -> None:
    """Others wait, and take its result: no refresh token is used twice."""
    world.log_in()
    world.later(400)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(world.who().id)) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert found == ["corp/alice"] * 8
    assert world.refreshed == 1


def meanwhile(world: World, act: Any) -> None:
    """Have something done while the provider answers the next refresh."""

    def said(form: dict[str, str]) -> Any:
        del world.server.instead["/token"]
        answer = world.server._POST_token(form)
        act()
        return answer

    world.server.instead["/token"] = said


@pytest.mark.parametrize("again", [True, False])
def test_a_login_while_another_process_refreshes(world: World, again: bool) -> None:
    """The new login stays, and is who the waiting one is."""
    world.server.id_token_again = again
    world.log_in()
    world.later(400)

    def act() -> None:
        world.server.subject = "bob"
        world.log_in()

    meanwhile(world, act)
    assert world.who().id == "corp/bob"
    assert world.who().id == "corp/bob"
    assert world.kept() == world.server.grants[-1].refresh


def test_a_login_while_the_provider_ends_the_one_before(world: World) -> None:
    """Somebody who has logged in meanwhile is not told to log in."""
    world.log_in()
    world.server.grants[0].over = True
    world.later(400)
    meanwhile(world, world.log_in)
    assert world.who().id == "corp/alice"


@pytest.mark.parametrize("again", [True, False])
def test_a_logout_while_another_process_refreshes(world: World, again: bool) -> None:
    """It stays logged out, and what was given meanwhile is revoked."""
    world.server.id_token_again = again
    world.log_in()
    world.later(400)
    meanwhile(world, lambda: world.sessions.forget("x", untold, unended))
    assert world.refused().reason == "identity_unknown"
    assert entries(world.folder.parent) == {}
    assert world.server.refresh_tokens() == []


def test_a_logout_while_the_provider_is_gone(world: World) -> None:
    """What cannot be revoked keeps nobody logged in."""
    world.log_in()
    world.later(400)
    world.server.instead["/revoke"] = (503, {})
    meanwhile(world, lambda: world.sessions.forget("x", untold, unended))
    assert world.refused().reason == "identity_unknown"


def test_a_signal_while_it_is_refreshed(world: World) -> None:
    """Whoever is stopped meanwhile stops once what was given is kept: the old token is spent."""
    world.log_in()
    world.later(400)
    main = threading.get_ident()

    def stop(signum: int, _frame: object) -> None:
        raise Stopped(signum)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        meanwhile(world, lambda: signal.pthread_kill(main, signal.SIGTERM))
        with pytest.raises(Stopped):
            world.who()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert world.who().id == "corp/alice"
    assert world.refreshed == 1


def test_a_refresh_token_that_is_used_twice(world: World) -> None:
    """A copy of it ends the session at the provider: here that is a login, and no more."""
    world.log_in()
    copy = world.kept()
    world.later(400)
    world.who()
    form = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": copy}
    assert world.server._POST_token(form)[0] == 400
    world.later(400)
    assert world.refused().reason == "session_ended"


def test_a_login_without_its_way_on_is_damaged(world: World) -> None:
    """An entry of this kind has its renewal, whole, or is no login."""
    world.log_in()
    file = world.folder.parent / "keyring.json"
    ((name, good),) = entries(world.folder.parent).items()
    fields = json.loads(good)
    for changed in (
        {"renewal": None},
        {"renewal": {**fields["renewal"], "due": "2026-11-23T10:00:00"}},
        {"renewal": {**fields["renewal"], "token": 7}},
        {"renewal": {**fields["renewal"], "endpoint": None}},
        {"secret": "{"},
        {"secret": "[]"},
    ):
        file.write_text(json.dumps({name: json.dumps({**fields, **changed})}))
        assert world.refused().reason == "session_damaged"


# --- tokens for the providers ---------------------------------------------------------------------


def port(world: World) -> ProviderTokens:
    """Return what gets tokens for a provider."""
    logins = world.logins
    return ProviderTokens(
        [world.issuer],
        lambda: logins.token("x"),
        world.now,
        renewal=lambda: logins.renewal("x"),
    )


@pytest.mark.parametrize(
    ("audience", "asked"),
    [
        ("sts.amazonaws.com", {"audience": "sts.amazonaws.com"}),
        ("https://a.test/x", {"audience": "https://a.test/x", "resource": "https://a.test/x"}),
        ("https://a.test/#x", {"audience": "https://a.test/#x"}),
    ],
)
def test_a_token_for_a_provider(world: World, audience: str, asked: dict[str, str]) -> None:
    """By a refresh with `resource` (RFC 8707) and `audience`."""
    who = world.log_in()
    way = port(world).way(who)
    assert (way.words, way.reused) == ("a refresh at issuer corp", False)
    token = port(world).token_for(who, audience)
    assert token.reveal().count(".") == 2
    (form,) = world.server.forms("refresh_token")
    assert form == {
        "grant_type": "refresh_token",
        "client_id": CLIENT,
        "refresh_token": form["refresh_token"],
        **asked,
    }
    assert world.server.refresh_tokens() == [world.kept()]
    assert world.who() == who


def test_a_provider_that_gives_none_for_this_audience(world: World) -> None:
    """What comes for another audience is refused, as what does not come at all."""
    who = world.log_in()
    world.server.tokens = {"access_token": world.server.id_token(None)}
    with pytest.raises(SourceCredentialError, match="audience is not sts"):
        port(world).token_for(who, "sts.amazonaws.com")
    world.server.instead["/token"] = (400, {"error": "invalid_target"})
    with pytest.raises(SourceCredentialError, match="invalid_target"):
        port(world).token_for(who, "sts.amazonaws.com")
    world.server.die()
    with pytest.raises(SourceCredentialError, match="cannot be asked"):
        port(world).token_for(who, "sts.amazonaws.com")


def test_somebody_elses_login_gives_no_token(world: World) -> None:
    """A token is the principal's own, whoever logs in meanwhile."""
    who = world.log_in()
    renew = world.logins.renewal("x")
    assert renew is not None
    world.server.subject = "bob"
    world.log_in()
    with pytest.raises(AuthenticationError, match="logged in anew meanwhile"):
        renew(who, "sts.amazonaws.com")
    assert world.refreshed == 0


def test_a_login_that_cannot_be_refreshed_gives_no_token(world: World) -> None:
    """Without a refresh token there is no way; its ID token is nobody's to show."""
    world.server.refreshes = False
    who = world.log_in()
    with pytest.raises(SourceCredentialError, match="nothing gives a token"):
        port(world).token_for(who, "sts.amazonaws.com")


def test_what_a_logout_ends(world: World) -> None:
    """The refresh token is revoked where the issuer has an endpoint (RFC 7009)."""
    world.log_in()
    login, _ = world.sessions.get("x")
    oidc_session.end(login)
    assert world.server.refresh_tokens() == []
    assert login.renewal is not None
    before = len(world.server.asked)
    oidc_session.end(replace(login, renewal=replace(login.renewal, revocation=None)))
    oidc_session.end(replace(login, renewal=replace(login.renewal, token=None)))
    oidc_session.end(replace(login, renewal=None))
    with pytest.raises(ValueError, match="no login that goes on"):
        world.logins._renewals.judged(replace(login, renewal=None), world.issuer)
    assert len(world.server.asked) == before
