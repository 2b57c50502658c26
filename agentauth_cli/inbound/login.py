"""What is kept of a login."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.secret import Secret
from agentauth_cli.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "default"
"""The identity of a login that is given no other name."""

Kept = Literal["jwt", "api_key", "oidc"]


@dataclass(frozen=True, slots=True)
class Renewal:
    """How the login of a browser or device goes on.

    It is good until `due`; then the issuer is asked at `endpoint`, as `client_id`, with the refresh
    `token`. Without one it ends there. `revocation` is where the token can be ended.
    `verified_at` is when the claims that are kept came: by that time they are judged.
    """

    token: Secret | None
    due: datetime
    verified_at: datetime
    client_id: str
    endpoint: str
    revocation: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """One login. `origins` are what of the configuration it was verified with.

    `secret` is the token or API key itself; of a login in the browser or by device (`oidc`) the
    verified claims of its ID token, as JSON.
    """

    kind: Kept
    secret: Secret
    stored_at: datetime
    origins: Mapping[str, str | None]
    renewal: Renewal | None = None


def written(login: Login) -> Secret:
    """Return a login as the keyring keeps it."""
    fields: dict[str, Any] = {
        "kind": login.kind,
        "secret": login.secret.reveal(),
        "stored_at": login.stored_at.isoformat(),
        "origins": dict(login.origins),
    }
    if login.renewal is not None:
        renewal = login.renewal
        fields["renewal"] = {
            "token": renewal.token.reveal() if renewal.token else None,
            "due": renewal.due.isoformat(),
            "verified_at": renewal.verified_at.isoformat(),
            "client_id": renewal.client_id,
            "endpoint": renewal.endpoint,
            "revocation": renewal.revocation,
        }
    return Secret(json.dumps(fields))


def read(entry: Secret) -> Login:
    """Return the login that an entry of the keyring holds. Raises ValueError."""
    match parse_object(entry.reveal().encode("utf-8", "surrogatepass")):
        case {
            "kind": "jwt" | "api_key" as kind,
            "secret": str(secret),
            "stored_at": str(stored_at),
            "origins": dict(origins),
        }:
            return Login(kind, Secret(secret), _time(stored_at), origins)
        case {
            "kind": "oidc",
            "secret": str(secret),
            "stored_at": str(stored_at),
            "origins": dict(origins),
            "renewal": dict(renewal),
        }:
            parse_object(secret.encode("utf-8", "surrogatepass"))
            since = _time(stored_at)
            return Login("oidc", Secret(secret), since, origins, _renewal(renewal))
    raise ValueError("is not a login")


def _renewal(found: Mapping[str, Any]) -> Renewal:
    match found:
        case {
            "token": str() | None as token,
            "due": str(due),
            "verified_at": str(verified_at),
            "client_id": str(client_id),
            "endpoint": str(endpoint),
            "revocation": str() | None as revocation,
        }:
            return Renewal(
                None if token is None else Secret(token),
                _time(due),
                _time(verified_at),
                client_id,
                endpoint,
                revocation,
            )
    raise ValueError("is not a login")


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("is not a login")
    return moment


def again(name: str) -> str:
    """Return the command that logs an identity in again, as a hint."""
    option = "" if name == DEFAULT else f" --identity {name}"
    return f"Log in again: `agentauth login{option}`"


def ended(name: str, why: str = "has ended") -> AuthenticationError:
    """Return that a session stands for nobody any more."""
    return AuthenticationError(
        f"the session of identity {name} {why}", reason="session_ended", hint=again(name)
    )
