"""What of the Hugging Face Hub a credential is for. Nothing here goes out.

Source: the Hub's page "Trusted Publishers".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.model import Grant, ToolRequest

LIFE = 3600
"""Seconds that an exchanged token lives; nothing else can be asked for."""

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
_RESOURCE = re.compile(rf"(?:(models|datasets|spaces)/({_NAME})/({_NAME}\*?|\*)|({_NAME}))")


@dataclass(frozen=True, slots=True)
class Place:
    """Repositories: of a kind, in a namespace, of a name that may end in a star.

    Without a kind, and with no name, it is the whole namespace.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}" if self.kind else self.namespace

    def holds(self, other: Place) -> bool:
        """Say whether all of the other place lies in this one."""
        if self.namespace != other.namespace or (self.kind and self.kind != other.kind):
            return False
        if self.name.endswith("*"):
            return other.name.startswith(self.name[:-1])
        return not self.kind or self.name == other.name


def place(resource: str, namespace: str) -> Place:
    """Return what a resource names. Raises ConfigError where that is not of this namespace."""
    found = _RESOURCE.fullmatch(resource)
    if found is None:
        raise ConfigError(
            f"{resource!r} is no resource of Hugging Face",
            hint="Such as models/acme/private-llm, datasets/acme/rows, spaces/acme/app, or acme",
        )
    named = Place(found[1] or "", found[2] or found[4], found[3] or "")
    if named.namespace != namespace:
        raise ConfigError(
            f"{resource} is not of the namespace {namespace}",
            hint="Name another environment, or another `namespace` of it",
        )
    return named


def exchanged(request: ToolRequest, namespace: str) -> str:
    """Return the `resource` of the exchange that this request means.

    Raises ConfigError where no single token is for that: one is for one repository, or for an
    account, whose token reads the gated repositories of everybody that the account may read.
    """
    places = {place(grant.resource, namespace) for grant in checked(request.narrowed)}
    if len(places) != 1:
        names = ", ".join(sorted(map(str, places)))
        raise ConfigError(
            f"a token of Hugging Face is for one repository, not for {names}",
            hint="Make a tool for each",
        )
    [one] = places
    if one.name.endswith("*"):
        raise ConfigError(
            f"a token of Hugging Face is for one repository, and {one} is many",
            hint=f"Name one: `--resource {one.kind}/{one.namespace}/NAME`",
        )
    if not one.kind and not request.unnarrowed:
        raise ConfigError(
            f"Hugging Face does not narrow a token for {one} to its repositories",
            hint="Name a repository, or set `unnarrowed = true` of the tool to mean it",
        )
    return str(one).removeprefix("models/")


def checked(grants: Sequence[Grant]) -> Sequence[Grant]:
    """Return the grants. Raises ConfigError where one permits nothing."""
    if not grants or not all(grant.permissions and all(grant.permissions) for grant in grants):
        hint = "Give the tool `permissions`, such as repo.content.read"
        raise ConfigError("a tool without permissions", hint=hint)
    return grants
