"""A strict fake of the Hugging Face Hub: HTTP on loopback, nothing accepted that is not documented.

Sources: the Hub's pages "Trusted Publishers" and "User access tokens", and the requests that
huggingface_hub sends. It remembers what it gave out and holds every use against it. Where the
Hub hides a private repository behind 404, this one says 403, so that a test tells the two apart.
"""

from __future__ import annotations

import json
import secrets
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from support.faulty import Request
from support.hub_publishers import entity, publisher
from support.hub_repositories import Said, Silo, refusal
from support.hub_tokens import READ, Scope, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from support.faulty import Part
    from support.hub_publishers import Publisher
    from support.hub_tokens import Kind

EXCHANGE = "/oauth/token"
WHOAMI = "/api/whoami-v2"
REVOKE = "/api/credentials/revoke"
ANONYMOUS = frozenset({EXCHANGE, REVOKE})
"""Paths that take no credential: one that is sent along has gone where it should not."""

REQUEST_ID = "Root=1-67e5a96c-311346255e83d6732ba0dbee"
_EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
}
_LIFE = timedelta(minutes=60)


class Hub:
    """The fake, while its `with` block lasts.

    `keys` are the key sets of the issuers, `publishers` what is configured. `tokens` is over the
    answers of the exchange and `identity` over those of whoami (None takes a member away).
    `instead` answers in place of a path, byte for byte. Whether revoking covers exchanged tokens
    is not documented: `revokes_exchanged` says what this one does. `asked` are the requests.
    """

    def __init__(
        self,
        *publishers: Publisher,
        keys: Mapping[str, Iterable[Mapping[str, Any]]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.publishers = list(publishers)
        self.keys = {issuer: list(jwks) for issuer, jwks in keys.items()}
        self.clock = clock
        self.silo = Silo()
        self.given: dict[str, Token] = {}
        self.tokens: dict[str, Any] = {}
        self.identity: dict[str, Any] = {}
        self.instead: dict[str, list[Part] | Callable[[], Iterable[Part]]] = {}
        self.revokes_exchanged = True
        self.asked: list[Request] = []
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def classic(self, role: str = "read", *, expires: datetime | None = None) -> str:
        """Return a token that an account has made, with its role on all that the account has."""
        return self._give("hf_", "classic", role, role=role, expires=expires)

    def fine_grained(
        self,
        *scoped: Scope,
        everywhere: tuple[str, ...] = (),
        gated: bool = False,
        expires: datetime | None = None,
    ) -> str:
        """Return a fine-grained token that an account has made."""
        held = {"scoped": scoped, "everywhere": everywhere, "gated": gated, "expires": expires}
        return self._give("hf_", "fineGrained", "fine", **held)

    def paths(self, method: str) -> list[str]:
        """Return the paths that were asked for by this method, in order."""
        return [urlsplit(one.target).path for one in self.asked if one.method == method]

    def answered(self, request: Request) -> Said:
        """Return the answer to a request."""
        path = unquote(urlsplit(request.target).path)
        if path in ANONYMOUS and "authorization" in request.headers:
            return 400, {"error": "invalid_request"}, {}
        token: Token | None = None
        if "authorization" in request.headers:
            word, _, value = request.headers["authorization"].partition(" ")
            token = self.given.get(value)
            if word != "Bearer" or token is None or token.revoked:
                return refusal(401, "Invalid credentials in Authorization header")
            if token.expires is not None and token.expires <= self.clock():
                return refusal(401, f'User Access Token "{token.name}" is expired')
        match request.method, path:
            case "POST", "/oauth/token":
                return self._exchange(request)
            case "POST", "/api/credentials/revoke":
                return self._revoke(request)
            case "GET", "/api/whoami-v2":
                if token is None:
                    return refusal(401, "Invalid username or password.")
                return 200, _without_none(token.whoami() | self.identity), {}
            case _:
                return self.silo.answered(request, path, token)

    def _exchange(self, request: Request) -> Said:
        """Exchange a token, or refuse; which of the checks failed is not said, as on the Hub."""
        asked = _json(request)
        if (
            not isinstance(asked, dict)
            or asked.keys() != {*_EXCHANGE, "subject_token", "resource"}
            or not all(isinstance(value, str) and value for value in asked.values())
            or _EXCHANGE.items() - asked.items()
            or entity(asked["resource"]) is None
        ):
            return 400, {"error": "invalid_request", "error_description": "Invalid request"}, {}
        found = publisher(
            self.publishers, self.keys, asked["resource"], asked["subject_token"], self.clock()
        )
        if found is None:
            return 400, {"error": "invalid_grant", "error_description": "Invalid grant"}, {}
        named = entity(found.resource)
        ends = self.clock() + _LIFE
        if named and "/" in found.resource:
            permissions = (READ,) if found.read_only else (READ, "repo.write")
            scope = Scope(*named, permissions)
            value = self._give("hf_jwt_", "publisher", "OIDC", scoped=(scope,), expires=ends)
        else:
            value = self._give("hf_oauth_", "identity", "OIDC", gated=True, expires=ends)
        said = {
            "access_token": value,
            "token_type": "bearer",
            "expires_in": int(_LIFE.total_seconds()),
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
        return 200, _without_none(said | self.tokens), {}

    def _revoke(self, request: Request) -> Said:
        """Revoke what there is of the list, and say the same whatever there was."""
        asked = _json(request)
        values = asked.get("credentials") if isinstance(asked, dict) and len(asked) == 1 else None
        if (
            not isinstance(values, list)
            or not 1 <= len(values) <= 1000
            or not all(isinstance(value, str) for value in values)
        ):
            return 400, {"error": "Invalid request"}, {}
        for value in values:
            token = self.given.get(value)
            if token is not None and (
                self.revokes_exchanged or token.kind in {"classic", "fineGrained"}
            ):
                token.revoked = True
        return 202, {}, {}

    def _give(self, start: str, kind: Kind, name: str, **held: Any) -> str:
        value = start + secrets.token_hex(17)
        self.given[value] = Token(value, kind, name, self.clock(), **held)
        return value


def _json(request: Request) -> Any:
    """Return the JSON of a body that says that it is some, else None."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return None
    try:
        return json.loads(request.body)
    except ValueError:
        return None


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            hub.asked.append(request)
            instead = hub.instead.get(urlsplit(self.path).path)
            if instead is not None:
                self._play(instead() if callable(instead) else instead)
            else:
                self._say(*hub.answered(request))

        do_HEAD = do_GET  # noqa: N815 - after the method of HTTP
        do_POST = do_GET  # noqa: N815 - the same

        def _say(self, status: int, said: Any, named: Mapping[str, str]) -> None:
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            kind = "application/octet-stream" if isinstance(said, bytes) else "application/json"
            self.send_response(status)
            headers = {"content-type": kind, "x-request-id": REQUEST_ID, **named}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _play(self, parts: Iterable[Part]) -> None:
            self.close_connection = True
            try:
                for part in parts:
                    if isinstance(part, bytes):
                        self.wfile.write(part)
                    elif hub.ended.wait(part):
                        return
            except (BrokenPipeError, ConnectionResetError):
                return  # the caller had enough

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    return Handler
