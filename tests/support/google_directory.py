"""Who there is at the fake of Google, what each may do, and the ways in which tokens are given.

STS (`v1.token`: exchange, and bounding), IAM Credentials (`generateAccessToken`) and the OAuth
endpoint (refresh token, assertion). Nothing is accepted that is not documented. Sources: the
references of these, and "Create a downscoped short-lived credential"; AIP-193 for errors.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from support.google_boundary import ROLES, BoundaryError, rules
from support.google_tokens import (
    AUTH,
    CLOUD,
    IAM,
    READS,
    WRITES,
    Account,
    ProofError,
    Provider,
    Token,
    federated,
    is_provider,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from support.faulty import Request
    from support.google_boundary import Rule
    from support.google_storage import Said

_TYPE = "urn:ietf:params:oauth:token-type:"
_GRANT = "urn:ietf:params:oauth:grant-type:"
_EXCHANGE = {"grant_type", "requested_token_type", "subject_token", "subject_token_type"}
_SECONDS = re.compile(r"([1-9][0-9]{0,5})s")
_HOUR = 3600


class Directory:
    """Members, their roles, and all tokens.

    `providers` are those of the pools and `keys` the key sets of their issuers; `accounts` are the
    service accounts by address, `roles` what each member has on each bucket, and `signed_in` the
    user of each refresh token. `exchanged`, `impersonated` and `bounded` are over the answers of
    the three ways to a token (None takes a member away). `given` are the tokens by value.
    """

    def __init__(
        self,
        *providers: Provider,
        keys: Mapping[str, Iterable[Mapping[str, Any]]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.providers = list(providers)
        self.keys = {issuer: list(jwks) for issuer, jwks in keys.items()}
        self.clock = clock
        self.accounts: dict[str, Account] = {}
        self.roles: dict[str, dict[str, set[str]]] = {}
        self.signed_in: dict[str, str] = {}
        self.given: dict[str, Token] = {}
        self.exchanged: dict[str, Any] = {}
        self.impersonated: dict[str, Any] = {}
        self.bounded: dict[str, Any] = {}

    def give(
        self,
        member: str,
        *scopes: str,
        seconds: int = _HOUR,
        until: datetime | None = None,
        within: tuple[Rule, ...] | None = None,
    ) -> str:
        """Return a new token of this member, as one that somebody holds already."""
        value = f"ya29.{secrets.token_urlsafe(32)}"
        expires = until or self.clock() + timedelta(seconds=seconds)
        self.given[value] = Token(member, frozenset(scopes), expires, within)
        return value

    def token(self, request: Request) -> Token | None:
        """Return the token that a request bears, None where that is none (any more)."""
        word, _, value = request.headers.get("authorization", "").partition(" ")
        return self._living(value) if word == "Bearer" else None

    def may(
        self, token: Token, permission: str, bucket: str, name: str | None, prefix: str
    ) -> bool:
        """Whether scope, roles and rules all let this be done."""
        reads = permission.endswith((".get", ".list"))
        held = self.roles.get(token.member, {}).get(bucket, set())
        return (
            bool(token.scopes & (READS if reads else WRITES))
            and any(permission in ROLES[role] for role in held)
            and (
                token.rules is None
                or any(rule.allows(permission, bucket, name, prefix) for rule in token.rules)
            )
        )

    def sts(self, asked: Mapping[str, str]) -> Said:
        """Exchange a token of an issuer, or bound one of Google's own."""
        if asked.get("grant_type") != f"{_GRANT}token-exchange":
            raise ProofError("unsupported_grant_type", "Invalid grant_type.")
        if asked.get("requested_token_type") != f"{_TYPE}access_token":
            raise ProofError("invalid_request", "Invalid requested_token_type.")
        match asked.get("subject_token_type"):
            case "urn:ietf:params:oauth:token-type:access_token":
                return self._bound(asked)
            case (
                "urn:ietf:params:oauth:token-type:jwt" | "urn:ietf:params:oauth:token-type:id_token"
            ):
                return self._exchange(asked)
            case _:
                raise ProofError("invalid_request", "Invalid subject_token_type.")

    def _exchange(self, asked: Mapping[str, str]) -> Said:
        if asked.keys() != _EXCHANGE | {"audience", "scope"}:
            raise ProofError("invalid_request", "Missing or unknown parameter.")
        if not is_provider(asked["audience"]):
            raise ProofError("invalid_request", 'Invalid value for "audience".')
        provider = next((one for one in self.providers if one.name == asked["audience"]), None)
        if provider is None:
            raise ProofError("invalid_target", 'The service indicated by "audience" is invalid.')
        scopes = asked["scope"].split(" ")
        if not all(one.startswith(AUTH) for one in scopes):
            raise ProofError("invalid_scope", "Some requested scopes were invalid.")
        keys = self.keys.get(provider.issuer, [])
        member = federated(provider, keys, asked["subject_token"], self.clock())
        said = _token(self.give(member, *scopes)) | {"expires_in": _HOUR}
        return 200, _without_none(said | self.exchanged)

    def _bound(self, asked: Mapping[str, str]) -> Said:
        if asked.keys() != _EXCHANGE | {"options"}:
            raise ProofError("invalid_request", "Missing or unknown parameter.")
        source = self._living(asked["subject_token"])
        if source is None:
            raise ProofError("invalid_grant", "The given token is invalid or expired.")
        if source.rules is not None:
            raise ProofError("invalid_request", "The token has security attributes already.")
        if CLOUD not in source.scopes:
            raise ProofError("invalid_scope", "The token lacks the scope cloud-platform.")
        try:
            within = rules(asked["options"])
        except BoundaryError as error:
            raise ProofError("invalid_request", str(error)) from None
        value = self.give(source.member, *source.scopes, until=source.expires, within=within)
        said = _token(value)
        if not source.member.startswith("user:"):  # theirs end with the token that was given
            said["expires_in"] = int((source.expires - self.clock()).total_seconds())
        return 200, _without_none(said | self.bounded)

    def oauth(self, asked: Mapping[str, str], audience: str) -> Said:
        """Give a user's token for a refresh token, or a service account's for its assertion."""
        match dict(asked):
            case {"grant_type": "refresh_token", "refresh_token": held, **others}:
                if not others.keys() >= {"client_id", "client_secret"}:
                    raise ProofError("invalid_client", "Missing client.")
                if held not in self.signed_in:
                    raise ProofError("invalid_grant", "Token has been expired or revoked.")
                value = self.give(self.signed_in[held], *others.get("scope", CLOUD).split(" "))
            case {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": proof}:
                keys = [one.key for one in self.accounts.values() if one.key is not None]
                claims = signed(proof, keys, self.clock())
                account = self.accounts.get(claims["iss"])
                if account is None or claims["aud"] != audience or account.disabled:
                    raise ProofError("invalid_grant", "Invalid JWT.")
                value = self.give(f"serviceAccount:{claims['iss']}", *claims["scope"].split(" "))
            case _:
                raise ProofError("unsupported_grant_type", "Invalid grant_type.")
        return 200, {"access_token": value, "expires_in": _HOUR, "token_type": "Bearer"}

    def impersonate(self, request: Request, address: str) -> Said:
        """Give a service account's token to whom may make such ones."""
        token = self.token(request)
        if token is None:
            return _status(
                401, "UNAUTHENTICATED", "Request had invalid authentication credentials."
            )
        if not token.scopes & {CLOUD, IAM}:
            said = "Request had insufficient authentication scopes."
            return _status(403, "PERMISSION_DENIED", said, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
        account = self.accounts.get(address)
        if account is None or token.member not in account.creators or token.rules is not None:
            denied = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource"
            said = f"{denied} (or it may not exist)."
            return _status(403, "PERMISSION_DENIED", said, "IAM_PERMISSION_DENIED")
        if account.disabled:
            return _status(403, "PERMISSION_DENIED", "The service account is disabled.")
        asked = _json(request)
        scopes, lifetime = asked.get("scope"), asked.get("lifetime", "3600s")
        seconds = _SECONDS.fullmatch(lifetime) if isinstance(lifetime, str) else None
        if (
            not asked.keys() <= {"delegates", "scope", "lifetime"}
            or asked.get("delegates") not in (None, [])
            or not isinstance(scopes, list)
            or not scopes
            or not all(isinstance(one, str) and one.startswith(AUTH) for one in scopes)
            or seconds is None
            or int(seconds[1]) > account.longest
        ):
            return _status(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        value = self.give(f"serviceAccount:{address}", *scopes, seconds=int(seconds[1]))
        ends = self.given[value].expires.strftime("%Y-%m-%dT%H:%M:%SZ")
        return 200, _without_none({"accessToken": value, "expireTime": ends} | self.impersonated)

    def _living(self, value: str) -> Token | None:
        """Return the token of this value, None where there is none (any more)."""
        token = self.given.get(value)
        if token is None or token.expires <= self.clock():
            return None
        account = self.accounts.get(token.member.removeprefix("serviceAccount:"))
        return None if account is not None and account.disabled else token


def _token(value: str) -> dict[str, Any]:
    named = {"access_token": value, "token_type": "Bearer"}
    return named | {"issued_token_type": f"{_TYPE}access_token"}


def _json(request: Request) -> dict[str, Any]:
    """Return a body's JSON object; what cannot be meant for one has a member that nothing has."""
    if request.headers.get("content-type", "").partition(";")[0] == "application/json":
        try:
            read = json.loads(request.body)
        except ValueError:
            read = None
        if isinstance(read, dict):
            return read
    return {"": None}


def _status(status: int, name: str, message: str, reason: str | None = None) -> Said:
    """Return an error as AIP-193 words it."""
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    if reason is not None:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": reason, "domain": "iam.googleapis.com"}]
    return status, {"error": error}


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
