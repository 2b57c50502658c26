"""Ending AWS sessions early: all that a role has given out until now, other people's too.

AWS knows no single session. What its console does to "revoke active sessions" is done here: an
inline policy on the role that denies everything to sessions from before a time.

Source: the IAM user guide, "Revoke IAM role temporary security credentials"; the IAM API reference,
PutRolePolicy.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from agentauth_cli.errors import (
    AgentAuthError,
    ConfigError,
    ProviderError,
    ProviderRefusedError,
    SourceCredentialError,
)
from agentauth_cli.model import Revocation
from agentauth_cli.outbound.attempts import jittered
from agentauth_cli.outbound.aws_call import Endpoint
from agentauth_cli.outbound.aws_key import signing
from agentauth_cli.outbound.aws_query import Query, Refusal
from agentauth_cli.outbound.aws_session import LATEST, role
from agentauth_cli.outbound.aws_source import profile_of, source_credential

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from agentauth_cli.model import Lease, ProviderCredential
    from agentauth_cli.ports import Clock

POLICY = "AWSRevokeOlderSessions"
"""The name that AWS's console gives it, so that either finds what the other did."""

_VERSION = "2010-05-08"
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
_ENDPOINTS = (
    ("cn-", "cn-north-1", "iam.cn-north-1.amazonaws.com.cn"),
    ("us-gov-", "us-gov-west-1", "iam.us-gov.amazonaws.com"),
    ("us-iso-", "us-iso-east-1", "iam.us-iso-east-1.c2s.ic.gov"),
    ("us-isob-", "us-isob-east-1", "iam.us-isob-east-1.sc2s.sgov.gov"),
    ("us-isof-", "us-isof-south-1", "iam.us-isof-south-1.csp.hci.ic.gov"),
    ("eu-isoe-", "eu-isoe-west-1", "iam.eu-isoe-west-1.cloud.adc-e.uk"),
    ("eusc-", "eusc-de-east-1", "iam.eusc-de-east-1.amazonaws.eu"),
    ("", "us-east-1", "iam.amazonaws.com"),
)
"""How the regions of a partition begin; where its IAM is, which has one region for all."""


class AWSRoleRevoker:
    """Ends all older sessions of the roles that leases came from, in one environment.

    `role_of` returns the ARN of the role of a lease. `source` is ``profile:NAME``: a credential of
    its own, since what mints could rewrite the roles that confine it with this permission.
    `iam_endpoint` is a base URL and `ca_bundle` its certificates; `deadline` is in seconds, for all
    attempts of one call together.
    Raises ConfigError for a source that cannot be meant.
    """

    def __init__(
        self,
        *,
        role_of: Callable[[Lease], str],
        source: str | None,
        region: str,
        iam_endpoint: str | None,
        ca_bundle: Path | None,
        clock: Clock,
        deadline: float = 20.0,
        pause: Callable[[float], None] = jittered,
    ) -> None:
        if source is None:
            raise ConfigError(
                "sessions of AWS end together, and nothing says with what to end them",
                hint="Set `revoke_source` of the environment's aws",
            )
        signed_in, host = iam(region)
        self._role_of = role_of
        self._profile = profile_of(source)
        self._endpoint = Endpoint(
            iam_endpoint or f"https://{host}", signed_in, ca_bundle, deadline, "iam", _VERSION
        )
        self._clock = clock
        self._pause = pause
        self._ended: dict[str, Revocation | AgentAuthError] = {}

    def revoke(self, lease: Lease, credential: ProviderCredential | None = None) -> Revocation:
        """Ask IAM to refuse all sessions of the lease's role that there are: once for a role.

        It takes minutes until IAM holds to it everywhere: ``requested``. Raises ConfigError,
        ProviderError, and SourceCredentialError where there is nothing to ask with.
        """
        del credential
        arn = self._role_of(lease)
        if arn not in self._ended:
            try:
                self._ended[arn] = self._end(arn)
            except (ConfigError, ProviderError, SourceCredentialError) as error:
                self._ended[arn] = error
        found = self._ended[arn]
        if isinstance(found, AgentAuthError):
            raise found
        return found

    def _end(self, arn: str) -> Revocation:
        name = role(arn).name
        source = source_credential(self._profile)
        before = cutoff(self._clock())
        secrets = (source.secret_key or "", source.token or "")
        query = Query(self._endpoint, self._pause, secrets, signing(source, self._endpoint))
        answer = query.said(
            {
                "Action": "PutRolePolicy",
                "Version": _VERSION,
                "RoleName": name,
                "PolicyName": POLICY,
                "PolicyDocument": denial(before),
            }
        )
        if isinstance(answer, Refusal):
            raise _meant(answer, name)
        return Revocation("requested", f"all sessions of {arn} from before {_utc(before)}")


def cutoff(now: datetime) -> datetime:
    """Return a whole second before which every session began that there is, by AWS's clock.

    That may be ahead of ours by what `aws_session.believed` takes of an answer, and no more.
    """
    return (now + LATEST + timedelta(seconds=1)).replace(microsecond=0)


def denial(before: datetime) -> str:
    """Return the policy that denies everything to the sessions from before a time, in UTC."""
    statement = {
        "Effect": "Deny",
        "Action": ["*"],
        "Resource": ["*"],
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": _utc(before)}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def iam(region: str) -> tuple[str, str]:
    """Return the region that IAM is signed for, and its host, as seen from a region."""
    return next((one, host) for begins, one, host in _ENDPOINTS if region.startswith(begins))


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _meant(refusal: Refusal, name: str) -> AgentAuthError:
    message = f"PutRolePolicy: {refusal}"
    if refusal.code in _EXPIRED:
        return SourceCredentialError(message)
    hints = {
        "AccessDenied": (
            f"Let revoke_source do iam:PutRolePolicy on {name}: run `agentauth bootstrap aws`"
        ),
        "NoSuchEntity": f"See that {name} is a role of the environment's account",
    }
    return ProviderRefusedError(
        message,
        hint=hints.get(refusal.code),
        code=refusal.code,
        request_id=refusal.request_id,
    )
