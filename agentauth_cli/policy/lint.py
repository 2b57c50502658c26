"""What loads and is probably not meant: the warnings of `policy lint`, each with its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.policy.conditions import Claim
from agentauth_cli.policy.inclusion import Shadows
from agentauth_cli.policy.matching import CLAIM
from agentauth_cli.policy.pattern import split
from agentauth_cli.policy.testing import reached
from agentauth_cli.policy.variables import USABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentauth_cli.policy.matching import Template
    from agentauth_cli.policy.packed import Policy
    from agentauth_cli.policy.rule import Rule
    from agentauth_cli.policy.testing import Result
    from agentauth_cli.tables.shape import At

_S3 = "s3://"
_NAME = "principal.name"
_UNIQUE = frozenset({"principal.issuer", "principal.hash"})
# Stands for a star: no pattern on a resource can hold it.
_STAR = "\0"


@dataclass(frozen=True, slots=True)
class Finding:
    """One warning: what it is called, where, of which rule, and what can happen."""

    name: str
    file: str
    at: At
    rule: str
    message: str


def warnings(
    policy: Policy, environments: Sequence[str], results: Sequence[Result]
) -> list[Finding]:
    """Return all warnings, rule by rule.

    `environments` are those of the configuration, `results` what the tests of the policy came to.
    """
    counts, shadows = reached(policy, results), Shadows(policy.rules)
    found: list[Finding] = []
    for rule in policy.rules:
        said = [*_of_allow(rule, shadows, environments), *_of_any(rule)]
        if not counts[rule.id]:
            said.append(("untested", "", "no test's answer names it"))
        for name, key, message in said:
            at: At = ("rule", rule.index, key) if key else ("rule", rule.index)
            found.append(Finding(name, rule.file, at, rule.id, message))
    return found


def _of_any(rule: Rule) -> Iterator[tuple[str, str, str]]:
    for one in rule.resources or ():
        if one.text.startswith(_S3):
            why = f"{one.text} matches no request: they carry the ARN, arn:aws:s3:::BUCKET/KEY"
            yield "s3-uri", "resources", why
    claims = [one.name for one in rule.when or () if isinstance(one, Claim)]
    if rule.effect == "deny" and claims:
        why = f"tokens without the claim {' or '.join(claims)} go through"
        yield "deny-claims", "when", why


def _of_allow(
    rule: Rule, shadows: Shadows, environments: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    if rule.effect != "allow":
        return
    for one in rule.resources or ():
        for variable in _beside_star(one):
            why = f"{one.text}: build-7 for ${{{variable}}} gets what is build-77's too; put a /"
            yield "name-star", "resources", f"{why} between it and the star"
        if _NAME in one.names and _UNIQUE.isdisjoint(one.names) and _several_issuers(rule):
            why = f"{one.text}: principals of several issuers can have one name"
            yield "shared-name", "resources", f"{why}; add ${{principal.issuer}}"
    if rule.environments is None and len(environments) > 1:
        yield "all-environments", "", f"holds in all of {', '.join(environments)}"
    for other in shadows.of(rule):
        yield "shadowed", "", f"never decides: {other.id} denies all that it allows"


def _beside_star(template: Template) -> Iterator[str]:
    """Yield each name or claim that only text which a value can hold parts from a star."""
    near: list[str] = []
    starred = False
    for i, piece in enumerate(template.pieces):
        if i % 2:
            if piece == _NAME or piece.startswith(CLAIM):
                near.append(piece)
            continue
        for char in _STAR.join(split(piece)):
            if char == _STAR:
                starred = True
            elif char not in USABLE:
                if starred:
                    yield from near
                near, starred = [], False
    if starred:
        yield from near


def _several_issuers(rule: Rule) -> bool:
    """Say whether the principals may come from several issuers.

    A group or kind says nothing of it: an API key can be in the group of any issuer.
    """
    issuers = set()
    for one in rule.principals:
        issuer, slash, _ = one.pattern.runs[0].partition("/")
        if one.on != "id" or not slash:
            return True
        issuers.add(issuer)
    return len(issuers) > 1
