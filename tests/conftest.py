"""What tests share: one cloud for a worker, and no way out but loopback."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support import absent
from support.cloud import Cloud, cloud
from support.station import Station, station
from support.sts_server import StsServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def heard_signals() -> None:
    """Let the programs that tests start hear signals, whatever started the tests.

    A shell starts what it puts into the background with SIGINT and SIGQUIT ignored, and who ignores
    a signal passes that on.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run an emulator of AWS, with authentication on, for as long as the worker lives."""
    with cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, emulator: Cloud) -> Station:
    """Return a fresh configuration whose tool mints at the emulator."""
    return station(tmp_path / "station", emulator.url, emulator.source)


@pytest.fixture(scope="session")
def granting() -> Iterator[StsServer]:
    """Run an STS that grants everything at once, as long as the worker lives."""
    with StsServer() as server:
        yield server


@pytest.fixture
def near(tmp_path: Path, granting: StsServer) -> Station:
    """Return a fresh configuration whose tool mints at once; the credential is made up."""
    return station(tmp_path / "near", granting.url, granting.source)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the programs that this machine lacks: what was not tried with them is not silent."""
    for line in absent.lines(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)
