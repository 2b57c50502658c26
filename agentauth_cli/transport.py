"""The one way out over HTTP: every byte that mints a credential, or fetches proof, leaves here.

- HTTPS with the system's certificates or the given bundle; plain HTTP to loopback alone, and to a
  link-local address where the caller says that it means a cloud's metadata server.
- One deadline over the whole call: name, connection, handshake, headers and body.
- At most `limit` bytes of body are kept; no redirect is followed; there are no cookies.
- Nothing is taken from the environment: no proxy, no SSL_CERT_FILE, no SSLKEYLOGFILE.
"""

from __future__ import annotations

import contextlib
import io
import re
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from agentauth_cli.errors import ProviderAnswerError, ProviderError, ProviderUnreachableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from http.client import HTTPResponse
    from pathlib import Path
    from socket import socket

    from _typeshed import WriteableBuffer

RESOLVE_SECONDS = 5.0
_HEAD_BYTES = 128 * 1024
_NONE: Mapping[str, str] = MappingProxyType({})
_HOST = re.compile(r"[a-z0-9_][a-z0-9_.-]*|[0-9a-f:]+(?:\.[0-9.]+)?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VISIBLE = re.compile(r"[!-~]+")
_VALUE = re.compile(r"[ -~\t]*")


class Deadline:
    """`seconds` from now, on the monotonic clock; one for all attempts of a call."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, more than 0. Raises ProviderUnreachableError when passed."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise ProviderUnreachableError(f"no answer within {self.seconds:g} s")
        return left


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. Header names are in lower case; repeated ones are joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Target:
    """The parts of a checked URL; `host` has no brackets, `path` has the query."""

    secure: bool
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"{self.literal}:{self.port}"

    @property
    def literal(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def header(self) -> str:
        """The Host header as signatures expect it: without the scheme's own port."""
        return self.literal if self.port == (443 if self.secure else 80) else str(self)


def is_loopback(host: str) -> bool:
    """Return whether `host` is localhost, ::1 or within 127.0.0.0/8, without looking it up."""
    import ipaddress

    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return str(address) == "::1" or (address.version == 4 and address.is_loopback)  # noqa: PLR2004


def _is_link_local(host: str) -> bool:
    """Say whether `host` is a literal address that no router passes on: a metadata server's."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False


def send(
    method: str,
    url: str,
    *,
    deadline: Deadline,
    headers: Mapping[str, str] = _NONE,
    body: bytes = b"",
    limit: int = 1 << 20,
    ca_bundle: Path | None = None,
    metadata: bool = False,
) -> Response:
    """Send one request and return the whole answer, whatever its status below 300 or above 399.

    `limit` is in bytes of body. `ca_bundle` replaces the system's certificates. With `metadata`
    plain http may go to a link-local address too. Raises ProviderUnreachableError where nothing
    could be sent or no answer came before `deadline`, and ProviderAnswerError for a redirect, or an
    answer that is too large, cut short or not HTTP.
    """
    from http.client import HTTPException

    target = _target(url, metadata=metadata)
    request = _request(method, target, headers, body)
    wire: socket | None = None
    try:
        wire = _connect(target, deadline, ca_bundle)
        _write(wire, request, deadline)
        return _read(wire, method, deadline, limit)
    except ProviderError as error:
        raise type(error)(f"{target}: {error.message}") from error
    except TimeoutError as error:
        message = f"{target}: no answer within {deadline.seconds:g} s"
        raise ProviderUnreachableError(message) from error
    except OSError as error:  # also http.client's RemoteDisconnected, and ssl's errors
        raise ProviderUnreachableError(f"{target}: {_reason(error)}") from error
    except (HTTPException, ValueError) as error:
        # ValueError: a negative chunk size. The exception's own text would quote the answer, which
        # may quote what was asked: no traceback has it either.
        raise ProviderAnswerError(
            f"{target}: no complete HTTP answer ({type(error).__name__})"
        ) from None
    finally:
        if wire is not None:
            wire.close()


def _target(url: str, *, metadata: bool) -> _Target:
    """Take the URL apart; raise ProviderUnreachableError for one that nothing is sent to."""
    if not _VISIBLE.fullmatch(url):
        raise ProviderUnreachableError("the URL has a space, control or non-ASCII character")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ProviderUnreachableError("the URL cannot be read") from error
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host):
        raise ProviderUnreachableError("the URL is none of http or https with a host")
    if "@" in parts.netloc or "#" in url:
        raise ProviderUnreachableError(f"{host}: the URL has a user name or a fragment")
    secure = parts.scheme == "https"
    if not secure and not is_loopback(host) and not (metadata and _is_link_local(host)):
        raise ProviderUnreachableError(f"{host}: plain http is for loopback alone; use https")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(secure, host, (443 if secure else 80) if port is None else port, path)


def _request(method: str, target: _Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the request as bytes. An unsendable header is named, never quoted."""
    if not _TOKEN.fullmatch(method):
        raise ProviderUnreachableError(f"{target}: no HTTP method")
    lines = {name.lower(): value for name, value in headers.items()}
    lines.setdefault("accept-encoding", "identity")
    lines |= {"host": target.header, "connection": "close", "content-length": str(len(body))}
    lines.pop("transfer-encoding", None)
    for name, value in lines.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ProviderUnreachableError(f"{target}: header {name!r} cannot be sent")
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def _connect(target: _Target, deadline: Deadline, ca_bundle: Path | None) -> socket:
    """Return a connected socket, after the TLS handshake where there is one."""
    context = _context(ca_bundle) if target.secure else None
    sock = _dial(_addresses(target, deadline), target.port, deadline)
    if context is None:
        return sock
    try:
        sock.settimeout(deadline.remaining())
        return context.wrap_socket(sock, server_hostname=target.host)
    except (OSError, ProviderUnreachableError):
        sock.close()
        raise


def _dial(addresses: list[str], port: int, deadline: Deadline) -> socket:
    """Return a connection to the first address that takes one; each gets a share of the time."""
    import socket

    failure: OSError = OSError("the name has no address")
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(deadline.remaining() / left)
            sock.connect((address, port))
        except OSError as error:
            sock.close()
            failure = error
        except ProviderUnreachableError:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _addresses(target: _Target, deadline: Deadline) -> list[str]:
    """Return where to connect to. localhost is never looked up: what it means is fixed."""
    import ipaddress

    if target.host == "localhost":
        return ["127.0.0.1", "::1"]
    try:
        return [str(ipaddress.ip_address(target.host))]
    except ValueError:
        return _resolve(target, min(RESOLVE_SECONDS, deadline.remaining()))


def _resolve(target: _Target, seconds: float) -> list[str]:
    """Look the name up. getaddrinfo has no time limit of its own, so it runs in a thread."""
    import socket
    import threading

    found: list[str] = []
    failed: list[Exception] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failed.append(error)
        else:
            found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise ProviderUnreachableError("no thread left to resolve the name with") from error
    thread.join(seconds)
    if failed:
        raise ProviderUnreachableError(f"cannot resolve the name: {_reason(failed[0])}")
    if not found:
        raise ProviderUnreachableError(f"cannot resolve the name within {seconds:.2g} s")
    return found


def _context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return TLS 1.2 or later, names checked, with the bundle or the paths compiled into OpenSSL.

    Not ssl.create_default_context: that one obeys SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE,
    with which an environment could read along.
    """
    import ssl
    from pathlib import Path

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    try:
        if ca_bundle is not None:
            context.load_verify_locations(cafile=ca_bundle)
            return context
        file = paths.openssl_cafile if Path(paths.openssl_cafile).is_file() else None
        folder = paths.openssl_capath if Path(paths.openssl_capath).is_dir() else None
        if file is None and folder is None:
            raise ProviderUnreachableError("this system has no CA certificates; set `ca_bundle`")
        context.load_verify_locations(cafile=file, capath=folder)
    except OSError as error:
        message = f"the CA certificates do not load: {_reason(error)}"
        raise ProviderUnreachableError(message) from error
    return context


def _write(wire: socket, data: bytes, deadline: Deadline) -> None:
    """Send it all before the deadline."""
    view = memoryview(data)
    while view:
        wire.settimeout(deadline.remaining())
        view = view[wire.send(view) :]


class _Bounded(io.RawIOBase):
    """A socket's bytes, at most `most` of them and none after the deadline.

    What http.client would read without a bound (a chunk of size -1, `100 Continue` without end)
    ends here.
    """

    def __init__(self, wire: socket, deadline: Deadline, most: int) -> None:
        self._wire = wire
        self._deadline = deadline
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._wire.settimeout(self._deadline.remaining())
        count = self._wire.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise ProviderAnswerError("the answer is too large")
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return itself, buffered: what http.client asks a socket for."""
        return io.BufferedReader(self)


def _read(wire: socket, method: str, deadline: Deadline, limit: int) -> Response:
    """Read one answer, its body no further than `limit`."""
    from http.client import HTTPResponse

    source = _Bounded(wire, deadline, 2 * limit + _HEAD_BYTES)
    with contextlib.closing(HTTPResponse(cast("socket", source), method=method)) as answer:
        answer.begin()
        if answer.status // 100 == 3:  # noqa: PLR2004
            raise ProviderAnswerError(f"a redirect ({answer.status}), which is not followed")
        if (answer.length or 0) > limit:
            raise ProviderAnswerError(f"the answer is larger than {limit} bytes")
        body = answer.read(limit + 1)
        if len(body) > limit:
            raise ProviderAnswerError(f"the answer is larger than {limit} bytes")
        if answer.length:  # read(n) does not say so itself
            raise ProviderAnswerError("the answer is cut short")
        return Response(answer.status, _lower(answer), body)


def _lower(answer: HTTPResponse) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for name, value in answer.getheaders():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _reason(error: BaseException) -> str:
    """Return the operating system's or OpenSSL's own words, without numbers and file names."""
    text = getattr(error, "verify_message", "") or getattr(error, "strerror", None) or str(error)
    return str(text).strip() or type(error).__name__
