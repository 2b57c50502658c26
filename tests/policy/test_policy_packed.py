"""A policy as bytes: the same rules, the same answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from agentauth_cli.policy import engine, rules
from agentauth_cli.policy.blocks import Blocks, DamagedError, pack
from agentauth_cli.policy.packed import GROUP, Policy, packed
from support.policy_crowds import crowd, questions
from support.policy_worlds import ask, policy_of, property_of, rule, rule_sets, written

if TYPE_CHECKING:
    from support.policy_worlds import Rule

LEAN = """
import sys
from agentauth_cli.config import compiled
from agentauth_cli.policy import engine
heavy = {"re", "enum", "typing", "dataclasses", "functools", "collections", "pathlib", "json"}
print(sorted(heavy & set(sys.modules)), "agentauth_cli.model" in sys.modules)
"""


@property_of(300)
@given(rule_sets())
def test_rules_are_read_as_they_were_written(drawn: list[Rule]) -> None:
    """Every part of a rule, its conditions and obligations included."""
    policy = policy_of(drawn)
    again = Policy(Blocks(packed(policy.rules, policy.digest, sorted(policy.claims), ("x", 1))))
    assert again.rules == policy.rules
    assert [one.id for one in again.rules] == sorted(one["id"] for one in drawn)
    assert (again.digest, again.claims) == (policy.digest, policy.claims)
    assert again.sources == ("x", 1)
    assert again.cases == ()


def test_rules_are_read_in_groups() -> None:
    """Only what a question needs is read."""
    many = [rule(f"r{i:03}", tools=[f"t{i}"]) for i in range(3 * GROUP)]
    policy = policy_of(many)
    assert engine.decide(policy, ask(tool=f"t{GROUP}")).rules == (f"r{GROUP:03}",)
    assert list(policy._groups) == [1]
    assert policy.count == len(policy.rules) == 3 * GROUP


def test_the_same_files_make_the_same_bytes() -> None:
    """So a block that is damaged can be mended in place."""
    files = [("policy.toml", written(crowd(Random(7), 60)))]  # noqa: S311 - always the same
    assert rules.read(files)[0] == rules.read(files)[0]


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_changes_an_answer(seed: int) -> None:
    """A damaged, truncated or older file never changes an answer: it is mended, or refused."""
    random = Random(seed)  # noqa: S311 - always the same
    drawn = crowd(random, 60)
    asked = questions(random, drawn, 10)
    content, _, _ = rules.read([("policy.toml", written(drawn))])
    assert content
    right = [_plain(engine.decide(Policy(Blocks(content)), one)) for one in asked]
    mended = 0
    for _ in range(60):
        damaged = bytearray(content)
        at = random.randrange(len(content))
        damaged[at : at + random.choice((1, 4, 700))] = b"\x81"
        for mends in (True, False):
            try:
                blocks = Blocks(bytes(damaged.ljust(len(content))[: len(content)]))
                policy = Policy(blocks)
                if mends:
                    blocks.mend = lambda: content
                found = [_plain(engine.decide(policy, one)) for one in asked]
            except DamagedError:
                continue
            assert found == right
            mended += mends and blocks.mend is None
    assert mended >= 3


def _plain(found: engine.Verdict) -> tuple[object, ...]:
    near = found.nearest
    return (found.effect, found.reason, found.rules, found.obligations, near and near.failed)


def test_a_policy_without_its_head_is_refused() -> None:
    """What is not a policy does not open as one."""
    with pytest.raises(DamagedError):
        Policy(Blocks(pack([])))


def test_deciding_by_a_compiled_policy_imports_little() -> None:
    """A cold process that opens the compiled policy and decides once costs little more than one."""
    whole = Path(engine.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-Sc", LEAN], cwd=whole, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[] False\n"


def test_a_block_is_read_once() -> None:
    """What was read is kept: a process that asks again reads nothing."""

    class Counting(Blocks):
        """Blocks that keep the numbers of those that are read."""

        read_: list[int]

        def read(self, number: int) -> Any:
            """Return a block."""
            self.read_.append(number)
            return super().read(number)

    rules = [rule(f"r{number}", tools=[f"t{number % 7}"]) for number in range(100)]
    whole = policy_of(rules)
    blocks = Counting(packed(whole.rules, whole.digest, sorted(whole.claims)))
    blocks.read_ = []
    policy = Policy(blocks)
    for _ in range(2):
        for asked in (ask(tool="t3"), ask(tool="none"), ask(resource="b/*")):
            engine.decide(policy, asked)
        assert len(policy.rules) == len(rules)
    assert len(blocks.read_) == len(set(blocks.read_))
