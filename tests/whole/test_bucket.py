"""A vended credential in the hands of the AWS programs, against a cloud that enforces it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support.cloud import BUCKET, OTHER_BUCKET, REGION, ROLE, Cloud
from support.station import PREFIX, PROGRAM, Station

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.whole

PUT = """
import sys, boto3
s3 = boto3.Session(profile_name="agent").client("s3", endpoint_url=sys.argv[1])
s3.put_object(Bucket=sys.argv[2], Key=sys.argv[3], Body=b"x")
"""


def test_inside_its_prefix_a_credential_works_and_outside_the_cloud_itself_refuses(
    here: Station, emulator: Cloud
) -> None:
    """A credential for s3://B/agents/x/* puts inside and is refused outside, on get and list."""
    vended = here.json("vend", ROLE)
    s3 = boto3.Session().client(
        "s3",
        endpoint_url=emulator.url,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        **vended["credentials"],
    )
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}a", Body=b"x")
    refused: list[Callable[[], object]] = [
        lambda: s3.put_object(Bucket=BUCKET, Key="agents/y/a", Body=b"x"),
        lambda: s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}a"),
        lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX),
        lambda: s3.put_object(Bucket=OTHER_BUCKET, Key=f"{PREFIX}a", Body=b"x"),
    ]
    for attempt in refused:
        with pytest.raises(ClientError) as caught:
            attempt()
        assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_a_resource_asked_for_narrows_the_credential_further(
    here: Station, emulator: Cloud
) -> None:
    """`--resource` must lie within a grant's resource; it is narrowed to it."""
    vended = here.json("vend", ROLE, "--resource", f"s3://{BUCKET}/{PREFIX}one.txt")
    s3 = emulator.client("s3", vended["credentials"] | {"region_name": REGION})
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}one.txt", Body=b"x")
    with pytest.raises(ClientError):
        s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}two.txt", Body=b"x")


@pytest.mark.parametrize("arguments", [[], ["--format", "aws"], ["--format", "process"]])
def test_credential_process_works_in_boto3_as_it_stands(
    here: Station, emulator: Cloud, arguments: list[str]
) -> None:
    """`credential_process = agentauth vend s3_upload` works as it stands."""
    command = " ".join([str(PROGRAM), "vend", ROLE, *arguments])
    profile = f"[profile agent]\ncredential_process = {command}\nregion = {REGION}\n"
    with (here.folder / "aws" / "config").open("a") as file:
        file.write(profile)
    script = [sys.executable, "-c", PUT, emulator.url, BUCKET]
    inside = here.shell([*script, f"{PREFIX}b"])
    outside = here.shell([*script, "agents/y/b"])
    assert inside.returncode == 0, inside.stderr
    assert "AccessDenied" in outside.stderr


def test_the_aws_command_line_uses_a_configured_profile(here: Station, emulator: Cloud) -> None:
    """`configure aws` writes the entry with which the AWS CLI asks agentauth."""
    aws = os.environ["AGENTAUTH_TEST_AWS"]
    assert here.run("configure", "aws", ROLE, "--profile", "agent").returncode == 0
    (here.folder / "file").write_text("x")
    base = [aws, "--profile", "agent", "--endpoint-url", emulator.url, "s3", "cp", "file"]
    inside = here.shell([*base, f"s3://{BUCKET}/{PREFIX}c"])
    outside = here.shell([*base, f"s3://{BUCKET}/agents/y/c"])
    assert inside.returncode == 0, inside.stderr
    assert "AccessDenied" in outside.stderr
    assert here.events().count("vend.issued") == 2


def test_what_agentauth_says_reads_well_in_what_botocore_makes_of_it(
    here: Station, emulator: Cloud
) -> None:
    """Botocore copies standard error into its own message, so it must read well there."""
    here.run("configure", "aws", ROLE, "--profile", "agent")
    here.run("disable", "--tool", ROLE, "--reason", "drill")
    script = [sys.executable, "-c", PUT, emulator.url, BUCKET, f"{PREFIX}d"]
    done = here.shell(script)
    assert f"agentauth: switched off: tool {ROLE} is off" in done.stderr
    assert "(drill)" in done.stderr


def test_the_cloud_sees_who_it_was(here: Station, emulator: Cloud) -> None:
    """The session is named after the principal."""
    vended = here.json("vend", ROLE)
    sts = emulator.client("sts", vended["credentials"] | {"region_name": REGION})
    arn = sts.get_caller_identity()["Arn"]
    assert f":assumed-role/{ROLE}/os-" in arn
    issued = next(one for one in here.records() if one["event"] == "vend.issued")
    assert issued["credential_id"] == vended["credentials"]["aws_access_key_id"]
    assert json.loads(issued["narrowed"])["Statement"][0]["Action"] == ["s3:PutObject"]
