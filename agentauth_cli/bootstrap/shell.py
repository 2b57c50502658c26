"""Commands of gcloud as a script for a POSIX shell: every word means itself.

Source: POSIX, "Shell Command Language", quoting; `gcloud topic escaping` for lists.
"""

from __future__ import annotations

from itertools import count
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def comment(text: str) -> str:
    """Return a text as comments, line by line."""
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())


def command(words: Sequence[str], flags: Mapping[str, str], *raw: str) -> str:
    """Return a command with its flags, each on a line; what is `raw` is shell already."""
    named = [quote(f"--{name}={value}") for name, value in flags.items()]
    return " \\\n  ".join([" ".join(map(quote, words)), *named, *raw])


def listed(*values: str) -> str:
    """Return the value of a flag that takes a list."""
    if len(values) == 1 and "," not in values[0] and not values[0].startswith("^"):
        return values[0]
    joins = (f"<{i}>" for i in count(1))
    between = next(one for one in joins if one.join(values).split(one) == list(values))
    return f"^{between}^{between.join(values)}"


def mapped(values: Mapping[str, str]) -> str:
    """Return the value of a flag that takes keys and values; a key has no equal sign."""
    return listed(*(f"{key}={value}" for key, value in values.items()))
