"""A loopback server that answers as scripted, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

Part = bytes | float
"""Bytes to send, or seconds to wait: cut short when the server stops."""


@dataclass(frozen=True)
class Request:
    """A request as it came; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def answer(
    body: bytes = b"", status: int = 200, headers: Mapping[str, str] | None = None
) -> list[Part]:
    """Return a whole and honest answer."""
    named = {"Content-Length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return [f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode("latin-1") + body]


def html() -> list[Part]:
    """Return a page with status 200, as a captive portal gives one."""
    page = b"<html><body>Please log in</body></html>"
    return answer(page, headers={"Content-Type": "text/html"})


def redirect(to: str) -> list[Part]:
    """Return a redirect."""
    return answer(status=302, headers={"Location": to})


def silence() -> list[Part]:
    """Say nothing at all, and keep the connection."""
    return [600.0]


def dribble(whole: bytes, seconds: float) -> list[Part]:
    """Send a byte every so many seconds."""
    return [part for byte in whole for part in (bytes([byte]), seconds)]


def cut(said: bytes = b"") -> list[Part]:
    """Say so much, then hang up."""
    return [said]


def endless(head: bytes, piece: bytes) -> Callable[[], Iterator[Part]]:
    """Send the head, then the piece again and again until the other side hangs up."""

    def parts() -> Iterator[Part]:
        yield head
        while True:
            yield piece

    return parts


@dataclass
class Faulty:
    """The server: `script` holds the answers to come, one a connection; the last is repeated.

    Used as a context manager. `context` makes it speak TLS. `sent` counts the bytes that went out;
    `port` is where it listens.
    """

    script: list[list[Part] | Callable[[], Iterator[Part]]]
    context: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    sent: int = 0
    port: int = 0

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self._listener.close()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                wire, _ = self._listener.accept()
            except TimeoutError:
                continue
            wire.settimeout(5)
            try:
                if self.context is not None:
                    wire = self.context.wrap_socket(wire, server_side=True)
                with wire:
                    self._converse(wire)
            except OSError:
                wire.close()  # the client hung up, as some tests have it do

    def _converse(self, wire: socket.socket) -> None:
        request = _read(wire)
        if request is None:
            return
        self.requests.append(request)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        for part in said() if callable(said) else said:
            if self._stop.is_set():
                return
            if isinstance(part, bytes):
                wire.sendall(part)
                self.sent += len(part)
            else:
                self._stop.wait(part)


def _read(wire: socket.socket) -> Request | None:
    with wire.makefile("rb") as lines:
        first = lines.readline().decode("latin-1").split()
        if len(first) != 3:
            return None
        headers: dict[str, str] = {}
        while line := lines.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = lines.read(int(headers.get("content-length", "0")))
        return Request(first[0], first[1], headers, body)


def refused_port() -> int:
    """Return a loopback port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
