"""The token of a machine of Google's, or of Cloud Run, from its metadata server.

Plain HTTP to a link-local address, which no router passes on. Source: Google's documentation,
"Authenticate workloads to APIs using service accounts" and "About VM metadata".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from agentauth_cli.errors import SourceCredentialError
from agentauth_cli.outbound import gcp_call
from agentauth_cli.outbound.gcp_scopes import IAM_SCOPE
from agentauth_cli.transport import send

if TYPE_CHECKING:
    from agentauth_cli.outbound.gcp_call import Google
    from agentauth_cli.secret import Secret

ADDRESS = "169.254.169.254"
WHERE = "GCE_METADATA_HOST"  # read by Google's own libraries too
_PRODUCT = Path("/sys/class/dmi/id/product_name")
_PRODUCTS = frozenset({b"Google", b"Google Compute Engine"})
_HERE = (WHERE, "K_SERVICE", "CLOUD_RUN_JOB")
_NAMES = frozenset({"metadata.google.internal", "metadata"})  # of the address, by the resolver
_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 - a path
_FLAVOR = ("metadata-flavor", "Google")
_NOT_FOUND = 404


def on_machine(product: Path = _PRODUCT) -> bool:
    """Say whether there is a metadata server to ask."""
    if any(name in os.environ for name in _HERE):
        return True
    try:
        return product.read_bytes().strip() in _PRODUCTS
    except OSError:
        return False


def machine_token(google: Google) -> Secret:
    """Return the token of the service account that this machine runs as.

    Raises SourceCredentialError where it runs as none, and ProviderError.
    """
    named = os.environ.get(WHERE, ADDRESS)
    host = ADDRESS if named in _NAMES else named
    query = urlencode({"scopes": IAM_SCOPE})
    answer = send(
        "GET",
        f"http://{host}{_TOKEN}?{query}",
        deadline=google.deadline,
        headers=dict([_FLAVOR]),
        metadata=True,
    )
    header, flavor = _FLAVOR
    if answer.headers.get(header) != flavor:
        raise SourceCredentialError(
            f"{host} is not the metadata server of Google", hint=f"See {WHERE}, or set `source`"
        )
    if answer.status == _NOT_FOUND:
        raise SourceCredentialError(
            "this machine runs as no service account", hint="Give it one, or set `source`"
        )
    what = "the metadata server's token"
    return gcp_call.issued(gcp_call.understood(what, answer), what)[0]
