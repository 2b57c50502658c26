"""The claims of a token whose signature is good → a principal. Pure.

`principal` raises AuthenticationError with one of these reasons:

audience    audience_refused
time        expiry_missing, time_form, expired, not_yet_valid, issued_in_future, life_too_long
identity    subject_refused, name_refused, groups_refused, actor_refused
conditions  email_unverified, requirement_unmet

An error names claims, never their values.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeGuard

from agentauth_cli.errors import AuthenticationError
from agentauth_cli.model import Principal
from agentauth_cli.secret import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentauth_cli.inbound.issuer import Issuer

LEEWAY = 30
MAX_LIFE = 24 * 60 * 60
MAX_TEXT = 256

_END_OF_TIME = 253_402_300_799  # the last second of the year 9999, which a datetime can hold
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NUMBERS = frozenset({int, float})  # JSON's; bool is a subclass of int
_OBJECTS = (dict, MappingProxyType)
_FLAT = frozenset({str, int, float, bool, type(None)})
_SHOWN = 80


def shown(value: object) -> str:
    """Return a value out of a token for an error: escaped, and cut to 80 characters."""
    if not isinstance(value, str):
        return "(missing)" if value is None else "(not a string)"
    return f'"{printable(value[:_SHOWN])[:_SHOWN]}"'


def text_fault(value: object) -> str | None:
    """Return what forbids this value as a subject, name or group; None where nothing does."""
    if not isinstance(value, str):
        return "is missing" if value is None else "is not a string"
    if not 1 <= len(value) <= MAX_TEXT:
        return f"is not 1 to {MAX_TEXT} characters long"
    if value != value.strip():
        return "begins or ends with a space"
    # they mean something in policies and resources
    if "*" in value or "?" in value or "\\" in value or "${" in value:
        return "holds *, ?, \\ or ${"
    if value.isascii() and value.isprintable():
        return None
    if any(unicodedata.category(char) in _CATEGORIES for char in value):
        return "holds an invisible character"
    if not unicodedata.is_normalized("NFC", value):
        return "is not in Unicode's form NFC"
    return None


def principal(
    claims: Mapping[str, Any], issuer: Issuer, issuers: Sequence[Issuer], now: datetime
) -> Principal:
    """Return who the verified claims of this issuer speak of.

    Raises AuthenticationError, with a reason of the table above.
    """
    seconds = now.timestamp()
    check_audience(claims.get("aud"), issuer.audience)
    expires_at = _expiry(claims, seconds)
    _check_conditions(claims, issuer)
    subject = _text(claims, issuer.subject_claim, "subject_refused")
    return Principal(
        id=f"{issuer.name}/{subject}",
        name=subject
        if issuer.name_claim is None
        else _text(claims, issuer.name_claim, "name_refused"),
        kind=issuer.kind,
        auth="jwt",
        groups=_groups(claims, issuer),
        claims=_frozen(claims),
        authenticated_at=_authenticated_at(claims.get("auth_time"), seconds),
        expires_at=expires_at,
        actor=_actor(claims["act"], issuer, issuers) if "act" in claims else None,
    )


def check_audience(aud: object, audience: str) -> None:
    """Raise AuthenticationError unless `aud`, one or a list, names this audience."""
    named = aud == audience
    if isinstance(aud, list):
        named = audience in aud and all(isinstance(one, str) for one in aud)
    if not named:
        raise AuthenticationError(
            f"the token's audience is not {audience}",
            reason="audience_refused",
            hint="Ask the issuer for a token with that `aud`",
        )


def _expiry(claims: Mapping[str, Any], now: float) -> datetime:
    """Return when the token ends. Raises AuthenticationError where now is outside its life."""
    expires, begins = _seconds(claims, "exp"), _seconds(claims, "nbf")
    issued = _seconds(claims, "iat")
    if expires is None:
        raise AuthenticationError("the token has no expiry", reason="expiry_missing")
    if now >= expires + LEEWAY:
        raise AuthenticationError(
            "the token has expired", reason="expired", hint="Present a fresh one"
        )
    if begins is not None and now < begins - LEEWAY:
        raise AuthenticationError("the token is not valid yet", reason="not_yet_valid")
    if issued is not None and now < issued - LEEWAY:
        raise AuthenticationError(
            "the token was issued in the future", reason="issued_in_future", hint="Check the clock"
        )
    if expires - (now if issued is None else issued) > MAX_LIFE:
        raise AuthenticationError("the token lives longer than 24 h", reason="life_too_long")
    return datetime.fromtimestamp(expires, UTC)


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if not is_time(value):
        raise AuthenticationError(f"the token's `{name}` is not a time", reason="time_form")
    return float(value)


def is_time(value: Any) -> TypeGuard[float]:
    """Say whether a claim's value is a NumericDate (RFC 7519) that a datetime can hold."""
    return type(value) in _NUMBERS and 0 <= value < _END_OF_TIME


def _check_conditions(claims: Mapping[str, Any], issuer: Issuer) -> None:
    # An e-mail address that its owner never confirmed must not become an id, a name (which
    # resources are made of) or the fulfilment of a requirement.
    used = {issuer.subject_claim, issuer.name_claim, *issuer.require}
    if "email" in used and claims.get("email_verified") is not True:
        raise AuthenticationError(
            "the token's e-mail address is not verified (`email_verified`)",
            reason="email_unverified",
        )
    for name, wanted in issuer.require.items():
        if name not in claims or _json_text(claims[name]) != wanted:
            raise AuthenticationError(
                f"the token's `{name}` is not what issuer {issuer.name} requires",
                reason="requirement_unmet",
                hint=f"See `require` of [inbound.issuers.{issuer.name}]",
            )


def _json_text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def _text(claims: Mapping[str, Any], name: str, reason: str) -> str:
    value = claims.get(name)
    fault = text_fault(value)
    if fault is not None:
        raise AuthenticationError(f"the token's `{name}` {fault}", reason=reason)
    return str(value)


def _groups(claims: Mapping[str, Any], issuer: Issuer) -> tuple[str, ...]:
    name = issuer.groups_claim
    if name is None:
        return ()
    if _lies_elsewhere(claims, name):
        raise AuthenticationError(
            f"the token's `{name}` must be fetched elsewhere", reason="groups_refused"
        )
    value = claims.get(name, [])
    if not isinstance(value, list):
        raise AuthenticationError(f"the token's `{name}` is not a list", reason="groups_refused")
    for group in value:
        fault = text_fault(group)
        if fault is not None:
            raise AuthenticationError(
                f"a group in the token's `{name}` {fault}", reason="groups_refused"
            )
    return tuple(f"{issuer.name}/{group}" for group in value)


def _lies_elsewhere(claims: Mapping[str, Any], name: str) -> bool:
    """Say whether a token says that it is too small for this claim.

    By OpenID Connect Core, 5.6.2; by Entra's `hasgroups` in the implicit flow ("Access token claims
    reference"). To a rule that forbids a group such groups would look like none.
    """
    elsewhere = claims.get("_claim_names")
    if elsewhere is not None and (not isinstance(elsewhere, dict) or name in elsewhere):
        return True
    return name == "groups" and name not in claims and claims.get("hasgroups") is not None


def _actor(act: object, issuer: Issuer, issuers: Sequence[Issuer]) -> str:
    """Return the id of who acts for the principal now (RFC 8693, 4.1).

    It is named as a principal of its issuer would be. Who acted before (an ``act`` in it) decides
    nothing, nor does whatever else is said of it.
    """
    if not isinstance(act, dict):
        raise AuthenticationError("the token's `act` is not an object", reason="actor_refused")
    if not isinstance(act.get("act", {}), dict):
        raise AuthenticationError(
            "the `act` in the token's `act` is not an object", reason="actor_refused"
        )
    iss = act.get("iss", issuer.issuer)
    found = [one for one in issuers if one.issuer == iss]
    if len(found) != 1:
        raise AuthenticationError(
            "the issuer in the token's `act` is not configured", reason="actor_refused"
        )
    claim = found[0].subject_claim
    if claim == "email" and act.get("email_verified") is not True:
        raise AuthenticationError(
            "the e-mail address in the token's `act` is not verified (`email_verified`)",
            reason="actor_refused",
        )
    fault = text_fault(act.get(claim))
    if fault is not None:
        raise AuthenticationError(
            f"the `{claim}` in the token's `act` {fault}", reason="actor_refused"
        )
    return f"{found[0].name}/{act[claim]}"


def _authenticated_at(auth_time: Any, now: float) -> datetime | None:
    if not is_time(auth_time) or auth_time > now + LEEWAY:
        return None
    return datetime.fromtimestamp(auth_time, UTC)


def _frozen(value: Any) -> Any:
    """Return what nobody can change: what was read is remembered (`jwt`)."""
    if isinstance(value, MappingProxyType) and _FLAT.issuperset(map(type, value.values())):
        return value
    if isinstance(value, _OBJECTS):
        return MappingProxyType({name: _frozen(one) for name, one in value.items()})
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return value
