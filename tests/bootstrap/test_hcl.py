"""Terraform's language: what is quoted means itself, and `terraform fmt` leaves it alone."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import hcl2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentauth_cli.bootstrap.hcl import Block, Expression, call, label, quoted, text
from support.terraform import laid_out, terraform

if TYPE_CHECKING:
    from pathlib import Path

AWKWARD = [
    *("${file}", "$${file}", "$$${file}", "%{if true}", "%%{if}", "${*}", '"${a}"'),
    *('"', "\\", "\\u0041", '\\"${x}', "$", "%", "{", "~${", "one\ntwo\tthree\r", "\x01\x7f\x85"),
    *("é", "𝄞", ""),
]


@settings(deadline=None)  # the parser loads its grammar at the first
@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("one\u2028two\u2029three")
def test_a_quoted_text_means_itself_and_interpolates_nothing(value: str) -> None:
    """HCL's escapes are those of JSON, and its templates begin with two characters alone."""
    written = quoted(value)
    assert "${" not in written
    assert "%{" not in written
    assert json.loads(written) == value
    assert written.splitlines() == [written]
    hcl2.loads(f"a = {written}\n")


def test_terraform_reads_every_awkward_text_as_it_was(tmp_path: Path) -> None:
    """As Terraform itself evaluates it."""
    document = {"Statement": [{"Resource": AWKWARD, "Condition": {"${a}:sub": AWKWARD[0]}}]}
    (tmp_path / "main.tf").write_text(
        text("A document", [Block("locals", attributes={"found": call("jsonencode", document)})])
    )
    done = terraform(tmp_path, "console", stdin="base64encode(local.found)\n")
    assert json.loads(base64.b64decode(done.stdout.strip().strip('"'))) == document


def test_blocks_are_laid_out_as_terraform_does() -> None:
    """Equal signs of neighbours of one line are aligned; longer values stand by themselves."""
    inner = Block("validation", (), {"condition": Expression("var.a > 0")})
    found = text(
        "One\n\nTwo",
        [
            Block("variable", ("a",), {"type": Expression("number"), "default": 1}, (inner,)),
            Block("empty"),
            Block(
                "resource",
                ("kind", "name"),
                {
                    "id": True,
                    "longer_name": [],
                    "tags": {"a:b": "c", "d": {}},
                    "x": 1,
                    "list": ["one", "two"],
                    "policy": call("jsonencode", {"Statement": [{"Effect": "Allow"}]}),
                    "long": ["a" * 50, "b" * 50],
                },
            ),
        ],
    )
    assert found == LAID_OUT
    hcl2.loads(found)


LAID_OUT = """\
# One
#
# Two

variable "a" {
  type    = number
  default = 1

  validation {
    condition = var.a > 0
  }
}

empty {
}

resource "kind" "name" {
  id          = true
  longer_name = []
  tags = {
    "a:b" = "c"
    d     = {}
  }
  x    = 1
  list = ["one", "two"]
  policy = jsonencode({
    Statement = [
      {
        Effect = "Allow"
      },
    ]
  })
  long = [
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
  ]
}
"""


def test_that_layout_is_the_one_of_terraform_fmt(tmp_path: Path) -> None:
    """`terraform fmt -check` has nothing to say."""
    (tmp_path / "main.tf").write_text(LAID_OUT)
    assert laid_out(tmp_path) == ""


@pytest.mark.parametrize(
    ("name", "found"),
    [("okta", "okta"), ("a-b", "a-b"), ("a.b", "a_b_2e7336dc"), ("7a", "_7a_fdee4726")],
)
def test_a_label_is_a_name_and_tells_names_apart(name: str, found: str) -> None:
    """What a name changes on its way into an address, a hash tells apart."""
    assert label(name) == found


@given(st.text(min_size=1), st.text(min_size=1))
def test_labels_of_two_names_are_two(one: str, other: str) -> None:
    """Every label can stand in an address."""
    assert (label(one) == label(other)) == (one == other)
    hcl2.loads(f'resource "a" "b" {{\n  x = {label(one)}.arn\n}}\n')
