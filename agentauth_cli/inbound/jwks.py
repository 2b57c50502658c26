"""The keys of the issuers: from a file, or over HTTPS and kept for a while.

A set serves for an hour. A key id that it does not hold, or its age, has it fetched again, at most
once a minute over all processes; the last good one serves for 24 h while the issuer is down. All
requests for one answer end within 5 s, each with at most 512 KiB; no redirect is followed.

Failures are AuthenticationError with the reason `keys_unavailable`, or `discovery_refused` where
the issuer's own document is not one to believe.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agentauth_cli import files
from agentauth_cli.errors import AuthenticationError, ProviderError
from agentauth_cli.inbound import jwk
from agentauth_cli.strict_json import parse_object
from agentauth_cli.transport import Deadline, send

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.inbound.issuer import Issuer
    from agentauth_cli.inbound.jwk import Key
    from agentauth_cli.ports import Clock

FRESH = 60 * 60
BETWEEN_FETCHES = 60
LAST_RESORT = 24 * 60 * 60
SECONDS = 5.0
LIMIT = 512 * 1024

_CACHE_LIMIT = 4 * LIMIT
_OK = 200
_URL_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class _KeySet:
    """What is known of an issuer's keys. Times in seconds since 1970; 0 is never."""

    attempted_at: float = 0.0
    fetched_at: float = 0.0
    keys: tuple[Key, ...] = ()

    def younger(self, seconds: int, now: float) -> bool:
        """Say whether it was fetched less than `seconds` ago; one of the future never was."""
        return 0 <= now - self.fetched_at < seconds

    def holds(self, kid: str | None) -> bool:
        """Say whether it has a key of this id; any id will do where None is asked for."""
        return kid is None or any(key.kid == kid for key in self.keys)


class KeySource:
    """The keys of any issuer, cached in `folder` (of the state directory)."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def __call__(self, issuer: Issuer, kid: str | None) -> tuple[Key, ...]:
        """Return the issuer's keys that have this key id; without one, all that it has.

        Raises AuthenticationError where they cannot be had; UnsafeFileError, ConfigError and
        StateError as `files` does.
        """
        if issuer.jwks_file is not None:
            keys = _from_file(issuer, issuer.jwks_file)
        else:
            keys = self._cached_or_fetched(issuer, kid).keys
        return tuple(key for key in keys if kid is None or key.kid == kid)

    def _cached_or_fetched(self, issuer: Issuer, kid: str | None) -> _KeySet:
        origin = json.dumps([issuer.issuer, issuer.jwks_url])
        path = self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"
        known = _load(path, issuer)
        if known.younger(FRESH, self._clock().timestamp()) and known.holds(kid):
            return known
        files.private_folder(self._folder)
        with files.lock(path.with_suffix(".lock")):
            # Another process may have fetched while this one waited for the lock.
            return self._refreshed(path, issuer, kid)

    def _refreshed(self, path: Path, issuer: Issuer, kid: str | None) -> _KeySet:
        now = self._clock().timestamp()
        known = _load(path, issuer)
        fresh = known.younger(FRESH, now)
        if fresh and known.holds(kid):
            return known
        if 0 <= now - known.attempted_at < BETWEEN_FETCHES:
            if fresh or known.younger(LAST_RESORT, now):
                return known
            raise _unavailable(
                issuer,
                f"they could not be fetched {now - known.attempted_at:.0f} s ago;"
                f" the next attempt is {BETWEEN_FETCHES} s after that",
            )
        known = replace(known, attempted_at=now)
        _store(path, issuer, known)  # before the request: one that is killed counts too
        try:
            fetched = _KeySet(now, now, _fetch(issuer))
        except AuthenticationError:
            if known.younger(LAST_RESORT, now) and known.holds(kid):
                return known
            raise
        _store(path, issuer, fetched)
        return fetched


def _from_file(issuer: Issuer, path: Path) -> tuple[Key, ...]:
    content = files.read(path, limit=LIMIT)
    if content is None:
        raise _unavailable(issuer, f"{path} does not exist")
    try:
        return _keys(issuer, parse_object(content))
    except ValueError as error:
        raise _unavailable(issuer, f"{path} {error}") from None


def _load(path: Path, issuer: Issuer) -> _KeySet:
    """Return what the cache file knows; a damaged one, or another issuer's, knows nothing."""
    content = files.read(path, limit=_CACHE_LIMIT, private=True)
    whose, known = _parsed(content or b"")
    return known if whose == (issuer.issuer, issuer.jwks_url) else _KeySet()


@lru_cache(maxsize=16)
def _parsed(content: bytes) -> tuple[tuple[object, object], _KeySet]:
    """Return whose keys a cache file holds, and what it knows of them.

    Remembered: to make the keys anew costs a service more than to check a signature.
    """
    try:
        found = parse_object(content)
    except ValueError:
        found = {}
    attempted_at, fetched_at = found.get("attempted_at"), found.get("fetched_at")
    keys = found.get("keys")
    known = _KeySet()
    if isinstance(attempted_at, float) and isinstance(fetched_at, float) and isinstance(keys, list):
        known = _KeySet(attempted_at, fetched_at, _usable(keys))
    return (found.get("issuer"), found.get("jwks_url")), known


def _store(path: Path, issuer: Issuer, known: _KeySet) -> None:
    content = {
        "issuer": issuer.issuer,
        "jwks_url": issuer.jwks_url,
        "attempted_at": known.attempted_at,
        "fetched_at": known.fetched_at,
        "keys": [dict(key.jwk) for key in known.keys],
    }
    files.write(path, json.dumps(content).encode())


def _usable(keys: list[object]) -> tuple[Key, ...]:
    return tuple(key for key in map(jwk.parse, keys) if key is not None)


def _keys(issuer: Issuer, key_set: dict[str, Any]) -> tuple[Key, ...]:
    keys = key_set.get("keys")
    if not isinstance(keys, list):
        raise _unavailable(issuer, "the answer is no key set: it has no list `keys`")
    return _usable(keys)


def _fetch(issuer: Issuer) -> tuple[Key, ...]:
    deadline = Deadline(SECONDS)
    url = issuer.jwks_url
    if url is None:
        url = _discovered(issuer, deadline)
    return _keys(issuer, _get(issuer, url, deadline))


def _discovered(issuer: Issuer, deadline: Deadline) -> str:
    """Return the `jwks_uri` of the issuer's document (OpenID Connect Discovery, section 4)."""
    document = _get(
        issuer, issuer.issuer.removesuffix("/") + "/.well-known/openid-configuration", deadline
    )
    if document.get("issuer") != issuer.issuer:
        raise AuthenticationError(
            f"the discovery document of issuer {issuer.name} names another issuer",
            reason="discovery_refused",
        )
    url = document.get("jwks_uri")
    if (
        not isinstance(url, str)
        or len(url) > _URL_LENGTH
        or (issuer.issuer.startswith("https:") and not url.startswith("https:"))
    ):
        raise AuthenticationError(
            f"the discovery document of issuer {issuer.name} has no `jwks_uri` over HTTPS",
            reason="discovery_refused",
        )
    return url


def _get(issuer: Issuer, url: str, deadline: Deadline) -> dict[str, Any]:
    try:
        response = send(
            "GET", url, deadline=deadline, headers={"accept": "application/json"}, limit=LIMIT
        )
    except ProviderError as error:
        raise _unavailable(issuer, error.message) from None
    if response.status != _OK:
        raise _unavailable(issuer, f"{url} answered with status {response.status}")
    try:
        return parse_object(response.body)
    except ValueError as error:
        raise _unavailable(issuer, f"the answer of {url} {error}") from None


def _unavailable(issuer: Issuer, why: str) -> AuthenticationError:
    return AuthenticationError(
        f"the keys of issuer {issuer.name} cannot be had: {why}",
        reason="keys_unavailable",
        hint=f"Check the network and [inbound.issuers.{issuer.name}]",
    )
