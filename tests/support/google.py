"""A strict fake of Google over HTTP on loopback: STS, IAM Credentials, OAuth and Cloud Storage.

All four at one address. What it gave out is remembered and held against every use. What is
accepted, and from where that is known: google_directory, google_boundary, google_storage.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from support.faulty import Request
from support.google_directory import Directory
from support.google_storage import Buckets, refusal
from support.google_tokens import ProofError, form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from support.faulty import Part
    from support.google_storage import Said

STS = "/v1/token"
OAUTH = "/token"
_IMPERSONATE = re.compile(r"/v1/projects/-/serviceAccounts/([^/:@]+@[^/:@]+):generateAccessToken")


class Google(Directory):
    """The fake, while its `with` block lasts.

    `instead` answers in place of a path, byte for byte. `asked` are the requests.
    """

    def __init__(self, *providers: Any, **known: Any) -> None:
        super().__init__(*providers, **known)
        self.buckets = Buckets()
        self.instead: dict[str, list[Part] | Callable[[], Iterable[Part]]] = {}
        self.asked: list[Request] = []
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def url(self) -> str:
        """Its base URL, for all four services."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def impersonation(self, account: str) -> str:
        """Return the URL that gives tokens of a service account."""
        return f"{self.url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"

    def paths(self, method: str) -> list[str]:
        """Return the paths that were asked for by this method, in order."""
        return [urlsplit(one.target).path for one in self.asked if one.method == method]

    def answered(self, request: Request) -> Said:
        """Return the answer to a request."""
        path = urlsplit(request.target).path
        impersonated = _IMPERSONATE.fullmatch(unquote(path))
        if path in {STS, OAUTH} and request.method == "POST":
            try:
                asked = form(request)
                return self.oauth(asked, self.url + OAUTH) if path == OAUTH else self.sts(asked)
            except ProofError as error:
                return 400, error.said
        if impersonated and request.method == "POST":
            return self.impersonate(request, impersonated[1])
        token = self.token(request)
        if token is None:
            return refusal(401, "Invalid Credentials", "authError")
        return self.buckets.answered(request, lambda *what: self.may(token, *what))


def _handler(google: Google) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            google.asked.append(request)
            instead = google.instead.get(urlsplit(self.path).path)
            if instead is not None:
                self._play(instead() if callable(instead) else instead)
            else:
                self._say(*google.answered(request))

        do_POST = do_GET  # noqa: N815 - after the method of HTTP
        do_DELETE = do_GET  # noqa: N815 - the same

        def _say(self, status: int, said: Any) -> None:
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            kind = "application/octet-stream" if isinstance(said, bytes) else "application/json"
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", "0" if said is None else str(len(content)))
            self.end_headers()
            if said is not None:
                self.wfile.write(content)

        def _play(self, parts: Iterable[Part]) -> None:
            self.close_connection = True
            try:
                for part in parts:
                    if isinstance(part, bytes):
                        self.wfile.write(part)
                    elif google.ended.wait(part):
                        return
            except (BrokenPipeError, ConnectionResetError):
                return  # the caller had enough

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    return Handler
