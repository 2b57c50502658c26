"""Ending a role's sessions together: over real HTTP, against the emulator and a faulty server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.errors import (
    AgentAuthError,
    ConfigError,
    ProviderAnswerError,
    ProviderRefusedError,
    SourceCredentialError,
)
from agentauth_cli.model import Lease, Principal, ProviderType, Revocation, ToolRequest
from agentauth_cli.outbound.aws import AWSCredentialBroker
from agentauth_cli.outbound.aws_revoke import POLICY, AWSRoleRevoker, cutoff, iam
from agentauth_cli.outbound.aws_session import LATEST
from support import cloud as emulator
from support import sts as sts_answers
from support.faulty import Faulty, answer, html
from support.sts import ACCOUNT, NOW, REQUEST_ID, credential

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.faulty import Part

SECRET = "made-up-security-secret"
NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
ROLE = "arn:aws:iam::111111111111:role/agents/{}"
ENDPOINT: dict[str, str] = {}
DONE = answer(
    f'<PutRolePolicyResponse xmlns="{NAMESPACE}"><ResponseMetadata><RequestId>{REQUEST_ID}'
    "</RequestId></ResponseMetadata></PutRolePolicyResponse>".encode()
)


def error(code: str, message: str, status: int = 403) -> list[Part]:
    """Return an error as IAM words it."""
    return answer(
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{message}</Message></Error><RequestId>{REQUEST_ID}</RequestId>"
        "</ErrorResponse>".encode(),
        status,
    )


def lease(tool: str = "put_file") -> Lease:
    """Return a lease of a tool."""
    return Lease("L1", "corp/alice", tool, "aws", "dev", "arn:aws:s3:::b/*", NOW, NOW)


def identity(account: object = ACCOUNT) -> list[Part]:
    """Return STS's word on whose credential it is."""
    return answer(
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<GetCallerIdentityResult><Account>{account}</Account></GetCallerIdentityResult>"
        "</GetCallerIdentityResponse>".encode()
    )


@pytest.fixture(scope="module", autouse=True)
def sts() -> Iterator[Faulty]:
    """Run an STS where the profile is of the roles' account."""
    with Faulty([identity()]) as server:
        ENDPOINT["sts_endpoint"] = server.url
        yield server


@pytest.fixture(autouse=True)
def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give boto3 the profile `security`, and nothing that the machine has."""
    keys(monkeypatch, tmp_path, {"aws_access_key_id": "MADE-UP", "aws_secret_access_key": SECRET})


def keys(monkeypatch: pytest.MonkeyPatch, folder: Path, security: Mapping[str, str]) -> None:
    """Write the profile, and take every other credential away."""
    file = folder / "credentials"
    file.write_text("\n".join(["[security]", *(f"{key} = {one}" for key, one in security.items())]))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def revoker(endpoint: str | None, **changed: Any) -> AWSRoleRevoker:
    """Return one at NOW that does not wait."""
    arguments: dict[str, Any] = {
        "role_of": lambda lease: ROLE.format(lease.tool),
        "source": "profile:security",
        "region": "eu-west-1",
        "iam_endpoint": endpoint,
        **ENDPOINT,
        "ca_bundle": None,
        "clock": lambda: NOW,
        "deadline": 5.0,
        "pause": lambda _: None,
    }
    return AWSRoleRevoker(**(arguments | changed))


def sent(server: Faulty, number: int = 0) -> dict[str, str]:
    """Return a form that was sent."""
    form = parse_qs(server.requests[number].body.decode())
    return {name: value for name, (value,) in form.items()}


# --- what is asked --------------------------------------------------------------------------------


def test_all_older_sessions_of_the_role_are_denied_everything() -> None:
    """A deny on `aws:TokenIssueTime` (`AWSRevokeOlderSessions`) on the role: `requested`."""
    with Faulty([DONE]) as server:
        found = revoker(server.url).revoke(lease())
        form = sent(server)
    document = json.loads(form.pop("PolicyDocument"))
    assert form == {
        "Action": "PutRolePolicy",
        "Version": "2010-05-08",
        "RoleName": "put_file",
        "PolicyName": "AWSRevokeOlderSessions",
    }
    assert document == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Action": ["*"],
                "Resource": ["*"],
                "Condition": {"DateLessThan": {"aws:TokenIssueTime": "2030-05-17T09:31:01Z"}},
            }
        ],
    }
    reach = f"all sessions of {ROLE.format('put_file')} from before 2030-05-17T09:31:01Z"
    assert found == Revocation("requested", reach)
    assert found.lives_on


def test_it_is_signed_for_iam_with_the_credential_of_its_own() -> None:
    """`revoke_source`, never the credential that vends."""
    with Faulty([DONE]) as server:
        revoker(server.url).revoke(lease())
        (request,) = server.requests
    scope = f"{datetime.now(UTC):%Y%m%d}/us-east-1/iam/aws4_request"
    signature = request.headers["authorization"]
    assert signature.startswith(f"AWS4-HMAC-SHA256 Credential=MADE-UP/{scope}, ")


@given(
    asked=st.integers(900, 43_200),
    since=st.timedeltas(timedelta(0), timedelta(hours=12)),
    ahead=st.timedeltas(timedelta(0), timedelta(seconds=60)),
    fraction=st.integers(0, 999_999),
)
def test_no_session_that_was_believed_is_younger_than_what_is_denied(
    asked: int, since: timedelta, ahead: timedelta, fraction: int
) -> None:
    """AWS's clock may be ahead by as much as an answer's end may: a minute, not more."""
    now = NOW.replace(microsecond=fraction)
    vended = now - since
    issued = vended + ahead  # by AWS's clock
    assert issued + timedelta(seconds=asked) <= vended + timedelta(seconds=asked) + LATEST
    assert issued.replace(microsecond=0) < cutoff(now)
    assert cutoff(now) <= now + timedelta(seconds=61)
    assert cutoff(now).microsecond == 0


def test_a_role_is_asked_about_once_for_all_its_leases() -> None:
    """One call a role, also where it failed: the others are told the same."""
    with Faulty([DONE, error("AccessDenied", "no"), DONE]) as server:
        ends = revoker(server.url)
        first = ends.revoke(lease("one"))
        assert ends.revoke(lease("one")) is first
        for _ in range(2):
            with pytest.raises(ProviderRefusedError, match="AccessDenied"):
                ends.revoke(lease("two"))
        assert [sent(server, n)["RoleName"] for n in (0, 1)] == ["one", "two"]
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "region",
    [
        *("us-east-1", "eu-west-1", "cn-northwest-1", "us-gov-east-1", "us-iso-west-1"),
        *("us-isob-east-1", "us-isof-south-1", "eu-isoe-west-1", "eusc-de-east-1"),
    ],
)
def test_iam_is_where_boto3_finds_it(region: str) -> None:
    """One endpoint and one region to sign for, in each partition."""
    client = boto3.Session().client(
        "iam", region_name=region, aws_access_key_id="a", aws_secret_access_key="b"
    )
    asked: list[Any] = []

    def before(request: Any, **_: Any) -> None:
        asked.append(request)
        raise InterruptedError

    client.meta.events.register("before-send.iam.PutRolePolicy", before)
    with pytest.raises(InterruptedError):
        client.put_role_policy(RoleName="a", PolicyName="b", PolicyDocument="{}")
    (request,) = asked
    signed_in, host = iam(region)
    assert request.url == f"https://{host}/"
    assert f"/{signed_in}/iam/aws4_request" in request.headers["Authorization"].decode()


# --- what goes wrong ------------------------------------------------------------------------------


def test_without_a_source_of_its_own_it_says_what_to_set() -> None:
    """That needs `revoke_source = "profile:NAME"` in the environment."""
    with pytest.raises(ConfigError) as caught:
        revoker(None, source=None)
    assert caught.value.hint == "Set `revoke_source` of the environment's aws"


FAILURES: dict[str, tuple[list[Part], type[AgentAuthError], str]] = {
    "not allowed": (
        error("AccessDenied", "User: x is not authorized to perform: iam:PutRolePolicy"),
        ProviderRefusedError,
        "Let revoke_source do iam:PutRolePolicy on put_file: run `agentauth bootstrap aws`",
    ),
    "no such role": (
        error("NoSuchEntity", "The role with name put_file cannot be found.", 404),
        ProviderRefusedError,
        "See that put_file is a role of the environment's account",
    ),
    "expired": (
        error("ExpiredToken", "The token is expired"),
        SourceCredentialError,
        SourceCredentialError.advice,
    ),
    "a page": (html(), ProviderAnswerError, ProviderAnswerError.advice),
    "an answer to another question": (
        credential("x", operation="PutRolePolicy"),
        ProviderAnswerError,
        ProviderAnswerError.advice,
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_says_why_and_what_to_do(case: str) -> None:
    """`failed: WHY`: what IAM said, and what mends it; no secret in it."""
    said, kind, hint = FAILURES[case]
    with Faulty([said]) as server, pytest.raises(kind) as caught:
        revoker(server.url).revoke(lease())
    assert isinstance(caught.value, AgentAuthError)
    assert caught.value.hint == hint
    assert SECRET not in caught.value.message


def test_a_source_of_another_account_ends_nothing() -> None:
    """IAM knows roles by name: those of prod are called as those of dev, and are other people's."""
    with Faulty([DONE]) as server, Faulty([identity("222222222222")]) as sts:
        with pytest.raises(ConfigError, match="is of account 222222222222"):
            revoker(server.url, sts_endpoint=sts.url).revoke(lease())
        assert not server.requests


def test_a_source_that_is_nobodys_any_more_ends_nothing() -> None:
    """Who it is comes first."""
    said = sts_answers.error("ExpiredToken", "The token is expired")
    with Faulty([DONE]) as server, Faulty([said]) as sts:
        with pytest.raises(SourceCredentialError, match="GetCallerIdentity"):
            revoker(server.url, sts_endpoint=sts.url).revoke(lease())
        assert not server.requests


def test_what_passes_is_tried_again() -> None:
    """Two that write on one role at once, and a fault of the server."""
    again: list[Any] = [
        error("ConcurrentModification", "x", 409),
        error("ServiceFailure", "x", 500),
        DONE,
    ]
    with Faulty(again) as server:
        revoker(server.url).revoke(lease())
        assert len(server.requests) == 3


# --- against the emulator -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[emulator.Cloud]:
    """Run the emulator."""
    with emulator.cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def test_the_sessions_of_a_role_are_refused_afterwards(
    cloud: emulator.Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All older sessions of that role, also other people's; younger ones live."""
    iam_of_root = cloud.client("iam", emulator.ROOT)
    iam_of_root.create_user(UserName="security")
    allowed = {"Effect": "Allow", "Action": "iam:PutRolePolicy", "Resource": "*"}
    iam_of_root.put_user_policy(
        UserName="security",
        PolicyName="revoke",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    key = iam_of_root.create_access_key(UserName="security")["AccessKey"]
    security = {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }
    keys(monkeypatch, tmp_path, security)
    for name, value in cloud.source.items():
        monkeypatch.setenv(name, value)
    sessions = [session(cloud, who) for who in ("corp/alice", "corp/bob")]

    def revoke(ago: timedelta) -> str:
        ends = revoker(
            cloud.url,
            sts_endpoint=cloud.url,
            role_of=lambda _: f"arn:aws:iam::{emulator.ACCOUNT}:role/{emulator.ROLE}",
            clock=lambda: datetime.now(UTC) - ago,
        )
        return ends.revoke(lease()).outcome

    assert revoke(timedelta(minutes=30)) == "requested"
    for one in sessions:
        one.put_object(Bucket=emulator.BUCKET, Key="x/report", Body=b"1")
    assert revoke(timedelta(0)) == "requested"
    for one in sessions:
        with pytest.raises(ClientError, match="explicit deny"):
            one.put_object(Bucket=emulator.BUCKET, Key="x/report", Body=b"1")
    assert POLICY in iam_of_root.list_role_policies(RoleName=emulator.ROLE)["PolicyNames"]


def session(cloud: emulator.Cloud, who: str) -> Any:
    """Return an S3 client with a session that the broker has minted for somebody."""
    broker = AWSCredentialBroker(
        role_arn_template="arn:aws:iam::{account_id}:role/{tool_name}",
        account_id=emulator.ACCOUNT,
        sts_endpoint=cloud.url,
    )
    request = ToolRequest(
        emulator.ROLE,
        ProviderType.AWS,
        action="s3:PutObject",
        resource=f"arn:aws:s3:::{emulator.BUCKET}/x/*",
    )
    made = broker.vend_credential(Principal(who, who), request)
    return cloud.client("s3", made.credentials)
