"""The patterns as people paste them: every snippet of patterns.md, run as it stands there.

What the text leaves open is bound in each test's first lines. Two snippets hold a place for
something of the reader's: those places are filled, and nothing else is changed.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import boto3
import pytest
from fastapi import FastAPI
from google.auth import impersonated_credentials
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials
from pydantic import BaseModel

import agentauth_cli
from agentauth_cli import (
    AgentAuth,
    AWSCredentialBroker,
    BudgetExceededError,
    BudgetTracker,
    FakeBroker,
    OpenAICredentialBroker,
    PermissionDeniedError,
    Principal,
    PrincipalBlockedError,
    ProviderCredential,
    ProviderDisabledError,
    ProviderType,
    QuotaExceededError,
    RateLimitExceededError,
    ToolDisabledError,
    ToolRequest,
    TooManyTokensError,
    calculate_cost,
)
from support import sts
from support.cloud import ACCOUNT, REGION, ROLE, ROOT, Cloud
from support.faulty import Faulty, answer
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.auth.transport import Response

SNIPPETS = re.findall(
    r"```python\n(.*?)```",
    Path(__file__).with_name("patterns.md").read_text(encoding="utf-8"),
    re.DOTALL,
)
ISSUER = "https://issuer.example"
AGENT = Principal("okta/agent_7", "agent_7", kind="agent")
RULE = 'version = 1\n[[rule]]\nid = "one"\neffect = "allow"\nprincipals = ["okta/*"]\n'


def paste(begins: str, names: dict[str, Any], **filled: str) -> dict[str, Any]:
    """Run the one snippet that holds this text; return what it leaves behind.

    All public names are there, as behind ``from agentauth_cli import …``. `filled` are the places
    that it holds for something of the reader's.
    """
    (found,) = [one for one in SNIPPETS if begins in one]
    for place, text in filled.items():
        assert place in found
        found = found.replace(place, text)
    public = {name: getattr(agentauth_cli, name) for name in agentauth_cli.__all__}
    scope = {**public, "json": json, "datetime": datetime, **names}
    exec(compile(found, begins, "exec"), scope)  # noqa: S102 - what a user would paste
    return scope


@pytest.fixture
def auth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, agentauth_folder: Path) -> AgentAuth:
    """Return `AgentAuth` by a configuration in force that believes an issuer."""
    config = agentauth_folder / "config.toml"
    config.write_text(
        config.read_text()
        + f'[inbound.issuers.okta]\nissuer = "{ISSUER}"\naudience = "agentauth"\n'
        + 'jwks_file = "keys.json"\nkind = "agent"\n'
    )
    keys = agentauth_folder / "keys.json"
    keys.write_text(json.dumps({"keys": [signer("ES256").jwk()]}))
    keys.chmod(0o600)
    monkeypatch.setenv("AGENTAUTH_CONFIG_DIR", str(agentauth_folder))
    monkeypatch.setenv("AGENTAUTH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("AGENTAUTH_DATA_DIR", str(tmp_path / "data"))
    return AgentAuth.from_config()


def token() -> str:
    """Return what the agent presents."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "agentauth", "sub": "agent_7", "iat": now, "exp": now + 600}
    return f"Bearer {signer('ES256').token(claims)}"


def obliged(folder: Path, obligations: str) -> None:
    """Let the policy's one rule have obligations."""
    (folder / "policy.toml").write_text(f"{RULE}obligations = {{ {obligations} }}\n")


def events(auth: AgentAuth) -> list[dict[str, Any]]:
    """Return all records."""
    with auth.wiring() as wiring:
        return [json.loads(row.record) for row in wiring.ledger.records()]


@pytest.fixture
def minting(monkeypatch: pytest.MonkeyPatch, agentauth_folder: Path) -> Iterator[Faulty]:
    """Run an STS that answers good credentials, which the configuration in force mints at."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    server = Faulty([])

    def assumed() -> list[Any]:
        asked = parse_qs(server.requests[-1].body.decode())
        account, role = asked["RoleArn"][0].split(":")[4:]
        ends = datetime.now(UTC) + timedelta(seconds=int(asked["DurationSeconds"][0]))
        return sts.credential(
            asked["RoleSessionName"][0],
            role=role.rpartition("/")[2],
            account=account,
            expires=f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        )

    server.script = [lambda: iter(assumed())]
    with server:
        at = f'region = "eu-west-1"\nsts_endpoint = "{server.url}"'
        config = agentauth_folder / "config.toml"
        config.write_text(config.read_text().replace('region = "eu-west-1"', at))
        yield server


# -- 1: never hold long-lived secrets ----------------------------------------------------------


def test_the_bad_way_to_hold_keys() -> None:
    """The bad example runs too, and holds what nobody should."""
    assert "aws_secret_key" in paste("Never expires!", {})["agent_config"]


def test_a_credential_on_demand(auth: AgentAuth, minting: Faulty) -> None:
    """Broker mints STS credentials with session policy."""
    agent, broker = auth.authenticate(token()), auth.broker(ProviderType.AWS)
    credential = paste("# Agent requests capability", {"agent": agent, "broker": broker})[
        "credential"
    ]
    assert set(credential.credentials) == {
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "region_name")
    }
    asked = parse_qs(minting.requests[0].body.decode())
    assert asked["DurationSeconds"] == ["900"]
    (statement,) = json.loads(asked["Policy"][0])["Statement"]
    assert statement["Action"] == ["s3:PutObject"]
    assert statement["Resource"] == "arn:aws:s3:::bucket/prefix/*"


# -- 2: tool-centric authorization -------------------------------------------------------------


def test_the_bad_way_to_check() -> None:
    """The bad example runs too."""

    class User(BaseModel):
        role: str

    class Forbidden(Exception):  # noqa: N818 - the snippet's name
        pass

    scope = paste("@app.post", {"app": FastAPI(), "User": User, "Forbidden": Forbidden})
    assert scope["generate"](User(role="admin")) is None
    with pytest.raises(Forbidden):
        scope["generate"](User(role="developer"))


def test_a_check_by_capability(auth: AgentAuth, agentauth_folder: Path) -> None:
    """`pdp.evaluate(principal=, action=, resource=)`; obligations are checked by the program."""
    agent, pdp = auth.authenticate(token()), auth.pdp
    obliged(agentauth_folder, "max_tokens = 100")
    names = {"agent": agent, "pdp": pdp, "tokens": 100}
    assert paste("raise TooManyTokensError()", names)["decision"].max_tokens == 100
    with pytest.raises(TooManyTokensError):
        paste("raise TooManyTokensError()", {**names, "tokens": 101})


# -- 3: scoped credentials per request ---------------------------------------------------------


def test_a_session_policy_by_hand(minting: Faulty) -> None:
    """The bare call that the broker makes for you."""
    client = boto3.client("sts", endpoint_url=minting.url, region_name=REGION)
    scope = paste("session_policy = {", {"sts": client, "agent": AGENT})
    assert scope["credentials"]["Credentials"]["SessionToken"]
    asked = parse_qs(minting.requests[0].body.decode())
    assert asked["RoleSessionName"] == ["agent-agent_7"]


def test_a_service_account_impersonated() -> None:
    """Impersonation with a narrow scope, against a loopback IAM Credentials."""
    workload_identity_token = Credentials("made-up-federated-token")
    scope = paste(
        "target_credentials = ",
        {
            "impersonated_credentials": impersonated_credentials,
            "workload_identity_token": workload_identity_token,
        },
    )
    ends = datetime.now(UTC) + timedelta(seconds=900)
    body = {"accessToken": "made-up-narrow-token", "expireTime": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}
    with Faulty([answer(json.dumps(body).encode())]) as server:
        send = Request()

        def on_loopback(url: str, **rest: Any) -> Response:
            fixed = "https://iamcredentials.googleapis.com"
            assert url.startswith(f"{fixed}/")
            return send(url.replace(fixed, server.url), **rest)  # type: ignore[no-any-return]

        scope["target_credentials"].refresh(on_loopback)
        (asked,) = server.requests
    assert scope["target_credentials"].token == "made-up-narrow-token"
    assert asked.target.endswith(
        "/serviceAccounts/storage-reader@project.iam.gserviceaccount.com:generateAccessToken"
    )
    assert asked.headers["authorization"] == "Bearer made-up-federated-token"
    assert json.loads(asked.body)["lifetime"] == "900s"


# -- 4: obligations ----------------------------------------------------------------------------


def test_obligations_from_policy(auth: AgentAuth, agentauth_folder: Path) -> None:
    """Log, tokens, cost, rate: each is enforced by the program, with our parts."""
    pdp, audit_log, rate_limiter = auth.pdp, auth.audit_log, auth.rate_limiter
    agent = auth.authenticate(token())
    action = agentauth_cli.Action(verb="generate", provider="openai", resource_type="chat")
    resource = agentauth_cli.Resource("openai", "project", "proj-123")
    names: dict[str, Any] = {
        "pdp": pdp,
        "audit_log": audit_log,
        "rate_limiter": rate_limiter,
        "agent": agent,
        "action": action,
        "resource": resource,
        "context": agentauth_cli.PolicyContext(),
        "tokens": 10,
        "cost": 0.02,
    }
    limits = 'must_log = true, max_tokens = 10, max_cost = "0.02", rate_limit = "3/day"'
    obliged(agentauth_folder, limits)
    paste("# Enforce obligations", names)
    assert [one["event"] for one in events(auth)][-2:] == ["app.record", "usage.recorded"]
    with pytest.raises(QuotaExceededError, match="Max 10 tokens"):
        paste("# Enforce obligations", {**names, "tokens": 11})
    with pytest.raises(BudgetExceededError, match=r"Max \$0\.02"):
        paste("# Enforce obligations", {**names, "cost": 0.021})
    paste("# Enforce obligations", names)
    paste("# Enforce obligations", names)
    with pytest.raises(RateLimitExceededError):
        paste("# Enforce obligations", names)


# -- 5: environments by boundary ---------------------------------------------------------------


def test_a_project_an_environment() -> None:
    """`OpenAICredentialBroker` can be made, without any configuration."""
    scope = paste("openai_broker_dev = ", {})
    assert isinstance(scope["openai_broker_dev"], OpenAICredentialBroker)
    assert scope["openai_broker_dev"].project_id == "proj-dev-123"
    assert scope["openai_broker_prod"].project_id == "proj-prod-456"


def test_an_account_an_environment(auth: AgentAuth, minting: Faulty) -> None:
    """Each broker assumes roles of its own account; the rest is the configuration's in force."""
    agent = auth.authenticate(token())
    scope = paste("aws_broker_dev = ", {})
    request = ToolRequest("s3_upload", ProviderType.AWS, "s3:PutObject", "arn:aws:s3:::b/*")
    for name in ("dev", "prod"):
        scope[f"aws_broker_{name}"].vend_credential(agent, request)
    asked = [parse_qs(one.body.decode())["RoleArn"][0] for one in minting.requests]
    assert asked == [
        "arn:aws:iam::111111111111:role/s3_upload",
        "arn:aws:iam::999999999999:role/s3_upload",
    ]


# -- 6: kill switches --------------------------------------------------------------------------

REQUEST = ToolRequest("s3_upload", ProviderType.OPENAI, "x", "y")


def test_a_tool_disabled() -> None:
    """Per-tool disable."""
    with pytest.raises(ToolDisabledError, match="s3_upload is disabled"):
        paste("disabled_tools", {"tool_request": REQUEST})


def test_a_provider_disabled() -> None:
    """Per-provider disable."""
    with pytest.raises(ProviderDisabledError, match="openai is disabled"):
        paste("disabled_providers", {"tool_request": REQUEST})


def test_a_principal_blocked() -> None:
    """Per-principal disable."""
    principal = Principal("okta/agent_123", "agent_123")
    with pytest.raises(PrincipalBlockedError, match="agent_123 is blocked"):
        paste("blocked_principals", {"principal": principal})


# -- 7: budget limits --------------------------------------------------------------------------


def test_spend_by_principal_and_provider(auth: AgentAuth) -> None:
    """Track costs per principal + per provider; the tracker is made without arguments."""
    agent = auth.authenticate(token())
    names = {"agent": agent, "estimated_cost": 0.2, "actual_cost": 0.1, "budget_limit": 0.4}
    for _ in range(3):
        scope = paste("budget_tracker = BudgetTracker()", names)
    assert scope["current_spend"] == 0.2
    with pytest.raises(
        BudgetExceededError, match=r"Hourly budget \$0\.4 exceeded \(current: \$0\.3"
    ):
        paste("budget_tracker = BudgetTracker()", names)
    spent = BudgetTracker(auth).get_spend(
        principal_id=agent.id, provider=ProviderType.OPENAI, period="daily"
    )
    assert spent == 0.3


# -- the complete flow -------------------------------------------------------------------------


class _OpenAI(BaseHTTPRequestHandler):
    """Answers a chat, for who has the vended key."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        good = self.headers["authorization"] == "Bearer made-up-project-key"
        usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
        message = {"role": "assistant", "content": asked["messages"][0]["content"].upper()}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = json.dumps(
            {
                "id": "c1",
                "object": "chat.completion",
                "created": 1,
                "model": asked["model"],
                "choices": [choice],
                "usage": usage,
            }
        ).encode()
        self.send_response(200 if good and self.path == "/v1/chat/completions" else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def openai_url() -> Iterator[str]:
    """Run an OpenAI on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _OpenAI)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def test_the_complete_flow(
    auth: AgentAuth, openai_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inbound, policy, vend, execute, audit: with `FakeBroker` and a loopback OpenAI."""
    pdp, audit_log, broker = auth.pdp, auth.audit_log, FakeBroker()
    ends = datetime.now(UTC) + timedelta(hours=1)
    broker.set_credential(
        ProviderCredential(
            ProviderType.OPENAI, "openai_project_key", {"api_key": "made-up-project-key"}, ends
        )
    )

    incoming = SimpleNamespace(headers={"Authorization": token()})

    monkeypatch.setenv("OPENAI_BASE_URL", openai_url)
    scope = paste(
        "# 1. INBOUND",
        {
            "auth": auth,
            "pdp": pdp,
            "audit_log": audit_log,
            "broker": broker,
            "calculate_cost": calculate_cost,
            "request": incoming,
            "prompt": "hello",
        },
    )
    scope["client"].close()
    assert scope["response"].choices[0].message.content == "HELLO"
    record = events(auth)[-1]
    assert record["event"] == "app.record"
    assert record["data"]["principal_id"] == "agent_7"
    assert record["data"]["action"] == "openai.chat.generate"
    assert record["data"]["decision"] == "allow"
    assert record["data"]["tokens_used"] == 21
    assert float(record["data"]["cost"]) > 0
    assert "made-up-project-key" not in json.dumps(events(auth))


def test_the_complete_flow_for_a_stranger(auth: AgentAuth, agentauth_folder: Path) -> None:
    """A denied agent gets to no key."""
    incoming = SimpleNamespace(headers={"Authorization": token()})

    (agentauth_folder / "policy.toml").write_text("version = 1\n")
    broker = FakeBroker()
    with pytest.raises(PermissionDeniedError, match="no rule allows this"):
        paste(
            "# 1. INBOUND",
            {"auth": auth, "pdp": auth.pdp, "broker": broker, "request": incoming},
        )
    assert broker.requests == []


# -- testing strategy --------------------------------------------------------------------------


def test_the_tests_of_the_text(
    auth: AgentAuth,
    agentauth_folder: Path,
    emulator: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Both tests pass: the one with a fake broker, and the one that puts an object."""
    authenticate_agent = auth.authenticate
    ends = datetime.now(UTC) + timedelta(hours=1)
    given = {
        "provider": ProviderType.AWS,
        "credential_type": "aws_sts_session",
        "credentials": {"aws_access_key_id": "made-up"},
        "expires_at": ends,
    }
    with_an_account(agentauth_folder, emulator)
    (tmp_path / "credentials").write_text(
        "[source]\n" + "".join(f"{k.lower()} = {v}\n" for k, v in emulator.source.items())
    )
    (tmp_path / "aws-config").write_text("[profile source]\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", emulator.url)
    emulator.client("s3", ROOT).create_bucket(Bucket="test-bucket")
    scope = paste(
        "# Unit tests: Mock the broker",
        {
            "authenticate_agent": authenticate_agent,
            "token": token(),
            "given": given,
            "tool_request": REQUEST,
            "test_agent": AGENT,
            "boto3": boto3,
            "UTC": UTC,
            "s3_upload_request": ToolRequest(
                ROLE, ProviderType.AWS, "s3:PutObject", "arn:aws:s3:::test-bucket/*"
            ),
        },
        **{"ProviderCredential(...)": "ProviderCredential(**given)"},
        **{"datetime.utcnow()": "datetime.now(UTC)"},
    )
    scope["test_agent_auth"]()
    scope["test_aws_broker_integration"]()
    written = emulator.client("s3", ROOT).get_object(Bucket="test-bucket", Key="test.txt")
    assert written["Body"].read() == b"test"


def with_an_account(folder: Path, emulator: Cloud) -> None:
    """Let the configuration in force mint at the emulator, in an account that it names itself."""
    config = folder / "config.toml"
    text = config.read_text()
    text = text.replace("arn:aws:iam::{account_id}:role/", f"arn:aws:iam::{ACCOUNT}:role/")
    at = f'region = "{REGION}"\nsource = "profile:source"\nsts_endpoint = "{emulator.url}"'
    config.write_text(text.replace('region = "eu-west-1"', at))


def test_every_snippet_is_pasted() -> None:
    """Fifteen snippets, and a test for each."""
    source = Path(__file__).read_text(encoding="utf-8")
    begins = set(re.findall(r'paste\(\s*"([^"]*?)(?:\\n)?",', source))
    assert len(SNIPPETS) == 15
    for snippet in SNIPPETS:
        assert [one for one in begins if one in snippet], snippet
    assert AWSCredentialBroker.__doc__
