"""The broker of Hugging Face over real HTTP: exchanged tokens, stored ones, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
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
from agentauth_cli.model import Grant, Principal, ProviderType, Revocation
from agentauth_cli.outbound.hub_place import Place, place
from agentauth_cli.outbound.huggingface import HuggingFaceCredentialBroker
from agentauth_cli.secret import Secret
from support.faulty import Faulty, answer, cut, dribble, endless, html, redirect, refused_port
from support.hub import REVOKE, Hub
from support.hub_publishers import AUDIENCE
from support.hub_tokens import READ, Scope
from support.hugging import (
    ALICE,
    FILES,
    LEASE,
    NOW,
    PULL,
    REPOSITORY,
    SHORT,
    TOKEN,
    broker,
    fresh,
    get,
    no_secret,
    proof,
    storing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def running() -> Iterator[Hub]:
    """Run one hub for all tests here."""
    with Hub(keys={}) as started:
        yield started


@pytest.fixture
def hub(running: Hub) -> Hub:
    """Return the hub as it begins."""
    return fresh(running)


# --- the exchange ---------------------------------------------------------------------------------


def test_an_exchanged_token_reads_its_repository_and_no_other(hub: Hub, tmp_path: Path) -> None:
    """Vend, use inside the scope, be refused outside, expire, be refused."""
    made = broker(hub.url).vend_credential(ALICE, PULL)
    assert get(hub, tmp_path, made, REPOSITORY, "model") == FILES["config.json"]
    for repository, kind in (("acme/other", "model"), ("acme/rows", "dataset")):
        with pytest.raises(LocalEntryNotFoundError):
            get(hub, tmp_path, made, repository, kind)
    hub.clock = lambda: made.expires_at
    with pytest.raises(HfHubHTTPError, match="is expired"):
        get(hub, tmp_path, made, REPOSITORY, "model")


def test_what_is_asked_is_one_post_that_the_preview_shows(hub: Hub) -> None:
    """The four members of the exchange and no others, without a credential beside them."""
    mint = broker(hub.url)
    shown = mint.preview(ALICE, PULL)
    assert not hub.asked
    made = mint.vend_credential(ALICE, PULL)
    [came] = hub.asked
    assert json.loads(came.body) == {**shown.parameters, "subject_token": TOKEN}
    assert shown.parameters["resource"] == REPOSITORY
    assert (came.method, hub.url + came.target) == ("POST", shown.endpoint)
    assert came.headers["content-type"] == "application/json"
    assert "authorization" not in came.headers
    assert (shown.source, shown.audience) == ("oidc", AUDIENCE)
    assert made.credential_type == "hf_oidc_token"
    assert made.expires_at == NOW + timedelta(hours=1)
    assert (made.narrowed, made.lives_on) == (f'{{"resource": "{REPOSITORY}"}}', False)
    assert made.credential_id.startswith("sha256:")


def test_a_dataset_keeps_its_kind_and_an_account_has_none(hub: Hub, tmp_path: Path) -> None:
    """`models/` is what the Hub leaves out; an account's token is narrowed by nothing."""
    rows = replace(PULL, resource="datasets/acme/rows")
    made = broker(hub.url).vend_credential(ALICE, rows)
    assert get(hub, tmp_path, made, "acme/rows", "dataset") == FILES["config.json"]
    whole = replace(PULL, resource="acme")
    with pytest.raises(ConfigError, match="does not narrow a token for acme") as refused:
        broker(hub.url).preview(ALICE, whole)
    assert "unnarrowed = true" in refused.value.hint
    wide = broker(hub.url).vend_credential(ALICE, replace(whole, unnarrowed=True))
    assert wide.narrowed == '{"resource": "acme"}'


def test_the_provider_judges_the_token(hub: Hub) -> None:
    """What no publisher trusts is exit 8, with the Hub's code and request id and where to look."""
    for claims in ({"sub": "bob"}, {"iss": "https://other.test"}, {"aud": "elsewhere"}):
        token = proof(**claims)
        with pytest.raises(ProviderRefusedError, match="invalid_grant") as refused:
            broker(hub.url, token=lambda _who, token=token: Secret(token)).vend_credential(
                ALICE, PULL
            )
        assert refused.value.code == "invalid_grant"
        assert "Root=1-67e5a96c" in refused.value.message
        assert f"See that {REPOSITORY} trusts the token's issuer" in refused.value.hint
        no_secret(refused.value, token)
    assert len(hub.asked) == 3


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"access_token": None}, "access_token"),
        ({"access_token": ""}, "access_token"),
        ({"access_token": ["hf_x"]}, "access_token"),
        ({"access_token": "hf_x\nHF_ENDPOINT=http://evil"}, "access_token"),
        ({"access_token": "hf_\u2028"}, "access_token"),
        ({"access_token": "hf_\x00x"}, "access_token"),
        ({"token_type": None}, "bearer"),
        ({"token_type": "mac"}, "bearer"),
        ({"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "kind of token"),
        ({"expires_in": None}, "expires_in"),
        ({"expires_in": "3600"}, "expires_in"),
        ({"expires_in": 3600.0}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"expires_in": 0}, "has expired"),
        ({"expires_in": -1}, "has expired"),
        ({"expires_in": 3661}, "longer than asked"),
        ({"expires_in": 10**400}, "longer than asked"),
    ],
)
def test_an_answer_that_is_not_in_order_is_not_believed(
    hub: Hub, said: dict[str, Any], words: str
) -> None:
    """A token that cannot be one, another kind, or a life that is none or too long: exit 8."""
    hub.tokens = said
    with pytest.raises(ProviderAnswerError, match=words) as refused:
        broker(hub.url).vend_credential(ALICE, PULL)
    [value] = hub.given
    no_secret(refused.value, value)


def test_a_shorter_life_is_what_was_answered(hub: Hub) -> None:
    """The credential ends when the Hub says, up to a minute later than asked."""
    for seconds in (1, 1800, 3660):
        hub.tokens = {"expires_in": seconds}
        made = broker(hub.url).vend_credential(ALICE, PULL)
        assert made.expires_at == NOW + timedelta(seconds=seconds)


GOOD = json.dumps(
    {"access_token": "hf_made_up", "token_type": "bearer", "expires_in": 3600}
).encode()
BAD: dict[str, Any] = {
    "a page with status 200": html(),
    "nothing": answer(),
    "a list": answer(b"[]"),
    "a duplicate": answer(b'{"expires_in": 9,' + GOOD[1:]),
    "NaN": answer(GOOD.replace(b"3600", b"NaN")),
    "another status": answer(GOOD, 201),
    "a redirect": redirect("http://127.0.0.1:1/oauth/token"),
    "cut short": cut(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + GOOD),
    "a claim of 4 GiB": endless(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n", b" " * 999
    ),
    "no end of it": endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 9999),
}


@pytest.mark.parametrize("said", BAD.values(), ids=BAD.keys())
def test_garbage_is_refused_and_no_redirect_followed(said: Any) -> None:
    """Anything but the one answer in the one form is exit 8, at the first attempt."""
    with Faulty([said]) as server:
        with pytest.raises((ProviderAnswerError, ProviderRefusedError)) as refused:
            broker(server.url).vend_credential(ALICE, PULL)
        assert len(server.requests) == 1
    assert refused.value.exit_code == 8
    no_secret(refused.value, "hf_made_up")


def test_a_fault_that_passes_is_tried_again_and_never_for_long() -> None:
    """429 and 5xx: three attempts in all; Retry-After never makes us wait a day."""
    waited: list[float] = []
    with Faulty([answer(b"{}", 503), answer(GOOD)]) as server:
        broker(server.url).vend_credential(ALICE, PULL)
        assert len(server.requests) == 2
    for status in (429, 500):
        busy = answer(b"slow down", status, {"Retry-After": "86400"})
        with Faulty([busy]) as server, pytest.raises(ProviderRefusedError, match=str(status)):
            broker(server.url, pause=waited.append).vend_credential(ALICE, PULL)
        assert len(server.requests) == 3
    assert waited == [1.0, 2.0] * 2


def test_no_answer_is_unreachable() -> None:
    """One deadline over the whole call; a refused connection names host and port."""
    slow = dribble(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500, 0.1)
    with Faulty([slow]) as server, pytest.raises(ProviderUnreachableError):
        broker(server.url, deadline=0.4).vend_credential(ALICE, PULL)
    port = refused_port()
    with pytest.raises(ProviderUnreachableError, match=f"127.0.0.1:{port}"):
        broker(f"http://127.0.0.1:{port}").vend_credential(ALICE, PULL)


def test_what_the_hub_says_is_shown_escaped_and_without_the_token() -> None:
    """Text from the provider is shown only escaped, redacted and cut; the token never."""
    said = {"error": f"{TOKEN} \x1b[2J", "error_description": TOKEN.split(".")[1] + "y" * 400}
    with (
        Faulty([answer(json.dumps(said).encode(), 400)]) as server,
        pytest.raises(ProviderRefusedError) as refused,
    ):
        broker(server.url).vend_credential(ALICE, PULL)
    assert refused.value.message.isprintable()
    assert "y" * 200 not in refused.value.message
    no_secret(refused.value)


# --- revoking -------------------------------------------------------------------------------------


def test_a_token_that_is_at_hand_can_be_asked_to_end(hub: Hub, tmp_path: Path) -> None:
    """The Hub says the same whatever comes of it: `unconfirmed`, also where it did nothing."""
    mint = broker(hub.url)
    for covered in (True, False):
        hub.revokes_exchanged = covered
        made = mint.vend_credential(ALICE, PULL)
        found = mint.revoke(LEASE, made)
        assert (found.outcome, found.lives_on) == ("unconfirmed", True)
        if covered:
            with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
                get(hub, tmp_path, made, REPOSITORY, "model")
        else:
            get(hub, tmp_path, made, REPOSITORY, "model")
    assert "authorization" not in hub.asked[1].headers


def test_what_is_not_at_hand_or_not_the_leases_own_is_left_alone(hub: Hub) -> None:
    """Without the credential, and for a stored token that others hold too, nothing is asked."""
    mint = broker(hub.url)
    assert mint.revoke(LEASE) == Revocation("cannot be revoked alone")
    token = hub.fine_grained(Scope("model", REPOSITORY, (READ,)))
    kept = storing(hub.url, token)
    made = kept.vend_credential(ALICE, SHORT)
    for found in (kept.revoke(LEASE, made), kept.revoke(LEASE), mint.revoke(LEASE, made)):
        assert found == Revocation("cannot be revoked alone", endless=True)
    assert REVOKE not in hub.paths("POST")


def test_a_revocation_that_is_refused_says_so(hub: Hub) -> None:
    """Any other answer than 202 is an error, without the token."""
    made = broker(hub.url).vend_credential(ALICE, PULL)
    hub.instead[REVOKE] = answer(json.dumps({"error": made.credentials["token"]}).encode(), 400)
    with pytest.raises(ProviderRefusedError, match="revoking") as refused:
        broker(hub.url).revoke(LEASE, made)
    no_secret(refused.value, made.credentials["token"])


# --- requests that are refused before any call ----------------------------------------------------

BOTH = {"grants": (Grant((), (READ,), "models/acme/a"), Grant((), (READ,), "models/acme/b"))}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"provider": ProviderType.AWS}, UsageError),
        ({"max_duration": 3599}, UsageError),
        ({"max_duration": 3601}, UsageError),
        ({"action": ""}, ConfigError),
        ({"resource": ""}, ConfigError),
        ({"resource": "*"}, ConfigError),
        ({"resource": "models/acme"}, ConfigError),
        ({"resource": "kernels/acme/x"}, ConfigError),
        ({"resource": "models/acme/../secrets"}, ConfigError),
        ({"resource": "models/acme/.."}, ConfigError),
        ({"resource": "models/acme/x y"}, ConfigError),
        ({"resource": "models/acme/x\n"}, ConfigError),
        ({"resource": "models/acme/*x"}, ConfigError),
        ({"resource": "models/other/x"}, ConfigError),
        ({"resource": "other"}, ConfigError),
        ({"resource": "models/acme/*"}, ConfigError),
        (BOTH, ConfigError),
    ],
)
def test_what_cannot_be_minted_asks_for_no_token(
    changed: dict[str, Any], expected: type[AgentAuthError]
) -> None:
    """Another provider, life, namespace or form: an error before any call, also for the token."""

    def token(_principal: Principal) -> Secret:
        raise AssertionError("asked for a token")

    mint = broker("http://127.0.0.1:1", token=token)
    for ask in (mint.vend_credential, mint.preview):
        with pytest.raises(expected):
            ask(ALICE, replace(PULL, **changed))


def test_a_stored_token_is_for_one_namespace_too() -> None:
    """A namespace is the wall of an environment, whatever the token could do."""
    mint = storing("http://127.0.0.1:1", "hf_made_up")
    with pytest.raises(ConfigError, match="not of the namespace acme"):
        mint.vend_credential(ALICE, replace(SHORT, resource="models/other/x"))


def test_a_broker_made_by_hand_says_what_it_is_missing() -> None:
    """Without a token to mint with it is exit 4; a source that there is not is exit 3."""
    for source, words in (("oidc", "needs a `token`"), ("stored_token", "needs `stored`")):
        made = HuggingFaceCredentialBroker(namespace="acme", source=source)
        assert made.preview(ALICE, PULL).endpoint.startswith("https://huggingface.co/")
        with pytest.raises(SourceCredentialError, match=words):
            made.vend_credential(ALICE, PULL)
    with pytest.raises(ConfigError, match="no source 'ambient'"):
        HuggingFaceCredentialBroker(namespace="acme", source="ambient")


NAMES = st.text("ab*", min_size=1, max_size=3)
PLACES = st.one_of(
    st.builds(Place, st.just(""), st.sampled_from(["a", "b"]), st.just("")),
    st.builds(Place, st.sampled_from(["models", "datasets"]), st.sampled_from(["a", "b"]), NAMES),
)


@given(PLACES, st.sampled_from(["models", "datasets"]), st.sampled_from("ab"), st.text("ab"))
def test_a_place_holds_what_its_name_says(outer: Place, kind: str, space: str, name: str) -> None:
    """A repository lies in its namespace, in itself, and under a star behind its beginning."""
    inner = f"{kind}/{space}/{name}"
    text = str(outer)
    if not outer.kind:
        expected = space == outer.namespace
    elif text.endswith("*"):
        expected = inner.startswith(text[:-1])
    else:
        expected = inner == text
    assert outer.holds(Place(kind, space, name)) is expected


@given(
    st.sampled_from(["models", "datasets", "spaces"]),
    st.from_regex(r"[a-z_][a-z._-]{0,9}\*?", fullmatch=True),
)
def test_a_resource_is_what_it_says(kind: str, name: str) -> None:
    """Every name that is one is read as itself."""
    assert str(place(f"{kind}/acme/{name}", "acme")) == f"{kind}/acme/{name}"
