"""A FastAPI service of twenty lines that authenticates its callers and vends for them."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from support.issuer import IssuerServer, signer
from support.station import TENTH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cloud import Cloud
    from support.station import Station

pytestmark = pytest.mark.whole

RULE = """\
version = 1

[[rule]]
id = "callers"
effect = "allow"
principals = ["corp/*"]
resources = ["arn:aws:s3:::acme-agents/agents/x/*"]
"""


@pytest.fixture
def issuer(here: Station) -> Iterator[IssuerServer]:
    """Run an issuer that the service believes."""
    with IssuerServer(signer("ES256").jwk()) as running:
        config = (here.folder / "config" / "config.toml").read_text()
        here.write(
            "config.toml",
            f'{config}\n[inbound.issuers.corp]\nissuer = "{running.url}"\n'
            'audience = "agentauth"\nkind = "agent"\n',
        )
        here.write("policy.toml", RULE)
        yield running


@pytest.fixture
def service(here: Station, issuer: IssuerServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the service in a process of its own; return its URL."""
    del issuer
    support = request.config.rootpath / "tests"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "support.service:app", "--port", str(port)],
        env={**here.environ, "PYTHONPATH": str(support)},
        cwd=here.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert b"Traceback" not in output, output.decode()
    assert b"eyJ" not in output


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, process.communicate()[0].decode()
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the service did not start")


def token(issuer: IssuerServer, subject: str = "build-7", **others: object) -> dict[str, str]:
    """Return the header of a caller."""
    now = int(time.time())
    claims = {"iss": issuer.url, "aud": "agentauth", "sub": subject, "iat": now, "exp": now + 900}
    return {"Authorization": f"Bearer {signer('ES256').token({**claims, **others})}"}


def upload(url: str, headers: dict[str, str], name: str = "a.txt") -> httpx.Response:
    """Ask the service for a credential."""
    return httpx.post(f"{url}/uploads/{name}", headers=headers, timeout=60)


def test_it_vends_for_its_callers(
    service: str, issuer: IssuerServer, here: Station, emulator: Cloud
) -> None:
    """Right caller: a credential that can do just that. Wrong ones: 401 with the reason."""
    answer = upload(service, token(issuer))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    lease = found.pop("lease")
    s3 = emulator.client("s3", found)
    s3.put_object(Bucket="acme-agents", Key="agents/x/a.txt", Body=b"hello")
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.put_object(Bucket="acme-agents", Key="agents/x/b.txt", Body=b"hello")
    assert lease in [record.get("lease") for record in here.records()]

    refused = {
        "no_identity": {},
        "expired": token(issuer, exp=int(time.time()) - 60, iat=0),
        "audience_refused": token(issuer, aud="elsewhere"),
        "presented_form": {"Authorization": "Basic eDp5"},
    }
    for reason, headers in refused.items():
        answer = upload(service, headers)
        assert (answer.status_code, answer.json()) == (401, {"detail": reason})


def test_what_it_may_not(service: str, issuer: IssuerServer, here: Station) -> None:
    """A switch, set while it runs, stops the next request; lifted, the one after it goes."""
    assert here.run("disable", "--principal", "corp/build-7", "--force").returncode == 0
    stopped = upload(service, token(issuer))
    assert stopped.status_code == 403
    assert "principal corp/build-7 is off" in stopped.json()["detail"]
    assert upload(service, token(issuer, "build-8")).status_code == 200
    assert here.run("enable", "--principal", "corp/build-7").returncode == 0
    assert upload(service, token(issuer)).status_code == 200
    here.everything_holds()


def test_many_callers_at_once(service: str, issuer: IssuerServer, here: Station) -> None:
    """24 requests at once on a budget of ten: ten credentials, and the chain is whole."""
    here.write("budgets.toml", TENTH)
    headers = token(issuer)
    with ThreadPoolExecutor(24) as pool:
        codes = list(pool.map(lambda _: upload(service, headers).status_code, range(24)))
    assert sorted(codes) == [200] * 10 + [403] * 14
    here.everything_holds()


def test_it_does_not_start_without_a_configuration(tmp_path: Path, here: Station) -> None:
    """What is missing is said at the start, not at the first caller."""
    done = here.shell(
        [sys.executable, "-c", "from agentauth_cli import AgentAuth; AgentAuth.from_config()"],
        AGENTAUTH_CONFIG_DIR=str(tmp_path / "nowhere"),
    )
    assert done.returncode == 1
    assert "NotConfiguredError: there is no" in done.stderr
