"""Brokers made by hand: what they are not given comes from the configuration in force.

A broker called by hand mints, and does nothing else: no switch, policy, budget or audit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import NotConfiguredError
from agentauth_cli.library.door import AgentAuth
from agentauth_cli.model import ProviderType
from agentauth_cli.outbound import aws

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.wiring import Wiring


class AWSCredentialBroker(aws.AWSCredentialBroker):
    """Mints AWS sessions; the arguments are those of `agentauth_cli.outbound.aws`.

    What is not given is that of the environment with this `account_id`, else of the default one.
    Where there is no configuration at all, boto3's own source credentials mint in us-east-1.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**_filled(given))


def _filled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given, over what is configured. Raises ConfigError for what does not load."""
    try:
        auth = AgentAuth.from_config()
    except NotConfiguredError:
        return dict(given)
    with auth.wiring() as wiring:
        environment = _environment(wiring, given.get("account_id"))
        configured = wiring.made.aws(environment) if environment else {}
        return {**configured, **given}


def _environment(wiring: Wiring, account_id: object) -> str | None:
    """Return the environment of this account, else the default one; None where it has no AWS."""
    known = wiring.settings.environments
    for name, providers in known.items():
        if ProviderType.AWS in providers and providers["aws"]["account_id"] == account_id:
            return name
    default = wiring.environment(None)
    return default if ProviderType.AWS in known[default] else None
