"""``[inbound.issuers]`` of config.toml: presets filled in, and held against themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agentauth_cli.inbound.ci.job import PLATFORMS
from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.presets import ENTRA, MUTABLE, PRESETS, owners

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from agentauth_cli.tables.shape import At

_TAKEN = (
    *("issuer", "audience", "algorithms", "jwks_url", "kind", "subject_claim", "name_claim"),
    *("groups_claim", "require", "client_id", "scopes", "session", "token_endpoint"),
    *("authorization_endpoint", "device_authorization_endpoint", "revocation_endpoint"),
)


def issuer(name: str, entry: Mapping[str, Any], folder: Path) -> Issuer:
    """Return the issuer that a sound entry describes; relative files in it are of `folder`."""
    whole = filled(entry)
    file = whole["jwks_file"]
    # What is left out has its default in `Issuer`.
    given = {key: whole[key] for key in _TAKEN if whole[key] is not None}
    return Issuer(name=name, jwks_file=folder / file if file else None, **given)


def filled(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry with what its preset says of the keys that it does not have."""
    if entry["preset"] is None:
        return dict(entry)
    preset = PRESETS[entry["preset"]]
    known = {
        "issuer": preset.example if preset.fixed else None,
        "algorithms": preset.algorithms,
        "kind": preset.kind,
        "subject_claim": preset.subject_claim,
        "name_claim": preset.name_claim,
    }
    return dict(entry) | {key: value for key, value in known.items() if entry[key] is None}


def conflicts(at: At, entry: Mapping[str, Any]) -> Iterator[tuple[At, str]]:
    """Find what does not go together in the entry at this place."""
    whole = filled(entry)
    iss, preset = whole["issuer"] or "", entry["preset"]
    if not iss:
        yield at, _which(preset)
    elif preset and not re.fullmatch(PRESETS[preset].form, iss):
        expected = PRESETS[preset].example
        yield (*at, "issuer"), f"not one of preset {preset!r}: expected {expected}"
    yield from _open_to_all(at, iss, whole["require"])
    entra = preset == "entra" or iss.startswith(ENTRA)
    if entra and whole["subject_claim"] in MUTABLE:
        claim = whole["subject_claim"]
        yield (*at, "subject_claim"), f"{claim} can be changed by its owner there: use oid or sub"
    if entry["scopes"] is not None and "openid" not in entry["scopes"]:
        yield (*at, "scopes"), "without `openid` a login brings no ID token"
    if entry["ambient"] and preset not in PLATFORMS:
        names = ", ".join(PLATFORMS)
        yield (*at, "ambient"), f"needs a `preset` that says what platform this is: {names}"


def _which(preset: str | None) -> str:
    if preset is None:
        return "missing key 'issuer' (or 'preset')"
    return f"missing key 'issuer': preset {preset!r} has one for each customer, such as " + (
        PRESETS[preset].example
    )


def _open_to_all(at: At, iss: str, require: Mapping[str, str]) -> Iterator[tuple[At, str]]:
    """Find an issuer whose tokens anybody on earth can have, and nothing that says whose count."""
    claims = owners(iss)
    if not claims or not require.keys().isdisjoint(claims):
        return
    best = claims[0] if claims[0].isidentifier() else f'"{claims[0]}"'
    why = "anybody can have a token of this issuer: "
    if require:
        yield (*at, "require"), f"{why}one of these has to say whose: {', '.join(claims)}"
    else:
        yield at, f'{why}add `require = {{ {best} = "…" }}`'
