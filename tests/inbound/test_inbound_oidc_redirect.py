"""The listener that the browser brings the answer to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.inbound.oidc_redirect import PATH, Redirect, _judged

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1:4711"


class Listening:
    """A redirect that is waited for, and what came of it."""

    def __init__(self, redirect: Redirect, seconds: float) -> None:
        self.port = urlsplit(redirect.uri).port or 0
        self.host = f"127.0.0.1:{self.port}"
        self.answers: list[str | AuthenticationError] = []
        self.thread = threading.Thread(target=self._wait, args=(redirect, seconds))
        self.thread.start()

    def _wait(self, redirect: Redirect, seconds: float) -> None:
        try:
            self.answers.append(redirect.wait(seconds))
        except AuthenticationError as error:
            self.answers.append(error)

    def connect(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def send(self, target: str, method: str = "GET", host: str | None = None) -> str:
        """Send a request; return the whole answer."""
        head = f"{method} {target} HTTP/1.1\r\nHost: {host or self.host}\r\n\r\n"
        with self.connect() as wire:
            wire.sendall(head.encode())
            return _all(wire)

    def answer(self) -> str:
        """Return what the wait has brought."""
        self.thread.join(20)
        (found,) = self.answers
        assert isinstance(found, str)
        return found


def _all(wire: socket.socket) -> str:
    return b"".join(iter(lambda: wire.recv(65536), b"")).decode()


@contextlib.contextmanager
def listening(seconds: float = 60) -> Iterator[Listening]:
    """Wait for an answer in a thread."""
    with Redirect() as redirect:
        found = Listening(redirect, seconds)
        yield found
        found.thread.join(20)


def test_one_answer() -> None:
    """127.0.0.1, a port of the system's choice, one path; a page without scripts."""
    with Redirect() as other, listening() as here:
        assert urlsplit(other.uri).port != here.port
        assert urlsplit(other.uri)[:2] == ("http", f"127.0.0.1:{urlsplit(other.uri).port}")
        said = here.send(f"{PATH}?code=c&state=s")
        assert here.answer() == "code=c&state=s"
    head, _, page = said.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'" in head
    assert "Cache-Control: no-store" in head
    assert "the terminal says who is logged in" in page
    assert "<script" not in page
    assert "code" not in page


def test_a_second_answer_reaches_nobody() -> None:
    """One request is answered; then nobody listens any more."""
    with listening() as here:
        here.send(f"{PATH}?code=c&state=s")
        here.answer()
    with pytest.raises(ConnectionRefusedError):
        here.connect()


def test_whatever_else_comes_is_no_answer() -> None:
    """Another path, method or host: an error, and the wait goes on."""
    with listening() as here:
        good = f"{PATH}?code=evil"
        assert here.send("/favicon.ico").startswith("HTTP/1.1 404 ")
        assert here.send("/").startswith("HTTP/1.1 404 ")
        assert here.send(PATH).startswith("HTTP/1.1 404 ")
        assert here.send(f"{PATH}/?code=evil").startswith("HTTP/1.1 404 ")
        assert here.send(f"http://{here.host}{good}").startswith("HTTP/1.1 404 ")
        assert here.send(good, "POST").startswith("HTTP/1.1 405 ")
        assert here.send(good, host="evil.test").startswith("HTTP/1.1 400 ")
        assert here.send(good, host=f"localhost:{here.port}").startswith("HTTP/1.1 400 ")
        assert here.send(good, host=f"x\r\nHost: {here.host}").startswith("HTTP/1.1 400 ")
        assert here.send(good, host=f"{here.host}\r\nx").startswith("HTTP/1.1 400 ")
        here.send(f"{PATH}?code=c")
        assert here.answer() == "code=c"


def test_a_connection_that_says_nothing_holds_nobody_up() -> None:
    """A browser opens connections ahead; of very many the oldest go."""
    with listening() as here, contextlib.ExitStack() as held:
        silent = [held.enter_context(here.connect()) for _ in range(40)]
        half = held.enter_context(here.connect())
        half.sendall(b"GET /")
        long = held.enter_context(here.connect())
        long.sendall(b"x" * 40_000)
        with contextlib.suppress(ConnectionResetError):
            assert _all(long) == ""
        here.connect().close()
        with here.connect() as reset:
            reset.sendall(b"GET /")
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        here.send(f"{PATH}?code=c")
        assert here.answer() == "code=c"
        for one in silent:
            assert one.fileno() >= 0


def test_a_request_in_pieces() -> None:
    """An answer may come in as many pieces as it likes."""
    with listening() as here, here.connect() as wire:
        for piece in (f"GET {PATH}?co", f"de=c HTTP/1.1\r\nHost: {here.host}\r", "\n\r", "\nxx"):
            wire.sendall(piece.encode())
        assert here.answer() == "code=c"


def test_nobody_comes() -> None:
    """A browser that was closed brings nothing: the wait is bounded."""
    with Redirect() as redirect, pytest.raises(AuthenticationError) as caught:
        redirect.wait(0.05)
    assert caught.value.reason == "login_timeout"
    assert "http://127.0.0.1/callback is registered for any port" in caught.value.hint
    assert "--device" in caught.value.hint


def test_where_nothing_can_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where no port can be had says so, and that there is another way."""

    def none(*_: object, **__: object) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", none)
    with pytest.raises(AuthenticationError) as caught:
        Redirect()
    assert caught.value.reason == "redirect_unavailable"
    assert "--device" in caught.value.hint


@given(st.binary(max_size=200))
def test_whatever_comes_is_judged(head: bytes) -> None:
    """Nothing that can be sent breaks it, and only a request of the right form is an answer."""
    _, query = _judged(head, HOST)
    assert query is None or head.startswith(f"GET {PATH}?".encode())
