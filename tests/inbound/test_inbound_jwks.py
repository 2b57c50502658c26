"""The keys of the issuers: what is fetched, what is kept, and for how long."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from agentauth_cli.errors import AuthenticationError, ConfigError, UnsafeFileError
from agentauth_cli.inbound import jwks
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwks import KeySource
from agentauth_cli.inbound.jwt import verify
from agentauth_cli.secret import Secret
from support.issuer import DISCOVERY, KEYS, Behaviour, IssuerServer, signer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ONE = signer("RS256")
TWO = signer("ES256", "k2")
BAD: list[Behaviour] = ["huge", "redirect", "error", "html", "duplicate"]


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def passes(self, seconds: float) -> None:
        """Let this many seconds pass."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def server() -> Iterator[IssuerServer]:
    """Return an issuer with one key, while the test lasts."""
    with IssuerServer(ONE.jwk()) as running:
        yield running


@pytest.fixture
def time() -> Time:
    """Return a clock."""
    return Time()


@pytest.fixture
def source(tmp_path: Path, time: Time) -> KeySource:
    """Return a source with an empty cache."""
    return KeySource(tmp_path / "state" / "jwks", time)


def issuer_of(server: IssuerServer, jwks_url: str | None = None) -> Issuer:
    """Return the configuration of this issuer."""
    return Issuer("okta", server.url, "agentauth", jwks_url=jwks_url)


def kids(source: KeySource, issuer: Issuer, kid: str | None = None) -> list[str | None]:
    """Return the key ids that the source has."""
    return [key.kid for key in source(issuer, kid)]


def refusal(source: KeySource, issuer: Issuer, kid: str | None = None) -> str:
    """Return the reason for which there are no keys."""
    with pytest.raises(AuthenticationError) as caught:
        source(issuer, kid)
    return caught.value.reason


def test_keys_are_discovered(server: IssuerServer, source: KeySource) -> None:
    """The keys are discovered from the issuer."""
    assert kids(source, issuer_of(server), "k1") == ["k1"]
    assert server.requests == {DISCOVERY: 1, KEYS: 1}


def test_a_token_is_verified_with_them(server: IssuerServer, source: KeySource) -> None:
    """A token and the keys of a real issuer meet in a principal."""
    exp = int(NOW.timestamp()) + 60
    claims = {"iss": server.url, "aud": "agentauth", "sub": "alice", "exp": exp}
    token = Secret(ONE.token(claims))
    assert verify(token, [issuer_of(server)], source, NOW).id == "okta/alice"


def test_a_key_url_is_asked_without_discovery(server: IssuerServer, source: KeySource) -> None:
    """`jwks_url` takes the place of discovery."""
    assert kids(source, issuer_of(server, server.keys_url)) == ["k1"]
    assert server.requests == {KEYS: 1}


def test_a_trailing_slash_of_the_issuer(server: IssuerServer, source: KeySource) -> None:
    """The path of discovery follows the issuer without its last slash; its name keeps it."""
    server.document = {"issuer": server.url + "/"}
    issuer = Issuer("okta", server.url + "/", "agentauth")
    assert kids(source, issuer) == ["k1"]


def test_keys_serve_for_an_hour(server: IssuerServer, source: KeySource, time: Time) -> None:
    """Cached for an hour; then the issuer is asked again, and what it took away is gone."""
    issuer = issuer_of(server)
    assert kids(source, issuer) == ["k1"]
    server.keys = [TWO.jwk()]
    time.passes(3599)
    assert kids(source, issuer) == ["k1"]
    assert server.requests[KEYS] == 1
    time.passes(1)
    assert kids(source, issuer) == ["k2"]
    assert server.requests[KEYS] == 2


def test_another_process_finds_them(server: IssuerServer, tmp_path: Path, time: Time) -> None:
    """The cache is in the state directory: the next process asks nobody."""
    for _ in range(3):
        assert kids(KeySource(tmp_path / "jwks", time), issuer_of(server)) == ["k1"]
    assert server.requests[KEYS] == 1


def test_an_unknown_key_id_refetches_once_a_minute(
    server: IssuerServer, tmp_path: Path, time: Time
) -> None:
    """An unknown `kid` refetches at most once a minute over all processes."""
    issuer = issuer_of(server)
    assert kids(KeySource(tmp_path / "jwks", time), issuer) == ["k1"]
    server.keys.append(TWO.jwk())
    for _ in range(5):
        time.passes(10)
        assert kids(KeySource(tmp_path / "jwks", time), issuer, "k2") == []
    assert server.requests[KEYS] == 1
    time.passes(10)
    assert kids(KeySource(tmp_path / "jwks", time), issuer, "k2") == ["k2"]
    assert server.requests[KEYS] == 2


def test_many_at_once_fetch_once(server: IssuerServer, tmp_path: Path, time: Time) -> None:
    """Whoever waited for another's request takes its answer."""
    found: list[list[str | None]] = []
    callers = [
        threading.Thread(
            target=lambda: found.append(
                kids(KeySource(tmp_path / "jwks", time), issuer_of(server), "k1")
            )
        )
        for _ in range(8)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [["k1"]] * 8
    assert server.requests[KEYS] == 1


def test_the_last_good_set_serves_for_a_day(
    server: IssuerServer, source: KeySource, time: Time
) -> None:
    """The last good set serves for 24 h if the issuer is down."""
    issuer = issuer_of(server)
    assert kids(source, issuer) == ["k1"]
    server.die()
    time.passes(3600)
    assert kids(source, issuer, "k1") == ["k1"]
    time.passes(23 * 3600 - 1)
    assert kids(source, issuer, "k1") == ["k1"]
    time.passes(1)
    assert refusal(source, issuer, "k1") == "keys_unavailable"


@pytest.mark.parametrize("behaviour", BAD)
@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
def test_an_answer_that_is_none(
    server: IssuerServer, source: KeySource, time: Time, behaviour: Behaviour, path: str
) -> None:
    """No redirects, 512 KiB, strict JSON: else the last good set serves, or none."""
    issuer = issuer_of(server)
    server.behaviour, server.misbehaves_at = behaviour, path
    assert refusal(source, issuer) == "keys_unavailable"
    assert server.requests["/elsewhere"] == 0

    server.behaviour = "good"
    time.passes(60)
    assert kids(source, issuer) == ["k1"]

    server.behaviour = behaviour
    time.passes(3600)
    assert kids(source, issuer, "k1") == ["k1"]
    assert server.requests["/elsewhere"] == 0


@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
def test_a_slow_issuer(
    server: IssuerServer, source: KeySource, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is bounded for all requests together, also where a byte comes now and then."""
    monkeypatch.setattr(jwks, "SECONDS", 0.3)
    server.behaviour, server.misbehaves_at = "slow", path
    assert refusal(source, issuer_of(server)) == "keys_unavailable"


def test_five_seconds_in_all() -> None:
    """5 s in all, 512 KiB each."""
    assert (jwks.SECONDS, jwks.LIMIT) == (5.0, 524_288)


def test_a_dead_issuer_is_asked_once_a_minute(
    server: IssuerServer, source: KeySource, time: Time
) -> None:
    """A failure counts as an attempt, so that nobody waits for a dead issuer at each command."""
    issuer = issuer_of(server)
    server.behaviour = "error"
    for _ in range(6):
        assert refusal(source, issuer) == "keys_unavailable"
        time.passes(10)
    assert server.requests[KEYS] == 1
    server.behaviour = "good"
    assert kids(source, issuer) == ["k1"]


def test_an_attempt_of_the_future_stops_nobody(
    server: IssuerServer, source: KeySource, time: Time
) -> None:
    """Times of a clock that was wrong count for nothing."""
    time.passes(10**6)
    assert kids(source, issuer_of(server)) == ["k1"]
    time.passes(-(10**6))
    server.keys = [TWO.jwk()]
    assert kids(source, issuer_of(server)) == ["k2"]


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://login.example.test"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": ["https://login.example.test/keys"]},
        {"jwks_uri": "https://login.example.test/" + "k" * 2048},
    ],
)
def test_a_document_of_another_issuer(
    server: IssuerServer, source: KeySource, document: dict[str, object]
) -> None:
    """The document's `issuer` must be equal exactly, and it must name its keys."""
    server.document = document
    assert refusal(source, issuer_of(server)) == "discovery_refused"
    assert server.requests[KEYS] == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.test/keys",
        "http://192.0.2.1/keys",
        "http://localhost.example.test/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "/keys",
        "",
        "http://127.0.0.1/ keys",
        "http://127.0.0.1/\r\nx: y",
    ],
)
def test_plain_http_is_for_loopback_only(
    server: IssuerServer, source: KeySource, time: Time, url: str
) -> None:
    """HTTPS only; plain HTTP for loopback only, wherever the address comes from."""
    assert refusal(source, issuer_of(server, url)) == "keys_unavailable"
    server.document = {"jwks_uri": url}
    time.passes(60)
    assert refusal(source, issuer_of(server)) == "keys_unavailable"
    assert server.requests[KEYS] == 0


def test_an_https_issuer_keeps_to_https(source: KeySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """An issuer over HTTPS cannot send us to plain HTTP, not even on loopback."""
    issuer = Issuer("okta", "https://login.example.test", "agentauth")
    document = {"issuer": issuer.issuer, "jwks_uri": "http://127.0.0.1/keys"}
    monkeypatch.setattr(jwks, "_get", lambda *_: document)
    assert refusal(source, issuer) == "discovery_refused"


def test_keys_that_cannot_verify_are_passed_over(server: IssuerServer, source: KeySource) -> None:
    """A key that does not parse, or is not for signatures, leaves the others as they are."""
    server.keys = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k1"},
        {"kty": "RSA", "kid": "broken"},
        cast("dict[str, object]", "no key at all"),
        signer("EdDSA", "enc").jwk(use="enc"),
        signer("EdDSA", "lost").private_jwk(),
        TWO.jwk(),
    ]
    assert kids(source, issuer_of(server)) == ["k2"]


@pytest.mark.parametrize("keys", [None, {}, "keys"])
def test_a_set_without_a_list_is_none(
    server: IssuerServer, source: KeySource, keys: object
) -> None:
    """An answer without a list of keys is no key set."""
    server.keys = cast("list[Mapping[str, object]]", keys)
    assert refusal(source, issuer_of(server)) == "keys_unavailable"


def test_an_empty_set_is_an_answer(server: IssuerServer, source: KeySource, time: Time) -> None:
    """An issuer that takes back all its keys is believed."""
    issuer = issuer_of(server)
    assert kids(source, issuer) == ["k1"]
    server.keys = []
    time.passes(3600)
    assert kids(source, issuer) == []
    assert kids(source, issuer, "k1") == []


def cache_file(tmp_path: Path) -> Path:
    """Return the one cache file."""
    (found,) = (tmp_path / "state" / "jwks").glob("*.json")
    return found


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"\xff", b'{"attempted_at": "x"}', b"[" * 10_000],
)
def test_a_damaged_cache_is_as_if_it_were_not_there(
    server: IssuerServer, source: KeySource, tmp_path: Path, content: bytes
) -> None:
    """A damaged cache file is fetched anew."""
    assert kids(source, issuer_of(server)) == ["k1"]
    cache_file(tmp_path).write_bytes(content)
    assert kids(source, issuer_of(server)) == ["k1"]
    assert server.requests[KEYS] == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("issuer", "https://evil.test"),
        ("jwks_url", "https://evil.test/keys"),
        ("fetched_at", True),
        ("fetched_at", None),
        ("attempted_at", "1"),
        ("keys", {}),
    ],
)
def test_a_cache_of_another_issuer_is_not_used(
    server: IssuerServer, source: KeySource, tmp_path: Path, name: str, value: object
) -> None:
    """A cache file says whose it is; one that says otherwise, or nothing clear, is not used."""
    assert kids(source, issuer_of(server)) == ["k1"]
    file = cache_file(tmp_path)
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {name: value}))
    assert kids(source, issuer_of(server)) == ["k1"]
    assert server.requests[KEYS] == 2


def test_a_cache_that_others_may_write_is_refused(
    server: IssuerServer, source: KeySource, tmp_path: Path
) -> None:
    """Keys that somebody else could have put there are not believed."""
    assert kids(source, issuer_of(server)) == ["k1"]
    cache_file(tmp_path).chmod(0o666)
    with pytest.raises(UnsafeFileError):
        source(issuer_of(server), None)


def test_the_cache_is_ours_alone(server: IssuerServer, source: KeySource, tmp_path: Path) -> None:
    """Folder and file of the cache are closed to others, and hold public members alone."""
    server.keys = [ONE.jwk(x5c=["certificate"], note="more")]
    assert kids(source, issuer_of(server)) == ["k1"]
    file = cache_file(tmp_path)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    (kept,) = json.loads(file.read_bytes())["keys"]
    assert set(kept) == {"kty", "kid", "use", "n", "e"}


def test_issuers_do_not_share_a_cache(source: KeySource) -> None:
    """Two issuers that use one name and one key id have each its own keys."""
    with IssuerServer(ONE.jwk()) as first, IssuerServer(TWO.jwk()) as second:
        assert kids(source, issuer_of(first)) == ["k1"]
        assert kids(source, issuer_of(second)) == ["k2"]
        assert kids(source, issuer_of(second, first.keys_url)) == ["k1"]


def test_a_key_file_is_read_at_each_use(tmp_path: Path, source: KeySource) -> None:
    """`jwks_file` takes the place of the network and is read at each use."""
    path = tmp_path / "keys.json"
    issuer = Issuer("okta", "https://login.example.test", "agentauth", jwks_file=path)
    assert refusal(source, issuer) == "keys_unavailable"
    for made in (ONE, TWO):
        path.write_text(json.dumps({"keys": [made.jwk()]}))
        path.chmod(0o644)
        assert kids(source, issuer) == [made.kid]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"keys": {}}', b'{"keys": [], "keys": []}'])
def test_a_broken_key_file(tmp_path: Path, source: KeySource, content: bytes) -> None:
    """A key file that is no key set is refused."""
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    path.chmod(0o644)
    issuer = Issuer("okta", "https://login.example.test", "agentauth", jwks_file=path)
    assert refusal(source, issuer) == "keys_unavailable"


def test_an_unsafe_key_file(tmp_path: Path, source: KeySource) -> None:
    """A key file that others may write, or that is over 512 KiB, is an error of configuration."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [ONE.jwk()]}))
    path.chmod(0o666)
    issuer = Issuer("okta", "https://login.example.test", "agentauth", jwks_file=path)
    with pytest.raises(UnsafeFileError):
        source(issuer, None)
    path.chmod(0o644)
    path.write_bytes(b" " * (jwks.LIMIT + 1))
    with pytest.raises(ConfigError):
        source(issuer, None)
