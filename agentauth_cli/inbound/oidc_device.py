"""Logging in with a code that is typed elsewhere: the device authorization grant (RFC 8628).

Asked at the provider's own interval, slower each time it says so or cannot be reached, until the
code expires. Raises AuthenticationError with the reasons login_expired and login_refused, and those
of `oidc` and `oidc_token`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agentauth_cli.errors import (
    AuthenticationError,
    ProviderAnswerError,
    ProviderError,
)
from agentauth_cli.inbound.oidc import unreachable
from agentauth_cli.inbound.oidc_token import Refusal, ask, is_seconds, post, refusal, unfit
from agentauth_cli.secret import Secret
from agentauth_cli.strict_json import parse_object
from agentauth_cli.transport import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentauth_cli.inbound.oidc import Provider
    from agentauth_cli.inbound.oidc_token import Tokens
    from agentauth_cli.ports import Clock

LONGEST = 30 * 60
"""Seconds that a code is waited for, however long it may live."""

_INTERVAL = 5  # RFC 8628, 3.2: where the provider gives none
_SLOWER = 5  # and 3.5
_OK = 200
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_URL = re.compile(r"[!-~]{1,2048}")
_CODE = re.compile(r"[ -~]{1,64}")


@dataclass(frozen=True, slots=True)
class Code:
    """What the person types where; `whole` is the place with the code in it, where there is one."""

    user_code: str
    url: str
    whole: str | None
    life: int
    interval: int
    device_code: Secret = field(repr=False)


def begin(provider: Provider) -> Code:
    """Return a code to be typed in. Raises AuthenticationError."""
    form = {"client_id": provider.client_id, "scope": " ".join(provider.scopes)}
    name = provider.issuer.name
    try:
        response = post(provider.begins, form)
    except ProviderError as error:
        raise unreachable(name, error.message) from None
    if response.status != _OK:
        raise _refused(provider, refusal(response, form).words)
    try:
        answer = parse_object(response.body)
    except ValueError as error:
        raise unfit(name, str(error)) from None
    return _code(answer, name)


def _code(answer: dict[str, Any], issuer: str) -> Code:
    device_code, user_code = answer.get("device_code"), answer.get("user_code")
    whole = answer.get("verification_uri_complete")
    life, interval = answer.get("expires_in"), answer.get("interval", _INTERVAL)
    url = answer.get("verification_uri")
    if not isinstance(device_code, str) or not device_code:
        raise unfit(issuer, "has no `device_code`")
    if not isinstance(user_code, str) or not _CODE.fullmatch(user_code):
        raise unfit(issuer, "has no `user_code` that can be typed")
    if not isinstance(url, str) or not _is_page(url):
        raise unfit(issuer, "has no `verification_uri` over HTTPS")
    if not is_seconds(life) or not is_seconds(interval):
        raise unfit(issuer, "has an `expires_in` or `interval` that is no number of seconds")
    if not isinstance(whole, str) or not _is_page(whole):
        whole = None  # only a convenience
    return Code(user_code, url, whole, life, interval, Secret(device_code))


def _is_page(url: str) -> bool:
    """Say whether a person can be sent there."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if not _URL.fullmatch(url) or not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def tokens(provider: Provider, given: Code, clock: Clock, sleep: Callable[[float], None]) -> Tokens:
    """Wait until the person has typed the code in, and return what the provider gives for it."""
    end = clock() + timedelta(seconds=min(given.life, LONGEST))
    interval = given.interval
    while (left := (end - clock()).total_seconds()) > 0:
        sleep(min(interval, left))
        found = _asked(provider, given)
        if not isinstance(found, Refusal):
            return found
        if found.code == "slow_down" or found.transient:
            interval += _SLOWER
        elif found.code != "authorization_pending":
            raise _ended(provider, found)
    raise _expired()


def _asked(provider: Provider, given: Code) -> Tokens | Refusal:
    """Ask once; where nobody could be asked, that is a refusal that may pass."""
    form: dict[str, str | Secret] = {
        "grant_type": _GRANT,
        "client_id": provider.client_id,
        "device_code": given.device_code,
    }
    try:
        return ask(provider.token_endpoint, form, provider.issuer.name)
    except ProviderAnswerError as error:
        raise unreachable(provider.issuer.name, error.message) from None
    except ProviderError as error:
        return Refusal("", error.message, transient=True)


def _ended(provider: Provider, found: Refusal) -> AuthenticationError:
    return _expired() if found.code == "expired_token" else _refused(provider, found.words)


def _expired() -> AuthenticationError:
    return AuthenticationError(
        "nobody confirmed the code before it expired",
        reason="login_expired",
        hint="Nothing was kept: log in again",
    )


def _refused(provider: Provider, why: str) -> AuthenticationError:
    return AuthenticationError(
        f"issuer {provider.issuer.name} refused it: {why}",
        reason="login_refused",
        hint="Nothing was kept: log in again",
    )
