"""`exec` with a token of Hugging Face: the real program, huggingface_hub as it is used, a Hub."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support.hub import REVOKE, Hub
from support.hub_publishers import AUDIENCE, Publisher
from support.issuer import signer
from support.station import station
from support.sts_server import StsServer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.whole

ISSUER = "https://idp.acme.test"
CONFIG = """\
version = 1
default_environment = "dev"

[inbound]
os_login = true

[environments.dev.huggingface]
namespace = "acme"
token_file = "token"
endpoint = "{hub}"

[tools.hf_pull]
provider = "huggingface"
actions = ["huggingface.repo.read"]
permissions = ["repo.content.read"]
resource = "models/acme/private-llm"
"""
POLICY = """\
version = 1

[[rule]]
id = "pull"
effect = "allow"
principals = ["os/*"]
actions = ["huggingface.repo.read"]
resources = ["models/acme/*"]
"""
PULL = """
import sys
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError
print(open(hf_hub_download("acme/private-llm", "config.json", cache_dir="a")).read())
try:
    hf_hub_download("acme/other", "config.json", cache_dir="b")
except LocalEntryNotFoundError as error:
    print(error.__cause__.response.status_code)
"""


def test_a_command_pulls_what_it_may_with_a_token_that_ends_with_it(tmp_path: Path) -> None:
    """HF_TOKEN alone is enough, of another repository it opens nothing, and its end is asked for.

    A variable that would have huggingface_hub exchange by itself does not reach the command, and
    HF_ENDPOINT does not lead agentauth.
    """
    publisher = Publisher("acme/private-llm", ISSUER)
    now = int(time.time())
    proof = signer("ES256").token({"iss": ISSUER, "sub": "ci", "aud": AUDIENCE, "exp": now + 900})
    with Hub(publisher, keys={ISSUER: [signer("ES256").jwk()]}) as hub:
        for name in ("acme/private-llm", "acme/other"):
            hub.silo.put("model", name, {"config.json": b'{"layers": 2}'})
        here = station(tmp_path, "http://127.0.0.1:1", StsServer.source)
        here.write("config.toml", CONFIG.format(hub=hub.url))
        here.write("policy.toml", POLICY)
        here.write("token", proof)
        lure = {"HF_OIDC_RESOURCE": "acme/other", "HF_ENDPOINT": hub.url}
        done = here.run("exec", "hf_pull", "--", sys.executable, "-c", PULL, **lure)
        assert (done.returncode, done.stdout) == (0, '{"layers": 2}\n403\n'), done.stderr
        [token] = hub.given.values()
        assert token.revoked
        [revoked] = [one for one in hub.asked if one.target == REVOKE]
        assert json.loads(revoked.body) == {"credentials": [token.value]}
        records = here.records()
        assert [one["event"] for one in records] == [
            *("vend.intent", "vend.issued", "lease.settled", "lease.revoked"),
        ]
        assert records[-1]["outcome"] == "unconfirmed"
        assert token.value not in str(records) + done.stderr
        elsewhere = here.run("vend", "hf_pull", HF_ENDPOINT="http://127.0.0.1:1")
        assert elsewhere.returncode == 0, elsewhere.stderr
        here.everything_holds()
