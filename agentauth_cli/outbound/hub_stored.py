"""What a stored token of Hugging Face may, as the Hub says it. Nothing here goes out.

Sources: the Hub's page "User access tokens"; what `/api/whoami-v2` says, as huggingface.js types it
(`who-am-i.ts`).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ProviderAnswerError, SourceCredentialError
from agentauth_cli.outbound.hub_place import Place, place
from agentauth_cli.secret import told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentauth_cli.model import Grant

_KINDS = {"model": "models", "dataset": "datasets", "space": "spaces", "org": "", "user": ""}
_ANSWER = "whoami-v2 answered in a form that is not known"


@dataclass(frozen=True, slots=True)
class Held:
    """What a fine-grained token may in one place; `place` None: one that is not known here.

    `where` and `permissions` are the Hub's own words, as they came.
    """

    where: str
    place: Place | None
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FineGrained:
    """What whoami says of a fine-grained token; `expires` None: never."""

    gated: bool
    everywhere: tuple[str, ...]
    held: tuple[Held, ...]
    expires: datetime | None

    def beyond(self, grants: Sequence[Grant], namespace: str) -> Iterator[str]:
        """Yield, in words, what the token may that these grants do not permit."""
        allowed = [(place(one.resource, namespace), set(one.permissions)) for one in grants]
        if self.gated:
            yield "reading all gated repositories"
        if self.everywhere:
            yield f"{told(', '.join(self.everywhere))} everywhere"
        for one in self.held:
            inside = [
                permissions
                for where, permissions in allowed
                if one.place is not None and where.holds(one.place)
            ]
            for permission in one.permissions:
                if not any(permission in permissions for permissions in inside):
                    yield told(f"{permission} on {one.where}")


def fine_grained(said: Mapping[str, Any], finer: str) -> FineGrained:
    """Return what whoami says of a stored token; `finer` is the hint how to make a finer one.

    Raises SourceCredentialError for a token of another kind, ProviderAnswerError for an answer of
    another form, also where it says of the token what is not known here.
    """
    match said:
        case {"auth": {"type": "access_token", "accessToken": {"role": str(role), **more}, **auth}}:
            pass
        case {"auth": {"type": str(kind)}}:
            raise SourceCredentialError(
                f"what is stored is no access token: {told(kind)}", hint=finer
            )
        case _:
            raise ProviderAnswerError(_ANSWER)
    if role != "fineGrained":
        why = f"the stored token is a classic one, with the role {told(role)}"
        raise SourceCredentialError(why, hint=finer)
    match more.get("fineGrained"):
        case {
            "canReadGatedRepos": bool(gated),
            "global": list(everywhere),
            "scoped": list(scoped),
            **others,
        }:
            strange = [told(str(name)) for name, value in others.items() if value]
        case _:
            raise ProviderAnswerError(_ANSWER)
    if strange:
        raise ProviderAnswerError(f"{_ANSWER}: it has {strange[0]}")
    held = tuple(_held(one) for one in scoped)
    return FineGrained(gated, _texts(everywhere), held, _time(auth.get("expiresAt")))


def _held(said: object) -> Held:
    match said:
        case {"entity": {"type": str(kind), "name": str(name)}, "permissions": list(permissions)}:
            return Held(f"{kind} {name}", _of_the_hub(kind, name), _texts(permissions))
    raise ProviderAnswerError(_ANSWER)


def _of_the_hub(kind: str, name: str) -> Place | None:
    """Return the place that an entity is, None for one that no resource of ours can name."""
    namespace, slash, rest = name.partition("/")
    if kind not in _KINDS or bool(slash) != bool(_KINDS[kind]) or "*" in name:
        return None
    return Place(_KINDS[kind], namespace, rest)


def _texts(said: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(one, str) for one in said):
        raise ProviderAnswerError(_ANSWER)
    return tuple(said)


def _time(said: object) -> datetime | None:
    if said is None:
        return None
    with contextlib.suppress(ValueError, OverflowError):  # the last day of all is none in UTC
        found = datetime.fromisoformat(said if isinstance(said, str) else "")
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    raise ProviderAnswerError(_ANSWER)
