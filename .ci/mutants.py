"""Changes policy/ in thousands of small ways and asks its tests whether they notice.

    .ci/mutants.py [MODULE…]

A change that no test notices has to stand in mutants.txt, under the reason why it may; what stands
there has to be such a change still. With names of modules, only those are changed.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections import Counter
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import libcst
from mutmut.mutation.diff_apply import read_functions_from_index
from mutmut.stats import status_by_exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "mutants"
LISTED = Path(__file__).with_suffix(".txt")
POLICY = Path("agentauth_cli", "policy")
MEMORY = 4 << 30
"""So many bytes a process may take: some changes make loops that only memory ends."""

NOTICED = ("killed", "timeout", "segfault")

Change = tuple[str, ...]
"""The function, then the lines that are taken out and those put in."""


def run(modules: list[str]) -> None:
    """Let mutmut make the changes and try each, in links to what is here."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in ("agentauth_cli", "tests", "pyproject.toml"):
        (FOLDER / name).symlink_to(ROOT / name)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    patterns = [f"agentauth_cli.policy.{module}.*" for module in modules]
    subprocess.run(  # noqa: S603 - the tool of the lock file
        [Path(sys.executable).with_name("mutmut"), "run", *patterns],
        cwd=FOLDER,
        env={
            **os.environ,
            "AGENTAUTH_TEST_QUICK": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".cache" / "hypothesis"),
        },
        check=True,
    )


def survivors(module: str) -> Iterator[Change]:
    """Yield the changes of one module that no test noticed."""
    path = POLICY / f"{module}.py"
    codes = json.loads(Path("mutants", f"{path}.meta").read_bytes())["exit_code_by_key"]
    for key, code in codes.items():
        if status_by_exit_code[code] in NOTICED:
            continue
        one, other = (
            libcst.Module([function]).code.splitlines()
            for function in read_functions_from_index(key, path)
        )
        lines = [line for line in unified_diff(one, other, n=0) if line[:3] not in {"---", "+++"}]
        name = key.rpartition(".")[2].partition("__mutmut_")[0]
        function = name.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        removed, added = (
            [f"{sign} {line[1:].strip()}" for line in lines if line[0] == sign] for sign in "-+"
        )
        yield (f"{module}.{function}", *removed, *added)


def listed() -> Counter[Change]:
    """Return the changes that mutants.txt explains."""
    paragraphs = LISTED.read_text(encoding="utf-8").split("\n\n")
    return Counter(
        tuple(one.strip().splitlines()) for one in paragraphs if not one.strip().startswith("#")
    )


def main() -> None:
    """Try all, and hold what survived against the list."""
    modules = sys.argv[1:]
    run(modules)
    os.chdir(FOLDER)
    there = {one.stem: Path("mutants", f"{one}.meta").exists() for one in POLICY.glob("*.py")}
    tried = modules or [module for module, changed in sorted(there.items()) if changed]
    found = Counter(change for module in tried for change in survivors(module))
    explained = listed()
    if modules:
        for change in [one for one in explained if one[0].partition(".")[0] not in modules]:
            del explained[change]
    new, gone = found - explained, explained - found
    for said, changes in (("no test notices:", new), ("mutants.txt, but noticed:", gone)):
        for change in sorted(changes.elements()):
            print(said, *change, sep="\n    ")
    print(f"{found.total()} survive, {found.total() - new.total()} of them explained")
    print("not tried:", ", ".join(sorted(there.keys() - set(tried))))
    sys.exit(bool(new or gone))


if __name__ == "__main__":
    main()
