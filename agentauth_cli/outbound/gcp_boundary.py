"""A Credential Access Boundary: what a Google token can still do in Cloud Storage, as plain values.

Pure. It holds in buckets with uniform bucket-level access. Sources: Google's IAM documentation,
"Create downscoped short-lived credentials", and the reference of the Security Token Service,
"Options"; CEL's language definition for strings; Cloud Storage's requirements for names.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentauth_cli.model import Grant

RULES = 10
NAME_BYTES = 1024

Boundary = dict[str, Any]
"""In the words of the Security Token Service."""

_STORAGE = "gs://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_ROLE = re.compile(r"inRole:(?:(?:projects|organizations)/[A-Za-z0-9.:_-]+/)?roles/[A-Za-z0-9._]+")
_SPECIAL = re.compile(r"[\\'\0-\x1f\x7f-\x9f\u2028\u2029]")


def in_storage(resource: str) -> bool:
    """Say whether Google can narrow to this resource at all."""
    return resource.startswith(_STORAGE)


def boundary(grants: Sequence[Grant]) -> Boundary:
    """Return the boundary that has what the grants say and no more: a rule for each.

    Their resources are ``gs://BUCKET/NAME``, one object, or ``gs://BUCKET/PREFIX*``; an empty
    prefix is the bucket itself too, as far as the roles go. Raises ConfigError where a resource or
    permission is none of these, and where there are more rules than Google takes.
    """
    rules: list[Boundary] = []
    for grant in grants:
        rule = _rule(grant)
        if rule not in rules:
            rules.append(rule)
    if not 1 <= len(rules) <= RULES:
        raise ConfigError(
            f"{len(rules)} rules of access, and Google takes 1 to {RULES}",
            hint="Give the tool fewer grants",
        )
    return {"accessBoundary": {"accessBoundaryRules": rules}}


def whole_buckets(limits: Boundary) -> bool:
    """Say whether a rule is of a whole bucket, so also of what is done to the bucket itself."""
    rules = limits["accessBoundary"]["accessBoundaryRules"]
    return any("availabilityCondition" not in rule for rule in rules)


def literal(text: str) -> str:
    """Return the string literal of CEL that means this text."""
    return f"'{_SPECIAL.sub(_escape, text)}'"


def as_json(value: Boundary) -> str:
    """Return it as compact ASCII."""
    return json.dumps(value, separators=(",", ":"))


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return f"\\{char}" if char in "\\'" else f"\\u{ord(char):04x}"


def _rule(grant: Grant) -> Boundary:
    for permission in grant.permissions or ("",):
        if not _ROLE.fullmatch(permission):
            what = f"{permission!r} is no role that Google narrows to" if permission else "no roles"
            raise ConfigError(
                what, hint="Give the tool `permissions`, such as inRole:roles/storage.objectViewer"
            )
    bucket, name = _taken_apart(grant.resource)
    rule: Boundary = {
        "availablePermissions": list(grant.permissions),
        "availableResource": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
    }
    # Of the whole bucket every condition would be true: listing asks for the prefix '' then.
    if name != "*":
        rule["availabilityCondition"] = {"expression": _condition(bucket, name)}
    return rule


def _taken_apart(resource: str) -> tuple[str, str]:
    """Return bucket and name. Raises ConfigError for what is no object and no prefix."""
    bucket, slash, name = resource.removeprefix(_STORAGE).partition("/")
    if not in_storage(resource) or not _BUCKET.fullmatch(bucket) or not slash or not name:
        raise ConfigError(
            f"{resource!r} is no object of Cloud Storage",
            hint="Give the tool gs://BUCKET/NAME, or gs://BUCKET/PREFIX*",
        )
    # Nothing that is printable ends a CEL string but the quote, which is escaped.
    if not name.isprintable() or len(name.encode()) > NAME_BYTES:
        raise ConfigError(f"{resource!r} is no name that an object of Cloud Storage can have")
    return bucket, name


def _condition(bucket: str, name: str) -> str:
    """Return the CEL expression for one object, or for all under a prefix and their listing.

    One object has no listing: the prefix that would list ``a`` lists ``a2`` too.
    """
    prefix = name.removesuffix("*")
    within = literal(f"projects/_/buckets/{bucket}/objects/{prefix}")
    if not name.endswith("*"):
        return f"resource.name == {within}"
    listed = "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"
    return f"resource.name.startsWith({within}) || {listed}.startsWith({literal(prefix)})"
