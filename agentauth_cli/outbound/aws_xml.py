"""The XML of AWS's query protocol: one text, one meaning.

Pure. Read with expat, but only what STS says: UTF-8 without a document type, entities of its own,
processing instructions, comments or sections; elements of one namespace, each once in its place;
text in the innermost alone. Errors are in words of our own and hold nothing of what was read.
"""

from __future__ import annotations

import re
from typing import Any

DEPTH = 8

Tree = dict[str, Any]
"""Elements by name: text, or a Tree of those within."""

_DECLARATION = re.compile(r"\s*<\?xml [^<>?]*\?>")
_CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def parse(body: bytes, root: str, namespace: str) -> Tree:
    """Return what stands within the `root` of a document. Raises ValueError for anything else."""
    from xml.parsers import expat

    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    inside = _DECLARATION.sub("", text, count=1) if _DECLARATION.match(text) else text
    if "<!" in inside or "<?" in inside:
        raise ValueError("has a document type, comment, section or processing instruction")
    if _CONTROL.search(inside):
        raise ValueError("has a control character")
    reader = _Reader(namespace)
    parser = expat.ParserCreate("UTF-8", " ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(inside.encode(), True)
    except expat.ExpatError:
        raise ValueError("is not XML") from None
    return reader.within(root)


class _Reader:
    """Builds the tree. `_open` are the elements that have begun: name, those within, text."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._open: list[tuple[str, Tree, list[str]]] = [("", {}, [])]

    def within(self, root: str) -> Tree:
        found = self._open[0][1].get(root)
        if not isinstance(found, dict):
            raise ValueError(f"is no {root}")
        return found

    def start(self, name: str, _attributes: object) -> None:
        space, _, local = name.rpartition(" ")
        if space != self._namespace:
            raise ValueError("has an element of another namespace")
        if len(self._open) > DEPTH:
            raise ValueError(f"is nested more than {DEPTH} deep")
        self._open.append((local, {}, []))

    def text(self, said: str) -> None:
        self._open[-1][2].append(said)

    def end(self, _name: str) -> None:
        name, within, said = self._open.pop()
        text = "".join(said)
        if within and text.strip():
            raise ValueError("has text between elements")
        siblings = self._open[-1][1]
        if name in siblings:
            raise ValueError("says one thing twice")
        siblings[name] = within or text
