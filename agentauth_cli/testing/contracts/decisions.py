"""What every `ports.PolicyDecisionPoint` has to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.model import Action, Decision, PolicyContext, Principal, Resource

if TYPE_CHECKING:
    from agentauth_cli.ports import PolicyDecisionPoint

Allowed = tuple[Principal, Action, Resource, PolicyContext | None]


class PolicyDecisionPointContract:
    """Fixtures: `pdp`; `allowed`, what its policy allows; `stranger`, who is allowed nothing."""

    @pytest.fixture
    def pdp(self) -> PolicyDecisionPoint:
        """Return the decision point to be tested."""
        pytest.fail("give the fixture `pdp`")

    @pytest.fixture
    def allowed(self) -> Allowed:
        """Return principal, action, resource and context of something that is allowed."""
        pytest.fail("give the fixture `allowed`")

    @pytest.fixture
    def stranger(self) -> Principal:
        """Return a principal that no rule allows anything."""
        return Principal("nowhere/nobody", "nobody")

    def test_it_allows(self, pdp: PolicyDecisionPoint, allowed: Allowed) -> None:
        """What a rule allows is allowed, with a reason and the rules that had a part in it."""
        answer = pdp.evaluate(*allowed)
        assert answer.decision is Decision.ALLOW
        assert answer.reason
        assert answer.rule in answer.rules

    def test_it_denies_what_no_rule_allows(
        self, pdp: PolicyDecisionPoint, allowed: Allowed, stranger: Principal
    ) -> None:
        """Else deny, with a reason."""
        _, action, resource, context = allowed
        answer = pdp.evaluate(stranger, action, resource, context)
        assert answer.decision is Decision.DENY
        assert answer.reason

    @pytest.mark.parametrize(
        "name",
        [
            *("", "a\x00b", "a\nb", "a/../b", "a?", "a\\b", "${x}"),
            *("*a", "a**", "e\u0301", "x" * 2049),
        ],
    )
    def test_it_denies_a_malformed_resource(
        self, pdp: PolicyDecisionPoint, allowed: Allowed, name: str
    ) -> None:
        """A request that is not well formed is denied; nothing is raised."""
        principal, action, resource, context = allowed
        odd = Resource(resource.provider, resource.resource_type, name)
        assert pdp.evaluate(principal, action, odd, context).decision is Decision.DENY

    @pytest.mark.parametrize("verb", ["", "*", "put.more", "PUT", "a b", "a\x00"])
    def test_it_denies_a_malformed_action(
        self, pdp: PolicyDecisionPoint, allowed: Allowed, verb: str
    ) -> None:
        """An action is three parts of ``[a-z0-9_-]+`` joined by dots."""
        principal, action, resource, context = allowed
        odd = Action(verb, action.provider, action.resource_type)
        assert pdp.evaluate(principal, odd, resource, context).decision is Decision.DENY
