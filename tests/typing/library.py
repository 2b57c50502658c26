"""How programs use the library, for the type checker alone: this is never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from agentauth_cli import (
    Action,
    AgentAuth,
    BudgetTracker,
    Decision,
    FakeBroker,
    Money,
    Obligation,
    PolicyContext,
    PolicyDecision,
    Principal,
    ProviderCredential,
    ProviderType,
    Resource,
    ToolRequest,
    redact,
)

if TYPE_CHECKING:
    from agentauth_cli import Clock, CredentialBroker, PolicyDecisionPoint


async def the_whole_way(auth: AgentAuth) -> None:
    """From a header to a credential, and back."""
    principal = auth.authenticate("Bearer x")
    assert_type(principal, Principal)
    decision = auth.check(principal, "s3_upload", duration=900)
    assert_type(decision, PolicyDecision)
    assert_type(decision.max_tokens, int | None)
    assert_type(decision.max_cost, Money | None)
    assert_type(decision.rate_limit, tuple[Obligation, ...])
    credential = auth.vend(principal, "s3_upload", estimate_cost=0.02, environment="dev")
    assert_type(credential, ProviderCredential)
    assert_type(credential.credentials["aws_access_key_id"], str)
    assert_type(await auth.avend(principal, "s3_upload"), ProviderCredential)
    with auth.lease(principal, "s3_upload", resource="s3://b/x") as leased:
        assert_type(leased, ProviderCredential)
    auth.record_usage(credential, tokens=1, cost="0.10")
    assert_type(auth.settle(credential), bool)
    auth.vend(principal, "s3_upload", lifetime=900)  # type: ignore[call-arg] # no such thing


def the_parts(auth: AgentAuth, clock: Clock) -> None:
    """Each part by itself."""
    pdp: PolicyDecisionPoint = auth.pdp
    broker: CredentialBroker = FakeBroker(clock=clock)
    principal = Principal("okta/alice", "alice")
    action = Action(verb="put", provider="aws", resource_type="s3")
    resource = Resource(provider="aws", resource_type="s3", identifier="x")
    answer = pdp.evaluate(principal, action, resource, PolicyContext(tool="s3_upload"))
    assert_type(answer.decision, Decision)
    request = ToolRequest("x", ProviderType.AWS, "s3:PutObject", "arn:aws:s3:::b/x")
    assert_type(broker.vend_credential(principal, request), ProviderCredential)
    assert_type(auth.broker("aws"), "CredentialBroker")
    auth.audit_log.record(principal, action, resource)
    auth.audit_log.record({"x": 1})
    auth.audit_log.record(principal)  # type: ignore[call-overload] # half of it
    auth.rate_limiter.check("okta/alice", answer.rate_limit)
    auth.rate_limiter.check("okta/alice", "30/minute")
    spent = BudgetTracker(auth).get_spend(principal_id="okta/alice", provider="openai")
    assert_type(spent, Money)
    assert_type(spent + 0.5, Money)
    assert_type(redact("x"), str)
