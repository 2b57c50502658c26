"""Where the browser brings the answer of a login: a listener on loopback (RFC 8252, section 7.3).

At 127.0.0.1, at a port that the system chooses, for one path and one answer. Whatever else comes
(another path or method, a Host that is not ours, as a page elsewhere could send it) gets an error,
and the wait goes on. A browser opens connections ahead, so that one that says nothing holds nobody
up. The page it shows has no script and asks for nothing.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from typing import TYPE_CHECKING, Self

from agentauth_cli.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/callback"
SECONDS = 300.0
"""As long as it takes a person to log in."""

_HEAD = 16 * 1024
_AT_ONCE = 32
_WRITE_SECONDS = 1.0
_PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>agentauth</title></head>
<body><p>{text}</p></body></html>
"""
_RECEIVED = "You can close this page: the terminal says who is logged in."


class Redirect:
    """Listens from when it is made until its `with` block ends.

    Raises AuthenticationError with the reason `redirect_unavailable` where it cannot.
    """

    def __init__(self) -> None:
        try:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=_AT_ONCE)
        except OSError as error:
            raise AuthenticationError(
                f"nothing can listen on 127.0.0.1: {error.strerror}",
                reason="redirect_unavailable",
                hint="Log in with `agentauth login --device`",
            ) from None
        self._listener.setblocking(False)
        self._host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._heads: dict[socket.socket, bytes] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    @property
    def uri(self) -> str:
        """Where the provider sends the browser: the `redirect_uri`."""
        return f"http://{self._host}{PATH}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in list(self._heads):
            self._drop(connection)
        self._selector.close()
        self._listener.close()

    def wait(self, seconds: float = SECONDS) -> str:
        """Return the query of the answer. Raises AuthenticationError where none comes in time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready = [key.data for key, _ in self._selector.select(left)]
            for connection in filter(None, ready):
                for head in self._read(connection):
                    query = self._answer(connection, head)
                    if query is not None:
                        return query
            if None in ready:  # last: one of those may have to go for it
                self._accept()
        raise AuthenticationError(
            f"no answer came from the browser within {seconds:.0f} s",
            reason="login_timeout",
            hint="Where it shows an error of the issuer, check `client_id`, and that"
            f" http://127.0.0.1{PATH} is registered for any port; or `agentauth login --device`",
        )

    def _accept(self) -> None:
        """Take a connection; of too many, the one that has been there longest goes."""
        with contextlib.suppress(OSError):  # gone again
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            if len(self._heads) >= _AT_ONCE:
                self._drop(next(iter(self._heads)))
            self._heads[connection] = b""
            self._selector.register(connection, selectors.EVENT_READ, connection)

    def _read(self, connection: socket.socket) -> Iterator[bytes]:
        """Yield the head of the request, once it is whole."""
        try:
            more = connection.recv(_HEAD)
        except OSError:
            more = b""
        head = self._heads[connection] = self._heads[connection] + more
        if b"\r\n\r\n" in head:
            yield head.partition(b"\r\n\r\n")[0]
        elif not more or len(head) > _HEAD:
            self._drop(connection)

    def _answer(self, connection: socket.socket, head: bytes) -> str | None:
        """Answer a request; return its query where it is the one that is waited for."""
        status, query = _judged(head, self._host)
        text = _RECEIVED if query is not None else status
        with contextlib.suppress(OSError):  # who does not read it has sent it all the same
            connection.settimeout(_WRITE_SECONDS)
            connection.sendall(_page(status, text))
            connection.shutdown(socket.SHUT_WR)
        self._drop(connection)
        return query

    def _drop(self, connection: socket.socket) -> None:
        del self._heads[connection]
        self._selector.unregister(connection)
        connection.close()


def _judged(head: bytes, host: str) -> tuple[str, str | None]:
    """Return the status for a request, and the query of one that is an answer."""
    try:
        line, *fields = head.decode("ascii").split("\r\n")
        method, target, version = line.split(" ")
        named = dict(field.split(":", 1) for field in fields)
    except ValueError:
        return "400 Bad Request", None
    hosts = [value.strip() for name, value in named.items() if name.lower() == "host"]
    path, mark, query = target.partition("?")
    if hosts != [host] or len(named) != len(fields) or not version.startswith("HTTP/1."):
        return "400 Bad Request", None
    if path != PATH or not mark:
        return "404 Not Found", None
    if method != "GET":
        return "405 Method Not Allowed", None
    return "200 OK", query


def _page(status: str, text: str) -> bytes:
    body = _PAGE.format(text=text).encode()
    fields = (
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + body
