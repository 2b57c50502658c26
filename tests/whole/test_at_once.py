"""Many at once, killed, stopped, and with nowhere to write to."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import sts
from support.cloud import ROLE, Cloud
from support.faulty import Faulty, silence
from support.station import PROGRAM, TENTH, Station, config, station

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.whole


@pytest.fixture
def stalled(tmp_path: Path, emulator: Cloud) -> Iterator[Station]:
    """Return a station whose STS takes the request and never answers."""
    with Faulty([silence()]) as server:
        yield station(tmp_path / "stalled", server.url, emulator.source)


def wait_for(stalled: Station, event: str) -> None:
    """Wait until the audit trail has this event."""
    while event not in stalled.events():
        time.sleep(0.05)


def test_sixty_four_at_once_get_ten_credentials_from_a_budget_of_ten(here: Station) -> None:
    """64 vends at once against a budget of ten: ten credentials, 54 exits with code 7."""
    here.write("budgets.toml", TENTH)
    started = [here.start("vend", ROLE) for _ in range(64)]
    ended = [process.communicate() for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [0] * 10 + [7] * 54, [error for _, error in ended if error]
    keys = {json.loads(output)["AccessKeyId"] for output, _ in ended if output}
    assert len(keys) == 10
    assert here.events().count("vend.issued") == 10
    assert here.events().count("vend.denied") == 54
    (counted,) = here.json("budget", "show", "--json")["budgets"]
    assert counted["spent"] + counted["reserved"] == 10
    here.everything_holds()


def test_killed_while_sts_is_silent_it_leaves_an_orphan_and_nothing_else(
    stalled: Station, emulator: Cloud
) -> None:
    """Kill -9 in the middle: `lease list` shows the orphan; the next vend works."""
    process = stalled.start("vend", ROLE)
    wait_for(stalled, "vend.intent")
    process.kill()
    output, _ = process.communicate()
    assert output == b""
    (lease,) = stalled.json("lease", "list", "--json")["leases"]
    assert lease["state"] == "orphaned"
    stalled.write("config.toml", config(emulator.url))
    assert stalled.run("vend", ROLE).returncode == 0
    stalled.everything_holds()


def test_killed_at_random_moments_it_never_delivers_without_a_record(here: Station) -> None:
    """Kill -9 at any moment: no credential delivered without a `vend.issued` record."""
    moments = random.Random(1)  # noqa: S311 - any moments will do, the same ones each time
    delivered = set()
    for _ in range(24):
        process = here.start("vend", ROLE)
        time.sleep(moments.uniform(0.05, 1.2))
        process.kill()
        output, _ = process.communicate()
        if output:
            delivered.add(json.loads(output)["lease"])
    issued = {one["lease"] for one in here.records() if one["event"] == "vend.issued"}
    assert delivered <= issued
    assert here.run("vend", ROLE).returncode == 0
    here.everything_holds()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_during_the_call_releases_the_reservation(
    stalled: Station, number: signal.Signals, code: int
) -> None:
    """128+N: stopped by signal N; the reservation released."""
    stalled.write("budgets.toml", TENTH)
    process = stalled.start("vend", ROLE)
    wait_for(stalled, "vend.intent")
    process.send_signal(number)
    output, error = process.communicate()
    assert (process.returncode, output, error) == (code, b"", b"")
    assert stalled.json("lease", "list", "--json")["leases"] == []
    (counted,) = stalled.json("budget", "show", "--json")["budgets"]
    assert (counted["spent"], counted["reserved"]) == (0, 0)
    last = stalled.records()[-1]
    assert (last["event"], last["reason"]) == ("vend.failed", f"stopped by signal {number.value}")
    stalled.everything_holds()


def test_where_output_cannot_be_written_the_lease_is_undelivered(here: Station) -> None:
    """If the output cannot be written (closed, full): exit 9, the lease says `undelivered`."""
    with Path("/dev/full").open("wb") as full:
        process = here.start("vend", ROLE, stdout=full)
        _, error = process.communicate()
    assert process.returncode == 9
    assert error.startswith(b"agentauth: undelivered: ")
    (lease,) = here.json("lease", "list", "--json")["leases"]
    assert lease["state"] == "undelivered"
    here.everything_holds()


def test_a_closed_standard_output_is_not_the_ledger(here: Station) -> None:
    """A descriptor that the caller closed never becomes a file of ours."""
    closed = here.shell(["sh", "-c", f'exec "$0" vend {ROLE} >&-', str(PROGRAM)])
    assert closed.returncode == 9
    assert "undelivered" in closed.stderr
    here.everything_holds()


def test_closed_standard_error_and_input_are_no_matter(here: Station) -> None:
    """Standard error closed (2>&-), standard input closed: works."""
    done = here.shell(["sh", "-c", f'exec "$0" vend {ROLE} 2>&- <&-', str(PROGRAM)])
    assert done.returncode == 0
    assert json.loads(done.stdout)["Version"] == 1


def test_no_secret_is_in_any_file_argument_or_message(here: Station, stalled: Station) -> None:
    """No secret of a vended credential, nor the source's, is found where others could look."""
    vended = here.json("vend", ROLE)
    secrets = [vended["SecretAccessKey"], vended["SessionToken"]]
    here.write("policy.toml", "version = 1\n")
    failed = here.run("vend", ROLE, "--debug")
    assert failed.returncode == 5
    shown = failed.stdout + failed.stderr + here.run("audit", "tail", "--json").stdout
    written = b"".join(
        path.read_bytes()
        for folder in ("config", "state", "data")
        for path in (here.folder / folder).rglob("*")
        if path.is_file()
    )
    source = (here.folder / "aws" / "credentials").read_text().split(" = ")[-1].strip()
    for secret in (*secrets, source):
        assert secret not in shown
        assert secret.encode() not in written
    process = stalled.start("vend", ROLE, "--debug")
    wait_for(stalled, "vend.intent")
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate()
    assert source.encode() not in arguments + error


def test_a_vend_leaves_no_core_dump(stalled: Station) -> None:
    """RLIMIT_CORE 0 before the first secret exists."""
    process = stalled.start("vend", ROLE)
    wait_for(stalled, "vend.intent")
    limits = Path(f"/proc/{process.pid}/limits").read_text(encoding="ascii")
    process.kill()
    process.communicate()
    (line,) = (one for one in limits.splitlines() if one.startswith("Max core file size"))
    assert line.split()[4] == "0"


def test_no_command_leaves_a_core_dump(here: Station) -> None:
    """Before the first secret exists: a key or a token may say who is asking, whatever is asked."""
    script = (
        "import resource, sys; from agentauth_cli.cli.run import run\n"
        "most = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (most, most))\n"
        "run([sys.argv[1]]); print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    for command in ("whoami", "status", "version"):
        done = here.shell([sys.executable, "-c", script, command])
        assert done.stdout.splitlines()[-1] == "0", done.stderr


def test_the_second_of_two_first_uses_finds_the_ledger_of_the_first(here: Station) -> None:
    """Started at once on a fresh machine, all find one ledger."""
    started = [here.start("whoami") for _ in range(8)]
    started += [here.start("check", ROLE) for _ in range(8)]
    for process in started:
        _, error = process.communicate()
        assert process.returncode == 0, error
    here.everything_holds()


def test_a_policy_edit_counts_for_the_next_vend(here: Station) -> None:
    """What a file says now is what holds now."""
    assert here.run("vend", ROLE).returncode == 0
    here.write("policy.toml", "version = 1\n")
    assert here.run("vend", ROLE).returncode == 5


def test_broken_sts_answers_are_exit_8_with_the_reservation_released(
    tmp_path: Path, emulator: Cloud
) -> None:
    """Exit 8, code and request id in the message, reservation released, `vend.failed` written."""
    with Faulty([sts.error("Throttling", "Rate exceeded", 400)]) as server:
        one = station(tmp_path / "throttled", server.url, emulator.source)
        one.write("budgets.toml", TENTH)
        done = one.run("vend", ROLE)
        tried = len(server.requests)
    assert done.returncode == 8
    assert "Throttling" in done.stderr
    assert sts.REQUEST_ID in done.stderr
    assert 1 < tried <= 3
    assert one.json("lease", "list", "--json")["leases"] == []
    assert one.events() == ["vend.intent", "vend.failed"]
    (counted,) = one.json("budget", "show", "--json")["budgets"]
    assert counted["reserved"] == 0
    one.everything_holds()


def test_a_silent_sts_ends_at_the_deadline(stalled: Station) -> None:
    """One deadline over the whole call: 20 s, then exit 8."""
    done = subprocess.run(
        [PROGRAM, "vend", ROLE],
        env=dict(stalled.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 8
    assert "no answer within 20 s" in done.stderr
    assert stalled.events() == ["vend.intent", "vend.failed"]
