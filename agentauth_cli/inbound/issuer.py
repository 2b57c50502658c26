"""Whose tokens are believed: one of ``[inbound.issuers]``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agentauth_cli.model import Kind


@dataclass(frozen=True, slots=True)
class Issuer:
    """One of ``[inbound.issuers]``: whose tokens are believed, and what their claims mean.

    `name` becomes the principal's issuer, `issuer` is the exact ``iss``. The keys come from
    `jwks_file` (absolute), else `jwks_url`, else discovery. Without `name_claim` the name is the
    subject, without `groups_claim` there are no groups. Each claim in `require` must have the value
    given. A login lasts for `session` seconds; with `client_id` it can be one in the browser, which
    asks for `scopes` at these endpoints, where they are given instead of discovered.
    """

    name: str
    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    jwks_url: str | None = None
    jwks_file: Path | None = None
    kind: Kind = "user"
    subject_claim: str = "sub"
    name_claim: str | None = None
    groups_claim: str | None = None
    require: Mapping[str, str] = field(default_factory=dict, hash=False)
    client_id: str | None = None
    token_endpoint: str | None = None
    session: int = 8 * 60 * 60
    scopes: tuple[str, ...] | None = None
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
