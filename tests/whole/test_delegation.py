"""A token with `act`: who acts for the principal is seen, stopped, counted and written down."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from support.cloud import ROLE
from support.issuer import signer

if TYPE_CHECKING:
    from support.station import Station

pytestmark = pytest.mark.whole

KEY = signer("ES256")
ISS = "https://issuer.example"
ISSUER = f"""
[inbound.issuers.corp]
issuer = "{ISS}"
audience = "agentauth"
jwks_file = "keys.json"
"""
RULE = """\
version = 1

[[rule]]
id = "through-a-bot"
effect = "allow"
principals = ["corp/alice"]
when = { actor = ["corp/bot-*"] }
"""
TWO = """\
version = 1

[[budget]]
id = "two"
per = ["principal"]
limits.month = { requests = 2 }
"""


@pytest.fixture
def delegated(here: Station) -> Station:
    """Return a station whose policy lets alice in only through one of her bots."""
    config = (here.folder / "config" / "config.toml").read_text()
    here.write("config.toml", config + ISSUER)
    here.write("keys.json", json.dumps({"keys": [KEY.jwk()]}))
    here.write("policy.toml", RULE)
    return here


def token(sub: str = "alice", actor: str | None = "bot-7") -> str:
    """Return a token of now for a subject, acted for by this one, which another acted for."""
    act = {} if actor is None else {"act": {"sub": actor, "act": {"sub": "bot-0"}}}
    claims = {"iss": ISS, "aud": "agentauth", "sub": sub, "exp": int(time.time()) + 1200, **act}
    return KEY.token(claims)


def test_an_actor_is_shown_wherever_a_principal_is(delegated: Station) -> None:
    """`act` becomes `actor`: in whoami, status, leases, the audit trail and the session's tags."""
    here, shown = delegated, "corp/alice via corp/bot-7"
    me = {"AGENTAUTH_TOKEN": token()}
    assert json.loads(here.run("whoami", "--json", **me).stdout)["actor"] == "corp/bot-7"
    assert "acted for by: corp/bot-7\n" in here.run("whoami", **me).stdout
    assert here.run("vend", ROLE, **me).returncode == 0
    assert f"  {shown} (user)" in here.run("status", **me).stdout
    status = json.loads(here.run("status", "--json", **me).stdout)
    assert (status["principal"], status["actor"]) == ("corp/alice", "corp/bot-7")
    assert shown in here.run("lease", "list").stdout
    (lease,) = here.json("lease", "list", "--json")["leases"]
    assert (lease["principal"], lease["actor"]) == ("corp/alice", "corp/bot-7")
    assert "corp/bot-7" in here.run("lease", "show", lease["lease"]).stdout
    assert f"issued {shown} → {ROLE} dev" in here.run("audit", "tail").stdout
    vends = [one for one in here.records() if one["event"].startswith("vend.")]
    assert [one["actor"] for one in vends] == ["corp/bot-7", "corp/bot-7"]
    dry = json.loads(here.run("vend", ROLE, "--dry-run", "--json", **me).stdout)
    tags = {one["Key"]: one["Value"] for one in dry["parameters"]["Tags"]}
    assert tags["agentauth:principal"] == "corp/alice"
    assert tags["agentauth:actor"] == "corp/bot-7"


@pytest.mark.parametrize(
    ("actor", "code"), [("bot-7", 0), (None, 5), ("bot", 5), ("alice", 5), ("bot-*", 4), ("", 4)]
)
def test_a_rule_can_ask_for_an_actor(delegated: Station, actor: str | None, code: int) -> None:
    """`when.actor` matches the current actor alone; one that is none refuses the token."""
    assert delegated.run("check", ROLE, AGENTAUTH_TOKEN=token(actor=actor)).returncode == code


def test_a_switch_on_an_actor_stops_whoever_acts_through_it(delegated: Station) -> None:
    """A principal's switch also stops whoever acts through it, and says what lives on."""
    assert delegated.run("vend", ROLE, AGENTAUTH_TOKEN=token()).returncode == 0
    done = delegated.run("disable", "--principal", "corp/bot-7", "--reason", "x")
    assert "corp/alice via corp/bot-7 for " in done.stdout
    assert "has not been seen" not in done.stderr
    assert delegated.run("vend", ROLE, AGENTAUTH_TOKEN=token()).returncode == 6
    assert delegated.run("vend", ROLE, AGENTAUTH_TOKEN=token(actor="bot-0")).returncode == 0


def test_an_actor_has_a_budget_of_its_own(delegated: Station) -> None:
    """A request is counted on its principal and on its actor."""
    delegated.write("budgets.toml", TWO)
    delegated.write("policy.toml", RULE.replace("corp/alice", "corp/*"))
    for sub, code in (("alice", 0), ("bob", 0), ("carol", 7)):
        assert delegated.run("vend", ROLE, AGENTAUTH_TOKEN=token(sub)).returncode == code
    other = token("carol", actor="bot-8")
    assert delegated.run("vend", ROLE, AGENTAUTH_TOKEN=other).returncode == 0
    delegated.everything_holds()
