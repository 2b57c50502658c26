"""Application default credentials: each kind of file, and the machine; and what is refused."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from agentauth_cli.errors import (
    AgentAuthError,
    ProviderRefusedError,
    ProviderUnreachableError,
    RecursionRefusedError,
    SourceCredentialError,
    UnsafeFileError,
)
from agentauth_cli.outbound.gcp_machine import on_machine
from agentauth_cli.outbound.gcp_source import check_source
from support.faulty import Faulty, answer, html
from support.gcp import (
    ALICE,
    MINT,
    NARROW,
    NOW,
    PROVIDER,
    READ,
    TYPE,
    broker,
    denied,
    exchanged,
    minted,
    no_secret,
    said,
)
from support.issuer import signer

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.outbound.gcp import GCPCredentialBroker

SOURCE = "made-up-source-token"
FIRST = "first@acme-dev.iam.gserviceaccount.com"
FIRST_MINT = f"/v1/projects/-/serviceAccounts/{FIRST}:generateAccessToken"
SUBJECT = signer("ES256").token({"sub": "job"})
PEM = (
    signer("RS256")
    .private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    .decode()
)
PUBLIC = (
    signer("RS256")
    .private.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
SECRETS = ("made-up-client-secret", "made-up-refresh-token", SOURCE, SUBJECT, PEM)


@pytest.fixture(autouse=True)
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let nothing of this machine be a source."""
    for name in ("GCE_METADATA_HOST", "K_SERVICE", "CLOUD_RUN_JOB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setattr("agentauth_cli.outbound.gcp_machine._PRODUCTS", frozenset())


class Files:
    """Writes files of credentials where they are found."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch

    def named(self, content: Any) -> Path:
        """Write it, and name it in the environment."""
        path = self.folder / "named.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        self.monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        return path


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Return what writes them."""
    return Files(tmp_path, monkeypatch)


def ambient(url: str, **changed: Any) -> GCPCredentialBroker:
    """Return a broker that mints with application default credentials."""
    return broker(url, source="ambient", token=None, workload_identity_provider=None, **changed)


def user(url: str, **other: Any) -> dict[str, Any]:
    """Return what `gcloud auth application-default login` writes."""
    return {
        "type": "authorized_user",
        "client_id": "made-up-client",
        "client_secret": "made-up-client-secret",
        "refresh_token": "made-up-refresh-token",
        "token_uri": f"{url}/token",
        **other,
    }


def key(url: str, **other: Any) -> dict[str, Any]:
    """Return a service account's key."""
    return {
        "type": "service_account",
        "project_id": "acme-dev",
        "private_key_id": "k1",
        "private_key": PEM,
        "client_email": FIRST,
        "token_uri": f"{url}/token",
        **other,
    }


def pool(url: str, source: Any, **other: Any) -> dict[str, Any]:
    """Return a file of external account credentials."""
    return {
        "type": "external_account",
        "audience": PROVIDER,
        "subject_token_type": f"{TYPE}id_token",
        "token_url": f"{url}/v1/token",
        "credential_source": source,
        **other,
    }


def given() -> list[Any]:
    """Return the answer of a token endpoint by OAuth."""
    return said({"access_token": SOURCE, "token_type": "Bearer", "expires_in": 3599})


def rest() -> list[Any]:
    """Return the answers to what comes after the source."""
    return [minted(), exchanged(NARROW)]


def silent(error: BaseException) -> None:
    """Hold that no secret of a source is in an error."""
    no_secret(error)
    told = f"{error} {error!r} {getattr(error, 'hint', '')}"
    for secret in (*SECRETS, PEM.splitlines()[1]):
        assert secret not in told


# --- the kinds of files ---------------------------------------------------------------------------


def test_a_persons_login_is_refreshed(files: Files) -> None:
    """`gcloud auth application-default login`: a refresh, then the impersonation with it."""
    with Faulty([given(), *rest()]) as server:
        files.named(user(server.url))
        made = ambient(server.url).vend_credential(ALICE, READ)
        first, second, _ = server.requests
    assert (first.method, first.target) == ("POST", "/token")
    assert parse_qs(first.body.decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["made-up-client"],
        "client_secret": ["made-up-client-secret"],
        "refresh_token": ["made-up-refresh-token"],
    }
    assert second.target == MINT
    assert second.headers["authorization"] == f"Bearer {SOURCE}"
    assert made.credentials["access_token"] == NARROW


def test_gclouds_own_file_is_found(tmp_path: Path) -> None:
    """Without a variable it is gcloud's file."""
    (tmp_path / "gcloud").mkdir()
    path = tmp_path / "gcloud" / "application_default_credentials.json"
    with Faulty([given(), *rest()]) as server:
        path.write_text(json.dumps(user(server.url)))
        ambient(server.url).vend_credential(ALICE, READ)
        assert len(server.requests) == 3


def test_a_key_of_a_service_account_signs(files: Files) -> None:
    """A JWT for the token endpoint that it goes to (RFC 7523), for minting alone."""
    with Faulty([given(), *rest()]) as server:
        files.named(key(server.url))
        ambient(server.url).vend_credential(ALICE, READ)
        form = parse_qs(server.requests[0].body.decode())
        endpoint = f"{server.url}/token"
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = form["assertion"]
    public = jwt.PyJWK(signer("RS256").jwk()).key
    claims = jwt.decode(
        assertion, public, ["RS256"], audience=endpoint, options={"verify_iat": False}
    )
    now = int(NOW.timestamp())
    assert claims == {
        "iss": FIRST,
        "aud": endpoint,
        "scope": "https://www.googleapis.com/auth/iam",
        "iat": now,
        "exp": now + 300,
    }
    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}


def test_a_pools_token_comes_from_a_file(files: Files, tmp_path: Path) -> None:
    """External account, from a file: its token is exchanged at the configured endpoint."""
    (tmp_path / "token").write_text(f"{SUBJECT}\n")
    with Faulty([exchanged(SOURCE), *rest()]) as server:
        files.named(pool(server.url, {"file": str(tmp_path / "token")}))
        ambient(server.url).vend_credential(ALICE, READ)
        form = parse_qs(server.requests[0].body.decode())
        assert server.requests[1].headers["authorization"] == f"Bearer {SOURCE}"
    assert form["subject_token"] == [SUBJECT]
    assert form["subject_token_type"] == [f"{TYPE}id_token"]
    assert form["audience"] == [PROVIDER]


def test_a_pools_token_comes_from_a_url(files: Files) -> None:
    """External account, from a URL, with its headers and the field that holds the token."""
    with Faulty([said({"value": SUBJECT}), exchanged(SOURCE), *rest()]) as server:
        source = {
            "url": f"{server.url}/id",
            "headers": {"Authorization": "bearer made-up"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        }
        files.named(pool(server.url, source))
        ambient(server.url).vend_credential(ALICE, READ)
        first, second, *_ = server.requests
    assert (first.method, first.target) == ("GET", "/id")
    assert first.headers["authorization"] == "bearer made-up"
    assert "authorization" not in second.headers
    assert parse_qs(second.body.decode())["subject_token"] == [SUBJECT]


@pytest.mark.parametrize("kind", ["pool", "user"])
def test_a_source_may_impersonate_first(files: Files, tmp_path: Path, kind: str) -> None:
    """A file that impersonates: that account first, for minting alone, at the configured host."""
    (tmp_path / "token").write_text(SUBJECT)
    url = f"https://iamcredentials.googleapis.com{FIRST_MINT}"
    first = exchanged(SOURCE) if kind == "pool" else given()
    with Faulty([first, minted(accessToken="made-up-first"), *rest()]) as server:
        if kind == "pool":
            source = {"file": str(tmp_path / "token")}
            files.named(pool(server.url, source, service_account_impersonation_url=url))
        else:
            files.named(
                {
                    "type": "impersonated_service_account",
                    "service_account_impersonation_url": url,
                    "delegates": ["projects/-/serviceAccounts/x"],
                    "source_credentials": user(server.url),
                }
            )
        ambient(server.url).vend_credential(ALICE, READ)
        _, one, two, _ = server.requests
    assert (one.target, two.target) == (FIRST_MINT, MINT)
    assert one.headers["authorization"] == f"Bearer {SOURCE}"
    assert two.headers["authorization"] == "Bearer made-up-first"
    body = json.loads(one.body)
    assert body.pop("delegates", None) == (
        ["projects/-/serviceAccounts/x"] if kind == "user" else None
    )
    assert body == {"scope": ["https://www.googleapis.com/auth/iam"], "lifetime": "300s"}


def test_a_machine_of_google_has_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata server's, by its own header; no file is needed."""
    token = answer(
        json.dumps({"access_token": SOURCE, "token_type": "Bearer", "expires_in": 3599}).encode(),
        headers={"Metadata-Flavor": "Google"},
    )
    with Faulty([token, *rest()]) as server:
        monkeypatch.setenv("GCE_METADATA_HOST", server.url.removeprefix("http://"))
        ambient(server.url).vend_credential(ALICE, READ)
        first, second, _ = server.requests
    assert first.headers["metadata-flavor"] == "Google"
    assert first.target == (
        "/computeMetadata/v1/instance/service-accounts/default/token"
        "?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fiam"
    )
    assert second.headers["authorization"] == f"Bearer {SOURCE}"


def test_what_is_a_machine_of_google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the product's name, or by Cloud Run's variables; no host is asked to find out."""
    product = tmp_path / "product"
    monkeypatch.setattr(
        "agentauth_cli.outbound.gcp_machine._PRODUCTS", frozenset({b"Google Compute Engine"})
    )
    assert not on_machine(product)
    product.write_text("Some Laptop\n")
    assert not on_machine(product)
    product.write_text("Google Compute Engine\n")
    assert on_machine(product)
    monkeypatch.setenv("K_SERVICE", "x")
    assert on_machine(tmp_path / "none")


# --- what is no source ----------------------------------------------------------------------------


def test_no_source_at_all() -> None:
    """Nothing to mint with is exit 4, with the command that gives something; nobody is asked."""
    with Faulty([given()]) as server:
        with pytest.raises(SourceCredentialError, match="no application default") as caught:
            ambient(server.url).vend_credential(ALICE, READ)
        assert not server.requests
    assert caught.value.exit_code == 4
    assert "gcloud auth application-default login" in caught.value.hint


def test_a_file_that_is_named_has_to_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A variable that leads nowhere is no reason to take another source."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "gone.json"))
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    with pytest.raises(SourceCredentialError, match=r"gone\.json is not there"):
        ambient("http://127.0.0.1:1").vend_credential(ALICE, READ)


def test_a_file_that_others_can_write_is_unsafe(files: Files) -> None:
    """Somebody else's source would mint as somebody else."""
    path = files.named(user("http://127.0.0.1:1"))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IWOTH)
    with pytest.raises(UnsafeFileError):
        ambient("http://127.0.0.1:1").vend_credential(ALICE, READ)


URL = "http://127.0.0.1:1"
BAD: dict[str, Any] = {
    "no JSON": b"{",
    "no object": b"[]",
    "a key twice": b'{"type": "authorized_user", "type": "service_account"}',
    "no type": {},
    "a type that is no text": {"type": 1},
    "an unknown type": {"type": "gdch_service_account"},
    "a login without its secret": user(URL, client_secret=""),
    "a login without its token": user(URL, refresh_token=None),
    "an endpoint that is no text": user(URL, token_uri=1),
    "a key that is none": key(URL, private_key="-----BEGIN PRIVATE KEY-----"),
    "a key that only checks": key(URL, private_key=PUBLIC),
    "a key of text": key(URL, private_key="x"),
    "no key": key(URL, private_key=None),
    "no account of the key": key(URL, client_email=None),
    "no source": pool(URL, None),
    "two sources": pool(URL, {"file": "/a", "url": URL}),
    "a source of AWS": pool(URL, {"environment_id": "aws1"}),
    "a certificate": pool(URL, {"certificate": {}}),
    "a program": pool(URL, {"executable": {"command": "/usr/bin/true"}}),
    "a program that is no table": pool(URL, {"executable": "true"}),
    "another endpoint": pool(
        URL, {"file": "/etc/hostname"}, token_url="https://evil.test/v1/token"
    ),
    "a file that is gone": pool(URL, {"file": "/nonexistent"}),
    "nothing within": {"type": "impersonated_service_account"},
    "itself within": {
        "type": "impersonated_service_account",
        "source_credentials": {"type": "impersonated_service_account"},
    },
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_a_file_that_is_no_source_is_refused(files: Files, content: Any) -> None:
    """Exit 4, naming the file, before anybody is asked, and no program is run."""
    path = files.named(content)
    with pytest.raises(SourceCredentialError) as caught:
        ambient(URL).vend_credential(ALICE, READ)
    assert str(path) in caught.value.message
    assert caught.value.exit_code == 4
    silent(caught.value)


def test_a_program_that_is_agentauth_is_refused(files: Files) -> None:
    """Agentauth is never its own source: exit 3, naming the file."""
    path = files.named(pool(URL, {"executable": {"command": "/usr/bin/agentauth vend x"}}))
    with pytest.raises(RecursionRefusedError, match="is agentauth") as caught:
        ambient(URL).vend_credential(ALICE, READ)
    assert caught.value.exit_code == 3
    assert str(path) in caught.value.message


def test_an_impersonation_has_to_be_one(files: Files) -> None:
    """An address of another kind is no service account's, and its token is not used further."""
    with Faulty([given()]) as server:
        files.named(
            {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": f"{server.url}/x",
                "source_credentials": user(server.url),
            }
        )
        with pytest.raises(SourceCredentialError, match="none of Google's"):
            ambient(server.url).vend_credential(ALICE, READ)
        assert len(server.requests) == 1


LEADS = {
    "nothing": answer(b""),
    "no text": answer(b"\xff"),
    "a page": html(),
    "a refusal": answer(b"looks-like-a-token", 403),
    "two lines": answer(b"one\ntwo"),
}


@pytest.mark.parametrize("first", LEADS.values(), ids=LEADS.keys())
def test_a_url_that_leads_to_no_token_is_refused(files: Files, first: Any) -> None:
    """What is no token is not sent on."""
    with Faulty([first]) as server:
        files.named(pool(server.url, {"url": f"{server.url}/id"}))
        with pytest.raises(SourceCredentialError):
            ambient(server.url).vend_credential(ALICE, READ)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "source",
    [
        {"format": "json"},
        {"format": {"type": "xml"}},
        {"format": {"type": "json"}},
        {"format": {"type": "json", "subject_token_field_name": "other"}},
        {"headers": ["x"]},
        {"headers": {"x": 1}},
    ],
)
def test_a_source_that_is_ill_described_is_refused(files: Files, source: dict[str, Any]) -> None:
    """A format, field or header that is none."""
    with Faulty([said({"value": SUBJECT})]) as server:
        files.named(pool(server.url, {"url": f"{server.url}/id", **source}))
        with pytest.raises(SourceCredentialError):
            ambient(server.url).vend_credential(ALICE, READ)


def test_json_that_is_none_leads_to_no_token(files: Files, tmp_path: Path) -> None:
    """Strict JSON here too."""
    (tmp_path / "token").write_text('{"value": "a", "value": "b"}')
    form = {"type": "json", "subject_token_field_name": "value"}
    files.named(pool(URL, {"file": str(tmp_path / "token"), "format": form}))
    with pytest.raises(SourceCredentialError, match="duplicate key"):
        ambient(URL).vend_credential(ALICE, READ)


@pytest.mark.parametrize("url", ["http://example.com/token", "ftp://127.0.0.1/x", "https://a@b/"])
def test_no_source_goes_over_plain_http(files: Files, url: str) -> None:
    """Plain HTTP is for loopback alone, and a URL has to be one."""
    files.named(user(URL, token_uri=url))
    with pytest.raises(ProviderUnreachableError):
        ambient(URL).vend_credential(ALICE, READ)


def test_a_login_that_has_ended_is_no_source(files: Files) -> None:
    """What logging in again mends is exit 4 with the command; no secret is in the message."""
    words = "made-up-refresh-token made-up-client-secret expired"
    with Faulty([denied("invalid_grant", words)]) as server:
        path = files.named(user(server.url))
        with pytest.raises(SourceCredentialError, match="invalid_grant") as caught:
            ambient(server.url).vend_credential(ALICE, READ)
    assert str(path) in caught.value.message
    assert "gcloud auth application-default login" in caught.value.hint
    silent(caught.value)


def test_a_refusal_of_the_token_endpoint_is_the_providers(files: Files) -> None:
    """Another refusal is exit 8, and the assertion is in no message."""
    with Faulty([answer(b"", 502)]) as server:
        files.named(key(server.url))
        with pytest.raises(ProviderRefusedError) as caught:
            ambient(server.url).vend_credential(ALICE, READ)
        (assertion,) = parse_qs(server.requests[0].body.decode())["assertion"]
    assert assertion not in caught.value.message
    silent(caught.value)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (answer(b"{}"), "is not the metadata server"),
        (answer(b"", 404, {"Metadata-Flavor": "Google"}), "runs as no service account"),
    ],
)
def test_a_machine_without_an_account_has_none(
    first: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What answers without Google's header is not the metadata server; 404 is no account."""
    with Faulty([first]) as server:
        monkeypatch.setenv("GCE_METADATA_HOST", server.url.removeprefix("http://"))
        with pytest.raises(SourceCredentialError, match=why):
            ambient(server.url).vend_credential(ALICE, READ)


def test_a_metadata_server_is_no_host_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTTP goes to this machine or to a link-local address, not to a name."""
    monkeypatch.setenv("GCE_METADATA_HOST", "metadata.evil.test")
    with pytest.raises(ProviderUnreachableError, match="plain http is for loopback"):
        ambient(URL).vend_credential(ALICE, READ)


def test_the_preview_asks_nobody(files: Files) -> None:
    """The source is as it is configured; no exchange comes before, and no file is read."""
    files.named(b"{")
    shown = ambient(URL).preview(ALICE, READ)
    assert (shown.source, shown.audience) == ("ambient", None)
    assert "before" not in shown.parameters


# --- judged without asking ------------------------------------------------------------------------


def test_a_source_is_judged_without_asking(files: Files, tmp_path: Path) -> None:
    """What is good is nothing to say; a key is said to be long-lived; nobody is asked."""
    files.named(user(URL))
    assert not check_source(URL)
    path = files.named(key(URL))
    assert check_source(URL) == f"{path} is a key that never ends"
    nested = {"type": "impersonated_service_account", "source_credentials": key(URL)}
    files.named(nested)
    assert "never ends" in check_source(URL)
    files.named(pool(URL, {"file": str(tmp_path / "t")}))
    assert not check_source(URL)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"type": "x"}, SourceCredentialError),
        (pool(URL, {"executable": {"command": "agentauth"}}), RecursionRefusedError),
        (pool(URL, {"file": "/t"}, token_url="https://evil.test/"), SourceCredentialError),
        (b"{", SourceCredentialError),
    ],
)
def test_what_is_no_source_is_found_without_asking(
    files: Files, content: Any, kind: type[AgentAuthError]
) -> None:
    """`doctor` finds what a vend would."""
    files.named(content)
    with pytest.raises(kind):
        check_source(URL)


def test_a_machine_is_judged_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine of Google's there is a source; without one it is said."""
    with pytest.raises(SourceCredentialError):
        check_source(URL)
    monkeypatch.setenv("K_SERVICE", "x")
    assert not check_source(URL)
