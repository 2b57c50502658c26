"""What an OpenID provider says of itself: where to log in with it (OpenID Connect Discovery 1.0).

The endpoints of the configuration come first; for what it does not say, the provider's document is
asked, over HTTPS, within 5 s, at most 512 KiB, no redirect followed. Its `issuer` has to be the
configured one, its endpoints have to be HTTPS, on loopback also HTTP where the issuer is there too.

Failures are AuthenticationError with the reason `issuer_unreachable`, `discovery_refused` or
`endpoint_missing`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from agentauth_cli.errors import AuthenticationError, ProviderError
from agentauth_cli.strict_json import parse_object
from agentauth_cli.transport import Deadline, is_loopback, send

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.inbound.issuer import Issuer

Flow = Literal["code", "device"]

SECONDS = 5.0
LIMIT = 512 * 1024
SCOPES = ("openid", "profile", "email", "offline_access")
"""What is asked for where the configuration does not say; of it, what the provider offers."""

_DOCUMENT = "/.well-known/openid-configuration"
_OK = 200
_URL_LENGTH = 2048
_VISIBLE = re.compile(r"[!-~]+")
_BEGINS: dict[Flow, str] = {
    "code": "authorization_endpoint",
    "device": "device_authorization_endpoint",
}


@dataclass(frozen=True, slots=True)
class Provider:
    """An issuer as one to log in with. `begins` is where: a page, or the device's endpoint.

    `names_itself` says that the answer of that page has to name the issuer (RFC 9207).
    """

    issuer: Issuer
    client_id: str
    begins: str
    token_endpoint: str
    revocation_endpoint: str | None = None
    names_itself: bool = False
    scopes: tuple[str, ...] = SCOPES


def provider(issuer: Issuer, client_id: str, flow: Flow) -> Provider:
    """Return where a login of this kind begins and ends. Raises AuthenticationError."""
    wanted = (_BEGINS[flow], "token_endpoint")
    document: Mapping[str, Any] = {}
    if not all(getattr(issuer, name) for name in wanted):
        document = _document(issuer)
    begins, token = (_needed(issuer, document, name) for name in wanted)
    methods = document.get("code_challenge_methods_supported")
    if flow == "code" and isinstance(methods, list) and "S256" not in methods:
        raise _refused(issuer, "does not offer PKCE with S256")
    return Provider(
        issuer,
        client_id,
        begins,
        token,
        _endpoint(issuer, document, "revocation_endpoint"),
        document.get("authorization_response_iss_parameter_supported") is True,
        issuer.scopes or _offered(document.get("scopes_supported")),
    )


def _offered(supported: object) -> tuple[str, ...]:
    """Return our scopes, without those that the provider would refuse as it names its own."""
    if not isinstance(supported, list):
        return SCOPES
    return tuple(one for one in SCOPES if one == "openid" or one in supported)


def _needed(issuer: Issuer, document: Mapping[str, Any], name: str) -> str:
    found = _endpoint(issuer, document, name)
    if found is None:
        raise AuthenticationError(
            f"issuer {issuer.name} has no `{name}`",
            reason="endpoint_missing",
            hint=f"Set it in [inbound.issuers.{issuer.name}], or log in another way:"
            " see `agentauth login --help`",
        )
    return found


def _endpoint(issuer: Issuer, document: Mapping[str, Any], name: str) -> str | None:
    configured: str | None = getattr(issuer, name)
    if configured is not None:
        return configured
    url = document.get(name)
    if url is None:
        return None
    if not isinstance(url, str) or not _is_fit(url, issuer):
        raise _refused(issuer, f"has a `{name}` that is no URL to send anything to")
    return url


def _is_fit(url: str, issuer: Issuer) -> bool:
    """Say whether it is a plain URL over HTTPS, or leads to the machine that the issuer is on."""
    if len(url) > _URL_LENGTH or not _VISIBLE.fullmatch(url) or "#" in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and is_loopback(host) and issuer.issuer.startswith("http:")


def _document(issuer: Issuer) -> dict[str, Any]:
    url = issuer.issuer.removesuffix("/") + _DOCUMENT
    try:
        response = send(
            "GET",
            url,
            deadline=Deadline(SECONDS),
            headers={"accept": "application/json"},
            limit=LIMIT,
        )
    except ProviderError as error:
        raise unreachable(issuer.name, error.message) from None
    if response.status != _OK:
        raise unreachable(issuer.name, f"{url} answered with status {response.status}")
    try:
        document = parse_object(response.body)
    except ValueError as error:
        raise _refused(issuer, str(error)) from None
    if document.get("issuer") != issuer.issuer:
        raise _refused(issuer, "names another issuer")
    return document


def _refused(issuer: Issuer, why: str) -> AuthenticationError:
    return AuthenticationError(
        f"the discovery document of issuer {issuer.name} {why}",
        reason="discovery_refused",
        hint=f"Check [inbound.issuers.{issuer.name}]",
    )


def unreachable(issuer: str, why: str) -> AuthenticationError:
    """Return that an issuer could not be asked."""
    return AuthenticationError(
        f"issuer {issuer} cannot be asked: {why}",
        reason="issuer_unreachable",
        hint=f"Check the network and [inbound.issuers.{issuer}]",
    )
