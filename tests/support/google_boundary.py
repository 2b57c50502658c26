"""Credential Access Boundaries as Google's STS takes them, and what each lets through.

Conditions in the few forms of CEL alone that are meant to be sent, joined by `||`; all else is
refused. Sources: "Credential Access Boundaries overview", the reference of STS (`Options`,
`AccessBoundary`) and "IAM roles for Cloud Storage".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

GET, LIST = "storage.objects.get", "storage.objects.list"
CREATE, DELETE = "storage.objects.create", "storage.objects.delete"

ROLES = {
    "roles/storage.objectViewer": {GET, LIST},
    "roles/storage.objectCreator": {CREATE},
    "roles/storage.objectUser": {GET, LIST, CREATE, DELETE},
    "roles/storage.objectAdmin": {GET, LIST, CREATE, DELETE},
    "roles/storage.legacyObjectReader": {GET},
    "roles/storage.legacyBucketReader": {LIST},
}
_MOST_RULES = 10
_MOST_CHARACTERS = 2048

Form = Literal["is", "starts", "lists"]

_TEXT = r"'((?:[^'\\\x00-\x1f\x7f]|\\['\\])*)'"
_PREFIX = r"api\.getAttribute\('storage\.googleapis\.com/objectListPrefix', ''\)"
_FORMS: dict[Form, re.Pattern[str]] = {
    "is": re.compile(rf"resource\.name == {_TEXT}"),
    "starts": re.compile(rf"resource\.name\.startsWith\({_TEXT}\)"),
    "lists": re.compile(rf"{_PREFIX}\.startsWith\({_TEXT}\)"),
}
_BUCKET = re.compile(r"//storage\.googleapis\.com/projects/_/buckets/([a-z0-9][a-z0-9._-]{1,220})")


class BoundaryError(Exception):
    """What is wrong with a boundary, in the words of the answer."""


@dataclass(frozen=True)
class Rule:
    """What may be done at most in a bucket; one of the clauses must hold, where there are any."""

    bucket: str
    permissions: frozenset[str]
    clauses: tuple[tuple[Form, str], ...] = ()

    def allows(self, permission: str, bucket: str, name: str | None, prefix: str) -> bool:
        """Whether this may be done to an object, or without a name to the list of a prefix."""
        if bucket != self.bucket or permission not in self.permissions:
            return False
        whole = f"projects/_/buckets/{bucket}" + ("" if name is None else f"/objects/{name}")
        return not self.clauses or any(
            (prefix if form == "lists" else whole).startswith(text)
            and (form != "is" or whole == text)
            for form, text in self.clauses
        )


def rules(options: str) -> tuple[Rule, ...]:
    """Return the rules of the `options` of an exchange: JSON, as it is or percent-encoded."""
    try:
        read = json.loads(options if options.startswith("{") else unquote(options))
    except ValueError:
        raise BoundaryError("Invalid JSON in options") from None
    boundary = _only(_only(read, {"accessBoundary"})["accessBoundary"], {"accessBoundaryRules"})
    listed = boundary["accessBoundaryRules"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST_RULES:
        raise BoundaryError("An access boundary has 1 to 10 rules")
    return tuple(_rule(one) for one in listed)


def _rule(read: Any) -> Rule:
    _only(read, {"availableResource", "availablePermissions"}, {"availabilityCondition"})
    bucket = _BUCKET.fullmatch(str(read["availableResource"]))
    if bucket is None:
        raise BoundaryError("Invalid availableResource")
    roles = read["availablePermissions"]
    if not isinstance(roles, list) or not roles:
        raise BoundaryError("No availablePermissions")
    named = [str(one).removeprefix("inRole:") for one in roles]
    if not all(str(one).startswith("inRole:") for one in roles) or not ROLES.keys() >= set(named):
        raise BoundaryError("Invalid availablePermissions")
    permissions = frozenset().union(*(ROLES[one] for one in named))
    return Rule(bucket[1], permissions, _condition(read.get("availabilityCondition")))


def _condition(read: Any) -> tuple[tuple[Form, str], ...]:
    if read is None:
        return ()
    expression = _only(read, {"expression"}, {"title", "description"})["expression"]
    if not isinstance(expression, str) or len(expression) > _MOST_CHARACTERS:
        raise BoundaryError("Invalid expression")
    clauses: list[tuple[Form, str]] = []
    at = 0
    while not clauses or at < len(expression):
        if clauses:
            at = _after(expression, " || ", at)
        form, found = _clause(expression, at)
        clauses.append((form, re.sub(r"\\(.)", r"\1", found[1])))
        at = found.end()
    return tuple(clauses)


def _clause(expression: str, at: int) -> tuple[Form, re.Match[str]]:
    for form, pattern in _FORMS.items():
        if found := pattern.match(expression, at):
            return form, found
    raise BoundaryError(f"Cannot evaluate the expression at {at}")


def _after(expression: str, text: str, at: int) -> int:
    if not expression.startswith(text, at):
        raise BoundaryError(f"Cannot evaluate the expression at {at}")
    return at + len(text)


def _only(read: Any, must: set[str], may: set[str] | None = None) -> dict[str, Any]:
    """Return the object if it has the members that it must, and no others but those it may."""
    if not isinstance(read, dict) or not must <= read.keys() <= must | (may or set()):
        raise BoundaryError(f"Expected an object of {', '.join(sorted(must))}")
    return read
