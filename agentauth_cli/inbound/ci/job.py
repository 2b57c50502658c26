"""The job that we run in, where an issuer with ``ambient = true`` names its platform.

Only the detectors of those issuers run: a build on a cloud's machine must not become the machine.
Reasons: ambient_ambiguous, ambient_other, those of `asking` and of the verifier.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentauth_cli.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentauth_cli.inbound.ci.asking import Ask
    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.verifier import Verifier
    from agentauth_cli.model import Principal

PLATFORMS: Mapping[str, str] = MappingProxyType(
    {
        "github-actions": "GitHub Actions",
        "gitlab": "GitLab",
        "buildkite": "Buildkite",
        "circleci": "CircleCI",
        "google": "Google Cloud",
    }
)
"""By preset, the platforms whose jobs we know."""

_AROUND = "google"  # what jobs of the others run on


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a platform, and the name of the issuer of its tokens. `ask` asks for one."""

    issuer: str
    platform: str
    ask: Ask = field(repr=False)

    @property
    def found(self) -> str:
        """What it is, for people."""
        return f"the job's own token ({self.platform}, issuer {self.issuer})"

    def authenticate(self, issuer: Issuer, verifier: Verifier) -> Principal:
        """Return who the job is: asked and judged anew, known since its token was issued.

        Raises AuthenticationError, and what the verifier raises.
        """
        who = verifier.token(self.ask(issuer.audience))
        if who.issuer != self.issuer:
            raise AuthenticationError(
                f"{self.found} is one of issuer {who.issuer}", reason="ambient_other"
            )
        issued = who.claims.get("iat")
        since = None if issued is None else datetime.fromtimestamp(issued, UTC)
        return replace(who, auth="ci", authenticated_at=since)


def find(environ: Mapping[str, str], ambient: Sequence[tuple[str, str]]) -> Job | None:
    """Return the job that we run in. None: in none of an issuer of `ambient` (name and preset).

    Raises AuthenticationError where two platforms say that this is theirs.
    """
    found = [
        (preset, Job(name, PLATFORMS[preset], ask))
        for name, preset in ambient
        if (ask := _detector(preset)(environ)) is not None
    ]
    inner = [job for preset, job in found if preset != _AROUND] or [job for _, job in found]
    if len(inner) > 1:
        names = " and ".join(f"{job.issuer} ({job.platform})" for job in inner)
        raise AuthenticationError(
            f"this is a job of more than one issuer: {names}",
            reason="ambient_ambiguous",
            hint="Leave `ambient = true` to the one whose token is to count",
        )
    return inner[0] if inner else None


def _detector(preset: str) -> Callable[[Mapping[str, str]], Ask | None]:
    """Return what looks for a platform; only that one is loaded."""
    module = importlib.import_module(f"agentauth_cli.inbound.ci.{preset.partition('-')[0]}")
    detect: Callable[[Mapping[str, str]], Ask | None] = module.detect
    return detect
