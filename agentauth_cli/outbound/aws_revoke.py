"""Ending AWS sessions early: all that a role has given out until now, other people's too.

AWS knows no single session. What its console does to "revoke active sessions" is done here: an
inline policy on the role that denies everything to sessions from before a time.

Source: the IAM user guide, "Revoke IAM role temporary security credentials"; the IAM API reference,
PutRolePolicy; the STS API reference, GetCallerIdentity.
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
from agentauth_cli.outbound.aws_call import Endpoint, regional
from agentauth_cli.outbound.aws_key import signing
from agentauth_cli.outbound.aws_query import Query, Refusal
from agentauth_cli.outbound.aws_session import LATEST, role
from agentauth_cli.outbound.aws_source import profile_of, source_credential
from agentauth_cli.secret import told

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from botocore.credentials import ReadOnlyCredentials

    from agentauth_cli.model import Lease, ProviderCredential
    from agentauth_cli.outbound.aws_session import Role
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
    `iam_endpoint` and `sts_endpoint` are base URLs and `ca_bundle` their certificates; `deadline`
    is in seconds, for all attempts of one call together.
    Raises ConfigError for a source that cannot be meant.
    """

    def __init__(
        self,
        *,
        role_of: Callable[[Lease], str],
        source: str | None,
        region: str,
        iam_endpoint: str | None,
        sts_endpoint: str | None,
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
        self._sts = Endpoint(sts_endpoint or regional(region), region, ca_bundle, deadline)
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
        wanted = role(arn)
        source = source_credential(self._profile)
        self._check_account(source, wanted)
        before = cutoff(self._clock())
        answer = self._query(source, self._endpoint).said(
            {
                "Action": "PutRolePolicy",
                "Version": _VERSION,
                "RoleName": wanted.name,
                "PolicyName": POLICY,
                "PolicyDocument": denial(before),
            }
        )
        if isinstance(answer, Refusal):
            raise _meant("PutRolePolicy", answer, wanted.name)
        return Revocation("requested", f"all sessions of {arn} from before {_utc(before)}")

    def _check_account(self, source: ReadOnlyCredentials, wanted: Role) -> None:
        """Refuse a source of another account: IAM would find a role of that name there."""
        fields = {"Action": "GetCallerIdentity", "Version": self._sts.version}
        answer = self._query(source, self._sts).ask(fields)
        if isinstance(answer, Refusal):
            raise _meant("GetCallerIdentity", answer, wanted.name)
        if answer.get("Account") != wanted.account:
            account = told(str(answer.get("Account")))
            raise ConfigError(
                f"revoke_source is of account {account}, and {wanted.arn} is not",
                hint="Name a profile of the role's own account",
            )

    def _query(self, source: ReadOnlyCredentials, endpoint: Endpoint) -> Query:
        secrets = (source.secret_key or "", source.token or "")
        return Query(endpoint, self._pause, secrets, signing(source, endpoint))


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


def _meant(operation: str, refusal: Refusal, name: str) -> AgentAuthError:
    message = f"{operation}: {refusal}"
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
