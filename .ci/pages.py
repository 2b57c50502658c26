"""Writes man/ and completions/ from the command line itself; --check says what has drifted."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agentauth_cli import errors
from agentauth_cli.cli.app import build

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parent.parent
NAME = "agentauth"

ENVIRONMENT = {
    "AGENTAUTH_CONFIG_DIR": "the folder of config.toml, policy.toml and the others",
    "AGENTAUTH_STATE_DIR": "the folder of the ledger",
    "AGENTAUTH_DATA_DIR": "the folder of ledgers.toml",
    "AGENTAUTH_ENV": "the environment, where --env is not given",
    "AGENTAUTH_TOKEN": "a JWT of a configured issuer: who is asking",
    "AGENTAUTH_TOKEN_FILE": "a file that holds one, read at each use",
    "AGENTAUTH_API_KEY": "an API key: who is asking",
    "AGENTAUTH_IDENTITY": "a stored login, where --identity is not given",
    "AGENTAUTH_LEDGER": "ephemeral, on a machine that has no ledger yet",
    "AGENTAUTH_LEASE": "set for a command of exec: its leases",
    "AGENTAUTH_EXPIRATION": "set for a command of exec: when the first of them ends",
    "AGENTAUTH_DEBUG": "the same as --debug",
    "NO_COLOR": "no colours",
}
EXITS = {
    1: "it ran, and found something: a broken record, a lease that lives on, a sick doctor",
    70: "a bug in this program; --debug shows the traceback, secrets masked",
}


@dataclass(frozen=True)
class Command:
    """A command: its words, what it does, its arguments and options."""

    words: tuple[str, ...]
    help: str
    arguments: tuple[str, ...]
    options: tuple[tuple[str, str, str], ...]
    """Name, value, help."""
    members: tuple[str, ...]


def walk(node: Any, words: tuple[str, ...] = ()) -> Iterator[Command]:
    """Yield a command and all under it."""
    members = getattr(node, "commands", {})
    options, arguments = [], []
    for parameter in node.params:
        if parameter.param_type_name == "argument":
            arguments.append(parameter.metavar or parameter.name.upper())
        else:
            value = "" if parameter.is_flag else parameter.metavar or parameter.name.upper()
            options.append((max(parameter.opts, key=len), value, parameter.help or ""))
    yield Command(words, node.help or "", tuple(arguments), tuple(options), tuple(members))
    for name, member in members.items():
        yield from walk(member, (*words, name))


def manual(commands: list[Command]) -> str:
    """Return the manual page, in mdoc(7)."""
    lines = [
        '.\\" Written by .ci/pages.py from the command line: change it there.',
        ".Dd $Mdocdate$",
        f".Dt {NAME.upper()} 1",
        ".Os",
        ".Sh NAME",
        f".Nm {NAME}",
        f".Nd {_mdoc(commands[0].help).rstrip('.')}",
        ".Sh SYNOPSIS",
        ".Nm",
        ".Op Ar options",
        ".Ar command",
        ".Op Ar arguments",
        ".Sh DESCRIPTION",
        "Each call finds out who is asking, decides by a policy file, checks kill switches and",
        "budgets, mints a credential for one tool, and writes an audit record.",
        "Standard output carries the result and nothing else.",
        ".Sh OPTIONS",
        *_options(commands[0]),
        ".Sh COMMANDS",
        ".Bl -tag -width Ds",
    ]
    for command in commands[1:]:
        if command.members:
            continue
        lines.append(
            f".It Ic {' '.join(command.words)} "
            + " ".join(f"Ar {_mdoc(one.strip('[]'))}" for one in command.arguments)
        )
        lines[-1] = lines[-1].rstrip()
        lines += [*_sentences(command.help), *_options(command)]
    lines += [".El", ".Sh ENVIRONMENT", ".Bl -tag -width Ds"]
    for name, text in ENVIRONMENT.items():
        lines += [f".It Ev {name}", text.capitalize() + "."]
    lines += [".El", ".Sh EXIT STATUS", ".Bl -tag -width Ds", ".It 0", "Done, allowed."]
    for code, text in sorted(_exits().items()):
        lines += [f".It {code}", text[0].upper() + text[1:] + "."]
    lines += [".It 128+N", "Stopped by signal N; what was reserved is given back.", ".El"]
    return "\n".join(lines) + "\n"


def _exits() -> dict[int, str]:
    found = dict(EXITS)
    for line in (errors.__doc__ or "").splitlines():
        words = line.split()
        if len(words) > 2 and words[0] in ("├──", "└──") and words[2].isdigit():  # noqa: PLR2004
            found[int(words[2])] = " ".join(words[3:])
    return found


def _options(command: Command) -> list[str]:
    lines = [".Bl -tag -width Ds -compact"] if command.options else []
    for name, value, text in command.options:
        shown = f".It Fl \\&{name[1:]}" + (f" Ar {_mdoc(value)}" if value else "")
        lines += [shown, *([_mdoc(text)] if text else [])]
    return [*lines, ".El"] if lines else []


def _sentences(text: str) -> list[str]:
    """Return a text with each sentence on a line of its own, as mdoc wants it."""
    return _mdoc(text).replace(". ", ".\n").split("\n")


def _mdoc(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\e").replace("…", "...").replace("·", "|")


def _words(command: Command) -> str:
    return " ".join([*command.members, *(name for name, _, _ in command.options), "--help"])


def bash(commands: list[Command]) -> str:
    """Return completions for bash: words alone, no program is started."""
    cases = "".join(
        f'        "{" ".join(one.words)}") words="{_words(one)}" ;;\n' for one in commands
    )
    groups = "|".join(f'"{" ".join(one.words)}"' for one in commands if one.members and one.words)
    return f"""\
# {NAME} completions for bash. Written by .ci/pages.py from the command line.
_{NAME}() {{
    local word path="" words="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        [[ $word == -* ]] && continue
        case "$path" in
            "") path=$word ;;
            {groups}) path="$path $word" ;;
        esac
    done
    case "$path" in
{cases}    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -F _{NAME} {NAME}
"""


def zsh(commands: list[Command]) -> str:
    """Return completions for zsh."""
    cases = "".join(f'    "{" ".join(one.words)}") found=({_words(one)}) ;;\n' for one in commands)
    groups = "|".join(f'"{" ".join(one.words)}"' for one in commands if one.members and one.words)
    return f"""\
#compdef {NAME}
# {NAME} completions for zsh. Written by .ci/pages.py from the command line.
local word where=""
local -a found
for word in ${{words[2,CURRENT-1]}}; do
    [[ $word == -* ]] && continue
    case "$where" in
        "") where=$word ;;
        {groups}) where="$where $word" ;;
    esac
done
case "$where" in
{cases}esac
compadd -- $found
"""


def fish(commands: list[Command]) -> str:
    """Return completions for fish."""
    lines = [f"# {NAME} completions for fish. Written by .ci/pages.py from the command line."]
    lines.append(f"complete -c {NAME} -f")
    texts = {one.words: one.help for one in commands}
    for one in commands:
        seen = "".join(f"; and __fish_seen_subcommand_from {word}" for word in one.words)
        when = seen.removeprefix("; and ") or "__fish_use_subcommand"
        for member in one.members:
            none = f"; and not __fish_seen_subcommand_from {' '.join(one.members)}"
            condition = when + (none if one.words else "")
            text = texts[(*one.words, member)].split("\n")[0].replace("'", "\\'")
            lines.append(f"complete -c {NAME} -n '{condition}' -a {member} -d '{text}'")
        for name, value, text in one.options:
            needs = " -r" if value else ""
            shown = text.replace("'", "\\'")
            kind = f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
            lines.append(f"complete -c {NAME} -n '{when}' {kind}{needs} -d '{shown}'")
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Return every page, by its path."""
    commands = list(walk(typer.main.get_command(build())))
    return {
        TOP / "man" / f"{NAME}.1": manual(commands),
        TOP / "completions" / f"{NAME}.bash": bash(commands),
        TOP / "completions" / f"_{NAME}": zsh(commands),
        TOP / "completions" / f"{NAME}.fish": fish(commands),
    }


def main() -> int:
    """Write the pages, or check them."""
    drifted = []
    for path, text in pages().items():
        if path.exists() and path.read_text() == text:
            continue
        drifted.append(path.relative_to(TOP))
        if "--check" not in sys.argv:
            path.write_text(text)
    if drifted and "--check" in sys.argv:
        sys.stderr.write(f"drifted: {', '.join(map(str, drifted))}; run `make pages`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
