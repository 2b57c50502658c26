"""The Google broker against the strict fake of Google, used with google-auth."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import google.auth.transport.requests as transport
import pytest
from google.oauth2.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from agentauth_cli.errors import (
    ConfigError,
    ProviderAnswerError,
    ProviderRefusedError,
    ProviderUnreachableError,
    SourceCredentialError,
)
from agentauth_cli.model import Grant, Principal, ProviderType, ToolRequest
from agentauth_cli.outbound.gcp import GCPCredentialBroker
from agentauth_cli.outbound.gcp_boundary import as_json, boundary
from agentauth_cli.secret import Secret
from support.faulty import answer, cut, html, redirect, silence
from support.google import OAUTH, STS, Google
from support.google_boundary import CREATE, GET, LIST, rules
from support.google_tokens import Account, Provider
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentauth_cli.model import ProviderCredential

NOW = datetime(2030, 5, 17, 9, 30, tzinfo=UTC)
ISSUER = "https://acme.okta.test"
POOL = "//iam.googleapis.com/projects/111111111111/locations/global/workloadIdentityPools/agents"
PROVIDER = f"{POOL}/providers/okta"
ACCOUNT = "gcs-read@acme-dev.iam.gserviceaccount.com"
BUCKET = "acme-data"
ALICE = Principal("okta/alice", "alice")
BOB = "user:bob@acme.test"
USER = "inRole:roles/storage.objectUser"
OBJECTS = {"a": b"A", "a2": b"A2", "in/b": b"B", "in": b"IN", "out/c": b"C"}


@pytest.fixture(scope="module")
def running() -> Iterator[Google]:
    """Run one fake for all tests here."""
    with Google(keys={}) as started:
        yield started


@pytest.fixture
def google(running: Google) -> Google:
    """Return a fake whose pool lets alice, and whose directory lets bob, act as the tool."""
    running.clock = lambda: NOW
    running.keys = {ISSUER: [signer("ES256").jwk()]}
    running.providers = [Provider(PROVIDER, ISSUER)]
    running.accounts = {ACCOUNT: Account({f"principal:{POOL}/subject/alice", BOB})}
    held = {BUCKET: {"roles/storage.objectUser"}, "acme-other": {"roles/storage.objectUser"}}
    running.roles = {f"serviceAccount:{ACCOUNT}": held}
    running.signed_in = {"made-up-refresh": BOB}
    running.given, running.asked, running.instead = {}, [], {}
    running.exchanged, running.impersonated, running.bounded = {}, {}, {}
    running.buckets.held = {BUCKET: dict(OBJECTS), "acme-other": {"a": b"other"}}
    return running


def proof(principal: Principal) -> Secret:
    """Return a token of the issuer's for the pool."""
    at = int(NOW.timestamp())
    claims = {"iss": ISSUER, "sub": principal.user_id, "aud": f"https:{PROVIDER}"}
    return Secret(signer("ES256").token(claims | {"iat": at, "exp": at + 300}))


@pytest.fixture(params=["web_identity", "ambient"])
def broker(
    request: pytest.FixtureRequest,
    google: Google,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> GCPCredentialBroker:
    """Return a broker, once for each way."""
    login = {
        "type": "authorized_user",
        "client_id": "made-up",
        "client_secret": "made-up-secret",
        "refresh_token": "made-up-refresh",
        "token_uri": google.url + OAUTH,
    }
    (tmp_path / "adc.json").write_text(json.dumps(login))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "adc.json"))
    return GCPCredentialBroker(
        project="acme-dev",
        service_account_template="{tool_id}@{project}.iam.gserviceaccount.com",
        source=request.param,
        workload_identity_provider=PROVIDER,
        token=proof,
        sts_endpoint=google.url,
        iam_credentials_endpoint=google.url,
        clock=lambda: google.clock(),  # noqa: PLW0108 - tests turn it on
        deadline=5.0,
        pause=lambda _most: None,
    )


def tool(*resources: str, role: str = USER, **other: Any) -> ToolRequest:
    """Return a request for these resources."""
    grants = tuple(Grant((), (role,), one) for one in resources)
    return ToolRequest(
        "gcs_read", ProviderType.GCP, grants=grants, lease="L0123456789abcdef", **other
    )


class Used:
    """A vended token in the hands of google-auth."""

    def __init__(self, google: Google, made: ProviderCredential) -> None:
        self.google = google
        self.token = made.credentials["access_token"]

    def asked(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Ask with AuthorizedSession; return status and content."""
        credentials = Credentials(self.token)
        with transport.AuthorizedSession(credentials, refresh_status_codes=()) as session:
            said = session.request(method, self.google.url + path, data=body)
            return said.status_code, said.content

    def got(self, name: str, bucket: str = BUCKET) -> int | bytes:
        """Return an object's content, or the status that it was refused with."""
        status, content = self.asked(
            "GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
        )
        return content if status == 200 else status

    def listed(self, prefix: str) -> int | list[str]:
        """Return the names with a prefix, or the status that the list was refused with."""
        path = f"/storage/v1/b/{BUCKET}/o?prefix={quote(prefix, safe='')}"
        status, content = self.asked("GET", path)
        return [one["name"] for one in json.loads(content)["items"]] if status == 200 else status

    def put(self, name: str) -> int:
        """Upload an object; return the status."""
        path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(name, safe='')}"
        return self.asked("POST", path, b"new")[0]


# --- both ways, within the scope and outside of it ------------------------------------------------


def test_a_scope_is_what_can_be_used(google: Google, broker: GCPCredentialBroker) -> None:
    """Inside the prefix objects are read, listed and written; outside of it all is 403."""
    used = Used(google, broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/in/*")))
    assert used.got("in/b") == b"B"
    assert used.listed("in/") == ["in/b"]
    assert used.put("in/new") == 200
    for name in ("a", "in", "out/c"):
        assert used.got(name) == 403
        assert used.put(name) == 403
    for prefix in ("", "i", "in", "out/"):
        assert used.listed(prefix) == 403
    assert used.got("a", "acme-other") == 403


def test_one_object_is_one_object(google: Google, broker: GCPCredentialBroker) -> None:
    """With `a` neither `a2` nor a list is had."""
    used = Used(google, broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/a")))
    assert used.got("a") == b"A"
    assert used.got("a2") == 403
    assert used.listed("a") == 403


def test_a_whole_bucket_is_one_bucket(google: Google, broker: GCPCredentialBroker) -> None:
    """All of the bucket, and nothing of another."""
    used = Used(google, broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/*")))
    assert used.listed("") == sorted(OBJECTS)
    assert used.got("a", "acme-other") == 403


def test_a_role_is_what_can_be_done(google: Google, broker: GCPCredentialBroker) -> None:
    """The tool's permissions hold, whatever the service account may do."""
    viewer = tool(f"gs://{BUCKET}/*", role="inRole:roles/storage.objectViewer")
    used = Used(google, broker.vend_credential(ALICE, viewer))
    assert (used.got("a"), used.put("new")) == (b"A", 403)


def test_several_grants_are_one_token(google: Google, broker: GCPCredentialBroker) -> None:
    """Each of ten grants holds."""
    names = [f"gs://{BUCKET}/{name}" for name in ("a", "in/*", *"bcdefghi")]
    used = Used(google, broker.vend_credential(ALICE, tool(*names)))
    assert [used.got("a"), used.got("in/b"), used.got("a2")] == [b"A", b"B", 403]


def test_names_with_quotes_are_names(google: Google, broker: GCPCredentialBroker) -> None:
    """A quote, a backslash and what looks like CEL stay within the name."""
    for name in ("it's", "a\\b", "x' || true || '"):
        google.buckets.held[BUCKET][name] = b"quoted"
        used = Used(google, broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/{name}")))
        assert (used.got(name), used.got("a")) == (b"quoted", 403)


def test_an_expired_token_is_over(google: Google, broker: GCPCredentialBroker) -> None:
    """It lives as long as asked, and then is 401."""
    made = broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/*", max_duration=60))
    assert made.expires_at == NOW + timedelta(seconds=60)
    used = Used(google, made)
    google.clock = lambda: NOW + timedelta(seconds=59)
    assert used.got("a") == b"A"
    google.clock = lambda: NOW + timedelta(seconds=60)
    assert used.got("a") == 401


def test_a_disabled_account_ends_its_tokens(google: Google, broker: GCPCredentialBroker) -> None:
    """What ends a token early is disabling its service account."""
    used = Used(google, broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/*")))
    google.accounts[ACCOUNT].disabled = True
    assert used.got("a") == 401


def test_the_examples_scopes_go_with_a_boundary(
    google: Google, broker: GCPCredentialBroker
) -> None:
    """A tool that says `devstorage.read_only` and a role that reads gets a narrowed token."""
    wanted = tool(
        f"gs://{BUCKET}/in/*",
        role="inRole:roles/storage.objectViewer",
        oauth_scopes=("https://www.googleapis.com/auth/devstorage.read_only",),
    )
    used = Used(google, broker.vend_credential(ALICE, wanted))
    assert (used.got("in/b"), used.put("in/new"), used.got("a")) == (b"B", 403, 403)


def test_without_narrowing_scopes_hold(google: Google, broker: GCPCredentialBroker) -> None:
    """`unnarrowed`: what the service account may do, within the scopes."""
    wanted = tool(
        "//storage.googleapis.com/any",
        unnarrowed=True,
        oauth_scopes=("https://www.googleapis.com/auth/devstorage.read_only",),
    )
    used = Used(google, broker.vend_credential(ALICE, wanted))
    assert (used.got("a"), used.got("a", "acme-other"), used.put("b")) == (b"A", b"other", 403)


def test_tokens_on_the_way_mint_and_do_nothing_else(
    google: Google, broker: GCPCredentialBroker
) -> None:
    """One token is handed on; of those before it none is within its reach."""
    made = broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/in/*"))
    handed = google.given[made.credentials["access_token"]]
    assert handed.rules is not None
    assert [one.rules for one in google.given.values()].count(None) == 2


# --- refusals and misbehaviour --------------------------------------------------------------------


def test_who_may_not_become_the_account_is_refused(
    google: Google, broker: GCPCredentialBroker
) -> None:
    """Exit 8 with Google's code, and the role that is missing."""
    google.accounts[ACCOUNT].creators.clear()
    with pytest.raises(ProviderRefusedError) as caught:
        broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/*"))
    assert caught.value.code == "PERMISSION_DENIED"
    assert "serviceAccountTokenCreator" in caught.value.hint
    assert caught.value.exit_code == 8


def test_a_source_that_google_does_not_take_is_none(
    google: Google, broker: GCPCredentialBroker
) -> None:
    """A token signed by somebody else, or a login that has ended, is exit 4."""
    google.keys = {ISSUER: [signer("ES256", number=1).jwk()]}
    google.signed_in = {}
    with pytest.raises(SourceCredentialError, match="invalid_grant"):
        broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/*"))


def test_what_google_cannot_narrow_is_not_asked(
    google: Google, broker: GCPCredentialBroker
) -> None:
    """Outside Cloud Storage a tool without `unnarrowed` is refused before any call."""
    with pytest.raises(ConfigError, match="cannot narrow"):
        broker.vend_credential(ALICE, tool("//pubsub.googleapis.com/projects/acme-dev"))
    assert not google.asked


LONG = (NOW + timedelta(hours=12)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda google: google.impersonated.update(expireTime=LONG),
        lambda google: google.impersonated.update(expireTime="2030-05-17T09:29:59Z"),
        lambda google: google.impersonated.update(accessToken=None),
        lambda google: google.impersonated.update(accessToken="one\ntwo"),
        lambda google: google.bounded.update(expires_in=43_200),
        lambda google: google.bounded.update(expires_in=None),
        lambda google: google.bounded.update(expires_in="900"),
        lambda google: google.bounded.update(issued_token_type="x"),
        lambda google: google.instead.update({STS: html()}),
        lambda google: google.instead.update({STS: redirect("http://127.0.0.1:1/")}),
        lambda google: google.instead.update({STS: answer(b'{"a": ' + b"1" * (1 << 20) + b"}")}),
    ],
)
def test_an_answer_that_is_not_in_order_is_refused(
    google: Google, broker: GCPCredentialBroker, spoil: Callable[[Google], None]
) -> None:
    """Another life, shape or host than asked is exit 8, and nothing is handed on."""
    spoil(google)
    with pytest.raises(ProviderAnswerError) as caught:
        broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/*"))
    assert not any(token in str(caught.value) for token in google.given)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(b"", 429, {"Retry-After": "86400"}), ProviderRefusedError),
        (answer(b"", 500), ProviderRefusedError),
        (cut(), ProviderUnreachableError),
        (silence(), ProviderUnreachableError),
    ],
)
def test_what_does_not_answer_ends_in_time(
    google: Google, broker: GCPCredentialBroker, said: Any, kind: type[Exception]
) -> None:
    """Bounded attempts within one deadline."""
    google.instead[STS] = said
    broker._deadline = 0.4
    with pytest.raises(kind):
        broker.vend_credential(ALICE, tool(f"gs://{BUCKET}/*"))


# --- no name outside of the scope is ever available, every name inside is -------------------------

letters = st.text("ab/'\\*|() .=üé\"$`", min_size=1, max_size=12)
names = letters | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


def asks(*grants: Grant) -> tuple[Callable[[str, str], bool], Callable[[str], bool]]:
    """Return what the boundary of these grants lets be done to a name, and listed."""
    made = rules(as_json(boundary(grants)))
    return (
        lambda what, name: any(rule.allows(what, BUCKET, name, "") for rule in made),
        lambda prefix: any(rule.allows(LIST, BUCKET, None, prefix) for rule in made),
    )


def viewing(resource: str) -> Grant:
    """Return a grant to read this."""
    return Grant((), ("inRole:roles/storage.objectViewer",), f"gs://{BUCKET}/{resource}")


@given(names, names)
@example("a", "2")
@example("'", "' || true || '")
@example("\\", "'")
def test_a_prefix_opens_what_begins_with_it(prefix: str, other: str) -> None:
    """For a scope: a name is available if and only if it begins with the prefix; so is a list."""
    does, lists = asks(viewing(f"{prefix}*"))
    for name in (prefix, prefix + other, other, other + prefix, prefix[:-1], prefix[:-1] + other):
        assert does(GET, name) == name.startswith(prefix)
        assert lists(name) == name.startswith(prefix)
        assert not does(CREATE, name)


@given(names.filter(lambda name: not name.endswith("*")), names)
@example("a", "2")
@example("'", "' || true || '")
def test_an_exact_name_opens_itself(exact: str, other: str) -> None:
    """For an exact name: that name and no other, and no list at all."""
    does, lists = asks(viewing(exact))
    for name in (exact, exact + other, other, other + exact, exact[:-1]):
        assert does(GET, name) == (name == exact)
        assert not lists(name)


@given(st.lists(names, min_size=1, max_size=10, unique=True), names)
def test_several_grants_open_what_one_of_them_does(resources: list[str], other: str) -> None:
    """A name is available if and only if it lies in one of the tool's resources."""
    does, lists = asks(*(viewing(one) for one in resources))
    prefixes = tuple(one[:-1] for one in resources if one.endswith("*"))
    for name in (other, *resources, *(f"{one}{other}" for one in resources)):
        assert does(GET, name) == (name in resources or name.startswith(prefixes))
        assert lists(name) == name.startswith(prefixes)


@given(names, names)
def test_another_bucket_is_never_open(resource: str, name: str) -> None:
    """A boundary is one bucket's."""
    made = rules(as_json(boundary([viewing(resource)])))
    for bucket in (f"{BUCKET}2", BUCKET[:-1], "acme-other"):
        assert not any(rule.allows(GET, bucket, name, "") for rule in made)
