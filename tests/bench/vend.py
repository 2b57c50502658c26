"""What a cold vend costs at each provider, and where its time goes: `make bench`.

Each provider is a server of this script on loopback that answers at once. AWS beside `aws sts
assume-role`, in turn on the same server. The parts are of one more run, with the same program
measured from within: `start` is all up to the command itself, `imports` what is loaded for this
provider, `network` what its calls wait for, `rest` what is decided, counted and written durably.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from support import clouds
from support.cloud import REGION, ROLE
from support.station import station
from support.sts_server import StsServer
from support.timing import ROUNDS, federate, once, parts

BIN, AWS = Path(sys.argv[1]), Path(sys.argv[2])


def main() -> None:
    """Time each in turn, round by round; print medians, ratios and parts."""
    with (
        tempfile.TemporaryDirectory() as folder,
        StsServer() as sts,
        clouds.google(Path(folder) / "google") as (google, _),
        clouds.openai(Path(folder) / "openai") as (openai, _),
        clouds.hub(Path(folder) / "hub") as (hub, _),
    ):
        here = station(Path(folder) / "key", sts.url, sts.source)
        keyless = station(Path(folder) / "token", sts.url, sts.source)
        federate(keyless)
        program = str(BIN / "agentauth")
        asked = [
            "--role-session-name",
            "xy",
            "--duration-seconds",
            "900",
            "--role-arn",
            f"arn:aws:iam::111111111111:role/{ROLE}",
        ]
        cli = [str(AWS), "sts", "assume-role", *asked, "--endpoint-url", sts.url]
        commands = {
            "aws sts assume-role": (here, [*cli, "--profile", "source", "--region", REGION]),
            "aws": (here, [program, "vend", ROLE]),
            "aws, web identity": (keyless, [program, "vend", ROLE]),
            "gcp": (google, [program, "vend", "tool_one"]),
            "openai": (openai, [program, "vend", "tool_one"]),
            "huggingface": (hub, [program, "vend", "tool_one"]),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for warm in (True, *[False] * ROUNDS):
            for name, (where, command) in commands.items():
                took = once(command, where.environ)
                if not warm:
                    times[name].append(took)
        bare = statistics.median(times["aws sts assume-role"])
        for name, taken in times.items():
            median = statistics.median(taken)
            said = f"vend {name:22} {median * 1000:7.1f} ms"
            if name.startswith("aws"):
                said += f" {median / bare:5.2f} x"
            where, command = commands[name]
            if command[0] == program:
                found = parts(BIN, where, *command[1:])
                said += "".join(f"  {part} {took * 1000:.0f}" for part, took in found.items())
            print(said)  # noqa: T201


if __name__ == "__main__":
    main()
