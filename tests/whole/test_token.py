"""A JWT from the environment, verified by the real program against a real issuer."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from support.cloud import ROLE
from support.issuer import DISCOVERY, KEYS, IssuerServer, signer

if TYPE_CHECKING:
    from support.station import Station

pytestmark = pytest.mark.whole

ISSUER = """
[inbound.issuers.corp]
issuer = "{url}"
audience = "agentauth"
kind = "agent"
{more}
"""

RULE = """\
version = 1

[[rule]]
id = "corp"
effect = "allow"
principals = ["corp/*"]
"""


def configured(here: Station, url: str, more: str = "") -> None:
    """Add an issuer to the configuration, whose principals may do everything."""
    config = (here.folder / "config" / "config.toml").read_text()
    here.write("config.toml", config + ISSUER.format(url=url, more=more))
    here.write("policy.toml", RULE)


def claims(url: str, **others: object) -> dict[str, object]:
    """Return the claims of a good token of now."""
    now = int(time.time())
    return {
        "iss": url,
        "aud": "agentauth",
        "sub": "build-7",
        "iat": now,
        "exp": now + 1200,
        **others,
    }


def test_a_token_is_verified_with_keys_by_discovery_and_vends(here: Station) -> None:
    """A JWT in AGENTAUTH_TOKEN of a configured issuer, with JWKS by discovery."""
    key = signer("RS256")
    with IssuerServer(key.jwk()) as issuer:
        configured(here, issuer.url)
        token = key.token(claims(issuer.url))
        who = here.json("whoami", "--json", AGENTAUTH_TOKEN=token)
        assert (who["id"], who["kind"], who["auth"]) == ("corp/build-7", "agent", "jwt")
        vended = here.json("vend", ROLE, AGENTAUTH_TOKEN=token)
        assert vended["Version"] == 1
        file = here.folder / "token"
        file.write_text(token + "\n")
        again = here.json("whoami", "--json", AGENTAUTH_TOKEN_FILE=str(file))
        assert again["id"] == who["id"]
    written = b"".join(path.read_bytes() for path in here.folder.glob("state/**/*.db*"))
    assert token.encode() not in written


def test_keys_from_a_file_need_no_network(here: Station) -> None:
    """jwks_file is read from the config directory."""
    key = signer("ES256")
    url = "https://issuer.example"
    configured(here, url, 'jwks_file = "keys.json"')
    here.write("keys.json", json.dumps({"keys": [key.jwk()]}))
    who = here.json("whoami", "--json", AGENTAUTH_TOKEN=key.token(claims(url)))
    assert who["id"] == "corp/build-7"


def test_a_refused_token_is_exit_4_and_never_the_os_account(here: Station) -> None:
    """A weaker source never stands in for a stronger one that failed."""
    key, other = signer("ES256"), signer("ES256", number=1)
    url = "https://issuer.example"
    configured(here, url, 'jwks_file = "keys.json"')
    here.write("keys.json", json.dumps({"keys": [key.jwk()]}))
    for token in (other.token(claims(url)), key.token(claims(url, exp=1)), "", "x.y.z"):
        done = here.run("vend", ROLE, AGENTAUTH_TOKEN=token)
        assert (done.returncode, done.stdout) == (4, "")
        assert not token or token not in done.stderr
    assert set(here.events()) == {"login.failed"}


def test_what_is_left_of_the_token_cuts_the_duration(here: Station) -> None:
    """A credential never outlives what vouches for it by more than its provider's minimum life."""
    key = signer("ES256")
    url = "https://issuer.example"
    configured(here, url, 'jwks_file = "keys.json"')
    here.write("keys.json", json.dumps({"keys": [key.jwk()]}))
    before = time.time()
    vended = here.json("vend", ROLE, AGENTAUTH_TOKEN=key.token(claims(url)))
    ends = time.mktime(time.strptime(vended["Expiration"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert ends <= before + 1200 + 60


def test_conditions_see_what_the_token_says(here: Station) -> None:
    """Claims and the age of the login decide; the claims that rules name are in the audit trail."""
    key = signer("ES256")
    url = "https://issuer.example"
    configured(here, url, 'jwks_file = "keys.json"')
    here.write("keys.json", json.dumps({"keys": [key.jwk()]}))
    condition = 'when = { claims = { repos = "acme/*" }, max_session_age = "1h" }\n'
    here.write("policy.toml", RULE + condition)

    def code(**others: object) -> int:
        return here.run("vend", ROLE, AGENTAUTH_TOKEN=key.token(claims(url, **others))).returncode

    now = int(time.time())
    assert code(repos=["other/x", "acme/x"], auth_time=now - 60, secret_claim="kept out") == 0
    assert {"repos": ["other/x", "acme/x"]} in [one.get("claims") for one in here.records()]
    assert "kept out" not in str(here.records())
    assert code(repos=["other/x"], auth_time=now - 60) == 5
    assert code(repos=["acme/x"], auth_time=now - 7200) == 5
    assert code(repos=["acme/x"]) == 5
    assert code(repos=["acme/x", 7], auth_time=now - 60) == 5


def test_an_issuer_with_a_preset_works_as_one_written_out(here: Station) -> None:
    """A preset fills in what the file leaves out; then it is an issuer as any other."""
    key = signer("RS256")
    with IssuerServer(key.jwk()) as issuer:
        configured(here, issuer.url, 'preset = "okta"')
        token = key.token(claims(issuer.url))
        assert here.json("whoami", "--json", AGENTAUTH_TOKEN=token)["id"] == "corp/build-7"
        assert here.json("vend", ROLE, AGENTAUTH_TOKEN=token)["Version"] == 1
        other = signer("ES256").token(claims(issuer.url))
        done = here.run("whoami", AGENTAUTH_TOKEN=other)
    assert done.returncode == 4
    assert "algorithm" in done.stderr


def test_unknown_keys_refetch_once_for_all_processes(here: Station) -> None:
    """One refetch a minute for unknown kids over all processes; known keys go on serving."""
    key, unknown = signer("ES256"), signer("ES256", "k9")
    with IssuerServer(key.jwk()) as issuer:
        configured(here, issuer.url)
        flood = unknown.token(claims(issuer.url))
        running = [here.start("whoami", AGENTAUTH_TOKEN=flood) for _ in range(6)]
        said = [one.communicate()[1].decode() for one in running]
        assert [one.returncode for one in running] == [4] * 6
        assert all('the issuer has no key "k9"' in one for one in said)
        assert issuer.requests == {DISCOVERY: 1, KEYS: 1}
        good = key.token(claims(issuer.url))
        assert here.run("whoami", AGENTAUTH_TOKEN=good).returncode == 0
        issuer.die()
        assert here.run("whoami", AGENTAUTH_TOKEN=good).returncode == 0
        assert here.run("whoami", AGENTAUTH_TOKEN=flood).returncode == 4
