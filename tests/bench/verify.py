"""What verifying one token costs once everything is loaded, as a ratio to the bare signature check.

The bare check is the one call of `cryptography`; beside it what PyJWT needs by itself, which looks
at less. The keys are at hand, as between two requests of one process; `verify` sees its token again
and again, as a service does, `new` each one for the first time.
"""

from __future__ import annotations

import base64
import sys
import time
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agentauth_cli.inbound.issuer import Issuer
from agentauth_cli.inbound.jwk import parse
from agentauth_cli.inbound.jwt import verify
from agentauth_cli.secret import Secret
from support.issuer import signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentauth_cli.inbound.jwk import Key

ROUNDS = 101
CALLS = 50
OTHERS = 256  # more than are remembered
ISS = "https://login.example.test"
ISSUER = Issuer("okta", ISS, "agentauth")


def bare(algorithm: str, public: Any, token: str) -> Callable[[], object]:
    """Return the signature check alone, everything for it made ready."""
    signed, _, mark = token.rpartition(".")
    message, raw = signed.encode(), base64.urlsafe_b64decode(f"{mark}==")
    if algorithm == "RS256":
        return partial(public.verify, raw, message, padding.PKCS1v15(), SHA256())
    if algorithm == "ES256":
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        return partial(public.verify, encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    return partial(public.verify, raw, message)


def microseconds(call: Callable[[], object]) -> float:
    """Return what a call takes, averaged over a round."""
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1_000_000


def _new(others: Iterator[str], key: Key, now: datetime) -> None:
    verify(Secret(next(others)), (ISSUER,), lambda *_: (key,), now)


def main() -> None:
    """Time the checks in turn, round by round, and print the medians, of the ratios too."""
    now = datetime.now(UTC)
    issued = int(now.timestamp())
    claims = {"iss": ISS, "aud": "agentauth", "sub": "alice", "iat": issued, "exp": issued + 3600}
    for algorithm in ("RS256", "ES256", "EdDSA"):
        made = signer(algorithm)
        key, token = parse(made.jwk()), made.token(claims)
        others = cycle([made.token({**claims, "jti": str(number)}) for number in range(OTHERS)])
        assert key is not None
        calls: dict[str, Callable[[], object]] = {
            "bare": bare(algorithm, key.public, token),
            "PyJWT": partial(
                jwt.decode, token, key.public, [algorithm], audience="agentauth", issuer=ISS
            ),
            "verify": partial(verify, Secret(token), (ISSUER,), lambda *_, key=key: (key,), now),
            "new": partial(_new, others, key, now),
        }
        rounds = [{name: microseconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
        ratios = {
            name: median(one[name] / one["bare"] for one in rounds) for name in ("verify", "new")
        }
        found = "  ".join(f"{name} {one:4.2f} x" for name, one in ratios.items())
        said = "  ".join(f"{name} {median(one[name] for one in rounds):6.1f} µs" for name in calls)
        print(f"verify {algorithm:6} {said}; to bare: {found}")  # noqa: T201


if __name__ == "__main__":
    main()
