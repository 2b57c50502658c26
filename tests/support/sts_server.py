"""An STS on loopback that grants every session that it understands, at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs

from support.sts import credential

KEY = {"AWS_ACCESS_KEY_ID": "MADEUPSOURCEKEY", "AWS_SECRET_ACCESS_KEY": "made-up-source-secret"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        asked = {
            name: value[0] for name, value in parse_qs(self.rfile.read(length).decode()).items()
        }
        account, role = asked["RoleArn"].split(":")[4], asked["RoleArn"].rpartition("/")[2]
        ends = datetime.now(UTC) + timedelta(seconds=int(asked["DurationSeconds"]))
        parts = credential(
            asked["RoleSessionName"],
            operation=asked["Action"],
            role=role,
            account=account,
            expires=ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        for part in parts:
            assert isinstance(part, bytes)
            self.wfile.write(part)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class StsServer:
    """The server, as a context manager. `source` is a key that it takes, as it takes any."""

    source = KEY

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"
