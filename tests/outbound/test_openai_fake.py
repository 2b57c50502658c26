"""The loopback OpenAI of the tests, as the real `openai` client sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_type_hints

import httpx2
import openai
import pytest
from openai.auth import WorkloadIdentityAuth
from openai.types.admin.organization.projects import ServiceAccountCreateParams
from openai.types.admin.organization.projects.service_accounts import APIKeyCreateParams

from support.clock import START, FakeClock
from support.faulty import answer, cut, dribble, html
from support.issuer import signer
from support.openai_api import ACCOUNT, EXCHANGE, PROJECT, PROVIDER, OpenAIServer
from support.openai_org import Project
from support.openai_shapes import ACCOUNT_OPTIONS, KEY_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.admin.organization.projects.service_accounts import APIKeyCreateResponse

NOW = int(START.timestamp())
KEYS = f"/v1/organization/projects/{PROJECT}/service_accounts/{ACCOUNT}/api_keys"


@pytest.fixture
def clock() -> FakeClock:
    """Return the server's clock."""
    return FakeClock()


@pytest.fixture
def api(clock: FakeClock) -> Iterator[OpenAIServer]:
    """Yield the server."""
    with OpenAIServer(clock) as server:
        yield server


def admin(api: OpenAIServer, key: str | None = None, **options: Any) -> openai.OpenAI:
    """Return a client with the admin key that checks every answer against its typed model."""
    return openai.OpenAI(
        admin_api_key=key or api.admin_key,
        api_key="",
        base_url=api.base_url,
        max_retries=0,
        _strict_response_validation=True,
        **options,
    )


def user(api: OpenAIServer, key: str, project: str | None = None) -> openai.OpenAI:
    """Return a client with a project's key."""
    return openai.OpenAI(
        api_key=key,
        base_url=api.base_url,
        project=project,
        max_retries=0,
        _strict_response_validation=True,
    )


def mint(api: OpenAIServer, **members: Any) -> APIKeyCreateResponse:
    """Return a key of the account, by the admin API."""
    with admin(api) as client:
        keys = client.admin.organization.projects.service_accounts.api_keys
        return keys.create(ACCOUNT, project_id=PROJECT, **members)


def chat(api: OpenAIServer, key: str, *, model: str = "gpt-4o-mini", **options: Any) -> None:
    """Ask a model something, with this key."""
    with user(api, key, **options) as client:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "?"}])


def exchange(api: OpenAIServer, token: str, account: str = ACCOUNT, idp: str = PROVIDER) -> str:
    """Return an access token, as the SDK exchanges one."""
    auth = WorkloadIdentityAuth(
        workload_identity={
            "identity_provider_id": idp,
            "service_account_id": account,
            "provider": {"token_type": "jwt", "get_token": lambda: token},
        },
        token_exchange_url=api.token_url,
    )
    return auth.get_token()


def test_a_key_is_what_was_asked_for_and_its_value_is_shown_once(api: OpenAIServer) -> None:
    """A created key has name, expiry and value; a listed one has no value."""
    made = mint(api, name="L1", expires_in_seconds=600, scopes=["model.request"])

    with admin(api) as client:
        [listed] = client.admin.organization.projects.api_keys.list(PROJECT)
    assert (made.name, made.expires_at, made.created_at) == ("L1", NOW + 600, NOW)
    assert (listed.id, listed.name, listed.expires_at) == (made.id, "L1", NOW + 600)
    assert made.value not in listed.model_dump_json()
    assert listed.owner.service_account is not None
    assert listed.owner.service_account.id == ACCOUNT


def test_requests_are_those_of_the_typed_models() -> None:
    """The members that the server knows are those of the SDK's models."""
    assert set(get_type_hints(APIKeyCreateParams)) == {"project_id", *KEY_OPTIONS}
    assert set(get_type_hints(ServiceAccountCreateParams)) == {"name", *ACCOUNT_OPTIONS}


def test_a_key_is_good_for_its_scopes_alone(api: OpenAIServer) -> None:
    """A key with model.request chats and lists no models; one without scopes may do all."""
    made = mint(api, scopes=["model.request"])
    chat(api, made.value)

    with user(api, made.value) as client, pytest.raises(openai.AuthenticationError) as refused:
        client.models.list()
    assert "Missing scopes: api.model.read" in refused.value.message
    with user(api, mint(api, scopes=[]).value) as client:
        assert [one.id for one in client.models.list()] == ["gpt-4o-mini", "gpt-4o"]
    with pytest.raises(openai.AuthenticationError, match=r"model\.request"):
        chat(api, mint(api, scopes=["api.all.read"]).value)


def test_a_key_is_good_until_it_expires_or_is_deleted(api: OpenAIServer, clock: FakeClock) -> None:
    """After its last second, and from its deletion on, a key is 401."""
    short, gone = mint(api, expires_in_seconds=60), mint(api)
    with admin(api) as client:
        said = client.admin.organization.projects.api_keys.delete(gone.id, project_id=PROJECT)
    clock.advance(seconds=59)
    chat(api, short.value)
    clock.advance(seconds=1)

    assert said.deleted
    for one in (short, gone):
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
            chat(api, one.value)
    with admin(api) as client:
        assert list(client.admin.organization.projects.api_keys.list(PROJECT)) == []
        with pytest.raises(openai.NotFoundError):
            client.admin.organization.projects.api_keys.delete(gone.id, project_id=PROJECT)


def test_a_key_is_good_for_its_project_alone(api: OpenAIServer) -> None:
    """OpenAI-Project of another project is refused, and so is deleting its keys from there."""
    api.org.projects["proj_prod"] = Project("proj_prod")
    made = mint(api)
    chat(api, made.value, project=PROJECT)

    with pytest.raises(openai.AuthenticationError, match="should match project"):
        chat(api, made.value, project="proj_prod")
    with admin(api) as client, pytest.raises(openai.NotFoundError):
        client.admin.organization.projects.api_keys.delete(made.id, project_id="proj_prod")


def test_a_project_limits_models_spend_and_the_life_of_keys(api: OpenAIServer) -> None:
    """Other models are 403, a passed spend limit 429, a key that lives too long 400."""
    api.org.projects[PROJECT] = Project(PROJECT, ("gpt-4o-mini",), 1, longest_key=3600)
    made = mint(api, expires_in_seconds=3600)
    with pytest.raises(openai.PermissionDeniedError, match="does not have access"):
        chat(api, made.value, model="gpt-4o")
    api.tokens = 9_000, 1_000
    chat(api, made.value)

    with pytest.raises(openai.RateLimitError, match="quota"):
        chat(api, made.value)
    for seconds in (3601, None):
        with pytest.raises(openai.BadRequestError, match="must expire"):
            mint(api, expires_in_seconds=seconds)


def test_admin_calls_take_the_admin_key_alone(api: OpenAIServer) -> None:
    """A project's key manages nothing, and the admin key asks no model."""
    made = mint(api)
    with admin(api, made.value) as client, pytest.raises(openai.AuthenticationError):
        client.admin.organization.projects.api_keys.list(PROJECT)
    with pytest.raises(openai.AuthenticationError):
        chat(api, api.admin_key)


@pytest.mark.parametrize(
    "members",
    [
        {"expires_in_seconds": 0},
        {"expires_in_seconds": 31_536_001},
        {"scopes": ["model.reqest"]},
        {"name": 5},
        {"extra_body": {"expires_in": 60}},
        {"extra_headers": {"content-type": "text/plain"}},
        {"extra_query": {"dry_run": "1"}},
    ],
)
def test_a_key_that_is_badly_asked_for_is_refused(
    api: OpenAIServer, members: dict[str, Any]
) -> None:
    """What is out of range, unknown or of another type is 400, and makes no key."""
    with pytest.raises(openai.BadRequestError):
        mint(api, **members)
    assert api.org.keys == []


def test_accounts_are_made_once_and_listed_page_by_page(api: OpenAIServer) -> None:
    """A new account has a key unless it is made alone; the cursor finds them all."""
    with admin(api) as client:
        accounts = client.admin.organization.projects.service_accounts
        usual = accounts.create(PROJECT, name="tool-dev", expires_in_seconds=60)
        alone = accounts.create(PROJECT, name="bare", create_service_account_only=True)
        listed = [one.id for one in accounts.list(PROJECT, limit=1)]
        found = accounts.retrieve(alone.id, project_id=PROJECT)
        projects = [one.id for one in client.admin.organization.projects.list()]
        with pytest.raises(openai.BadRequestError):
            accounts.create(
                PROJECT, name="x", create_service_account_only=True, expires_in_seconds=60
            )
        with pytest.raises(openai.NotFoundError):
            accounts.list("proj_other")

    assert usual.api_key is not None
    assert usual.api_key.expires_at == NOW + 60
    assert (usual.role, alone.role, alone.api_key) == ("member", "none", None)
    assert listed == [ACCOUNT, usual.id, alone.id]
    assert (found.name, projects) == ("bare", [PROJECT])


def test_a_token_of_the_identity_provider_becomes_an_access_token(
    api: OpenAIServer, clock: FakeClock
) -> None:
    """The exchanged token has the permissions of the mapping, and ends when it said."""
    api.org.rules[0].scopes = ("model.request",)
    with openai.OpenAI(api_key="", admin_api_key="", base_url=api.base_url, max_retries=0) as bare:
        bare.api_key = token = exchange(api, api.subject_token())
        bare.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "?"}])
        with pytest.raises(openai.AuthenticationError, match="Missing scopes"):
            bare.models.list()
    clock.advance(seconds=3600)

    with pytest.raises(openai.AuthenticationError, match="Incorrect"):
        chat(api, token)
    assert [one.api_key_id for one in api.calls] == [None]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example"},
        {"iss": "https://other.example"},
        {"exp": NOW},
        {"exp": None},
        {"sub": None},
    ],
)
def test_a_token_for_somebody_else_becomes_nothing(
    api: OpenAIServer, claims: dict[str, Any]
) -> None:
    """Audience, issuer, expiry and subject are checked."""
    with pytest.raises(openai.OAuthError) as refused:
        exchange(api, api.subject_token(**claims))
    assert refused.value.error == "invalid_subject_token"
    assert api.org.keys == []


def test_a_token_that_the_provider_did_not_sign_becomes_nothing(api: OpenAIServer) -> None:
    """The signature is checked against the key set, and against the key that it names."""
    for other in (signer("ES256", number=7), signer("ES256", kid="k9")):
        with pytest.raises(openai.OAuthError):
            exchange(api, api.subject_token(other))
    with pytest.raises(openai.OAuthError):
        exchange(api, "no-token")


def test_a_token_that_no_mapping_names_becomes_nothing(api: OpenAIServer) -> None:
    """Provider, account and the claims that the mapping wants have to match."""
    api.org.rules[0].matchers = {"sub": "alice"}
    exchange(api, api.subject_token())
    for token, account, provider in (
        (api.subject_token(), "user-other", PROVIDER),
        (api.subject_token(), ACCOUNT, "idp_2"),
        (api.subject_token(sub="mallory"), ACCOUNT, PROVIDER),
    ):
        with pytest.raises(openai.OAuthError) as refused:
            exchange(api, token, account, provider)
        assert refused.value.error == "invalid_grant"


def test_an_exchange_is_asked_for_exactly(api: OpenAIServer) -> None:
    """Grant type, token type, JSON and the absence of a key are checked."""
    good = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": api.subject_token(),
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "identity_provider_id": PROVIDER,
        "service_account_id": ACCOUNT,
    }
    with httpx2.Client(base_url=api.url) as client:
        assert client.post(EXCHANGE, json=good).status_code == 200
        for wrong in (
            client.post(EXCHANGE, data=good),
            client.post(EXCHANGE, json=good | {"grant_type": "client_credentials"}),
            client.post(EXCHANGE, json=good | {"subject_token_type": "access_token"}),
            client.post(EXCHANGE, json=good | {"scope": "model.request"}),
            client.post(EXCHANGE, json=good | {"subject_token": ""}),
            client.post(EXCHANGE, json=[]),
            client.post(EXCHANGE, json=good, headers={"authorization": "Bearer x"}),
        ):
            assert wrong.status_code == 400
        assert client.get(EXCHANGE).status_code == 404
        assert client.get("/v1/models").status_code == 401


def test_usage_and_costs_are_told_by_key(api: OpenAIServer, clock: FakeClock) -> None:
    """Each key's tokens and cost stand in the bucket of their time, and nowhere else."""
    first, second = mint(api, name="L1"), mint(api, name="L2")
    for one in (first, first, second):
        chat(api, one.value)
    clock.advance(seconds=86_400)
    chat(api, second.value)

    with admin(api) as client:
        usage = client.admin.organization.usage
        by_key = usage.completions(start_time=NOW, group_by=["api_key_id"])
        hours = usage.completions(
            start_time=NOW, bucket_width="1h", limit=1, api_key_ids=[second.id], models=["gpt-4o"]
        )
        costs = usage.costs(start_time=NOW, group_by=["api_key_id"], project_ids=[PROJECT], limit=1)
        later = usage.costs(start_time=NOW, page=costs.next_page or "", limit=1)

    told = [[one.model_dump() for one in bucket.results] for bucket in by_key.data]
    assert [
        [(one["api_key_id"], one["input_tokens"], one["num_model_requests"]) for one in bucket]
        for bucket in told
    ] == [[(first.id, 24, 2), (second.id, 12, 1)], [(second.id, 12, 1)]]
    assert (hours.data[0].results, hours.has_more) == ([], True)
    assert [
        (one["api_key_id"], one["amount"])
        for one in (result.model_dump() for result in costs.data[0].results)
    ] == [
        (first.id, {"value": 0.00004, "currency": "usd"}),
        (second.id, {"value": 0.00002, "currency": "usd"}),
    ]
    assert (len(later.data), later.has_more, later.next_page) == (1, False, None)


def test_usage_is_asked_for_exactly(api: OpenAIServer) -> None:
    """Widths, groups and limits that there are not are 400."""
    with httpx2.Client(headers={"authorization": f"Bearer {api.admin_key}"}) as client:
        for query in (
            "usage/completions",
            f"usage/completions?start_time={NOW}&bucket_width=1w",
            f"usage/completions?start_time={NOW}&group_by[]=colour",
            f"usage/completions?start_time={NOW}&limit=32",
            f"costs?start_time={NOW}&bucket_width=1h",
            f"projects/{PROJECT}/api_keys?limit=101",
            f"projects/{PROJECT}/api_keys?page=2",
        ):
            assert client.get(f"{api.base_url}/organization/{query}").status_code == 400


def test_it_misbehaves_on_demand(api: OpenAIServer) -> None:
    """What is sent instead reaches the client, also when the key was made all the same."""
    api.over[KEYS] = {"expires_at": None}
    assert mint(api, expires_in_seconds=60).expires_at is None

    api.instead[KEYS] = answer(b"{}", 429, {"Retry-After": "7"})
    with pytest.raises(openai.RateLimitError) as slower:
        mint(api)
    assert slower.value.response.headers["retry-after"] == "7"
    api.instead[KEYS] = cut()
    with pytest.raises(openai.APIConnectionError):
        mint(api)
    api.instead[KEYS] = html()
    with pytest.raises(openai.APIResponseValidationError):
        mint(api)
    api.instead[KEYS] = lambda: dribble(b"HTTP/1.1 200 OK\r\n", 600)
    with admin(api, timeout=0.2) as client, pytest.raises(openai.APITimeoutError):
        client.admin.organization.projects.service_accounts.api_keys.create(
            ACCOUNT, project_id=PROJECT
        )
    assert len(api.org.keys) == 5
