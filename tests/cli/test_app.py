"""How the command line ends: exit codes, signals, bugs, and what is loaded for it."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer

from agentauth_cli import __version__, errors
from agentauth_cli.cli import identity
from agentauth_cli.cli import run as run_
from agentauth_cli.cli.app import MODULES, build
from agentauth_cli.cli.run import run
from agentauth_cli.errors import AgentAuthError, AuthenticationError, Stopped
from support.station import PROGRAM, Station, station

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

KEY = "aak_k3v9x2ab_00000000000000000000000000000000000000"
CODES = {
    "AgentAuthError": 70,
    "UsageError": 2,
    "ConfigError": 3,
    "AuthenticationError": 4,
    "PermissionDeniedError": 5,
    "SwitchedOffError": 6,
    "LimitError": 7,
    "ProviderError": 8,
    "StateError": 9,
    "CommandUnusableError": 126,
    "CommandMissingError": 127,
}
CLASSES = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, AgentAuthError) and one.__module__ == errors.__name__
]


# -- the classes -----------------------------------------------------------------------------


def _drawn() -> dict[str, str]:
    """Return the class above each, as the docstring of `errors` draws the tree."""
    above: list[str] = []
    found = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^((?:[│ ] {3})*(?:[├└]── )?)([A-Z]\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            found[match[2]] = above[depth - 1] if depth else "Exception"
    return found


def test_the_tree_that_is_drawn_is_the_tree_of_classes() -> None:
    """The tree in the docstring of `errors` is exactly the tree of classes."""
    assert _drawn() == {one.__name__: one.__bases__[0].__name__ for one in CLASSES}


def test_the_tree_names_the_exit_code_of_each_family() -> None:
    """Each family has its exit code, and the drawing says the same."""
    drawn = dict(re.findall(r"[├└]── (\w+) +(\d+)  ", errors.__doc__ or ""))
    assert {name: int(code) for name, code in drawn.items()} == {
        name: code for name, code in CODES.items() if code != 70
    }


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
def test_each_class_says_what_it_is_and_can_be_raised_with_a_message_alone(
    kind: type[AgentAuthError],
) -> None:
    """Each error class carries exit code and advice, and can be raised with a message alone."""
    family = next(one.__name__ for one in kind.__mro__ if one.__name__ in CODES)
    assert kind.exit_code == CODES[family]
    assert kind.what
    assert not kind.what.endswith(".")
    assert kind.__doc__
    assert kind is AgentAuthError or kind.advice
    assert not kind.advice.endswith(".")
    raised = kind("why")
    assert (str(raised), raised.message, raised.hint) == ("why", "why", kind.advice)
    assert raised.retry_after is None
    assert kind().message == ""
    assert kind("why", hint="").hint == ""


# -- how a command ends ----------------------------------------------------------------------


@pytest.fixture
def whoami(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Return how to let the command `whoami` do something else."""

    def instead(act: Callable[[], Any]) -> None:
        monkeypatch.setattr(identity, "work", lambda *_, **__: act())

    for name in ("AGENTAUTH_DEBUG", "AGENTAUTH_INSIDE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    return instead


def _raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
def test_an_error_ends_with_its_exit_code_and_one_line(
    kind: type[AgentAuthError], whoami: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every error is one line on standard error; standard output carries nothing of it."""
    whoami(_raising(kind("the why")))
    assert run(["whoami"]) == kind.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"agentauth: {kind.what}: the why")
    assert err.count("\n") == 1


def test_done_is_zero(whoami: Any) -> None:
    """0: done, allowed; a command may also name its own code."""
    whoami(lambda: None)
    assert run(["whoami"]) == 0

    def found() -> None:
        raise typer.Exit(1)

    whoami(found)
    assert run(["whoami"]) == 1


def test_a_bug_is_70_and_one_line(whoami: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """70: a bug in this program (one line, `--debug` for the traceback)."""
    whoami(_raising(ZeroDivisionError(f"division\nby {KEY}")))
    assert run(["whoami"]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(r"agentauth: a bug in agentauth: ZeroDivisionError: division\nby ••••. ")
    assert err.count("\n") == 1
    assert "--debug" in err


@pytest.mark.parametrize("where", ["before", "after", "variable"])
def test_debug_shows_the_traceback_without_secrets(
    whoami: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """`--debug`, anywhere, or AGENTAUTH_DEBUG: the traceback; secrets redacted in it too."""
    whoami(_raising(ZeroDivisionError(KEY)))
    if where == "variable":
        monkeypatch.setenv("AGENTAUTH_DEBUG", "1")
    arguments = {"before": ["--debug", "whoami"], "after": ["whoami", "--debug"]}
    assert run(arguments.get(where, ["whoami"])) == 70
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "0000000000" not in err
    assert err.splitlines()[-1].startswith("agentauth: a bug in agentauth: ")


def test_with_json_every_end_is_an_object(whoami: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` an error is an object on standard error, a bug too."""
    for error, code, name in (
        (AuthenticationError("x", reason="expired"), 4, "AuthenticationError"),
        (ValueError("x"), 70, "_BugError"),
    ):
        whoami(_raising(error))
        assert run(["whoami", "--json"]) == code
        told = json.loads(capsys.readouterr().err)["error"]
        assert told.keys() == {"code", "class", "message", "hint", "retry_after"}
        assert (told["code"], told["class"]) == (code, name)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_with_128_and_its_number(
    whoami: Any, capsys: pytest.CaptureFixture[str], signum: signal.Signals
) -> None:
    """128+N: stopped by signal N, any command; nothing is printed; the handlers are put back."""
    before = signal.getsignal(signum)

    def act() -> None:
        try:
            os.kill(os.getpid(), signum)
        finally:
            os.kill(os.getpid(), signum)  # a second one does not cut short what is given back

    whoami(act)
    assert run(["whoami"]) == 128 + signum
    assert capsys.readouterr() == ("", "")
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize("signum", run_._SIGNALS)
def test_a_signal_that_the_parent_ignores_stays_ignored(
    whoami: Any, signum: signal.Signals
) -> None:
    """Under nohup a hang-up stops nothing."""
    before = signal.signal(signum, signal.SIG_IGN)
    try:
        whoami(lambda: os.kill(os.getpid(), signum))
        assert run(["whoami"]) == 0
        assert signal.getsignal(signum) is signal.SIG_IGN
    finally:
        signal.signal(signum, before)


def test_a_reader_that_is_gone_is_sigpipe(whoami: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A closed pipe is the end of a program that writes to it."""
    whoami(_raising(Stopped(signal.SIGPIPE)))
    assert run(["whoami"]) == 141
    assert capsys.readouterr().err == ""


def test_asking_for_ones_own_source_is_refused(
    whoami: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """AGENTAUTH_INSIDE at start is exit 3, naming the profile."""
    whoami(lambda: None)
    for value in ("1", ""):
        monkeypatch.setenv("AGENTAUTH_INSIDE", value)
        monkeypatch.setenv("AWS_PROFILE", "agent\x1b")
        assert run(["whoami"]) == 3
        assert r"profile agent\x1b asks agentauth for" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["whoaim"],
        ["whoami", "--bogus"],
        ["whoami", "extra"],
        ["--bogus", "whoami"],
        ["budget", "shwo"],
        ["vend"],
        ["vend", "a", "b"],
        ["vend", "a", "--estimate-tokens", "x"],
        ["vend", "a", "--resource"],
        ["--", "--bogus"],
        ["--", "\x1b[31m"],
        ["\udcff"],
    ],
)
def test_a_wrong_use_is_2_and_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """2: wrong usage, unknown name; one line, with --json an object."""
    monkeypatch.delenv("AGENTAUTH_DEBUG", raising=False)
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("agentauth: usage: ")
    assert err.count("\n") == 1
    assert len(err) <= 301
    assert err[:-1].isprintable()
    if "--" not in arguments and arguments[-1] != "--resource":  # which would take it
        assert run([*arguments, "--json"]) == 2
        assert json.loads(capsys.readouterr().err)["error"]["class"] == "UsageError"


def test_nothing_to_do_is_shown_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the help is shown, to a person: on standard error, with exit 2."""
    for arguments in ([], ["budget"], ["configure"]):
        assert run(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("Usage: agentauth")


# -- help and what is declared ---------------------------------------------------------------

GROUPS = ("budget", "lease", "audit", "policy", "configure", "ledger")


@pytest.mark.parametrize("command", ["", *MODULES])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_each_command_has_its_help(
    command: str, option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-h`/`--help` everywhere, on standard output; at 80 columns no line of it is cut short."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*([command] if command else []), option]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: agentauth {command}".rstrip())
    assert err == ""
    for repeated in ("[ARGS]...", "[[PATH…]]...", "{TOOL}..."):
        out = out.replace(repeated, "")
    assert "..." not in out
    assert max(map(len, out.splitlines())) <= 80


def test_every_option_has_its_help() -> None:
    """Nobody has to guess what an option is for."""
    for name in MODULES:
        commands: list[Any] = [typer.main.get_command(build(name))]
        for command in commands:
            commands.extend(getattr(command, "commands", {}).values())
            for parameter in command.params:
                assert getattr(parameter, "help", None), f"{command.name} {parameter.name}"


def test_each_command_is_declared_where_the_table_says() -> None:
    """MODULES equals what the modules declare, so that no command is missed or loaded in vain."""
    declared = {}
    for module in dict.fromkeys(MODULES.values()):
        alone = typer.Typer()
        importlib.import_module(f"agentauth_cli.cli.{module}").declare(alone)
        alone.callback()(lambda: None)
        for name in typer.main.get_command(alone).commands:  # type: ignore[attr-defined]
            declared[name] = module
    assert declared == MODULES
    assert set(typer.main.get_command(build()).commands) == set(MODULES)  # type: ignore[attr-defined]


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """`version`, `--version`."""
    for arguments in (["version"], ["--version"]):
        assert run(arguments) == 0
        assert capsys.readouterr().out == f"agentauth {__version__}\n"


def test_no_color_may_stand_anywhere(whoami: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--no-color` is an option of the program, wherever it stands."""
    for arguments in (["--no-color", "whoami"], ["whoami", "--no-color"]):
        monkeypatch.delenv("NO_COLOR")
        whoami(lambda: None)
        assert run(arguments) == 0
        assert os.environ["NO_COLOR"] == "1"


def test_what_stands_behind_two_dashes_is_left_alone() -> None:
    """Options of another command are not ours."""
    assert run_._in_front(["a", "--debug", "--", "--debug"]) == ["--debug", "a", "--", "--debug"]
    assert run_._front(["a", "--json", "--", "--debug"]) == ["a", "--json"]
    assert run_._front(["a", "--json"]) == ["a", "--json"]


# -- what is loaded --------------------------------------------------------------------------

HEAVY = {
    *("typer", "rich", "keyring", "boto3", "botocore", "google", "openai", "huggingface_hub"),
    *("jwt", "cryptography", "tomllib", "tomlkit", "platformdirs", "sqlite3"),
}
LATE = {"boto3", "botocore", "jwt", "cryptography", "tomlkit", "rich", "platformdirs"}


def _modules(here: Station, script: str) -> set[str]:
    # without what measures coverage, which imports on its own
    unmeasured = {name: one for name, one in here.environ.items() if "COVERAGE" not in name}
    alone = Station(here.folder, unmeasured)
    done = alone.shell([sys.executable, "-P", "-c", f"{script}; import sys; print(*sys.modules)"])
    assert done.returncode == 0, done.stderr
    return {name for name in done.stdout.splitlines()[-1].split() if "." not in name}


@pytest.fixture
def apart(tmp_path: Path) -> Station:
    """Return a station whose STS nobody answers at."""
    key = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up"}
    return station(tmp_path / "station", "http://127.0.0.1:1", key)


def test_importing_the_package_loads_nothing_heavy(apart: Station) -> None:
    """No import-time work: whoever imports the package pays for no cloud."""
    for module in ("agentauth_cli", "agentauth_cli.errors", "agentauth_cli.model"):
        assert not HEAVY & _modules(apart, f"import {module}")


@pytest.mark.parametrize("arguments", [["whoami"], ["check", "put_file"], ["status"]])
def test_a_command_loads_only_what_it_needs(apart: Station, arguments: list[str]) -> None:
    """As the OS account nothing of a provider, of tokens, or that writes files is loaded."""
    assert apart.run("check", "put_file").returncode == 0  # the first begins the ledger
    script = f"from agentauth_cli.cli.run import run; assert run({arguments}) == 0"
    assert not LATE & _modules(apart, script)


# -- the real program, where streams and terminals are odd -----------------------------------

ODD = [
    {"LANG": "C", "LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"COLUMNS": "1"},
    {"COLUMNS": "none"},
    {"TERM": "dumb"},
    {"NO_COLOR": ""},
    {"TZ": "Pacific/Kiritimati"},
    {"PYTHONWARNINGS": "error"},
]


@pytest.mark.whole
@pytest.mark.parametrize("variables", ODD, ids=",".join)
def test_an_odd_environment_changes_nothing(apart: Station, variables: dict[str, str]) -> None:
    """No UnicodeEncodeError; JSON stays ASCII."""
    shown = apart.run("check", "put_file", "--json", **variables)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.isascii()
    assert json.loads(shown.stdout)["effect"] == "allow"
    refused = apart.run("check", "put_file", "--resource", "s3://acme-agents/é", **variables)
    assert refused.returncode == 5
    assert "Traceback" not in refused.stderr
    assert "Usage: agentauth" in apart.run("--help", **variables).stdout


def _sh(here: Station, script: str) -> subprocess.CompletedProcess[str]:
    return here.shell(["/bin/sh", "-c", script, "sh", str(PROGRAM)])


@pytest.mark.whole
@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed_or_full_change_no_result(apart: Station, closed: str) -> None:
    """Standard error closed, standard input closed: works."""
    shown = _sh(apart, f'"$1" check put_file --json {closed}')
    assert shown.returncode == 0
    assert json.loads(shown.stdout)["effect"] == "allow"
    for arguments, code in (
        ("vend nothing", 2),
        ("budget", 2),
        ("vend", 2),
        ("--debug vend nothing", 2),
        ("disable --all", 0),
        ("vend put_file", 6),
    ):
        assert _sh(apart, f'"$1" {arguments} {closed}').returncode == code, arguments


@pytest.mark.whole
@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('"$1" check put_file >&-', 9),
        ('"$1" check put_file --quiet >&-', 0),
        ('"$1" whoami >&-', 9),
        ('"$1" --help >&-', 9),
        ('"$1" --help >/dev/full', 9),
        ('"$1" budget show -h >/dev/full', 9),
        ('"$1" check nothing >&-', 2),
        ('"$1" status >/dev/full', 9),
        ('"$1" version >/dev/full', 9),
    ],
)
def test_a_standard_output_that_takes_nothing_is_told(
    apart: Station, script: str, code: int
) -> None:
    """The exit code is the answer where nothing can be written; no traceback, no second voice."""
    done = _sh(apart, script)
    assert done.returncode == code
    assert done.stderr.count("\n") == (1 if code else 0)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.whole
def test_with_every_stream_closed_the_exit_code_tells(apart: Station) -> None:
    """Nothing can be said, and it is told all the same that nothing was shown."""
    done = _sh(apart, '"$1" status <&- >&- 2>&-')
    assert (done.returncode, done.stdout, done.stderr) == (9, "", "")


@pytest.mark.whole
@pytest.mark.parametrize("arguments", [["whoami"], ["--help"]])
def test_an_interrupt_at_the_start_ends_quietly(apart: Station, arguments: list[str]) -> None:
    """From the first line on: no traceback, whatever is being loaded."""
    script = (
        "import os, signal, sys\n"
        "from agentauth_cli import __main__\n"
        "__main__._plug = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "__main__.main()\n"
    )
    done = apart.shell([sys.executable, "-P", "-c", script, *arguments])
    assert done.returncode == -signal.SIGINT
    assert (done.stdout, done.stderr) == ("", "")
    ignored = ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
    assert apart.shell([*ignored, sys.executable, "-P", "-c", script, *arguments]).returncode == 0


@pytest.mark.whole
def test_a_closed_descriptor_never_becomes_the_ledger(apart: Station) -> None:
    """What is opened first must not get the number of standard output or error."""
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        _sh(apart, f'"$1" check put_file {closed}')
        _sh(apart, f'"$1" vend nothing {closed}')
    apart.everything_holds()


@pytest.mark.whole
@pytest.mark.parametrize("command", ["status", "--help", "whoami --json", "audit tail --json"])
def test_a_reader_that_had_enough_is_sigpipe(apart: Station, command: str) -> None:
    """128+N; nothing is said of it."""
    assert apart.run("check", "put_file").returncode == 0
    reading, writing = os.pipe()
    os.close(reading)
    with apart.start(*command.split(), stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert err == b""


@pytest.mark.whole
def test_text_that_is_not_utf8_is_refused_and_not_stumbled_over(apart: Station) -> None:
    """Non-UTF-8 bytes in arguments: no UnicodeEncodeError; `disable` takes any reason."""
    for script, code in (
        ("vend \"$(printf '\\377')\"", 2),
        ("check put_file --resource \"s3://acme-agents/$(printf '\\377')\"", 5),
        ("check put_file --reason \"$(printf '\\377\\n\\033')\"", 0),
        ("init --account 111111111111 --region x --resource \"$(printf '\\377')\"", 2),
        ("disable --principal \"$(printf '\\377')\"", 2),
        ("disable --all --reason \"$(printf '\\377\\n\\033')\"", 0),
        ("vend put_file", 6),
        ("enable --all", 0),
    ):
        done = _sh(apart, f'"$1" {script}')
        assert done.returncode == code, script + done.stderr
        assert "Traceback" not in done.stderr
    apart.everything_holds()


@pytest.mark.whole
def test_a_module_in_the_current_folder_is_not_ours(apart: Station) -> None:
    """A shadowing ./boto3.py or ./jwt.py in the current folder is not loaded."""
    for name in ("boto3", "jwt", "typer", "tomlkit", "platformdirs", "agentauth_cli"):
        (apart.folder / f"{name}.py").write_text("raise SystemExit(66)\n")
    assert apart.run("whoami").returncode == 0
    assert apart.run("vend", "put_file").returncode == 8


@pytest.mark.whole
def test_a_folder_that_is_gone_is_said(apart: Station) -> None:
    """A relative folder means nothing where the current one is gone."""
    script = 'mkdir gone && cd gone && rmdir ../gone && AGENTAUTH_CONFIG_DIR=x exec "$1" whoami'
    done = _sh(apart, script)
    assert done.returncode == 3
    assert "AGENTAUTH_CONFIG_DIR is a relative path, and the current folder is gone" in done.stderr
