"""The OpenAI broker over real HTTP: what is asked, what comes of it, and how far it reaches."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.auth import WorkloadIdentityAuth

from agentauth_cli.errors import (
    ConfigError,
    ProviderAnswerError,
    ProviderRefusedError,
    SourceCredentialError,
    UsageError,
)
from agentauth_cli.model import Grant, Lease, Principal, ProviderType
from agentauth_cli.outbound import openai_key
from agentauth_cli.outbound.openai import OpenAICredentialBroker
from agentauth_cli.secret import Secret
from support.clock import START, FakeClock
from support.openai_api import ACCOUNT, AUDIENCE, EXCHANGE, PROJECT, PROVIDER, OpenAIServer
from support.openai_org import Project
from support.openai_vend import ALICE, CHAT, LEASE, admin, chat, client, exchange, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentauth_cli.model import ToolRequest

OF_ANOTHER = "proj_prod"


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of server and broker."""
    return FakeClock()


@pytest.fixture
def api(clock: FakeClock) -> Iterator[OpenAIServer]:
    """Yield a server with two projects."""
    with OpenAIServer(clock) as server:
        server.org.projects[OF_ANOTHER] = Project(OF_ANOTHER)
        yield server


def lease(credential_id: str) -> Lease:
    """Return the lease that a credential was vended for."""
    return Lease(
        id=LEASE,
        principal=ALICE.id,
        tool="openai_chat",
        provider="openai",
        environment="dev",
        resource=PROJECT,
        reserved_at=START,
        ends_at=START + timedelta(hours=1),
        state="active",
        credential_id=credential_id,
    )


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_is_asked_for_as_the_sdk_would(api: OpenAIServer) -> None:
    """The same request as `api_keys.create` of the SDK: method, path, body, the admin key."""
    admin(api).vend_credential(ALICE, CHAT)
    with openai.OpenAI(admin_api_key=api.admin_key, api_key="", base_url=api.base_url) as sdk:
        sdk.admin.organization.projects.service_accounts.api_keys.create(
            ACCOUNT,
            project_id=PROJECT,
            name=f"{LEASE} openai_chat corp/alice",
            expires_in_seconds=3_600,
            scopes=["model.request"],
        )
    ours, theirs = api.asked
    assert (ours.method, ours.path, ours.query, ours.json) == (
        (theirs.method, theirs.path, theirs.query, theirs.json)
    )
    assert ours.headers["authorization"] == theirs.headers["authorization"]
    assert ours.headers["content-type"] == theirs.headers["content-type"]


def test_a_key_does_what_the_tool_may_and_no_more(api: OpenAIServer) -> None:
    """The vended key chats; what no permission names is refused by OpenAI."""
    made = admin(api).vend_credential(ALICE, CHAT)
    assert chat(api, made.credentials) == "yes"
    with client(api, made.credentials) as asking, pytest.raises(openai.AuthenticationError) as no:
        asking.models.list()
    assert "Missing scopes: api.model.read" in no.value.message
    (call,) = api.calls
    assert (call.project_id, call.api_key_id) == (PROJECT, made.credential_id)


def test_what_comes_back(api: OpenAIServer) -> None:
    """Key, project, end, the key's id and what it was cut down to."""
    made = admin(api).vend_credential(ALICE, CHAT)
    [kept] = api.org.keys
    assert dict(made.credentials) == {"api_key": kept.value, "project": PROJECT}
    assert (made.credential_type, made.credential_id) == ("openai_project_key", kept.id)
    assert made.expires_at == START + timedelta(hours=1)
    assert json.loads(made.narrowed) == {
        "project_id": PROJECT,
        "service_account_id": ACCOUNT,
        "scopes": ["model.request"],
    }
    assert kept.value not in repr(made)


def test_a_key_lives_as_long_as_asked(api: OpenAIServer, clock: FakeClock) -> None:
    """From its end on it is refused."""
    made = admin(api).vend_credential(ALICE, request(max_duration=60))
    clock.advance(seconds=59)
    chat(api, made.credentials)
    clock.advance(seconds=1)
    with pytest.raises(openai.AuthenticationError):
        chat(api, made.credentials)


def test_a_key_dies_alone(api: OpenAIServer) -> None:
    """`revoke` deletes the key of the lease and no other, by credential or by lease."""
    mint = admin(api)
    first, second, third = (mint.vend_credential(ALICE, CHAT) for _ in range(3))
    found = mint.revoke(lease(first.credential_id))
    assert (found.outcome, found.lives_on) == ("revoked", False)
    assert mint.revoke(lease("key_other"), second).outcome == "revoked"
    for gone in (first, second):
        with pytest.raises(openai.AuthenticationError):
            chat(api, gone.credentials)
    chat(api, third.credentials)
    deleted = [(one.method, one.path, one.json) for one in api.asked if one.method == "DELETE"]
    base = f"/v1/organization/projects/{PROJECT}/api_keys/"
    assert deleted == [("DELETE", base + one.credential_id, None) for one in (first, second)]


def test_a_key_that_the_project_does_not_have_is_unconfirmed(api: OpenAIServer) -> None:
    """A 404 says neither that it is gone nor that it was this project's."""
    mint = admin(api)
    made = mint.vend_credential(ALICE, CHAT)
    other = admin(api, project_id=OF_ANOTHER)
    assert other.revoke(lease(made.credential_id)).outcome == "unconfirmed"
    chat(api, made.credentials)
    mint.revoke(lease(made.credential_id))
    again = mint.revoke(lease(made.credential_id))
    assert (again.outcome, again.lives_on) == ("unconfirmed", True)


def test_a_key_that_is_not_confirmed_to_be_gone_is_a_failure(api: OpenAIServer) -> None:
    """An answer that names another key, or says that it is not deleted, is not believed."""
    mint = admin(api)
    for over in ({"deleted": False}, {"deleted": 1}, {"id": "key_x"}, {"object": "key"}):
        made = mint.vend_credential(ALICE, CHAT)
        path = f"/v1/organization/projects/{PROJECT}/api_keys/{made.credential_id}"
        api.over[path] = over
        with pytest.raises(ProviderAnswerError, match=made.credential_id):
            mint.revoke(lease(made.credential_id))


@pytest.mark.parametrize(
    ("over", "deleted"),
    [({"expires_at": None}, True), ({"expires_at": 1}, True), ({"name": "another"}, False)],
)
def test_a_key_that_is_not_believed_is_deleted(
    api: OpenAIServer, over: dict[str, Any], deleted: bool
) -> None:
    """One that would never end is not left behind; one that is not ours is not touched."""
    path = f"/v1/organization/projects/{PROJECT}/service_accounts/{ACCOUNT}/api_keys"
    api.over[path] = over
    with pytest.raises(ProviderAnswerError):
        admin(api).vend_credential(ALICE, CHAT)
    [made] = api.org.keys
    assert made.deleted is deleted


def test_each_lease_has_a_key_of_its_own(api: OpenAIServer) -> None:
    """One key for each lease, named after it; several grants become scopes of one key."""
    grants = (
        Grant((), ("model.request", "api.model.read"), PROJECT),
        Grant((), ("api.model.read",), PROJECT),
    )
    mint = admin(api)
    made = mint.vend_credential(ALICE, request(action="", resource="", grants=grants))
    mint.vend_credential(ALICE, request(lease="L2"))
    first, second = api.org.keys
    assert first.scopes == ("model.request", "api.model.read")
    assert (first.name.split()[0], second.name.split()[0]) == (LEASE, "L2")
    with client(api, made.credentials) as asking:
        assert asking.models.list().data


def test_the_sdks_name_of_a_call_stands_for_its_scope(api: OpenAIServer) -> None:
    """`action="chat.completions.create"` mints a key that can do just that."""
    made = admin(api).vend_credential(ALICE, request(action="chat.completions.create"))
    assert chat(api, made.credentials) == "yes"
    assert api.org.keys[0].scopes == ("model.request",)


def test_the_service_account_of_the_tool_goes_first(api: OpenAIServer) -> None:
    """One service account for each tool: that of the environment is for those without."""
    own = api.org.add_account(PROJECT, "openai_chat")
    admin(api).vend_credential(ALICE, request(service_account=own.id))
    assert api.org.keys[0].account is own


@given(st.text(min_size=1, max_size=200), st.text(max_size=90), st.none() | st.just(LEASE))
def test_the_name_of_a_key_is_printable_and_begins_with_the_lease(
    who: str, tool: str, of: str | None
) -> None:
    """100 visible characters at most, the lease whole and first."""
    name = openai_key.name(Principal(f"corp/{who}", "x"), request(tool_name=tool, lease=of))
    assert 1 <= len(name) <= 100
    assert name.isascii()
    assert name.isprintable()
    assert of is None or name.split(" ")[0] == of


# --- tokens ---------------------------------------------------------------------------------------

MEANT = replace(CHAT, unnarrowed=True)


def test_a_token_is_asked_for_as_the_sdk_would(api: OpenAIServer) -> None:
    """The same request as `WorkloadIdentityAuth`: one JSON POST, no Authorization."""
    token = api.subject_token()
    whose: list[Principal] = []

    def of(principal: Principal) -> Secret:
        whose.append(principal)
        return Secret(token)

    exchange(api, token=of).vend_credential(ALICE, MEANT)
    WorkloadIdentityAuth(
        workload_identity={
            "identity_provider_id": PROVIDER,
            "service_account_id": ACCOUNT,
            "provider": {"token_type": "jwt", "get_token": lambda: token},
        },
        token_exchange_url=api.token_url,
    ).get_token()
    ours, theirs = api.asked
    assert (ours.method, ours.path, ours.query, ours.json) == (
        (theirs.method, theirs.path, theirs.query, theirs.json)
    )
    assert "authorization" not in ours.headers
    assert whose == [ALICE]


def test_a_token_stands_for_the_service_account_until_its_end(
    api: OpenAIServer, clock: FakeClock
) -> None:
    """The vended token chats, and ends as OpenAI said."""
    api.org.life = 1_200
    made = exchange(api).vend_credential(ALICE, MEANT)
    assert (made.credential_type, made.credential_id) == ("openai_access_token", "")
    assert made.expires_at == START + timedelta(seconds=1_200)
    assert json.loads(made.narrowed) == {
        "project_id": PROJECT,
        "service_account_id": ACCOUNT,
        "unnarrowed": True,
    }
    assert chat(api, made.credentials) == "yes"
    clock.advance(seconds=1_200)
    with pytest.raises(openai.AuthenticationError):
        chat(api, made.credentials)


def test_a_token_is_of_no_other_project(api: OpenAIServer) -> None:
    """A service account of another project gives a token that OpenAI refuses for this one."""
    other = api.org.add_account(OF_ANOTHER, "agentauth")
    api.org.rules.append(replace(api.org.rules[0], account=other.id))
    made = exchange(api, service_account_id=other.id).vend_credential(ALICE, MEANT)
    with pytest.raises(openai.AuthenticationError, match="should match project"):
        chat(api, made.credentials)


def test_a_token_cannot_be_narrowed(api: OpenAIServer) -> None:
    """It is refused unless the tool says `unnarrowed = true`, before anybody is asked."""

    def never(_principal: Principal) -> Secret:
        raise AssertionError("asked for a token")

    mint = exchange(api, token=never)
    for ask in (mint.vend_credential, mint.preview):
        with pytest.raises(ConfigError, match="OpenAI cannot narrow a token") as caught:
            ask(ALICE, CHAT)
        assert "unnarrowed = true" in caught.value.hint
    assert not api.asked


def test_a_token_does_not_die_alone(api: OpenAIServer) -> None:
    """It lives until its end; a key that was made before takes an admin key to delete."""
    mint = exchange(api)
    made = mint.vend_credential(ALICE, MEANT)
    assert mint.revoke(lease(""), made).outcome == "cannot be revoked alone"
    assert admin(api).revoke(lease("")).outcome == "cannot be revoked alone"
    with pytest.raises(SourceCredentialError, match="no admin key"):
        mint.revoke(lease("key_1"))
    assert len(api.asked) == 1


# --- previews -------------------------------------------------------------------------------------


def test_the_preview_is_what_is_sent(api: OpenAIServer) -> None:
    """`vend --dry-run` prints exactly what would be asked, and what OpenAI will not enforce."""
    mint = admin(api)
    shown = mint.preview(ALICE, CHAT)
    assert not api.asked
    mint.vend_credential(ALICE, CHAT)
    [sent] = api.asked
    assert shown.operation == f"{sent.method} {sent.path.removeprefix('/v1')}"
    assert (shown.endpoint, shown.parameters) == (api.base_url, sent.json)
    assert (shown.source, shown.audience) == ("admin_key", None)
    assert any("spend limit" in one for one in shown.unenforced)


def test_the_preview_of_an_exchange_has_no_token(api: OpenAIServer) -> None:
    """All that would be sent but the token, which is fetched when it is needed."""
    mint = exchange(api)
    shown = mint.preview(ALICE, MEANT)
    assert not api.asked
    mint.vend_credential(ALICE, MEANT)
    sent = dict(api.asked[0].json)
    del sent["subject_token"]
    assert (shown.operation, shown.endpoint) == ("token exchange", api.url + EXCHANGE)
    assert (shown.parameters, shown.source) == (sent, "web_identity")
    assert shown.audience == AUDIENCE
    assert any("duration" in one for one in shown.unenforced)


# --- what is refused before any call --------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "another provider": ({"provider": ProviderType.AWS}, UsageError, "not for aws"),
    "no time": ({"max_duration": 0}, UsageError, "1 to 43200 s"),
    "too long": ({"max_duration": 43_201}, UsageError, "1 to 43200 s"),
    "another project": ({"resource": OF_ANOTHER}, ConfigError, "not proj_dev"),
    "every project": ({"resource": "*"}, ConfigError, "not proj_dev"),
    "a longer name": ({"resource": f"{PROJECT}-2"}, ConfigError, "not proj_dev"),
    "a part of the project": ({"resource": f"{PROJECT}/x"}, ConfigError, "cannot narrow"),
    "no permission": (
        {"action": "", "grants": (Grant(("a.b.c",), (), PROJECT),)},
        ConfigError,
        "without permissions",
    ),
    "an empty permission": ({"action": ""}, ConfigError, "no scope"),
    "a star": ({"action": "*"}, ConfigError, "no scope"),
    "a part with a star": ({"action": "api.*"}, ConfigError, "no scope"),
    "a word": ({"action": "all"}, ConfigError, "no scope"),
    "two in one": ({"action": "model.request,api.all.read"}, ConfigError, "no scope"),
    "no account": ({"service_account": "../x"}, ConfigError, "service_account_id"),
}


@pytest.mark.parametrize(("changed", "error", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_meant_asks_nobody(
    api: OpenAIServer, changed: dict[str, Any], error: type[Exception], words: str
) -> None:
    """Refused before the admin key is looked up; an empty list of scopes is never sent."""

    def never() -> Secret:
        raise AssertionError("asked for the admin key")

    mint = admin(api, admin_key=never)
    for ask in (mint.vend_credential, mint.preview):
        with pytest.raises(error, match=words):
            ask(ALICE, request(**changed))
    assert not api.asked


def test_a_part_of_the_project_may_be_meant(api: OpenAIServer) -> None:
    """With `unnarrowed` the key is for the whole project, and the record says so."""
    part = request(resource=f"{PROJECT}/assistants/1", unnarrowed=True)
    assert json.loads(admin(api).vend_credential(ALICE, part).narrowed)["unnarrowed"] is True


def test_an_exchange_is_not_for_less_than_an_hour(api: OpenAIServer) -> None:
    """OpenAI says how long a token lives: where an hour is too long it is not asked."""
    mint = exchange(api)
    assert (mint.min_duration, admin(api).min_duration) == (3_600, 1)
    with pytest.raises(UsageError, match="3600 to 43200 s") as caught:
        mint.vend_credential(ALICE, replace(MEANT, max_duration=3_599))
    assert "1h" in caught.value.hint
    assert not api.asked


def made_by_hand(**given: Any) -> None:
    """Ask a broker made by hand for a preview."""
    OpenAICredentialBroker(project_id=PROJECT, **given).preview(ALICE, MEANT)


def test_a_broker_that_lacks_something_says_what() -> None:
    """Without a way to mint, an account or an identity provider there is nothing to ask."""
    with pytest.raises(SourceCredentialError, match=PROJECT):
        made_by_hand()
    with pytest.raises(ConfigError, match="no service account for tool openai_chat"):
        made_by_hand(admin_key=lambda: Secret("x"))
    with pytest.raises(ConfigError, match="no identity provider"):
        made_by_hand(token=lambda _: Secret("x"), service_account_id=ACCOUNT)
    with pytest.raises(ConfigError, match="identity_provider_id 'a/b'"):
        made_by_hand(
            token=lambda _: Secret("x"), service_account_id=ACCOUNT, identity_provider_id="a/b"
        )
    with pytest.raises(ConfigError, match="two ways"):
        made_by_hand(token=lambda _: Secret("x"), admin_key=lambda: Secret("x"))
    for project in ("", "a/b", "..", "proj 1", "p" * 129):
        with pytest.raises(ConfigError, match="project_id"):
            OpenAICredentialBroker(project_id=project)
    with pytest.raises(SourceCredentialError):
        OpenAICredentialBroker(project_id=PROJECT).revoke(lease("key_1"))
    with pytest.raises(ConfigError, match="no id of OpenAI"):
        OpenAICredentialBroker(project_id=PROJECT, admin_key=lambda: Secret("x")).revoke(
            lease("../../admin_api_keys/1")
        )


def test_by_default_it_asks_openai() -> None:
    """The addresses are those of the SDK, wherever the environment would lead it."""
    key = OpenAICredentialBroker(
        project_id=PROJECT, service_account_id=ACCOUNT, admin_key=lambda: Secret("x")
    )
    token = OpenAICredentialBroker(
        project_id=PROJECT,
        service_account_id=ACCOUNT,
        token=lambda _: Secret("x"),
        identity_provider_id=PROVIDER,
    )
    default = openai.OpenAI(api_key="x", base_url=None)
    assert f"{key.preview(ALICE, CHAT).endpoint}/" == str(default.base_url)
    identity: Any = {"provider": {}}
    at = WorkloadIdentityAuth(workload_identity=identity).token_exchange_url
    assert token.preview(ALICE, MEANT).endpoint == at


# --- what OpenAI refuses --------------------------------------------------------------------------


def test_an_admin_key_that_is_refused_is_no_source(api: OpenAIServer) -> None:
    """Exit 4, with what the key has to be; the key is in no message."""
    wrong = "made-up-wrong-admin-key"
    mint = admin(api, admin_key=lambda: Secret(wrong))
    for ask in (
        lambda: mint.vend_credential(ALICE, CHAT),
        lambda: mint.revoke(lease("key_1")),
    ):
        with pytest.raises(SourceCredentialError) as caught:
            ask()
        assert caught.value.exit_code == 4
        assert "admin key of the organisation" in caught.value.hint
        assert wrong not in caught.value.message


def test_a_refusal_says_what_it_means_here(api: OpenAIServer) -> None:
    """What OpenAI said, and the key of the configuration to look at."""
    api.org.projects[PROJECT] = Project(PROJECT, longest_key=600)
    cases: list[tuple[OpenAICredentialBroker, ToolRequest, str, str]] = [
        (admin(api), CHAT, "invalid_expiry", "`duration`"),
        (admin(api), request(action="api.strange.read", max_duration=60), "scopes", "scopes of"),
        (admin(api, project_id="proj_none"), request(resource="proj_none"), "none", "project_id"),
        (admin(api, service_account_id="user-sa9"), CHAT, "user-sa9", "service_account_id"),
    ]
    for mint, asked, words, hint in cases:
        with pytest.raises(ProviderRefusedError, match=words) as caught:
            mint.vend_credential(ALICE, asked)
        assert caught.value.exit_code == 8
        assert hint in caught.value.hint
    assert not api.org.keys


@pytest.mark.parametrize(
    "claims", [{"aud": "https://elsewhere.test"}, {"iss": "https://other.test"}, {"exp": 1}]
)
def test_an_exchange_that_is_refused_names_the_mapping(
    api: OpenAIServer, claims: dict[str, Any]
) -> None:
    """The identity provider, the audience and the service account to look at; never the token."""
    token = api.subject_token(**claims)
    mint = exchange(api, token=lambda _principal: Secret(token))
    with pytest.raises(ProviderRefusedError, match="invalid_subject_token") as caught:
        mint.vend_credential(ALICE, MEANT)
    assert caught.value.code == "invalid_subject_token"
    assert all(word in caught.value.hint for word in (PROVIDER, AUDIENCE, ACCOUNT))
    assert not any(part in caught.value.message for part in token.split("."))
    with pytest.raises(ProviderRefusedError) as plain:
        exchange(api, audience=None, identity_provider_id="idp_9").vend_credential(ALICE, MEANT)
    assert "audience" not in plain.value.hint


def test_nothing_of_an_sdk_is_loaded() -> None:
    """Minting takes no SDK: `openai` is not imported."""
    code = (
        "import sys\n"
        "from agentauth_cli.model import Principal, ProviderType, ToolRequest\n"
        "from agentauth_cli.outbound.openai import OpenAICredentialBroker\n"
        "from agentauth_cli.secret import Secret\n"
        "broker = OpenAICredentialBroker(project_id='proj_dev', service_account_id='user-sa1',\n"
        "    admin_key=lambda: Secret('made-up-admin-key'), base_url=sys.argv[1])\n"
        "broker.vend_credential(Principal('os/x', 'x'), ToolRequest('chat', ProviderType.OPENAI,\n"
        "    'model.request', 'proj_dev', 3600))\n"
        "assert not {'openai', 'httpx', 'pydantic'} & set(sys.modules)\n"
    )
    with OpenAIServer() as api:
        done = subprocess.run(
            [sys.executable, "-c", code, api.base_url], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(api.org.keys) == 1


def test_what_was_billed_is_read_with_a_good_admin_key_alone(api: OpenAIServer) -> None:
    """Without an admin key nobody is asked; one that OpenAI refuses is no source."""
    asked = len(api.asked)
    with pytest.raises(ConfigError, match="no admin key"):
        exchange(api).billed(api.clock())
    assert len(api.asked) == asked
    with pytest.raises(SourceCredentialError, match="/organization/usage/"):
        admin(api, admin_key=lambda: Secret("made-up-wrong-admin-key")).billed(api.clock())
