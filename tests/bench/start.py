"""What a call costs, as a ratio to `python -c pass` in the same run: `make bench`.

The program runs in an environment without development tools; STS is a server of this script on
loopback that answers at once.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.cloud import ROLE
from support.issuer import IssuerServer, signer
from support.station import station
from support.sts_server import StsServer
from support.timing import ROUNDS, federate, once, parts

if TYPE_CHECKING:
    from support.station import Station

BIN = Path(sys.argv[1])


def present(here: Station, issuer: IssuerServer) -> Station:
    """Return the station with a token in its environment, of an issuer whose keys get cached."""
    here.write(
        "config.toml",
        (here.folder / "config" / "config.toml").read_text()
        + f'\n[inbound.issuers.corp]\nissuer = "{issuer.url}"\naudience = "agentauth"\n',
    )
    ends = int(time.time()) + 3600
    claims = {"iss": issuer.url, "aud": "agentauth", "sub": "alice", "exp": ends}
    return replace(here, environ={**here.environ, "AGENTAUTH_TOKEN": signer("ES256").token(claims)})


def main() -> None:
    """Time each command in turn, round by round, and print medians and ratios."""
    with (
        tempfile.TemporaryDirectory() as folder,
        StsServer() as sts,
        IssuerServer(signer("ES256").jwk()) as issuer,
    ):
        here = station(Path(folder) / "key", sts.url, sts.source)
        keyless = station(Path(folder) / "token", sts.url, sts.source)
        federate(keyless)
        shown = present(station(Path(folder) / "shown", sts.url, sts.source), issuer)
        program = str(BIN / "agentauth")
        commands = {
            "python -c pass": (here, [str(BIN / "python"), "-c", "pass"]),
            "agentauth version": (here, [program, "version"]),
            "agentauth whoami": (here, [program, "whoami"]),
            "  by a token": (shown, [program, "whoami"]),
            "agentauth check": (here, [program, "check", ROLE]),
            "agentauth vend": (here, [program, "vend", ROLE]),
            "  by web identity": (keyless, [program, "vend", ROLE]),
            "agentauth exec": (here, [program, "exec", ROLE, "--", "/bin/true"]),
        }
        split = parts(BIN, shown, "whoami")
        times: dict[str, list[float]] = {name: [] for name in commands}
        for warm in (True, *[False] * ROUNDS):
            for name, (where, command) in commands.items():
                took = once(command, where.environ)
                if not warm:
                    times[name].append(took)
    bare = statistics.median(times["python -c pass"])
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:20} {median * 1000:7.1f} ms {median / bare:6.1f} x")  # noqa: T201
    said = "".join(f"  {part} {took * 1000:.0f}" for part, took in split.items())
    print(f"whoami by a token, in ms:{said}")  # noqa: T201


if __name__ == "__main__":
    main()
