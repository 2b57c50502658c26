"""What the fake Hub knows of its tokens: what each may do to which repository, and what it says.

Written from the Hub's pages "User access tokens", "Trusted Publishers" and the answers of
`/api/whoami-v2`. Permissions are `repo.content.read` and the like: of two, the shorter path holds
the longer one, and `write` holds `read`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

ACCOUNT = "acme-robot"
ORGANISATION = "acme"
READ = "repo.content.read"
WRITE = "repo.content.write"

Kind = Literal["classic", "fineGrained", "publisher", "identity"]


@dataclass(frozen=True)
class Scope:
    """Permissions on one entity: a repository by its type and name, an `org` or a `user`."""

    type: str
    name: str
    permissions: tuple[str, ...]

    def covers(self, repository: tuple[str, str]) -> bool:
        """Whether the entity is this repository (type, name), or the namespace that it is in."""
        kind, name = repository
        if self.type in {"org", "user"}:
            return name.partition("/")[0] == self.name
        return (self.type, self.name) == (kind, name)


@dataclass
class Token:
    """A token that the Hub has given out. `role` is a classic one's; `gated` reads gated ones."""

    value: str
    kind: Kind
    name: str
    created: datetime
    role: str = "fineGrained"
    scoped: tuple[Scope, ...] = ()
    everywhere: tuple[str, ...] = ()
    gated: bool = False
    expires: datetime | None = None
    revoked: bool = False

    def may(self, permission: str, repository: tuple[str, str]) -> bool:
        """Whether the token has this permission on a private repository."""
        if self.kind == "classic":
            mine = repository[1].partition("/")[0] in {ACCOUNT, ORGANISATION}
            return mine and (permission.endswith(".read") or self.role == "write")
        held = [
            *self.everywhere,
            *(
                one
                for scope in self.scoped
                if scope.covers(repository)
                for one in scope.permissions
            ),
        ]
        return any(_holds(one, permission) for one in held)

    def reads_gated(self) -> bool:
        """Whether the token reads public gated repositories that its account may read."""
        return self.gated or self.kind == "classic"

    def whoami(self) -> dict[str, Any]:
        """Return what `/api/whoami-v2` says of it.

        For exchanged tokens that is not documented; their shape is as near as it is known.
        """
        if self.kind == "publisher":
            entities = [{"type": scope.type, "name": scope.name} for scope in self.scoped]
            role = (
                "write" if self.may(WRITE, (self.scoped[0].type, self.scoped[0].name)) else "read"
            )
            return {
                "type": "app",
                "id": _id("oidc"),
                "name": "[OIDC]",
                "scope": {"role": role, "entities": entities},
                "auth": {"type": "oauth", "expiresAt": _when(self.expires)},
            }
        auth: dict[str, Any] = {"type": "oauth"}
        if self.kind != "identity":
            auth = {"type": "access_token", "accessToken": self._described()}
        if self.expires is not None:
            auth["expiresAt"] = _when(self.expires)
        return {**_USER, "auth": auth}

    def _described(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "displayName": self.name,
            "role": self.role,
            "createdAt": _when(self.created),
        }
        if self.kind == "fineGrained":
            said["fineGrained"] = {
                "canReadGatedRepos": self.gated,
                "global": list(self.everywhere),
                "scoped": [
                    {
                        "entity": {"_id": _id(one.name), "type": one.type, "name": one.name},
                        "permissions": list(one.permissions),
                    }
                    for one in self.scoped
                ],
            }
        return said


def _holds(held: str, wanted: str) -> bool:
    path, _, verb = held.rpartition(".")
    wanted_path, _, wanted_verb = wanted.rpartition(".")
    return f"{wanted_path}.".startswith(f"{path}.") and verb in {wanted_verb, "write"}


def _id(name: str) -> str:
    return name.encode().hex().ljust(24, "0")[:24]


def _when(time: datetime | None) -> str | None:
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%S.000Z")


_USER: Mapping[str, Any] = {
    "type": "user",
    "id": _id(ACCOUNT),
    "name": ACCOUNT,
    "fullname": "Acme's robot",
    "email": "robot@acme.test",
    "emailVerified": True,
    "canPay": False,
    "billingMode": "prepaid",
    "periodEnd": None,
    "isPro": False,
    "avatarUrl": "/avatars/robot.svg",
    "orgs": [
        {
            "type": "org",
            "id": _id(ORGANISATION),
            "name": ORGANISATION,
            "fullname": "Acme",
            "email": None,
            "canPay": False,
            "periodEnd": None,
            "avatarUrl": "/avatars/acme.svg",
            "roleInOrg": "write",
        }
    ],
}
