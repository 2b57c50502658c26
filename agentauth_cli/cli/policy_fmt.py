"""`policy fmt`: the policy files in one style."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentauth_cli import files
from agentauth_cli.cli import screen
from agentauth_cli.config.reading import read_policy
from agentauth_cli.policy.formatting import formatted

if TYPE_CHECKING:
    from agentauth_cli.wiring import Wiring

DIFFERS = 1


def work(wiring: Wiring, paths: list[Path], *, check: bool, as_json: bool) -> int:
    """Rewrite the files that are not in the style, or with `check` only name them: exit code 1.

    Raises ConfigError where the policy does not load, StateError where a file cannot be written.
    """
    found = read_policy(paths)[1] if paths else wiring.configuration.policy_with_files()[1]
    folder = Path() if paths else wiring.places.config
    changed = []
    for name, content in found:
        wanted = formatted(content.decode()).encode()
        if wanted != content:
            changed.append(name)
            if not check:
                files.write(folder / name, wanted)
    if as_json:
        screen.out_json({"changed": changed})
    else:
        for name in changed:
            screen.out(f"{name} {'is not in the style' if check else 'is rewritten'}")
    return DIFFERS if check and changed else 0
