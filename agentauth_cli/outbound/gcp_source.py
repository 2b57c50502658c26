"""The token that mints the others: from Google's application default credentials (ADC).

The file that GOOGLE_APPLICATION_CREDENTIALS names, else gcloud's own, else the metadata server of a
machine of Google's. No program is run, and nothing is sent but to the token endpoint of that file
(for a pool: of the configuration) and to where a pool's file has its token. Sources: Google's
documentation, "How Application Default Credentials works" and "Using OAuth 2.0 for Server to Server
Applications"; AIP-4110 to 4117.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from agentauth_cli import files
from agentauth_cli.errors import RecursionRefusedError, SourceCredentialError
from agentauth_cli.outbound import gcp_call
from agentauth_cli.outbound.gcp_machine import machine_token, on_machine
from agentauth_cli.outbound.gcp_pool import subject_token
from agentauth_cli.outbound.gcp_scopes import IAM_SCOPE
from agentauth_cli.secret import Secret, told
from agentauth_cli.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agentauth_cli.outbound.gcp_call import Google
    from agentauth_cli.ports import Clock

ADC = "GOOGLE_APPLICATION_CREDENTIALS"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
LOGIN = "Run `gcloud auth application-default login`, or set `source` of the environment's gcp"
SECONDS = 300
"""How long an intermediate token has to live."""

_FOLDER = "CLOUDSDK_CONFIG"
_LIMIT = 64 * 1024
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ACCOUNT = re.compile(
    r"https://[a-z0-9.-]+/v1/projects/-/serviceAccounts/([a-z0-9@.-]+):generateAccessToken"
)
_OURSELVES = re.compile(r"(?:^|[\s/'\"])agentauth(?:_cli)?(?=$|[\s'\";&|])")


@dataclass(frozen=True, slots=True)
class Adc:
    """A file of credentials, or the one within: what it says, and where it stands."""

    path: Path
    said: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Its `type`, empty where it says none."""
        found = self.said.get("type")
        return found if isinstance(found, str) else ""

    def text(self, name: str) -> str:
        """Return a text of it. Raises SourceCredentialError where there is none."""
        found = self.said.get(name)
        if not isinstance(found, str) or not found:
            raise SourceCredentialError(f"it has no {name!r}")
        return found


def access_token(google: Google, clock: Clock) -> Secret:
    """Return the token to mint with.

    Raises SourceCredentialError where there is none, RecursionRefusedError where it would come from
    agentauth, ConfigError for a file that is unsafe, and ProviderError.
    """
    adc = _found()
    if adc is None:
        return machine_token(google)
    with _naming(adc):
        return _minted(adc, google, clock)


def check_source(sts: str) -> str:
    """Judge the source without asking anybody; return what should be known of it, or nothing.

    `sts` is the base that a pool's token is exchanged at. Raises as `access_token`, but for what
    only Google can say.
    """
    adc = _found()
    if adc is None:
        return ""
    with _naming(adc):
        inner = _inner(adc)
        if inner.kind == "external_account":
            _check_pool(inner, sts)
    return f"{adc.path} is a key that never ends" if inner.kind == "service_account" else ""


@contextlib.contextmanager
def _naming(adc: Adc) -> Iterator[None]:
    """Say of what is no source which file it is."""
    try:
        yield
    except SourceCredentialError as error:
        raise SourceCredentialError(f"{adc.path}: {error.message}", hint=LOGIN) from None


def _found() -> Adc | None:
    """Return the file of credentials; None where the machine itself has them."""
    named = os.environ.get(ADC)
    folder = os.environ.get(_FOLDER) or os.path.expanduser("~/.config/gcloud")  # noqa: PTH111
    path = Path(named or f"{folder}/application_default_credentials.json")
    content = files.read(path, limit=_LIMIT)
    if content is None and (named or not on_machine()):
        why = f"{path} is not there" if named else "Google has no application default credentials"
        raise SourceCredentialError(why, hint=LOGIN)
    if content is None:
        return None
    try:
        return Adc(path, parse_object(content))
    except ValueError as error:
        raise SourceCredentialError(f"{path} {error}", hint=LOGIN) from None


def _inner(adc: Adc) -> Adc:
    """Return the credential within one that impersonates, or that one. Raises for unknown kinds."""
    inner = adc
    if adc.kind == "impersonated_service_account":
        within = adc.said.get("source_credentials")
        inner = Adc(adc.path, within if isinstance(within, dict) else {})
    if inner.kind not in _KINDS:
        kind = told(inner.kind) or "nothing"
        raise SourceCredentialError(f"its type is {kind}, which mints nothing here", hint=LOGIN)
    return inner


def _minted(adc: Adc, google: Google, clock: Clock) -> Secret:
    inner = _inner(adc)
    token = _KINDS[inner.kind](inner, google, clock)
    if inner is adc and "service_account_impersonation_url" not in adc.said:
        return token
    found = _ACCOUNT.fullmatch(adc.text("service_account_impersonation_url"))
    if found is None:
        raise SourceCredentialError("its service_account_impersonation_url is none of Google's")
    body = gcp_call.impersonation_body([IAM_SCOPE], SECONDS)
    if delegates := adc.said.get("delegates"):
        body["delegates"] = delegates
    return gcp_call.impersonated(google, found[1], body, token, "agentauth")[0]


def _of_user(adc: Adc, google: Google, _clock: Clock) -> Secret:
    """Refresh a person's login (RFC 6749, section 6)."""
    secrets = Secret(adc.text("client_secret")), Secret(adc.text("refresh_token"))
    form = {
        "grant_type": "refresh_token",
        "client_id": adc.text("client_id"),
        "client_secret": secrets[0].reveal(),
        "refresh_token": secrets[1].reveal(),
    }
    return _granted(adc, google, form, *secrets)


def _of_key(adc: Adc, google: Google, clock: Clock) -> Secret:
    """Sign for a service account with its key (RFC 7523)."""
    import jwt

    now = int(clock().timestamp())
    claims = {
        "iss": adc.text("client_email"),
        "aud": _endpoint(adc),  # so that nobody but who is asked can use it
        "scope": IAM_SCOPE,
        "iat": now,
        "exp": now + SECONDS,
    }
    try:
        headers = {"kid": adc.text("private_key_id")}
        assertion = jwt.encode(claims, adc.text("private_key"), "RS256", headers)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):  # the last for a public key
        raise SourceCredentialError("its private_key is none of RSA") from None
    return _granted(
        adc, google, {"grant_type": _JWT_GRANT, "assertion": assertion}, Secret(assertion)
    )


def _granted(adc: Adc, google: Google, form: Mapping[str, str], *secrets: Secret) -> Secret:
    what = f"the token for {adc.kind}"
    answer = google.asked(
        what, _endpoint(adc), gcp_call.FORM, urlencode(form).encode("ascii"), *secrets
    )
    return gcp_call.issued(answer, what)[0]


def _endpoint(adc: Adc) -> str:
    return adc.text("token_uri") if "token_uri" in adc.said else TOKEN_URI


def _of_pool(adc: Adc, google: Google, _clock: Clock) -> Secret:
    """Exchange the token that a workload identity pool trusts."""
    _check_pool(adc, google.sts)
    token = subject_token(adc.said["credential_source"], google)
    return gcp_call.federated(google, adc.text("audience"), token, adc.text("subject_token_type"))


def _check_pool(adc: Adc, sts: str) -> None:
    """Refuse a pool's file that would have a program run, or its token sent elsewhere."""
    source = adc.said.get("credential_source")
    program = source.get("executable") if isinstance(source, dict) else None
    if program is not None:
        command = program.get("command") if isinstance(program, dict) else None
        if _OURSELVES.search(str(command)):
            raise RecursionRefusedError(f"the executable of {adc.path} is agentauth")
        raise SourceCredentialError("its token comes from a program, which is not run here")
    if not isinstance(source, dict) or ("file" in source) == ("url" in source):
        raise SourceCredentialError("its token comes from neither a file nor a URL")
    if "token_url" in adc.said and adc.said["token_url"] != gcp_call.exchange_url(sts):
        raise SourceCredentialError("its token_url is not `sts_endpoint` of the environment")


_KINDS: dict[str, Callable[[Adc, Google, Clock], Secret]] = {
    "authorized_user": _of_user,
    "service_account": _of_key,
    "external_account": _of_pool,
}
