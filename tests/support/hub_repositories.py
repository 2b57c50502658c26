"""The repositories of the fake Hub: what huggingface_hub asks of them, held against the token.

Small files alone, on the one branch `main`. Sources: huggingface_hub's file_download, hf_api and
_commit_api.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.hub_tokens import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.faulty import Request
    from support.hub_tokens import Token

Said = tuple[int, Any, dict[str, str]]
"""Status, JSON value or bytes, and headers."""

_API = re.compile(
    r"/api/(model|dataset|space)s/([\w.-]+/[\w.-]+)"
    r"(?:/(revision|tree|preupload|commit)/([\w.-]+)(?:/(.*))?)?"
)
_FILE = re.compile(r"/(?:(dataset|space)s/)?([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/(.+)")


def refusal(status: int, message: str, code: str | None = None) -> Said:
    """Return an error as the Hub words it: for programs in the headers, for all in the body."""
    headers = {"x-error-message": message}
    if code is not None:
        headers["x-error-code"] = code
    return status, {"error": message}, headers


@dataclass
class Repository:
    """A repository; `gated` is public, and read only by tokens that may read gated ones."""

    private: bool = True
    gated: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """The name of what it holds now."""
        content = repr(sorted(self.files.items())).encode()
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@dataclass
class Silo:
    """All repositories, by type (`model`, `dataset`, `space`) and name."""

    held: dict[tuple[str, str], Repository] = field(default_factory=dict)

    def put(self, kind: str, name: str, files: Mapping[str, bytes]) -> Repository:
        """Add a private repository with these files, and return it."""
        self.held[kind, name] = Repository(files=dict(files))
        return self.held[kind, name]

    def answered(self, request: Request, path: str, token: Token | None) -> Said:
        """Return the answer to a request for a repository."""
        if found := _FILE.fullmatch(path):
            if request.method not in {"GET", "HEAD"}:
                return refusal(405, "Method not allowed")
            where, revision = (found[1] or "model", found[2]), found[3]
            return self._readable(where, revision, token) or self._file(where, found[4])
        found = _API.fullmatch(path)
        if found is None:
            return refusal(404, "Sorry, we can't find the page you are looking for.")
        where, verb, revision = (found[1], found[2]), found[3], found[4]
        refused = self._readable(where, revision, token)
        if refused is not None:
            return refused
        match request.method, verb:
            case "GET", "tree":
                return self._tree(where, found[5] or "")
            case "GET", "revision" | None:
                return self._described(where)
            case "POST", "preupload" | "commit":
                if token is None or not token.may(WRITE, where):
                    return refusal(403, _lacking("repo.write", where))
                upload = self._asked if verb == "preupload" else self._committed
                return upload(where, request)
            case _:
                return refusal(405, "Method not allowed")

    def _readable(
        self, where: tuple[str, str], revision: str | None, token: Token | None
    ) -> Said | None:
        """Return the refusal to read there, None where the token may."""
        found = self.held.get(where)
        if found is None:
            return refusal(404 if token else 401, "Repository not found", "RepoNotFound")
        if found.private and (token is None or not token.may(READ, where)):
            if token is None:
                return refusal(401, "Repository not found", "RepoNotFound")
            return refusal(403, _lacking(READ, where))
        if found.gated and (token is None or not (token.reads_gated() or token.may(READ, where))):
            message = f"Access to {where[0]} {where[1]} is restricted."
            return refusal(403 if token else 401, message, "GatedRepo")
        if revision not in {None, "main", found.commit}:
            return refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return None

    def _file(self, where: tuple[str, str], path: str) -> Said:
        found = self.held[where]
        content = found.files.get(path)
        if content is None:
            return refusal(404, "Entry not found", "EntryNotFound")
        headers = {"x-repo-commit": found.commit, "etag": f'"{_oid(content)}"'}
        return 200, content, headers

    def _tree(self, where: tuple[str, str], folder: str) -> Said:
        files = [
            {"type": "file", "oid": _oid(content), "size": len(content), "path": path}
            for path, content in sorted(self.held[where].files.items())
            if not folder or path.startswith(f"{folder}/")
        ]
        return 200, files, {}

    def _described(self, where: tuple[str, str]) -> Said:
        found = self.held[where]
        said = {
            "_id": "6" * 24,
            "id": where[1],
            "author": where[1].partition("/")[0],
            "sha": found.commit,
            "private": found.private,
            "gated": "auto" if found.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [{"rfilename": path} for path in sorted(found.files)],
        }
        return 200, said, {}

    def _asked(self, where: tuple[str, str], request: Request) -> Said:
        """Say that each file that is coming is a small one."""
        files = [
            {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
            for one in json.loads(request.body)["files"]
        ]
        return 200, {"files": files, "commitOid": self.held[where].commit}, {}

    def _committed(self, where: tuple[str, str], request: Request) -> Said:
        """Take in a commit of whole files: a line of JSON for each."""
        found = self.held[where]
        head, *lines = [json.loads(line) for line in request.body.splitlines()]
        if head["key"] != "header" or any(line["key"] != "file" for line in lines):
            return refusal(400, "Only whole files are taken")
        for line in lines:
            found.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        host = request.headers["host"]
        said = {
            "success": True,
            "commitOid": found.commit,
            "commitUrl": f"http://{host}/{where[1]}/commit/{found.commit}",
            "hookOutput": "",
        }
        return 200, said, {}


def _lacking(permission: str, where: tuple[str, str]) -> str:
    return f"Your token does not have the permission {permission} on {where[0]} {where[1]}"


def _oid(content: bytes) -> str:
    """Return the name that git gives to a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
