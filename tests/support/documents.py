"""Whole documents of each file: every key once, written in any layout, and where each key went."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from agentauth_cli.config import settings, shape
from agentauth_cli.inbound import apikeys
from agentauth_cli.policy import budgets, rules, switches
from agentauth_cli.tables.shape import Brief, ListOf, Named, OneOrMore, Problem, Shape, Table
from support.configs import FOLDER, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

At = tuple[str | int, ...]

_NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
_LATER = datetime(2027, 2, 21, 10, tzinfo=UTC)
_WHEN = {
    "claims": {"repository_owner": "acme", "ref": ["refs/heads/*", "main"]},
    "auth": ["jwt", "ci"],
    "after": _NOW,
    "before": _LATER,
    "days": ["mon", "fri"],
    "hours": "22:00-24:00",
    "tz": "Europe/Paris",
    "actor": ["okta/*"],
    "max_session_age": "8h",
}
_OBLIGATIONS = {
    "max_duration": "15m",
    "max_tokens": 0,
    "max_cost": "0.50",
    "rate_limit": ["30/minute", "1/day"],
    "must_log": True,
    "require_reason": True,
    "delivery": ["stdout", "gateway"],
    "models": ["gpt-*"],
}
POLICY: dict[str, Any] = {
    "version": 1,
    "rule": [
        {
            "id": "agents-upload",
            "effect": "allow",
            "description": "Build agents write under their own prefix",
            "principals": ["key/build-*", "group:okta/eng", "kind:agent", "*"],
            "tools": ["s3_upload", "*"],
            "actions": ["aws.s3.put", "aws.*"],
            "resources": ["arn:aws:s3:::acme/${principal.name}/*", "${principal.claims.a:b}$*"],
            "environments": ["dev", "stag*"],
            "when": _WHEN,
            "unless": {"claims": {"ref": "refs/pull/*"}},
            "obligations": _OBLIGATIONS,
        },
        {"id": "freeze", "effect": "deny", "principals": ["*"], "environments": ["prod"]},
    ],
    "test": [
        {
            "name": "a build agent stays in its prefix",
            "principal": {
                "id": "key/build-7",
                "kind": "agent",
                "groups": ["key/builders"],
                "claims": {"anything": ["", 1, True, {"a": 1.5}], "nothing": ""},
                "auth": "api_key",
                "session_age": "1h",
                "actor": "okta/alice",
            },
            "tool": "s3_upload",
            "action": "aws.s3.put",
            "resource": "arn:aws:s3:::acme/other/x",
            "environment": "dev",
            "at": _NOW,
            "rule": "",
            "obligations": {"max_duration": "15m", "rate_limit": "30/minute"},
            "expect": "deny",
        },
        {
            "name": "nobody else",
            "principal": "okta/alice",
            "action": "aws.s3.put",
            "resource": "x",
            "rule": "agents-upload",
            "expect": "deny",
        },
    ],
}
_TOKEN = {"audience": "a", "reuse_inbound": True}
_AWS = {
    "account_id": "111111111111",
    "role_arn_template": TEMPLATE,
    "region": "eu-west-1",
    "source": "web_identity",
    **_TOKEN,
    "session_tags": True,
    "revoke_source": "profile:admin",
    "sts_endpoint": "http://127.0.0.1:4566",
    "iam_endpoint": "https://iam.amazonaws.com/",
    "ca_bundle": "ca.pem",
}


def _grant() -> dict[str, Any]:
    """Return a grant that shares nothing with another: each is changed by itself."""
    return {
        "actions": ["aws.s3.put"],
        "permissions": ["s3:PutObject"],
        "resource": "s3://acme/${account_id}/*",
    }


CONFIG: dict[str, Any] = {
    "version": 1,
    "default_environment": "dev",
    "ledger": "postgresql://db.acme.dev/agentauth",
    "inbound": {
        "os_login": True,
        "os": {"agent-07": {"kind": "agent", "groups": ["team-a"]}},
        "issuers": {
            "okta": {
                "issuer": "https://acme.okta.com/oauth2/default",
                "audience": "agentauth",
                "client_id": "0oa1example",
                "scopes": ["openid", "profile"],
                "algorithms": ["RS256", "EdDSA"],
                "jwks_url": "https://acme.okta.com/keys",
                "jwks_file": "jwks.json",
                "token_endpoint": "https://acme.okta.com/token",
                "authorization_endpoint": "https://acme.okta.com/authorize",
                "device_authorization_endpoint": "https://acme.okta.com/device",
                "revocation_endpoint": "https://acme.okta.com/revoke",
                "kind": "user",
                "subject_claim": "sub",
                "name_claim": "preferred_username",
                "groups_claim": "groups",
                "session": "8h",
            },
            "github": {
                "preset": "github-actions",
                "audience": "https://agentauth.acme.dev",
                "ambient": True,
                "require": {"repository_owner_id": "123456"},
            },
        },
    },
    "environments": {
        "dev": {
            "aws": _AWS,
            "gcp": {
                "project": "acme-dev",
                "service_account_template": "{tool_id}@{project}.iam.gserviceaccount.com",
                "source": "web_identity",
                "workload_identity_provider": "//iam.googleapis.com/x",
                **_TOKEN,
                "hand_out_subject_token": True,
                "sts_endpoint": "https://sts.googleapis.com",
                "iam_credentials_endpoint": "https://iamcredentials.googleapis.com",
            },
            "openai": {
                "project_id": "proj-dev-123",
                "source": "web_identity",
                "identity_provider_id": "idp_1",
                "service_account_id": "sa_1",
                **_TOKEN,
                "same_account": True,
                "base_url": "https://api.openai.com/v1",
                "token_endpoint": "https://auth.openai.com/token",
            },
            "huggingface": {
                "namespace": "acme",
                "source": "oidc",
                **_TOKEN,
                "same_account": True,
                "endpoint": "https://huggingface.co",
            },
        },
        "prod": {
            "aws": {
                "account_id": "222222222222",
                "role_arn_template": TEMPLATE,
                "region": "eu-west-1",
                "source": "web_identity",
                "token_file": "token",
            }
        },
    },
    "tools": {
        "s3_upload": {
            **_grant(),
            "provider": "aws",
            "description": "Upload build results",
            "duration": "15m",
            "policy_arns": ["arn:aws:iam::aws:policy/x"],
            "oauth_scopes": ["https://www.googleapis.com/auth/x"],
            "allowance": {"tokens": 200_000, "cost": "0.50"},
            "trust_reported_usage": True,
            "wide": True,
            "unnarrowed": True,
            "environments": {"dev": {"duration": "30m", "resource": "s3://acme-dev/*"}},
        },
        "deploy_site": {
            "provider": "aws",
            "role": "arn:aws:iam::111111111111:role/deploy",
            "duration": "30m",
            "grant": [
                _grant(),
                {
                    "actions": ["aws.cloudfront.invalidate"],
                    "permissions": ["cloudfront:CreateInvalidation"],
                    "resource": "arn:aws:cloudfront::111111111111:distribution/E1AB",
                },
            ],
            "service_account": "x",
            "service_account_id": "y",
            "environments": {"prod": {"role": "arn:aws:iam::222222222222:role/deploy"}},
        },
    },
    "daemon": {
        "account": "agentauth",
        "autostart": True,
        "idle_exit": "1h",
        "allow_uid": [0, 1000],
        "peers": {"web": "x"},
    },
    "audit": {"mirror": "syslog", "events": ["vend.issued"]},
    "exec": {"inherit": ["LANG"]},
    "gateway": {"port": 8080},
    "fleet": {"require_same": True},
}
BUDGETS: dict[str, Any] = {
    "version": 1,
    "budget": [
        {
            "id": "openai-per-agent",
            "principals": ["kind:agent"],
            "except": ["okta/alice"],
            "providers": ["openai"],
            "tools": ["*"],
            "environments": ["dev"],
            "per": ["principal", "provider", "group:okta/*"],
            "tz": "America/Argentina/Buenos_Aires",
            "warn_at": 0.8,
            "limits": {
                "minute": {"tokens": 50_000},
                "hour": {"cost": "5.00"},
                "day": {"cost": "40", "requests": 500, "leases": 50},
                "week": {"leases": 0},
                "month": {"cost": "400.00"},
            },
        },
        {"id": "all", "per": [], "limits": {"day": {"requests": 1}}},
    ],
    "prices": {
        "openai/gpt-4o-mini": {
            "input": "0.15",
            "output": "0.60",
            "cached_input": "0.1",
            "cache_write": "0.1",
            "audio_input": "1",
            "audio_output": "1",
        },
        "openai/gpt-*": {"input": "1", "output": "2"},
    },
}
KILLSWITCH: dict[str, Any] = {
    "version": 1,
    "switch": [
        {
            "target": "provider",
            "name": "openai",
            "reason": "leaked key, INC-42",
            "by": "okta/alice@acme.com",
            "at": _NOW,
            "until": _LATER,
        },
        {"target": "principal", "name": "build-*"},
        {"target": "all"},
    ],
}
APIKEYS: dict[str, Any] = {
    "version": 1,
    "key": [
        {
            "id": "k3v9x2ab",
            "name": "build-7",
            "kind": "agent",
            "groups": ["builders"],
            "hash": "sha256:" + "0" * 64,
            "created": _NOW,
            "expires": _LATER,
            "revoked": _NOW,
        }
    ],
}


@dataclass(frozen=True)
class File:
    """A kind of file: a document with every key, its shape, and what finds all that is wrong."""

    whole: dict[str, Any]
    shape: Table
    problems: Callable[[bytes], list[Problem]]


FILES = {
    "policy": File(POLICY, rules.FILE, lambda text: rules.load([("policy.toml", text)])[1]),
    "config": File(CONFIG, shape.FILE, lambda text: settings.load(text, FOLDER)[1]),
    "budgets": File(BUDGETS, budgets.FILE, lambda text: budgets.load(text, ())[1]),
    "killswitch": File(KILLSWITCH, switches.FILE, switches.problems),
    "apikeys": File(APIKEYS, apikeys.FILE, apikeys.problems),
}


def nodes(of: Shape, value: Any, at: At = ()) -> Iterator[tuple[At, Shape, Any]]:
    """Yield each place of a sound document, with the shape that reads it and what stands there."""
    if isinstance(of, Brief):
        of = of.table if isinstance(value, dict) else of.table.keys[of.key].shape
    yield at, of, value
    inner: list[tuple[str | int, Shape, Any]] = []
    if isinstance(of, Table):
        inner = [(name, of.keys[name].shape, one) for name, one in value.items()]
    if isinstance(of, Named):
        inner = [(name, of.entry, one) for name, one in value.items()]
    if isinstance(of, ListOf | OneOrMore) and isinstance(value, list):
        inner = [(i, of.entry, one) for i, one in enumerate(value)]
    for part, its, one in inner:
        yield from nodes(its, one, (*at, part))


def as_json(value: Any) -> Any:
    """Return a document as editors hold it against a schema: dates and times are strings."""
    if isinstance(value, dict):
        return {name: as_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [as_json(one) for one in value]
    return value.isoformat() if isinstance(value, date | time) else value


# -- writing ---------------------------------------------------------------------------------


@dataclass
class Written:
    """A document as it is written in a layout that chance gives, and the place of each key."""

    chance: random.Random
    text: str = ""
    placed: dict[At, tuple[int, int]] = field(default_factory=dict)

    def document(self, data: dict[str, Any]) -> None:
        """Write the whole document."""
        self.placed[()] = (1, 1)
        self._table(data, (), "")

    def _maybe(self) -> bool:
        return self.chance.random() < 0.5

    def _here(self) -> tuple[int, int]:
        return self.text.count("\n") + 1, len(self.text.rpartition("\n")[2]) + 1

    def _gap(self) -> None:
        self.text += self.chance.choice(["", "", "\n", "# [a] = { #\n", "\n  \n", " ", "\t"])

    def _table(self, data: dict[str, Any], at: At, path: str) -> None:
        later = []
        for name, value in data.items():
            if _is_table(value) and self._maybe():
                later.append((name, value))
            else:
                self._gap()
                self._entry(name, value, (*at, name))
                self.text += self.chance.choice(["\n", " # x = 1\n", "\n\n"])
        for name, value in later:
            below = f"{path}.{_key(name)}" if path else _key(name)
            several = isinstance(value, list)
            for i, one in enumerate(value if several else [value]):
                self._gap()
                place = (*at, name, i) if several else (*at, name)
                self.placed.setdefault((*at, name), self._here())
                self.placed[place] = self._here()
                self.text += f"[[{below}]]\n" if several else f"[ {below} ] # c\n"
                self._table(one, place, below)

    def _entry(self, name: str, value: Any, at: At) -> None:
        self.placed[at] = self._here()
        self.text += _key(name) + self.chance.choice([" = ", "=", "  =\t"])
        self._value(value, at)

    def _value(self, value: Any, at: At) -> None:
        if isinstance(value, dict):
            self.text += "{ "
            for i, (name, one) in enumerate(value.items()):
                self.text += ", " if i else ""
                self._entry(name, one, (*at, name))
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for i, one in enumerate(value):
                self.text += ("," if i else "") + self.chance.choice(["", " ", "\n  ", " # ]\n"])
                self.placed[(*at, i)] = self._here()
                self._value(one, (*at, i))
            self.text += "]"
        elif isinstance(value, str) and self._maybe() and value.isprintable() and "'" not in value:
            self.text += f"'{value}'"
        elif isinstance(value, date | time):
            self.text += value.isoformat()
        else:
            self.text += json.dumps(value, ensure_ascii=False)


def _is_table(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, dict) for one in value)
    return isinstance(value, dict)


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name)


def written(data: dict[str, Any]) -> bytes:
    """Write a document in one layout, always the same."""
    layout = Written(random.Random(1))  # noqa: S311 - a layout is no secret
    layout.document(data)
    return layout.text.encode()
