"""The AWS broker over real HTTP: against an emulator that enforces, and one that misbehaves."""

from __future__ import annotations

import json
import os
import stat
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import ClientError

from agentauth_cli.errors import (
    AgentAuthError,
    ConfigError,
    ProviderAnswerError,
    ProviderError,
    ProviderRefusedError,
    ProviderUnreachableError,
    RecursionRefusedError,
    SourceCredentialError,
    UsageError,
)
from agentauth_cli.model import Grant, Principal, ProviderType, ToolRequest
from agentauth_cli.outbound import aws_source
from agentauth_cli.outbound.aws import AWSCredentialBroker
from agentauth_cli.outbound.aws_session import session_name
from agentauth_cli.outbound.aws_source import INSIDE, check_source, source_credential
from support import cloud as emulator
from support.faulty import (
    Faulty,
    answer,
    cut,
    dribble,
    endless,
    html,
    redirect,
    refused_port,
    silence,
)
from support.sts import ACCOUNT, KEYS, NOW, REQUEST_ID, credential, error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALICE = Principal("corp/alice", "alice", actor="corp/agent-7")
NAME = session_name(ALICE)
TEMPLATE = "arn:aws:iam::{account_id}:role/{tool_name}"
SOURCE_SECRET = "made-up-source-secret"
PUT = ToolRequest(
    tool_name="put_file",
    provider=ProviderType.AWS,
    action="s3:PutObject",
    resource="arn:aws:s3:::acme-agents/agents/x/*",
    lease="lease-1",
)


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give boto3 empty files and made-up keys, and nothing that the machine has."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AGENTAUTH_"))]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        file = tmp_path / name
        file.touch()
        monkeypatch.setenv(name, str(file))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "MADE-UP-SOURCE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SOURCE_SECRET)
    monkeypatch.setattr("agentauth_cli.outbound.attempts.time.sleep", lambda _: None)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[emulator.Cloud]:
    """One emulator for the module."""
    with emulator.cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def cloud(running: emulator.Cloud, monkeypatch: pytest.MonkeyPatch) -> emulator.Cloud:
    """Return the emulator, with its source credential in the environment."""
    for name, value in running.source.items():
        monkeypatch.setenv(name, value)
    return running


def broker(endpoint: str | None, **changed: Any) -> AWSCredentialBroker:
    """Return a broker at NOW that waits a short time."""
    arguments: dict[str, Any] = {
        "role_arn_template": TEMPLATE,
        "account_id": ACCOUNT,
        "sts_endpoint": endpoint,
        "clock": lambda: NOW,
        "deadline": 5.0,
    }
    return AWSCredentialBroker(**(arguments | changed))


def request(**changed: Any) -> ToolRequest:
    """Return the request PUT with something changed."""
    fields = {name: getattr(PUT, name) for name in ToolRequest.__slots__}
    return ToolRequest(**(fields | changed))


def refused(call: Any, *arguments: Any, **named: Any) -> str:
    """Return the error code with which the provider refuses the call."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    return str(caught.value.response["Error"]["Code"])


# --- against the emulator -------------------------------------------------------------------------


def test_a_credential_reaches_its_resource_and_nothing_else(cloud: emulator.Cloud) -> None:
    """A session policy of the tool's permissions on the narrowed resource, and no more."""
    mint = AWSCredentialBroker(
        role_arn_template=TEMPLATE, account_id=emulator.ACCOUNT, sts_endpoint=cloud.url
    )
    made = mint.vend_credential(principal=ALICE, tool_request=PUT)
    s3 = cloud.client("s3", made.credentials)
    s3.put_object(Bucket=emulator.BUCKET, Key="agents/x/report", Body=b"1")
    denied = "AccessDenied"
    assert refused(s3.put_object, Bucket=emulator.BUCKET, Key="agents/xx", Body=b"1") == denied
    assert refused(s3.put_object, Bucket=emulator.BUCKET, Key="agents/y/a", Body=b"1") == denied
    assert refused(s3.get_object, Bucket=emulator.BUCKET, Key="agents/x/report") == denied
    assert refused(s3.list_objects_v2, Bucket=emulator.BUCKET, Prefix="agents/x/") == denied
    other = emulator.OTHER_BUCKET
    assert refused(s3.put_object, Bucket=other, Key="agents/x/a", Body=b"1") == denied


def test_listing_a_prefix_lists_that_prefix_alone(cloud: emulator.Cloud) -> None:
    """`s3:ListBucket` on a prefix becomes a Condition on `s3:prefix` against the bucket ARN."""
    listing = request(action="s3:ListBucket")
    made = broker(cloud.url, account_id=emulator.ACCOUNT, clock=utc).vend_credential(ALICE, listing)
    s3 = cloud.client("s3", made.credentials)
    s3.list_objects_v2(Bucket=emulator.BUCKET, Prefix="agents/x/")
    s3.list_objects_v2(Bucket=emulator.BUCKET, Prefix="agents/x/deeper/")
    assert refused(s3.list_objects_v2, Bucket=emulator.BUCKET) == "AccessDenied"
    assert refused(s3.list_objects_v2, Bucket=emulator.BUCKET, Prefix="agents/") == "AccessDenied"
    other = emulator.OTHER_BUCKET
    assert refused(s3.list_objects_v2, Bucket=other, Prefix="agents/x/") == "AccessDenied"


def test_the_session_bears_the_principals_name(cloud: emulator.Cloud) -> None:
    """RoleSessionName is the principal, so that the provider's own log says who it was."""
    made = broker(cloud.url, account_id=emulator.ACCOUNT, clock=utc).vend_credential(ALICE, PUT)
    arn = cloud.client("sts", made.credentials).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{emulator.ACCOUNT}:assumed-role/put_file/{NAME}"


def test_a_role_that_trusts_somebody_else_is_a_refusal(cloud: emulator.Cloud) -> None:
    """A role that may not be assumed is exit 8, with the code of AWS."""
    mint = broker(cloud.url, account_id=emulator.ACCOUNT, clock=utc)
    with pytest.raises(ProviderRefusedError) as caught:
        mint.vend_credential(ALICE, request(tool_name="other_tool"))
    assert caught.value.code == "AccessDenied"
    assert caught.value.exit_code == 8


def test_a_wrong_source_secret_is_a_refusal_without_the_secret(
    cloud: emulator.Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature that does not verify is exit 8, and the message holds no secret."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SOURCE_SECRET)
    with pytest.raises(ProviderRefusedError) as caught:
        broker(cloud.url, account_id=emulator.ACCOUNT, clock=utc).vend_credential(ALICE, PUT)
    assert SOURCE_SECRET not in str(caught.value)


def utc() -> datetime:
    """Return the time of this machine: the emulator has no other."""
    return datetime.now(UTC)


# --- what is asked, and what comes of a good answer -----------------------------------------------


def sent(server: Faulty) -> dict[str, str]:
    """Return the form that was sent."""
    return {name: values[0] for name, values in parse_qs(server.requests[0].body.decode()).items()}


def test_what_is_asked_of_sts() -> None:
    """Role, session name, seconds, session policy, source identity and tags; signed, to us."""
    with Faulty([credential(NAME)]) as server:
        broker(server.url).vend_credential(ALICE, PUT)
        form = sent(server)
    assert form["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/put_file"
    assert form["RoleSessionName"] == form["SourceIdentity"] == NAME
    assert form["DurationSeconds"] == "900"
    assert json.loads(form["Policy"])["Statement"][0]["Action"] == ["s3:PutObject"]
    tags = {form[f"Tags.member.{n}.Key"]: form[f"Tags.member.{n}.Value"] for n in range(1, 5)}
    assert tags == {
        "agentauth:principal": "corp/alice",
        "agentauth:tool": "put_file",
        "agentauth:lease": "lease-1",
        "agentauth:actor": "corp/agent-7",
    }
    headers = server.requests[0].headers
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=MADE-UP-SOURCE/")
    assert headers["host"] == f"127.0.0.1:{server.port}"


def test_without_session_tags_neither_tags_nor_source_identity_are_sent() -> None:
    """`session_tags = false` is for roles without sts:TagSession and sts:SetSourceIdentity."""
    with Faulty([credential(NAME)]) as server:
        broker(server.url, session_tags=False).vend_credential(ALICE, PUT)
        form = sent(server)
    assert not [name for name in form if name.startswith(("Tags", "SourceIdentity"))]


MANAGED = ("arn:aws:iam::aws:policy/ReadOnlyAccess", f"arn:aws:iam::{ACCOUNT}:policy/a/b")


def test_managed_policies_go_beside_the_session_policy() -> None:
    """`policy_arns` are sent as PolicyArns, never instead of the session policy."""
    managed = request(policy_arns=MANAGED)
    with Faulty([credential(NAME)]) as server:
        made = broker(server.url).vend_credential(ALICE, managed)
        form = sent(server)
    assert [form[f"PolicyArns.member.{n}.arn"] for n in (1, 2)] == list(MANAGED)
    assert json.loads(form["Policy"])["Statement"][0]["Action"] == ["s3:PutObject"]
    assert made.narrowed == " + ".join([form["Policy"], *MANAGED])
    shown = broker("http://127.0.0.1:1").preview(ALICE, managed)
    assert shown.parameters["PolicyArns"] == [{"arn": one} for one in MANAGED]
    assert shown.unenforced[-1].startswith("the session policy alone: what the policy_arns allow")
    plain = broker("http://127.0.0.1:1").preview(ALICE, PUT)
    assert plain.unenforced == shown.unenforced[:-1]
    assert "PolicyArns" not in plain.parameters


@pytest.mark.parametrize(
    ("arns", "why"),
    [
        (("arn:aws:iam::222222222222:policy/x",), "is no managed policy of AWS or of account"),
        (("arn:aws:iam::aws:role/x",), "is no managed policy of AWS or of account"),
        (MANAGED[:1] * 11, "11 policy_arns, and AWS takes 10"),
        (
            tuple(f"arn:aws:iam::aws:policy/{n}{'a' * 220}" for n in range(10)),
            "with its policy_arns",
        ),
    ],
)
def test_managed_policies_that_aws_would_not_take_are_refused(
    arns: tuple[str, ...], why: str
) -> None:
    """At most ten, of the role's account or AWS's own, within the size: before any call."""
    with pytest.raises(ConfigError, match=why):
        broker("http://127.0.0.1:1").vend_credential(ALICE, request(policy_arns=arns))


def test_what_a_managed_policy_allows_is_allowed_beside_the_tools_own(
    cloud: emulator.Cloud,
) -> None:
    """AWS takes all session policies together: a managed one widens, up to the role."""
    document = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    arn = cloud.client("iam", emulator.ROOT).create_policy(
        PolicyName="reading",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [document]}),
    )["Policy"]["Arn"]
    mint = broker(cloud.url, account_id=emulator.ACCOUNT, clock=utc)
    inside = cloud.client("s3", mint.vend_credential(ALICE, PUT).credentials)
    inside.put_object(Bucket=emulator.BUCKET, Key="agents/x/read", Body=b"1")
    assert refused(inside.get_object, Bucket=emulator.BUCKET, Key="agents/x/read") == "AccessDenied"
    beside = mint.vend_credential(ALICE, request(policy_arns=(arn,)))
    reader = cloud.client("s3", beside.credentials)
    assert reader.get_object(Bucket=emulator.BUCKET, Key="agents/x/read")["Body"].read() == b"1"
    assert (
        refused(reader.delete_object, Bucket=emulator.BUCKET, Key="agents/x/read") == "AccessDenied"
    )


def test_what_comes_back_is_boto3s_own_arguments_and_the_end() -> None:
    """The credential has boto3's argument names, region_name where configured, and its end."""
    with Faulty([credential(NAME)]) as server:
        made = broker(server.url, region="eu-west-1").vend_credential(ALICE, PUT)
    assert dict(made.credentials) == {
        "aws_access_key_id": KEYS["AccessKeyId"],
        "aws_secret_access_key": KEYS["SecretAccessKey"],
        "aws_session_token": KEYS["SessionToken"],
        "region_name": "eu-west-1",
    }
    assert made.expires_at == NOW + timedelta(seconds=900)
    assert made.expires_at.tzinfo is UTC
    assert made.credential_type == "aws_sts_session"
    assert made.credential_id == KEYS["AccessKeyId"]
    assert json.loads(made.narrowed)["Version"] == "2012-10-17"
    assert KEYS["SessionToken"] not in repr(made)


def test_without_a_region_none_is_handed_out() -> None:
    """`region_name` where configured, and not else."""
    with Faulty([credential(NAME)]) as server:
        assert "region_name" not in broker(server.url).vend_credential(ALICE, PUT).credentials


def test_a_shorter_life_than_asked_is_accepted() -> None:
    """An expiry in the future and not later than asked plus a minute."""
    with Faulty([credential(NAME, seconds=300)]) as server:
        made = broker(server.url).vend_credential(ALICE, PUT)
    assert made.expires_at == NOW + timedelta(seconds=300)


def test_a_role_with_a_path_is_answered_without_it() -> None:
    """The account and role that were asked for; an assumed role's ARN leaves the path out."""
    deep = request(role=f"arn:aws:iam::{ACCOUNT}:role/teams/web/deploy")
    with Faulty([credential(NAME, role="deploy")]) as server:
        broker(server.url).vend_credential(ALICE, deep)
        assert sent(server)["RoleArn"].endswith("role/teams/web/deploy")


def test_a_fault_of_the_provider_that_passes_is_tried_again() -> None:
    """Retries are bounded: three attempts, then the answer stands."""
    with Faulty([error("InternalFailure", "oops", 500), credential(NAME)]) as server:
        broker(server.url).vend_credential(ALICE, PUT)
        assert len(server.requests) == 2


# --- answers that are not to be believed ----------------------------------------------------------

BAD = {
    "a page with status 200": html(),
    "no body": answer(),
    "no XML": answer(b"{}"),
    "XML cut short": answer(b"<AssumeRoleResponse><AssumeRoleResult>"),
    "an entity": answer(b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    "nothing in the result": credential(NAME, without="Credentials"),
    "nobody in the result": credential(NAME, without="AssumedRoleUser"),
    "no Arn": credential(NAME, without="Arn"),
    "no access key": credential(NAME, without="AccessKeyId"),
    "no secret key": credential(NAME, without="SecretAccessKey"),
    "no token": credential(NAME, without="SessionToken"),
    "no end": credential(NAME, without="Expiration"),
    "an empty token": credential(NAME, SessionToken=""),
    "a line end in the token": credential(NAME, SessionToken="one&#10;two"),
    "a nul in the token": credential(NAME, SessionToken="one\0two"),
    "a space in the key": credential(NAME, AccessKeyId="one two"),
    "a letter beyond ASCII": credential(NAME, SessionToken="sécret"),
    "two results": credential(NAME, twice="Credentials"),
    "two tokens": credential(NAME, twice="SessionToken"),
    "two ends": credential(NAME, twice="Expiration"),
    "expired": credential(NAME, seconds=-1),
    "ends now": credential(NAME, seconds=0),
    "twelve hours": credential(NAME, seconds=43_200),
    "a minute and a second more": credential(NAME, seconds=961),
    "a time without a zone": credential(NAME, expires="2030-05-17T09:40:00"),
    "no time": credential(NAME, expires="soon"),
    "no number": credential(NAME, expires="nan"),
    "a time out of range": credential(NAME, expires="9" * 20),
    "another account": credential(NAME, account="222222222222"),
    "another role": credential(NAME, role="admin"),
    "another session": credential("somebody-else"),
    "another kind of Arn": credential(NAME, arn=f"arn:aws:iam::{ACCOUNT}:role/put_file"),
    "a redirect": redirect("http://169.254.169.254/"),
    "a body cut short": cut(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<Assume"),
    "no HTTP": cut(b"\x16\x03\x01 what\r\n\r\n"),
    "a claim of 4 GiB": endless(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n", b"x" * 999
    ),
    "no end of it": endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 9999),
}


@pytest.mark.parametrize("said", BAD.values(), ids=BAD.keys())
def test_an_answer_that_is_not_in_order_is_refused(said: Any) -> None:
    """Anything else is exit 8; nothing of the answer is in the message."""
    with Faulty([said]) as server, pytest.raises(ProviderAnswerError) as caught:
        broker(server.url).vend_credential(ALICE, PUT)
    assert caught.value.exit_code == 8
    no_secret(caught.value)


def no_secret(error: BaseException) -> None:
    """Hold that neither the error nor what a traceback shows below it has a secret."""
    shown: BaseException | None = error
    while shown is not None:
        for secret in (*list(KEYS.values())[1:], SOURCE_SECRET):
            assert secret not in str(shown)
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)


UNANSWERED = {
    "silence": silence(),
    "a byte every now and then": dribble(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500, 0.1),
    "hung up": cut(),
}


@pytest.mark.parametrize("said", UNANSWERED.values(), ids=UNANSWERED.keys())
def test_no_answer_before_the_deadline_is_unreachable(said: Any) -> None:
    """One deadline over the whole call, not only between bytes."""
    with Faulty([said]) as server, pytest.raises(ProviderUnreachableError):
        broker(server.url, deadline=0.4).vend_credential(ALICE, PUT)


def test_nobody_listening_is_unreachable() -> None:
    """A refused connection is exit 8 and names host and port."""
    port = refused_port()
    with pytest.raises(ProviderUnreachableError, match=f"127.0.0.1:{port}"):
        broker(f"http://127.0.0.1:{port}").vend_credential(ALICE, PUT)


REFUSALS = [
    ("AccessDenied", 403, 1),
    ("ValidationError", 400, 1),
    ("Throttling", 400, 3),
    ("RequestLimitExceeded", 503, 3),
    ("InternalFailure", 500, 3),
    ("ServiceUnavailable", 503, 3),
]


@pytest.mark.parametrize(("code", "status", "attempts"), REFUSALS)
def test_a_refusal_has_the_providers_code_and_request_id(
    code: str, status: int, attempts: int
) -> None:
    """What AWS refuses is exit 8, with code, words and request id; retries are bounded."""
    said = error(code, "no, not now", status, Retry_After="86400", x_amz_retry_after="86400000")
    with Faulty([said]) as server, pytest.raises(ProviderRefusedError) as caught:
        broker(server.url).vend_credential(ALICE, PUT)
    assert (caught.value.code, caught.value.request_id) == (code, REQUEST_ID)
    assert all(word in caught.value.message for word in (code, "no, not now", REQUEST_ID))
    assert len(server.requests) == attempts


def test_a_provider_never_sets_how_long_we_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 503 with Retry-After: 86400 never makes us sleep so long."""
    slept: list[float] = []
    monkeypatch.setattr("agentauth_cli.outbound.attempts.time.sleep", slept.append)
    said = error("Throttling", "slow", 503, Retry_After="86400", x_amz_retry_after="86400000")
    with Faulty([said]) as server, pytest.raises(ProviderRefusedError):
        broker(server.url).vend_credential(ALICE, PUT)
    assert len(slept) == 2
    assert max(slept) < 3


def test_the_attempts_share_one_deadline() -> None:
    """One deadline over the whole call, all attempts together: none begins that has no time."""
    slow = [0.3, *error("InternalFailure", "oops", 500)]
    with Faulty([slow]) as server, pytest.raises(ProviderRefusedError, match="InternalFailure"):
        broker(server.url, deadline=1.2).vend_credential(ALICE, PUT)
    assert len(server.requests) == 1


def test_text_from_the_provider_is_shown_escaped_redacted_and_short() -> None:
    """Text from the provider is shown only escaped and redacted."""
    text = f"{SOURCE_SECRET} sk-{'a' * 30} &#9;x&#x85;" + "y" * 400
    with (
        Faulty([error("Strange", text, 400)]) as server,
        pytest.raises(ProviderRefusedError) as caught,
    ):
        broker(server.url).vend_credential(ALICE, PUT)
    assert caught.value.message.isprintable()
    assert "•••• ••••" in caught.value.message
    assert "y" * 200 not in caught.value.message
    no_secret(caught.value)


FOR_TAGS = (
    "The role's trust policy does not allow {}: run `agentauth bootstrap aws`, or set "
    "`session_tags = false`"
)
DURATION = "The requested DurationSeconds exceeds the "
MEANT: dict[str, tuple[str, str, str]] = {
    "tags": (
        "AccessDenied",
        "User: x is not authorized to perform: sts:TagSession on resource: y",
        FOR_TAGS.format("sts:TagSession"),
    ),
    "source identity": (
        "AccessDenied",
        "User: x is not authorized to perform: sts:SetSourceIdentity on resource: y",
        FOR_TAGS.format("sts:SetSourceIdentity"),
    ),
    "trust": (
        "AccessDenied",
        "User: x is not authorized to perform: sts:AssumeRole on resource: y",
        (
            "See that put_file is there and trusts the source, and that the source may assume it: "
            "run `agentauth bootstrap aws`"
        ),
    ),
    "packed size": (
        "PackedPolicyTooLarge",
        "Packed policy consumes 112% of allotted space",
        "Give the tool fewer grants, permissions or policy_arns, or set `session_tags = false`",
    ),
    "the role's longest session": (
        "ValidationError",
        f"{DURATION}MaxSessionDuration set for this role.",
        "Set a shorter `duration`, or a longer session of the role: run `agentauth bootstrap aws`",
    ),
    "a chained source": (
        "ValidationError",
        f"{DURATION}1 hour session limit for roles assumed by role chaining.",
        (
            "The source is the session of a role, which mints for an hour at most: set a shorter "
            "`duration`, or another source"
        ),
    ),
    "a policy that is none": (
        "MalformedPolicyDocument",
        "Syntax errors in policy.",
        "See the tool's permissions and resource: `agentauth vend TOOL --dry-run` shows the policy",
    ),
    "a region": (
        "RegionDisabledException",
        "STS is not activated in this region",
        "Activate STS for that region in the account, or set another region",
    ),
    "anything else": (
        "ValidationError",
        "1 validation error detected",
        "Try again; `--debug` shows where it failed",
    ),
}


@pytest.mark.parametrize("case", MEANT)
def test_a_refusal_says_what_it_means_here_and_what_to_do(case: str) -> None:
    """What the provider said (code, request id), what it means here, what to do."""
    code, why, meant = MEANT[case]
    said = error(code, why, 400)
    with Faulty([said]) as server, pytest.raises(ProviderRefusedError) as caught:
        broker(server.url).vend_credential(ALICE, PUT)
    assert caught.value.hint == meant
    assert caught.value.message == f"AssumeRole: {code}: {why} (request id {REQUEST_ID})"
    assert (caught.value.code, caught.value.request_id) == (code, REQUEST_ID)


def test_a_session_without_tags_is_not_told_to_leave_them_out() -> None:
    """`session_tags = false` mends nothing where it is set already."""
    said = error("PackedPolicyTooLarge", "too large", 400)
    with Faulty([said]) as server, pytest.raises(ProviderRefusedError) as caught:
        broker(server.url, session_tags=False).vend_credential(ALICE, PUT)
    assert caught.value.hint == "Give the tool fewer grants, permissions or policy_arns"


def test_an_expired_source_is_no_source() -> None:
    """The credential that mints the others has expired: exit 4."""
    with (
        Faulty([error("ExpiredToken", "The token is expired")]) as server,
        pytest.raises(SourceCredentialError, match="ExpiredToken"),
    ):
        broker(server.url).vend_credential(ALICE, PUT)


# --- requests that are refused before any call ----------------------------------------------------

UNASKABLE: list[tuple[dict[str, Any], dict[str, Any], type[AgentAuthError]]] = [
    ({}, {"max_duration": 899}, UsageError),
    ({}, {"max_duration": 43_201}, UsageError),
    ({}, {"provider": ProviderType.GCP}, UsageError),
    ({}, {"tool_name": "a/b"}, ConfigError),
    ({}, {"role": "arn:aws:iam::1:role/short"}, ConfigError),
    ({}, {"action": ""}, ConfigError),
    ({}, {"grants": (Grant((), (), "arn:aws:s3:::b/*"),)}, ConfigError),
    ({}, {"resource": "arn:aws:s3:::b/" + "x" * 2048}, ConfigError),
    ({"role_arn_template": None}, {}, ConfigError),
    ({"account_id": ""}, {}, ConfigError),
]


@pytest.mark.parametrize(("broken", "changed", "expected"), UNASKABLE)
def test_what_cannot_be_minted_is_refused_before_any_call(
    broken: dict[str, Any], changed: dict[str, Any], expected: type[AgentAuthError]
) -> None:
    """Too short, too long, no role, no permissions, too large: an error before any call."""
    with Faulty([credential(NAME)]) as server:
        with pytest.raises(expected):
            broker(server.url, **broken).vend_credential(ALICE, request(**changed))
        assert not server.requests


@pytest.mark.parametrize(
    "broken",
    [
        {"role_arn_template": "arn:aws:iam::1:role/{user}"},
        {"role_arn_template": "arn:aws:iam::1:role/{tool_name.__class__}"},
        {"role_arn_template": "arn:aws:iam::1:role/{tool_name!r}"},
        {"role_arn_template": "arn:aws:iam::1:role/{tool_name"},
        {"source": "web"},
        {"source": "profile:"},
        {"region": "evil.example/", "sts_endpoint": None},
    ],
)
def test_a_broker_that_cannot_be_meant_is_refused(broken: dict[str, Any]) -> None:
    """An unknown placeholder, source or region is a configuration error."""
    with pytest.raises(ConfigError):
        broker("http://127.0.0.1:1", **({"sts_endpoint": "http://127.0.0.1:1"} | broken))


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"),
        (None, "sts.us-east-1.amazonaws.com"),
    ],
)
def test_the_endpoint_is_the_regions_own(region: str | None, host: str) -> None:
    """Regional STS endpoint of the configured region."""
    assert broker(None, region=region).preview(ALICE, PUT).endpoint == f"https://{host}"


# --- the source credential ------------------------------------------------------------------------


def profiles(text: str) -> None:
    """Write the configuration of AWS, and take the keys out of the environment."""
    with open(os.environ["AWS_CONFIG_FILE"], "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)
    del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]


def script(folder: Path, text: str) -> Path:
    """Return an executable of this text."""
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(stat.S_IRWXU)
    return file


def test_the_environment_of_a_hostile_caller_is_not_honoured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`AWS_ENDPOINT_URL*`, `AWS_CA_BUNDLE` and proxies in the environment are not honoured."""
    with Faulty([credential(NAME)]) as ours, Faulty([credential(NAME)]) as theirs:
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, theirs.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere")
        monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
        monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
        broker(ours.url).vend_credential(ALICE, PUT)
        assert (len(ours.requests), len(theirs.requests)) == (1, 0)


@pytest.mark.parametrize("source", ["ambient", "profile:work"])
def test_no_credential_is_no_source(source: str) -> None:
    """Nothing to mint with is exit 4."""
    profiles("[profile work]\nregion = eu-west-1\n")
    with pytest.raises(SourceCredentialError):
        broker("http://127.0.0.1:1", source=source).vend_credential(ALICE, PUT)


def test_an_unknown_profile_is_no_source() -> None:
    """A profile that is not there is exit 4 and named."""
    with pytest.raises(SourceCredentialError, match="nowhere"):
        broker("http://127.0.0.1:1", source="profile:nowhere").vend_credential(ALICE, PUT)


def test_a_profile_is_used_also_beside_keys_in_the_environment(tmp_path: Path) -> None:
    """`profile:NAME` means that profile."""
    keys = '{"Version": 1, "AccessKeyId": "MADE-UP-WORK", "SecretAccessKey": "x"}'
    program = script(tmp_path, f"test \"$AGENTAUTH_INSIDE\" = 1 && echo '{keys}'")
    file = tmp_path / "AWS_CONFIG_FILE"
    file.write_text(f"[profile work]\ncredential_process = {program}\n", encoding="utf-8")
    with Faulty([credential(NAME)]) as server:
        broker(server.url, source="profile:work").vend_credential(ALICE, PUT)
        assert "Credential=MADE-UP-WORK/" in server.requests[0].headers["authorization"]
    assert "AGENTAUTH_INSIDE" not in os.environ


def test_inside_as_long_as_any_thread_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thread in sets the variable, the last one out restores it."""
    monkeypatch.setenv(INSIDE, "before")
    inside = aws_source._INSIDE
    with inside:
        with inside:
            assert os.environ[INSIDE] == "1"
        assert os.environ[INSIDE] == "1"
    assert os.environ[INSIDE] == "before"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_meanwhile_is_not_inside() -> None:
    """What another thread was asking is not asked in the child, whose programs may be ours."""
    with aws_source._INSIDE:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with aws_source._INSIDE:
                    code = 2
                code = int(INSIDE in os.environ)
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert INSIDE not in os.environ


def test_a_profile_that_asks_agentauth_is_refused() -> None:
    """Never one that asks agentauth: the profile is named."""
    profiles(
        "[profile work]\nrole_arn = arn:aws:iam::111111111111:role/a\nsource_profile = loop\n"
        "[profile loop]\ncredential_process = /usr/bin/env agentauth vend put_file\n"
    )
    with pytest.raises(RecursionRefusedError, match="loop"):
        broker("http://127.0.0.1:1", source="profile:work").vend_credential(ALICE, PUT)


@pytest.mark.parametrize("source", ["ambient", "profile:work"])
def test_a_profile_that_asks_for_a_code_is_refused_without_a_prompt(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a prompt: a profile with mfa_serial is refused before botocore asks."""
    profiles(
        "[profile work]\nrole_arn = arn:aws:iam::111111111111:role/a\nsource_profile = code\n"
        "[profile code]\nrole_arn = arn:aws:iam::111111111111:role/b\nsource_profile = code\n"
        "mfa_serial = arn:aws:iam::111111111111:mfa/alice\naws_access_key_id = A\n"
        "aws_secret_access_key = B\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "work")
    with pytest.raises(SourceCredentialError, match="mfa_serial"):
        broker("http://127.0.0.1:1", source=source).vend_credential(ALICE, PUT)


def test_a_source_is_judged_without_fetching_it(tmp_path: Path) -> None:
    """`doctor` asks nobody: what the profile says is looked at, and nothing of it is run."""
    ran = tmp_path / "ran"
    profiles(
        f"[profile work]\ncredential_process = {script(tmp_path, f'touch {ran}')}\n"
        "[profile loop]\ncredential_process = agentauth vend put_file\n"
    )
    check_source("work")
    check_source(None)
    assert not ran.exists()
    with pytest.raises(RecursionRefusedError, match="loop"):
        check_source("loop")
    with pytest.raises(SourceCredentialError, match="nowhere"):
        check_source("nowhere")


def test_an_expired_login_says_how_to_log_in() -> None:
    """An expired SSO source is exit 4 with `aws sso login --profile X`."""
    profiles(
        "[profile work]\nsso_session = s\nsso_account_id = 111111111111\nsso_role_name = r\n"
        "[sso-session s]\nsso_start_url = https://sso.invalid/\nsso_region = eu-west-1\n"
    )
    with pytest.raises(SourceCredentialError) as caught:
        broker("http://127.0.0.1:1", source="profile:work").vend_credential(ALICE, PUT)
    assert caught.value.exit_code == 4
    assert "aws sso login --profile work" in caught.value.hint


@pytest.mark.parametrize("said", ["exit 3", "echo nonsense", "echo '{}'"])
def test_a_credential_process_that_fails_is_no_source(tmp_path: Path, said: str) -> None:
    """A credential_process that fails, or says nonsense, is exit 4."""
    profiles(f"[profile work]\ncredential_process = {script(tmp_path, said)}\n")
    with pytest.raises(SourceCredentialError):
        broker("http://127.0.0.1:1", source="profile:work").vend_credential(ALICE, PUT)


def test_a_credential_process_that_hangs_is_given_up(tmp_path: Path) -> None:
    """There is a limit of time on fetching the source credential, and it is said."""
    profiles(f"[profile work]\ncredential_process = {script(tmp_path, 'exec sleep 5')}\n")
    began = time.monotonic()
    with pytest.raises(SourceCredentialError, match=r"work: its source took longer than 0\.3 s"):
        source_credential("work", 0.3)
    assert time.monotonic() - began < 4


def test_a_model_of_sts_that_is_not_the_one_of_aws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an environment calls AWS's models has no part in the request."""
    folder = tmp_path / "sts" / "2011-06-15"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text("{}")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    with Faulty([credential(NAME)]) as server:
        broker(server.url).vend_credential(ALICE, PUT)
        (request,) = server.requests
    assert b"&Policy=" in request.body


def test_the_errors_of_this_broker_are_of_the_providers_family() -> None:
    """Whatever the provider does is a ProviderError: exit 8."""
    for error_class in (ProviderRefusedError, ProviderUnreachableError, ProviderAnswerError):
        assert issubclass(error_class, ProviderError)
