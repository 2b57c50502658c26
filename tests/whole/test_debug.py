"""What `--debug` shows of an answer that was not believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import sts
from support.cloud import ACCOUNT, ROLE, Cloud
from support.faulty import Faulty, answer
from support.station import station

if TYPE_CHECKING:
    from pathlib import Path

    from support.faulty import Part

pytestmark = pytest.mark.whole

LATE = "2020-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "said",
    [
        sts.credential("x", account=ACCOUNT, expires=LATE),
        sts.credential("x", account=ACCOUNT, expires="soon"),
        sts.credential("x", account=ACCOUNT, expires="9" * 30),
        sts.credential("x", account=ACCOUNT, twice="Credentials"),
        sts.credential("x", account=ACCOUNT, without="Arn"),
        answer(b"<a>" + sts.KEYS["SecretAccessKey"].encode() + b"<a>"),
        answer(b"not XML: " + sts.KEYS["SessionToken"].encode()),
        sts.error("Refused", f"<SecretAccessKey>{sts.KEYS['SecretAccessKey']}</SecretAccessKey>"),
    ],
)
def test_no_secret_of_a_refused_answer_is_in_the_traceback(
    tmp_path: Path, emulator: Cloud, said: list[Part]
) -> None:
    """No secret of a vended credential is found in the output of a failed run with `--debug`."""
    with Faulty([said]) as server:
        here = station(tmp_path / "station", server.url, emulator.source)
        done = here.run("vend", ROLE, "--debug")
    assert done.returncode == 8
    assert "Traceback" in done.stderr
    shown = done.stdout + done.stderr + here.run("audit", "tail", "--json").stdout
    source = emulator.source["AWS_SECRET_ACCESS_KEY"]
    for secret in (sts.KEYS["SecretAccessKey"], sts.KEYS["SessionToken"], source):
        assert secret not in shown
