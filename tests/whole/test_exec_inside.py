"""What a command behind `exec` can find: the vended credential, and no other."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.cloud import ROLE
from support.issuer import signer
from support.leading import FILES, LEADING
from support.station import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

    from support.station import Station

pytestmark = pytest.mark.whole

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
FOLDERS = {"AGENTAUTH_CONFIG_DIR", "AGENTAUTH_STATE_DIR", "AGENTAUTH_DATA_DIR"}
OURS = {"AGENTAUTH_LEASE", "AGENTAUTH_EXPIRATION", *FOLDERS}
GOOGLES = ("GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT")
VENDED = {
    "AWS_ACCESS_KEY_ID": "MADE-UP-KEY-ID",
    "AWS_SECRET_ACCESS_KEY": "made-up-secret-value",
    "AWS_SESSION_TOKEN": "made-up-session-token-value",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}
FIND_AWS = """\
import json, os
for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
    del os.environ[name]
import boto3
session = boto3.Session()
print(session.get_credentials(), session.available_profiles)
"""
FIND_GOOGLE = """\
import google.auth
try:
    print(google.auth.default())
except google.auth.exceptions.DefaultCredentialsError:
    print("none")
"""
FIND_GOOGLE_ELSEWHERE = f"""\
import os
os.environ.pop("CLOUDSDK_CONFIG", None)
os.environ.pop("NO_GCE_CHECK", None)
{FIND_GOOGLE}"""
"""As Go and older Node do: below HOME, and the metadata service unless it is somewhere else."""
FIND_HUGGING_FACE = "import huggingface_hub; print(huggingface_hub.get_token())"


def inside(near: Station, script: str, *options: str, **variables: str) -> str:
    """Return what a script of Python prints behind `exec`."""
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = near.run("exec", ROLE, *options, "--", *command, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def environ(near: Station, *options: str, **variables: str) -> dict[str, str]:
    """Return the environment of a command behind `exec`."""
    found: dict[str, str] = json.loads(inside(near, SHOW, *options, **variables))
    return found


def test_it_has_what_its_providers_programs_read(near: Station) -> None:
    """Sets the credentials, AGENTAUTH_LEASE, AGENTAUTH_EXPIRATION."""
    found = environ(near)
    assert found.items() >= VENDED.items()
    issued = next(one for one in near.records() if one["event"] == "vend.issued")
    assert found["AGENTAUTH_LEASE"] == issued["lease"]
    assert found["AGENTAUTH_EXPIRATION"] == found["AWS_CREDENTIAL_EXPIRATION"]
    assert found["AGENTAUTH_EXPIRATION"] == issued["expires_at"][:19] + "Z"


def test_no_variable_that_leads_to_another_credential_is_there(near: Station) -> None:
    """Variables by name and by value; `--inherit NAME` for exceptions."""
    # Those by which our own way to the source, the identity or the files would change.
    ours = ("AGENTAUTH_", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB", "AWS_ROLE")
    names = [one for one in LEADING if not one.startswith(ours)]
    given = dict.fromkeys(names, "leading-to-a-credential")
    given |= {"agentauth_env": "x", "my_token": "x", "LOOKS_LIKE": "hf_" + "MadeUp" * 5}
    found = environ(near, **given)
    there = {name for name in {*LEADING, *given} & found.keys() if name not in VENDED}
    assert there == {"AWS_CREDENTIAL_EXPIRATION", "GOOGLE_APPLICATION_CREDENTIALS"}
    assert all("leading-to" not in value for value in found.values())
    assert {name for name in found if name.startswith("AGENTAUTH")} == OURS
    let = environ(near, "--inherit", "NPM_TOKEN", "--inherit", "LOOKS_LIKE", **given)
    assert {name: let.get(name) for name in ("NPM_TOKEN", "LOOKS_LIKE")} == {
        name: given[name] for name in ("NPM_TOKEN", "LOOKS_LIKE")
    }


def test_what_said_who_is_asking_is_not_there(near: Station) -> None:
    """Ours, and those that lead to AWS: a token named the caller, and a token file mints."""
    now = int(time.time())
    claims = {"iss": "https://issuer.example", "sub": "build-7", "exp": now + 900}
    minting = near.folder / "minting"
    minting.write_text(signer("ES256").token({**claims, "aud": "sts.amazonaws.com"}))
    keys = near.folder / "config" / "keys.json"
    keys.write_text(json.dumps({"keys": [signer("ES256").jwk()]}))
    keys.chmod(0o600)
    keyless = f'source = "web_identity"\ntoken_file = "{minting}"'
    config = (near.folder / "config" / "config.toml").read_text()
    near.write(
        "config.toml",
        config.replace('source = "profile:source"', keyless)
        + '\n[inbound.issuers.corp]\nissuer = "https://issuer.example"\n'
        'audience = "agentauth"\njwks_file = "keys.json"\n',
    )
    policy = (near.folder / "config" / "policy.toml").read_text()
    near.write("policy.toml", policy.replace("os/*", "corp/*"))
    names = [name for name in LEADING if name.startswith("AWS_")]
    given = dict.fromkeys(names, "leading-to-a-credential")
    given |= {
        "AGENTAUTH_TOKEN": signer("ES256").token({**claims, "aud": "agentauth"}),
        "AGENTAUTH_API_KEY": "leading-to-a-credential",
        "AGENTAUTH_IDENTITY": "leading-to-a-credential",
        "AGENTAUTH_SOCKET": "leading-to-a-credential",
        "AGENTAUTH_ENV": "dev",
    }
    everything = environ(near, **given)
    # what measures coverage hands its own settings down, and they look like a token
    found = {name: one for name, one in everything.items() if not name.startswith("COVERAGE")}
    assert {name for name in found if name.startswith("AGENTAUTH")} == OURS
    assert {*names} & found.keys() <= {*VENDED, "AWS_CREDENTIAL_EXPIRATION"}
    assert not {value for value in found.values() if "leading-to" in value or "eyJ" in value}


def test_an_agentauth_inside_finds_the_lease_and_begins_no_ledger_of_its_own(
    near: Station,
) -> None:
    """Sets AGENTAUTH_LEASE: the folders are no secret, and pass, also with `--clean`."""
    for options in ([], ["--clean"]):
        report = f"{PROGRAM} budget record $AGENTAUTH_LEASE --tokens 50"
        done = near.run("exec", ROLE, *options, "--", "sh", "-c", report)
        assert done.returncode == 0, done.stderr
        assert near.events()[-2:] == ["usage.recorded", "lease.settled"]
    assert len(list(near.folder.rglob("ledger.db"))) == 1


def test_config_toml_lets_names_through_too(near: Station) -> None:
    """`[exec] inherit` for exceptions."""
    config = near.folder / "config" / "config.toml"
    near.write("config.toml", config.read_text() + '\n[exec]\ninherit = ["NPM_TOKEN"]\n')
    found = environ(near, NPM_TOKEN="made-up", GITHUB_TOKEN="made-up")
    assert found["NPM_TOKEN"] == "made-up"
    assert "GITHUB_TOKEN" not in found


def test_clean_leaves_what_a_shell_needs(near: Station) -> None:
    """`--clean` for an environment with only PATH, HOME, USER and the like."""
    found = environ(near, "--clean", EDITOR="vi", LC_TIME="C", TZ="UTC", USER="x")
    set_by_us = {"AWS_EC2_METADATA_DISABLED", "NO_GCE_CHECK", "CLOUDSDK_CORE_CHECK_GCE_METADATA"}
    set_by_us |= {"METADATA_SERVER_DETECTION", *GOOGLES}
    measured = {name for name in found if name.startswith("COVERAGE")}
    assert found.keys() - VENDED.keys() - OURS - set(FILES) - set_by_us - measured == {
        *("PATH", "HOME", "LC_TIME", "TZ", "USER", "LC_CTYPE", "AWS_CREDENTIAL_EXPIRATION")
    }


def aws_files(near: Station) -> dict[str, str]:
    """Lay out files with keys where boto3 looks, and return the variables that name them."""
    (near.folder / ".aws").mkdir()
    key = "aws_access_key_id = OTHERKEY\naws_secret_access_key = other\n"
    for name in ("credentials", "config"):
        (near.folder / ".aws" / name).write_text(f"[default]\n{key}")
    return {"AWS_CONFIG_FILE": str(near.folder / ".aws" / "config")}


def google_files(near: Station) -> dict[str, str]:
    """Lay out application default credentials as `gcloud auth` does."""
    folder = near.folder / ".config" / "gcloud"
    folder.mkdir(parents=True)
    key = {"type": "authorized_user", "client_id": "x", "client_secret": "x", "refresh_token": "x"}
    (folder / "application_default_credentials.json").write_text(json.dumps(key))
    return {"GOOGLE_CLOUD_PROJECT": "acme"}


def hugging_face_files(near: Station) -> dict[str, str]:
    """Lay out a stored token as `hf auth login` does."""
    folder = near.folder / ".cache" / "huggingface"
    folder.mkdir(parents=True)
    (folder / "token").write_text("made-up-stored-token")
    return {}


@pytest.mark.parametrize(
    ("files", "script", "nothing", "something"),
    [
        (aws_files, FIND_AWS, "None []", "default"),
        (google_files, FIND_GOOGLE, "none", "Credentials object"),
        (google_files, FIND_GOOGLE_ELSEWHERE, "none", "Credentials object"),
        (hugging_face_files, FIND_HUGGING_FACE, "None", "made-up-stored-token"),
    ],
)
def test_shared_files_hold_nothing_for_it(
    near: Station, files: Any, script: str, nothing: str, something: str
) -> None:
    """Shared AWS and Google files pointed at empty ones; without us each would be found."""
    variables = files(near)
    assert inside(near, script, **variables) == nothing
    keys = [word for name in FILES for word in ("--inherit", name)]
    assert something in inside(near, script, *keys, **variables)


def test_the_metadata_service_is_switched_off(near: Station) -> None:
    """AWS_EC2_METADATA_DISABLED=true, and the like of Google; else it is where nobody is."""
    given = dict.fromkeys(GOOGLES, "169.254.169.254")
    found = environ(near, AWS_EC2_METADATA_DISABLED="false", NO_GCE_CHECK="false", **given)
    assert {found[name] for name in GOOGLES} == {"127.0.0.1:1"}
    assert found["METADATA_SERVER_DETECTION"] == "none"
    assert found["AWS_EC2_METADATA_DISABLED"] == "true"
    assert found["NO_GCE_CHECK"] == "true"
    assert found["CLOUDSDK_CORE_CHECK_GCE_METADATA"] == "false"


def test_no_secret_is_in_our_own_environment_or_arguments(near: Station) -> None:
    """Variables with secrets are never set in our own environment."""
    script = "import os; print(open(f'/proc/{os.getppid()}/cmdline').read())"
    shown = inside(near, script)
    assert VENDED["AWS_SESSION_TOKEN"] not in shown
    if os.getuid() == 0:  # nobody else can read it: see the tests of exec with pipes
        script = "import os; print(open(f'/proc/{os.getppid()}/environ').read())"
        assert VENDED["AWS_SESSION_TOKEN"] not in inside(near, script)


def test_a_file_of_ours_is_found_by_nobody(near: Station, tmp_path: Path) -> None:
    """And nowhere else: no file of ours holds the credential."""
    inside(near, "pass")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert VENDED["AWS_SESSION_TOKEN"].encode() not in path.read_bytes(), path
