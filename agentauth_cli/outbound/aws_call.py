"""One call of STS, as plain values: what is asked, and of which endpoint. Nothing here goes out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentauth_cli.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agentauth_cli.outbound.aws_session import Role

REGION = "us-east-1"
"""Where no region is configured."""

_REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+")
_SUFFIXES = {
    "cn": "amazonaws.com.cn",
    "eusc": "amazonaws.eu",
    "us-iso": "c2s.ic.gov",
    "us-isob": "sc2s.sgov.gov",
    "us-isof": "csp.hci.ic.gov",
    "eu-isoe": "cloud.adc-e.uk",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where STS is asked, or a `service` beside it, in which version of its API.

    `seconds` are for all attempts of one call together.
    """

    url: str
    region: str
    ca_bundle: Path | None
    seconds: float
    service: str = "sts"
    version: str = "2011-06-15"

    @property
    def namespace(self) -> str:
        """The XML namespace of what it answers."""
        return f"https://{self.service}.amazonaws.com/doc/{self.version}/"


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of STS: `parameters` by STS's own names, in the shape that boto3 takes.

    A web identity's token is none of them: it is added where the call leaves.
    """

    operation: str
    role: Role
    parameters: Mapping[str, Any]

    @property
    def session(self) -> str:
        """The ARN of the session that is asked for."""
        return self.role.assumed(self.parameters["RoleSessionName"])


def form(call: Call) -> dict[str, str]:
    """Return the form that asks STS for this (AWS's query protocol), name by name."""
    fields = {"Action": call.operation, "Version": "2011-06-15"}
    for name, value in call.parameters.items():
        if not isinstance(value, list):
            fields[name] = str(value)
            continue
        for number, one in enumerate(value, 1):
            fields |= {f"{name}.member.{number}.{part}": said for part, said in one.items()}
    return fields


def regional(region: str) -> str:
    """Return the region's own STS endpoint. Raises ConfigError for what is no region."""
    if not _REGION.fullmatch(region):
        raise ConfigError(f"{region!r} is no region of AWS", hint="Such as eu-west-1")
    parts = region.split("-")
    suffix = _SUFFIXES.get("-".join(parts[:2])) or _SUFFIXES.get(parts[0]) or "amazonaws.com"
    return f"https://sts.{region}.{suffix}"
