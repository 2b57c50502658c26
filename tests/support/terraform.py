"""The real terraform, in a folder that is its home too: it leaves nothing elsewhere."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from support import absent

if TYPE_CHECKING:
    from pathlib import Path


def terraform(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run it on the files of a folder."""
    return subprocess.run(
        [absent.program("terraform"), *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath, "HOME": str(folder), "CHECKPOINT_DISABLE": "1"},
    )


def laid_out(folder: Path) -> str:
    """Return what `terraform fmt` would change in a folder, empty where that is nothing."""
    done = terraform(folder, "fmt", "-check", "-diff")
    return done.stdout + done.stderr
