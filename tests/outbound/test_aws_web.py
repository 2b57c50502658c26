"""AssumeRoleWithWebIdentity over real HTTP: what is asked, and which answers are believed."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.errors import (
    AgentAuthError,
    ConfigError,
    ProviderAnswerError,
    ProviderRefusedError,
    ProviderUnreachableError,
    SourceCredentialError,
    UsageError,
)
from agentauth_cli.model import Principal, ProviderType, ToolRequest
from agentauth_cli.outbound import attempts
from agentauth_cli.outbound.aws import AWSCredentialBroker
from agentauth_cli.outbound.aws_session import web_session_name
from agentauth_cli.secret import Secret
from support import cloud as clouds
from support import sts
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
from support.issuer import signer
from support.sts import ACCOUNT, KEYS, NOW, REQUEST_ID, error

if TYPE_CHECKING:
    from support.faulty import Part

ALICE = Principal("corp/alice", "alice")
LEASE = "L0123456789abcdef"
NAME = web_session_name(ALICE, LEASE)
TOKEN = signer("ES256").token({"sub": "alice", "aud": "sts.amazonaws.com"})
PUT = ToolRequest(
    tool_name="put_file",
    provider=ProviderType.AWS,
    action="s3:PutObject",
    resource="arn:aws:s3:::acme-agents/agents/x/*",
    lease=LEASE,
)
OPERATION = "AssumeRoleWithWebIdentity"


def broker(endpoint: str, **changed: Any) -> AWSCredentialBroker:
    """Return a broker at NOW that waits a short time for answers, and none between attempts."""
    arguments: dict[str, Any] = {
        "role_arn_template": "arn:aws:iam::{account_id}:role/{tool_name}",
        "account_id": ACCOUNT,
        "source": "web_identity",
        "token": lambda _principal: Secret(TOKEN),
        "sts_endpoint": endpoint,
        "clock": lambda: NOW,
        "deadline": 5.0,
        "pause": lambda _most: None,
    }
    return AWSCredentialBroker(**(arguments | changed))


def request(**changed: Any) -> ToolRequest:
    """Return the request PUT with something changed."""
    fields = {name: getattr(PUT, name) for name in ToolRequest.__slots__}
    return ToolRequest(**(fields | changed))


def credential(session: str = NAME, **other: Any) -> list[Part]:
    """Return the answer to this operation."""
    return sts.credential(session, operation=OPERATION, **other)


def whole(text: str) -> list[Part]:
    """Return this text as an answer with status 200."""
    return answer(text.encode(), headers={"Content-Type": "text/xml"})


def body(**other: Any) -> str:
    """Return the text of a good answer."""
    (said,) = credential(**other)
    assert isinstance(said, bytes)
    return said.partition(b"\r\n\r\n")[2].decode()


def no_secret(error: BaseException) -> None:
    """Hold that neither the error nor what a traceback shows below it has a secret."""
    shown: BaseException | None = error
    while shown is not None:
        told = f"{shown} {shown!r} {getattr(shown, 'hint', '')}"
        for secret in (*list(KEYS.values())[1:], TOKEN, *TOKEN.split(".")):
            assert secret not in told
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)


# --- what is asked, and what comes of a good answer -----------------------------------------------


def test_what_is_asked_of_sts() -> None:
    """An unsigned POST: role, session name, token, session policy and seconds; and no more."""
    asked_for: list[Principal] = []

    def token(principal: Principal) -> Secret:
        asked_for.append(principal)
        return Secret(TOKEN)

    with Faulty([credential()]) as server:
        broker(server.url, token=token).vend_credential(ALICE, PUT)
        (came,) = server.requests
    form = parse_qs(came.body.decode())
    policy = form.pop("Policy")
    assert form == {
        "Action": [OPERATION],
        "Version": ["2011-06-15"],
        "RoleArn": [f"arn:aws:iam::{ACCOUNT}:role/put_file"],
        "RoleSessionName": [NAME],
        "WebIdentityToken": [TOKEN],
        "DurationSeconds": ["900"],
    }
    assert json.loads(policy[0])["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": "arn:aws:s3:::acme-agents/agents/x/*",
        }
    ]
    assert (came.method, came.target) == ("POST", "/")
    assert "authorization" not in came.headers
    assert asked_for == [ALICE]


def test_the_preview_is_what_is_sent() -> None:
    """`vend --dry-run` prints exactly what would be asked of the provider."""
    with Faulty([credential()]) as server:
        mint = broker(server.url, audience="aud")
        shown = mint.preview(ALICE, PUT)
        assert not server.requests
        mint.vend_credential(ALICE, PUT)
        sent = parse_qs(server.requests[0].body.decode())
    assert (shown.endpoint, shown.source, shown.audience) == (server.url, "web_identity", "aud")
    told = {name: [str(value)] for name, value in shown.parameters.items()}
    told |= {"Action": [shown.operation], "Version": ["2011-06-15"], "WebIdentityToken": [TOKEN]}
    assert told == sent
    assert TOKEN not in repr(shown)


def test_what_comes_back_is_boto3s_own_arguments_and_the_end() -> None:
    """The same credential as by AssumeRole."""
    with Faulty([credential()]) as server:
        made = broker(server.url, region="eu-west-1").vend_credential(ALICE, PUT)
    assert dict(made.credentials) == {
        "aws_access_key_id": KEYS["AccessKeyId"],
        "aws_secret_access_key": KEYS["SecretAccessKey"],
        "aws_session_token": KEYS["SessionToken"],
        "region_name": "eu-west-1",
    }
    assert made.expires_at == NOW + timedelta(seconds=900)
    assert made.credential_type == "aws_sts_session"


def test_a_time_may_have_fractions() -> None:
    """ISO 8601 in UTC, to the second or finer."""
    ends = (NOW + timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%S.250Z")
    with Faulty([credential(expires=ends)]) as server:
        made = broker(server.url).vend_credential(ALICE, PUT)
    assert made.expires_at == NOW + timedelta(seconds=60.25)


def test_neither_boto3_nor_botocore_is_imported() -> None:
    """Web identity at AWS is an unsigned form POST and needs no SDK."""
    program = """
import sys
from datetime import datetime
from agentauth_cli.model import Principal, ProviderType, ToolRequest
from agentauth_cli.outbound.aws import AWSCredentialBroker
from agentauth_cli.secret import Secret
made = AWSCredentialBroker(
    role_arn_template="arn:aws:iam::{account_id}:role/{tool_name}", account_id=sys.argv[2],
    source="web_identity", token=lambda _: Secret("made-up"), sts_endpoint=sys.argv[1],
    clock=lambda: datetime.fromisoformat(sys.argv[3]),
).vend_credential(
    Principal("corp/alice", "alice"),
    ToolRequest("put_file", ProviderType.AWS, "s3:PutObject", "arn:aws:s3:::b/*", lease="x"),
)
print(made.credential_type, sorted({name.partition(".")[0] for name in sys.modules}
      & {"boto3", "botocore", "urllib3"}))
"""
    with Faulty([credential(web_session_name(ALICE, "x"))]) as server:
        done = subprocess.run(
            [sys.executable, "-c", program, server.url, ACCOUNT, NOW.isoformat()],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "aws_sts_session []\n", done.stderr


def trusting(cloud: clouds.Cloud, role: str, audience: str) -> AWSCredentialBroker:
    """Make a role that trusts an issuer's tokens of this audience; return a broker for it."""
    provider = f"arn:aws:iam::{clouds.ACCOUNT}:oidc-provider/issuer.example"
    trust = {
        "Effect": "Allow",
        "Action": f"sts:{OPERATION}",
        "Principal": {"Federated": provider},
        "Condition": {"StringEquals": {"issuer.example:aud": audience}},
    }
    cloud.client("iam", clouds.ROOT).create_role(
        RoleName=role,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    claims = {"iss": "https://issuer.example", "aud": "sts.amazonaws.com", "sub": "alice"}
    return broker(
        cloud.url,
        account_id=clouds.ACCOUNT,
        token=lambda _principal: Secret(signer("ES256").token(claims)),
        clock=lambda: datetime.now(UTC),
        deadline=20.0,
    )


def test_the_emulator_understands_it(emulator: clouds.Cloud) -> None:
    """The shape is AWS's own: an emulator that other programs use grants it."""
    mint = trusting(emulator, "trusting_sts", "sts.amazonaws.com")
    made = mint.vend_credential(ALICE, request(tool_name="trusting_sts"))
    who = emulator.client("sts", made.credentials).get_caller_identity()["Arn"]
    assert who == f"arn:aws:sts::{clouds.ACCOUNT}:assumed-role/trusting_sts/{NAME}"


def test_the_emulator_refuses_another_audience(emulator: clouds.Cloud) -> None:
    """A role whose trust policy names another audience is exit 8, and the hint says where."""
    mint = trusting(emulator, "trusting_other", "other.example")
    with pytest.raises(ProviderRefusedError) as caught:
        mint.vend_credential(ALICE, request(tool_name="trusting_other"))
    assert caught.value.code == "AccessDenied"
    assert "trust policy of trusting_other" in caught.value.hint


# --- the session's name ---------------------------------------------------------------------------

leases = st.text(min_size=1, max_size=80) | st.from_regex(r"L[0-9a-f]{16}", fullmatch=True)


@given(st.text(min_size=1, max_size=300), leases | st.none())
def test_a_session_name_is_one_that_aws_takes(subject: str, lease: str | None) -> None:
    """2 to 64 of AWS's characters, with the principal's hash and the lease, both whole."""
    name = web_session_name(Principal(f"corp/{subject}", "x"), lease)
    assert 2 <= len(name) <= 64
    assert name.isascii()
    assert all(char.isalnum() or char in "_+=,.@-" for char in name)


@given(st.text(max_size=90), st.text(max_size=90))
def test_no_two_principals_share_a_session_name(one: str, other: str) -> None:
    """Session tags cannot be sent, so the name alone tells principals apart."""
    names = {web_session_name(Principal(f"corp/{who}", "x"), LEASE) for who in (one, other)}
    assert len(names) == len({one, other})


def test_a_session_name_says_who_and_which_lease() -> None:
    """The session name carries principal hash and lease."""
    assert f"corp-alice-c8c55b55df90d9cb-{LEASE}" == NAME
    long = web_session_name(Principal("corp/" + "x" * 90, "x"), LEASE)
    assert len(long) == 64
    assert long.endswith(f"-{LEASE}")


# --- answers that are not to be believed ----------------------------------------------------------

GOOD = body()
NAMESPACE = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
TWELVE = NOW + timedelta(hours=12)
BAD = {
    "a page with status 200": html(),
    "no body": answer(),
    "JSON": answer(b"{}"),
    "XML cut short": whole(GOOD[:-20]),
    "the answer to another call": sts.credential(NAME),
    "an error with status 200": whole(f"<ErrorResponse {NAMESPACE}><Error/></ErrorResponse>"),
    "no result": whole(f"<{OPERATION}Response {NAMESPACE}><A>1</A></{OPERATION}Response>"),
    "a result of text": whole(
        f"<{OPERATION}Response {NAMESPACE}><{OPERATION}Result>1</{OPERATION}Result>"
        f"</{OPERATION}Response>"
    ),
    "no namespace": whole(GOOD.replace(NAMESPACE, "")),
    "another namespace": whole(GOOD.replace("2011-06-15/", "2012-06-15/")),
    "an entity": whole('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + GOOD),
    "an instruction": whole("<?php ?>" + GOOD),
    "nothing in the result": credential(without="Credentials"),
    "nobody in the result": credential(without="AssumedRoleUser"),
    "no Arn": credential(without="Arn"),
    "no access key": credential(without="AccessKeyId"),
    "no secret key": credential(without="SecretAccessKey"),
    "no token": credential(without="SessionToken"),
    "no end": credential(without="Expiration"),
    "an empty token": credential(SessionToken=""),
    "elements in the token": credential(SessionToken="<A>1</A>"),
    "a line end in the token": credential(SessionToken="one&#10;two"),
    "a nul in the token": credential(SessionToken="one\0two"),
    "a control character in the token": credential(SessionToken="one\x1btwo"),
    "a space in the key": credential(AccessKeyId="one two"),
    "a letter beyond ASCII": credential(SessionToken="sécret"),
    "two credentials": credential(twice="Credentials"),
    "two tokens": credential(twice="SessionToken"),
    "two ends": credential(twice="Expiration"),
    "expired": credential(seconds=-1),
    "ends now": credential(seconds=0),
    "twelve hours": credential(seconds=43_200),
    "a minute and a second more": credential(seconds=961),
    "a time without a zone": credential(expires="2030-05-17T09:40:00"),
    "a time of another zone": credential(expires="2030-05-17T11:40:00+02:00"),
    "no time": credential(expires="soon"),
    "a number": credential(expires=str(int(NOW.timestamp()) + 900)),
    "a day that there is not": credential(expires="2030-02-30T09:40:00Z"),
    "another account": credential(account="222222222222"),
    "another role": credential(role="admin"),
    "another session": credential("somebody-else"),
    "another kind of Arn": credential(arn=f"arn:aws:iam::{ACCOUNT}:role/put_file"),
    "a redirect": redirect("http://169.254.169.254/"),
    "a body cut short": cut(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<Assume"),
    "no HTTP": cut(b"\x16\x03\x01 what\r\n\r\n"),
    "a claim of 4 GiB": endless(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n", b"x" * 999
    ),
    "more than 1 MiB": whole(GOOD + " " * (1 << 20)),
    "no end of it": endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 9999),
}


@pytest.mark.parametrize("said", BAD.values(), ids=BAD.keys())
def test_an_answer_that_is_not_in_order_is_refused(said: Any) -> None:
    """Anything else is exit 8, at the first attempt; nothing of the answer is in the message."""
    with Faulty([said]) as server, pytest.raises(ProviderAnswerError) as caught:
        broker(server.url).vend_credential(ALICE, PUT)
    assert caught.value.exit_code == 8
    assert len(server.requests) == 1
    no_secret(caught.value)


UNANSWERED = {
    "silence": silence(),
    "a byte every now and then": dribble(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500, 0.1),
    "hung up": cut(),
}


@pytest.mark.parametrize("said", UNANSWERED.values(), ids=UNANSWERED.keys())
def test_no_answer_before_the_deadline_is_unreachable(said: Any) -> None:
    """One deadline over the whole call, not only between bytes."""
    with Faulty([said]) as server, pytest.raises(ProviderUnreachableError) as caught:
        broker(server.url, deadline=0.4).vend_credential(ALICE, PUT)
    no_secret(caught.value)


def test_nobody_listening_is_unreachable() -> None:
    """A refused connection is exit 8 and names host and port."""
    port = refused_port()
    with pytest.raises(ProviderUnreachableError, match=f"127.0.0.1:{port}"):
        broker(f"http://127.0.0.1:{port}").vend_credential(ALICE, PUT)


# --- refusals -------------------------------------------------------------------------------------

REFUSALS = [
    ("AccessDenied", 403, 1),
    ("ValidationError", 400, 1),
    ("PackedPolicyTooLarge", 400, 1),
    ("InvalidIdentityToken", 400, 1),
    ("IDPCommunicationError", 400, 3),
    ("Throttling", 400, 3),
    ("Slow", 429, 3),
    ("RequestLimitExceeded", 503, 3),
    ("InternalFailure", 500, 3),
]


@pytest.mark.parametrize(("code", "status", "attempts"), REFUSALS)
def test_a_refusal_has_the_providers_code_and_request_id(
    code: str, status: int, attempts: int
) -> None:
    """What AWS refuses is exit 8, with code, words and request id; retries are bounded."""
    with (
        Faulty([error(code, "no, not now", status)]) as server,
        pytest.raises(ProviderRefusedError) as caught,
    ):
        broker(server.url).vend_credential(ALICE, PUT)
    assert (caught.value.code, caught.value.request_id) == (code, REQUEST_ID)
    assert all(word in caught.value.message for word in (code, "no, not now", REQUEST_ID))
    assert len(server.requests) == attempts


@pytest.mark.parametrize(
    "said", [b"", b"upstream connect error", b"<html/>", f"<ErrorResponse {NAMESPACE}/>".encode()]
)
def test_a_refusal_without_a_reason_says_its_status(said: bytes) -> None:
    """An error that is none of AWS is named by its status, and not quoted."""
    with (
        Faulty([answer(said, 502)]) as server,
        pytest.raises(ProviderRefusedError, match="no code: status 502, without a reason"),
    ):
        broker(server.url).vend_credential(ALICE, PUT)
    assert len(server.requests) == 3


def test_a_fault_of_the_provider_that_passes_is_tried_again() -> None:
    """The first answer that is in order ends it."""
    with Faulty([error("InternalFailure", "oops", 500), credential()]) as server:
        broker(server.url).vend_credential(ALICE, PUT)
        assert len(server.requests) == 2


def test_a_provider_never_sets_how_long_we_wait() -> None:
    """A 503 with Retry-After: 86400 never makes us sleep so long."""
    waited: list[float] = []
    said = error("Throttling", "slow", 503, Retry_After="86400", x_amz_retry_after="86400000")
    with Faulty([said]) as server, pytest.raises(ProviderRefusedError):
        broker(server.url, pause=waited.append).vend_credential(ALICE, PUT)
    assert waited == [1.0, 2.0]


def test_no_wait_goes_beyond_the_deadline() -> None:
    """Bounded retries inside one deadline: what would end after it is not begun."""
    waited: list[float] = []
    said = error("Throttling", "slow", 503)
    with Faulty([said]) as server, pytest.raises(ProviderRefusedError):
        broker(server.url, pause=waited.append, deadline=0.9).vend_credential(ALICE, PUT)
    assert (waited, len(server.requests)) == ([], 1)


def test_the_attempts_share_one_deadline() -> None:
    """One deadline over the whole call, all attempts together."""
    slow = [0.8, *error("InternalFailure", "oops", 500)]
    with Faulty([slow]) as server, pytest.raises(ProviderUnreachableError, match=r"within 2 s"):
        broker(
            server.url, deadline=2.0, pause=lambda _most: server._stop.wait(0.9)
        ).vend_credential(ALICE, PUT)


def test_the_wait_is_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jitter: some part of the seconds, another one each time."""
    waited: list[float] = []
    monkeypatch.setattr("agentauth_cli.outbound.attempts.time.sleep", waited.append)
    for _ in range(50):
        attempts.jittered(2.0)
    assert all(0 <= one <= 2 for one in waited)
    assert len(set(waited)) > 10


@pytest.mark.parametrize("code", ["ExpiredTokenException", "IDPRejectedClaim"])
def test_a_token_that_is_refused_is_no_source(code: str) -> None:
    """What a new token mends is exit 4, and the hint says so."""
    with (
        Faulty([error(code, "the token", 400)]) as server,
        pytest.raises(SourceCredentialError, match=code) as caught,
    ):
        broker(server.url).vend_credential(ALICE, PUT)
    assert caught.value.exit_code == 4
    assert caught.value.hint.startswith("Get a new token")


def test_a_token_with_an_azp_is_for_that_audience_at_aws() -> None:
    """What AWS compares is not always the token's `aud`: the hint says so."""
    said = error("InvalidIdentityToken", "Incorrect token audience", 400)
    with Faulty([said]) as server, pytest.raises(ProviderRefusedError) as caught:
        broker(server.url, audience="sts.example").vend_credential(ALICE, PUT)
    assert "audience sts.example" in caught.value.hint
    assert "`azp`" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDenied", ("trust policy of put_file", f"sts:{OPERATION}", "audience sts.example")),
        ("InvalidIdentityToken", ("OIDC provider", "audience sts.example")),
    ],
)
def test_a_refusal_says_what_to_look_at(code: str, words: tuple[str, ...]) -> None:
    """A hint naming the role's trust policy, or IAM's provider, and the audience."""
    with (
        Faulty([error(code, "no", 403)]) as server,
        pytest.raises(ProviderRefusedError) as caught,
    ):
        broker(server.url, audience="sts.example").vend_credential(ALICE, PUT)
    assert all(word in caught.value.hint for word in words)


def test_text_from_the_provider_is_shown_escaped_redacted_and_short() -> None:
    """Text from the provider is shown only escaped, redacted and cut; the token never."""
    payload = TOKEN.split(".")[1]
    text = f"{TOKEN} {payload} sk-{'a' * 30} &#9;x" + "y" * 400
    for said in (error("Strange", text, 400), error(text, "x", 400)):
        with Faulty([said]) as server, pytest.raises(ProviderRefusedError) as caught:
            broker(server.url).vend_credential(ALICE, PUT)
        assert caught.value.message.isprintable()
        assert "•••• •••• ••••" in caught.value.message
        assert "y" * 200 not in caught.value.message
        no_secret(caught.value)


# --- requests that are refused before any call ----------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"max_duration": 899}, UsageError),
        ({"provider": ProviderType.GCP}, UsageError),
        ({"tool_name": "a/b"}, ConfigError),
        ({"resource": "arn:aws:s3:::b/" + "x" * 2048}, ConfigError),
    ],
)
def test_what_cannot_be_minted_asks_for_no_token(
    changed: dict[str, Any], expected: type[AgentAuthError]
) -> None:
    """Too short, no role, too large: an error before any call, also before that for the token."""

    def token(_principal: Principal) -> Secret:
        raise AssertionError("asked for a token")

    mint = broker("http://127.0.0.1:1", token=token)
    for ask in (mint.vend_credential, mint.preview):
        with pytest.raises(expected):
            ask(ALICE, request(**changed))


def test_web_identity_needs_a_token() -> None:
    """A source without its token cannot be meant; a token is asked for with that source alone."""
    with pytest.raises(ConfigError, match="web_identity needs"):
        broker("http://127.0.0.1:1", token=None)
    other = broker("http://127.0.0.1:1", source="profile:work").preview(ALICE, PUT)
    assert (other.operation, other.audience) == ("AssumeRole", None)
