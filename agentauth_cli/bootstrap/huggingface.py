"""Hugging Face's side, as steps: a trusted publisher for each repository, field by field.

Sources: the Hub's pages "Trusted Publishers" and "User access tokens".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentauth_cli.bootstrap.issuers import vouching
from agentauth_cli.bootstrap.steps import Step, fields, text
from agentauth_cli.bootstrap.tools import anybodys, tools_of
from agentauth_cli.inbound.presets import owners
from agentauth_cli.model import ProviderType
from agentauth_cli.outbound.hub_place import place
from agentauth_cli.outbound.huggingface import AUDIENCE, ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentauth_cli.config.settings import Settings
    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.outbound.hub_place import Place
    from agentauth_cli.policy.narrow import Tool

_FORMS = {
    "https://token.actions.githubusercontent.com/": "GitHub Actions",
    "https://gitlab.com/": "GitLab CI",
    "https://oidc.circleci.com/org/": "CircleCI",
}
"""The forms that the Hub has for issuers, by how their URL begins (a slash put to its end)."""

_OTHER = "any other of OpenID Connect"
_HEAD = """\
Hugging Face's side of agentauth's environment {environment}:
agentauth bootstrap huggingface --env {environment}

"""
_PUBLISHER = """\
Claims are compared exactly, without stars, and all have to match. SUBJECT is yours to give: a
publisher for each. Managing a repository's publishers takes the role Write on it.
unconfirmed: that a form for a provider has every claim; the general one has."""
_STORED = """\
One fine-grained token is for all of these tools, so it may no more than each of them alone."""


def steps(settings: Settings, environment: str) -> str:
    """Return what there is to do for an environment.

    Raises ConfigError where it has nothing of Hugging Face, no tool, a resource of another
    namespace, and where nothing can vouch for anybody.
    """
    hub = settings.provider(ProviderType.HUGGINGFACE, environment, "bootstrap huggingface")
    tools = tools_of(settings, environment, ProviderType.HUGGINGFACE)
    issuers = vouching(settings, environment, hub)
    endpoint = (hub["endpoint"] or ENDPOINT).rstrip("/")
    places: dict[Place, list[str]] = {}
    for tool in tools:
        for one in tool.grants:
            where = place(anybodys(tool, one.resource), hub["namespace"])
            places.setdefault(where, []).append(tool.name)
    head = _HEAD.format(environment=environment)
    if not issuers:
        return text(head + _STORED, _stored(tools, environment, endpoint))
    audience = hub["audience"] or AUDIENCE
    return text(
        head + _PUBLISHER,
        [
            _publisher(where, names, issuer, endpoint, audience)
            for where, names in places.items()
            for issuer in issuers
        ],
    )


def _publisher(
    where: Place, names: Sequence[str], issuer: Issuer, endpoint: str, audience: str
) -> Step:
    begins = f"{issuer.issuer}/"
    claims = {issuer.subject_claim: "SUBJECT", **issuer.require}
    lines = fields(
        {
            "Page": _page(where, endpoint),
            "Provider": next((_FORMS[one] for one in _FORMS if begins.startswith(one)), _OTHER),
            "Issuer": issuer.issuer,
            "Claims": [f"{name} = {value}" for name, value in claims.items()],
            "Audience": audience,
            "Resource": str(where).removeprefix("models/"),
        }
    )
    if audience != AUDIENCE:
        lines.append(f"unconfirmed: the audience; the Hub documents {AUDIENCE} alone.")
    if owners(issuer.issuer):
        lines.append("Anybody can have a token of this issuer: say whose.")
    if where.name.endswith("*"):
        lines.append("A publisher is of one repository: each that is meant needs its own.")
    what = "reads the gated repositories of this account" if not where.kind else "may write there"
    lines.append(f"What is exchanged for a token of this publisher {what}.")
    return Step(f"{where}, for {', '.join(dict.fromkeys(names))}: {issuer.name}", tuple(lines))


def _page(where: Place, endpoint: str) -> str:
    """Return where publishers are managed: of a repository, or of an account."""
    if not where.kind:
        return f"{endpoint}/settings/authentication#ci-cd-access"
    return f"{endpoint}/{str(where).removeprefix('models/')}/settings, Trusted Publishers"


def _stored(tools: Sequence[Tool], environment: str, endpoint: str) -> Iterator[Step]:
    may = [
        f"{', '.join(grant.permissions)} on {grant.resource.text} ({one.name})"
        for one in tools
        for grant in one.grants
    ]
    page = f"{endpoint}/settings/tokens/new?tokenType=fineGrained"
    yield Step("A fine-grained token", tuple(fields({"Page": page, "Permissions": may})))
    yield Step(
        "Keep it, from standard input",
        (f"agentauth source add huggingface --env {environment}",),
    )
