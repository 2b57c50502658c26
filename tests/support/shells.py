"""A shell's commands read back: words, and what gcloud makes of a list."""

from __future__ import annotations

import re
import shlex

from hypothesis import strategies as st

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
"""What a word of a command can be."""


def words(script: str) -> list[str]:
    """Return the words; shlex takes what continues a line for one."""
    return [one for one in shlex.split(script) if one != "\n"]


def entries(value: str) -> list[str]:
    """Return what gcloud makes of a list (`gcloud topic escaping`)."""
    if found := re.fullmatch(r"\^([^^]+)\^(.*)", value, re.DOTALL):
        return found[2].split(found[1])
    return value.split(",")
