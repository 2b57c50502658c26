"""The tree of `check`: bounded whatever the size of the policy, and the same as JSON."""

from __future__ import annotations

import io
import json
import sys

import pytest

from agentauth_cli.cli import check_tree, tree
from agentauth_cli.cli.tree import Branch
from agentauth_cli.model import Principal
from agentauth_cli.policy.considered import MOST_QUESTIONS
from agentauth_cli.policy.explain import LONGEST
from support.policy_worlds import QUESTION, ask, policy_of, rule


class Terminal(io.TextIOWrapper):
    """A terminal with an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="backslashreplace")

    def isatty(self) -> bool:
        """Say that it is one."""
        return True

    @property
    def seen(self) -> str:
        """What was written on it."""
        self.seek(0)
        return self.read()


def texts(branch: Branch) -> list[str]:
    """Return what stands under a branch."""
    return [one.text for one in branch.under]


# Bounds


def test_of_many_rules_the_nearest_are_shown_and_the_others_counted() -> None:
    """All that took part, the nearest misses first, a bounded number, and how many more."""
    files = [
        *(rule(f"yes{i:02}") for i in range(20)),
        *(rule(f"far{i:02}", tools=["x"], environments=["x"]) for i in range(20)),
        *(rule(f"near{i:02}", tools=["x"]) for i in range(9)),
        *(rule(f"deny{i:02}", "deny", tools=["x"]) for i in range(11)),
    ]
    _, question = check_tree.tree(policy_of(files), [QUESTION])
    shown = [one.partition(":")[0] for one in texts(question)]
    assert shown == [
        "allow yes00 decides",
        *(f"allow yes{i:02} takes part" for i in range(1, 20)),
        *(f"allow near{i:02} fails" for i in range(9)),
        "allow far00 fails",
        *(f"deny deny{i:02} fails" for i in range(10)),
        "19 more allow rules fail",
        "1 more deny rule fails",
    ]


def test_json_is_bounded_too_with_a_count() -> None:
    """`--json` lists so many misses of each effect, and counts the others."""
    most = check_tree.LISTED
    files = [rule(f"a{i:03}", tools=["x"]) for i in range(most + 2)]
    (shown,) = check_tree.shape(policy_of(files), [QUESTION])
    assert [one["rule"] for one in shown["considered"]] == [f"a{i:03}" for i in range(most)]
    assert shown["more"] == {"allow": 2, "deny": 0}


def test_many_questions_are_counted() -> None:
    """Several questions of one tool each have their tree; those left out are counted."""
    asked = [QUESTION] * (MOST_QUESTIONS + 3)
    shown = check_tree.tree(policy_of([rule()]), asked)
    assert len(shown) == 1 + MOST_QUESTIONS + 1
    assert shown[-1].text == "3 more questions"


# Content


def test_several_questions_have_a_tree_each() -> None:
    """The first refused one decides: each question says what it came to."""
    files = [rule("a", actions=["aws.s3.get"], obligations={"must_log": True})]
    asked = [ask(action=f"aws.s3.{verb}") for verb in ("get", "put")]
    _, first, second, nearest = check_tree.tree(policy_of(files), asked)
    assert first.text == "aws.s3.get on bucket/key: allow, allowed by rule"
    assert second.text == "aws.s3.put on bucket/key: deny, no rule allows this"
    assert texts(second) == ["allow a fails: the action is aws.s3.put, not aws.s3.get"]
    assert nearest.text == (
        "nearest: `a` would allow this if the action were aws.s3.get; it is aws.s3.put"
    )


def test_obligations_say_which_rule_they_came_from() -> None:
    """Obligations with the rule each came from."""
    limits = {
        "max_duration": "15m",
        "max_tokens": 0,
        "max_cost": "0.5",
        "rate_limit": ["2/hour", "1/day"],
        "must_log": True,
        "require_reason": True,
        "delivery": ["exec", "stdout"],
        "models": ["gpt-*"],
    }
    policy = policy_of([rule("a", obligations=limits), rule("b", obligations={"models": ["o1"]})])
    _, _, *said = check_tree.tree(policy, [QUESTION])
    assert [one.text for one in said] == [
        "max_duration = 900  by a",
        "max_tokens = 0  by a",
        "max_cost = 0.50  by a",
        "rate_limit = 2/hour, 1/day  by a, a",
        "must_log = yes  by a",
        "require_reason = yes  by a",
        "delivery = stdout, exec  by a",
        "models = gpt-*, o1  by a, b",
    ]
    (shown,) = check_tree.shape(policy, [QUESTION])
    assert shown["obligations"]["max_cost"] == {"value": "0.50", "rule": "a"}
    assert shown["obligations"]["models"] == {"value": [["gpt-*"], ["o1"]], "rules": ["a", "b"]}


def test_the_same_as_json() -> None:
    """The same content as JSON: an object for each question, each rule with what it compared."""
    files = [
        rule("a", environments=["dev"]),
        rule("b", tools=["x"], when={"max_session_age": "1h"}),
    ]
    shown = json.loads(json.dumps(check_tree.shape(policy_of(files), [QUESTION])))

    def compared(
        part: str, subject: str, wanted: str, actual: str, *, holds: bool | None
    ) -> object:
        told = {"part": part, "subject": f"the {subject}", "wanted": wanted}
        return {**told, "actual": actual, "holds": holds}

    unknown = "the age of the login is not known"
    assert shown == [
        {
            "action": "aws.s3.put",
            "resource": "bucket/key",
            "effect": "allow",
            "reason": "allowed by rule",
            "obligations": {},
            "considered": [
                {
                    "rule": "a",
                    "effect": "allow",
                    "role": "decides",
                    "failed": [],
                    "compared": [
                        compared("principals", "principal", "*", "okta/alice", holds=True),
                        compared("environments", "environment", "dev", "dev", holds=True),
                    ],
                },
                {
                    "rule": "b",
                    "effect": "allow",
                    "role": "fails",
                    "failed": ["tools", "when"],
                    "compared": [
                        compared("tools", "tool", "x", "s3_upload", holds=False),
                        compared("when", "login", "3600 s old at most", unknown, holds=None),
                    ],
                },
            ],
            "more": {"allow": 0, "deny": 0},
        }
    ]


def test_long_values_of_a_request_are_cut() -> None:
    """Values of the request are untrusted: long ones are cut, malformed ones too."""
    long = "x" * 100_000
    who = Principal(long, "")
    asked = ask(principal=who, action=long, resource=long, tool=long, environment=long)
    shown = check_tree.tree(policy_of([rule()]), [asked])
    assert [len(one.text) < 10 * LONGEST for one in shown] == [True, True]


@pytest.mark.parametrize(
    ("environment", "stands_out"),
    [("prod", True), ("prod-eu", True), ("production", True), ("dev", False), ("nonprod", False)],
)
def test_production_stands_out(environment: str, stands_out: bool) -> None:
    """Prod is in colour where there are colours."""
    asked, *_ = check_tree.tree(policy_of([rule()]), [ask(environment=environment)])
    assert asked.in_red is stands_out
    assert asked.text == (f"okta/alice through s3_upload in {environment} at 2026-11-23T10:00:00Z")


# Drawing


BRANCHES = [
    Branch("a", [Branch("b\x1b\n", [Branch("c")]), Branch("d")]),
    Branch("é", [Branch("f")]),
]


@pytest.mark.parametrize(
    ("encoding", "term", "drawn"),
    [
        ("utf-8", "xterm", "├─ a\n│  ├─ b\\x1b\\n\n│  │  └─ c\n│  └─ d\n└─ é\n   └─ f\n"),
        ("utf-8", "dumb", "|- a\n|  |- b\\x1b\\n\n|  |  `- c\n|  `- d\n`- é\n   `- f\n"),
        ("ascii", "xterm", "|- a\n|  |- b\\x1b\\n\n|  |  `- c\n|  `- d\n`- \\xe9\n   `- f\n"),
    ],
)
def test_boxes_where_the_terminal_shows_them(
    monkeypatch: pytest.MonkeyPatch, encoding: str, term: str, drawn: str
) -> None:
    """Boxes on a terminal; ASCII where it is dumb or its encoding has none; escapes shown."""
    terminal = Terminal(encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", term)
    tree.show(BRANCHES)
    assert terminal.seen == drawn


def test_no_boxes_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Boxes on a terminal only."""
    monkeypatch.setenv("TERM", "xterm")
    tree.show(BRANCHES[1:])
    assert capsys.readouterr().out == "`- é\n   `- f\n"
