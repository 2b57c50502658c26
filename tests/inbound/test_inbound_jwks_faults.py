"""An issuer that is slow, dead, lying or redirecting: bounded time and memory; old keys serve."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound import jwks
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwks import BETWEEN_FETCHES, FRESH, LAST_RESORT, LIMIT, KeySource
from agentauth_cli.inbound.jwt import verify
from agentauth_cli.secret import Secret
from support.faulty import (
    Faulty,
    answer,
    cut,
    dribble,
    endless,
    html,
    redirect,
    refused_port,
    silence,
)
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.faulty import Part

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY, OTHER = signer("ES256"), signer("ES256", "k2")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def keys(*found: Any) -> bytes:
    """Return a key set."""
    return json.dumps({"keys": found}).encode()


GOOD = answer(keys(KEY.jwk()))
SLOW = {
    "silence": silence(),
    "a status line by the byte": dribble(HEAD, 0.05),
    "headers by the byte": dribble(HEAD + b"X-A: " + b"y" * 200, 0.05),
    "a body by the byte": [HEAD + b"Content-Length: 999\r\n\r\n", *dribble(b" " * 999, 0.05)],
}
HUGE = {
    "a body over 512 KiB": answer(keys(KEY.jwk()) + b" " * LIMIT),
    "a claim of 4 GiB": endless(HEAD + b"Content-Length: 4294967296\r\n\r\n", b" " * 9999),
    "a body without end": endless(HEAD + b"\r\n", b" " * 9999),
    "chunks without end": endless(CHUNKED, b"3e8\r\n" + b" " * 1000 + b"\r\n"),
    "headers without end": endless(HEAD, b"X-A: b\r\n"),
    "go on, without end": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
}
WRONG = {
    "a page": html(),
    "nothing": answer(),
    "cut short": cut(HEAD + b"Content-Length: 99\r\n\r\n{"),
    "hung up": cut(),
    "no HTTP": cut(b"\x16\x03\x01 what\r\n\r\n"),
    "500": answer(keys(KEY.jwk()), status=500),
    "404": answer(keys(KEY.jwk()), status=404),
    "429, for a day": answer(status=429, headers={"Retry-After": "86400"}),
    "204": answer(status=204),
    "redirect to metadata": redirect("http://169.254.169.254/latest/meta-data/"),
    "redirect to a file": redirect("file:///etc/passwd"),
    "permanent redirect": answer(status=308, headers={"Location": "https://evil.test/keys"}),
    "see other": answer(keys(KEY.jwk()), status=303, headers={"Location": "/keys"}),
    "an array": answer(b"[]"),
    "keys that are none": answer(b'{"keys": {"kid": "k1"}}'),
    "no keys at all": answer(b"{}"),
    "keys twice": answer(keys(KEY.jwk())[:-1] + b', "keys": []}'),
    "a key said twice": answer(keys(KEY.jwk()).replace(b'"kty"', b'"kid": "k9", "kid"', 1)),
    "utf-16": answer(keys(KEY.jwk()).decode().encode("utf-16")),
    "byte-order mark": answer(b"\xef\xbb\xbf" + keys(KEY.jwk())),
    "NaN": answer(b'{"keys": [], "x": NaN}'),
    "deep": answer(b'{"keys": ' + b"[" * 100_000),
    "compressed": answer(b"\x1f\x8b\x08\x00" + bytes(20), headers={"Content-Encoding": "gzip"}),
}


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
def time() -> Time:
    """Return a clock."""
    return Time()


@pytest.fixture
def source(tmp_path: Path, time: Time) -> KeySource:
    """Return a source with an empty cache."""
    return KeySource(tmp_path / "jwks", time)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give an issuer less time than the five seconds, so that the tests take less."""
    monkeypatch.setattr(jwks, "SECONDS", 0.3)


def of(url: str) -> Issuer:
    """Return an issuer whose keys are at this address."""
    return Issuer("okta", "https://login.example.test", "agentauth", jwks_url=url)


def reason(source: KeySource, issuer: Issuer, kid: str | None = "k1") -> str:
    """Return why there are no keys."""
    with pytest.raises(AuthenticationError) as caught:
        source(issuer, kid)
    assert caught.value.hint
    return caught.value.reason


def kids(source: KeySource, issuer: Issuer, kid: str | None = "k1") -> list[str | None]:
    """Return the ids of the keys that there are."""
    return [key.kid for key in source(issuer, kid)]


ANY = list[Any]


@pytest.mark.parametrize("said", SLOW.values(), ids=SLOW.keys())
@pytest.mark.usefixtures("hurried")
def test_a_slow_issuer_ends_with_the_deadline(source: KeySource, said: ANY) -> None:
    """5 s in all: a byte now and then does not put it off."""
    with Faulty([said]) as server:
        assert reason(source, of(server.url)) == "keys_unavailable"
        assert len(server.requests) == 1


@pytest.mark.usefixtures("hurried")
def test_discovery_and_keys_share_one_deadline(source: KeySource) -> None:
    """5 s in all, not for each request: a slow discovery leaves less for the keys."""
    with Faulty([silence()]) as server:
        issuer = Issuer("okta", server.url, "agentauth")
        document = {"issuer": server.url, "jwks_uri": f"{server.url}/keys"}
        body = json.dumps(document).encode()
        head = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
        server.script[:] = [[head, 0.2, body], silence()]
        assert reason(source, issuer) == "keys_unavailable"
        assert [one.target for one in server.requests] == [
            "/.well-known/openid-configuration",
            "/keys",
        ]


@pytest.mark.parametrize("said", HUGE.values(), ids=HUGE.keys())
def test_a_huge_answer_is_not_read(
    source: KeySource, said: list[Part] | Callable[[], Iterator[Part]]
) -> None:
    """512 KiB: what comes after is left where it is."""
    with Faulty([said]) as server:
        assert reason(source, of(server.url)) == "keys_unavailable"
    assert server.sent < 32 << 20  # what the buffers of two sockets take


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG.keys())
def test_an_answer_that_is_no_key_set(source: KeySource, said: ANY) -> None:
    """What is no key set is none, whatever its status; no redirect is followed."""
    with Faulty([said]) as server:
        assert reason(source, of(server.url)) == "keys_unavailable"
        assert len(server.requests) == 1


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG.keys())
def test_a_discovery_that_is_none(source: KeySource, said: ANY) -> None:
    """Neither is what is no discovery document; its keys are not asked for."""
    with Faulty([said]) as server:
        issuer = Issuer("okta", server.url, "agentauth")
        assert reason(source, issuer) in {"keys_unavailable", "discovery_refused"}
        assert [one.target for one in server.requests] == ["/.well-known/openid-configuration"]


FAULTS = SLOW | HUGE | WRONG


@pytest.mark.parametrize("said", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.usefixtures("hurried")
def test_the_last_good_set_serves_for_a_day(source: KeySource, time: Time, said: ANY) -> None:
    """Whatever the issuer does, the last good set serves for 24 h, and no longer."""
    with Faulty([GOOD, said]) as server:
        issuer = of(server.url)
        assert kids(source, issuer) == ["k1"]
        time.passes(FRESH)
        assert kids(source, issuer) == ["k1"]
        assert len(server.requests) == 2
        time.passes(BETWEEN_FETCHES - 1)
        assert kids(source, issuer) == ["k1"]
        assert len(server.requests) == 2
        time.passes(LAST_RESORT - FRESH - BETWEEN_FETCHES)
        assert kids(source, issuer) == ["k1"]
        time.passes(BETWEEN_FETCHES)
        assert reason(source, issuer) == "keys_unavailable"


def test_a_dead_issuer(source: KeySource, time: Time) -> None:
    """Nobody listens: it is asked once a minute, and said at once in between."""
    issuer = of(f"http://127.0.0.1:{refused_port()}/keys")
    assert reason(source, issuer) == "keys_unavailable"
    time.passes(10)
    with pytest.raises(AuthenticationError, match=r"10 s ago; the next attempt is 60 s after that"):
        source(issuer, "k1")


def test_a_removed_key_is_gone_with_the_next_set(source: KeySource, time: Time) -> None:
    """A key that the issuer took back signs for an hour at most, and no fault brings it back."""
    with Faulty([GOOD, answer(keys(OTHER.jwk())), silence()]) as server:
        issuer = of(server.url)
        assert kids(source, issuer) == ["k1"]
        time.passes(BETWEEN_FETCHES)
        assert kids(source, issuer, "k2") == ["k2"]
        assert kids(source, issuer, "k1") == []
        assert len(server.requests) == 2


def test_unknown_ids_make_no_flood(source: KeySource, time: Time) -> None:
    """A hundred key ids that nobody has: one request a minute; known ones need none."""
    with Faulty([GOOD]) as server:
        issuer = of(server.url)
        for number in range(100):
            assert kids(source, issuer, f"x{number}") == []
            assert kids(source, issuer) == ["k1"]
        assert len(server.requests) == 1
        time.passes(BETWEEN_FETCHES)
        for number in range(100):
            assert kids(source, issuer, f"y{number}") == []
        assert len(server.requests) == 2


@pytest.mark.usefixtures("hurried")
def test_unknown_ids_at_a_dead_issuer(source: KeySource, time: Time) -> None:
    """Whoever sends tokens of unknown keys makes nobody wait for a dead issuer twice a minute."""
    with Faulty([GOOD, silence()]) as server:
        issuer = of(server.url)
        assert kids(source, issuer) == ["k1"]
        time.passes(BETWEEN_FETCHES)
        assert reason(source, issuer, "x") == "keys_unavailable"
        for _ in range(20):
            assert kids(source, issuer, "x") == []
            assert kids(source, issuer) == ["k1"]
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}], "key_unknown"),
        ([KEY.jwk(), OTHER.jwk(kid="k1")], "key_ambiguous"),
        ([OTHER.jwk(kid="k1")], "signature_invalid"),
        ([KEY.private_jwk()], "key_unknown"),
        ([KEY.jwk(use="enc")], "key_unknown"),
        ([], "key_unknown"),
        ([None, 1, "k1", [], {}], "key_unknown"),
        ([{"kid": "k1"}] * 5000, "key_unknown"),
    ],
)
def test_a_lying_issuer_is_believed_no_more_than_its_keys(
    source: KeySource, found: ANY, expected: str
) -> None:
    """A secret, a private key, two keys of one id, a stranger's: each has its reason."""
    claims = {"iss": "https://login.example.test", "aud": "agentauth", "sub": "alice"}
    token = KEY.token(claims | {"exp": NOW.timestamp() + 60})
    with Faulty([answer(keys(*found))]) as server:
        with pytest.raises(AuthenticationError) as caught:
            verify(Secret(token), [of(server.url)], source, NOW)
        assert caught.value.reason == expected
