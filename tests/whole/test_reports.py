"""What was used, reported by whole programs: through a pipe, by many at once, too late."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.cloud import ROLE, Cloud
from support.faulty import Faulty, silence
from support.station import PROGRAM, Station, config

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.whole

BUDGETS = """\
version = 1

[[budget]]
id = "spend"
per = []
limits.month = { tokens = 1_000_000, cost = "5.00" }
"""
RESPONSE = {
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"message": {"content": "a made-up-secret that is nobody's business"}}],
    "usage": {"prompt_tokens": 400_000, "completion_tokens": 100_000, "total_tokens": 500_000},
}


@pytest.fixture
def spending(here: Station, emulator: Cloud) -> Station:
    """Return a station whose tool is held to tokens and cost."""
    allowance = 'allowance = { tokens = 1000, cost = "0.01" }\n'
    here.write("config.toml", config(emulator.url) + allowance)
    here.write("budgets.toml", BUDGETS)
    return here


def vend(station: Station) -> str:
    """Vend, and return the lease."""
    lease: str = station.json("vend", ROLE)["lease"]
    return lease


def piped(station: Station, arguments: Sequence[str], content: bytes) -> str:
    """Run the program with this on its standard input; return what it printed."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        env=dict(station.environ),
        cwd=station.folder,
        input=content,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def used(station: Station) -> dict[str, tuple[object, list[str]]]:
    """Return what is reserved of each metric of the budget, and how well that is known."""
    shown = station.json("budget", "show", "--json")["budgets"]
    return {one["metric"]: (one["reserved"], one["marks"]) for one in shown}


def test_a_whole_response_through_a_pipe(spending: Station) -> None:
    """`budget record LEASE --usage-json -`, priced by the table; nothing else of it is kept."""
    lease = vend(spending)
    assert used(spending) == {"tokens": (1000, ["allowance"]), "cost": ("0.01", ["allowance"])}
    command = ["budget", "record", lease, "--usage-json", "-", "--model", "openai/gpt-4o-mini"]
    out = piped(spending, command, json.dumps(RESPONSE).encode())
    assert out.splitlines()[0] == f"{lease}: recorded 500000 tokens, $0.12"
    assert used(spending) == {"tokens": (500_000, ["declared"]), "cost": ("0.12", ["declared"])}
    assert "made-up-secret" not in json.dumps(spending.records())
    refused = spending.run("vend", ROLE, "--estimate-tokens", "500001")
    assert refused.returncode == 7
    spending.everything_holds()


def test_the_same_reported_by_many_at_once_counts_once(spending: Station) -> None:
    """`record` twice counts once, and the largest of several holds."""
    lease = vend(spending)
    reports = [(5000 + 1000 * (i % 3)) for i in range(12)]
    started = [spending.start("budget", "record", lease, "--tokens", str(n)) for n in reports]
    ended = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * 12, [err for _, err in ended]
    assert used(spending)["tokens"] == (7000, ["declared"])
    assert spending.events().count("usage.recorded") == 12
    spending.everything_holds()


def test_a_lease_that_is_revoked_while_it_is_minted_is_released_once(
    spending: Station, emulator: Cloud
) -> None:
    """A pending lease is released; that its process ends then gives nothing back again."""
    with Faulty([silence()]) as server:
        spending.write("config.toml", config(server.url))
        spending.write("budgets.toml", "version = 1\n")
        process = spending.start("vend", ROLE)
        while "vend.intent" not in spending.events():
            assert process.poll() is None
        (pending,) = spending.json("lease", "list", "--json")["leases"]
        done = spending.run("lease", "revoke", pending["lease"])
        assert (
            done.stdout
            == f"{pending['lease']}: released; a mint that is under way is not delivered\n"
        )
        assert done.returncode == 0
        process.terminate()
        assert process.communicate()[0] == b""
    spending.write("config.toml", config(emulator.url))
    assert spending.run("lease", "revoke", pending["lease"]).stdout.endswith("already: released\n")
    assert spending.run("vend", ROLE).returncode == 0
    spending.everything_holds()
