"""Brokers made by hand, and the configuration in force."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agentauth_cli import (
    AWSCredentialBroker,
    GCPCredentialBroker,
    HuggingFaceCredentialBroker,
    OpenAICredentialBroker,
    Principal,
    ProviderType,
    Secret,
    ToolRequest,
)
from agentauth_cli.errors import ConfigError, SourceCredentialError, UsageError
from support.faulty import Faulty, answer

if TYPE_CHECKING:
    from pathlib import Path

WHO = Principal("okta/alice", "alice")
REQUEST = ToolRequest("s3_upload", ProviderType.AWS, "s3:PutObject", "arn:aws:s3:::b/*")
CONFIG = """\
version = 1
default_environment = "{default}"

[environments.dev.openai]
project_id = "proj-dev"

[environments.test.aws]
account_id = "111111111111"
role_arn_template = "arn:aws:iam::{{account_id}}:role/{{tool_name}}"
region = "eu-west-1"

[environments.prod.aws]
account_id = "222222222222"
role_arn_template = "arn:aws:iam::{{account_id}}:role/prod-{{tool_name}}"
region = "eu-central-1"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the configuration in force, where there is none yet."""
    for name in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"AGENTAUTH_{name}_DIR", str(tmp_path / name.lower()))
    (tmp_path / "config").mkdir(0o700)
    return tmp_path / "config"


def write(folder: Path, text: str) -> None:
    """Write config.toml."""
    (folder / "config.toml").write_text(text)
    (folder / "config.toml").chmod(0o600)


def asked(broker: AWSCredentialBroker) -> tuple[object, str]:
    """Return the role that a broker would assume, and where."""
    preview = broker.preview(WHO, REQUEST)
    return preview.parameters["RoleArn"], preview.endpoint


def test_without_any_configuration(folder: Path) -> None:
    """What it is given has to be enough."""
    del folder
    template = "arn:aws:iam::{account_id}:role/{tool_name}"
    broker = AWSCredentialBroker(role_arn_template=template, account_id="333333333333")
    role, endpoint = asked(broker)
    assert role == "arn:aws:iam::333333333333:role/s3_upload"
    assert endpoint == "https://sts.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("given", "role", "region"),
    [
        ({}, "222222222222:role/prod-s3_upload", "eu-central-1"),
        ({"account_id": "111111111111"}, "111111111111:role/s3_upload", "eu-west-1"),
        ({"account_id": "999999999999"}, "999999999999:role/prod-s3_upload", "eu-central-1"),
        ({"region": "us-west-2"}, "222222222222:role/prod-s3_upload", "us-west-2"),
    ],
)
def test_what_is_not_given_is_configured(
    folder: Path, given: dict[str, str], role: str, region: str
) -> None:
    """That of the environment with this account, else of the default one."""
    write(folder, CONFIG.format(default="prod"))
    broker = AWSCredentialBroker(**given)
    assert asked(broker) == (f"arn:aws:iam::{role}", f"https://sts.{region}.amazonaws.com")


def test_a_default_environment_without_aws(folder: Path) -> None:
    """It has nothing to give, which is no error of its own."""
    write(folder, CONFIG.format(default="dev"))
    with pytest.raises(ConfigError, match="no role to assume"):
        AWSCredentialBroker().vend_credential(WHO, REQUEST)


def test_a_configuration_that_does_not_load(folder: Path) -> None:
    """Fail closed: it is not passed over."""
    write(folder, "version = 2")
    with pytest.raises(ConfigError):
        AWSCredentialBroker(account_id="111111111111")


@pytest.mark.parametrize(
    ("given", "account"),
    [
        ({}, "gcs-read@acme-prod.iam.gserviceaccount.com"),
        ({"project": "acme-dev"}, "dev-gcs-read@acme-dev.iam.gserviceaccount.com"),
        ({"project": "acme-new"}, "gcs-read@acme-new.iam.gserviceaccount.com"),
    ],
)
def test_what_googles_broker_is_not_given_is_configured(
    folder: Path, given: dict[str, str], account: str
) -> None:
    """That of the environment with this project, else of the default one."""
    google = """
[environments.dev.gcp]
project = "acme-dev"
service_account_template = "dev-{{tool_id}}@{{project}}.iam.gserviceaccount.com"

[environments.prod.gcp]
project = "acme-prod"
service_account_template = "{{tool_id}}@{{project}}.iam.gserviceaccount.com"
"""
    write(folder, (CONFIG + google).format(default="prod"))
    role = "inRole:roles/storage.objectViewer"
    request = ToolRequest("gcs_read", ProviderType.GCP, role, "gs://acme-data/*")
    shown = GCPCredentialBroker(**given).preview(WHO, request)
    assert shown.parameters["name"] == f"projects/-/serviceAccounts/{account}"


def test_googles_broker_without_any_configuration(folder: Path) -> None:
    """What it is given has to be enough; Google in none of the environments gives nothing."""
    given = {"project": "acme-dev", "service_account_template": "{tool_id}@x"}
    for text in (None, CONFIG.format(default="dev")):
        if text is not None:
            write(folder, text)
        with pytest.raises(ConfigError, match="'gcs-read@x' is no service account's"):
            GCPCredentialBroker(**given).preview(WHO, ToolRequest("gcs_read", ProviderType.GCP))


HUB = """
[environments.test.huggingface]
namespace = "acme"
endpoint = "https://hub.example"

[environments.prod.huggingface]
namespace = "acme-prod"
source = "stored_token"
same_account = true
"""


@pytest.mark.parametrize(
    ("given", "namespace", "source", "endpoint"),
    [
        ({}, "acme-prod", "stored_token", "https://huggingface.co/api/whoami-v2"),
        ({"namespace": "acme"}, "acme", "oidc", "https://hub.example/oauth/token"),
        ({"namespace": "new"}, "new", "stored_token", "https://huggingface.co/api/whoami-v2"),
    ],
)
def test_a_namespace(
    folder: Path, given: dict[str, str], namespace: str, source: str, endpoint: str
) -> None:
    """`HuggingFaceCredentialBroker(namespace=)` is that environment's, else the default one's."""
    write(folder, CONFIG.format(default="prod") + HUB)
    broker = HuggingFaceCredentialBroker(**given)
    provider, resource = ProviderType.HUGGINGFACE, f"models/{namespace}/llm"
    request = ToolRequest("pull", provider, "repo.content.read", resource, max_duration=3600)
    shown = broker.preview(WHO, request)
    assert (broker.namespace, shown.source, shown.endpoint) == (namespace, source, endpoint)


def test_a_stored_token_goes_to_no_other_hub(folder: Path) -> None:
    """An entry is bound to the origins it was stored for: not even the keyring is asked."""
    write(folder, CONFIG.format(default="prod") + HUB)
    request = ToolRequest(
        "pull", ProviderType.HUGGINGFACE, "repo.content.read", "models/acme-prod/llm"
    )
    with Faulty([answer(status=401)]) as other:
        broker = HuggingFaceCredentialBroker(endpoint=other.url)
        with pytest.raises(SourceCredentialError, match="needs `stored`"):
            broker.vend_credential(WHO, request)
        assert not other.requests


CHAT = ToolRequest("chat", ProviderType.OPENAI, "model.request", "proj-dev", unnarrowed=True)
OPENAI = """\
version = 1
default_environment = "prod"

[environments.dev.openai]
project_id = "proj-dev"
service_account_id = "sa_dev"
identity_provider_id = "idp_1"
audience = "acme"
token_file = "token"
token_endpoint = "https://auth.dev.example/token"

[environments.prod.openai]
project_id = "proj-prod"
service_account_id = "sa_prod"
source = "admin_key"
same_account = true
base_url = "https://api.prod.example/v1"
"""


def test_a_project_without_a_configuration(folder: Path) -> None:
    """`OpenAICredentialBroker` can be made, and mints with what it is given."""
    del folder
    broker = OpenAICredentialBroker(project_id="proj-dev")
    with pytest.raises(SourceCredentialError, match="proj-dev"):
        broker.vend_credential(WHO, CHAT)


def test_a_project_is_that_of_its_environment(folder: Path) -> None:
    """What is not given is said by the environment of the project, and by no other."""
    write(folder, OPENAI)
    shown = OpenAICredentialBroker(project_id="proj-dev").preview(
        WHO, replace(CHAT, max_duration=3_600)
    )
    assert shown.endpoint == "https://auth.dev.example/token"
    assert shown.parameters["service_account_id"] == "sa_dev"
    assert (shown.source, shown.audience) == ("web_identity", "acme")
    with pytest.raises(SourceCredentialError):
        OpenAICredentialBroker(project_id="proj-test").preview(WHO, CHAT)


def test_a_project_with_a_key_of_ones_own(folder: Path) -> None:
    """A way to mint that is given takes the place of the one that is configured."""
    write(folder, OPENAI)
    for project, account, endpoint in (
        ("proj-dev", "sa_dev", "https://api.openai.com/v1"),
        ("proj-prod", "sa_prod", "https://api.prod.example/v1"),
    ):
        broker = OpenAICredentialBroker(project_id=project, admin_key=lambda: Secret("x"))
        shown = broker.preview(WHO, replace(CHAT, resource=project))
        assert account in shown.operation
        assert (shown.source, shown.endpoint) == ("admin_key", endpoint)


def test_a_project_that_lacks_something(folder: Path) -> None:
    """Web identity needs its audience; an admin key is looked up when something is minted."""
    write(folder, OPENAI.replace('audience = "acme"\n', ""))
    with pytest.raises(ConfigError, match=r"environments\.dev\.openai needs `audience`"):
        OpenAICredentialBroker(project_id="proj-dev")
    shown = OpenAICredentialBroker(project_id="proj-prod").preview(
        WHO, replace(CHAT, resource="proj-prod")
    )
    assert shown.source == "admin_key"


def test_it_mints_for_no_other_provider(folder: Path) -> None:
    """A request for another provider is refused before any call."""
    del folder
    with pytest.raises(UsageError):
        AWSCredentialBroker().vend_credential(WHO, ToolRequest("x", ProviderType.GCP))
