"""What befalls the policy files from outside: nothing is vended, and the next run works."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from support.cloud import ROLE
from support.station import POLICY

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.station import Station

pytestmark = pytest.mark.whole

SECRETS = ("made-up", "SecretAccessKey", "SessionToken")


def config(at: Station) -> Path:
    """Return the folder of the configuration."""
    return at.folder / "config"


def clean(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Assert what holds of every refusal, and return its one line."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert not [one for one in SECRETS if one in done.stderr]
    return done.stderr


def refused(at: Station, code: int = 3) -> str:
    """Assert that nothing is to be had, and return what `vend` says."""
    said = clean(at.run("vend", ROLE), code)
    assert "vend.issued" not in at.events()
    return said


def invalid(at: Station) -> str:
    """Assert that the policy is refused as one that does not load, and return what `vend` says."""
    answer = at.run("check", ROLE, "--json")
    assert answer.returncode == 3
    assert json.loads(answer.stdout)["reason"] == "policy invalid"
    return refused(at)


def works(at: Station) -> None:
    """Assert that the next normal run works."""
    at.write("policy.toml", POLICY)
    assert "AccessKeyId" in at.json("vend", ROLE)
    at.everything_holds()


# -- cut short, mistyped -----------------------------------------------------------------------


@pytest.mark.parametrize("cut", [2, 20, 90])
def test_cut_short(near: Station, cut: int) -> None:
    """`truncate -s -20 policy.toml`: deny all, exit 3, line number."""
    os.truncate(config(near) / "policy.toml", len(POLICY) - cut)
    last = POLICY[:-cut].count("\n") + 1
    assert f"policy.toml:{last}:" in invalid(near)
    assert near.run("policy", "lint").stdout.startswith(f"policy.toml:{last}:")
    clean(near.run("exec", ROLE, "--", "/bin/echo", "started"), 3)
    works(near)


def test_cut_to_nothing(near: Station) -> None:
    """A policy without a byte is no policy of no rules: deny all, exit 3, line number."""
    near.write("policy.toml", "")
    assert "policy.toml:1:1: missing key 'version'" in invalid(near)
    works(near)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("obligations = { max_token = 5 }", "unknown key 'max_token': did you mean `max_tokens`?"),
        (
            "obligation = { max_tokens = 5 }",
            "unknown key 'obligation': did you mean `obligations`?",
        ),
        ("unles = { auth = ['os'] }", "unknown key 'unles': did you mean `unless`?"),
        ("[[rules]]\nid = 'x'", "unknown key 'rules': did you mean `rule`?"),
    ],
)
def test_a_typo(near: Station, line: str, said: str) -> None:
    """Unknown key / typo "max_token": refuse, do not ignore an obligation."""
    near.write("policy.toml", f"{POLICY}{line}\n")
    assert said in invalid(near)
    works(near)


# -- huge, deep, and numbers that are none -----------------------------------------------------


def _sparse(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(50 * 2**30)


HUGE: dict[str, Callable[[Path], object]] = {
    "comments": lambda path: path.write_bytes(POLICY.encode() + b"#" * 50 * 2**20),
    "rules": lambda path: path.write_bytes(POLICY.encode() + b"[[rule]]\n" * (50 * 2**20 // 9)),
    "50 GB of nothing": _sparse,
}


@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.timeout(120)
def test_a_huge_policy(near: Station, huge: str) -> None:
    """Huge policy 50 MB: refuse, whatever it holds, before it is parsed."""
    HUGE[huge](config(near) / "policy.toml")
    said = invalid(near)
    assert "policy.toml" in said
    assert "larger than" in said
    works(near)


@pytest.mark.parametrize(
    "deep",
    [
        "x = " + "[" * 100_000,
        "x = " + "{a = " * 10_000 + "1" + "}" * 10_000,
        "a." * 1_000_000 + "a",
        "[[rule]]\n" * 40 + "".join(f"[rule{'.a' * depth}]\n" for depth in range(1, 40)),
    ],
    ids=["arrays", "tables", "endless key", "headers"],
)
@pytest.mark.timeout(120)
def test_a_deep_policy(near: Station, deep: str) -> None:
    """Deep tables: refuse."""
    near.write("policy.toml", f"{POLICY}{deep}\n")
    assert "policy.toml:" in invalid(near)
    works(near)


NUMBERS = ["1e9", "1e309", "-1e309", "inf", "-inf", "+inf", "nan", "-nan", "1" + "0" * 19, "-1"]
KEYS = ["max_tokens", "max_cost", "max_duration", "rate_limit", "must_log", "require_reason"]


def test_numbers_that_are_none(near: Station) -> None:
    """1e9 numbers, inf/nan (TOML allows inf, nan!): refuse, wherever they stand."""
    rule = '[[rule]]\nid = "r{}"\neffect = "allow"\nprincipals = ["*"]\n'
    lines = [f"obligations = {{ {key} = {one} }}\n" for key in KEYS for one in NUMBERS]
    lines += [f"when = {{ after = {one} }}\n" for one in NUMBERS]
    whole = "".join(rule.format(i) + line for i, line in enumerate(lines))
    near.write("policy.toml", f"version = 1\n{whole}")
    assert f"(and {len(lines) - 1} more)" in invalid(near)
    listed = near.run("policy", "lint").stdout.splitlines()
    assert [line.split(":")[1] for line in listed] == [str(6 + 5 * i) for i in range(len(lines))]
    works(near)


@pytest.mark.parametrize(
    "text", ["version = nan", "x = inf", f"x = {'9' * 5_000}", "[[rule]]\nid=1e9"]
)
def test_a_number_in_any_place(near: Station, text: str) -> None:
    """Inf/nan (TOML allows inf, nan!): refuse, wherever it stands."""
    near.write("policy.toml", text)
    invalid(near)
    works(near)


def test_a_budget_of_nan(near: Station) -> None:
    """Nan budget never means unlimited."""
    budget = '[[budget]]\nid = "b{}"\nper = ["principal"]\nlimits.month = {{ {} = {} }}\n'
    limits = [(metric, one) for metric in ("requests", "tokens", "cost") for one in NUMBERS]
    whole = "".join(budget.format(i, *limit) for i, limit in enumerate(limits))
    near.write("budgets.toml", f"version = 1\n{whole}")
    assert "budgets.toml:5:18: budget.limits.month.requests in 'b0': " in refused(near)
    lint = near.run("policy", "lint").stdout.splitlines()
    listed = [line for line in lint if line.startswith("budgets.toml:")]
    assert [line.split(":")[1] for line in listed] == [str(5 + 4 * i) for i in range(len(limits))]
    (config(near) / "budgets.toml").unlink()
    works(near)


# -- replaced between stat and open ------------------------------------------------------------

OPEN = POLICY + '\n[[rule]]\nid = "evil"\neffect = "allow"\nprincipals = ["*"]\n'

SWAP = """\
import os, sys
when, name, other, *arguments = sys.argv[1:]
opened = os.open

def swap(path, *others, **named):
    mine = os.fspath(path).endswith(name) and os.path.exists(other)
    if mine and when == "before":
        os.replace(other, path)
    descriptor = opened(path, *others, **named)
    if mine and when == "after":
        os.replace(other, path)
    return descriptor

os.open = swap
from agentauth_cli.cli.run import run
sys.exit(run(arguments))
"""
"""The program, with a file of the configuration replaced by another right around its open."""


def swapped(
    at: Station, when: str, name: str, other: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `vend` while a file is replaced by another, which has to happen."""
    command = [sys.executable, "-c", SWAP, when, name, str(other), "vend", ROLE]
    done = at.shell(command, **variables)
    assert not other.exists()
    return done


def others(at: Station, text: str, mode: int) -> Path:
    """Write what somebody puts in the place of a file."""
    path = at.folder / "other"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("policy.toml", OPEN, 3),
        ("policy.d/a.toml", OPEN, 3),
        ("budgets.toml", "version = 1\n", 3),
        ("killswitch.toml", "version = 1\n", 6),
    ],
)
def test_replaced_before_it_is_opened(near: Station, name: str, text: str, code: int) -> None:
    """Policy/secret file replaced between stat and open: what was opened is what is judged."""
    (config(near) / "policy.d").mkdir(mode=0o700)
    near.write(name, POLICY if name == "policy.toml" else "version = 1\n")
    said = clean(swapped(near, "before", name, others(near, text, 0o666)), code)
    assert f"{name} can be written by others" in said
    assert "vend.issued" not in near.events()
    (config(near) / name).unlink()
    works(near)


def test_a_token_replaced_before_it_is_opened(near: Station) -> None:
    """Policy/secret file replaced between stat and open: a token is judged as it was opened."""
    token = near.folder / "token"
    token.write_text("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.")
    token.chmod(0o600)
    other = others(near, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ5In0.", 0o666)
    variables = {"AGENTAUTH_TOKEN_FILE": str(token)}
    said = clean(swapped(near, "before", "token", other, **variables), 4)
    assert "token can be written by others" in said
    assert "eyJ" not in said
    works(near)


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_replaced_once_it_is_open(near: Station, mode: int) -> None:
    """Policy/secret file replaced between stat and open: what was opened is what is read."""
    digest = near.json("check", ROLE, "--json")["policy"]
    done = swapped(near, "after", "policy.toml", others(near, OPEN, mode))
    assert done.returncode == 0
    assert "AccessKeyId" in done.stdout
    record = near.records()[-1]
    assert (record["event"], record["policy"], record["rules"]) == (
        "vend.issued",
        digest,
        ["uploads"],
    )
    if mode == 0o600:
        assert near.json("check", ROLE, "--json")["rules"] == ["evil", "uploads"]
    else:
        assert "can be written by others" in clean(near.run("vend", ROLE), 3)
    (config(near) / "policy.toml").unlink()
    works(near)


def test_replaced_by_a_link(near: Station) -> None:
    """Policy/secret file replaced between stat and open: the file behind a link is judged."""
    real = others(near, OPEN, 0o666)
    link = near.folder / "link"
    link.symlink_to(real)
    said = clean(swapped(near, "before", "policy.toml", link), 3)
    assert "policy.toml can be written by others" in said
    (config(near) / "policy.toml").unlink()
    works(near)


@contextlib.contextmanager
def replacing(path: Path, *texts: str) -> Iterator[None]:
    """Put these texts in the place of a file in turn, as fast as it goes."""
    over = threading.Event()

    def work() -> None:
        following = path.with_name("next")
        for text in itertools.cycle(texts):
            if over.is_set():
                return
            following.write_text(text)
            following.chmod(0o600)
            following.replace(path)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_replaced_again_and_again(near: Station) -> None:
    """Each answer is that of one whole file, and names its digest."""
    texts = {"uploads": POLICY, "others": POLICY.replace('"uploads"', '"others"')}
    known = {}
    for rule, text in texts.items():
        near.write("policy.toml", text)
        known[near.json("check", ROLE, "--json")["policy"]] = [rule]
    with replacing(config(near) / "policy.toml", *texts.values()):
        for _ in range(4):
            near.json("vend", ROLE)
    issued = [one for one in near.records() if one["event"] == "vend.issued"]
    assert [one["rules"] for one in issued] == [known[one["policy"]] for one in issued]
    works(near)


# -- behind the compiled policy -----------------------------------------------------------------


def compiled(at: Station) -> None:
    """Ask until the policy is compiled, which waits until its sources have lain still."""
    deadline = time.monotonic() + 60
    while not (at.folder / "state" / "policy.compiled").exists():
        assert time.monotonic() < deadline
        at.json("check", ROLE, "--json")
        time.sleep(0.2)


def _changed(path: Path) -> None:
    """Change one letter, and put the times back: size, mtime and inode are as they were."""
    before = path.stat()
    path.write_text(POLICY.replace('effect = "allow"', 'effect = "alloe"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


BEFALLS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda path: os.truncate(path, len(POLICY) - 20), "policy.toml:8:"),
    "gone": (lambda path: path.unlink(), "no policy"),
    "open": (lambda path: path.chmod(0o666), "can be written by others"),
    "its folder open": (lambda path: path.parent.chmod(0o777), "can be written by others"),
    "changed in secret": (_changed, "expected one of allow, deny"),
    "a file beside it": (lambda path: _beside(path, "a.toml"), "policy.d/a.toml:1:"),
    "anything beside it": (lambda path: _beside(path, "README"), "policy.d/README:1:"),
}


def _beside(path: Path, name: str) -> None:
    (path.parent / "policy.d").mkdir(mode=0o700)
    (path.parent / "policy.d" / name).write_text("version = 2\n")


def test_what_was_compiled_stands_for_no_other_file(near: Station) -> None:
    """A damaged or replaced source is never answered for by what was compiled before."""
    compiled(near)
    near.json("vend", ROLE)
    path = config(near) / "policy.toml"
    for what, (befall, told) in BEFALLS.items():
        befall(path)
        said = clean(near.run("vend", ROLE), 3)
        assert told in said, what
        path.parent.chmod(0o700)
        path.unlink(missing_ok=True)
        shutil.rmtree(path.parent / "policy.d", ignore_errors=True)
        near.write("policy.toml", POLICY)
    assert near.events().count("vend.issued") == 1
    works(near)


def test_what_was_compiled_is_damaged(near: Station) -> None:
    """A damaged, truncated or older file never changes an answer."""
    compiled(near)
    expected = near.json("check", ROLE, "--json")
    path = near.folder / "state" / "policy.compiled"
    whole = path.read_bytes()
    for content in (b"", whole[:-20], whole[: len(whole) // 2], whole[:9], bytes(len(whole))):
        path.write_bytes(content)
        assert near.json("check", ROLE, "--json") == expected
    for at in range(0, len(whole), len(whole) // 6):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        assert near.json("check", ROLE, "--json") == expected
    works(near)


# -- the digest --------------------------------------------------------------------------------


def test_every_record_of_a_decision_has_the_digest(near: Station) -> None:
    """Every decision and audit record carries it."""
    digest = near.json("check", ROLE, "--json")["policy"]
    assert len(digest) == 64
    assert near.run("vend", ROLE).returncode == 0
    near.write("policy.toml", "version = 1\n")
    other = json.loads(near.run("check", ROLE, "--json").stdout)["policy"]
    assert near.run("vend", ROLE).returncode == 5
    told = [(record["event"], record["policy"]) for record in near.records()]
    assert told == [
        *(("check", digest), ("vend.intent", digest), ("vend.issued", digest)),
        *(("check", other), ("vend.denied", other)),
    ]
    assert other != digest
