"""The broker of Hugging Face with a token of the keyring: one that may no more than the tool."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from agentauth_cli.errors import (
    ProviderAnswerError,
    ProviderRefusedError,
    SourceCredentialError,
)
from agentauth_cli.model import Grant
from agentauth_cli.strict_json import parse_object
from support.faulty import answer, html
from support.hub import WHOAMI, Hub
from support.hub_tokens import READ, WRITE, Scope
from support.hugging import (
    ALICE,
    FILES,
    NOW,
    PAGE,
    PULL,
    REPOSITORY,
    SHORT,
    broker,
    fresh,
    get,
    no_secret,
    storing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.faulty import Part


@pytest.fixture(scope="module")
def running() -> Iterator[Hub]:
    """Run one hub for all tests here."""
    with Hub(keys={}) as started:
        yield started


@pytest.fixture
def hub(running: Hub) -> Hub:
    """Return the hub as it begins."""
    return fresh(running)


# --- a stored token -------------------------------------------------------------------------------


def test_a_stored_token_is_handed_out_where_it_may_no_more(hub: Hub, tmp_path: Path) -> None:
    """It does what it may, its lease ends as asked, and that it lives on is known."""
    token = hub.fine_grained(Scope("model", REPOSITORY, (READ,)))
    mint = storing(hub.url, token)
    shown = mint.preview(ALICE, SHORT)
    assert (shown.operation, shown.endpoint) == ("whoami-v2", hub.url + WHOAMI)
    assert any("lives on" in one for one in shown.unenforced)
    assert not hub.asked
    made = mint.vend_credential(ALICE, SHORT)
    assert hub.paths("GET") == [WHOAMI]
    assert dict(made.credentials) == {"token": token}
    assert made.credential_type == "hf_fine_grained_token"
    assert (made.expires_at, made.lives_on) == (NOW + timedelta(minutes=15), True)
    assert json.loads(made.narrowed) == {
        "scoped": [{"entity": f"model {REPOSITORY}", "permissions": [READ]}]
    }
    assert get(hub, tmp_path, made, REPOSITORY, "model") == FILES["config.json"]
    api = HfApi(endpoint=hub.url, token=token)
    with pytest.raises(HfHubHTTPError, match="does not have the permission"):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=REPOSITORY)


@pytest.mark.parametrize("role", ["read", "write", "admin\x1b[2J"])
def test_a_classic_token_is_refused_with_the_page_to_make_a_finer_one(hub: Hub, role: str) -> None:
    """A token with a role on everything is never vended: exit 4."""
    token = hub.classic(role)
    with pytest.raises(SourceCredentialError, match="classic") as refused:
        storing(hub.url, token).vend_credential(ALICE, SHORT)
    assert refused.value.message.isprintable()
    assert hub.url + PAGE in refused.value.hint
    no_secret(refused.value, token)


def scope(kind: str, name: str, *permissions: str) -> Scope:
    """Return a scope of a fine-grained token."""
    return Scope(kind, name, permissions)


@pytest.mark.parametrize(
    ("resource", "held"),
    [
        ("models/acme/private-llm", scope("model", REPOSITORY, READ)),
        ("models/acme/private-llm", scope("model", REPOSITORY, READ, "discussion.write")),
        ("models/acme/private-llm", scope("model", REPOSITORY)),
        ("models/acme/private-llm", scope("org", "acme")),
        ("models/acme/*", scope("model", "acme/other", READ)),
        ("models/acme/priv*", scope("model", REPOSITORY, READ)),
        ("datasets/acme/rows", scope("dataset", "acme/rows", READ)),
        ("spaces/acme/app", scope("space", "acme/app", READ)),
        ("acme", scope("org", "acme", READ)),
        ("acme", scope("user", "acme", READ)),
        ("acme", scope("dataset", "acme/rows", READ)),
    ],
)
def test_no_wider_than_the_tool(hub: Hub, resource: str, held: Scope) -> None:
    """What lies within the tool's permissions on the tool's resource is vended."""
    grants = (Grant((), (READ, "discussion.write"), resource),)
    asked = replace(SHORT, action="", resource="", grants=grants)
    storing(hub.url, hub.fine_grained(held)).vend_credential(ALICE, asked)


@pytest.mark.parametrize(
    ("resource", "held", "words"),
    [
        ("models/acme/private-llm", scope("model", REPOSITORY, WRITE), f"{WRITE} on model"),
        ("models/acme/private-llm", scope("model", REPOSITORY, READ, WRITE), f"{WRITE} on model"),
        ("models/acme/private-llm", scope("model", REPOSITORY, "repo.write"), "repo.write on"),
        ("models/acme/private-llm", scope("model", "acme/other", READ), "on model acme/other"),
        ("models/acme/private-llm", scope("model", "acme/private-llm-2", READ), "llm-2"),
        ("models/acme/private-llm", scope("dataset", REPOSITORY, READ), "on dataset"),
        ("models/acme/private-llm", scope("org", "acme", READ), "on org acme"),
        ("models/acme/*", scope("org", "acme", READ), "on org acme"),
        ("models/acme/*", scope("dataset", "acme/rows", READ), "on dataset"),
        ("models/acme/priv*", scope("model", "acme/other", READ), "on model acme/other"),
        ("acme", scope("org", "acme-2", READ), "on org acme-2"),
        ("acme", scope("model", "other/x", READ), "on model other/x"),
        ("acme", scope("model", "acme", READ), "on model acme"),
        ("acme", scope("org", "acme/x", READ), "on org acme/x"),
        ("acme", scope("kernel", "acme/x", READ), "on kernel acme/x"),
        ("models/acme/*", scope("model", "acme/*", READ), "on model"),
    ],
)
def test_wider_than_the_tool_in_any_way_is_refused(
    hub: Hub, resource: str, held: Scope, words: str
) -> None:
    """Another permission, repository, kind or namespace: exit 4, and it says which."""
    token = hub.fine_grained(held)
    with pytest.raises(SourceCredentialError, match="may more than hf_pull") as refused:
        storing(hub.url, token).vend_credential(ALICE, replace(SHORT, resource=resource))
    assert words in refused.value.message
    no_secret(refused.value, token)


def test_wider_than_any_scope_is_refused(hub: Hub) -> None:
    """What a token may everywhere, and on all gated repositories, is more than any tool."""
    good = Scope("model", REPOSITORY, (READ,))
    for more, words in (
        ({"gated": True}, "all gated repositories"),
        ({"everywhere": ("discussion.write",)}, "discussion.write everywhere"),
    ):
        token = hub.fine_grained(good, **more)
        with pytest.raises(SourceCredentialError, match=words):
            storing(hub.url, token).vend_credential(ALICE, SHORT)


def test_each_grant_is_held_to_itself(hub: Hub) -> None:
    """Permissions of one grant are none on the resource of another."""
    grants = (Grant((), (READ,), "models/acme/other"), Grant((), (WRITE,), "datasets/acme/rows"))
    asked = replace(SHORT, action="", resource="", grants=grants)
    good = hub.fine_grained(
        scope("model", "acme/other", READ), scope("dataset", "acme/rows", WRITE)
    )
    storing(hub.url, good).vend_credential(ALICE, asked)
    bad = hub.fine_grained(scope("model", "acme/other", WRITE))
    with pytest.raises(SourceCredentialError, match="may more"):
        storing(hub.url, bad).vend_credential(ALICE, asked)


def test_a_stored_token_that_ends_by_itself_ends_when_it_does(hub: Hub) -> None:
    """Its own end counts where it comes first; one that is over, or unknown, is refused."""
    held = Scope("model", REPOSITORY, (READ,))
    soon = hub.fine_grained(held, expires=NOW + timedelta(minutes=5))
    made = storing(hub.url, soon).vend_credential(ALICE, SHORT)
    assert (made.expires_at, made.lives_on) == (NOW + timedelta(minutes=5), False)
    late = hub.fine_grained(held, expires=NOW + timedelta(days=5))
    made = storing(hub.url, late).vend_credential(ALICE, SHORT)
    assert (made.expires_at, made.lives_on) == (NOW + timedelta(minutes=15), True)
    hub.clock = lambda: NOW - timedelta(minutes=10)
    over = hub.fine_grained(held, expires=NOW)
    with pytest.raises(SourceCredentialError, match="has expired"):
        storing(hub.url, over).vend_credential(ALICE, SHORT)


def test_a_stored_token_that_the_hub_does_not_know_is_no_source(hub: Hub) -> None:
    """Revoked or mistyped: exit 4, with the page and the command that stores another."""
    with pytest.raises(SourceCredentialError, match="refuses the stored token") as refused:
        storing(hub.url, "hf_made_up").vend_credential(ALICE, SHORT)
    assert "agentauth source add huggingface" in refused.value.hint
    hub.instead[WHOAMI] = answer(b"{}", 403)
    with pytest.raises(ProviderRefusedError, match="status 403"):
        storing(hub.url, "hf_made_up").vend_credential(ALICE, SHORT)


def whoami(**token: object) -> list[Part]:
    """Return what whoami says of a token."""
    granted = {"canReadGatedRepos": False, "global": [], "scoped": []} | token
    access = {"displayName": "x", "role": "fineGrained", "fineGrained": granted}
    return answer(json.dumps({"auth": {"type": "access_token", "accessToken": access}}).encode())


@pytest.mark.parametrize(
    "said",
    [
        answer(b"{}"),
        answer(b'{"auth": {"accessToken": {"role": "fineGrained"}}}'),
        answer(b'{"auth": {"type": "access_token", "accessToken": {"role": "fineGrained"}}}'),
        whoami(canReadGatedRepos=0),
        whoami(**{"global": "x"}),
        whoami(**{"global": [1]}),
        whoami(scoped=[{"entity": {"type": "model", "name": REPOSITORY}}]),
        whoami(scoped=[{"entity": {"type": "model"}, "permissions": []}]),
        whoami(scoped=[{"entity": {"type": "org", "name": "acme"}, "permissions": [None]}]),
        whoami(scoped=["model"]),
        whoami(buckets=["everything"]),
        html(),
    ],
)
def test_a_whoami_of_another_form_is_not_believed(hub: Hub, said: list[Part]) -> None:
    """What is missing, of another type, or not known here: exit 8."""
    hub.instead[WHOAMI] = said
    with pytest.raises(ProviderAnswerError, match="whoami-v2"):
        storing(hub.url, "hf_made_up").vend_credential(ALICE, SHORT)


def test_what_whoami_says_beside_the_point_is_left_aside(hub: Hub) -> None:
    """A member that grants nothing is no reason to refuse."""
    hub.instead[WHOAMI] = whoami(buckets=[])
    storing(hub.url, "hf_made_up").vend_credential(ALICE, SHORT)


def test_only_an_access_token_is_a_stored_one(hub: Hub) -> None:
    """A token that was exchanged, or is of an app, is not what a person stores."""
    for resource in (REPOSITORY, "acme"):
        asked = replace(PULL, resource=f"models/{resource}" if "/" in resource else resource)
        made = broker(hub.url).vend_credential(ALICE, replace(asked, unnarrowed=True))
        with pytest.raises(SourceCredentialError, match="is no access token"):
            storing(hub.url, made.credentials["token"]).vend_credential(ALICE, SHORT)


@pytest.mark.parametrize(
    "ends",
    ["tomorrow", 1_900_000_000, "2030-05-18T00:00:00", "9999-12-31T23:59:59-14:00"],
)
def test_an_end_that_cannot_be_read_is_not_believed(hub: Hub, ends: object) -> None:
    """An expiry is RFC 3339 with a zone, or none at all."""
    [said] = whoami()
    assert isinstance(said, bytes)
    told = parse_object(said.partition(b"\r\n\r\n")[2])
    told["auth"]["expiresAt"] = ends
    hub.instead[WHOAMI] = answer(json.dumps(told).encode())
    with pytest.raises(ProviderAnswerError, match="whoami-v2"):
        storing(hub.url, "hf_made_up").vend_credential(ALICE, SHORT)
