"""The index: no rule that matches is missed, however many there are."""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from agentauth_cli.policy import engine
from agentauth_cli.policy.index import PAGE, Index, Table, _parents, _shared
from support import plain_policy
from support.policy_crowds import crowd, questions
from support.policy_worlds import QUICK, ask, policy_of, property_of, rule
from support.reference_policy import Answer

if TYPE_CHECKING:
    from agentauth_cli.policy.engine import Verdict

POLICIES = int(os.environ.get("AGENTAUTH_TEST_POLICIES", "2" if QUICK else "120"))
"""`make soak` asks for many more."""

EACH = 170


def plain(found: Verdict) -> Answer:
    """Return what was answered as the plain evaluator does."""
    near = found.nearest
    return Answer(
        found.effect,
        found.reason.partition(":")[0],
        found.rules[0] if found.rules else "",
        frozenset(found.rules),
        {name: list(entries) for name, entries in found.obligations.items()},
        (near.rule.id, near.failed) if near else None,
    )


def test_the_index_answers_as_the_plain_evaluator_does() -> None:
    """All matching rules are found, and the nearest where none matches."""
    answers: Counter[str] = Counter()
    parts: Counter[int] = Counter()
    for seed in range(POLICIES):
        random = Random(seed)  # noqa: S311 - the same worlds in every run
        rules = crowd(random, 60)
        policy = policy_of(rules)
        for question in questions(random, rules, EACH):
            found = plain(engine.decide(policy, question))
            assert found == plain_policy.answer(policy, question), (seed, question)
            answers[found.reason] += 1
            answers["obliged"] += bool(found.obligations)
            parts[len(found.nearest[1]) if found.nearest else 0] += 1
    if QUICK:
        return  # too few to be counted
    pairs = answers.total() - answers["obliged"]
    assert pairs >= 20_000
    for reason in ("allowed by rule", "denied by rule", "no rule allows this"):
        assert answers[reason] >= pairs / 10, answers
    assert answers["no delivery left"]
    assert answers["obliged"] >= pairs / 20
    assert min(parts[missing] for missing in (1, 2, 3)) >= pairs / 200, parts


KEYS = st.lists(st.text("ab", max_size=6), min_size=1, max_size=3 * PAGE, unique=True)


def _table(keys: list[str], ranks: int = 1) -> Table:
    """Return a table in which the rule of each key has the number of the key, by rank further."""
    index = Index([])
    for number, key in enumerate(keys):
        postings = [{False: [number + rank * len(keys)]} for rank in range(ranks)]
        index.tables.setdefault("id", {})[key] = postings
    directory, *blocks = index.blocks(0)
    starts, first = directory["id"]
    return Table(starts, first, [None, *blocks].__getitem__)


@property_of(300)
@given(KEYS, st.text("ab", max_size=8))
def test_a_table_finds_each_head_that_a_name_begins_with(keys: list[str], name: str) -> None:
    """Literal heads select the candidates: those that the name begins with, and no others."""
    table, found = _table(keys), set[int]()
    table.under(name, 0, found)
    assert {keys[one] for one in found} == {key for key in keys if name.startswith(key)}


@property_of(300)
@given(KEYS, st.text("ab", max_size=4))
def test_a_table_finds_each_head_that_a_scope_meets(keys: list[str], prefix: str) -> None:
    """A rule touches a scope if some such string matches."""
    table, found = _table(keys), set[int]()
    table.within(prefix, 0, found)
    met = {key for key in keys if prefix.startswith(key) or key.startswith(prefix)}
    assert {keys[one] for one in found} == met


def test_a_table_of_many_pages() -> None:
    """Heads are found on whichever page they stand, however many pages a scope meets."""
    keys = [f"a{number:03}" for number in range(PAGE * 5)]
    table = _table(keys)
    for prefix, many in (("a", len(keys)), ("a2", 100), ("a1", 100), ("a06", 10), ("b", 0)):
        found = set[int]()
        table.within(prefix, 0, found)
        assert len(found) == many
        assert all(keys[one].startswith(prefix) for one in found)
    for number, key in enumerate(keys):
        found = set[int]()
        table.under(key + "/x", 0, found)
        assert found == {number}


def test_the_ranks_of_a_table_of_many_pages() -> None:
    """The rules of ranks up to the one asked for, on whichever page their key stands."""
    keys = [f"a{number:03}" for number in range(PAGE * 5)]
    table = _table(keys, ranks=3)
    for most in range(3):
        for number, key in enumerate(keys):
            found = set[int]()
            table.under(key, most, found)
            assert found == {number + rank * len(keys) for rank in range(most + 1)}
        found = set[int]()
        table.within("a", most, found)
        assert len(found) == len(keys) * (most + 1)


@property_of(300)
@given(st.text("ab", max_size=9), st.text("ab", max_size=9))
def test_what_two_names_begin_with_in_common(one: str, other: str) -> None:
    """The longest common beginning."""
    shared = _shared(one, other)
    assert one[:shared] == other[:shared]
    assert not one[shared : shared + 1] or one[shared : shared + 1] != other[shared : shared + 1]


@property_of(200)
@given(st.lists(st.text("ab", max_size=5), max_size=40, unique=True).map(sorted))
def test_parents_are_the_longest_other_beginnings(names: list[str]) -> None:
    """Each key knows the longest other key that it begins with."""
    for name, parent in zip(names, _parents(names), strict=True):
        others = [one for one in names if name.startswith(one) and one != name]
        assert (names[parent] if parent >= 0 else None) == max(others, key=len, default=None)


def test_rules_that_cannot_match_are_not_looked_at() -> None:
    """Evaluation does not look at rules that cannot match, by any of the parts that hold names."""
    for part, mine, name in (
        ("principals", "okta/team-{}-*", "okta/alice"),
        ("tools", "tool-{}", "s3_upload"),
        ("actions", "aws.s{}.put", "aws.s3.put"),
        ("resources", "bucket-{}/*", "bucket/key"),
        ("environments", "env-{}*", "dev"),
    ):
        crowded = [{**rule(f"r{i}"), part: [mine.format(i + 10)]} for i in range(200)]
        policy = policy_of([*crowded, {**rule("mine"), part: [name]}])
        assert [one.id for one in policy.candidates(ask())] == ["mine"]


def test_a_scope_looks_at_what_it_meets() -> None:
    """Nor at rules whose resources the scope does not meet."""
    policy = policy_of([rule("a", resources=["ab/x"]), rule("b", resources=["ac/x"])])
    assert [one.id for one in policy.candidates(ask(resource="ab*"))] == ["a"]


def test_a_refusal_makes_no_later_answer_look_at_more() -> None:
    """Rules that only the search for the nearest looked at are not looked at again."""
    policy = policy_of(
        [
            rule("a", tools=["x"]),
            rule("b", actions=["x.y.z"], tools=["y"]),
            rule("c", actions=["aws.s3.put"], tools=["z"]),
        ]
    )
    assert policy.candidates(ask()) == []
    assert engine.decide(policy, ask()).effect == engine.DENY
    assert policy.candidates(ask()) == []


def test_a_variable_selects_nothing() -> None:
    """A failed substitution decides its own part: for a deny rule it matches."""
    policy = policy_of([rule("no", "deny", resources=["x/${principal.claims.c}"]), rule("yes")])
    assert engine.decide(policy, ask()).rules == ("no",)


def test_a_chain_of_heads_is_followed_to_its_end() -> None:
    """Every rule whose head a name begins with matches, a thousand of them one within the other."""
    names = ["a" * length + "*" for length in range(1, 1001)]
    policy = policy_of([rule(f"r{i:04}", resources=[one]) for i, one in enumerate(names)])
    assert len(engine.decide(policy, ask(resource="a" * 2000)).rules) == 1000
    assert len(engine.decide(policy, ask(resource="a" * 500 + "b")).rules) == 500
    assert len(policy.candidates(ask(resource="a" * 500 + "b"))) == 500


def test_the_nearest_of_a_scope_is_found_by_its_second_part() -> None:
    """The rule that failed on the fewest parts, whichever part it failed on."""
    policy = policy_of(
        [
            rule("a", tools=["other"], actions=["aws.s3.get"]),
            rule("b", tools=["another"], resources=["bucket/*"]),
        ]
    )
    nearest = engine.decide(policy, ask(resource="bucket/key*")).nearest
    assert nearest is not None
    assert (nearest.rule.id, nearest.failed) == ("b", ("tools",))


def test_threads_that_ask_first_find_the_same() -> None:
    """A block that another thread reads meanwhile stands for itself, not for the next one."""
    policy = policy_of([{**rule("far", tools=["t"]), "environments": ["e"]}])
    finder = policy._finder
    read = finder._read

    def meanwhile(number: int) -> Any:
        finder._read = read
        finder.candidates(ask(), 1)
        return read(number)

    finder._read = meanwhile
    assert [finder.candidates(ask(), missing) for missing in (0, 1, 2)] == [set(), set(), {0}]
