"""The environment of a command: the credentials vended for it, and no others. Pure."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from agentauth_cli.deliver.formats import rfc3339, variables
from agentauth_cli.secret import redact

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agentauth_cli.vending import Vended

_FORMS = (
    # what anybody's credential is called
    r"(?:.*_)?(?:TOKEN|API_KEY)",
    r"(?:.*_)?SECRET.*",
    r".*PASSWORD.*",
    r"AGENTAUTH_(?!(?:CONFIG|STATE|DATA)_DIR\Z).*",  # where a lease can be looked up is no secret
    # AWS: the AWS SDKs and Tools Reference Guide, "Environment variables support"
    r"AWS_(?:ACCESS_KEY(?:_ID)?|SECRET_.*|SECURITY_TOKEN|CREDENTIAL_.*|BEARER_TOKEN_.*)",
    r"AWS_(?:(?:DEFAULT_)?PROFILE|ROLE_ARN|ROLE_SESSION_NAME|WEB_IDENTITY_TOKEN_FILE)",
    r"AWS_CONTAINER_(?:CREDENTIALS|AUTHORIZATION)_.*",
    r"BOTO_PATH",
    # Google: google.auth.environment_vars, the properties of gcloud, and what Terraform reads
    r"GOOGLE_(?:APPLICATION_)?CREDENTIALS",
    r"GOOGLE_(?:GHA_CREDS_PATH|IMPERSONATE_SERVICE_ACCOUNT|CLOUD_KEYFILE_JSON)",
    r"CLOUDSDK_(?:AUTH_.*|CORE_ACCOUNT|ACTIVE_CONFIG_NAME)",
    r"GCLOUD_KEYFILE_JSON",
    # OpenAI, Anthropic, Terraform, Hugging Face (whose library exchanges before it reads HF_TOKEN)
    r"OPENAI_.*KEY",
    r"ANTHROPIC_(?:AUTH_.*|CUSTOM_HEADERS)",
    r"TF_TOKEN_.*",
    r"HF_OIDC_.*",
    # what fetches tokens in CI: GitHub, GitLab, CircleCI, Azure Pipelines, Terraform Cloud
    r"ACTIONS_(?:ID_TOKEN_REQUEST|RUNTIME)_.*",
    r"CI_JOB_JWT.*",
    r"CIRCLE_OIDC_TOKEN.*",
    r"SYSTEM_(?:ACCESSTOKEN|OIDCREQUESTURI)",
    r"TFC_WORKLOAD_IDENTITY_TOKEN.*",
)
_NAME = re.compile(r"[^=\0]+")
_TAKEN = re.compile("|".join(_FORMS), re.IGNORECASE | re.DOTALL)
_CLEAN = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TZ|TERM|TMPDIR|PWD|AGENTAUTH_(?:CONFIG|STATE|DATA)_DIR"
)
_NOBODY = "127.0.0.1:1"

_ELSEWHERE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "BOTO_CONFIG": os.devnull,
    # gcloud and Python obey the folder and NO_GCE_CHECK. Go and older Node look below HOME whatever
    # the folder is, unless they were told of a file: one without a credential ends their search.
    # Node, and programs that ask the metadata service by themselves, find nobody there.
    "GOOGLE_APPLICATION_CREDENTIALS": os.devnull,
    "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
    "NO_GCE_CHECK": "true",
    "METADATA_SERVER_DETECTION": "none",
    "GCE_METADATA_HOST": _NOBODY,
    "GCE_METADATA_IP": _NOBODY,
    "GCE_METADATA_ROOT": _NOBODY,
    "HF_TOKEN_PATH": os.devnull,
    "HF_STORED_TOKENS_PATH": os.devnull,
}
"""Where programs find nothing, instead of the files and services that hold credentials."""
_GCLOUD = "CLOUDSDK_CONFIG"


def environment(
    parent: Mapping[str, str], inherit: Collection[str], *, clean: bool, empty: str
) -> dict[str, str]:
    """Return what a command gets of our own environment: nothing that leads to a credential.

    Taken away is what is called like a credential, in any case, and what looks like one. `inherit`
    are names that pass all the same, with `clean` few others do. `empty` is a folder for the
    programs of Google. A name that no program can be given (execve(2)) is dropped.
    """
    kept = {
        name: value
        for name, value in parent.items()
        if _NAME.fullmatch(name) and (name in inherit or _passes(name, value, clean=clean))
    }
    elsewhere = {**_ELSEWHERE, _GCLOUD: empty}
    return kept | {name: value for name, value in elsewhere.items() if name not in inherit}


def _passes(name: str, value: str, *, clean: bool) -> bool:
    if _TAKEN.fullmatch(name) or redact(value) != value:
        return False
    return not clean or bool(_CLEAN.fullmatch(name))


def credentials(vended: Sequence[Vended]) -> dict[str, str]:
    """Return the variables of vended credentials, their leases, and when the first of them ends.

    Raises ProviderAnswerError for a value with control characters.
    """
    found: dict[str, str] = {}
    for one in vended:
        found |= variables(one.credential)
    found["AGENTAUTH_LEASE"] = " ".join(one.lease.id for one in vended)
    found["AGENTAUTH_EXPIRATION"] = rfc3339(min(one.credential.expires_at for one in vended))
    return found
