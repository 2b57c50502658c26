"""What AWS's emulator says is asked of SeaweedFS too, of somebody else's making: `make e2e`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from agentauth_cli.errors import (
    ProviderAnswerError,
    ProviderRefusedError,
    SourceCredentialError,
)
from agentauth_cli.model import Grant, Principal, ProviderType, ToolRequest
from agentauth_cli.outbound import aws_web
from agentauth_cli.outbound.aws import AWSCredentialBroker
from agentauth_cli.outbound.aws_session import KEYS
from agentauth_cli.secret import Secret
from support.cloud import ACCOUNT, BUCKET, OTHER_BUCKET, REGION, ROLE
from support.issuer import IssuerServer, signer
from support.station import station
from support.weed import AUDIENCE, weed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.cloud import Cloud
    from support.issuer import Signer

KEY = signer("RS256")
ALICE = Principal("corp/alice", "alice")
RESOURCE = f"s3://{BUCKET}/agents/a/*"
PUT = ToolRequest(ROLE, ProviderType.AWS, "s3:PutObject", RESOURCE, 900, lease="L1")
BOTH = replace(
    PUT,
    grants=(
        Grant((), ("s3:PutObject", "s3:ListBucket"), RESOURCE),
        Grant((), ("s3:GetObject",), f"s3://{OTHER_BUCKET}/one"),
    ),
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerServer]:
    """Run the issuer that the role trusts."""
    with IssuerServer(KEY.jwk()) as server:
        yield server


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, issuer: IssuerServer) -> Iterator[Cloud]:
    """Run it for all tests."""
    with weed(tmp_path_factory.mktemp("weed"), issuer) as running:
        yield running


def token(issuer: IssuerServer, signed_by: Signer = KEY, **claims: object) -> Secret:
    """Return a token that the role trusts, unless a claim or the signer forbids."""
    now = int(time.time())
    usual = {"iss": issuer.url, "sub": "alice", "aud": AUDIENCE, "iat": now, "exp": now + 600}
    return Secret(signed_by.token(usual | claims))


def broker(second: Cloud, **given: Any) -> AWSCredentialBroker:
    """Return a broker that mints there."""
    return AWSCredentialBroker(
        role_arn_template="arn:aws:iam::{account_id}:role/{tool_name}",
        account_id=ACCOUNT,
        region=REGION,
        sts_endpoint=second.url,
        pause=lambda _: None,
        **given,
    )


def by_token(second: Cloud, request: ToolRequest, shown: Secret) -> Mapping[str, str]:
    """Return a session by web identity.

    Its answer names no AssumedRoleUser, for which the broker rightly does not believe it: here it
    is taken as it comes.
    """
    asking = broker(second, source="web_identity", token=lambda _: shown)
    call = asking._call(ALICE, request)
    result = aws_web.assume(call, shown, AUDIENCE, asking._endpoint, lambda _: None)
    return {ours: result["Credentials"][theirs] for theirs, ours in KEYS.items()}


def allowed(client: Any, operation: str, **given: str) -> bool:
    """Say whether a call is allowed. Raises ClientError for another answer than a refusal."""
    try:
        getattr(client, operation)(**given)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"AccessDenied", "403"}:
            return False
        raise
    return True


def stays_inside(client: Any) -> None:
    """Hold that the session of BOTH can do that and no more."""
    inside, outside = "agents/a/x", "agents/b/x"
    assert allowed(client, "put_object", Bucket=BUCKET, Key=inside)
    assert allowed(client, "list_objects_v2", Bucket=BUCKET, Prefix="agents/a/")
    for refused in (
        ("put_object", BUCKET, outside),
        ("get_object", BUCKET, inside),
        ("delete_object", BUCKET, inside),
        ("put_object", OTHER_BUCKET, "one"),
        ("get_object", OTHER_BUCKET, "two"),
    ):
        operation, bucket, key = refused
        assert not allowed(client, operation, Bucket=bucket, Key=key), refused
    for prefix in ("agents/", "agents/b/"):
        assert not allowed(client, "list_objects_v2", Bucket=BUCKET, Prefix=prefix)


def test_a_session_of_a_key_stays_inside(second: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """`AssumeRole` with a session policy: several grants, the list condition, nothing else."""
    for name, value in second.source.items():
        monkeypatch.setenv(name, value)
    made = broker(second, session_tags=False).vend_credential(ALICE, BOTH)
    stays_inside(second.client("s3", made.credentials))


def test_a_session_of_a_token_stays_inside(second: Cloud, issuer: IssuerServer) -> None:
    """The same by web identity, against a live issuer."""
    stays_inside(second.client("s3", by_token(second, BOTH, token(issuer))))


def test_tokens_that_are_not_trusted(second: Cloud, issuer: IssuerServer) -> None:
    """Signature, audience and expiry of the token are checked with its issuer."""
    for shown in (
        token(issuer, signer("RS256", "other")),
        token(issuer, aud="another"),
        token(issuer, iss="https://other.example"),
    ):
        with pytest.raises(ProviderRefusedError):
            by_token(second, PUT, shown)
    with pytest.raises(SourceCredentialError):  # a new one would do
        by_token(second, PUT, token(issuer, exp=int(time.time()) - 60))


def test_an_answer_without_the_session_is_not_believed(second: Cloud, issuer: IssuerServer) -> None:
    """What does not say which role and session it is for is no credential."""
    asking = broker(second, source="web_identity", token=lambda _: token(issuer))
    with pytest.raises(ProviderAnswerError):
        asking.vend_credential(ALICE, PUT)


def test_the_program_mints_there(second: Cloud, tmp_path: Path) -> None:
    """The real program, from a profile to an object."""
    here = station(tmp_path / "here", second.url, second.source)
    config = (here.folder / "config" / "config.toml").read_text()
    here.write(
        "config.toml",
        config.replace('source = "profile', 'session_tags = false\nsource = "profile'),
    )
    client = second.client("s3", here.json("vend", ROLE)["credentials"])
    assert allowed(client, "put_object", Bucket=BUCKET, Key="agents/x/1")
    assert not allowed(client, "put_object", Bucket=BUCKET, Key="agents/y/1")
    here.everything_holds()
