"""The buckets of the fake of Google, by the JSON API of Cloud Storage.

Sources: the reference of the JSON API (objects: get, list, insert, delete) and "IAM permissions for
JSON methods". Small objects alone, media and multipart uploads.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.google_boundary import CREATE, DELETE, GET, LIST

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.faulty import Request

    May = Callable[[str, str, str | None, str], bool]
    """Whether a permission is held: on a bucket, an object (else the list), for a list's prefix."""

Said = tuple[int, Any]
"""Status, and JSON value or bytes; None for nothing."""

_ROOTS = {
    "/storage/v1/b/": ("GET", "DELETE"),
    "/download/storage/v1/b/": ("GET",),
    "/upload/storage/v1/b/": ("POST",),
}


def refusal(status: int, message: str, reason: str) -> Said:
    """Return an error as Cloud Storage words it."""
    detail = {"message": message, "domain": "global", "reason": reason}
    return status, {"error": {"code": status, "message": message, "errors": [detail]}}


class Buckets:
    """All buckets: their objects, by name."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, bytes]] = {}

    def answered(self, request: Request, may: May) -> Said:
        """Return the answer to a request of somebody who may do as `may` says."""
        parts = urlsplit(request.target)
        root = next((root for root in _ROOTS if parts.path.startswith(root)), None)
        if root is None or request.method not in _ROOTS[root]:
            return refusal(404, "Not Found", "notFound")
        bucket, objects, *name = (unquote(one) for one in parts.path.removeprefix(root).split("/"))
        query = {key: value[-1] for key, value in parse_qs(parts.query).items()}
        if objects != "o" or len(name) > 1 or (root.startswith("/upload") and name):
            return refusal(404, "Not Found", "notFound")
        if request.method == "POST":
            return self._insert(bucket, query, request, may)
        if not name:
            return self._list(bucket, query, may)
        permission = DELETE if request.method == "DELETE" else GET
        if not may(permission, bucket, name[0], ""):
            return _forbidden(permission)
        if name[0] not in self.held.get(bucket, {}):
            return refusal(404, f"No such object: {bucket}/{name[0]}", "notFound")
        if request.method == "DELETE":
            del self.held[bucket][name[0]]
            return 204, None
        if query.get("alt") == "media":
            return 200, self.held[bucket][name[0]]
        return 200, self._described(bucket, name[0])

    def _list(self, bucket: str, query: dict[str, str], may: May) -> Said:
        prefix = query.get("prefix", "")
        if not may(LIST, bucket, None, prefix):
            return _forbidden(LIST)
        if bucket not in self.held:
            return refusal(404, "The specified bucket does not exist.", "notFound")
        names = [name for name in sorted(self.held[bucket]) if name.startswith(prefix)]
        items = [self._described(bucket, name) for name in names]
        return 200, {"kind": "storage#objects", **({"items": items} if items else {})}

    def _insert(self, bucket: str, query: dict[str, str], request: Request, may: May) -> Said:
        match query.get("uploadType"):
            case "media":
                name, content = query.get("name"), request.body
            case "multipart":
                name, content = _parts(request)
            case _:
                return refusal(400, "Invalid upload type", "invalid")
        if not name:
            return refusal(400, "Required object name", "required")
        needed = [CREATE, DELETE] if name in self.held.get(bucket, {}) else [CREATE]
        for permission in needed:
            if not may(permission, bucket, name, ""):
                return _forbidden(permission)
        if bucket not in self.held:
            return refusal(404, "The specified bucket does not exist.", "notFound")
        self.held[bucket][name] = content
        return 200, self._described(bucket, name)

    def _described(self, bucket: str, name: str) -> dict[str, Any]:
        content = self.held[bucket][name]
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/1",
            "name": name,
            "bucket": bucket,
            "generation": "1",
            "size": str(len(content)),
            "md5Hash": base64.b64encode(digest).decode(),
        }


def _parts(request: Request) -> tuple[str | None, bytes]:
    """Return name and content of an upload of two parts (multipart/related, RFC 2387)."""
    kind, _, boundary = request.headers.get("content-type", "").partition("; boundary=")
    parts = request.body.split(b"--" + boundary.strip('"').encode())
    if kind != "multipart/related" or len(parts) != 4:
        return None, b""
    described, content = (part.partition(b"\r\n\r\n")[2][:-2] for part in parts[1:3])
    return json.loads(described).get("name"), content


def _forbidden(permission: str) -> Said:
    message = (
        f"The caller does not have {permission} access to the Google Cloud Storage object."
        f" Permission '{permission}' denied on resource (or it may not exist)."
    )
    return refusal(403, message, "forbidden")
