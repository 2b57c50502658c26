"""Google Cloud: Cloud Run's services and jobs, and machines of Compute Engine.

The metadata server speaks plain HTTP at a link-local address, which no router passes on. It wants a
header that no redirected request has, and says by the same header that it is the one.
Source: Google's documentation, "Verify the identity of a VM" and "About VM metadata".
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from agentauth_cli.inbound.ci.asking import failed, get, token_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentauth_cli.inbound.ci.asking import Ask
    from agentauth_cli.secret import Secret

NAME = "Google Cloud"
PRODUCT = Path("/sys/class/dmi/id/product_name")
ADDRESS = "169.254.169.254"
_PRODUCTS = frozenset({b"Google", b"Google Compute Engine"})
_HERE = ("K_SERVICE", "CLOUD_RUN_JOB")
_WHERE = "GCE_METADATA_HOST"  # read by Google's own libraries too
_NAMES = frozenset({"metadata.google.internal", "metadata"})  # of the address, by the resolver
_IDENTITY = "/computeMetadata/v1/instance/service-accounts/default/identity"
_FLAVOR = ("metadata-flavor", "Google")


def detect(environ: Mapping[str, str], product: Path = PRODUCT) -> Ask | None:
    """Return how this machine asks for its token. None: it is none of this platform."""
    if any(name in environ for name in _HERE) or _is_machine(product):
        return partial(_token, environ)
    return None


def _is_machine(product: Path) -> bool:
    try:
        return product.read_bytes().strip() in _PRODUCTS
    except OSError:
        return False


def _token(environ: Mapping[str, str], audience: str) -> Secret:
    named = environ.get(_WHERE, ADDRESS)
    host = ADDRESS if named in _NAMES else named
    query = urlencode({"audience": audience, "format": "full"})
    answer = get(
        NAME,
        f"http://{host}{_IDENTITY}?{query}",
        dict([_FLAVOR]),
        refused="Give it a service account that it runs as",
        metadata=True,
    )
    header, flavor = _FLAVOR
    if answer.headers.get(header) != flavor:
        raise failed(NAME, f"{host} is not the metadata server", "ambient_answer")
    return token_of(NAME, answer.body)
