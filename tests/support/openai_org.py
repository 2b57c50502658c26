"""What OpenAI remembers of an organisation: projects, service accounts, keys, federation rules.

Written from the typed models of the `openai` package and OpenAI's pages; what it refuses, it
refuses in their words where those are known.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SUBJECT_TYPES = (
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
)
SCOPES = frozenset({
    "api.all.read", "api.files.read", "api.files.write", "api.model.read", "api.responses.read",
    "api.responses.write", "model.request",
})  # fmt: skip
LONGEST = 31_536_000


class RefusedError(Exception):
    """An answer that is none: HTTP status, code and message."""

    def __init__(self, status: int, code: str | None, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def body(self) -> dict[str, Any]:
        """Return it as the API says it; the token endpoint says `code` in the way of OAuth."""
        return {
            "error": {
                "message": self.message,
                "type": "invalid_request_error",
                "param": None,
                "code": self.code,
            }
        }


@dataclass
class Account:
    """A service account of a project."""

    id: str
    name: str
    project: str
    created: int
    role: str = "member"


@dataclass
class Key:
    """An API key, or (`id` empty) an exchanged access token. Empty `scopes`: all permissions."""

    id: str
    name: str
    value: str
    account: Account
    created: int
    expires: int | None
    scopes: tuple[str, ...] = ()
    deleted: bool = False


@dataclass
class Project:
    """A project; None and empty: no limit. `longest_key` in seconds, `spend_limit` in cents."""

    id: str
    models: tuple[str, ...] = ()
    spend_limit: int | None = None
    longest_key: int | None = None


@dataclass
class Rule:
    """Whose tokens may become whose: an identity provider and a mapping of a service account."""

    provider: str
    account: str
    issuer: str
    audience: str
    keys: Sequence[Mapping[str, Any]]
    matchers: Mapping[str, Any] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()


@dataclass
class Organization:
    """Everything there is. `life` is that of an exchanged token in seconds, `now` the Unix time."""

    now: Callable[[], float]
    admin_key: str = "made-up-admin-key"
    life: int = 3600
    projects: dict[str, Project] = field(default_factory=dict)
    accounts: list[Account] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    def project(self, project_id: str) -> Project:
        """Return a project of this organisation."""
        if project_id not in self.projects:
            raise RefusedError(404, None, f"No such project: {project_id}")
        return self.projects[project_id]

    def accounts_of(self, project_id: str) -> list[Account]:
        """Return the service accounts of a project, the oldest first."""
        self.project(project_id)
        return [one for one in self.accounts if one.project == project_id]

    def account(self, project_id: str, account_id: str) -> Account:
        """Return a service account of this project, and of no other."""
        for one in self.accounts_of(project_id):
            if one.id == account_id:
                return one
        raise RefusedError(404, None, f"No such service account: {account_id}")

    def keys_of(self, project_id: str) -> list[Key]:
        """Return the keys of a project that are neither deleted nor expired."""
        self.project(project_id)
        return [
            one
            for one in self.keys
            if one.id and one.account.project == project_id and self._lives(one)
        ]

    def add_account(self, project_id: str, name: str, *, role: str = "member") -> Account:
        """Create a service account."""
        self.project(project_id)
        made = Account(f"user-{secrets.token_hex(8)}", name, project_id, int(self.now()), role)
        self.accounts.append(made)
        return made

    def add_key(
        self, account: Account, name: str, seconds: int | None, scopes: Sequence[str] = ()
    ) -> Key:
        """Create a key, unless the project's policy wants it shorter or a scope is unknown."""
        longest = self.project(account.project).longest_key
        if longest is not None and (seconds is None or seconds > longest):
            raise RefusedError(400, "invalid_expiry", f"API keys must expire within {longest} s.")
        strange = ", ".join(sorted(set(scopes) - SCOPES))
        if strange:
            message = f"Request includes unauthorized scopes: {strange}."
            raise RefusedError(400, None, f"{message} Please check and remove these scopes.")
        now = int(self.now())
        made = Key(
            id=f"key_{secrets.token_hex(8)}",
            name=name,
            value=f"made-up-key-{secrets.token_hex(16)}",
            account=account,
            created=now,
            expires=None if seconds is None else now + seconds,
            scopes=tuple(scopes),
        )
        self.keys.append(made)
        return made

    def delete_key(self, project_id: str, key_id: str) -> Key:
        """Delete a key of this project."""
        for one in self.keys_of(project_id):
            if one.id == key_id:
                one.deleted = True
                return one
        raise RefusedError(404, None, f"No such API key: {key_id}")

    def key(self, value: str) -> Key:
        """Return the key of this value, if it is good now."""
        for one in self.keys:
            if one.value == value and self._lives(one):
                return one
        raise RefusedError(401, "invalid_api_key", "Incorrect API key provided.")

    def exchange(self, asked: Mapping[str, Any]) -> Key:
        """Return an access token for a subject token, as the rule for it allows."""
        if asked["grant_type"] != TOKEN_EXCHANGE:
            raise RefusedError(400, "unsupported_grant_type", "grant_type is not token-exchange")
        if asked["subject_token_type"] not in SUBJECT_TYPES:
            raise RefusedError(400, "invalid_request", "subject_token_type is not supported")
        wanted = asked["identity_provider_id"], asked["service_account_id"]
        for rule in self.rules:
            if (rule.provider, rule.account) != wanted:
                continue
            claims = self._verified(asked["subject_token"], rule)
            if rule.matchers.items() <= claims.items():
                return self._access_token(rule)
        raise RefusedError(401, "invalid_grant", "no service account mapping matches the token")

    def _access_token(self, rule: Rule) -> Key:
        [account] = [one for one in self.accounts if one.id == rule.account]
        now = int(self.now())
        value = f"made-up-access-token-{secrets.token_hex(16)}"
        made = Key("", "", value, account, now, now + self.life, rule.scopes)
        self.keys.append(made)
        return made

    def _verified(self, token: str, rule: Rule) -> dict[str, Any]:
        """Return the claims of a token that the provider has signed for this audience, in time."""
        refused = RefusedError(401, "invalid_subject_token", "the subject token was not accepted")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            keys = [jwt.PyJWK(dict(one)) for one in rule.keys if one.get("kid") == kid]
            claims: dict[str, Any] = jwt.decode(
                token,
                keys[0],
                algorithms=[keys[0].algorithm_name],
                audience=rule.audience,
                issuer=rule.issuer,
                options={
                    "require": ["iss", "sub", "aud", "exp"],
                    "verify_exp": False,  # by our own clock
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.InvalidTokenError, IndexError):
            raise refused from None
        if claims["exp"] <= self.now():
            raise refused
        return claims

    def _lives(self, key: Key) -> bool:
        return not key.deleted and (key.expires is None or key.expires > self.now())
