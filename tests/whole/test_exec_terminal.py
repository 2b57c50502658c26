"""`exec` on a terminal: secrets masked, and a person notices nothing else of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from support import absent
from support.cloud import ROLE
from support.person import BASH, Person
from support.station import PROGRAM

if TYPE_CHECKING:
    from support.station import Station

pytestmark = pytest.mark.whole

HIDDEN = "••••"
TOKEN = "made-up-session-token-value"
PROMPT = "READY> "


def at_shell(near: Station) -> Person:
    """Return a person in front of an interactive bash."""
    absent.program("bash")
    programs = os.pathsep.join([str(PROGRAM.parent), os.defpath])
    return Person(BASH, {**near.environ, "PATH": programs}, near.folder)


def at(near: Station, *arguments: str) -> Person:
    """Return a person in front of `exec` with these arguments."""
    return Person([str(PROGRAM), "exec", ROLE, *arguments], near.environ, near.folder)


@pytest.mark.parametrize(
    "script",
    [
        'echo "<$AWS_SESSION_TOKEN>"',
        'printf "<made-up-se"; sleep 0.2; printf "ssion-token-value>"',
        'printf "<"; printf %s "$AWS_SESSION_TOKEN" | base64 | tr -d "="; printf ">"',
        'printf "<"; printf "12%s" "$AWS_SESSION_TOKEN" | base64 -w 20; printf ">"',
        'echo "<$AWS_SESSION_TOKEN>" >&2',
        'echo "<$AWS_SESSION_TOKEN>" >/dev/tty',
    ],
)
def test_a_vended_secret_is_masked(near: Station, script: str) -> None:
    """Masking of the vended secrets in its output across chunk borders, also Base64."""
    with at(near, "--", "sh", "-c", script) as person:
        person.sees(f"<.{{0,7}}{HIDDEN}")
        person.sees(">")
        assert person.ends() == 0
    assert TOKEN not in person.seen.decode()
    assert near.events()[-1] == "lease.settled"


def test_without_a_mask_it_is_shown(near: Station) -> None:
    """`--no-mask`: the streams are the command's own."""
    with at(near, "--no-mask", "--", "sh", "-c", 'echo "<$AWS_SESSION_TOKEN>"; tty') as person:
        person.sees(f"<{TOKEN}>")
        assert person.ends() == 0


def test_the_command_is_on_a_terminal_like_ours(near: Station) -> None:
    """It has a terminal in the place of ours: as large, set as ours, the command in front."""
    script = (
        "tty && stty size && stty -a && ps -o stat= -p $$ && test -t 0 -a -t 1 -a -t 2; echo $?"
    )
    with at(near, "--", "sh", "-c", script) as person:
        person.sees("30 100\r\n")
        person.sees("icanon")
        person.sees("S.*\\+\r\n0\r\n")
        assert person.ends() == 0


def test_what_is_typed_is_read_and_the_end_of_input_too(near: Station) -> None:
    """Standard input at its end is passed on as EOF."""
    with at(near, "--", "sh", "-c", "cat; echo over") as person:
        time.sleep(0.5)  # typed before or after it reads: no matter
        person.type("one\n")
        person.sees("one\r\none\r\n")
        person.type(b"\x04")
        person.sees("over\r\n")
        assert person.ends() == 0


def test_a_prompt_is_not_delayed(near: Station) -> None:
    """Without delaying interactive programs."""
    script = 'printf "made-up? "; read answer; echo "got $answer"'
    with at(near, "--", "sh", "-c", script) as person:
        person.sees("made-up\\? ")
        person.type("yes\n")
        person.sees("got yes\r\n")
        assert person.ends() == 0


@pytest.mark.parametrize("arguments", [(), ("--no-mask",)])
def test_ctrl_c_reaches_the_command_once(near: Station, arguments: tuple[str, ...]) -> None:
    """INT that the terminal sends to the whole foreground group is not doubled."""
    script = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, lambda *_: os.write(1, b'heard\\n'))\n"
        "os.write(1, b'up\\n')\n"
        "end = time.monotonic() + 1.5\n"
        "while time.monotonic() < end: time.sleep(0.1)\n"
        "os.write(1, b'end\\n')\n"
    )
    with at(near, *arguments, "--", sys.executable, "-c", script) as person:
        person.sees("up\r\n")
        person.type(b"\x03")
        person.sees("end\r\n")
        assert person.ends() == 0
    assert person.seen.count(b"heard") == 1


@pytest.mark.parametrize("arguments", ["", "--no-mask"])
def test_ctrl_c_ends_a_loop_of_the_shell_too(near: Station, arguments: str) -> None:
    """Where a signal killed the command we die by it: its shell sees what it would without us."""
    run = f"agentauth exec {ROLE} {arguments} -- sh -c 'echo up; exec sleep 1000'"
    with at_shell(near) as person:
        person.sees(PROMPT)
        person.type(f"for each in 1 2 3; do {run}; done\n")
        person.sees("up\r\n")
        person.type(b"\x03")
        person.sees(PROMPT)
        person.type("echo code $?\n")
        person.sees("code 130\r\n")
        person.type("exit\n")
        person.ends()
    assert person.seen.count(b"up\r\n") == 1
    assert near.events() == ["vend.intent", "vend.issued", "lease.settled"]


@pytest.mark.parametrize("arguments", ["", "--no-mask"])
def test_stopped_and_continued_from_a_shell(near: Station, arguments: str) -> None:
    """Stop/continue (Ctrl-Z, fg) works from a real interactive shell."""
    script = 'echo up; read line; echo "got $line"; exit 6'
    with at_shell(near) as person:
        person.sees(PROMPT)
        before = person.settings()
        person.type(f"agentauth exec {ROLE} {arguments} -- sh -c '{script}'\n")
        person.sees("up\r\n")
        for _ in range(2):
            person.type(b"\x1a")
            person.sees("Stopped")
            person.sees(PROMPT)
            assert person.settings() == before
            person.type("fg\n")
            person.sees("exit 6'\r\n")
            time.sleep(0.5)  # a ^Z before the shell's SIGCONT is lost to any program
        person.type("word\n")
        person.sees("got word\r\n")
        person.sees(PROMPT)
        assert person.settings() == before
        person.type("echo code $?\n")
        person.sees("code 6\r\n")
        person.type("exit\n")
        person.ends()
    assert near.events() == ["vend.intent", "vend.issued", "lease.settled"]


def test_a_shell_in_it_has_job_control(near: Station) -> None:
    """Exec is driven by a real shell: an interactive one has its own terminal to control."""
    absent.program("bash")
    with at(near, "--", "bash", "--norc", "--noprofile", "-i") as person:
        person.sees(PROMPT)
        person.type("echo $AWS_SESSION_TOKEN; sleep 1000\n")
        person.sees(HIDDEN)
        time.sleep(0.5)
        person.type(b"\x1a")
        person.sees("Stopped +sleep")
        person.sees(PROMPT)
        person.type("kill -KILL %1; wait; exit 5\n")
        person.sees("exit\r\n")
        if b"stopped jobs" in person.seen:
            person.type("exit 5\n")
        assert person.ends() == 5
    assert b"no job control" not in person.seen
    assert TOKEN not in person.seen.decode()


def test_in_the_background_it_waits_for_the_terminal_as_any_job(near: Station) -> None:
    """In the background it leaves the terminal to the shell, and gets it by fg."""
    with at_shell(near) as person:
        person.sees(PROMPT)
        person.type(f"agentauth exec {ROLE} -- sh -c 'echo up; read line; echo got $line' &\n")
        person.sees("up\r\n")
        person.sees_after("\n", "Stopped")
        person.type("fg\n")
        person.sees("fg\r\n")
        person.sees("line'\r\n")
        time.sleep(0.5)
        person.type("word\n")
        person.sees("got word\r\n")
        person.sees(PROMPT)
        person.type("exit\n")
        person.ends()


@pytest.mark.parametrize("editor", ["vi", "vim"])
def test_a_full_screen_program_draws_stops_and_leaves_the_terminal_as_it_was(
    near: Station, editor: str
) -> None:
    """A full-screen program in a pty."""
    program = absent.program(editor)
    with at_shell(near) as person:
        person.sees(PROMPT)
        before = person.settings()
        person.type(f"agentauth exec {ROLE} -- {program} -u NONE made.txt\n")
        person.sees("\x1b\\[")
        person.sees("made.txt")
        time.sleep(0.5)
        person.type(b"\x1a")
        person.sees("Stopped")
        person.sees(PROMPT)
        assert person.settings() == before
        person.type("fg\n")
        person.sees("\x1b\\[")
        time.sleep(0.5)
        person.type("ihello\x1b:wq\r")
        person.sees(PROMPT)
        assert person.settings() == before
        person.type("exit\n")
        person.ends()
    assert (near.folder / "made.txt").read_text() == "hello\n"


def test_a_pager_behind_it_has_the_keyboard_and_one_in_it_too(near: Station) -> None:
    """Ours stays as it is until the command wants the keyboard: others may use it."""
    absent.program("less")
    with at_shell(near) as person:
        person.sees(PROMPT)
        before = person.settings()
        for line in (
            f"agentauth exec {ROLE} -- echo text | less",
            f"echo text | agentauth exec {ROLE} -- less",
        ):
            person.type(f"{line}\n")
            person.sees("END")
            time.sleep(0.5)  # less itself misses a ^Z right behind what it shows
            person.type(b"\x1a")
            person.sees("Stopped")
            person.sees(PROMPT)
            person.type("fg\n")
            person.sees("END")
            person.type("q")
            person.sees(PROMPT)
            assert person.settings() == before
        person.type("exit\n")
        person.ends()


def test_only_what_is_a_terminal_becomes_one(near: Station) -> None:
    """Those of its streams that are terminals; others stay as they are: byte for byte."""
    shell = ["sh", "-c", f'"$0" exec {ROLE} -- sh -c "$1" >out <in; cat out', str(PROGRAM)]
    script = "cat; test -t 0 || echo in; test -t 1 || echo out; test -t 2 && echo err"
    (near.folder / "in").write_bytes(b"\x00\r\n\x04\x03\x1a\n")
    script += '; echo $AWS_SESSION_TOKEN; echo "[$AWS_SESSION_TOKEN]" >&2'
    with Person([*shell, script], near.environ, near.folder) as person:
        person.sees("\\[" + HIDDEN + "\\]\r\n")
        assert person.ends() == 0
    written = (near.folder / "out").read_bytes()
    assert written == b"\x00\r\n\x04\x03\x1a\nin\nout\nerr\n" + TOKEN.encode() + b"\n"


def test_where_ours_can_only_be_written_it_is_typed_at_all_the_same(near: Station) -> None:
    """A shell opens `>/dev/tty` to be written: the keyboard is opened once more."""
    inside = "printf \\<$AWS_SESSION_TOKEN\\>; read line </dev/tty; echo got $line"
    shell = ["sh", "-c", f'"$0" exec {ROLE} -- sh -c "$1" </dev/null >/dev/tty 2>&1']
    with Person([*shell, str(PROGRAM), inside], near.environ, near.folder) as person:
        person.sees(f"<{HIDDEN}>")
        person.type("word\n")
        person.sees("got word\r\n")
        assert person.ends() == 0


def test_one_terminal_by_two_names_is_one(near: Station) -> None:
    """Masked as any: `2>/dev/tty`."""
    inside = "echo \\<$AWS_SESSION_TOKEN\\>; echo \\[$AWS_SESSION_TOKEN\\] >&2"
    shell = ["sh", "-c", f'"$0" exec {ROLE} -- sh -c "$1" 2>/dev/tty', str(PROGRAM), inside]
    with Person(shell, near.environ, near.folder) as person:
        person.sees(f"<{HIDDEN}>")
        person.sees(f"\\[{HIDDEN}\\]")
        assert person.ends() == 0


def test_two_terminals_are_refused_before_anything_is_vended(near: Station) -> None:
    """What is written to one never appears on the other, nor unmasked."""
    ours, theirs = os.openpty()
    run = f'"$0" exec {ROLE} $1 -- sh -c "echo out; echo err >&2" 2>{os.ttyname(theirs)}'
    with Person(["sh", "-c", run, str(PROGRAM), ""], near.environ, near.folder) as person:
        assert person.ends() == 2
    assert near.events() == []
    assert b"are two terminals: one can be masked. Send one of them" in os.read(ours, 65_536)
    shell = ["sh", "-c", run, str(PROGRAM), "--no-mask"]
    with Person(shell, near.environ, near.folder) as person:
        person.sees("out\r\n")
        assert person.ends() == 0
    assert os.read(ours, 65_536) == b"err\r\n"
    os.close(theirs)
    os.close(ours)


def test_however_many_files_are_open(near: Station) -> None:
    """Inherited descriptors pass, also a thousand: select(2) would know no more of them."""
    many = (
        "import os, resource, sys\n"
        "_, most = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (2048, most))\n"
        "for _ in range(1100): os.set_inheritable(os.dup(2), True)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    run = [str(PROGRAM), "exec", ROLE, "--", "sh", "-c", "seq 2000; read line; echo got $line"]
    with Person([sys.executable, "-c", many, *run], near.environ, near.folder) as person:
        person.sees("\r\n2000\r\n")
        person.type("word\n")
        person.sees("got word\r\n")
        assert person.ends() == 0


def test_the_size_follows_ours(near: Station) -> None:
    """Window size passed on at start and at SIGWINCH."""
    script = (
        "import os, signal, time\n"
        "show = lambda *_: os.write(1, b'%d %d\\n' % os.get_terminal_size())\n"
        "signal.signal(signal.SIGWINCH, show)\n"
        "show()\n"
        "time.sleep(1000)\n"
    )
    with at(near, "--", sys.executable, "-c", script) as person:
        person.sees("100 30\r\n")
        termios.tcsetwinsize(person.terminal, (40, 120))
        person.sees("120 40\r\n")
        person.type(b"\x03")
        assert person.ends() == -signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_command_on_its_terminal(near: Station, number: int) -> None:
    """TERM, HUP, USR1, USR2 that reach us are forwarded; the terminal is restored after."""
    with at(near, "--", "sh", "-c", "echo up; exec sleep 1000") as person:
        person.sees("up\r\n")
        assert person.settings() != person.before
        os.kill(person.process.pid, number)
        assert person.ends() == -number
        assert person.settings() == person.before
    assert near.events()[-1] == "lease.settled"


def test_a_terminal_that_is_gone_ends_the_command(near: Station) -> None:
    """A person who closes the window hangs the command up; the lease is settled."""
    with at(near, "--", "sh", "-c", "echo up; exec sleep 1000") as person:
        person.sees("up\r\n")
        os.close(person.terminal)
        assert person.process.wait(30) == -signal.SIGHUP
        person.terminal = os.open(os.devnull, os.O_RDONLY)
    assert near.events()[-1] == "lease.settled"


def test_what_it_leaves_behind_does_not_hold_us(near: Station) -> None:
    """What is left behind is not waited for; all that was said before is shown."""
    script = "trap '' HUP; (sleep 1000 & echo $! >left); seq 2000; echo last"
    with at(near, "--", "sh", "-c", script) as person:
        person.sees("\r\n2000\r\nlast\r\n")
        assert person.ends() == 0
    os.kill(int((near.folder / "left").read_text()), signal.SIGKILL)


def test_a_command_that_does_not_start_is_said_on_the_terminal(near: Station) -> None:
    """126, 127: also from behind a terminal of its own."""
    with at(near, "--", "no-such-program") as person:
        person.sees("agentauth: not found: no-such-program")
        assert person.ends() == 127
        assert person.settings() == person.before
    with at(near, "--", "/") as person:
        assert person.ends() == 126


def test_on_a_terminal_that_is_not_ours_to_control_it_works_too(near: Station) -> None:
    """A program that gave us a terminal for its output alone sees it masked."""
    ours, theirs = os.openpty()
    command = [str(PROGRAM), "exec", ROLE, "--", "sh", "-c", 'echo "<$AWS_SESSION_TOKEN>"; exit 3']
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            command,
            env=dict(near.environ),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
        os.close(theirs)
        assert terminal.read(65_536) == f"<{HIDDEN}>\r\n".encode()
    assert (done.returncode, done.stderr) == (3, b"")


def test_input_that_ends_without_a_terminal_of_ours_ends_for_the_command(near: Station) -> None:
    """Standard input at its end is passed on as EOF; nobody stops where none could wake us."""
    keys, typed = os.openpty()
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [PROGRAM, "exec", ROLE, "--", "sh", "-c", "kill -TSTP $$; echo up; cat; echo over"],
        env=dict(near.environ),
        stdin=typed,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(typed)
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while b"up\r" not in shown:
            shown += terminal.read(65_536)
        os.close(keys)
        while b"over\r" not in shown:
            shown += terminal.read(65_536)
    assert process.wait(60) == 0


def test_a_shell_that_suspends_itself_is_woken_with_us(near: Station) -> None:
    """Stop/continue works too where a command without a mask has a group of its own."""
    with at_shell(near) as person:
        person.sees(PROMPT)
        person.type(f"agentauth exec {ROLE} --no-mask -- bash --norc --noprofile -i\n")
        person.sees("-i\r\n")
        person.sees(PROMPT)
        person.type("suspend\n")
        person.sees("Stopped")
        person.sees(PROMPT)
        person.type("fg\n")
        person.sees("-i\r\n")
        person.sees(PROMPT)
        person.type("exit 7\n")
        person.sees(PROMPT)
        person.type("echo code $?\n")
        person.sees("code 7\r\n")
        person.type("exit\n")
        person.ends()
