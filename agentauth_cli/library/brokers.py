"""Brokers made by hand: what they are not given comes from the configuration in force.

A broker called by hand mints, and does nothing else: no switch, policy, budget or audit.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import NotConfiguredError
from agentauth_cli.library.door import AgentAuth
from agentauth_cli.model import ProviderType
from agentauth_cli.outbound import aws, gcp, huggingface, openai

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.wiring import Wiring

_BOUND = {"base_url": "admin_key", "endpoint": "stored"}
"""Where a credential of the keyring is sent, and what a broker calls it: stored for that alone."""


class AWSCredentialBroker(aws.AWSCredentialBroker):
    """Mints AWS sessions; the arguments are those of `agentauth_cli.outbound.aws`.

    What is not given is that of the environment with this `account_id`, else of the default one.
    Where there is no configuration at all, boto3's own source credentials mint in us-east-1.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**_filled(given, ProviderType.AWS, "account_id"))


class GCPCredentialBroker(gcp.GCPCredentialBroker):
    """Mints Google access tokens; the arguments are those of `agentauth_cli.outbound.gcp`.

    What is not given is that of the environment with this `project`, else of the default one.
    Where there is no configuration at all, application default credentials mint.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**_filled(given, ProviderType.GCP, "project"))


class HuggingFaceCredentialBroker(huggingface.HuggingFaceCredentialBroker):
    """Mints tokens of the Hub; the arguments are those of `agentauth_cli.outbound.huggingface`.

    What is not given is that of the environment with this `namespace`, else of the default one.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**_filled(given, ProviderType.HUGGINGFACE, "namespace"))


class OpenAICredentialBroker(openai.OpenAICredentialBroker):
    """Mints for an OpenAI project; the arguments are those of `agentauth_cli.outbound.openai`.

    What is not given is that of the environment with this `project_id`, and of no other.
    """

    def __init__(self, *, project_id: str, **given: Any) -> None:
        given["project_id"] = project_id
        super().__init__(**_over(_of_project(project_id, given), given))


def _of_project(project_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is configured for a project; what to mint with only where none is given."""
    with contextlib.suppress(NotConfiguredError), AgentAuth.from_config().wiring() as wiring:
        for name, providers in wiring.settings.environments.items():
            entry = providers.get(ProviderType.OPENAI)
            if entry is not None and entry["project_id"] == project_id:
                ways = given.keys() & {"token", "admin_key"}
                return wiring.made.openai_project(name) if ways else wiring.made.openai(name)
    return {}


def _filled(given: Mapping[str, Any], provider: ProviderType, key: str) -> dict[str, Any]:
    """Return what is given, over what is configured. Raises ConfigError for what does not load."""
    try:
        auth = AgentAuth.from_config()
    except NotConfiguredError:
        return dict(given)
    with auth.wiring() as wiring:
        environment = _environment(wiring, provider, key, given.get(key))
        configured = wiring.made.arguments(provider, environment) if environment else {}
        return _over(configured, given)


def _over(configured: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given, over what is configured: a stored credential goes nowhere else."""
    moved = {
        stored
        for endpoint, stored in _BOUND.items()
        if endpoint in given and given[endpoint] != configured.get(endpoint)
    }
    return {**{name: configured[name] for name in configured.keys() - moved}, **given}


def _environment(wiring: Wiring, provider: ProviderType, key: str, wanted: object) -> str | None:
    """Return the environment where `key` is this, else the default one; None without provider."""
    known = wiring.settings.environments
    for name, providers in known.items():
        if provider in providers and providers[provider][key] == wanted:
            return name
    default = wiring.environment(None)
    return default if provider in known[default] else None
