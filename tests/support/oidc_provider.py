"""A real OpenID provider: panva's oidc-provider on loopback, where Node.js and it are there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import IO, Self

from support import absent

CODE = Path(__file__).with_name("oidc") / "server.mjs"
RESOURCE = "https://provider.example"
"""What it gives access tokens for, besides itself."""


class OidcProvider:
    """The provider, while its `with` block lasts; everybody who comes is alice, and agrees."""

    def __init__(self) -> None:
        node = absent.program("node", "nodejs")
        folder = Path(os.environ.get("AGENTAUTH_TEST_OIDC", ".cache/oidc")).resolve()
        if not (folder / "node_modules" / "oidc-provider").is_dir():
            absent.missing("oidc-provider")
        self._command = [node, str(CODE), str(folder)]
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = self._out.readline().strip()
        assert self.url.startswith("http://127.0.0.1:")
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self._process.wait(20)
        self._out.close()

    def rotate(self) -> None:
        """Sign with a new key from now on; the old ones stay in the key set."""
        self._in.write("\n")
        self._in.flush()
        assert self._out.readline() == "rotated\n"

    @property
    def _in(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _out(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout
