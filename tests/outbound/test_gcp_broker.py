"""What Google is asked for, over real HTTP, and which answers are believed."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote

import pytest
from google.auth import identity_pool
from google.oauth2 import sts as google_sts

from agentauth_cli.errors import (
    AgentAuthError,
    ConfigError,
    ProviderAnswerError,
    ProviderRefusedError,
    ProviderUnreachableError,
    SourceCredentialError,
    UsageError,
)
from agentauth_cli.model import Grant, Lease, Principal, ProviderType
from agentauth_cli.outbound.gcp_boundary import boundary
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
from support.gcp import (
    ACCOUNT,
    ALICE,
    FEDERATED,
    GRANT,
    MINT,
    NARROW,
    NOW,
    PROVIDER,
    READ,
    TOKEN,
    TYPE,
    VIEWER,
    WHOLE,
    broker,
    denied,
    exchanged,
    good,
    minted,
    no_secret,
    refused,
    request,
    said,
)

if TYPE_CHECKING:
    from agentauth_cli.secret import Secret

# --- what is asked, and what comes of good answers ------------------------------------------------


def test_what_is_asked_of_google() -> None:
    """An exchange, an impersonation, and an exchange for a narrowed token; and no more."""
    with Faulty(good()) as server:
        broker(server.url).vend_credential(ALICE, READ)
        first, second, third = server.requests
    assert (first.method, first.target) == ("POST", "/v1/token")
    assert "authorization" not in first.headers
    assert parse_qs(first.body.decode()) == {
        "grant_type": [GRANT],
        "audience": [PROVIDER],
        "scope": ["https://www.googleapis.com/auth/iam"],
        "requested_token_type": [f"{TYPE}access_token"],
        "subject_token_type": [f"{TYPE}jwt"],
        "subject_token": [TOKEN],
    }
    assert (second.method, second.target) == ("POST", MINT)
    assert second.headers["authorization"] == f"Bearer {FEDERATED}"
    assert second.headers["content-type"] == "application/json"
    assert json.loads(second.body) == {
        "scope": ["https://www.googleapis.com/auth/cloud-platform"],
        "lifetime": "900s",
    }
    assert (third.method, third.target) == ("POST", "/v1/token")
    assert "authorization" not in third.headers
    form = parse_qs(third.body.decode())
    options = json.loads(unquote(form.pop("options")[0]))
    assert options == boundary([Grant((), (VIEWER,), "gs://acme-data/public/*")])
    assert form == {
        "grant_type": [GRANT],
        "requested_token_type": [f"{TYPE}access_token"],
        "subject_token_type": [f"{TYPE}access_token"],
        "subject_token": [WHOLE],
    }


class Sent:
    """A transport of google-auth's own that notes what it is given, and answers as scripted."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.forms: list[Any] = []

    def __call__(self, url: str, body: bytes, **_: Any) -> Any:
        """Return the next answer."""
        text = body.decode()
        self.forms.append(json.loads(text) if url.endswith("Token") else parse_qs(text))
        status, data = 200, json.dumps(self.answers.pop(0)).encode()
        return type("Response", (), {"status": status, "data": data, "headers": {}})


class Supplier(identity_pool.SubjectTokenSupplier):
    """The token that google-auth exchanges."""

    def get_subject_token(self, _context: object, _request: object) -> str:
        """Return it."""
        return TOKEN


def test_google_auth_would_ask_the_same() -> None:
    """google-auth's own calls have the same fields with the same values."""
    answers: list[dict[str, Any]] = [
        {"access_token": FEDERATED, "expires_in": 900},
        {"accessToken": WHOLE, "expireTime": "2030-05-17T09:45:00Z"},
        {"access_token": NARROW},
    ]
    sent = Sent(*answers)
    pool, sts = cast("Any", identity_pool), cast("Any", google_sts)  # untyped
    pool.Credentials(
        audience=PROVIDER,
        subject_token_type=f"{TYPE}jwt",
        subject_token_supplier=Supplier(),
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
        service_account_impersonation_url=f"https://iamcredentials.googleapis.com{MINT}",
        service_account_impersonation_options={"token_lifetime_seconds": 900},
    ).refresh(sent)
    sts.Client("https://sts.googleapis.com/v1/token").exchange_token(
        sent,
        grant_type=GRANT,
        subject_token=WHOLE,
        subject_token_type=f"{TYPE}access_token",
        requested_token_type=f"{TYPE}access_token",
        additional_options=boundary([Grant((), (VIEWER,), "gs://acme-data/public/*")]),
    )
    with Faulty(good()) as server:
        broker(server.url).vend_credential(ALICE, READ)
        first, second, third = (one.body.decode() for one in server.requests)
    ours: list[Any] = [parse_qs(first), json.loads(second), parse_qs(third)]
    for forms in (ours, sent.forms):
        forms[2]["options"] = json.loads(unquote(forms[2]["options"][0]))
    assert sent.forms[1].pop("delegates") is None
    assert ours == sent.forms


def test_principal_and_lease_are_in_googles_audit_log() -> None:
    """The reason of the minting says principal, tool and lease; no other call has one."""
    with Faulty(good()) as server:
        broker(server.url).vend_credential(ALICE, READ)
        reasons = [one.headers.get("x-goog-request-reason") for one in server.requests]
    wanted = "agentauth principal=okta/alice tool=gcs_read lease=L0123456789abcdef"
    assert reasons == [None, wanted, None]


def test_the_preview_is_what_is_sent() -> None:
    """`vend --dry-run` prints exactly what would be asked of the provider."""
    with Faulty(good()) as server:
        mint = broker(server.url)
        shown = mint.preview(ALICE, READ)
        assert not server.requests
        mint.vend_credential(ALICE, READ)
        first, second, third = server.requests
    told = dict(shown.parameters)
    before, after = told.pop("before"), told.pop("after")
    url = f"{server.url}/v1/token"
    sent = {name: value for name, (value,) in parse_qs(first.body.decode()).items()}
    sent.pop("subject_token")
    assert before == {"url": url, **sent}
    assert shown.endpoint == f"{server.url}{MINT}"
    assert told.pop("name") == f"projects/-/serviceAccounts/{ACCOUNT}"
    assert told.pop("x-goog-request-reason") == second.headers["x-goog-request-reason"]
    assert told == json.loads(second.body)
    options = json.loads(unquote(parse_qs(third.body.decode())["options"][0]))
    assert after == {"url": url, "options": options}
    assert (shown.source, shown.audience) == ("web_identity", f"https:{PROVIDER}")
    assert TOKEN not in repr(shown)
    assert any("revoked" in one for one in shown.unenforced)


def test_the_preview_says_what_google_does_not_hold() -> None:
    """Of a whole bucket also the bucket itself; of a prefix no more than of any token."""
    mint = broker("http://127.0.0.1:1")
    usual = mint.preview(ALICE, READ).unenforced
    assert mint.preview(ALICE, request(resource="gs://acme-data/*")).unenforced == (
        "objects alone: in a whole bucket the roles also hold for the bucket itself",
        *usual,
    )
    assert any("Google logs principal and lease" in one for one in usual)


def test_what_comes_back_is_a_token_and_its_project() -> None:
    """`access_token` and `project`, until the end that Google says."""
    with Faulty(good()) as server:
        made = broker(server.url).vend_credential(ALICE, READ)
    assert dict(made.credentials) == {"access_token": NARROW, "project": "acme-dev"}
    assert made.expires_at == NOW + timedelta(seconds=900)
    assert (made.credential_type, made.credential_id) == ("gcp_access_token", ACCOUNT)
    assert json.loads(made.narrowed) == boundary(READ.narrowed)


@pytest.mark.parametrize(("lives", "end"), [(899, 899), (960, 900)])
def test_a_narrowed_token_ends_with_the_one_it_was_made_of(lives: int, end: int) -> None:
    """The earlier end of the two holds."""
    with Faulty([exchanged(), minted(), exchanged(NARROW, expires_in=lives)]) as server:
        made = broker(server.url).vend_credential(ALICE, READ)
    assert made.expires_at == NOW + timedelta(seconds=end)


def test_a_time_may_have_fractions() -> None:
    """RFC 3339 in UTC, to the nanosecond."""
    ends = "2030-05-17T09:31:00.123456789Z"
    with Faulty([exchanged(), minted(expireTime=ends), exchanged(NARROW)]) as server:
        made = broker(server.url).vend_credential(ALICE, READ)
    assert made.expires_at == NOW + timedelta(seconds=60, microseconds=123456)


def test_scopes_are_the_tools() -> None:
    """`oauth_scopes` take the place of cloud-platform where scopes alone narrow."""
    scope = "https://www.googleapis.com/auth/pubsub"
    wide = request(resource="//pubsub.googleapis.com/x", unnarrowed=True, oauth_scopes=(scope,))
    with Faulty([exchanged(), minted()]) as server:
        made = broker(server.url).vend_credential(ALICE, wide)
        assert json.loads(server.requests[1].body)["scope"] == [scope]
    assert made.narrowed == scope


AUTH = "https://www.googleapis.com/auth/"
READ_ONLY, READ_WRITE = f"{AUTH}devstorage.read_only", f"{AUTH}devstorage.read_write"
ROLE = "inRole:roles/storage."


@pytest.mark.parametrize(
    ("scopes", "roles"),
    [
        ((READ_ONLY,), ("objectViewer",)),
        ((READ_WRITE,), ("objectViewer", "objectUser")),
        ((f"{AUTH}cloud-platform", READ_ONLY), ("objectAdmin",)),
        ((), ("objectAdmin",)),
    ],
)
def test_a_boundary_takes_a_token_of_cloud_platform(
    scopes: tuple[str, ...], roles: tuple[str, ...]
) -> None:
    """Google narrows no other; the roles are what holds, so they have to lie within the scopes."""
    grants = (Grant((), tuple(ROLE + one for one in roles), "gs://acme-data/x"),)
    with Faulty(good()) as server:
        wanted = request(grants=grants, oauth_scopes=scopes)
        broker(server.url).vend_credential(ALICE, wanted)
        assert json.loads(server.requests[1].body)["scope"] == [f"{AUTH}cloud-platform"]


@pytest.mark.parametrize(
    ("scopes", "role"),
    [
        ((READ_ONLY,), f"{ROLE}objectCreator"),
        ((READ_WRITE,), f"{ROLE}objectAdmin"),
        ((READ_ONLY,), "inRole:projects/acme-dev/roles/own"),
        ((f"{AUTH}pubsub",), f"{ROLE}objectViewer"),
    ],
)
def test_scopes_that_would_be_passed_over_are_refused(scopes: tuple[str, ...], role: str) -> None:
    """A role that may do more than the scopes is an error before any call."""
    grants = (Grant((), (role,), "gs://acme-data/x"),)
    with pytest.raises(ConfigError, match="may do more than the tool's `oauth_scopes`"):
        broker("http://127.0.0.1:1").preview(ALICE, request(grants=grants, oauth_scopes=scopes))


def test_outside_cloud_storage_scopes_alone_narrow() -> None:
    """With `unnarrowed` no boundary is asked for, and the preview says what is not enforced."""
    wide = request(resource="//pubsub.googleapis.com/projects/acme-dev", unnarrowed=True)
    with Faulty([exchanged(), minted()]) as server:
        mint = broker(server.url)
        made = mint.vend_credential(ALICE, wide)
        assert len(server.requests) == 2
    assert made.credentials["access_token"] == WHOLE
    assert made.narrowed == "https://www.googleapis.com/auth/cloud-platform"
    shown = mint.preview(ALICE, wide)
    assert "after" not in shown.parameters
    assert "which resources" in shown.unenforced[0]


def test_what_can_be_narrowed_is_narrowed_all_the_same() -> None:
    """`unnarrowed` takes the boundary from nothing in Cloud Storage."""
    with Faulty(good()) as server:
        made = broker(server.url).vend_credential(ALICE, request(unnarrowed=True))
    assert made.credentials["access_token"] == NARROW


def test_a_token_cannot_be_revoked_alone() -> None:
    """Google has no way for one token."""
    lease = Lease("L1", "okta/alice", "gcs_read", "gcp", "dev", "gs://acme-data/x", NOW, NOW)
    revoked = broker("http://127.0.0.1:1").revoke(lease)
    assert revoked.outcome == "cannot be revoked alone"
    assert revoked.lives_on


def test_no_sdk_is_imported() -> None:
    """The calls are forms and an object: google-auth has no part in them."""
    program = """
import sys
from datetime import datetime
from agentauth_cli.model import Principal, ProviderType, ToolRequest
from agentauth_cli.outbound.gcp import GCPCredentialBroker
from agentauth_cli.secret import Secret
url, provider, now = sys.argv[1:]
made = GCPCredentialBroker(
    project="acme-dev", service_account_template="{tool_id}@{project}.iam.gserviceaccount.com",
    source="web_identity", workload_identity_provider=provider, token=lambda _: Secret("made-up"),
    sts_endpoint=url, iam_credentials_endpoint=url, clock=lambda: datetime.fromisoformat(now),
).vend_credential(
    Principal("okta/alice", "alice"),
    ToolRequest("gcs_read", ProviderType.GCP, "inRole:roles/storage.objectViewer", "gs://acme/x"),
)
print(made.credential_type, sorted({name.partition(".")[0] for name in sys.modules}
      & {"google", "requests", "urllib3", "jwt", "cryptography"}))
"""
    with Faulty(good()) as server:
        done = subprocess.run(
            [sys.executable, "-c", program, server.url, PROVIDER, NOW.isoformat()],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "gcp_access_token []\n", done.stderr


# --- answers that are not to be believed ----------------------------------------------------------

ODD: dict[str, Any] = {
    "a page with status 200": html(),
    "no body": answer(),
    "JSON that is no object": said([1]),
    "JSON cut short": answer(b'{"access_token": "x'),
    "a byte-order mark": answer(b"\xef\xbb\xbf{}"),
    "an empty object": said({}),
    "a redirect": redirect("http://169.254.169.254/"),
    "a body cut short": cut(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
    "no HTTP": cut(b"\x16\x03\x01 what\r\n\r\n"),
    "a claim of 4 GiB": endless(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n", b"x" * 999
    ),
    "more than 1 MiB": answer(b'{"a": "' + b"x" * (1 << 20) + b'"}'),
}
OAUTH: dict[str, Any] = {
    "no token": exchanged(without="access_token"),
    "an empty token": exchanged(""),
    "a number for a token": exchanged(access_token=1),
    "a line end in the token": exchanged("one\ntwo"),
    "a nul in the token": exchanged("one\0two"),
    "a space in the token": exchanged("one two"),
    "a letter beyond ASCII": exchanged("gehëim"),
    "no lifetime": exchanged(without="expires_in"),
    "a lifetime of text": exchanged(expires_in="900"),
    "a lifetime with a fraction": exchanged(expires_in=900.5),
    "a lifetime of true": exchanged(expires_in=True),
    "no time left": exchanged(expires_in=0),
    "a lifetime below 0": exchanged(expires_in=-900),
    "NaN": answer(b'{"access_token": "x", "token_type": "Bearer", "expires_in": NaN}'),
    "two tokens": answer(b'{"access_token": "x", "access_token": "y", "token_type": "Bearer"}'),
    "another kind of token": exchanged(issued_token_type=f"{TYPE}id_token"),
    "another use": exchanged(token_type="mac"),
    "no use": exchanged(without="token_type"),
}
MINTED: dict[str, Any] = {
    "no account's token": minted(accessToken=None),
    "a control character": minted(accessToken="one\x1btwo"),
    "no end": minted(expireTime=None),
    "a number for an end": minted(expireTime=1905240600),
    "an end without a zone": minted(expireTime="2030-05-17T09:45:00"),
    "an end of another zone": minted(expireTime="2030-05-17T11:45:00+02:00"),
    "a day that there is not": minted(expireTime="2030-02-30T09:45:00Z"),
    "expired": minted(-1),
    "ends now": minted(0),
    "twelve hours": minted(43_200),
    "a minute and a second more": minted(961),
}
NARROWED: dict[str, Any] = {
    "the whole token": exchanged(WHOLE),
    "a minute and a second longer": exchanged(NARROW, expires_in=961),
    "for ever": exchanged(NARROW, expires_in=10**30),
}
ROWS = [
    *((name, [one]) for name, one in (ODD | OAUTH).items()),
    *((name, [exchanged(), one]) for name, one in (ODD | MINTED).items()),
    *((name, [exchanged(), minted(), one]) for name, one in (ODD | OAUTH | NARROWED).items()),
]


@pytest.mark.parametrize("script", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_an_answer_that_is_not_in_order_is_refused(script: list[Any]) -> None:
    """Anything else is exit 8, of whichever call; nothing of the answer is in the message."""
    with Faulty(list(script)) as server, pytest.raises(ProviderAnswerError) as caught:
        broker(server.url).vend_credential(ALICE, READ)
    assert caught.value.exit_code == 8
    assert len(server.requests) == len(script)
    no_secret(caught.value)


UNANSWERED = {
    "silence": silence(),
    "a byte every now and then": dribble(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500, 0.1),
    "hung up": cut(),
}


@pytest.mark.parametrize("before", [[], [exchanged()], [exchanged(), minted()]])
@pytest.mark.parametrize("said", UNANSWERED.values(), ids=UNANSWERED.keys())
def test_no_answer_before_the_deadline_is_unreachable(said: Any, before: list[Any]) -> None:
    """One deadline over all calls of a mint, not only between bytes."""
    with Faulty([*before, said]) as server, pytest.raises(ProviderUnreachableError) as caught:
        broker(server.url, deadline=0.4).vend_credential(ALICE, READ)
    no_secret(caught.value)


def test_nobody_listening_is_unreachable() -> None:
    """A refused connection is exit 8 and names host and port."""
    port = refused_port()
    with pytest.raises(ProviderUnreachableError, match=f"127.0.0.1:{port}"):
        broker(f"http://127.0.0.1:{port}").vend_credential(ALICE, READ)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "kind", "code", "hint"),
    [
        ([denied("invalid_grant", "no")], SourceCredentialError, None, "Get a new token"),
        ([denied("invalid_target", "no")], ProviderRefusedError, "invalid_target", "workload_id"),
        ([denied("unauthorized_client", "no")], ProviderRefusedError, "unauth", "attribute cond"),
        ([exchanged(), refused(401, "UNAUTHENTICATED", "no")], SourceCredentialError, None, "Get"),
        (
            [exchanged(), refused(403, "PERMISSION_DENIED", "no")],
            ProviderRefusedError,
            "PERMISSION_DENIED",
            "roles/iam.serviceAccountTokenCreator",
        ),
        (
            [exchanged(), refused(404, "NOT_FOUND", "no")],
            ProviderRefusedError,
            "NOT_FOUND",
            "service_account_template",
        ),
        (
            [exchanged(), minted(), denied("invalid_request", "no")],
            ProviderRefusedError,
            "invalid_request",
            "",
        ),
    ],
)
def test_a_refusal_has_googles_code_and_what_it_means(
    script: list[Any], kind: type[AgentAuthError], code: str | None, hint: str
) -> None:
    """What Google refuses has its code and words, and a hint where one is known; asked once."""
    with Faulty(list(script)) as server, pytest.raises(kind) as caught:
        broker(server.url).vend_credential(ALICE, READ)
    assert isinstance(caught.value, AgentAuthError)
    assert caught.value.message.endswith(": no")
    assert hint in caught.value.hint
    assert len(server.requests) == len(script)
    if isinstance(caught.value, ProviderRefusedError):
        assert code is not None
        assert caught.value.code.startswith(code)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_passes_is_tried_three_times(status: int) -> None:
    """Bounded attempts, each waiting longer, and never as long as the provider says."""
    waited: list[float] = []
    busy = answer(b"", status, {"Retry-After": "86400"})
    with (
        Faulty([busy]) as server,
        pytest.raises(ProviderRefusedError, match=f"no code: status {status}, without a reason"),
    ):
        broker(server.url, pause=waited.append).vend_credential(ALICE, READ)
    assert (len(server.requests), waited) == (3, [1.0, 2.0])


def test_each_call_is_tried_again() -> None:
    """A fault that passes by itself ends nothing, in whichever call it comes."""
    busy = refused(503, "UNAVAILABLE", "busy")
    with Faulty([busy, exchanged(), busy, minted(), busy, exchanged(NARROW)]) as server:
        made = broker(server.url).vend_credential(ALICE, READ)
    assert made.credentials["access_token"] == NARROW


def test_no_wait_goes_beyond_the_deadline() -> None:
    """What would end after the deadline is not begun."""
    waited: list[float] = []
    with Faulty([answer(b"", 503)]) as server, pytest.raises(ProviderRefusedError):
        broker(server.url, pause=waited.append, deadline=0.9).vend_credential(ALICE, READ)
    assert (waited, len(server.requests)) == ([], 1)


@pytest.mark.parametrize("body", [b"", b"<html/>", b"[]", b'{"error": 1}', b'{"error": {}}'])
def test_a_refusal_without_a_reason_says_its_status(body: bytes) -> None:
    """An error that is none of Google's is named by its status, and not quoted."""
    with (
        Faulty([answer(body, 400)]) as server,
        pytest.raises(ProviderRefusedError, match="no code: status 400, without a reason"),
    ):
        broker(server.url).vend_credential(ALICE, READ)


@pytest.mark.parametrize(
    ("before", "secret"),
    [([], TOKEN), ([exchanged()], FEDERATED), ([exchanged(), minted()], WHOLE)],
)
def test_text_from_google_is_shown_escaped_redacted_and_short(
    before: list[Any], secret: str
) -> None:
    """Text from the provider is shown only escaped, redacted and cut; a token never."""
    words = f"{secret} ya29.{'a' * 30} \x1b[31m" + "y" * 400
    for script in ([*before, denied("odd", words)], [*before, denied(words, "x")]):
        with Faulty(script) as server, pytest.raises(ProviderRefusedError) as caught:
            broker(server.url).vend_credential(ALICE, READ)
        assert caught.value.message.isprintable()
        assert "•••• ••••" in caught.value.message
        assert "y" * 200 not in caught.value.message
        no_secret(caught.value)


# --- requests that are refused before any call ----------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"max_duration": 3601}, UsageError),
        ({"max_duration": 0}, UsageError),
        ({"provider": ProviderType.AWS}, UsageError),
        ({"resource": "//pubsub.googleapis.com/projects/x"}, ConfigError),
        ({"resource": "gs://*", "unnarrowed": True}, ConfigError),
        ({"action": "storage.objects.get"}, ConfigError),
        ({"oauth_scopes": ("a b",)}, ConfigError),
        ({"service_account": "alice@example.com"}, ConfigError),
        (
            {
                "grants": (
                    Grant((), (VIEWER,), "gs://acme-data/x"),
                    Grant((), (VIEWER,), "//pubsub.googleapis.com/projects/x"),
                ),
                "unnarrowed": True,
            },
            ConfigError,
        ),
    ],
)
def test_what_cannot_be_minted_asks_for_no_token(
    changed: dict[str, Any], expected: type[AgentAuthError]
) -> None:
    """Too long, not to be narrowed, no account: an error before any call, also that for a token."""

    def token(_principal: Principal) -> Secret:
        raise AssertionError("asked for a token")

    mint = broker("http://127.0.0.1:1", token=token)
    for ask in (mint.vend_credential, mint.preview):
        with pytest.raises(expected):
            ask(ALICE, request(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "profile:x"},
        {"token": None},
        {"workload_identity_provider": None},
        {"workload_identity_provider": "https://iam.googleapis.com/projects/1"},
        {"workload_identity_provider": "//iam.googleapis.com/a b"},
        {"service_account_template": "{tool_name}"},
    ],
)
def test_a_broker_that_cannot_be_meant_is_refused(changed: dict[str, Any]) -> None:
    """An unknown source, or web identity without token or provider, is an error at once."""
    with pytest.raises(ConfigError):
        broker("http://127.0.0.1:1", **changed)


def test_a_token_that_cannot_be_had_ends_it() -> None:
    """Where the principal has no token, Google is not asked."""

    def token(_principal: Principal) -> Secret:
        raise SourceCredentialError("none")

    with Faulty(good()) as server:
        with pytest.raises(SourceCredentialError, match="none"):
            broker(server.url, token=token).vend_credential(ALICE, READ)
        assert not server.requests
