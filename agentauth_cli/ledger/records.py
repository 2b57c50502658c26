"""What an audit record says of a request, step by step. The ledger adds seq, at, node and pid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.ledger.rows import stamp
from agentauth_cli.model import Decision, PolicyDecision, Principal, ProviderCredential

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from agentauth_cli.policy.matching import Pattern
    from agentauth_cli.policy.narrow import Narrowed, Tool


def principal(who: Principal, claims: Collection[str], now: datetime) -> dict[str, Any]:
    """Return who is asking; of its claims those that rules name."""
    since = who.authenticated_at
    return {
        "principal": who.id,
        "kind": who.kind,
        "groups": list(who.groups),
        "claims": {name: who.claims[name] for name in sorted(claims) if name in who.claims},
        "auth": who.auth,
        "session_age": int((now - since).total_seconds()) if since else None,
        "actor": who.actor,
    }


def tool(asked: Tool) -> dict[str, Any]:
    """Return the tool that is asked for."""
    return {"tool": asked.name, "provider": asked.provider, "environment": asked.environment}


def request(narrowed: Narrowed) -> dict[str, Any]:
    """Return what exactly is asked for."""
    actions = [action for grant in narrowed.grants for action in grant.actions]
    return {"actions": list(dict.fromkeys(actions)), "resource": narrowed.resource}


def decision(answer: PolicyDecision) -> dict[str, Any]:
    """Return what the policy said."""
    nearest = answer.nearest
    return {
        "decision": answer.decision,
        "rules": list(answer.rules),
        "reason": answer.reason,
        "policy": answer.policy,
        "nearest": {"rule": nearest.rule, "parts": list(nearest.parts)} if nearest else None,
        "obligations": obligations(answer),
    }


def obligations(answer: PolicyDecision) -> dict[str, Any]:
    """Return the obligations and the rule that each came from, as JSON has them.

    Durations in whole seconds, amounts as decimal strings.
    """
    if answer.decision is Decision.DENY:
        return {}
    return {name: _obligation(name, answer) for name in answer.obligations}


def _obligation(name: str, answer: PolicyDecision) -> dict[str, Any]:
    from agentauth_cli.policy.decide import permitted
    from agentauth_cli.tables.values import dollars

    entries = answer.obligations[name]
    rules = [one.rule for one in entries]
    match name:
        case "rate_limit":
            return {"value": [str(one.value) for one in entries], "rules": rules}
        case "models":
            return {"value": [_texts(one.value) for one in entries], "rules": rules}
        case "delivery":
            return {"value": list(permitted(answer)), "rules": rules}
        case "max_cost":
            return {"value": dollars(entries[0].value), "rule": rules[0]}
        case _:
            return {"value": entries[0].value, "rule": rules[0]}


def _texts(patterns: tuple[Pattern, ...]) -> list[str]:
    return [one.text for one in patterns]


def credential(issued: ProviderCredential) -> dict[str, Any]:
    """Return what was minted: its kind and public id, never a secret."""
    return {
        "credential_type": issued.credential_type,
        "credential_id": issued.credential_id,
        "narrowed": issued.narrowed,
        "expires_at": stamp(issued.expires_at),
    }
