"""A small OpenID provider: everybody who comes is logged in as `subject`, and agrees.

HTTP on loopback: discovery, keys, code with PKCE, device grant, refresh with rotation, revocation.
Strict where the real one is; what it should say otherwise is set by the test.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from support.issuer import DISCOVERY, KEYS, signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from support.issuer import Signer

CLIENT = "agents"
Said = tuple[int, Any]
"""Status and body: a JSON object, or bytes."""


@dataclass
class Grant:
    """What somebody has agreed to, and the refresh token that stands for it now."""

    nonce: str | None
    refresh: str = ""
    spent: list[str] = field(default_factory=list)
    over: bool = False


class OpenIdServer:
    """The provider, while its `with` block lasts.

    `document` is over its discovery document, `claims` over those of ID tokens (None takes one
    away), `tokens` over a token answer. `redirect` changes the parameters that the browser takes
    back. `instead` answers in place of a path. `polls` are the errors that a device gets first.
    """

    def __init__(self, key: Signer | None = None) -> None:
        self.key = key or signer("ES256")
        self.clock = time.time
        self.subject = "alice"
        self.life = 300
        self.id_life = 300
        self.refreshes = True
        self.rotates = True
        self.id_token_again = True
        self.document: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.tokens: dict[str, Any] = {}
        self.redirect: Callable[[dict[str, str]], Mapping[str, str]] = dict
        self.instead: dict[str, Said | Callable[[dict[str, str]], Said]] = {}
        self.polls: list[str] = []
        self.polled: list[float] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.grants: list[Grant] = []
        self._codes: dict[str, tuple[dict[str, str], Grant]] = {}
        self._devices: dict[str, Grant] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def url(self) -> str:
        """The issuer's `iss`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Stop answering; nobody listens at the address any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def forms(self, grant_type: str) -> list[dict[str, str]]:
        """Return the forms of this kind that the token endpoint got."""
        return [form for _, form in self.asked if form.get("grant_type") == grant_type]

    def refresh_tokens(self) -> list[str]:
        """Return the refresh tokens that are good."""
        return [one.refresh for one in self.grants if one.refresh and not one.over]

    def answered(self, method: str, path: str, form: dict[str, str]) -> Said | str:
        """Return what is answered, or where the browser is sent."""
        with self._lock:
            self.asked.append((path, form))
            instead = self.instead.get(path)
        if instead is not None:
            return instead(form) if callable(instead) else instead
        with self._lock:
            found = getattr(self, f"_{method}_{path[1:]}".replace("/", "_").replace("-", "_"), None)
            if path == DISCOVERY:
                found = self._discovery
            return (404, {}) if found is None else found(form)

    def _discovery(self, _: object) -> Said:
        endpoints = {
            "authorization_endpoint": "/authorize",
            "device_authorization_endpoint": "/device",
            "token_endpoint": "/token",
            "revocation_endpoint": "/revoke",
            "jwks_uri": KEYS,
        }
        document = {
            "issuer": self.url,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "scopes_supported": ["openid", "offline_access"],
            **{name: self.url + path for name, path in endpoints.items()},
        }
        return 200, document | self.document

    def _GET_keys(self, _: object) -> Said:  # noqa: N802 - after the method of HTTP
        return 200, {"keys": [self.key.jwk()]}

    def _GET_authorize(self, form: dict[str, str]) -> Said | str:  # noqa: N802 - the same
        port = urlsplit(form["redirect_uri"]).port
        good = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": f"http://127.0.0.1:{port}/callback",
            "code_challenge_method": "S256",
        }
        if good.items() - form.items() or "openid" not in form["scope"].split():
            return 400, {"error": "invalid_request"}
        grant = Grant(form["nonce"])
        self.grants.append(grant)
        code = secrets.token_urlsafe()
        self._codes[code] = (form, grant)
        back = self.redirect({"code": code, "state": form["state"], "iss": self.url})
        return f"{form['redirect_uri']}?{urlencode(back)}"

    def _POST_device(self, form: dict[str, str]) -> Said:  # noqa: N802 - the same
        if form["client_id"] != CLIENT:
            return 401, {"error": "invalid_client"}
        code = secrets.token_urlsafe()
        self._devices[code] = Grant(None)
        self.grants.append(self._devices[code])
        return 200, {
            "device_code": code,
            "user_code": "WDJB-MJHT",
            "verification_uri": f"{self.url}/go",
            "verification_uri_complete": f"{self.url}/go?code=WDJB-MJHT",
            "expires_in": 600,
            "interval": 1,
        }

    def _POST_token(self, form: dict[str, str]) -> Said:  # noqa: N802 - the same
        if form.get("client_id") != CLIENT:
            return 401, {"error": "invalid_client"}
        match form["grant_type"]:
            case "authorization_code":
                return self._by_code(form)
            case "refresh_token":
                return self._by_refresh(form)
            case _:
                return self._by_device(form)

    def _by_code(self, form: dict[str, str]) -> Said:
        asked, grant = self._codes.pop(form["code"], ({}, Grant(None)))
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (asked.get("code_challenge"), asked.get("redirect_uri")) != (
            challenge,
            form["redirect_uri"],
        ):
            return 400, {"error": "invalid_grant"}
        return self._given(grant, CLIENT)

    def _by_device(self, form: dict[str, str]) -> Said:
        self.polled.append(time.monotonic())
        if self.polls:
            return 400, {"error": self.polls.pop(0)}
        return self._given(self._devices.pop(form["device_code"]), CLIENT)

    def _by_refresh(self, form: dict[str, str]) -> Said:
        token = form["refresh_token"]
        for grant in self.grants:
            if token in grant.spent:
                grant.over = True  # used twice: somebody has a copy
            if token == grant.refresh and not grant.over:
                return self._given(grant, form.get("audience", CLIENT), again=True)
        return 400, {"error": "invalid_grant", "error_description": f"{token} is over"}

    def _given(self, grant: Grant, audience: str, *, again: bool = False) -> Said:
        answer: dict[str, Any] = {"token_type": "Bearer", "expires_in": self.life}
        now = int(self.clock())
        claims = {"iss": self.url, "sub": self.subject, "aud": audience, "exp": now + self.life}
        answer["access_token"] = self.key.token(claims)
        if self.refreshes and (self.rotates or not grant.refresh):
            grant.spent.append(grant.refresh)
            answer["refresh_token"] = grant.refresh = secrets.token_urlsafe()
        if not again or self.id_token_again:
            answer["id_token"] = self.id_token(grant.nonce)
        return 200, _without_none(answer | self.tokens)

    def id_token(self, nonce: str | None) -> str:
        """Return an ID token of now."""
        now = int(self.clock())
        usual: dict[str, Any] = {"iss": self.url, "sub": self.subject, "aud": CLIENT, "iat": now}
        usual |= {"exp": now + self.id_life, "nonce": nonce}
        return self.key.token(_without_none(usual | self.claims))

    def _POST_revoke(self, form: dict[str, str]) -> Said:  # noqa: N802 - the same
        for grant in self.grants:
            if form["token"] in {grant.refresh, *grant.spent}:
                grant.over = True
        return 200, b""


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _handler(provider: OpenIdServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._answer(provider.answered("GET", parts.path, dict(parse_qsl(parts.query))))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = dict(parse_qsl(body, keep_blank_values=True))
            self._answer(provider.answered("POST", self.path, form))

        def _answer(self, said: Said | str) -> None:
            status, body = (302, b"") if isinstance(said, str) else said
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            if isinstance(said, str):
                self.send_header("location", said)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    return Handler
