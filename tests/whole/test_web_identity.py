"""Web identity in the real program: a JWT issuer, a token endpoint and an STS, all on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from support import sts
from support.cloud import ACCOUNT, ROLE
from support.faulty import Faulty, answer, silence
from support.issuer import IssuerServer, signer
from support.station import TENTH, config, station

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.faulty import Part
    from support.station import Station

pytestmark = pytest.mark.whole

KEY = signer("ES256")
AUDIENCE = "sts.amazonaws.com"
RULE = """\
version = 1

[[rule]]
id = "corp"
effect = "allow"
principals = ["corp/*"]
"""
ISSUER = """
[inbound.issuers.corp]
issuer = "{issuer}"
audience = "agentauth"
kind = "agent"
"""
WARNING = (
    "environments.dev.aws.reuse_inbound: whoever holds the presented token can go to aws "
    "without agentauth, past policy, budgets and audit"
)
EXCHANGE = """\
client_id = "agents"
token_endpoint = "{exchange}/token"
"""


@dataclass
class World:
    """A station, whose three servers answer well until their scripts are changed."""

    here: Station
    issuer: IssuerServer
    exchange: Faulty
    sts: Faulty

    def configure(self, keys: str, *, exchange: bool = False) -> None:
        """Set the source of the environment to web identity with these keys."""
        source = f'source = "web_identity"\n{keys}'
        text = config(self.sts.url).replace('source = "profile:source"', source)
        issuer = ISSUER + (EXCHANGE if exchange else "")
        text += issuer.format(issuer=self.issuer.url, exchange=self.exchange.url)
        self.here.write("config.toml", text)
        self.here.write("policy.toml", RULE)

    def token(self, audience: str | list[str] = "agentauth", lives: int = 1200) -> str:
        """Return a good token of now."""
        now = int(time.time())
        claims = {"iss": self.issuer.url, "sub": "build-7", "iat": now, "exp": now + lives}
        return KEY.token({**claims, "aud": audience})

    def asked(self, server: Faulty, number: int = -1) -> dict[str, str]:
        """Return a form that a server was sent."""
        form = parse_qs(server.requests[number].body.decode())
        return {name: value for name, (value,) in form.items()}

    def issued(self, **changed: Any) -> list[Part]:
        """Return the answer of a good token endpoint."""
        content = {
            "access_token": self.token(AUDIENCE, 300),
            "issued_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_type": "N_A",
            "expires_in": 300,
        }
        return answer(json.dumps(content | changed).encode())

    def granted(self) -> list[Part]:
        """Return the session that was asked for."""
        form = self.asked(self.sts)
        ends = datetime.now(UTC) + timedelta(seconds=int(form["DurationSeconds"]))
        return sts.credential(
            form["RoleSessionName"],
            operation=form["Action"],
            role=ROLE,
            account=ACCOUNT,
            expires=f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Run the three servers."""
    with running(tmp_path) as made:
        yield made


@contextmanager
def running(folder: Path) -> Iterator[World]:
    """Run the three servers until the end of the block."""
    with IssuerServer(KEY.jwk()) as issuer, Faulty([]) as exchange, Faulty([]) as asked:
        made = World(station(folder / "station", asked.url, {}), issuer, exchange, asked)
        exchange.script = [lambda: iter(made.issued())]
        asked.script = [lambda: iter(made.granted())]
        yield made


def no_secret(world: World, shown: str, *tokens: str) -> None:
    """Hold that nothing secret is in what was shown, or in any file of the state."""
    written = b"".join(one.read_bytes() for one in world.here.folder.glob("state/**/*.db*"))
    minted = (sts.KEYS["SecretAccessKey"], sts.KEYS["SessionToken"])
    for secret in (*minted, *(part for token in tokens for part in token.split("."))):
        assert secret not in shown
        assert secret.encode() not in written


def test_a_token_by_exchange_goes_to_aws_and_the_presented_one_does_not(world: World) -> None:
    """The token that a caller shows to us is not the one that providers trust."""
    world.configure("", exchange=True)
    shown = world.token()
    done = world.here.run("vend", ROLE, "--debug", AGENTAUTH_TOKEN=shown)
    assert done.returncode == 0, done.stderr
    vended = json.loads(done.stdout)
    assert vended["SecretAccessKey"] == sts.KEYS["SecretAccessKey"]
    form, asked = world.asked(world.sts), world.asked(world.exchange)
    assert (asked["subject_token"], asked["audience"]) == (shown, AUDIENCE)
    assert form["WebIdentityToken"] != shown
    assert form["RoleSessionName"].endswith(f"-{vended['lease']}")
    assert json.loads(form["Policy"])["Statement"][0]["Action"] == ["s3:PutObject"]
    assert "authorization" not in world.sts.requests[0].headers
    no_secret(world, done.stderr, shown, form["WebIdentityToken"])
    world.here.everything_holds()


def test_a_token_file_vouches_whoever_asks(world: World) -> None:
    """From `token_file` of the environment's provider, relative to the configuration."""
    world.configure('token_file = "projected/token"', exchange=True)
    folder = world.here.folder / "config" / "projected"
    folder.mkdir(mode=0o700)
    (folder / "token").write_text(world.token(AUDIENCE))
    world.here.json("vend", ROLE, AGENTAUTH_TOKEN=world.token())
    assert world.asked(world.sts)["WebIdentityToken"] == (folder / "token").read_text()
    assert not world.exchange.requests


def test_a_presented_token_is_reused_only_where_it_may_be_and_a_dry_run_warns(world: World) -> None:
    """`vend --dry-run` says that the caller can go round agentauth with it."""
    shown = world.token(["agentauth", AUDIENCE])
    world.configure("")
    done = world.here.run("vend", ROLE, AGENTAUTH_TOKEN=shown)
    assert (done.returncode, done.stdout) == (4, "")
    assert "nothing gives a token of corp/build-7" in done.stderr
    world.configure("reuse_inbound = true")
    done = world.here.run("vend", ROLE, "--dry-run", AGENTAUTH_TOKEN=shown)
    assert done.returncode == 0
    assert done.stderr == f"warning: {WARNING}\n"
    assert f"token: for {AUDIENCE}, from the presented token\n" in done.stdout
    assert not world.sts.requests
    world.here.json("vend", ROLE, AGENTAUTH_TOKEN=shown)
    assert world.asked(world.sts)["WebIdentityToken"] == shown
    no_secret(world, done.stdout + done.stderr, shown)


def test_a_dry_run_shows_what_is_then_sent(world: World) -> None:
    """Exactly what would be asked of the provider; nothing is reserved, fetched or minted."""
    world.configure("", exchange=True)
    token = world.token(lives=7200)
    told = world.here.json("vend", ROLE, "--dry-run", "--json", AGENTAUTH_TOKEN=token)
    assert not world.sts.requests
    assert not world.exchange.requests
    assert world.here.events() == ["check"]
    vended = world.here.json("vend", ROLE, AGENTAUTH_TOKEN=token)
    sent = world.asked(world.sts)
    del sent["WebIdentityToken"], sent["Version"]
    shown = {name: str(value) for name, value in told["parameters"].items()}
    shown["RoleSessionName"] = shown["RoleSessionName"].replace("LEASE", vended["lease"])
    assert {"Action": told["operation"], **shown} == sent
    assert (told["endpoint"], told["audience"]) == (world.sts.url, AUDIENCE)
    assert told["token"] == f"an exchange at issuer corp, {world.exchange.url}/token"


@pytest.mark.parametrize(("lives", "least", "most"), [(1200, 1100, 1200), (60, 900, 900)])
def test_what_is_left_of_the_login_cuts_the_duration(
    world: World, lives: int, least: int, most: int
) -> None:
    """What vouches ends: the duration is cut, never below what AWS can mint."""
    world.configure("", exchange=True)
    world.here.json("vend", ROLE, AGENTAUTH_TOKEN=world.token(lives=lives))
    assert least <= int(world.asked(world.sts)["DurationSeconds"]) <= most


def test_switches_and_budgets_hold_as_for_any_other_source(world: World) -> None:
    """Nothing is asked of issuer or STS while a switch is on or a budget is used up."""
    world.configure("", exchange=True)
    world.here.write("budgets.toml", TENTH.replace("10", "1"))
    token = world.token()
    assert world.here.run("disable", "--tool", ROLE, AGENTAUTH_TOKEN=token).returncode == 0
    assert world.here.run("vend", ROLE, AGENTAUTH_TOKEN=token).returncode == 6
    assert world.here.run("enable", "--tool", ROLE, AGENTAUTH_TOKEN=token).returncode == 0
    assert not world.exchange.requests
    world.here.json("vend", ROLE, AGENTAUTH_TOKEN=token)
    assert world.here.run("vend", ROLE, AGENTAUTH_TOKEN=token).returncode == 7
    assert (len(world.exchange.requests), len(world.sts.requests)) == (1, 1)
    world.here.everything_holds()


SECRET = sts.KEYS["SecretAccessKey"]
Said = Callable[["World"], "list[Part]"]
FAILURES: dict[str, tuple[Said, Said, int, int]] = {
    "the issuer refuses, and says the token again": (
        lambda world: answer(json.dumps({"error": world.token()}).encode(), 400),
        lambda _: [],
        4,
        0,
    ),
    "the issuer gives a token for another": (
        lambda world: world.issued(access_token=world.token("other")),
        lambda _: [],
        4,
        0,
    ),
    "STS is busy every time": (
        World.issued,
        lambda _: sts.error("Throttling", "slow", 503, Retry_After="86400"),
        8,
        3,
    ),
    "STS does not trust it": (World.issued, lambda _: sts.error("AccessDenied", "no"), 8, 1),
    "STS says that it has expired": (
        World.issued,
        lambda _: sts.error("ExpiredTokenException", "no", 400),
        4,
        1,
    ),
    "STS says a secret": (
        World.issued,
        lambda _: sts.error("No", f"&lt;SecretAccessKey&gt;{SECRET}&lt;/SecretAccessKey&gt;", 400),
        8,
        1,
    ),
    "STS answers for somebody else": (
        World.issued,
        lambda _: sts.credential(
            "other", operation="AssumeRoleWithWebIdentity", role=ROLE, account=ACCOUNT
        ),
        8,
        1,
    ),
    "an answer that is none": (World.issued, lambda _: answer(SECRET.encode()), 8, 1),
}
"""What issuer and STS say, the exit code, and how often STS is asked."""


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_releases_the_reservation_and_shows_no_secret(world: World, case: str) -> None:
    """Anything else is exit 8, or 4 for the token, with the reservation released."""
    world.configure("", exchange=True)
    world.here.write("budgets.toml", TENTH.replace("10", "1"))
    issuer, provider, code, asked = FAILURES[case]
    token = world.token()
    world.exchange.script, world.sts.script = [issuer(world)], [provider(world)]
    done = world.here.run("vend", ROLE, "--debug", AGENTAUTH_TOKEN=token)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" in done.stderr
    assert len(world.sts.requests) == asked
    no_secret(world, done.stderr, token, *(one["WebIdentityToken"] for one in forms(world)))
    assert world.here.events() == ["vend.intent", "vend.failed"]
    world.exchange.script = [world.issued()]
    world.sts.script = [lambda: iter(world.granted())]
    world.here.json("vend", ROLE, AGENTAUTH_TOKEN=token)
    world.here.everything_holds()


def forms(world: World) -> list[dict[str, str]]:
    """Return all that STS was asked."""
    return [world.asked(world.sts, number) for number in range(len(world.sts.requests))]


@pytest.mark.parametrize("silent", ["exchange", "sts"])
def test_a_signal_while_somebody_is_asked_releases_the_reservation(
    world: World, silent: str
) -> None:
    """128+N: the reservation released, whoever has not answered yet."""
    world.configure("", exchange=True)
    server: Faulty = getattr(world, silent)
    server.script = [silence()]
    process = world.here.start("vend", ROLE, AGENTAUTH_TOKEN=world.token())
    until(lambda: bool(server.requests))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (143, b"")
    assert b"Traceback" not in err
    assert world.here.events() == ["vend.intent", "vend.failed"]
    world.here.everything_holds()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, half a minute at most."""
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def test_no_sdk_is_loaded_on_the_whole_way(world: World) -> None:
    """Web identity at AWS is an unsigned form POST and needs no SDK."""
    world.configure("reuse_inbound = true")
    program = (
        "import sys; from agentauth_cli.cli.run import run; code = run(sys.argv[1:]); "
        "print(code, *({'boto3', 'botocore'} & set(sys.modules)), file=sys.stderr)"
    )
    token = world.token(["agentauth", AUDIENCE])
    done = world.here.shell([sys.executable, "-c", program, "vend", ROLE], AGENTAUTH_TOKEN=token)
    assert done.stderr == "0\n"
    assert sts.KEYS["SessionToken"] in done.stdout


def test_the_library_mints_with_the_configured_token_file(world: World) -> None:
    """`AgentAuth.vend`, and a broker made by hand, read the configuration in force."""
    file = world.here.folder / "token"
    file.write_text(world.token(AUDIENCE))
    world.configure(f'token_file = "{file}"')
    program = (
        "from agentauth_cli import *; who = Principal('corp/build-7', 'build-7'); "
        f"print(AgentAuth.from_config().vend(who, '{ROLE}').credential_type); "
        f"asked = ToolRequest(tool_name='{ROLE}', provider=ProviderType.AWS, "
        "action='s3:PutObject', resource='arn:aws:s3:::b/*'); "
        "print(AWSCredentialBroker().vend_credential(who, asked).credential_type)"
    )
    done = world.here.shell([sys.executable, "-c", program])
    assert done.stdout == "aws_sts_session\naws_sts_session\n", done.stderr
    assert [one["WebIdentityToken"] for one in forms(world)] == [file.read_text()] * 2
    assert world.here.events() == ["vend.intent", "vend.issued"]


def test_the_library_exchanges_what_its_caller_has_shown(world: World) -> None:
    """`presented` is the caller's; the token of the process itself is nobody else's."""
    world.configure("", exchange=True)
    program = (
        "import sys; from agentauth_cli import *; auth = AgentAuth.from_config()\n"
        "shown = f'Bearer {sys.stdin.read()}'; who = auth.authenticate(shown)\n"
        f"print(auth.vend(who, '{ROLE}', presented=shown).credential_type)\n"
        f"try: auth.vend(who, '{ROLE}')\n"
        "except AuthenticationError as error: print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**world.here.environ, "AGENTAUTH_TOKEN": world.token()},
        input=world.token(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "aws_sts_session",
        "nothing gives a token of corp/build-7 for the provider",
    ], done.stderr


def test_doctor_reads_a_token_file_and_names_a_bypass(world: World) -> None:
    """`doctor` says where a caller could go round us, and exits 1 where something is sick."""
    world.configure("reuse_inbound = true")
    found = world.here.json("doctor", "--json")["findings"]
    assert [one["message"] for one in found if one["state"] == "warning"] == [WARNING]
    token = world.token("other")
    file = world.here.folder / "token"
    file.write_text(token)
    world.configure(f'token_file = "{file}"')
    done = world.here.run("doctor")
    assert done.returncode == 1
    assert f"audience is not {AUDIENCE}" in done.stdout
    no_secret(world, done.stdout + done.stderr, token)
