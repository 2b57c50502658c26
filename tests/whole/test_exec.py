"""`exec` with pipes: a command runs as if nothing stood before it, and its leases end with it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from support import absent
from support.account import NOBODY
from support.cloud import BUCKET, ROLE, Cloud
from support.station import PREFIX, PROGRAM, TENTH, Station

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.whole

SECONDS = 60.0
IGNORES = """\
import signal, sys, time
heard = []
for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(one, lambda number, _frame: heard.append(number))
print("up", flush=True)
while len(heard) < int(sys.argv[1]):
    time.sleep(0.01)
print(*sorted(set(heard)), flush=True)
sys.exit(9)
"""


def begin(
    near: Station, *arguments: str, first: Sequence[str] = (), **streams: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a command behind `exec`, itself behind the program `first`, with pipes."""
    given: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        **streams,
    }
    return subprocess.Popen(
        [*first, PROGRAM, "exec", ROLE, *arguments],
        env=dict(near.environ),
        cwd=near.folder,
        **given,
    )


def python(near: Station, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of Python behind `exec`."""
    return near.run("exec", ROLE, "--", sys.executable, "-c", script, *arguments)


def states(near: Station) -> list[str]:
    """Return the states of the leases that are not over, or whose credential lives on."""
    return [one["state"] for one in near.json("lease", "list", "--json")["leases"]]


def test_the_aws_command_line_works_with_it_and_within_its_prefix(
    here: Station, emulator: Cloud
) -> None:
    """The command with the credentials in its environment and nowhere else."""
    aws = absent.program(os.environ["AGENTAUTH_TEST_AWS"])
    (here.folder / "file").write_text("x")
    base = ["exec", ROLE, "--", aws, "--endpoint-url", emulator.url, "s3", "cp", "file"]
    inside = here.run(*base, f"s3://{BUCKET}/{PREFIX}exec")
    outside = here.run(*base, f"s3://{BUCKET}/agents/y/exec")
    assert inside.returncode == 0, inside.stderr
    assert outside.returncode == 1
    assert "AccessDenied" in outside.stderr
    assert here.events() == ["vend.intent", "vend.issued", "lease.settled"] * 2
    here.everything_holds()


def test_what_it_writes_and_reads_passes_byte_for_byte(near: Station) -> None:
    """Byte for byte when not on a terminal."""
    sent = random.Random(1).randbytes(1 << 20)  # noqa: S311 - any bytes will do
    with begin(near, "--", "sh", "-c", "tee /dev/stderr") as process:
        out, error = process.communicate(sent, SECONDS)
    assert hashlib.sha256(out).digest() == hashlib.sha256(sent).digest()
    assert hashlib.sha256(error).digest() == hashlib.sha256(sent).digest()
    assert process.returncode == 0


def test_arguments_and_folder_pass_as_they_are(near: Station) -> None:
    """COMMAND… is a program and its arguments; no shell reads them."""
    odd = ["--json", "--", "-h", "", "a b", "$HOME", "*", "é\n", "--debug"]
    script = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd()]))"
    done = python(near, script, *odd)
    assert json.loads(done.stdout) == [odd, str(near.folder.resolve())]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 1", 1), ("exit 70", 70), ("exit 255", 255), ("exit 130", 130)]
    + [(f"kill -{number} $$", -number) for number in (2, 9, 10)],
)
def test_the_exit_code_is_the_commands(near: Station, script: str, code: int) -> None:
    """Otherwise the command's own code; where signal N killed it we die by N. Its lease ends."""
    near.write("budgets.toml", TENTH)
    assert near.run("exec", ROLE, "--", "sh", "-c", script).returncode == code
    assert near.events() == ["vend.intent", "vend.issued", "lease.settled"]
    assert states(near) == ["settled"]
    (counted,) = near.json("budget", "show", "--json")["budgets"]
    assert (counted["spent"], counted["reserved"]) == (1, 0)
    near.everything_holds()


def lay_out(near: Station) -> None:
    """Lay out files that cannot be run, for a reason each."""
    for name, text, mode in (
        ("closed", "#!/bin/sh\n", 0o600),
        ("blank", "exit 0\n", 0o700),
        ("astray", "#!/nowhere/sh\n", 0o700),
    ):
        (near.folder / name).write_text(text)
        (near.folder / name).chmod(mode)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("no-such-program", 127, "not found: no-such-program"),
        ("./nothing", 127, "not found: ./nothing"),
        ("", 127, "not found: a command without a name"),
        ("/", 126, "cannot be run: /: Permission denied"),
        ("./closed", 126, "cannot be run: ./closed: Permission denied"),
        ("./closed/x", 126, "cannot be run: ./closed/x: Not a directory"),
    ],
)
def test_for_a_command_that_is_not_there_nothing_is_vended(
    near: Station, command: str, code: int, said: str
) -> None:
    """126, 127: the command cannot be run, is not there."""
    lay_out(near)
    done = near.run("exec", ROLE, "--", command)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"agentauth: {said}")
    assert near.run("lease", "list").stdout == ""
    assert near.events() == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("./blank", "./blank: Exec format error"),
        ("./astray", "./astray: the interpreter in its first line"),
    ],
)
def test_a_command_that_does_not_start_leaves_the_lease_undelivered(
    near: Station, command: str, said: str
) -> None:
    """126: the command cannot be run; what its file does not tell before."""
    lay_out(near)
    done = near.run("exec", ROLE, "--", command)
    assert (done.returncode, done.stdout) == (126, "")
    assert done.stderr.startswith(f"agentauth: cannot be run: {said}")
    assert states(near) == ["undelivered"]
    assert near.events() == ["vend.intent", "vend.issued", "vend.failed"]
    near.everything_holds()


def test_a_variable_without_a_name_is_no_matter(near: Station) -> None:
    """The kernel hands it on, Python cannot: it is dropped."""
    odd = (
        "import ctypes, sys; strings = lambda *every: (ctypes.c_char_p * (len(every) + 1))(*every);"
        " import os; words = [os.fsencode(one) for one in sys.argv[1:]];"
        " ctypes.CDLL(None).execve(words[0], strings(*words), strings(b'=odd=1',"
        " *(key + b'=' + value for key, value in os.environb.items())))"
    )
    with begin(near, "--", "sh", "-c", "exit 3", first=[sys.executable, "-c", odd]) as process:
        out, error = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, error) == (3, b"", b"")


def test_signals_reach_the_command_and_it_is_waited_for(near: Station) -> None:
    """A program that ignores signals: we wait on, and say what it says."""
    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
    with begin(near, "--", sys.executable, "-c", IGNORES, str(len(numbers))) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.05)  # Python hears one kind of signal at a time; not what is tested
        out, error = process.communicate(timeout=SECONDS)
    assert out.split() == [b"%d" % number for number in sorted(numbers)]
    assert (process.returncode, error) == (9, b"")
    assert near.events()[-1] == "lease.settled"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_told_to_stop_it_ends_with_the_command_and_settles(
    near: Station, number: signal.Signals
) -> None:
    """The lease is settled at the end, also when the child is killed."""
    with begin(near, "--", "sh", "-c", "echo up; exec sleep 1000") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
        assert process.wait(SECONDS) == -number
    assert near.events() == ["vend.intent", "vend.issued", "lease.settled"]
    assert states(near) == ["settled"]


def test_killed_it_leaves_a_lease_that_its_time_to_live_settles(near: Station) -> None:
    """After a SIGKILL of ours its time to live settles it."""
    with begin(near, "--", "sh", "-c", "echo $$; exec sleep 1000") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        process.wait(SECONDS)
        os.kill(pid, signal.SIGKILL)  # it lives on: nobody was there to tell it
    (lease,) = near.json("lease", "list", "--json")["leases"]
    assert lease["state"] == "active"
    assert near.events() == ["vend.intent", "vend.issued"]
    assert near.run("vend", ROLE).returncode == 0
    near.everything_holds()


def test_ignored_signals_stay_ignored(near: Station) -> None:
    """One that the parent ignores (nohup) stays ignored, also in the command."""
    script = (
        "import signal; print([signal.getsignal(one) is signal.SIG_IGN for one in"
        " (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD)])"
    )
    ignoring = ["sh", "-c", "trap '' HUP USR1; exec \"$@\"", "sh"]
    with begin(near, "--", sys.executable, "-c", script, first=ignoring) as process:
        out, _ = process.communicate(timeout=SECONDS)
    assert out == b"[True, True, False, False]\n"


def test_a_parent_that_ignores_its_children_changes_nothing(near: Station) -> None:
    """The exit code is the command's, whatever the parent does with SIGCHLD."""
    ignoring = [
        sys.executable,
        "-c",
        (
            "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
            " os.execv(sys.argv[1], sys.argv[1:])"
        ),
    ]
    with begin(near, "--", "sh", "-c", "exit 5", first=ignoring) as process:
        assert process.wait(SECONDS) == 5


def test_limits_mask_and_signals_are_as_without_us(near: Station) -> None:
    """RLIMIT_CORE restored; umask, signal mask and dispositions untouched."""
    script = (
        "import json, os, resource, signal; "
        "status = dict(line.split(':', 1) for line in open('/proc/self/status')); "
        "print(json.dumps([resource.getrlimit(resource.RLIMIT_CORE), os.umask(0),"
        " [status[one].strip() for one in ('SigBlk', 'SigIgn', 'SigCgt')]]))"
    )
    command = [sys.executable, "-c", script]
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(
        resource.RLIMIT_CORE, (min(before[1], 4096) if before[1] >= 0 else 4096, before[1])
    )
    old = os.umask(0o027)
    try:
        plain = near.shell(command)
        behind = near.run("exec", ROLE, "--", *command)
    finally:
        os.umask(old)
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert behind.stdout == plain.stdout
    assert json.loads(plain.stdout)[1] == 0o027


def test_open_files_pass_and_none_of_ours_do(near: Station) -> None:
    """Inherited descriptors pass: ours are all closed on exec."""
    script = "import os; print(sorted(os.listdir('/proc/self/fd')), os.read(7, 9))"
    (near.folder / "seven").write_text("inherited")
    opened = ["sh", "-c", '7<seven exec "$@" 7<seven', "sh"]
    command = [sys.executable, "-c", script]
    plain = near.shell([*opened, *command])
    behind = near.shell([*opened, str(PROGRAM), "exec", ROLE, "--", *command])
    assert "'7'" in plain.stdout
    assert behind.stdout == plain.stdout, behind.stderr


def test_closed_streams_are_no_matter(near: Station) -> None:
    """Standard error closed (2>&-), standard input closed: works; the command sees them so."""
    shell = ["sh", "-c", 'exec "$0" exec "$@" 2>&- <&-', str(PROGRAM), ROLE, "--"]
    done = near.shell([*shell, "sh", "-c", "echo out; cat <&0 || echo closed; exit 3"])
    assert (done.returncode, done.stdout) == (3, "out\nclosed\n")


def test_sixteen_open_files_suffice(near: Station) -> None:
    """Limits: ulimit -n 16."""
    shell = ["sh", "-c", 'ulimit -n 16; exec "$0" exec "$@"', str(PROGRAM), ROLE, "--"]
    done = near.shell([*shell, "sh", "-c", "echo $AWS_SESSION_TOKEN; exit 3"])
    assert done.returncode == 3, done.stderr
    assert done.stdout == "made-up-session-token-value\n"


def test_thirty_two_at_once(near: Station) -> None:
    """Two writers at once (32 procs): one chain, every lease settled."""
    started = [begin(near, "--", "sh", "-c", "echo $AGENTAUTH_LEASE") for _ in range(32)]
    ended = [process.communicate(timeout=100) for process in started]
    assert [process.returncode for process in started] == [0] * 32
    assert len({out for out, _ in ended}) == 32
    events = near.events()
    assert [events.count(one) for one in ("vend.issued", "lease.settled")] == [32, 32]
    near.everything_holds()


def test_our_own_environment_is_closed_to_its_children(near: Station) -> None:
    """A child that reads /proc/PPID/environ, not as root, sees nothing."""
    setpriv = absent.program("setpriv") if os.getuid() == 0 else ""
    script = (
        "import os\ntry:\n    print(open(f'/proc/{os.getppid()}/environ').read())\n"
        "except PermissionError:\n    print('closed')\n"
    )
    become = (
        [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if setpriv else []
    )
    child = [*become, "/usr/bin/env", "python3", "-c", script]
    shown = near.run("exec", ROLE, "--", *child, AGENTAUTH_ENV="dev").stdout
    assert shown == "closed\n"


def test_a_ledger_that_cannot_be_written_at_the_end_is_said_and_no_more(near: Station) -> None:
    """It must not change the command's exit code, but is said on standard error."""
    done = near.run("exec", ROLE, "--", "sh", "-c", f"rm {near.folder}/state/ledger.db; exit 4")
    assert done.returncode == 4
    assert done.stderr.startswith("agentauth: ledger missing: ")
    assert "Traceback" not in done.stderr
    told = near.run("exec", ROLE, "--json", "--", "true")
    assert told.returncode == 9
    assert json.loads(told.stderr)["error"]["class"] == "LedgerMissingError"


def test_a_wait_for_the_ledger_at_the_end_can_be_cut_short(near: Station) -> None:
    """The exit code stays the command's; the leases end by their time."""
    near.run("vend", ROLE)
    with (
        (near.folder / "state" / "ledger.db.lock").open("rb") as held,
        begin(near, "--", "sh", "-c", "echo $$; read line; exit 3") as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        command = Path("/proc", process.stdout.readline().decode().strip())
        fcntl.flock(held, fcntl.LOCK_EX)
        process.stdin.close()
        end = time.monotonic() + 15  # half of what it would wait
        while not select.select([process.stderr], [], [], 0.5)[0] and time.monotonic() < end:
            if not command.exists():
                process.send_signal(signal.SIGINT)
        assert process.wait(5) == 3
        said = process.stderr.read()
    assert said.startswith(b"stopped before every lease was settled: those left end by their time")
    assert states(near) == ["active", "active"]
    near.everything_holds()


def test_a_denied_request_runs_nothing(near: Station) -> None:
    """Compared after the decision: exit 5, `delivery not permitted`, naming the rule."""
    policy = (near.folder / "config" / "policy.toml").read_text()
    near.write("policy.toml", policy + 'obligations = { delivery = ["stdout"] }\n')
    done = near.run("exec", ROLE, "--", "touch", "made")
    assert done.returncode == 5
    assert "delivery not permitted: rule uploads leaves stdout, not exec" in done.stderr
    assert not (near.folder / "made").exists()
    near.write("policy.toml", policy + 'obligations = { delivery = ["exec"] }\n')
    assert near.run("exec", ROLE, "--", "touch", "made").returncode == 0
    assert near.run("vend", ROLE).returncode == 5


def test_the_temporary_folder_is_private_empty_and_gone_at_the_end(near: Station) -> None:
    """Shared Google files pointed at empty ones."""
    script = (
        "import os, stat; path = os.environ['CLOUDSDK_CONFIG'];"
        "print(path, os.listdir(path), oct(stat.S_IMODE(os.stat(path).st_mode)));"
        "open(path + '/left', 'w').close()"
    )
    path, entries, mode = python(near, script).stdout.split()
    assert (entries, mode) == ("[]", "0o700")
    assert not Path(path).exists()


def test_stopped_before_the_command_starts_it_is_a_vend_like_any(near: Station) -> None:
    """A signal between vend and start behaves as in vend; after the start it is the child's."""
    moments = random.Random(2)  # noqa: S311 - any moments will do, the same ones each time
    codes = set()
    for _ in range(16):
        with begin(near, "--", "sh", "-c", "exec sleep 1000") as process:
            time.sleep(moments.uniform(0.05, 1.0))
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            codes.add(process.wait(SECONDS))
    assert codes <= {143, -signal.SIGTERM}
    assert set(states(near)) <= {"undelivered", "settled"}
    near.everything_holds()
