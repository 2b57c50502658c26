"""The gallery of `init --example`: each example is read as documentation, and holds as a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentauth_cli.cli import examples, init_files
from agentauth_cli.config import settings
from agentauth_cli.config.reading import POLICY
from agentauth_cli.errors import UnknownNameError, UsageError
from agentauth_cli.model import Principal
from agentauth_cli.policy import rules
from agentauth_cli.policy.coverage import unproven
from agentauth_cli.policy.formatting import formatted
from agentauth_cli.policy.lint import warnings
from agentauth_cli.policy.testing import reached, run
from agentauth_cli.policy.unreachable import unreachable

if TYPE_CHECKING:
    from pathlib import Path

    from agentauth_cli.cli.examples import Example

ANN = Principal("os/ann", "ann", auth="os")
NAMES = ("agent-team", "ci-deploy", "llm-budget", "prod-freeze", "solo")


@pytest.fixture(params=NAMES)
def found(request: pytest.FixtureRequest) -> Example:
    """Return each example, as ann gets it."""
    return examples.example(request.param).of(ANN)


def test_these_are_the_examples() -> None:
    """A gallery in the package: solo developer, CI deploy, team of agents, budget, freeze."""
    assert tuple(examples.names()) == NAMES


def test_an_example_loads(found: Example, tmp_path: Path) -> None:
    """All files of an example load."""
    init_files.judge(found.texts, tmp_path)


def test_the_tests_of_an_example_pass_and_cover_it(found: Example, tmp_path: Path) -> None:
    """Each with tests in the file that pass."""
    policy, _ = rules.load([(POLICY, found.texts[POLICY].encode())])
    known, _ = settings.load(found.texts[settings.NAME].encode(), tmp_path)
    assert policy is not None
    assert known is not None
    results = run(policy, known.name_claims)
    assert [one.message for one in results if not one.passed] == []
    assert [rule for rule, count in reached(policy, results).items() if not count] == []
    assert list(unproven(policy, results)) == []
    assert list(unreachable(policy)) == []
    assert warnings(policy, sorted(known.environments), results) == []


def test_the_tests_of_an_example_tell_its_rules_apart(found: Example) -> None:
    """Without any one of its rules, or of its conditions, a test of an example fails."""
    text = found.texts[POLICY]
    head, *blocks = text.split("[[")
    for i, block in enumerate(blocks):
        if not block.startswith("rule"):
            continue
        without = [
            "",
            *(block.replace(line + "\n", "") for line in block.splitlines() if _condition(line)),
        ]
        for instead in without:
            others = [one for j, one in enumerate(blocks) if j != i]
            others += [instead] if instead else []
            policy, problems = rules.load([(POLICY, "[[".join([head, *others]).encode())])
            assert policy is not None, problems
            assert not all(one.passed for one in run(policy, {})), block


def _condition(line: str) -> bool:
    return line.startswith(("when =", "unless ="))


def test_an_example_is_in_the_style(found: Example) -> None:
    """`policy fmt --check` finds nothing to do, also with one's own name in it."""
    assert formatted(found.texts[POLICY]) == found.texts[POLICY]


def test_the_head_of_an_example_says_what_to_do(found: Example) -> None:
    """What is to be replaced stands in the files, and something is to be run next."""
    assert found.about.endswith(".")
    assert found.replace
    assert all(found.holding(one) for one in found.replace)
    assert found.then[0] == "agentauth policy test"
    assert all(line.isprintable() and len(line) <= 100 for line in _lines(found))


def _lines(found: Example) -> list[str]:
    commands = [f"#   {one}" for one in found.then]
    lines = [line for text in found.texts.values() for line in text.splitlines()]
    return [line for line in lines if line not in commands and not line.startswith("obligations")]


def test_whoever_runs_init_is_in_it() -> None:
    """The principal is whoever runs it, where the example is of one person."""
    found = examples.example("solo").of(ANN)
    assert 'principals = ["os/ann"]' in found.texts[POLICY]
    assert all(examples.LOGIN not in text for text in found.texts.values())


def test_an_example_of_nobody_in_particular_is_left_as_it_is() -> None:
    """Where who runs it makes no sense, nothing is put in."""
    bare = examples.example("ci-deploy")
    assert bare.of(Principal("os/a b", "a b")) is bare


@pytest.mark.parametrize("name", ["a b", "*", 'a"b', "a\\b", "é"])
def test_a_login_that_cannot_stand_in_a_resource_is_refused(name: str) -> None:
    """A name that no resource may hold could also mean something in a pattern."""
    with pytest.raises(UsageError, match="cannot stand in a resource"):
        examples.example("solo").of(Principal(f"os/{name}", name))


@pytest.mark.parametrize("name", ["../solo", "solo/", "", ".", "SOLO"])
def test_an_unknown_example_is_refused(name: str) -> None:
    """An unknown name is an error that lists the examples; a path leads nowhere."""
    with pytest.raises(UnknownNameError) as caught:
        examples.example(name)
    assert caught.value.hint == "Known: " + ", ".join(NAMES)
