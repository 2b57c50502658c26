"""The token of an issuer that a file of external account credentials leads to (AIP-4117).

From a file, or from a URL, whose host gets no secret but the headers that the file itself names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentauth_cli import files
from agentauth_cli.errors import SourceCredentialError
from agentauth_cli.secret import Secret
from agentauth_cli.strict_json import parse_object
from agentauth_cli.transport import send

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.outbound.gcp_call import Google

_OK = 200
_LIMIT = 64 * 1024
_TOKEN = re.compile(r"[!-~]+")


def subject_token(source: Mapping[str, Any], google: Google) -> Secret:
    """Return the token that a `credential_source` with a file or a URL leads to.

    Raises SourceCredentialError where there is none, ConfigError for an unsafe file, and
    ProviderUnreachableError.
    """
    content = _of_file(source) if "file" in source else _of_url(source, google)
    form = source.get("format", {})
    if not isinstance(form, dict) or form.get("type", "text") not in {"text", "json"}:
        raise SourceCredentialError("its credential_source has a format that is none")
    if form.get("type") == "json":
        content = _member(content, str(form.get("subject_token_field_name")))
    token = content.strip()
    if not _TOKEN.fullmatch(token):
        raise SourceCredentialError("its credential_source leads to no token")
    return Secret(token)


def _member(content: str, name: str) -> str:
    """Return a text of a JSON object, empty where there is none of this name."""
    try:
        found: Any = parse_object(content.encode()).get(name)
    except ValueError as error:
        raise SourceCredentialError(f"what its credential_source leads to {error}") from None
    return found if isinstance(found, str) else ""


def _of_file(source: Mapping[str, Any]) -> str:
    path = Path(str(source["file"]))
    content = files.read(path, limit=_LIMIT)
    if content is None:
        raise SourceCredentialError(f"{path} is not there")
    return _text(content)


def _of_url(source: Mapping[str, Any], google: Google) -> str:
    headers = source.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(one, str) for one in headers.values()):
        raise SourceCredentialError("its credential_source has headers that are none")
    answer = send(
        "GET",
        str(source["url"]),
        deadline=google.deadline,
        headers=headers,
        limit=_LIMIT,
        metadata=True,
    )
    if answer.status != _OK:
        raise SourceCredentialError(f"its credential_source answers with status {answer.status}")
    return _text(answer.body)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise SourceCredentialError("its credential_source leads to what is not UTF-8") from None
