"""The XML of STS: one text, one meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.outbound import aws_xml
from agentauth_cli.outbound.aws_xml import DEPTH, Tree

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def parse(body: bytes, root: str) -> Tree:
    """Read a document of STS."""
    return aws_xml.parse(body, root, NAMESPACE)


def document(inside: str, root: str = "Said", namespace: str = NAMESPACE) -> bytes:
    """Return a document of this root."""
    return f'<{root} xmlns="{namespace}">{inside}</{root}>'.encode()


def test_elements_become_a_tree() -> None:
    """Text in the innermost elements, a tree in the others; white space between them is nothing."""
    body = document("\n  <A> one </A>\n  <B><C>&lt;two&gt;</C><D/></B>\n")
    assert parse(body, "Said") == {"A": " one ", "B": {"C": "<two>", "D": ""}}


def test_a_declaration_may_stand_first() -> None:
    """A processing instruction is refused, but the XML declaration is none."""
    said = {"A": "é"}
    assert parse(b'<?xml version="1.0"?>\n' + document("<A>é</A>"), "Said") == said
    # UTF-8 whatever the declaration says.
    assert parse(b'<?xml version="1.0" encoding="latin-1"?>' + document("<A>é</A>"), "Said") == said


REFUSED = {
    "nothing": b"",
    "no XML": b"{}",
    "a page": b"<html><body>Please log in<br></body></html>",
    "a well-formed page": b"<html><body>Please log in</body></html>",
    "cut short": document("<A>one</A>")[:-3],
    "two roots": document("<A>1</A>") + document("<A>2</A>"),
    "another root": document("<A>1</A>", "Other"),
    "an empty root": document(""),
    "a root of text alone": document("one"),
    "no namespace": b"<Said><A>1</A></Said>",
    "another namespace": document("<A>1</A>", namespace="https://sts.example/"),
    "a foreign element": document('<A xmlns="https://sts.example/">1</A>'),
    "a foreign prefix": document('<x:A xmlns:x="https://sts.example/">1</x:A>'),
    "an unknown prefix": document("<x:A>1</x:A>"),
    "one thing twice": document("<A>1</A><A>1</A>"),
    "one thing twice, deeper": document("<A><B>1</B><C/><B>1</B></A>"),
    "text between elements": document("<A>1</A>two"),
    "a document type": b"<!DOCTYPE Said>" + document("<A>1</A>"),
    "an entity": b'<!DOCTYPE Said [<!ENTITY e "x">]>' + document("<A>&e;</A>"),
    "an entity of a file": b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    + document("<A>&e;</A>"),
    "an undeclared entity": document("<A>&e;</A>"),
    "a comment": document("<A>1<!-- two --></A>"),
    "a section": document("<A><![CDATA[1]]></A>"),
    "a processing instruction": document("<?php one ?><A>1</A>"),
    "a declaration too late": document("<A>1</A>") + b'<?xml version="1.0"?>',
    "two declarations": b'<?xml version="1.0"?><?xml version="1.0"?>' + document("<A>1</A>"),
    "a nul": document("<A>one\0two</A>"),
    "a nul as a reference": document("<A>&#0;</A>"),
    "an escape": document("<A>\x1b[2J</A>"),
    "an escape as a reference": document("<A>&#x1b;</A>"),
    "a control character beyond ASCII": document("<A>\x85</A>"),
    "not UTF-8": document("<A>1</A>").replace(b"1", b"\xff"),
    "UTF-16": document("<A>1</A>").decode().encode("utf-16"),
    "nested too deep": document("<A>" * DEPTH + "</A>" * DEPTH),
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_anything_else_is_refused(body: bytes) -> None:
    """Strict parsing: DTD, entities, instructions, duplicates, another namespace or root."""
    with pytest.raises(ValueError, match=r"^(is|has|says) ") as caught:
        parse(body, "Said")
    assert caught.value.__cause__ is None


def test_as_deep_as_it_may_be() -> None:
    """The bound on nesting is the one that is said."""
    parse(document("<A>" * (DEPTH - 1) + "</A>" * (DEPTH - 1)), "Said")


@given(st.binary() | st.text(alphabet='<>/!?&;#AB x="').map(str.encode))
def test_whatever_comes_is_a_tree_or_refused(body: bytes) -> None:
    """Nothing but ValueError comes of any bytes."""
    for whole in (body, document("<A>").removesuffix(b"</Said>") + body + b"</A></Said>"):
        try:
            assert isinstance(parse(whole, "Said"), dict)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - either is right
