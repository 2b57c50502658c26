"""What config.toml may hold. Parts of later versions load and are checked here all the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agentauth_cli.inbound.presets import PRESETS
from agentauth_cli.model import ProviderType
from agentauth_cli.outbound.aws_session import MANAGED
from agentauth_cli.policy import pattern
from agentauth_cli.policy.names import ACTION, SHORT
from agentauth_cli.policy.pattern import POLICY_VARIABLES
from agentauth_cli.tables import values
from agentauth_cli.tables.shape import Key, ListOf, Named, Table, Value
from agentauth_cli.terms import KINDS, RESERVED_ISSUERS, is_issuer
from agentauth_cli.transport import is_loopback

if TYPE_CHECKING:
    from typing import Final

    from agentauth_cli.policy.matching import Template

SOURCES = ("ambient", "web_identity")
PROFILE = "profile:"
PROVIDER_VARIABLES = ("project_id", "account_id", "project", "namespace")
LEDGERS = ("sqlite", "ephemeral")
POSTGRESQL = "postgresql://"
MAX_UID = 2**32 - 2
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)

_ACCOUNT = re.compile(r"[0-9]{12}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,512}")
_ROLE_TEMPLATE = re.compile(
    r"arn:aws[a-z-]*:iam::(?:[0-9]{12}|\{account_id\}):role/"
    r"(?:[A-Za-z0-9_+=,.@/-]|\{tool_name\}|\{account_id\}){1,512}"
)
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+")
_PERMISSION = re.compile(r"[A-Za-z0-9.:/*_-]{1,256}")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,256}")  # RFC 6749, section 3.3
ENDPOINT = re.compile(r"(https?)://(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?(/[^\s?#]*)?")


class Url:
    """An https URL, or one of this machine; a base has no path."""

    def __init__(self, *, path: bool) -> None:
        self.path: Final = path

    def __call__(self, value: Any) -> str:
        """Return the URL."""
        match = ENDPOINT.fullmatch(value) if isinstance(value, str) else None
        if not match or (not self.path and match[3] not in (None, "/")):
            raise ValueError(f"expected a URL, {'' if self.path else 'without a path, '}https://…")
        if match[1] == "http" and not is_loopback(match[2].strip("[]")):
            raise ValueError("plain http is for loopback alone: use https")
        return str(value)


def profile(value: Any) -> str:
    """Return ``profile:NAME``."""
    return _with_profile(value)


def aws_source(value: Any) -> str:
    """Return one of SOURCES, or ``profile:NAME``."""
    return _with_profile(value, *SOURCES)


def _with_profile(value: Any, *fixed: str) -> str:
    if isinstance(value, str) and value.startswith(PROFILE):
        return values.text(value.removeprefix(PROFILE)) and value
    return values.Choice(*fixed, f"{PROFILE}NAME")(value)


def short_name(value: Any) -> str:
    """Return the name of a tool or environment."""
    if not isinstance(value, str) or not SHORT.fullmatch(value) or value in (".", "..", "-"):
        raise ValueError("expected a name of A-Z a-z 0-9 . _ -, 1 to 64 long")
    return value


def issuer_name(value: Any) -> str:
    """Return the name of an issuer, which is the first part of its principals' ids."""
    if not isinstance(value, str) or not is_issuer(value):
        raise ValueError("expected a name of a-z 0-9 -, 1 to 32 long, a letter or digit first")
    if value in RESERVED_ISSUERS:
        raise ValueError(f"{value!r} is reserved: take another name")
    return value


def tool_resource(value: Any) -> Template:
    """Return a resource with variables, a star at most at its end."""
    found = pattern.template(value, (*POLICY_VARIABLES, *PROVIDER_VARIABLES))
    stars = "".join(found.pieces[::2])
    if "*" in stars[:-1]:
        raise ValueError("a `*` stands only at the end of a tool's resource")
    return found


_TEXT = Key(Value(values.text))
_FLAG = Key(Value(values.boolean), default=False)
_BASE_URL = Key(Value(Url(path=False)))
_ANY_URL = Key(Value(Url(path=True)))
_DURATION = Key(Value(values.duration))
_TOKEN = {"audience": _TEXT, "token_file": _TEXT, "reuse_inbound": _FLAG}

_ISSUER = Table(
    {
        "issuer": _ANY_URL,
        "preset": Key(Value(values.Choice(*PRESETS))),
        "audience": Key(Value(values.text), required=True),
        "client_id": _TEXT,
        "scopes": Key(ListOf(Value(values.Form(_SCOPE, "a scope such as openid")))),
        "algorithms": Key(ListOf(Value(values.Choice(*ALGORITHMS)))),
        "jwks_url": _ANY_URL,
        "jwks_file": _TEXT,
        "token_endpoint": _ANY_URL,
        "authorization_endpoint": _ANY_URL,
        "device_authorization_endpoint": _ANY_URL,
        "revocation_endpoint": _ANY_URL,
        "kind": Key(Value(values.Choice(*KINDS))),
        "subject_claim": _TEXT,
        "name_claim": _TEXT,
        "groups_claim": _TEXT,
        "session": _DURATION,
        "ambient": _FLAG,
        "require": Key(Named(Value(values.text)), default={}),
    }
)

_INBOUND = Table(
    {
        "os_login": _FLAG,
        "os": Key(
            Named(
                Table(
                    {
                        "kind": Key(Value(values.Choice(*KINDS)), default="user"),
                        "groups": Key(ListOf(Value(values.text)), default=()),
                    }
                )
            ),
            default={},
        ),
        "issuers": Key(Named(_ISSUER, issuer_name), default={}),
    }
)

_AWS = Table(
    {
        "account_id": Key(
            Value(values.Form(_ACCOUNT, "an account id of 12 digits")), required=True
        ),
        "role_arn_template": Key(
            Value(
                values.Form(
                    _ROLE_TEMPLATE, "arn:aws:iam::{account_id}:role/{tool_name}, or the like"
                )
            )
        ),
        "region": Key(Value(values.Form(_REGION, 'a region such as "eu-west-1"')), required=True),
        "source": Key(Value(aws_source), default="ambient"),
        **_TOKEN,
        "session_tags": Key(Value(values.boolean), default=True),
        "revoke_source": Key(Value(profile)),
        "sts_endpoint": _BASE_URL,
        "iam_endpoint": _BASE_URL,
        "ca_bundle": _TEXT,
    }
)

_GCP = Table(
    {
        "project": Key(Value(values.text), required=True),
        "service_account_template": _TEXT,
        "source": Key(Value(values.Choice(*SOURCES)), default="ambient"),
        "workload_identity_provider": _TEXT,
        **_TOKEN,
        "hand_out_subject_token": _FLAG,
        "sts_endpoint": _BASE_URL,
        "iam_credentials_endpoint": _BASE_URL,
    }
)

_OPENAI = Table(
    {
        "project_id": Key(Value(values.text), required=True),
        "source": Key(Value(values.Choice("web_identity", "admin_key")), default="web_identity"),
        "identity_provider_id": _TEXT,
        "service_account_id": _TEXT,
        **_TOKEN,
        "same_account": _FLAG,
        "base_url": _ANY_URL,
        "token_endpoint": _ANY_URL,
    }
)

_HUGGINGFACE = Table(
    {
        "namespace": Key(Value(values.text), required=True),
        "source": Key(Value(values.Choice("oidc", "stored_token")), default="oidc"),
        **_TOKEN,
        "same_account": _FLAG,
        "endpoint": _BASE_URL,
    }
)

_GRANT = {
    "actions": Key(ListOf(Value(values.Form(ACTION, "an action such as aws.s3.put")))),
    "permissions": Key(
        ListOf(Value(values.Form(_PERMISSION, "a permission such as s3:PutObject")))
    ),
    "resource": Key(Value(tool_resource)),
}

TOOL_KEYS = {
    **_GRANT,
    "description": _TEXT,
    "grant": Key(
        ListOf(Table({name: Key(key.shape, required=True) for name, key in _GRANT.items()}))
    ),
    "duration": _DURATION,
    "role": Key(Value(values.Form(_ROLE, "the ARN of a role"))),
    "service_account": _TEXT,
    "service_account_id": _TEXT,
    "policy_arns": Key(ListOf(Value(values.Form(MANAGED, "the ARN of a managed policy")))),
    "oauth_scopes": Key(ListOf(Value(values.text))),
    "allowance": Key(Table({"tokens": Key(Value(values.tokens)), "cost": Key(Value(values.cost))})),
    "trust_reported_usage": Key(Value(values.boolean)),
    "wide": Key(Value(values.boolean)),
    "unnarrowed": Key(Value(values.boolean)),
}

_TOOL = Table(
    {
        **TOOL_KEYS,
        "provider": Key(Value(values.Choice(*ProviderType)), required=True),
        "environments": Key(Named(Table(TOOL_KEYS), short_name), default={}),
    }
)


def ledger(value: Any) -> str:
    """Return one of LEDGERS, or the URL of a PostgreSQL database."""
    if isinstance(value, str) and value.startswith(POSTGRESQL):
        return value
    return values.Choice(*LEDGERS, f"{POSTGRESQL}HOST/DB")(value)


def uid(value: Any) -> int:
    """Return the number of an account."""
    return values.integer(value, 0, MAX_UID)


FILE = Table(
    {
        "version": Key(Value(values.version), required=True),
        "default_environment": Key(Value(short_name), required=True),
        "ledger": Key(Value(ledger), default="sqlite"),
        "inbound": Key(_INBOUND),
        "environments": Key(
            Named(
                Table(
                    {
                        "aws": Key(_AWS),
                        "gcp": Key(_GCP),
                        "openai": Key(_OPENAI),
                        "huggingface": Key(_HUGGINGFACE),
                    }
                ),
                short_name,
            ),
            default={},
        ),
        "tools": Key(Named(_TOOL, short_name), default={}),
        "daemon": Key(
            Table(
                {
                    "account": _TEXT,
                    "autostart": _FLAG,
                    "idle_exit": _DURATION,
                    "allow_uid": Key(ListOf(Value(uid)), default=()),
                    "peers": Key(Named(Value(values.text)), default={}),
                }
            )
        ),
        "audit": Key(Table({"mirror": _TEXT, "events": Key(ListOf(Value(values.text)))})),
        "exec": Key(Table({"inherit": Key(ListOf(Value(values.text)))})),
        "gateway": Key(Table({"port": Key(Value(values.integer))})),
        "fleet": Key(Table({"require_same": _FLAG})),
    }
)
