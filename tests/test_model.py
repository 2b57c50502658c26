"""The nouns, where they do more than hold values."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agentauth_cli.model import (
    Decision,
    Obligation,
    PolicyDecision,
    ProviderCredential,
    ProviderType,
    Rate,
)
from agentauth_cli.money import Money

END = datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_obligations_by_their_names() -> None:
    """`max_tokens`, `max_cost`, `rate_limit`, `must_log` …: 0 is a limit, None is none."""
    rates = (Obligation(Rate(30, 60), "a"), Obligation(Rate(1, 1), "b"))
    found = PolicyDecision(
        Decision.ALLOW,
        "allowed by rule",
        obligations={
            "max_duration": (Obligation(900, "a"),),
            "max_tokens": (Obligation(0, "a"),),
            "max_cost": (Obligation(500_000, "a"),),
            "rate_limit": rates,
            "must_log": (Obligation(value=True, rule="a"),),
            "require_reason": (Obligation(value=True, rule="a"),),
        },
    )
    assert (found.max_duration, found.max_tokens, found.max_cost) == (900, 0, Money("0.5"))
    assert found.rate_limit == rates
    assert found.must_log is True
    assert found.require_reason is True
    empty = PolicyDecision(Decision.ALLOW, "allowed by rule")
    assert (empty.max_duration, empty.max_tokens, empty.max_cost) == (None, None, None)
    assert empty.rate_limit == ()
    assert empty.must_log is False
    assert empty.require_reason is False


def test_refused_by_an_obligation() -> None:
    """A decision that an obligation refused is a refusal, for that reason; one stays one."""
    allowed = PolicyDecision(Decision.ALLOW, "allowed by rule", rule="a")
    assert allowed.refused("no reason") == replace(
        allowed, decision=Decision.DENY, reason="no reason"
    )
    denied = PolicyDecision(Decision.DENY, "denied by rule")
    assert denied.refused("no reason") is denied


def test_a_credential_hides_what_it_holds() -> None:
    """`credentials` is a Mapping whose repr is masked, also when it was given as a dict."""
    made = ProviderCredential(ProviderType.AWS, "x", {"api_key": "made-up-secret"}, END)
    assert "made-up-secret" not in repr(made)
    assert made.credentials["api_key"] == "made-up-secret"
    with pytest.raises(TypeError):
        pickle.dumps(made)


def test_a_credential_ends_at_an_aware_time() -> None:
    """`expires_at` is aware: a naive time is refused where it is made."""
    with pytest.raises(ValueError, match="no time zone"):
        ProviderCredential(ProviderType.AWS, "x", {}, END.replace(tzinfo=None))
