"""The fake of the Hugging Face Hub, with huggingface_hub and bare HTTP as its callers."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub._oidc import exchange_oidc_token
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from support.faulty import answer, html
from support.hub import EXCHANGE, REVOKE, WHOAMI, Hub
from support.hub_publishers import AUDIENCE, Publisher
from support.hub_tokens import READ, Scope
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ISSUER = "https://idp.acme.test"
NOW = datetime(2030, 5, 17, 9, 30, tzinfo=UTC)
REPOSITORY = "acme/private-llm"
OTHER = "acme/other"
FILES = {"config.json": b'{"layers": 2}'}
TYPE = "urn:ietf:params:oauth:token-type:"


@pytest.fixture(scope="module")
def running() -> Iterator[Hub]:
    """Run one hub for all tests here."""
    with Hub(keys={}, clock=lambda: NOW) as started:
        yield started


@pytest.fixture
def hub(running: Hub) -> Hub:
    """Return a hub with three publishers, two private repositories and a gated one."""
    running.clock = lambda: NOW
    running.keys = {ISSUER: [signer("ES256").jwk()]}
    running.publishers = [
        Publisher(REPOSITORY, ISSUER, {"sub": "alice"}),
        Publisher("datasets/acme/rows", ISSUER, read_only=True),
        Publisher("acme-robot", ISSUER),
    ]
    running.given, running.asked = {}, []
    running.tokens, running.identity, running.instead = {}, {}, {}
    running.revokes_exchanged = True
    running.silo.held.clear()
    running.silo.put("model", REPOSITORY, FILES)
    running.silo.put("model", OTHER, FILES)
    running.silo.put("dataset", "acme/rows", FILES)
    gated = running.silo.put("model", "meta/gated", FILES)
    gated.private, gated.gated = False, True
    return running


def proof(**claims: object) -> str:
    """Return a token of the issuer's; None takes a claim away."""
    usual: dict[str, object] = {"iss": ISSUER, "sub": "alice", "aud": AUDIENCE}
    usual |= {"iat": NOW.timestamp(), "exp": NOW.timestamp() + 300}
    given = {name: value for name, value in (usual | claims).items() if value is not None}
    return signer("ES256").token(given)


def exchanged(hub: Hub, resource: str = REPOSITORY, **claims: object) -> str:
    """Exchange such a token as huggingface_hub does."""
    said = exchange_oidc_token(subject_token=proof(**claims), resource=resource, endpoint=hub.url)
    return str(said["access_token"])


def get(hub: Hub, folder: Path, repository: str, token: str | None, **options: Any) -> bytes:
    """Download the one file as huggingface_hub does."""
    path = hf_hub_download(
        repository,
        "config.json",
        endpoint=hub.url,
        token=token or False,
        cache_dir=folder / str(len(hub.asked)),
        **options,
    )
    with open(path, "rb") as content:  # noqa: PTH123 - huggingface_hub gives a name
        return content.read()


def posted(
    hub: Hub, path: str, body: bytes, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Post these bytes; return status and JSON."""
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"))
    try:
        named = {"content-type": "application/json", **(headers or {})}
        connection.request("POST", path, body, named)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_an_exchanged_token_reads_and_writes_its_repository_and_no_other(
    hub: Hub, tmp_path: Path
) -> None:
    """A token for a repository cannot touch another of the same namespace."""
    token = exchanged(hub)
    assert token.startswith("hf_jwt_")
    assert get(hub, tmp_path, REPOSITORY, token) == FILES["config.json"]
    api = HfApi(endpoint=hub.url, token=token)
    api.upload_file(path_or_fileobj=b"weights", path_in_repo="w.bin", repo_id=REPOSITORY)
    assert hub.silo.held["model", REPOSITORY].files["w.bin"] == b"weights"
    assert [one.path for one in api.list_repo_tree(REPOSITORY)] == ["config.json", "w.bin"]
    assert api.model_info(REPOSITORY).private is True
    with pytest.raises(LocalEntryNotFoundError) as refused:
        get(hub, tmp_path, OTHER, token)
    assert isinstance(refused.value.__cause__, HfHubHTTPError)
    assert refused.value.__cause__.response.status_code == 403
    with pytest.raises(HfHubHTTPError, match=r"does not have the permission repo\.content\.read"):
        api.upload_file(path_or_fileobj=b"weights", path_in_repo="w.bin", repo_id=OTHER)


def test_a_read_only_publisher_gives_no_writing(hub: Hub, tmp_path: Path) -> None:
    """A publisher that is read-only lets its repository be read, and nothing be written."""
    token = exchanged(hub, "datasets/acme/rows")
    assert get(hub, tmp_path, "acme/rows", token, repo_type="dataset") == FILES["config.json"]
    api = HfApi(endpoint=hub.url, token=token)
    with pytest.raises(HfHubHTTPError, match=r"does not have the permission repo\.write"):
        api.upload_file(
            path_or_fileobj=b"x", path_in_repo="x", repo_id="acme/rows", repo_type="dataset"
        )


def test_a_users_token_reads_gated_repositories_alone(hub: Hub, tmp_path: Path) -> None:
    """A token for a user reads gated repositories, and neither private ones nor writes."""
    token = exchanged(hub, "acme-robot")
    assert token.startswith("hf_oauth_")
    assert get(hub, tmp_path, "meta/gated", token) == FILES["config.json"]
    with pytest.raises(LocalEntryNotFoundError):
        get(hub, tmp_path, REPOSITORY, token)
    with pytest.raises(GatedRepoError):
        get(hub, tmp_path, "meta/gated", exchanged(hub))
    with pytest.raises(GatedRepoError):
        get(hub, tmp_path, "meta/gated", None)


@pytest.mark.parametrize(
    ("resource", "claims"),
    [
        (REPOSITORY, {"aud": "https://elsewhere.test"}),
        (REPOSITORY, {"aud": [AUDIENCE, "https://elsewhere.test"]}),
        (REPOSITORY, {"iss": "https://other.test"}),
        (REPOSITORY, {"sub": "alice-backup"}),
        (REPOSITORY, {"exp": NOW.timestamp()}),
        (REPOSITORY, {"exp": None}),
        (REPOSITORY, {"nbf": NOW.timestamp() + 1}),
        (OTHER, {}),
        ("models/acme/private-llm", {}),
        ("acme/private-llm/", {}),
        ("datasets/acme/private-llm", {}),
        ("somebody", {}),
        ("", {}),
    ],
)
def test_what_no_publisher_matches_is_refused(
    hub: Hub, resource: str, claims: dict[str, object]
) -> None:
    """Signature, issuer, audience, times and claims must match a publisher of the resource."""
    with pytest.raises(BadRequestError):
        exchanged(hub, resource, **claims)
    assert not hub.given


def test_a_token_that_the_issuer_did_not_sign_is_refused(hub: Hub) -> None:
    """The signature is checked against the issuer's keys."""
    claims = {"iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": NOW.timestamp() + 300}
    for forged in (signer("ES256", number=1).token(claims), "a.b.c", "", f"{proof()[:-4]}AAAA"):
        with pytest.raises(BadRequestError):
            exchange_oidc_token(subject_token=forged, resource=REPOSITORY, endpoint=hub.url)
    assert not hub.given


def test_an_exchange_must_be_asked_for_exactly(hub: Hub) -> None:
    """A missing, unknown or other parameter, a form and a credential are `invalid_request`."""
    whole = _good()
    good = json.loads(whole)
    bad: list[tuple[bytes, dict[str, str]]] = [
        (json.dumps(good | {"scope": "all"}).encode(), {}),
        (json.dumps(good | {"subject_token_type": f"{TYPE}jwt"}).encode(), {}),
        (json.dumps(good | {"grant_type": "token-exchange"}).encode(), {}),
        (json.dumps({k: v for k, v in good.items() if k != "resource"}).encode(), {}),
        (json.dumps([good]).encode(), {}),
        (b"{", {}),
        (whole, {"content-type": "application/x-www-form-urlencoded"}),
        (whole, {"authorization": "Bearer hf_made_up"}),
    ]
    for body, headers in bad:
        assert posted(hub, EXCHANGE, body, headers) == (
            400,
            {"error": "invalid_request"}
            | ({} if "authorization" in headers else {"error_description": "Invalid request"}),
        )
    status, said = posted(hub, EXCHANGE, whole)
    assert status == 200
    assert said.pop("access_token") in hub.given
    assert said == {
        "token_type": "bearer",
        "expires_in": 3600,
        "issued_token_type": f"{TYPE}access_token",
    }


def test_an_exchanged_token_ends(hub: Hub, tmp_path: Path) -> None:
    """After its hour a token is refused."""
    token = exchanged(hub)
    hub.clock = lambda: NOW + timedelta(seconds=3599)
    get(hub, tmp_path, REPOSITORY, token)
    hub.clock = lambda: NOW + timedelta(seconds=3600)
    with pytest.raises(HfHubHTTPError, match="is expired"):
        get(hub, tmp_path, REPOSITORY, token)


def test_whoami_says_what_a_token_is(hub: Hub) -> None:
    """Classic tokens have a role alone, fine-grained ones their entities and permissions."""
    api = HfApi(endpoint=hub.url)
    classic = api.whoami(hub.classic("write"))
    assert classic["name"] == "acme-robot"
    assert [one["name"] for one in classic["orgs"]] == ["acme"]
    assert classic["auth"]["accessToken"] == {
        "displayName": "write",
        "role": "write",
        "createdAt": "2030-05-17T09:30:00.000Z",
    }
    scope = Scope("model", REPOSITORY, (READ,))
    fine = api.whoami(hub.fine_grained(scope, everywhere=("discussion.write",)))
    assert fine["auth"]["accessToken"]["role"] == "fineGrained"
    granted = fine["auth"]["accessToken"]["fineGrained"]
    assert granted["canReadGatedRepos"] is False
    assert granted["global"] == ["discussion.write"]
    (said,) = granted["scoped"]
    assert (said["entity"]["type"], said["entity"]["name"]) == ("model", REPOSITORY)
    assert said["permissions"] == [READ]
    exchanged_one = api.whoami(exchanged(hub))
    assert exchanged_one["type"] == "app"
    assert exchanged_one["auth"]["expiresAt"] == "2030-05-17T10:30:00.000Z"
    assert api.whoami(exchanged(hub, "acme-robot"))["auth"]["type"] == "oauth"
    for bad in ("hf_made_up", hub.classic(expires=NOW)):
        with pytest.raises(HfHubHTTPError) as refused:
            api.whoami(bad)
        assert refused.value.response.status_code == 401


def test_a_stored_token_is_held_to_what_it_says(hub: Hub, tmp_path: Path) -> None:
    """A fine-grained token does what its scopes allow, by repository or by namespace."""
    one = hub.fine_grained(Scope("model", REPOSITORY, (READ,)))
    whole = hub.fine_grained(Scope("org", "acme", ("repo.write",)))
    assert get(hub, tmp_path, REPOSITORY, one) == FILES["config.json"]
    assert get(hub, tmp_path, OTHER, whole) == FILES["config.json"]
    for token, repository in ((one, OTHER), (hub.fine_grained(gated=True), REPOSITORY)):
        with pytest.raises(LocalEntryNotFoundError):
            get(hub, tmp_path, repository, token)
    for token, written in ((one, False), (whole, True), (hub.classic(), False)):
        api = HfApi(endpoint=hub.url, token=token)
        if written:
            api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=REPOSITORY)
        else:
            with pytest.raises(HfHubHTTPError, match=r"permission repo\.write"):
                api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=REPOSITORY)


def test_what_is_not_there_is_said_as_the_hub_says_it(hub: Hub, tmp_path: Path) -> None:
    """Repository, revision and file that are not there have errors of their own."""
    token = hub.classic()
    with pytest.raises(RepositoryNotFoundError):
        get(hub, tmp_path, "acme/none", token)
    with pytest.raises(RepositoryNotFoundError):
        get(hub, tmp_path, REPOSITORY, None)
    with pytest.raises(RevisionNotFoundError):
        get(hub, tmp_path, REPOSITORY, token, revision="none")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(REPOSITORY, "none", endpoint=hub.url, token=token, cache_dir=tmp_path)


def test_a_revocation_says_the_same_whatever_it_did(hub: Hub, tmp_path: Path) -> None:
    """Revoking answers 202 for any list, ends what exists, and takes no credential."""
    stored, token = hub.classic(), exchanged(hub)
    body = json.dumps({"credentials": [stored, token, "hf_made_up"]}).encode()
    assert posted(hub, REVOKE, body) == (202, {})
    assert posted(hub, REVOKE, body) == (202, {})
    for dead in (stored, token):
        with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
            get(hub, tmp_path, REPOSITORY, dead)
    for bad in (b"{}", b'{"credentials": "hf_x"}', b'{"credentials": []}', b"hf_x"):
        assert posted(hub, REVOKE, bad)[0] == 400
    assert posted(hub, REVOKE, body, {"authorization": f"Bearer {stored}"})[0] == 400


def test_whether_a_revocation_covers_exchanged_tokens_can_be_chosen(
    hub: Hub, tmp_path: Path
) -> None:
    """A Hub that does not revoke exchanged tokens says 202 as well."""
    hub.revokes_exchanged = False
    token = exchanged(hub)
    assert posted(hub, REVOKE, json.dumps({"credentials": [token]}).encode()) == (202, {})
    assert get(hub, tmp_path, REPOSITORY, token) == FILES["config.json"]


def test_it_misbehaves_on_demand(hub: Hub) -> None:
    """Any path can be answered by other bytes, and members of answers changed."""
    hub.tokens = {"expires_in": None, "token_type": "mac"}
    hub.identity = {"name": "mallory"}
    assert posted(hub, EXCHANGE, _good()) == (
        200,
        {"access_token": next(iter(hub.given)), "token_type": "mac"}
        | {"issued_token_type": f"{TYPE}access_token"},
    )
    assert HfApi(endpoint=hub.url).whoami(hub.classic())["name"] == "mallory"
    hub.instead[EXCHANGE] = answer(b"[]", 429, {"Retry-After": "9"})
    assert posted(hub, EXCHANGE, b"") == (429, [])
    hub.instead[WHOAMI] = html
    with pytest.raises(json.JSONDecodeError):
        HfApi(endpoint=hub.url).whoami(hub.classic())


def _good() -> bytes:
    return json.dumps(
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": f"{TYPE}id_token",
            "subject_token": proof(),
            "resource": REPOSITORY,
        }
    ).encode()
