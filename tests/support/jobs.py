"""Jobs of CI platforms: their tokens, and programs that stand for those of the platforms."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from support import sts
from support.cloud import ACCOUNT, ROLE
from support.faulty import Faulty, answer
from support.issuer import signer
from support.station import config, station

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.faulty import Part
    from support.station import Station

KEY = signer("RS256")
GITHUB = "https://token.actions.githubusercontent.com"
SUBJECT = "repo:acme/site:ref:refs/heads/main"
HEADER = KEY.token({}).partition(".")[0]
"""With which each of its tokens begins."""

BEARER = "made-up-request-token"
"""What authorizes a job to ask, and must be found nowhere."""


def token(aud: object = "agentauth", **changed: object) -> str:
    """Return a token of now, as a platform gives them to jobs."""
    now = int(time.time())
    usual = {
        "iss": GITHUB,
        "sub": SUBJECT,
        "aud": aud,
        "iat": now - 1,
        "nbf": now - 300,
        "exp": now + 3600,
        "repository_id": "42",
        "repository_owner_id": "7",
    }
    return KEY.token(usual | changed)


def value(text: object) -> list[Part]:
    """Return the answer of GitHub's endpoint with this token."""
    content = {"count": 1, "value": text}
    return answer(json.dumps(content).encode(), headers={"Content-Type": "application/json"})


def program(folder: Path, name: str, body: str) -> Path:
    """Make a program of a platform in a folder, which is returned."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return folder


AUDIENCE = "sts.amazonaws.com"
RULE = """\
version = 1

[[rule]]
id = "ci"
effect = "allow"
principals = ["ci/*"]
when = { auth = ["ci"], max_session_age = "1h" }
"""
ISSUER = """
[inbound.issuers.{name}]
preset = "{preset}"
issuer = "{issuer}"
audience = "agentauth"
ambient = {ambient}
jwks_file = "keys.json"
kind = "agent"
name_claim = "repository_id"
require = {{ {claim} = "7" }}
"""
CLAIMS = {
    "gitlab": "namespace_id",
    "google": "hd",
    "buildkite": "organization_id",
}
ISSUERS = {
    "github-actions": GITHUB,
    "gitlab": "https://gitlab.com",
    "google": "https://accounts.google.com",
    "buildkite": "https://agent.buildkite.com",
    "circleci": "https://oidc.circleci.com/org/00000000-0000-4000-8000-000000000007",
}
FLAVOR = {"Metadata-Flavor": "Google"}


@dataclass
class Place:
    """A station, the endpoint of its job's platform, and an STS."""

    here: Station
    platform: Faulty
    sts: Faulty

    def configure(self, preset: str, more: str = "", *, ambient: bool = True) -> None:
        """Let this platform's issuer stand for its jobs, and AWS take a token."""
        text = config(self.sts.url).replace('"profile:source"', '"web_identity"')
        self.here.write("config.toml", text + issuer("ci", preset, ambient=ambient) + more)
        self.here.write("policy.toml", RULE)
        self.here.write("keys.json", json.dumps({"keys": [KEY.jwk()]}))

    def github(self, **changed: str) -> dict[str, str]:
        """Return the variables of a job of GitHub."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.platform.url}/?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": BEARER,
            **changed,
        }

    def said(self) -> list[Part]:
        """Return GitHub's answer to the question that came last."""
        asked = parse_qs(urlsplit(self.platform.requests[-1].target).query)
        return value(token(asked["audience"][0]))

    def granted(self) -> list[Part]:
        """Return the session that STS was asked for."""
        form = parse_qs(self.sts.requests[-1].body.decode())
        ends = datetime.now(UTC) + timedelta(seconds=int(form["DurationSeconds"][0]))
        return sts.credential(
            form["RoleSessionName"][0],
            operation=form["Action"][0],
            role=ROLE,
            account=ACCOUNT,
            expires=f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        )

    def nothing_is_left(self, *shown: str) -> None:
        """Hold that neither what authorizes the job nor a token is in what was shown or kept."""
        files = [one for one in self.here.folder.glob("**/*") if one.is_file()]
        kept = b"".join(one.read_bytes() for one in files if one.parent.name != "bin")
        for secret in (BEARER, HEADER):
            assert secret.encode() not in kept
            assert secret not in "".join(shown)


def issuer(name: str, preset: str, *, ambient: bool) -> str:
    """Return an issuer of config.toml."""
    claim = CLAIMS.get(preset, "repository_owner_id")
    if preset == "circleci":
        claim = '"oidc.circleci.com/org-id"'
    return ISSUER.format(
        name=name,
        preset=preset,
        issuer=ISSUERS[preset],
        ambient=str(ambient).lower(),
        claim=claim,
    )


def theirs(preset: str, audience: str = "agentauth", **changed: object) -> str:
    """Return a token of a platform's issuer."""
    claims = dict.fromkeys(CLAIMS.values(), "7") | {"oidc.circleci.com/org-id": "7"}
    return token(audience, iss=ISSUERS[preset], **(claims | changed))


@contextmanager
def running(folder: Path) -> Iterator[Place]:
    """Run the two servers until the end of the block; they answer well."""
    with Faulty([]) as platform, Faulty([]) as asked:
        made = Place(station(folder / "station", asked.url, {}), platform, asked)
        platform.script = [lambda: iter(made.said())]
        asked.script = [lambda: iter(made.granted())]
        yield made
