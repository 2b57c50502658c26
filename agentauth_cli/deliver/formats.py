"""The formats of a credential. Pure: text in memory, for the one writer."""

from __future__ import annotations

import json
import shlex
from datetime import UTC
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ProviderAnswerError, UsageError
from agentauth_cli.ledger.records import obligations
from agentauth_cli.model import ProviderCredential, ProviderType
from agentauth_cli.secret import MASK, SecretMapping

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agentauth_cli.vending import Vended

_PUBLIC = frozenset({"aws_access_key_id", "region_name", "project"})
_VARIABLES = {
    ProviderType.AWS: {
        "AWS_ACCESS_KEY_ID": "aws_access_key_id",
        "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
        "AWS_SESSION_TOKEN": "aws_session_token",
        "AWS_REGION": "region_name",
        "AWS_DEFAULT_REGION": "region_name",  # the one that boto3 reads
    },
    ProviderType.GCP: {
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "access_token",
        "GOOGLE_OAUTH_ACCESS_TOKEN": "access_token",
        "GOOGLE_CLOUD_PROJECT": "project",
    },
    ProviderType.OPENAI: {"OPENAI_API_KEY": "api_key", "OPENAI_PROJECT_ID": "project"},
    ProviderType.HUGGINGFACE: {"HF_TOKEN": "token"},
}
_PROCESS_BYTES = 64_000
"""What the AWS SDKs read of a credential_process."""


def rfc3339(moment: datetime) -> str:
    """Return a time in UTC, to the second, as the AWS SDKs read it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_json(vended: Vended) -> str:
    """Return one JSON object; for AWS with the keys of `credential_process` in it."""
    credential, narrowed = vended.credential, vended.bounded.narrowed
    found: dict[str, Any] = {
        "version": 1,
        "provider": credential.provider,
        "tool": narrowed.tool.name,
        "environment": narrowed.tool.environment,
        "credential_type": credential.credential_type,
        "credentials": dict(credential.credentials),
        "expires_at": rfc3339(credential.expires_at),
        "lease": vended.lease.id,
        "resource": narrowed.resource,
        "obligations": obligations(vended.bounded.decision),
    }
    if credential.lives_on:
        found["expires_at_provider"] = None
    if credential.provider is ProviderType.AWS:
        found.update(_process(credential))
    return json.dumps(found) + "\n"


def as_aws(vended: Vended) -> str:
    """Return exactly the five keys that `credential_process` reads.

    Source: the AWS SDKs and Tools Reference Guide, "Process credential provider". Raises
    ProviderAnswerError for more than they read.
    """
    text = json.dumps(_process(vended.credential)) + "\n"
    if len(text) >= _PROCESS_BYTES:
        raise ProviderAnswerError(f"a credential of {len(text)} bytes is too long for the AWS SDKs")
    return text


def _process(credential: ProviderCredential) -> dict[str, Any]:
    found = credential.credentials
    return {
        "Version": 1,
        "AccessKeyId": found["aws_access_key_id"],
        "SecretAccessKey": found["aws_secret_access_key"],
        "SessionToken": found["aws_session_token"],
        "Expiration": rfc3339(credential.expires_at),
    }


def as_env(vended: Vended) -> str:
    """Return lines for a POSIX shell to evaluate, values quoted. Raises as `variables` does."""
    found = variables(vended.credential)
    return "".join(f"export {variable}={shlex.quote(found[variable])}\n" for variable in found)


def variables(credential: ProviderCredential) -> dict[str, str]:
    """Return the variables that the provider's own programs read, and their values.

    Raises ProviderAnswerError for a value with control characters.
    """
    found = {
        variable: credential.credentials[name]
        for variable, name in _VARIABLES[credential.provider].items()
        if name in credential.credentials
    }
    if credential.provider is ProviderType.AWS:
        found["AWS_CREDENTIAL_EXPIRATION"] = rfc3339(credential.expires_at)
    for variable, value in found.items():
        if not value.isprintable():
            raise ProviderAnswerError(f"the value for {variable} holds control characters")
    return found


def as_github(vended: Vended) -> str:
    """Return the commands that let a job of GitHub Actions hide the secrets in its log.

    Its variables go to a file (`deliver.github`). Source: GitHub's documentation, "Workflow
    commands". Raises as `variables` does.
    """
    variables(vended.credential)
    hidden = (value.replace("%", "%25") for value in secrets(vended.credential))
    return "".join(f"::add-mask::{value}\n" for value in hidden)


FORMATS: dict[str, Callable[[Vended], str]] = {
    "json": as_json,
    "aws": as_aws,
    "process": as_aws,
    "env": as_env,
    "github": as_github,
}
_OF_AWS = frozenset({"aws", "process"})


def check(name: str) -> None:
    """Raise UsageError for a format that there is for no provider."""
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}", hint=f"One of {', '.join(FORMATS)}")


def named(name: str, provider: ProviderType) -> Callable[[Vended], str]:
    """Return the format of this name. Raises UsageError where the provider has none such."""
    check(name)
    if name in _OF_AWS and provider is not ProviderType.AWS:
        raise UsageError(f"format {name} is for aws, not for {provider}", hint="--format json")
    return FORMATS[name]


def secrets(credential: ProviderCredential) -> list[str]:
    """Return those values of a credential that nobody is to see."""
    return [value for name, value in credential.credentials.items() if name not in _PUBLIC]


def masked(credential: ProviderCredential) -> SecretMapping:
    """Return the credentials with their secrets replaced, for a terminal."""
    return SecretMapping(
        {name: value if name in _PUBLIC else MASK for name, value in credential.credentials.items()}
    )
