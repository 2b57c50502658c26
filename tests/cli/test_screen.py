"""The one voice: one line for an error, nothing that a terminal would act on, no secret."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any

import pytest

from agentauth_cli.cli import screen
from agentauth_cli.errors import (
    AgentAuthError,
    ConfigError,
    RateLimitExceededError,
    StateError,
    Stopped,
)

KEY = "aak_k3v9x2ab_00000000000000000000000000000000000000"
HOSTILE = "a\nb\r\x1b[31m\x00\x85\u202e\u2028\udcff"


def _told(capsys: pytest.CaptureFixture[str], failure: AgentAuthError, **how: Any) -> str:
    screen.error(failure, as_json=how.get("as_json", False))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err.rstrip("\n")


def test_an_error_is_what_why_and_how_to_mend_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Every error is one line on standard error, `agentauth: WHAT: WHY. HOW TO MEND IT`."""
    told = _told(capsys, ConfigError("config.toml:3:1: tools.x: wrong", hint="Mend it"))
    assert told == "agentauth: configuration: config.toml:3:1: tools.x: wrong. Mend it"


@pytest.mark.parametrize(
    ("message", "hint", "line"),
    [
        ("", "", "agentauth: failed"),
        ("why", "", "agentauth: failed: why"),
        ("", "Mend it", "agentauth: failed. Mend it"),
        ("did you mean `x`?", "See there", "agentauth: failed: did you mean `x`? See there"),
    ],
)
def test_what_is_not_known_leaves_no_gap(
    capsys: pytest.CaptureFixture[str], message: str, hint: str, line: str
) -> None:
    """A message or a hint that is empty leaves no stray punctuation."""
    assert _told(capsys, AgentAuthError(message, hint=hint)) == line


@pytest.mark.parametrize("message", [0, 10, 250, 290, 300, 10_000])
@pytest.mark.parametrize("hint", [0, 10, 149, 280, 300, 10_000])
def test_an_error_is_never_longer_than_300_characters(
    capsys: pytest.CaptureFixture[str], message: int, hint: int
) -> None:
    """At most 300 characters; what is cut ends in a sign that it was."""
    told = _told(capsys, AgentAuthError("m" * message, hint="h" * hint))
    assert len(told) <= 300
    assert told.startswith("agentauth: failed")
    whole = len(f"agentauth: failed{': ' if message else ''}{'. ' if hint else ''}")
    if whole + message + hint > 300:
        assert "…" in told
    if hint and whole + hint <= 150:
        assert told.endswith("h" * hint)


def test_control_characters_are_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are shown as escapes, in the message and in the hint."""
    told = _told(capsys, AgentAuthError(HOSTILE, hint=HOSTILE))
    assert told.isprintable()
    assert r"a\nb\r\x1b[31m\x00\x85\u202e\u2028\udcff" in told


def test_no_secret_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What has the form of a secret is masked, in a line as in JSON."""
    for as_json in (False, True):
        told = _told(capsys, AgentAuthError(f"got {KEY}", hint=KEY), as_json=as_json)
        assert "0000000" not in told


def test_with_json_an_error_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` an object on standard error: code, class, message, hint, retry_after."""
    failure = RateLimitExceededError("rule é permits 1/day", hint="Wait", retry_after=5)
    told = _told(capsys, failure, as_json=True)
    assert told.isascii()
    assert json.loads(told) == {
        "error": {
            "code": 7,
            "class": "RateLimitExceededError",
            "message": "rule é permits 1/day",
            "hint": "Wait",
            "retry_after": 5,
        }
    }


def test_a_notice_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A notice is one line, without control characters and secrets."""
    screen.say(f"{HOSTILE}{KEY}")
    assert capsys.readouterr().err.rstrip("\n").isprintable()


def test_several_lines_keep_their_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """A help text or a traceback has its lines, and no secret."""
    screen.say_lines(f"one\ntwo {KEY}\n")
    assert capsys.readouterr().err == "one\ntwo ••••\n"


class _Full(io.StringIO):
    """A stream whose other side takes nothing any more."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def flush(self) -> None:
        raise self._error


def test_a_full_standard_error_hides_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody can read is dropped: the exit code is still told."""
    monkeypatch.setattr(sys, "stderr", _Full(OSError(28, "No space left on device")))
    screen.say("x")
    screen.say_lines("x")
    screen.error(AgentAuthError("x"), as_json=False)


def test_a_full_standard_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that cannot be written is exit 9, in plain words."""
    monkeypatch.setattr(sys, "stdout", _Full(OSError(28, "No space left on device")))
    with pytest.raises(StateError, match="standard output cannot be written: No space left"):
        screen.out("x")


def test_a_reader_that_had_enough_stops_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """128+N, stopped by signal N: a closed pipe is SIGPIPE."""
    monkeypatch.setattr(sys, "stdout", _Full(BrokenPipeError(32, "Broken pipe")))
    with pytest.raises(Stopped) as caught:
        screen.out("x")
    assert caught.value.exit_code == 141


def test_streams_that_are_closed_take_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without standard output or error the program does its work all the same."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    screen.out("x")
    screen.say("x")
    screen.error(AgentAuthError("x"), as_json=True)
    assert not screen.can_ask()
    assert not screen.colours()


def test_columns_are_aligned_and_printed_literally(capsys: pytest.CaptureFixture[str]) -> None:
    """Names are printed literally: no markup, no control characters."""
    screen.columns([["NAME", "X"], ["[red]a[/red]\x1b[31m", "1"]])
    assert capsys.readouterr().out == "NAME                  X\n[red]a[/red]\\x1b[31m  1\n"


@pytest.mark.parametrize(
    ("terminal", "variables", "shown"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, False),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, terminal: bool, shown: bool
) -> None:
    """Colours on a terminal only (`NO_COLOR`, `TERM=dumb`, `--no-color`)."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", stream)
    assert screen.colours() == shown
    screen.out("x\x1b[32m\n", in_red=True)
    safe = r"x\x1b[32m\n"
    assert stream.getvalue() == (f"\x1b[31m{safe}\x1b[0m\n" if shown else f"{safe}\n")


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("10:00:03 issued okta/alice → s3_upload prod s3://acme/x", ["prod"]),
        ("prod", ["prod"]),
        ("in prod-eu: there is no environment 'production2'", ["prod-eu", "production2"]),
        ("a (prod), b [prod]\nprod. prod; prod:", ["prod"] * 5),
        ("s3://prod/x okta/prod prod/x nonprod product reproduce", []),
        ('{"environment": "prod"}', []),
    ],
)
def test_production_is_in_colour(
    monkeypatch: pytest.MonkeyPatch, text: str, marked: list[str]
) -> None:
    """`prod` shows in colour in every output for people."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert re.findall("\x1b\\[31m(.*?)\x1b\\[0m", screen.with_production(text)) == marked
    for name, write in (("stdout", screen.out), ("stderr", screen.say)):
        for terminal in (True, False):
            stream = io.StringIO()
            monkeypatch.setattr(stream, "isatty", lambda terminal=terminal: terminal)
            monkeypatch.setattr(sys, name, stream)
            line = text.partition("\n")[0]
            write(line)
            expected = screen.with_production(line) if terminal else line
            assert stream.getvalue() == f"{expected}\n"


@pytest.mark.parametrize(
    ("typed", "answer"), [("b\n", "b"), ("\n", "a"), ("", "a"), (" b \n", "b")]
)
def test_a_question_goes_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, answer: str
) -> None:
    """Everything for people goes to standard error; an empty answer is the one proposed."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert screen.ask("Which", "a") == answer
    assert capsys.readouterr() == ("", "Which [a]: ")


def test_nobody_is_asked_who_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asks a question when standard input or error is not a terminal."""
    terminal, other = io.StringIO(), io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    for stdin, stderr, asked in (
        (terminal, terminal, True),
        (other, terminal, False),
        (terminal, other, False),
    ):
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stderr", stderr)
        assert screen.can_ask() == asked
