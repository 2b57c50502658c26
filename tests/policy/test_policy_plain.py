"""Small values: what is equal, and what they say of themselves."""

from __future__ import annotations

from agentauth_cli.policy.conditions import After, Before, SessionAge
from agentauth_cli.policy.matching import Pattern
from agentauth_cli.policy.plain import Plain
from support.policy_worlds import NOW


class Pair(Plain):
    """Two values."""

    __slots__ = ("one", "other")

    def __init__(self) -> None:
        self.one = 1
        self.other = "b"


def test_values_are_equal_by_their_slots() -> None:
    """A value: equal to another of its class whose slots are equal."""
    assert Pattern(("a", "")) == Pattern(("a", ""))
    assert Pattern(("a", "")) != Pattern(("a",))
    assert After(NOW) != Before(NOW)
    assert Pattern(("a",)) != "a"


def test_values_can_be_kept_in_sets() -> None:
    """Equal values are one in a set, others are not looked for among them."""
    assert len({Pattern(("a",)), Pattern(("a",)), Pattern(("b",))}) == 2
    assert hash(Pattern(("a",))) == hash(Pattern(("a",))) != hash(Pattern(("b",)))


def test_a_value_shows_what_it_is() -> None:
    """Its class and its slots, as they would be written."""
    assert repr(SessionAge(60)) == "SessionAge(60)"
    assert repr(Pattern(("a", ""))) == "Pattern(('a', ''))"
    assert repr(Pair()) == "Pair(1, 'b')"
