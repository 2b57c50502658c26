"""`doctor`: what is in order, what is not, and where a caller could go round agentauth."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import typer

from agentauth_cli.cli import screen
from agentauth_cli.cli.options import Json
from agentauth_cli.cli.preview import asks_round, goes_round
from agentauth_cli.config import schemas
from agentauth_cli.config.settings import STORED
from agentauth_cli.errors import AgentAuthError
from agentauth_cli.inbound.jwt import opened
from agentauth_cli.inbound.source import token_of
from agentauth_cli.model import Principal, ProviderType
from agentauth_cli.outbound import gcp_source
from agentauth_cli.outbound.aws import AUDIENCE
from agentauth_cli.outbound.aws_source import check_source, profile_of
from agentauth_cli.outbound.gcp_call import STS
from agentauth_cli.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from agentauth_cli.inbound.provider_token import ProviderTokens

SICK = 1
_PROTECTION = "a seat belt, not a wall: agents and agentauth share one account"
_NOBODY = Principal("os/doctor", "doctor", auth="os")
"""For whom a token file is read: it holds the same for everybody."""

_PARTS: Mapping[str, Callable[[Wiring], object]] = MappingProxyType(
    {
        "policy": lambda wiring: wiring.configuration.policy(),
        "budgets": lambda wiring: wiring.budgets(),
        "kill switches": lambda wiring: wiring.configuration.switches(),
        "API keys": lambda wiring: wiring.configuration.api_keys(),
        "logins": lambda wiring: wiring.sessions.principals(),
        "ledger": lambda wiring: wiring.ledger,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `message` says how it is, `hint` how to mend it."""

    state: Literal["ok", "warning", "sick"]
    about: str
    message: str
    hint: str = ""


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(*, as_json: Json = False) -> None:
        """Find what is not in order, and where ways lead past agentauth."""
        found = list(dict.fromkeys(work(Wiring(say=screen.say))))  # said once for all environments
        if as_json:
            screen.out_json({"findings": [asdict(one) for one in found]})
        else:
            for one in found:
                _show(one)
        if any(one.state == "sick" for one in found):
            raise typer.Exit(SICK)


def _show(one: Finding) -> None:
    hint = f". {one.hint}" if one.hint else ""
    line = f"{one.state:<8}{one.about}: {one.message}{hint}"
    screen.out(line, in_red=one.state == "sick")


def work(wiring: Wiring) -> Iterator[Finding]:
    """Look at everything; what cannot be looked at is a finding too. Nothing is fetched."""
    yield from _configuration(wiring)
    for about, look in _PARTS.items():
        yield _tried(about, partial(look, wiring))
    yield from _schemas(wiring)
    yield Finding("ok", "protection", _PROTECTION)
    try:
        environments = wiring.settings.environments
    except AgentAuthError:
        return  # which is a finding already
    for environment, providers in environments.items():
        for provider, entry in providers.items():
            yield from _provider(wiring, environment, provider, entry)


def _tried(about: str, look: Callable[[], object], good: str = "in order") -> Finding:
    """Return `good`, or why the look raises."""
    try:
        look()
    except AgentAuthError as error:
        return Finding("sick", about, error.message, error.hint)
    return Finding("ok", about, good)


def _configuration(wiring: Wiring) -> Iterator[Finding]:
    found = _tried("configuration", lambda: wiring.settings)
    yield found
    if found.state == "ok" and wiring.places.administered:
        message = f"{wiring.places.system} is root's and replaces the one of every user"
        yield Finding("ok", "configuration", message)


def _schemas(wiring: Wiring) -> Iterator[Finding]:
    """Find schemas of another version, by which editors mark what is right."""
    try:
        folder = wiring.places.config
        names = schemas.outdated(folder)
    except AgentAuthError as error:
        yield Finding("warning", "schemas", error.message, error.hint)
        return
    for name in names:
        path = folder / schemas.FOLDER / f"{name}.json"
        again = f"`agentauth policy schema {name} > {shlex.quote(str(path))}`"
        yield Finding("warning", "schemas", f"{path} is of another version", again)


def _provider(
    wiring: Wiring, environment: str, provider: str, entry: Mapping[str, Any]
) -> Iterator[Finding]:
    about = f"environments.{environment}.{provider}"
    if entry["source"] in STORED:
        why = "every program of this account can read it in the keyring, and use it by itself"
        yield Finding("warning", "bypass", f"{about}.source {entry['source']}: {why}")
    tokens = wiring.tokens(environment, provider)
    if tokens is not None:
        audience = entry["audience"] or _audience(provider, entry)
        yield from _bypasses(wiring, about, provider, audience, tokens)
        if tokens.token_file is not None:
            yield _token_file(f"{about}.token_file", tokens.token_file, audience, tokens)
    elif provider == ProviderType.AWS:
        source = entry["source"]
        yield _tried(about, lambda: check_source(profile_of(source)), f"source {source}")
    elif provider == ProviderType.GCP:
        yield _default_credentials(about, entry)
    if provider == ProviderType.AWS and (revoke := entry["revoke_source"]):
        key = f"{about}.revoke_source"
        yield _tried(key, lambda: check_source(profile_of(revoke)), revoke)


def _default_credentials(about: str, entry: Mapping[str, Any]) -> Finding:
    """Look at Google's application default credentials; nobody is asked."""
    found: list[str] = []
    sts = entry["sts_endpoint"] or STS
    tried = _tried(about, lambda: found.append(gcp_source.check_source(sts)), "source ambient")
    if not any(found):
        return tried
    hint = 'Use `source = "web_identity"`, which needs no key'
    return Finding("warning", about, found[0], hint)


def _audience(provider: str, entry: Mapping[str, Any]) -> str:
    """Return whom a token is for where the environment does not say it; empty: not known."""
    match provider:
        case ProviderType.AWS:
            return AUDIENCE
        case ProviderType.GCP if entry["workload_identity_provider"]:
            return f"https:{entry['workload_identity_provider']}"
        case ProviderType.HUGGINGFACE:
            return "https://huggingface.co"
    return ""


def _token_file(about: str, path: Path, audience: str, tokens: ProviderTokens) -> Finding:
    """Look at a token file, for the audience that its token has to have where that is known."""
    if audience:
        look = partial(tokens.token_for, _NOBODY, audience)
        return _tried(about, look, f"{path} holds a token for {audience}")
    found = _tried(about, lambda: opened(token_of(str(path)).reveal()))
    if found.state != "ok":
        return found
    hint = "Set `audience` of the environment's provider, which its token has to be for"
    return Finding("warning", about, f"{path} holds a token, for whom is not compared", hint)


def _bypasses(
    wiring: Wiring, about: str, provider: str, audience: str, tokens: ProviderTokens
) -> Iterator[Finding]:
    """Find where the token that callers show is one that the provider trusts."""
    if tokens.reuse_inbound:
        yield Finding("warning", "bypass", goes_round(f"{about}.reuse_inbound", provider))
    inbound = wiring.settings.inbound
    if tokens.token_file is None:
        for name, _ in inbound.ambient:
            yield Finding("warning", "bypass", asks_round(name, provider))
    for issuer in inbound.issuers:
        if issuer.audience == audience:
            key = f"{about}.audience is that of issuer {issuer.name}"
            yield Finding("warning", "bypass", goes_round(key, provider))
