"""`policy test`: the tests that the policy files hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentauth_cli.cli import screen
from agentauth_cli.cli.policy_gaps import Gaps, gaps
from agentauth_cli.config.reading import read_policy
from agentauth_cli.errors import NotConfiguredError, UsageError
from agentauth_cli.policy.testing import Result, reached, run
from agentauth_cli.secret import printable
from agentauth_cli.tables.shape import Document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agentauth_cli.wiring import Wiring

FAILED = 1


@dataclass(frozen=True)
class Input:
    """Which files, and what is shown of them."""

    paths: tuple[Path, ...] = ()
    coverage: bool = False
    junit: Path | None = None
    as_json: bool = False


def work(wiring: Wiring, given: Input) -> int:
    """Run all tests; return the exit code: 1 where one fails. Raises ConfigError, UsageError."""
    policy, files = (
        read_policy(given.paths) if given.paths else wiring.configuration.policy_with_files()
    )
    results = run(policy, _name_claims(wiring))
    counts = reached(policy, results)
    if given.junit is not None:
        _write_report(given.junit, results)
    left = gaps(policy, results) if given.coverage else None
    if given.as_json:
        screen.out_json({**shape(results, counts), **(left.shape() if left else {})})
    else:
        _show(results, counts, dict(files), left)
    return 0 if all(one.passed for one in results) else FAILED


def _name_claims(wiring: Wiring) -> Mapping[str, str]:
    try:
        return wiring.settings.name_claims
    except NotConfiguredError:
        return {}


def shape(results: Sequence[Result], counts: Mapping[str, int]) -> dict[str, object]:
    """Return the results as `--json` shows them."""
    passed = sum(one.passed for one in results)
    return {
        "passed": passed,
        "failed": len(results) - passed,
        "tests": [
            {
                "name": one.case.name,
                "passed": one.passed,
                "effect": one.answer.decision,
                "rule": one.answer.rule,
                "message": one.message,
            }
            for one in results
        ],
        "unreached": [rule for rule, count in counts.items() if not count],
    }


def _show(
    results: Sequence[Result],
    counts: Mapping[str, int],
    files: Mapping[str, bytes],
    left: Gaps | None,
) -> None:
    failed = [one for one in results if not one.passed]
    for file in dict.fromkeys(one.case.file for one in failed):
        mine = [one for one in failed if one.case.file == file]
        places = Document(file, files[file]).places([("test", one.case.index) for one in mine])
        for one, (line, column) in zip(mine, places, strict=True):
            screen.out(f"{file}:{line}:{column}: {one.case.name}: {one.message}")
    if left and counts:
        rows = [(rule, str(count)) for rule, count in counts.items()]
        screen.columns([("RULE", "TESTS"), *rows])
    unreached = [rule for rule, count in counts.items() if not count]
    if unreached:
        screen.out(f"no test reaches: {', '.join(unreached)}")
    for told in left.lines(files) if left else ():
        screen.out(told)
    screen.out(f"{len(results) - len(failed)} passed, {len(failed)} failed")


def _write_report(path: Path, results: Sequence[Result]) -> None:
    """Write the results as JUnit's XML, which most CI systems read."""
    from xml.etree import ElementTree as ET

    failures = sum(not one.passed for one in results)
    suite = ET.Element(
        "testsuite", name="agentauth policy", tests=str(len(results)), failures=str(failures)
    )
    for one in results:
        names = {"name": printable(one.case.name), "classname": printable(one.case.file)}
        entry = ET.SubElement(suite, "testcase", names)
        if not one.passed:
            ET.SubElement(entry, "failure", message=printable(one.message))
    try:
        path.write_bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True) + b"\n")
    except OSError as error:
        why = f"{path} cannot be written: {error.strerror}"
        raise UsageError(why, hint="Check the path") from None
