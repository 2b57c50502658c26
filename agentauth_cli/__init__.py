"""Short-lived, narrowed, audited credentials for AI agents.

The public names; each is loaded when it is first asked for, so that importing this costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the real one costs an import of typing
if TYPE_CHECKING:
    from agentauth_cli.errors import (
        AgentAuthError,
        AuthenticationError,
        BudgetExceededError,
        ConfigError,
        EnvironmentDisabledError,
        LimitError,
        PermissionDeniedError,
        PrincipalBlockedError,
        ProviderDisabledError,
        ProviderError,
        QuotaExceededError,
        RateLimitExceededError,
        StateError,
        SwitchedOffError,
        ToolDisabledError,
        TooManyTokensError,
        UsageError,
    )
    from agentauth_cli.library.brokers import (
        AWSCredentialBroker,
        GCPCredentialBroker,
        HuggingFaceCredentialBroker,
        OpenAICredentialBroker,
    )
    from agentauth_cli.library.budgets import BudgetTracker
    from agentauth_cli.library.costs import calculate_cost
    from agentauth_cli.library.door import AgentAuth
    from agentauth_cli.library.journal import AuditLog
    from agentauth_cli.library.pace import RateLimiter
    from agentauth_cli.model import (
        Action,
        Decision,
        Grant,
        Obligation,
        PolicyContext,
        PolicyDecision,
        Principal,
        ProviderCredential,
        ProviderType,
        Rate,
        Resource,
        ToolRequest,
    )
    from agentauth_cli.money import Money
    from agentauth_cli.ports import (
        Clock,
        CredentialBroker,
        IdentityVerifier,
        PolicyDecisionPoint,
    )
    from agentauth_cli.secret import Secret, redact
    from agentauth_cli.testing.broker import FakeBroker

__version__ = "0.1.0"

_HOMES = {
    "errors": (
        *("AgentAuthError", "AuthenticationError", "BudgetExceededError", "ConfigError"),
        *("EnvironmentDisabledError", "LimitError", "PermissionDeniedError"),
        *("PrincipalBlockedError", "ProviderDisabledError", "ProviderError"),
        *("QuotaExceededError", "RateLimitExceededError", "StateError", "SwitchedOffError"),
        *("TooManyTokensError", "ToolDisabledError", "UsageError"),
    ),
    "library.brokers": (
        "AWSCredentialBroker",
        "GCPCredentialBroker",
        "HuggingFaceCredentialBroker",
        "OpenAICredentialBroker",
    ),
    "library.budgets": ("BudgetTracker",),
    "library.costs": ("calculate_cost",),
    "library.door": ("AgentAuth",),
    "library.journal": ("AuditLog",),
    "library.pace": ("RateLimiter",),
    "model": (
        *("Action", "Decision", "Grant", "Obligation", "PolicyContext", "PolicyDecision"),
        *("Principal", "ProviderCredential", "ProviderType", "Rate", "Resource", "ToolRequest"),
    ),
    "money": ("Money",),
    "ports": (*("Clock", "CredentialBroker", "IdentityVerifier", "PolicyDecisionPoint"),),
    "secret": ("Secret", "redact"),
    "testing.broker": ("FakeBroker",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
"""Where each name lives."""

__all__ = [
    "AWSCredentialBroker",
    "Action",
    "AgentAuth",
    "AgentAuthError",
    "AuditLog",
    "AuthenticationError",
    "BudgetExceededError",
    "BudgetTracker",
    "Clock",
    "ConfigError",
    "CredentialBroker",
    "Decision",
    "EnvironmentDisabledError",
    "FakeBroker",
    "GCPCredentialBroker",
    "Grant",
    "HuggingFaceCredentialBroker",
    "IdentityVerifier",
    "LimitError",
    "Money",
    "Obligation",
    "OpenAICredentialBroker",
    "PermissionDeniedError",
    "PolicyContext",
    "PolicyDecision",
    "PolicyDecisionPoint",
    "Principal",
    "PrincipalBlockedError",
    "ProviderCredential",
    "ProviderDisabledError",
    "ProviderError",
    "ProviderType",
    "QuotaExceededError",
    "Rate",
    "RateLimitExceededError",
    "RateLimiter",
    "Resource",
    "Secret",
    "StateError",
    "SwitchedOffError",
    "TooManyTokensError",
    "ToolDisabledError",
    "ToolRequest",
    "UsageError",
    "__version__",
    "calculate_cost",
    "redact",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
