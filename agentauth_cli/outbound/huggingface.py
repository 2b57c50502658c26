"""Hugging Face: tokens for one repository, or a stored one that may no more than the tool.

Either a token that a trusted publisher proves is exchanged (`oidc`), or a fine-grained token of the
keyring is handed out, once the Hub has said what it may (`stored_token`).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import (
    ConfigError,
    ProviderAnswerError,
    SourceCredentialError,
    UsageError,
)
from agentauth_cli.model import NOT_ALONE, Preview, ProviderCredential, ProviderType, Revocation
from agentauth_cli.outbound.attempts import jittered
from agentauth_cli.outbound.hub_call import EXCHANGE, FIXED, WHOAMI, Hub
from agentauth_cli.outbound.hub_place import LIFE, checked, exchanged, place
from agentauth_cli.outbound.hub_stored import fine_grained
from agentauth_cli.secret import Secret, SecretMapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentauth_cli.model import Lease, Principal, ToolRequest
    from agentauth_cli.ports import Clock

OIDC, STORED = "oidc", "stored_token"
ENDPOINT = AUDIENCE = "https://huggingface.co"
"""The Hub, and whom a token that it exchanges is for."""

_LONGEST = 43_200
_LATEST = 60
_CLOCK = "Check this machine's clock, and the endpoint of the environment"
_EXCHANGED = "hf_oidc_token"
_ISSUED = "urn:ietf:params:oauth:token-type:access_token"
_VALUE = re.compile(r"[!-~]+")
_COUNTED = "how often the token is used: budgets and rate limits count credentials, not calls"
_UNENFORCED = {
    OIDC: (
        "what is done there: a trusted publisher lets its token write, unless it is read-only",
        _COUNTED,
        "an earlier end: whether the Hub revokes exchanged tokens is not documented",
    ),
    STORED: (_COUNTED, "the end: a stored token lives on after its lease, until it is revoked"),
}


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a broker made by hand has nobody to hand it a clock


class HuggingFaceCredentialBroker:
    """Mints tokens for the repositories of one namespace of the Hugging Face Hub.

    `source` is ``oidc``, which needs `token`: at each call it is asked for the principal's token,
    for `audience`; or ``stored_token``, which needs `stored`: at each call it returns that token.
    `endpoint` is a base URL. `deadline` is in seconds, for all attempts of one call together;
    `pause` waits between them, no longer than the seconds it is told.
    Raises ConfigError for a source that cannot be meant.
    """

    def __init__(
        self,
        *,
        namespace: str,
        source: str = OIDC,
        token: Callable[[Principal], Secret] | None = None,
        stored: Callable[[], Secret] | None = None,
        audience: str = AUDIENCE,
        endpoint: str | None = None,
        clock: Clock = _now,
        deadline: float = 20.0,
        pause: Callable[[float], None] = jittered,
    ) -> None:
        if source not in (OIDC, STORED):
            raise ConfigError(f"there is no source {source!r}", hint=f"One of {OIDC}, {STORED}")
        self.namespace = namespace
        self.min_duration, self.max_duration = (LIFE, LIFE) if source == OIDC else (1, _LONGEST)
        self._source = source
        self._token = token
        self._stored = stored
        self._audience = audience
        self._hub = Hub((endpoint or ENDPOINT).rstrip("/"), deadline, pause)
        self._clock = clock

    def vend_credential(
        self, principal: Principal, tool_request: ToolRequest
    ) -> ProviderCredential:
        """Return a token that can do what the request says; the resource is the least of it.

        This is the minting alone: no switch, policy, budget or audit. Raises UsageError or
        ConfigError before any call, SourceCredentialError where there is nothing to mint with, or a
        stored token may more, and ProviderError for a refusal, no answer, or an answer that is not
        to be believed.
        """
        asked = self._asked(tool_request)
        if self._source == OIDC:
            return self._exchanged(principal, asked["resource"])
        return self._checked(tool_request)

    def preview(self, principal: Principal, tool_request: ToolRequest) -> Preview:
        """Return what `vend_credential` would ask of the Hub, without asking.

        Raises UsageError or ConfigError as it does before any call.
        """
        del principal
        asked = self._asked(tool_request)
        oidc = self._source == OIDC
        return Preview(
            operation="token exchange" if oidc else "whoami-v2",
            endpoint=self._hub.endpoint + (EXCHANGE if oidc else WHOAMI),
            parameters=asked,
            source=self._source,
            audience=self._audience if oidc else None,
            unenforced=_UNENFORCED[self._source],
        )

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        """Ask for the end of an exchanged token that is still at hand; others live to their end.

        A stored token is not the lease's own. Raises ProviderError.
        """
        del lease
        if credential is None:
            return Revocation(NOT_ALONE, endless=self._source == STORED)
        if credential.credential_type != _EXCHANGED:
            return Revocation(NOT_ALONE, endless=credential.lives_on)
        self._hub.revoke(Secret(credential.credentials["token"]))
        return Revocation("unconfirmed")

    def _asked(self, request: ToolRequest) -> dict[str, Any]:
        """Return what the Hub would be asked, but for the token. Raises UsageError, ConfigError."""
        if request.provider != ProviderType.HUGGINGFACE:
            raise UsageError(f"this broker mints for huggingface, not for {request.provider}")
        if not self.min_duration <= request.max_duration <= self.max_duration:
            between = f"{self.min_duration} to {self.max_duration} s"
            why = f"Hugging Face mints for {between} with source {self._source}"
            raise UsageError(f"{why}, not {request.max_duration}", hint="Choose another duration")
        if self._source == OIDC:
            return {**FIXED, "resource": exchanged(request, self.namespace)}
        for grant in checked(request.narrowed):
            place(grant.resource, self.namespace)
        return {}

    def _exchanged(self, principal: Principal, resource: str) -> ProviderCredential:
        if self._token is None:
            raise SourceCredentialError(
                "source oidc needs a `token`", hint="Give HuggingFaceCredentialBroker one"
            )
        token, now = self._token(principal), self._clock()
        value, seconds = _believed(self._hub.exchange(resource, token, self._audience))
        return ProviderCredential(
            provider=ProviderType.HUGGINGFACE,
            credential_type=_EXCHANGED,
            credentials=SecretMapping({"token": value}),
            expires_at=now + timedelta(seconds=seconds),
            credential_id=_fingerprint(value),
            narrowed=json.dumps({"resource": resource}),
        )

    def _checked(self, request: ToolRequest) -> ProviderCredential:
        """Return the stored token, if it may no more than the request says."""
        if self._stored is None:
            raise SourceCredentialError(
                "source stored_token needs `stored`", hint="Give HuggingFaceCredentialBroker one"
            )
        page = f"{self._hub.endpoint}/settings/tokens/new?tokenType=fineGrained"
        finer = f"Make a fine-grained one, {page}, and `agentauth source add huggingface`"
        token, now = self._stored(), self._clock()
        found = fine_grained(self._hub.whoami(token, finer), finer)
        beyond = list(found.beyond(request.narrowed, self.namespace))
        if beyond:
            why = f"the stored token may more than {request.tool_name}: {beyond[0]}"
            raise SourceCredentialError(why, hint=finer)
        end, own_end = now + timedelta(seconds=request.max_duration), found.expires
        if own_end is not None and own_end <= now:
            raise SourceCredentialError("the stored token has expired", hint=finer)
        held = [{"entity": one.where, "permissions": one.permissions} for one in found.held]
        return ProviderCredential(
            provider=ProviderType.HUGGINGFACE,
            credential_type="hf_fine_grained_token",
            credentials=SecretMapping({"token": token.reveal()}),
            expires_at=min(end, own_end or end),
            credential_id=_fingerprint(token.reveal()),
            narrowed=json.dumps({"scoped": held}),
            lives_on=own_end is None or own_end > end,
        )


def _believed(answer: Mapping[str, Any]) -> tuple[str, int]:
    """Return token and seconds of an answer to the exchange that is in order.

    Raises ProviderAnswerError, which never quotes the answer, for anything else.
    """
    value, seconds = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ProviderAnswerError("Hugging Face answered with no usable access_token")
    if str(answer.get("token_type")).lower() != "bearer":
        raise ProviderAnswerError("Hugging Face answered with no bearer token")
    if answer.get("issued_token_type", _ISSUED) != _ISSUED:
        raise ProviderAnswerError("Hugging Face answered with another kind of token than asked")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise ProviderAnswerError("Hugging Face answered with no usable expires_in")
    if seconds <= 0:
        why = "Hugging Face answered with a token that has expired"
        raise ProviderAnswerError(why, hint=_CLOCK)
    if seconds > LIFE + _LATEST:
        why = "Hugging Face answered with a token that lives longer than asked"
        raise ProviderAnswerError(why, hint=_CLOCK)
    return value, seconds


def _fingerprint(token: str) -> str:
    """Return what tells a token from others, and is none: tokens are far too long to be guessed."""
    return f"sha256:{sha256(token.encode()).hexdigest()[:16]}"
