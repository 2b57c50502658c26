"""A small OpenID issuer: keys that sign anything, also what no issuer should, and a real server.

The server speaks HTTP on loopback: discovery and a key set, counted, and misbehaving on demand.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, Self

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import get_default_algorithms

if TYPE_CHECKING:
    from collections.abc import Mapping

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"

Behaviour = Literal["good", "huge", "slow", "redirect", "error", "html", "duplicate"]


def base64url(content: bytes) -> str:
    """Return the bytes as base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(part: Mapping[str, Any] | bytes) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


class Signer:
    """A private key with an algorithm and a key id."""

    def __init__(self, algorithm: str, private: Any, kid: str | None = "k1") -> None:
        self.algorithm = algorithm
        self.private = private
        self.kid = kid
        self._maker = get_default_algorithms()[algorithm]

    def jwk(self, **members: object) -> dict[str, Any]:
        """Return the public key as a JWK, with these members over its own; None takes one away."""
        made = self._maker.to_jwk(self.private.public_key(), as_dict=True)
        made.pop("key_ops", None)
        made |= {"kid": self.kid, "use": "sig"} | members
        return {name: value for name, value in made.items() if value is not None}

    def private_jwk(self) -> dict[str, Any]:
        """Return the private key as a JWK, as nobody should publish it."""
        made = self._maker.to_jwk(self.private, as_dict=True)
        made.pop("key_ops", None)
        return made | {"kid": self.kid}

    def signature(self, content: bytes) -> bytes:
        """Return the raw signature of these bytes."""
        return self._maker.sign(content, self.private)

    def header(self, **members: object) -> dict[str, object]:
        """Return the usual header, with these members over it."""
        usual: dict[str, object] = {"alg": self.algorithm, "typ": "JWT"}
        if self.kid is not None:
            usual["kid"] = self.kid
        return usual | members

    def token(
        self,
        claims: Mapping[str, Any] | bytes,
        header: Mapping[str, Any] | bytes | None = None,
    ) -> str:
        """Return a really signed token over this payload and header, whatever they are."""
        return self.sign_parts(
            base64url(_bytes(self.header() if header is None else header)),
            base64url(_bytes(claims)),
        )

    def sign_parts(self, header: str, payload: str) -> str:
        """Return a really signed token over two parts that are already written."""
        signed = f"{header}.{payload}"
        return f"{signed}.{base64url(self.signature(signed.encode()))}"


@cache
def signer(algorithm: str, kid: str | None = "k1", number: int = 0) -> Signer:
    """Return a signer, the same one for the same arguments. `number` tells equal ones apart."""
    del number
    made: Any
    match algorithm:
        case "ES256":
            made = ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            made = ec.generate_private_key(ec.SECP384R1())
        case "ES512":
            made = ec.generate_private_key(ec.SECP521R1())
        case "EdDSA":
            made = ed25519.Ed25519PrivateKey.generate()
        case _:
            made = rsa.generate_private_key(65537, 2048)
    return Signer(algorithm, made, kid)


@cache
def weak_signer() -> Signer:
    """Return an RSA signer of 1,024 bits."""
    return Signer("RS256", rsa.generate_private_key(65537, 1024))  # noqa: S505 - to be refused


@cache
def small_exponent_signer() -> Signer:
    """Return an RSA signer of 2,048 bits with the exponent 3."""
    return Signer("RS256", rsa.generate_private_key(3, 2048))


@cache
def ed448_signer() -> Signer:
    """Return a signer on the curve Ed448."""
    return Signer("EdDSA", ed448.Ed448PrivateKey.generate())


class IssuerServer:
    """An issuer over HTTP on loopback, while its `with` block lasts.

    `keys` is its key set, `behaviour` how it answers at `misbehaves_at`, `requests` how often each
    path was asked for. `document` takes the place of parts of its discovery document.
    """

    def __init__(self, *keys: Mapping[str, Any]) -> None:
        self.keys: list[Mapping[str, Any]] = list(keys)
        self.behaviour: Behaviour = "good"
        self.misbehaves_at = KEYS
        self.document: dict[str, object] = {}
        self.requests: Counter[str] = Counter()
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def url(self) -> str:
        """The issuer's `iss`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def keys_url(self) -> str:
        """Where its key set is."""
        return self.url + KEYS

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Stop answering; nobody listens at the address any more."""
        if not self._ended.is_set():
            self._ended.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than the server lives; return whether it has ended."""
        return self._ended.wait(seconds)

    def answer(self, path: str) -> bytes | None:
        """Return the well-behaved answer, or None for a path that there is not."""
        if path == DISCOVERY:
            return json.dumps(
                {"issuer": self.url, "jwks_uri": self.keys_url} | self.document
            ).encode()
        if path == KEYS:
            return json.dumps({"keys": self.keys}).encode()
        return None


def _handler(issuer: IssuerServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests[self.path] += 1
            good = issuer.answer(self.path)
            behaviour = issuer.behaviour if self.path == issuer.misbehaves_at else "good"
            match behaviour:
                case "huge":
                    self._send(200, b'{"keys": [' + b" " * 600_000 + b"]}")
                case "slow":
                    self._drip()
                case "redirect":
                    self._send(302, b"", location=f"{issuer.url}/elsewhere")
                case "error":
                    self._send(500, b"{}")
                case "html":
                    self._send(200, b"<html>Please log in to the network</html>")
                case "duplicate":
                    self._send(200, b'{"issuer": "x", "keys": [], ' + (good or b"{")[1:])
                case _:
                    self._send(404 if good is None else 200, good or b"")

        def _send(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the caller had read enough

        def _drip(self) -> None:
            """Send a byte now and then, so that no single wait is long."""
            self.send_response(200)
            self.send_header("content-length", "100000")
            self.end_headers()
            try:
                while not issuer.wait(0.02):
                    self.wfile.write(b" ")
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    return Handler
