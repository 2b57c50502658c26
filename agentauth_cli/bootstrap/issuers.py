"""Whose tokens a provider has to trust, where it is asked without a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.config.settings import KEYLESS
from agentauth_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.issuer import Issuer

SCHEME = "https://"


def vouching(
    settings: Settings, environment: str, provider: Mapping[str, Any]
) -> tuple[Issuer, ...]:
    """Return the issuers whose tokens can reach this provider; none where its source is a key.

    They are those of which a token for the provider is fetched: by a job, a login or an exchange;
    all of them where it is read from a file, or is the one that callers show. Raises ConfigError
    where there is none, and for one whose keys no provider would fetch.
    """
    if provider["source"] not in KEYLESS:
        return ()
    jobs = {name for name, _ in settings.inbound.ambient}
    any_of_them = provider["token_file"] or provider["reuse_inbound"]
    found = tuple(
        one
        for one in settings.inbound.issuers
        if any_of_them or one.name in jobs or one.client_id is not None
    )
    if not found:
        raise ConfigError(
            f"environment {environment} needs tokens, and no issuer gives any",
            hint="Add whose tokens they are to [inbound.issuers]",
        )
    for one in found:
        if not one.issuer.startswith(SCHEME):
            raise ConfigError(
                f"a provider trusts no issuer by plain http: {one.issuer}",
                hint=f"Give issuer {one.name} a public https URL",
            )
    return found
