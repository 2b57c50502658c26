"""What `bootstrap aws` prints, applied to a cloud that enforces it, and then vended with."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from support import cloud as clouds
from support.cloud import ACCOUNT, BUCKET, OTHER_BUCKET, REGION, ROOT
from support.formation import Stack
from support.issuer import signer
from support.station import station

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cloud import Cloud
    from support.station import Station

pytestmark = pytest.mark.whole

KEY = signer("ES256")
ISSUER = "https://issuer.example/agents"
TOOLS = f"""
[tools.upload]
provider = "aws"
actions = ["aws.s3.put"]
permissions = ["s3:PutObject"]
resource = "s3://{BUCKET}/${{principal.name}}/*"
duration = "2h"

[tools.look]
provider = "aws"
actions = ["aws.s3.list"]
permissions = ["s3:ListBucket", "s3:GetObject"]
resource = "s3://{BUCKET}/${{principal.name}}/*"
"""
CONFIG = """\
version = 1
default_environment = "{way}"

[inbound.issuers.corp]
issuer = "{issuer}"
audience = "agentauth"
jwks_file = "keys.json"
client_id = "agents"

[environments.{way}.aws]
account_id = "{account}"
role_arn_template = "arn:aws:iam::{{account_id}}:role/{path}{{tool_name}}-{way}"
region = "{region}"
sts_endpoint = "{url}"
iam_endpoint = "{url}"
{source}
"""
POLICY_FILE = """\
version = 1

[[rule]]
id = "corp"
effect = "allow"
principals = ["corp/*"]
"""
KEYED = 'source = "profile:source"\nrevoke_source = "profile:security"'
KEYLESS = 'source = "web_identity"\ntoken_file = "token"'


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run the emulator, with buckets and a user who may assume nothing of ours yet."""
    with clouds.cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def token(subject: str, audience: str = "agentauth") -> str:
    """Return a token of the issuer."""
    now = int(time.time())
    return KEY.token(
        {"iss": ISSUER, "sub": subject, "aud": audience, "iat": now, "exp": now + 3600}
    )


def settled(folder: Path, cloud: Cloud, way: str, source: str, path: str = "") -> Station:
    """Return a station of this way, whose caller is corp/alice."""
    here = station(folder / way, cloud.url, cloud.source)
    text = CONFIG.format(
        issuer=ISSUER,
        account=ACCOUNT,
        region=REGION,
        url=cloud.url,
        way=way,
        source=source,
        path=path,
    )
    here.write("config.toml", text + TOOLS)
    here.write("policy.toml", POLICY_FILE)
    here.write("keys.json", json.dumps({"keys": [KEY.jwk()]}))
    here.write("token", token("alice", "sts.amazonaws.com"))
    return replace(here, environ={**here.environ, "AGENTAUTH_TOKEN": token("alice")})


def applied(here: Station, cloud: Cloud, values: list[str]) -> Stack:
    """Apply what the program prints, with these values for its one parameter."""
    done = here.run("bootstrap", "aws", "--format", "cloudformation")
    assert done.returncode == 0, done.stderr
    (parameter,) = json.loads(done.stdout)["Parameters"]
    stack = Stack(cloud.client("iam", ROOT), {parameter: values})
    stack.apply(done.stdout)
    return stack


def client(cloud: Cloud, vended: dict[str, Any]) -> Any:
    """Return an S3 client with what was vended."""
    return cloud.client("s3", vended["credentials"])


def denied(call: Any, **named: Any) -> bool:
    """Say whether the cloud itself denies a call."""
    try:
        call(**named)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return True
    return False


def test_roles_of_a_source_with_a_key(cloud: Cloud, tmp_path: Path) -> None:
    """Applied and vended with: inside the scope works, outside is refused, revoked is over."""
    here = settled(tmp_path, cloud, "keyed", KEYED)
    iam = cloud.client("iam", ROOT)
    user = iam.get_user(UserName="agentauth")["User"]["Arn"]
    stack = applied(here, cloud, [user])
    iam.attach_user_policy(UserName="agentauth", PolicyArn=stack.made["Source"])
    upload, look = (client(cloud, here.json("vend", tool)) for tool in ("upload", "look"))
    upload.put_object(Bucket=BUCKET, Key="alice/report", Body=b"1")
    assert look.get_object(Bucket=BUCKET, Key="alice/report")["Body"].read() == b"1"
    look.list_objects_v2(Bucket=BUCKET, Prefix="alice/")
    assert denied(upload.put_object, Bucket=BUCKET, Key="bob/report", Body=b"1")
    assert denied(upload.put_object, Bucket=OTHER_BUCKET, Key="alice/report", Body=b"1")
    assert denied(upload.get_object, Bucket=BUCKET, Key="alice/report")
    assert denied(look.list_objects_v2, Bucket=BUCKET)
    assert denied(look.put_object, Bucket=BUCKET, Key="alice/report", Body=b"1")
    bounded(cloud, iam)
    lease = here.json("vend", "upload")["lease"]
    secured(here, iam, stack.made["Revoke"])
    done = here.run("lease", "revoke", lease, "--with-others", "--reason", "leak")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(f"{lease}: requested, ends at ")
    assert "; all sessions of arn:aws:iam::000000000000:role/upload-keyed from " in done.stdout
    assert denied(upload.put_object, Bucket=BUCKET, Key="alice/report", Body=b"1")
    look.list_objects_v2(Bucket=BUCKET, Prefix="alice/")
    here.everything_holds()


def bounded(cloud: Cloud, iam: Any) -> None:
    """Hold that no policy on a role takes it past the boundary, and who may assume it at all."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    iam.put_role_policy(RoleName="upload-keyed", PolicyName="more", PolicyDocument=document)
    assume = {
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/upload-keyed",
        "RoleSessionName": "by-hand",
    }
    names = {name.lower(): value for name, value in cloud.source.items()}
    keys = cloud.client("sts", names).assume_role(**assume)["Credentials"]
    whole = cloud.client(
        "s3",
        {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        },
    )
    whole.put_object(Bucket=BUCKET, Key="alice/report", Body=b"1")
    assert denied(whole.delete_object, Bucket=BUCKET, Key="alice/report")
    iam.delete_role_policy(RoleName="upload-keyed", PolicyName="more")
    iam.create_user(UserName="stranger")
    iam.put_user_policy(UserName="stranger", PolicyName="all", PolicyDocument=document)
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    stranger = {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }
    assert denied(cloud.client("sts", stranger).assume_role, **assume)


def secured(here: Station, iam: Any, policy: str) -> None:
    """Make who revokes, with the policy that was printed for that, as the profile `security`.

    But for its condition: the emulator does not know the key iam:PermissionsBoundary.
    """
    version = iam.get_policy_version(PolicyArn=policy, VersionId="v1")["PolicyVersion"]
    document = version["Document"]
    for statement in document["Statement"]:
        assert list(statement.pop("Condition")["StringEquals"]) == ["iam:PermissionsBoundary"]
    iam.create_user(UserName="security")
    iam.put_user_policy(
        UserName="security", PolicyName="revoke", PolicyDocument=json.dumps(document)
    )
    key = iam.create_access_key(UserName="security")["AccessKey"]
    with (here.folder / "aws" / "credentials").open("a") as file:
        file.write(
            f"[security]\naws_access_key_id = {key['AccessKeyId']}\n"
            f"aws_secret_access_key = {key['SecretAccessKey']}\n"
        )


def test_roles_that_trust_an_issuer(cloud: Cloud, tmp_path: Path) -> None:
    """A trust policy that demands audience and subject."""
    here = settled(tmp_path, cloud, "keyless", KEYLESS, "agents/")
    applied(here, cloud, ["alice", "agent-*"])
    upload = client(cloud, here.json("vend", "upload"))
    upload.put_object(Bucket=BUCKET, Key="alice/report", Body=b"1")
    assert denied(upload.put_object, Bucket=OTHER_BUCKET, Key="alice/report", Body=b"1")
    assert denied(upload.get_object, Bucket=BUCKET, Key="alice/report")
    here.write("token", token("mallory", "sts.amazonaws.com"))
    done = here.run("vend", "upload")
    assert done.returncode == 8
    assert "Let the trust policy of upload-keyless allow" in done.stderr
    by_hand = cloud.client("sts", ROOT)
    asked = {
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/agents/upload-keyless",
        "RoleSessionName": "by-hand",
    }
    for subject, audience, refused in (
        ("agent-7", "sts.amazonaws.com", False),
        ("alice", "agentauth", True),
        ("an-agent-7", "sts.amazonaws.com", True),
    ):
        shown = token(subject, audience)
        call = by_hand.assume_role_with_web_identity
        assert denied(call, WebIdentityToken=shown, **asked) is refused
