"""The policy language read a second time, from its specification alone, as plainly as possible.

Slow and short: rules are the tables that `tomllib` gives, patterns are matched by recursion. The
real evaluator is held against this one; it shares no code with it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zoneinfo
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentauth_cli.model import Principal, Question

PARTS = ("principals", "tools", "actions", "resources", "environments", "when", "unless")
WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
STAR = None

Tokens = tuple[str | None, ...]
"""A pattern, one character each; `STAR` is a star that is not escaped."""


@dataclass(frozen=True)
class Answer:
    """What the specification says: the obligations by name, as pairs of value and rule."""

    decision: str
    reason: str
    rule: str = ""
    rules: frozenset[str] = frozenset()
    obligations: Mapping[str, list[tuple[Any, str]]] = field(default_factory=dict)
    nearest: tuple[str, tuple[str, ...]] | None = None


# Patterns


def tokens(pattern: str) -> Tokens:
    """Read a pattern: a backslash makes the next character literal."""
    if not pattern:
        return ()
    if pattern[0] == "\\":
        return (pattern[1], *tokens(pattern[2:]))
    return (STAR if pattern[0] == "*" else pattern[0], *tokens(pattern[1:]))


def matches(pattern: Tokens, name: str) -> bool:
    """Say whether the whole name matches, trying every length for every star."""
    if not pattern:
        return not name
    if pattern[0] is STAR:
        return matches(pattern[1:], name) or (bool(name) and matches(pattern, name[1:]))
    return bool(name) and pattern[0] == name[0] and matches(pattern[1:], name[1:])


def touches(pattern: Tokens, prefix: str) -> bool:
    """Say whether any string that starts with the prefix matches."""
    if not prefix:
        return True
    if not pattern:
        return False
    if pattern[0] is STAR:
        return touches(pattern[1:], prefix) or touches(pattern, prefix[1:])
    return pattern[0] == prefix[0] and touches(pattern[1:], prefix[1:])


def covers(pattern: Tokens, prefix: str) -> bool:
    """Say whether every string that starts with the prefix matches."""
    return bool(pattern) and pattern[-1] is STAR and matches(pattern, prefix)


# Well-formed requests


def well_formed(question: Question) -> bool:
    """Judge a request by the sentences of "A well-formed request", one after the other."""
    principal = question.principal
    ids = [principal.id, *principal.groups]
    if principal.actor is not None:
        ids.append(principal.actor)
    return (
        all(_is_id(one) for one in ids)
        and principal.kind in {"user", "agent", "service"}
        and principal.auth in {"jwt", "api_key", "ci", "os"}
        and re.fullmatch(r"[a-z0-9_-]+\.[a-z0-9_-]+\.[a-z0-9_-]+", question.action) is not None
        and _is_name(question.action)
        and _is_short(question.tool)
        and _is_short(question.environment)
        and _is_resource(question.resource)
        and question.time.utcoffset() is not None
    )


def _is_id(name: str) -> bool:
    issuer, slash, subject = name.partition("/")
    shaped = re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", issuer) and issuer not in {"group", "kind"}
    return bool(shaped and slash and subject) and _is_name(name)


def _is_short(name: str) -> bool:
    return re.fullmatch("[A-Za-z0-9._-]{1,64}", name) is not None and name not in {".", ".."}


def _is_resource(name: str) -> bool:
    if len(name.encode("utf-8", "surrogatepass")) > 2048:
        return False
    if name == "*":
        return True
    return _is_name(name.removesuffix("*"))


def _is_name(name: str) -> bool:
    return (
        1 <= len(name.encode("utf-8", "surrogatepass")) <= 2048
        and unicodedata.normalize("NFC", name) == name
        and not any(unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for one in name)
        and not any(one in name for one in ("?", "\\", "${", "*"))
        and not any(segment in {".", ".."} for segment in name.split("/"))
    )


# The parts of a rule


def _principals(entries: Sequence[str], who: Principal) -> bool:
    for entry in entries:
        if entry.startswith("group:"):
            wanted = tokens(entry.removeprefix("group:"))
            if any(matches(wanted, group) for group in who.groups):
                return True
        elif entry.startswith("kind:"):
            if who.kind == entry.removeprefix("kind:"):
                return True
        elif matches(tokens(entry), who.id):
            return True
    return False


def _value(variable: str, question: Question) -> str | None:
    """Return what stands for a variable, None where the substitution fails."""
    who = question.principal
    value: object = {
        "principal.name": who.name,
        "principal.issuer": who.id.split("/", 1)[0],
        "principal.hash": hashlib.sha256(who.id.encode()).hexdigest()[:16],
        "environment": question.environment,
        "tool": question.tool,
    }.get(variable)
    if variable.startswith("principal.claims."):
        value = who.claims.get(variable.removeprefix("principal.claims."))
    if not isinstance(value, str) or ".." in value:
        return None
    return value if re.fullmatch("[A-Za-z0-9._@+=,-]{1,128}", value) else None


def _filled(pattern: str, question: Question) -> Tokens | None:
    before, opening, after = pattern.partition("${")
    if not opening:
        return tokens(before)
    variable, _, rest = after.partition("}")
    value = _value(variable, question)
    following = _filled(rest, question)
    if value is None or following is None:
        return None
    return (*tokens(before), *value, *following)


def _resources(rule: Mapping[str, Any], question: Question) -> tuple[bool, bool]:
    """Return whether the part matches, and whether the rule touches what is asked for."""
    filled = [_filled(one, question) for one in rule.get("resources", ["*"])]
    scope = question.resource.endswith("*")
    name = question.resource[:-1] if scope else question.resource
    denies = rule["effect"] == "deny"
    if None in filled:
        return denies, denies or scope
    patterns = [one for one in filled if one is not None]
    if not scope:
        found = any(matches(one, name) for one in patterns)
        return found, found
    touched = any(touches(one, name) for one in patterns)
    return touched if denies else any(covers(one, name) for one in patterns), touched


# Conditions


def _claim(wanted: Any, name: str, question: Question) -> bool | None:
    """Say whether a claim holds, None where that is an error."""
    claims = question.principal.claims
    if name not in claims:
        return False
    value = claims[name]
    found = value if isinstance(value, list) else [value]
    texts = []
    for one in found:
        if one is True or one is False or type(one) is int:
            if isinstance(value, list):
                return None
            texts.append(str(one).lower())
        elif isinstance(one, str) and not any("\ud800" <= char <= "\udfff" for char in one):
            texts.append(one)
        else:
            return None
    patterns = wanted if isinstance(wanted, list) else [wanted]
    return any(matches(tokens(one), text) for one in patterns for text in texts)


def _local(table: Mapping[str, Any], question: Question) -> bool | None:
    """Say whether day and time fall inside: try the span of each day that could hold the moment."""
    zone = zoneinfo.ZoneInfo(table["tz"]) if "tz" in table else UTC
    try:
        local = question.time.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return None
    days = table.get("days", WEEK)
    if "hours" not in table:
        return WEEK[local.weekday()] in days
    start, end = (
        int(hour) * 60 + int(minute)
        for hour, minute in (one.split(":") for one in table["hours"].split("-"))
    )
    now = (local.hour * 60 + local.minute) * 60 + local.second + local.microsecond / 1e6
    length = (end - start) % (24 * 60) or 24 * 60
    return any(
        start * 60 <= now + passed * 86400 < (start + length) * 60
        and WEEK[(local.weekday() - passed) % 7] in days
        for passed in (0, 1)
    )


def _condition(key: str, table: Mapping[str, Any], question: Question) -> list[bool | None]:
    """Return what a key comes to; None is an error."""
    who, value = question.principal, table[key]
    if key == "claims":
        return [_claim(wanted, name, question) for name, wanted in value.items()]
    if key == "auth":
        return [who.auth in value]
    if key == "after":
        return [question.time >= value]
    if key == "before":
        return [question.time < value]
    if key == "actor":
        return [who.actor is not None and any(matches(tokens(one), who.actor) for one in value)]
    if key == "max_session_age":
        if who.authenticated_at is None:
            return [None]
        oldest = timedelta(seconds=int(value[:-1]) * SECONDS[value[-1]])
        return [question.time - who.authenticated_at <= oldest]
    return [_local(table, question)]


def _conditions(table: Mapping[str, Any], question: Question) -> bool | None:
    """Say whether each key holds; one error makes the whole part an error."""
    found = [one for key in table for one in _condition(key, table, question)]
    return None if None in found else all(found)


def failed_parts(rule: Mapping[str, Any], question: Question) -> tuple[list[str], bool]:
    """Return the parts that do not match, and whether the rule touches in all the others."""
    failed = []
    touched, unjudged = True, set()
    for part in PARTS:
        if part not in rule:
            continue
        if part in {"when", "unless"}:
            held = _conditions(rule[part], question)
            if held is None:
                found = rule["effect"] == "deny"
                unjudged.add(part)
            else:
                found = held is (part == "when")
        elif part == "resources":
            found, touched = _resources(rule, question)
        elif part == "principals":
            found = _principals(rule[part], question.principal)
        else:
            name = {
                "tools": question.tool,
                "actions": question.action,
                "environments": question.environment,
            }[part]
            found = any(matches(tokens(one), name) for one in rule[part])
        if not found:
            failed.append(part)
    excused = {"resources", *(unjudged if question.resource.endswith("*") else ())}
    return failed, touched and not [part for part in failed if part not in excused]


# The answer


def answer(rules: Sequence[Mapping[str, Any]], question: Question) -> Answer:
    """Answer one question as the numbered sentences of "Answering" do."""
    if not well_formed(question):
        return Answer("deny", "malformed request")

    judged = {rule["id"]: (rule, *failed_parts(rule, question)) for rule in rules}
    by_id = [judged[rule_id] for rule_id in sorted(judged, key=str.encode)]
    denying = [rule["id"] for rule, failed, _ in by_id if rule["effect"] == "deny" and not failed]
    if denying:
        return Answer("deny", "denied by rule", denying[0], frozenset(denying))

    allowing = [(rule, failed, held) for rule, failed, held in by_id if rule["effect"] == "allow"]
    matching = [rule["id"] for rule, failed, _ in allowing if not failed]
    if matching:
        return _allowed(matching, [rule for rule, failed, held in allowing if held])
    return Answer("deny", "no rule allows this", nearest=_nearest(allowing))


def _allowed(matching: list[str], holding: list[Mapping[str, Any]]) -> Answer:
    obligations = _together(holding)
    deliveries = obligations.get("delivery", [])
    if deliveries and not frozenset.intersection(*(value for value, _ in deliveries)):
        naming = [rule for _, rule in deliveries]
        return Answer("deny", "no delivery left", naming[0], frozenset(naming))
    return Answer("allow", "allowed by rule", matching[0], frozenset(matching), obligations)


def _nearest(
    allowing: Sequence[tuple[Mapping[str, Any], list[str], bool]],
) -> tuple[str, tuple[str, ...]] | None:
    if not allowing:
        return None
    fewest = min(len(failed) for _, failed, _ in allowing)
    rule, failed = next((rule, failed) for rule, failed, _ in allowing if len(failed) == fewest)
    return rule["id"], tuple(failed)


def _together(rules: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[Any, str]]]:
    """Take the obligations of rules, which come sorted by id, together."""
    said: dict[str, list[tuple[Any, str]]] = {}
    for rule in rules:
        for name, value in rule.get("obligations", {}).items():
            said.setdefault(name, []).extend((one, rule["id"]) for one in _meaning(name, value))
    for name in ("max_duration", "max_tokens", "max_cost"):
        if name in said:
            least = min(value for value, _ in said[name])
            said[name] = [next(one for one in said[name] if one[0] == least)]
    for name in ("must_log", "require_reason"):
        if name in said:
            said[name] = said[name][:1]
    return said


def _meaning(name: str, value: Any) -> list[Any]:
    """Return what an obligation of a rule means, one for each entry that counts by itself."""
    if name == "max_duration":
        return [int(value[:-1]) * SECONDS[value[-1]]]
    if name == "max_cost":
        whole, _, rest = value.partition(".")
        return [int(whole) * 1_000_000 + int(rest.ljust(6, "0"))]
    if name == "rate_limit":
        return list(dict.fromkeys(value if isinstance(value, list) else [value]))
    if name in {"delivery", "models"}:
        return [frozenset(value)]
    return [value]
