"""Programs of others with vended credentials: terraform's S3 backend, gcloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import absent, clouds
from support.cloud import BUCKET, ROLE

if TYPE_CHECKING:
    from pathlib import Path

    from support.cloud import Cloud
    from support.station import Station

pytestmark = pytest.mark.whole

STATE = """\
terraform {{
  backend "s3" {{
    bucket = "{bucket}"
    key    = "agents/{where}/state"
    region = "us-east-1"

    workspace_key_prefix        = "agents/{where}/env"
    endpoints                   = {{ s3 = "{url}" }}
    use_path_style              = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
    skip_metadata_api_check     = true
    skip_s3_checksum            = true
  }}
}}
output "made" {{ value = "by an agent" }}
"""


@pytest.mark.parametrize(("where", "code"), [("x", 0), ("y", 1)])
def test_terraform_keeps_its_state_in_the_prefix(
    here: Station, emulator: Cloud, tmp_path: Path, where: str, code: int
) -> None:
    """Its S3 backend reads and writes its state inside the tool's prefix, and nowhere else."""
    terraform = absent.program("terraform")
    config = (here.folder / "config" / "config.toml").read_text()
    wanted = '["s3:PutObject", "s3:GetObject", "s3:ListBucket"]'
    here.write("config.toml", config.replace('["s3:PutObject"]', wanted))
    (tmp_path / "main.tf").write_text(STATE.format(bucket=BUCKET, where=where, url=emulator.url))
    script = f"cd {tmp_path} && {terraform} init -no-color && {terraform} apply -no-color"
    done = here.run(
        "exec", ROLE, "--", "sh", "-c", f"{script} -auto-approve", CHECKPOINT_DISABLE="1"
    )
    assert done.returncode == code, done.stdout + done.stderr
    if code:
        assert "AccessDenied" in done.stdout + done.stderr
    else:
        assert 'made = "by an agent"' in done.stdout
        assert not list(tmp_path.glob("*.tfstate"))


def test_gcloud_reads_what_it_may(tmp_path: Path) -> None:
    """Gcloud takes the token from its variable: an object inside is shown, one outside refused."""
    gcloud = absent.program("gcloud")
    with clouds.google(tmp_path / "here") as (here, server):
        endpoint = {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{server.url}/",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
        }
        look = f"{gcloud} storage objects describe --format='value(size)'"
        script = f"{look} gs://acme-data/in/a; {look} gs://acme-data/out/a"
        done = here.run("exec", "tool_one", "--", "sh", "-c", script, **endpoint)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.split() == ["1"], done.stderr
    assert "403" in done.stderr
