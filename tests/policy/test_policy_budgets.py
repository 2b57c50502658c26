"""budgets.toml: what loads, and every error."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from agentauth_cli.model import ProviderType
from agentauth_cli.policy.budgets import Budget, load
from agentauth_cli.policy.matching import Pattern
from agentauth_cli.policy.narrow import Allowance, Tool

HEAD = 'version = 1\n[[budget]]\nid = "b"\n'
GOOD = HEAD + "per = []\n"
PRICE = "{ input = '1', output = '1' }"


def tool(name: str = "chat", environment: str = "dev", **allowance: int) -> Tool:
    """Return a tool of OpenAI, with this allowance."""
    return Tool(name, environment, ProviderType.OPENAI, (), allowance=Allowance(**allowance))


def errors(text: str, *tools: Tool) -> list[str]:
    """Return the load errors, as they are shown."""
    return [str(one) for one in load(text.encode(), tools)[1]]


def test_a_whole_file_loads() -> None:
    """All keys of a budget are read; absent patterns mean every one."""
    text = b"""
        version = 1
        [[budget]]
        id = "whole"
        principals = ["okta/*", "group:okta/eng"]
        except = ["kind:service"]
        providers = ["openai"]
        tools = ["chat*"]
        environments = ["dev"]
        per = ["principal", "group:okta/*", "tool", "provider", "environment"]
        tz = "Europe/Paris"
        warn_at = 0.8
        limits.minute = { tokens = 50_000 }
        limits.hour = { cost = "5.00" }
        limits.day = { cost = "0", requests = 500, leases = 0 }
        limits.week = { leases = 1 }
        limits.month = { cost = "400.000001" }
        [[budget]]
        id = "least"
        per = []
        limits.day = { requests = 1 }
        [prices]
        "openai/gpt" = { input = "0.15", output = "0.60", cached_input = "0.01" }
    """
    budgets, problems = load(text, (tool(tokens=0, cost=0),))
    assert problems == []
    whole, least = budgets
    assert whole.limits == {
        ("minute", "tokens"): 50_000,
        ("hour", "cost"): 5_000_000,
        ("day", "cost"): 0,
        ("day", "requests"): 500,
        ("day", "leases"): 0,
        ("week", "leases"): 1,
        ("month", "cost"): 400_000_001,
    }
    group = Pattern(("okta/", ""))
    assert whole.per == ("principal", group, "tool", "provider", "environment")
    assert str(whole.zone) == "Europe/Paris"
    assert [one.text for one in whole.except_] == ["kind:service"]
    assert least == Budget("least", {("day", "requests"): 1})
    assert least.zone is UTC


def test_a_file_without_budgets_loads() -> None:
    """A file that limits nothing is one."""
    assert load(b"version = 1", ()) == ((), [])


LIMITS = "limits.day = { requests = 1 }\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "budgets.toml:1:1: missing key 'version'"),
        ("version = 1\nbudgets = 1", "budgets.toml:2:1: budgets: unknown key 'budgets': did you"),
        ("version = 1\nbudget = []", "budgets.toml:2:1: budget: an empty array"),
        (HEAD + LIMITS, "budgets.toml:2:1: budget in 'b': missing key 'per'"),
        (GOOD, "budgets.toml:2:1: budget in 'b': missing key 'limits'"),
        (GOOD + "limits = {}", "budgets.toml:5:1: budget.limits in 'b': an empty table"),
        (GOOD + "limits.day = {}", "5:1: budget.limits.day in 'b': an empty table"),
        (
            GOOD + "limits.year = { cost = '1' }",
            "5:1: budget.limits.year in 'b': unknown key 'year'",
        ),
        (GOOD + "limits.day = { token = 1 }", "unknown key 'token': did you mean `tokens`?"),
        (GOOD + "limits.day = { tokens = -1 }", "expected an integer from 0"),
        (GOOD + "limits.day = { tokens = 1.5 }", "expected an integer, got a float"),
        (GOOD + "limits.day = { tokens = nan }", "expected an integer, got a float"),
        (GOOD + "limits.day = { requests = 9223372036854775808 }", "expected an integer from 0"),
        (GOOD + "limits.day = { cost = 1.0 }", "expected an amount in USD as a string"),
        (GOOD + "limits.day = { cost = nan }", "expected an amount in USD as a string"),
        (GOOD + "limits.day = { cost = inf }", "expected an amount in USD as a string"),
        (GOOD + "limits.day = { cost = '1e309' }", "expected an amount in USD as a string"),
        (GOOD + "limits.day = { cost = '-1' }", "expected an amount in USD as a string"),
        (GOOD + LIMITS + "tz = 'Europe/Pari'", "did you mean `Europe/Paris`?"),
        (GOOD + LIMITS + "tz = '../etc/passwd'", "expected a time zone such as"),
        (GOOD + LIMITS + "warn_at = 0", "expected a number over 0, up to 1"),
        (GOOD + LIMITS + "warn_at = 1.1", "expected a number over 0, up to 1"),
        (GOOD + LIMITS + "warn_at = nan", "expected a number over 0, up to 1"),
        (GOOD + LIMITS + "warn_at = -inf", "expected a number over 0, up to 1"),
        (GOOD + LIMITS + "warn_at = true", "expected a number over 0, up to 1"),
        (GOOD + LIMITS + "warn_at = '0.8'", "expected a number over 0, up to 1"),
        (GOOD + LIMITS + "except = []", "an empty array"),
        (GOOD + LIMITS + "principals = ['alice']", "no id can match"),
        (GOOD + LIMITS + "providers = ['open ai']", "no name can match"),
        (GOOD + LIMITS + "tools = ['a?']", "`?` is no wildcard"),
        (GOOD + LIMITS + "environments = ['a/b']", "no name can match"),
        (HEAD + LIMITS + "per = 'tool'", "expected an array, got a string"),
        (HEAD + LIMITS + "per = ['tol']", "expected one of principal, provider, tool, env"),
        (HEAD + LIMITS + "per = ['group:eng']", "no id can match"),
        (HEAD + LIMITS + "per = ['kind:user']", "expected one of"),
        (HEAD + LIMITS + "per = [1]", "expected one of"),
        ("version = 1\n[[budget]]\nid = 'B'\nper = []\n" + LIMITS, "expected an id of"),
        ("version = 1\n[prices]\n'a/x' = { input = '1' }", "missing key 'output'"),
        ("version = 1\n[prices]\n'a/x' = { input = 1, output = '1' }", "expected an amount"),
        ("version = 1\n[prices]\n'a/x' = 1", "expected a table, got an integer"),
        (
            f"version = 1\n[prices]\n'a/X' = {PRICE}\n'a/x' = {PRICE}",
            "the same as 'a/X': upper and lower case do not count",
        ),
        ("version = 1\nprices = {}", "an empty table"),
        ("version = 1\nprices = 1", "expected a table"),
        ("version", "not TOML"),
    ],
)
def test_errors(text: str, said: str) -> None:
    """An unknown key, a wrong type, NaN, inf, a float where money is meant is an error."""
    (error,) = errors(text)
    assert said in error


def test_prices_of_several_models() -> None:
    """Names are held against each other in lower case."""
    names = ("a/x", "a/y", "a/ß", "a/SS")
    lines = "".join(f"'{name}' = {PRICE}\n" for name in names)
    assert errors("version = 1\n[prices]\n" + lines) == []


@pytest.mark.parametrize("warn_at", ["1", "1.0", "0.000001"])
def test_warn_at_is_a_share(warn_at: str) -> None:
    """A budget can warn at a share of its limit."""
    assert errors(GOOD + LIMITS + f"warn_at = {warn_at}") == []


def test_all_errors_are_listed_at_once() -> None:
    """All errors are listed at once, every duplicate id among them."""
    one = "[[budget]]\nid = '{}'\nper = []\nlimits.day = {{ requests = {} }}\n"
    text = "version = 1\n" + "".join(one.format(*two) for two in ("a1", "a2", "bx", "b3", "a4"))
    text = text.replace("= x", "= -1")
    assert errors(text) == [
        "budgets.toml:7:1: budget.id in 'a': duplicate id 'a'",
        (
            "budgets.toml:13:16: budget.limits.day.requests in 'b': "
            "expected an integer from 0 to 9223372036854775807"
        ),
        "budgets.toml:15:1: budget.id in 'b': duplicate id 'b'",
        "budgets.toml:19:1: budget.id in 'a': duplicate id 'a'",
    ]
    assert len(errors(text.replace("-1", "1"))) == 3


@pytest.mark.parametrize("entry", ["1", "[[1]]", "[{ id = 1 }]", "[{ id = [] }, { id = 'a' }]"])
def test_what_is_no_budget_is_an_error(entry: str) -> None:
    """A wrong type is an error, and nothing is done with the value."""
    assert errors(f"version = 1\nbudget = {entry}")


def test_a_tool_has_to_say_what_a_lease_takes() -> None:
    """A tool that a token or cost budget can reach needs that key in `allowance`, 0 permitted."""
    limits = "limits.hour = { tokens = 1, requests = 1 }\nlimits.day = { cost = '1', tokens = 2 }\n"
    text = GOOD + "tools = ['chat*']\nenvironments = ['dev']\nproviders = ['open*']\n" + limits
    tools = (
        tool("chat1"),
        tool("chat2", tokens=0),
        tool("chat2", "prod"),
        tool("chat3", tokens=1, cost=0),
        tool("other"),
    )
    assert errors(text, *tools) == [
        f"budgets.toml:8:1: budget.limits in 'b': tool {name} has no `allowance.{metric}` in "
        "config.toml: say what one lease takes of b (0 is permitted)"
        for name, metric in (("chat1", "cost"), ("chat1", "tokens"), ("chat2", "cost"))
    ]
    assert errors(GOOD + LIMITS, *tools) == []


@pytest.mark.parametrize(
    ("patterns", "meets"),
    [
        ({}, True),
        ({"providers": "openai"}, True),
        ({"providers": "aws"}, False),
        ({"tools": "ch*"}, True),
        ({"tools": "c"}, False),
        ({"environments": "dev"}, True),
        ({"environments": "prod"}, False),
        ({"providers": "*", "tools": "chat", "environments": "prod"}, False),
    ],
)
def test_what_a_budget_reaches(patterns: dict[str, Any], meets: bool) -> None:
    """By provider, tool, environment; absent means every one."""
    lines = "".join(f"{key} = ['{one}']\n" for key, one in patterns.items())
    (budget,), problems = load((GOOD + LIMITS + lines).encode(), ())
    assert problems == []
    assert budget.meets(tool()) is meets
