"""Commands for a shell: each word means itself, and so does each entry of a list."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.bootstrap.shell import command, comment, listed, mapped
from support.shells import WORDS, entries, words


@given(WORDS.filter(lambda word: word != "\n"), WORDS)
def test_a_word_of_a_command_means_itself(word: str, value: str) -> None:
    """Whatever is in it: quotes, dollars, newlines."""
    written = command(["gcloud", word], {"some-flag": value}, '--more="$1"')
    assert words(written) == ["gcloud", word, f"--some-flag={value}", "--more=$1"]


@given(st.lists(WORDS.filter(bool), min_size=1, max_size=4))
def test_a_list_has_the_entries_it_was_made_of(values: list[str]) -> None:
    """Commas, carets and what looks like a separator are no separators."""
    assert entries(listed(*values)) == values


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["https://a.dev"], "https://a.dev"),
        (["a,b"], "^<1>^a,b"),
        (["^a"], "^<1>^^a"),
        (["a<1>", "b"], "^<2>^a<1><2>b"),
        (["a", "<1", ">"], "^<1>^a<1><1<1>>"),
    ],
)
def test_a_list_is_separated_by_what_is_not_in_it(values: list[str], written: str) -> None:
    """A separator that the entries do not have, nor make up at their ends."""
    assert listed(*values) == written


def test_keys_and_values_are_a_list() -> None:
    """KEY=VALUE, the first equal sign being the one between."""
    assert mapped({"a": "b=c,d", "e": "f"}) == "^<1>^a=b=c,d<1>e=f"


@given(WORDS)
def test_every_line_of_a_comment_is_one(text: str) -> None:
    """Nothing in a comment is run."""
    assert all(line.startswith("#") for line in comment(text).split("\n") if text.splitlines())
    assert not shlex.split(comment(text), comments=True)
