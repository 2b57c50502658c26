"""HTTP of the loopback OpenAI: requests taken apart, answers written, or what is sent instead."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from support.openai_shapes import Asked

if TYPE_CHECKING:
    from support.openai_api import OpenAIServer


def handler(api: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    """Return what answers for this server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", "0")))
            parts = urlsplit(self.path)
            try:
                said = json.loads(content) if content else None
            except ValueError:
                said = content
            query = parse_qs(parts.query, keep_blank_values=True)
            asked = Asked(
                method=self.command,
                path=parts.path,
                query={name.removesuffix("[]"): value for name, value in query.items()},
                headers={name.lower(): value for name, value in self.headers.items()},
                json=said,
            )
            status, body = api.answered(asked)
            instead = api.instead.get(asked.path)
            if instead is None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return
            try:
                for part in instead() if callable(instead) else instead:
                    if isinstance(part, bytes):
                        self.wfile.write(part)
                    elif api.ended.wait(part):
                        return
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the caller had read enough

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    return Handler
